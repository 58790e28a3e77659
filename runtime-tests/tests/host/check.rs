//! `check`: what it says of a bundle is what `run` then does, and what it says of the host is what the host does.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use caps::{CapSet, Capability};
use runtime_tests::{Bundle, Output, Running, Runtime, fails_on};
use serde_json::{Value, json};

const OWN: [(&str, &str); 2] = [("runc", "minirun's own addition"), ("crun", "minirun's own addition")];
const KEYS: [&str; 5] = ["advice", "matters", "name", "seen", "verdict"];

/// The rows of a JSON answer, each with the keys that are promised.
#[track_caller]
fn rows(output: &Output) -> Vec<Value> {
    let rows: Value = serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", output.stdout, output.stderr));
    let rows = rows.as_array().unwrap().clone();
    for row in &rows {
        let mut keys: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, KEYS);
        assert!(["ok", "limited", "missing"].contains(&row["verdict"].as_str().unwrap()), "{row}");
        assert!(row["verdict"] != "missing" || row["seen"] != "", "{row}");
    }
    rows
}

/// The verdict of one row.
#[track_caller]
fn verdict(output: &Output, name: &str) -> String {
    let rows = rows(output);
    let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}: {}", output.stdout));
    row["verdict"].as_str().unwrap().to_owned()
}

/// `check` of a bundle, as JSON.
fn checked(bundle: &Bundle) -> Output {
    bundle.write();
    bundle.call(&["check", "--json", bundle.path().to_str().unwrap()])
}

/// `check` of the host by way of another program: `env [ARG ...] minirun check --json`.
fn checked_by(bundle: &Bundle, words: &[&str]) -> Output {
    let runtime = bundle.command(&["check", "--json"]);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(runtime.get_program()).args(runtime.get_args());
    bundle.finish(&mut command)
}

/// The rows that say what stands in the way.
#[track_caller]
fn obstacles(output: &Output) -> Vec<Value> {
    rows(output).into_iter().filter(|row| row["verdict"] == "missing").collect()
}

/// Asserts that `check` and `run` agree that it works.
#[track_caller]
fn good(name: &str, bundle: &Bundle) {
    let check = checked(bundle);
    let obstacles = obstacles(&check);
    assert!(check.status == 0 && obstacles.is_empty(), "{name}: {}: {obstacles:#?}{}", check.status, check.stderr);
    let run = bundle.run();
    assert!(run.status == 0, "{name}: run: {}", run.stderr);
    bundle.assert_nothing_left();
}

/// Asserts that `check` names the place, advises, leaves nothing, and that `run` fails.
#[track_caller]
fn bad(field: &str, bundle: &Bundle) {
    let check = checked(bundle);
    bundle.assert_nothing_left();
    let obstacles = obstacles(&check);
    let named = obstacles.iter().find(|row| row["name"].as_str().unwrap().starts_with(field));
    let row = named.unwrap_or_else(|| panic!("{field} is not among {obstacles:#?}{}", check.stderr));
    assert_eq!(check.status, 1, "{row}");
    let run = bundle.run();
    assert!(run.status != 0, "{field}: check says {row}, but it runs: {}", run.stdout);
    assert!(run.stderr.contains("minirun: "), "{field}: the program failed, and not the runtime: {}", run.stderr);
    bundle.assert_nothing_left();
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A file that is in no root file system, in the bundle's own directory.
fn hook(config: &mut Value, list: &str, path: &str) {
    config["hooks"] = json!({list: [{"path": path}]});
}

/// The start of a program for x86_64 that is linked dynamically: its header, and the segment that names the loader (elf(5)).
fn dynamic(loader: &str) -> Vec<u8> {
    let (header, segment) = (64u64, 56u64);
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // ET_EXEC, EM_X86_64, EV_CURRENT; no entry, one program header right behind.
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    file.extend([0, header, 0].iter().flat_map(|number: &u64| number.to_le_bytes()));
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    // PT_INTERP, readable.
    file.extend([3, 0, 0, 0, 4, 0, 0, 0]);
    let length = loader.len() as u64 + 1;
    let numbers = [header + segment, 0, 0, length, length, 1];
    file.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    file.extend(loader.as_bytes());
    file.resize(512, 0);
    file
}

type Change = fn(Bundle) -> Bundle;

/// Bundles that cannot run, with the place that is to blame.
fn broken() -> Vec<(&'static str, Change)> {
    vec![
        // What the compiler says.
        ("process.cwd", |b| b.with(|c| c["process"]["cwd"] = "relative".into())),
        ("linux.intelRdt", |b| b.with(|c| c["linux"]["intelRdt"] = json!({"closID": "a"}))),
        ("ociVersion", |b| b.with(|c| c["ociVersion"] = "9.0".into())),
        ("root.path", |b| b.with(|c| c["root"]["path"] = "nowhere".into())),
        ("root.path", |b| {
            fs::write(b.path().join("file"), "").unwrap();
            b.with(|c| c["root"]["path"] = "file".into())
        }),
        ("linux.resources.memory.limit", |b| {
            b.with(|c| c["linux"]["resources"] = json!({"memory": {"limit": 1}, "pids": {"limit": -5}}))
                .with(|c| c["linux"]["resources"]["memory"]["limit"] = (-7).into())
        }),
        // The program.
        ("process.args[0]", |b| b.args(&["/bin/nothing"])),
        ("process.args[0]", |b| b.args(&["nothing"])),
        ("process.args[0]", |b| b.args(&["/bin"])),
        ("process.args[0]", |b| b.args(&["/etc/passwd"])),
        ("process.args[0]", |b| b.args(&["/etc/passwd/sh"])),
        ("process.args[0]", |b| {
            symlink("/bin/gone", b.rootfs().join("bin/dangling")).unwrap();
            b.args(&["/bin/dangling"])
        }),
        ("process.args[0]", |b| {
            symlink("loop", b.rootfs().join("bin/loop")).unwrap();
            b.args(&["/bin/loop"])
        }),
        ("process.args[0]", |b| {
            script(&b.rootfs().join("bin/script"), "#!/bin/bash\ntrue\n");
            b.args(&["/bin/script"])
        }),
        ("process.args[0]", |b| {
            script(&b.rootfs().join("bin/text"), "echo no first line\n");
            b.args(&["/bin/text"])
        }),
        ("process.args[0]", |b| {
            script(&b.rootfs().join("bin/empty"), "");
            b.args(&["/bin/empty"])
        }),
        ("process.args[0]", |b| {
            // Another machine's: e_machine is at byte 18 (elf(5)); 8 is MIPS.
            let mut program = fs::read(b.rootfs().join("bin/busybox")).unwrap();
            (program[18], program[19]) = (8, 0);
            fs::write(b.rootfs().join("bin/foreign"), program).unwrap();
            fs::set_permissions(b.rootfs().join("bin/foreign"), fs::Permissions::from_mode(0o755)).unwrap();
            b.args(&["/bin/foreign"])
        }),
        ("process.args[0]", |b| {
            fs::write(b.rootfs().join("bin/dynamic"), dynamic("/lib/ld-nowhere.so")).unwrap();
            fs::set_permissions(b.rootfs().join("bin/dynamic"), fs::Permissions::from_mode(0o755)).unwrap();
            b.args(&["/bin/dynamic"])
        }),
        ("process.args[0]", |b| {
            fs::set_permissions(b.rootfs().join("bin/busybox"), fs::Permissions::from_mode(0o700)).unwrap();
            b.with(|c| c["process"]["user"] = json!({"uid": 1000, "gid": 1000}))
        }),
        ("process.args[0]", |b| {
            fs::set_permissions(b.rootfs().join("bin"), fs::Permissions::from_mode(0o700)).unwrap();
            b.with(|c| c["process"]["user"] = json!({"uid": 1000, "gid": 1000}))
        }),
        ("process.args[0]", |b| {
            let here = b.rootfs().join("bin").display().to_string();
            b.mount("/tools", "bind", &here, &["bind", "noexec"]).args(&["/tools/busybox", "true"])
        }),
        ("process.args[0]", |b| b.mount("/bin", "tmpfs", "tmpfs", &[])),
        ("process.args[0]", |b| b.with(|c| c["process"]["env"] = json!(["PATH=/usr/bin"])).args(&["true"])),
        // The process.
        ("process.cwd", |b| b.with(|c| c["process"]["cwd"] = "/etc/passwd".into())),
        ("process.rlimits[0]", |b| {
            let limit = json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 4_000_000_000u64}]);
            b.with(|c| c["process"]["rlimits"] = limit)
        }),
        ("process.terminal", |b| b.without_mount("/dev/pts").with(|c| c["process"]["terminal"] = true.into())),
        // Mounts.
        ("mounts[7].source", |b| b.mount("/data", "bind", "/nowhere/at/all", &["bind"])),
        ("mounts[7]", |b| b.mount("/data", "nosuchfs", "none", &[])),
        ("mounts[7]", |b| b.mount("/data", "tmpfs", "tmpfs", &["size=much"])),
        ("mounts[7]", |b| b.mount("/data", "tmpfs", "tmpfs", &["nosuchoption=1"])),
        ("mounts[7]", |b| b.mount("/etc/passwd", "tmpfs", "tmpfs", &[])),
        ("mounts[7]", |b| b.mount("/etc", "bind", "/etc/passwd", &["bind"])),
        ("mounts[7]", |b| {
            symlink("/gone", b.rootfs().join("link")).unwrap();
            b.mount("/link", "tmpfs", "tmpfs", &[])
        }),
        ("mounts[7]", |b| {
            symlink("/proc/self", b.rootfs().join("link")).unwrap();
            b.mount("/link/attr", "bind", "/etc", &["bind"])
        }),
        ("mounts[7]", |b| b.mount("/etc/passwd/below", "tmpfs", "tmpfs", &[])),
        ("mounts[7]", |b| b.mount("/etc", "tmpfs", "tmpfs", &["remount", "bind", "ro"])),
        ("mounts[0]", |b| {
            fs::remove_dir(b.rootfs().join("proc")).unwrap();
            symlink("tmp", b.rootfs().join("proc")).unwrap();
            b
        }),
        // Nodes.
        ("linux.devices[0]", |b| {
            let device = json!([{"type": "c", "path": "/etc/passwd", "major": 1, "minor": 3}]);
            b.with(|c| c["linux"]["devices"] = device)
        }),
        // Namespaces.
        ("linux.namespaces[4].path", |b| b.namespace("network", Some(json!({"type": "network", "path": "/nowhere"})))),
        ("linux.namespaces[4].path", |b| {
            b.namespace("network", Some(json!({"type": "network", "path": "/proc/self/ns/uts"})))
        }),
        ("linux.namespaces[4].path", |b| {
            b.namespace("network", Some(json!({"type": "network", "path": "/etc/passwd"})))
        }),
        ("linux.namespaces[4].path", |b| {
            b.namespace("mount", Some(json!({"type": "mount", "path": "/proc/self/ns/mnt"})))
        }),
        ("process.user", |b| b.user_namespace(200_000, 1000).with(|c| c["process"]["user"]["uid"] = 5000.into())),
        ("process.user.additionalGids", |b| {
            b.user_namespace(200_000, 1000).with(|c| c["process"]["user"]["additionalGids"] = json!([5000]))
        }),
        ("linux.timeOffsets", |b| {
            b.namespace("time", Some(json!({"type": "time"})))
                .with(|c| c["linux"]["timeOffsets"] = json!({"monotonic": {"secs": -4_000_000_000i64}}))
        }),
        // Kernel parameters.
        ("linux.sysctl", |b| b.with(|c| c["linux"]["sysctl"] = json!({"net.ipv4.nosuch": "1"}))),
        ("linux.netDevices", |b| b.with(|c| c["linux"]["netDevices"] = json!({"nosuch0": {}}))),
        ("linux.memoryPolicy", |b| {
            b.with(|c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0,8000"}))
        }),
        ("process.scheduler", |b| b.with(|c| c["process"]["scheduler"] = json!({"policy": "SCHED_ISO"}))),
        ("process.apparmorProfile", |b| b.with(|c| c["process"]["apparmorProfile"] = "nosuch".into())),
        ("process.selinuxLabel", |b| b.with(|c| c["process"]["selinuxLabel"] = "no:such:label".into())),
        ("linux.sysctl", |b| b.with(|c| c["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "many"}))),
        // Hooks.
        ("hooks.createRuntime[0].path", |b| b.with(|c| hook(c, "createRuntime", "/nowhere/hook"))),
        ("hooks.createContainer[0].path", |b| b.with(|c| hook(c, "createContainer", "/etc/passwd"))),
        ("hooks.startContainer[0].path", |b| b.with(|c| hook(c, "startContainer", "/bin/nothing"))),
        ("hooks.poststart[0].path", |b| b.with(|c| hook(c, "poststart", "/etc")).probe("pause")),
        // Layers.
        ("mounts[7].options[0]", |b| b.mount("/", "overlay", "overlay", &["lowerdir=nowhere"])),
    ]
}

/// Bundles that can.
fn sound() -> Vec<(&'static str, Change)> {
    vec![
        ("base", |b| b),
        ("writable", |b| b.writable()),
        ("search", |b| b.args(&["true"])),
        ("script", |b| {
            script(&b.rootfs().join("bin/script"), "#!/bin/sh\nexit 0\n");
            b.args(&["/bin/script"])
        }),
        ("relative", |b| b.with(|c| c["process"]["cwd"] = "/bin".into()).args(&["./true"])),
        ("links", |b| {
            fs::rename(b.rootfs().join("bin"), b.rootfs().join("real")).unwrap();
            symlink("/real", b.rootfs().join("bin")).unwrap();
            b
        }),
        ("program of a mount", |b| {
            let here = b.rootfs().join("bin").display().to_string();
            b.mount("/made/for/it", "bind", &here, &["rbind", "ro"]).args(&["/made/for/it/busybox", "true"])
        }),
        ("a file's mount", |b| {
            let file = b.rootfs().join("etc/passwd").display().to_string();
            b.mount("/new/file", "bind", &file, &["bind", "ro"])
        }),
        ("tmpcopyup", |b| b.mount("/bin", "tmpfs", "tmpfs", &["tmpcopyup", "exec"]).writable()),
        ("user", |b| b.with(|c| c["process"]["user"] = json!({"uid": 1000, "gid": 1000}))),
        ("user namespace", |b| b.user_namespace(200_000, 65_536)),
        ("user in it", |b| {
            b.user_namespace(200_000, 65_536)
                .with(|c| c["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [7]}))
        }),
        ("cgroup namespace", |b| b.namespace("cgroup", Some(json!({"type": "cgroup"})))),
        ("host's network", |b| b.namespace("network", None)),
        ("time namespace", |b| {
            b.namespace("time", Some(json!({"type": "time"})))
                .with(|c| c["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1000}}))
        }),
        ("sysctl", |b| b.with(|c| c["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096"}))),
        ("scheduling", |b| {
            b.with(|c| {
                c["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 3});
                c["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
                c["linux"]["personality"] = json!({"domain": "LINUX32"});
                c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0"});
            })
        }),
        ("hooks", |b| {
            b.with(|c| {
                hook(c, "createRuntime", "/bin/true");
                c["hooks"]["startContainer"] = json!([{"path": "/bin/true"}]);
            })
        }),
        ("devices", |b| {
            let devices = json!([{"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229},
                                 {"type": "p", "path": "/dev/pipe"}]);
            b.with(|c| c["linux"]["devices"] = devices)
        }),
        ("working directory", |b| b.writable().with(|c| c["process"]["cwd"] = "/made/here".into())),
        ("remount", |b| {
            b.mount("/data", "tmpfs", "tmpfs", &["size=1m"]).mount("/data", "tmpfs", "", &["remount", "bind", "ro"])
        }),
        ("layers", |b| {
            fs::create_dir_all(b.path().join("top/etc")).unwrap();
            b.mount("/", "overlay", "overlay", &["lowerdir+=top", "lowerdir+=rootfs"])
        }),
        ("a link to a layer", |b| {
            symlink("rootfs", b.path().join("link")).unwrap();
            b.mount("/", "overlay", "overlay", &["lowerdir+=link"])
        }),
        ("layers in a user namespace", |b| {
            b.mount("/", "overlay", "overlay", &["lowerdir+=rootfs"]).user_namespace(200_000, 65_536)
        }),
        ("joined network", |b| {
            let path = format!("/proc/{}/ns/net", std::process::id());
            b.namespace("network", Some(json!({"type": "network", "path": path})))
        }),
        ("cgroupsPath", |b| {
            let path = format!("/{}-above/{}", b.id(), b.id());
            b.with(|c| c["linux"]["cgroupsPath"] = path.into())
        }),
        ("unknown capability", |b| b.with(|c| c["process"]["capabilities"]["bounding"] = json!(["CAP_NOSUCH"]))),
    ]
}

#[test]
fn what_cannot_run_is_named() {
    fails_on(&OWN, || {
        let table = broken();
        assert!(table.len() >= 25);
        for (field, change) in table {
            bad(field, &change(Bundle::base()));
        }
    });
}

#[test]
fn what_can_run_is_not_accused() {
    fails_on(&OWN, || {
        for (name, change) in sound() {
            good(name, &change(Bundle::base()));
        }
    });
}

#[test]
fn every_problem_is_told_at_once() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().args(&["/bin/nothing"]).mount("/data", "bind", "/nowhere", &["bind"]).with(|c| {
            hook(c, "createRuntime", "/nowhere/hook");
            c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 4_000_000_000u64}]);
        });
        bundle.write();
        let output = bundle.call(&["check", bundle.path().to_str().unwrap()]);
        assert_eq!(output.status, 1);
        for place in ["process.args[0]", "mounts[7].source", "hooks.createRuntime[0].path", "process.rlimits[0]"] {
            assert!(output.stdout.contains(&format!("{place}: missing: ")), "{place}: {}", output.stdout);
        }
        assert!(output.stdout.contains("to do") && output.stdout.contains("cannot run here"), "{}", output.stdout);
    });
}

#[test]
fn a_host_for_containers_is_found_fit() {
    fails_on(&OWN, || {
        let bundle = Bundle::base();
        let output = bundle.call(&["check", "--json"]);
        assert_eq!(output.status, 0, "{}", output.stdout);
        for name in ["namespaces.user", "mounts.overlay", "cgroups.kill", "processes.pidfd", "confinement.seccomp"] {
            assert_eq!(verdict(&output, name), "ok", "{name}");
        }
        let table = bundle.call(&["check"]).success();
        assert!(table.contains("a default bundle can run here"), "{table}");
    });
}

#[test]
fn an_ordinary_user_learns_what_is_missing() {
    fails_on(&OWN, || {
        let bundle = Bundle::base();
        // The binary may be where only root comes.
        let program = bundle.home().join("minirun");
        fs::copy(bundle.command(&[]).get_program(), &program).unwrap();
        for directory in bundle.home().ancestors().take(2) {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(&program);
        // Supplementary groups go with the user.
        command.args(["check", "--json"]).uid(65_534).gid(65_534).env_remove("XDG_RUNTIME_DIR");
        let output = bundle.finish(&mut command);
        assert_eq!(output.status, 1, "{}{}", output.stdout, output.stderr);
        assert_eq!(output.stderr, "");
        assert_eq!(verdict(&output, "namespaces.user"), "ok");
        assert_eq!(verdict(&output, "namespaces.mount"), "limited");
        assert_eq!(verdict(&output, "namespaces.id-maps"), "limited");
        assert_eq!(verdict(&output, "mounts.pivot-root"), "limited");
        assert_eq!(verdict(&output, "cgroups.make"), "limited");
        assert_eq!(verdict(&output, "confinement.capabilities"), "limited");
        assert_eq!(verdict(&output, "files.state-directory"), "missing");
    });
}

#[test]
fn a_limit_on_user_namespaces_is_felt() {
    fails_on(&OWN, || {
        // The limit is one of the user namespace in which it is set.
        let none = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
        let bundle = Bundle::base();
        let output = checked_by(&bundle, &["unshare", "-U", "-r", "sh", "-c", none, "sh"]);
        assert_eq!(verdict(&output, "namespaces.user"), "missing", "{}", output.stderr);
        assert_eq!(verdict(&output, "namespaces.sysctls"), "limited");
        assert!(output.stdout.contains("sysctl -w user.max_user_namespaces"), "{}", output.stdout);
    });
}

#[test]
fn without_cgroup2_nothing_can_run() {
    fails_on(&OWN, || {
        let bundle = Bundle::base();
        let gone = "umount -l /sys/fs/cgroup && exec \"$@\"";
        let output = checked_by(&bundle, &["unshare", "-m", "sh", "-c", gone, "sh"]);
        assert_eq!(output.status, 1);
        assert_eq!(verdict(&output, "cgroups.mount"), "missing");
        assert!(output.stdout.contains("mount -t cgroup2"), "{}", output.stdout);
    });
}

/// Does something on a thread of its own that has lost capabilities from its bounding set: so have the calls it makes.
fn without<T: Send>(capabilities: &[Capability], act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            for capability in capabilities {
                caps::drop(None, CapSet::Bounding, *capability).unwrap();
            }
            act()
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_capability_that_is_dropped_is_missed() {
    use Capability::*;
    fails_on(&OWN, || {
        let bundle = Bundle::base();
        for (dropped, name, expected) in [
            (&[CAP_MKNOD][..], "mounts.device-nodes", "missing"),
            (&[CAP_SETUID, CAP_SETGID], "namespaces.id-maps", "missing"),
            (&[CAP_SYS_ADMIN], "namespaces.mount", "limited"),
            (&[CAP_SYS_ADMIN, CAP_BPF], "cgroups.device-filter", "missing"),
            (&[CAP_SYS_RESOURCE], "processes.oom-score", "limited"),
            (&[CAP_KILL], "confinement.capabilities", "limited"),
        ] {
            let output = without(dropped, || bundle.call(&["check", "--json"]));
            assert_eq!(verdict(&output, name), expected, "{dropped:?}: {}", output.stdout);
            assert_eq!(verdict(&output, "confinement.capabilities"), "limited", "{dropped:?}");
            let fit = [&[CAP_KILL][..], &[CAP_SYS_RESOURCE], &[CAP_SETUID, CAP_SETGID]].contains(&dropped);
            assert_eq!(output.status == 0, fit, "{dropped:?}: {}", output.stdout);
        }
    });
}

#[test]
fn a_bundle_is_judged_by_what_its_caller_may() {
    fails_on(&OWN, || {
        for (dropped, place) in [
            (Capability::CAP_MKNOD, "default devices"),
            (Capability::CAP_SETPCAP, "process.capabilities"),
            (Capability::CAP_SYS_ADMIN, "linux.namespaces[0]"),
        ] {
            let bundle = Bundle::base();
            let (check, run) = without(&[dropped], || (checked(&bundle), bundle.run()));
            assert!(check.status == 1 && run.status != 0, "{dropped}: {}\n{}", check.stdout, run.stderr);
            let obstacles = obstacles(&check);
            assert!(obstacles.iter().any(|row| row["name"] == place), "{dropped}: {obstacles:#?}");
        }
    });
}

#[test]
fn a_limit_of_the_caller_is_one_of_the_container() {
    fails_on(&OWN, || {
        let low = "ulimit -n 500 && exec \"$@\"";
        let bundle = Bundle::base();
        let output = without(&[Capability::CAP_SYS_RESOURCE], || checked_by(&bundle, &["sh", "-c", low, "sh"]));
        let rows = rows(&output);
        let row = rows.iter().find(|row| row["name"] == "processes.rlimits").unwrap();
        assert!(row["seen"].as_str().unwrap().contains("RLIMIT_NOFILE 500"), "{row}");
    });
}

#[test]
fn checking_leaves_nothing() {
    fails_on(&OWN, || {
        let bundle = Bundle::base();
        bundle.write();
        let path = bundle.path().display().to_string();
        let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
        // Other tests check at the same time.
        let left = |pid: i32| {
            let names = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().ends_with(&format!("check-{pid}"))).collect::<Vec<_>>()
        };
        let files = || {
            let mut names: Vec<_> = fs::read_dir(bundle.rootfs()).unwrap().map(|entry| entry.unwrap().path()).collect();
            names.sort();
            names
        };
        let (mounts_before, files_before) = (mounts(), files());
        for words in [&["check"][..], &["check", "--json"], &["check", &path]] {
            let running = Running::start(&mut bundle.command(words), bundle.home());
            let pid = running.pid();
            running.finish().success();
            assert_eq!(left(pid), [""; 0]);
        }
        assert_eq!(mounts(), mounts_before);
        assert_eq!(files(), files_before);
        assert!(!bundle.state_root().exists(), "the state directory was made");
        bundle.assert_nothing_left();
    });
}

#[test]
fn what_is_no_bundle_is_said() {
    fails_on(&OWN, || {
        let bundle = Bundle::base();
        for (text, expected) in [(None, "config.json not found"), (Some("{"), "not valid JSON")] {
            if let Some(text) = text {
                fs::write(bundle.path().join("config.json"), text).unwrap();
            }
            let output = bundle.call(&["check", "--json", bundle.path().to_str().unwrap()]);
            assert_eq!(output.status, 1);
            assert!(output.stdout.contains(expected), "{}", output.stdout);
            drop(rows(&output));
        }
        assert!(Runtime::from_env().is_minirun());
    });
}
