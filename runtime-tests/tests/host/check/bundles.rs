//! Bundles that cannot run, and what they are accused of; and some like them that can.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use runtime_tests::Bundle;
use serde_json::{Value, json};

pub fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A file that is in no root file system, in the bundle's own directory.
pub fn hook(config: &mut Value, list: &str, path: &str) {
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

pub type Change = fn(Bundle) -> Bundle;

/// A device like /dev/null at another path.
fn node(bundle: Bundle, path: &str) -> Bundle {
    let device = json!([{"type": "c", "path": path, "major": 1, "minor": 3}]);
    bundle.with(|config| config["linux"]["devices"] = device)
}

/// Bundles that cannot run, with the place that is to blame.
pub fn broken() -> Vec<(&'static str, Change)> {
    vec![
        // What the compiler says.
        ("process.cwd", |b| b.with(|c| c["process"]["cwd"] = "relative".into())),
        ("linux.intelRdt", |b| b.with(|c| c["linux"]["intelRdt"] = json!({"closID": "a"}))),
        ("ociVersion", |b| b.with(|c| c["ociVersion"] = "9.0".into())),
        ("root.path", |b| b.with(|c| c["root"]["path"] = "nowhere".into())),
        ("root.path", |b| {
            symlink("nowhere", b.path().join("link")).unwrap();
            b.with(|c| c["root"]["path"] = "link".into())
        }),
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
        ("process.cwd", |b| {
            symlink("loop/x", b.rootfs().join("loop")).unwrap();
            b.with(|c| c["process"]["cwd"] = "/loop".into())
        }),
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
            symlink("link", b.rootfs().join("link")).unwrap();
            b.mount("/link", "tmpfs", "tmpfs", &[])
        }),
        ("mounts[7]", |b| {
            symlink("new/../etc/passwd/x", b.rootfs().join("link")).unwrap();
            b.mount("/link/x", "tmpfs", "tmpfs", &[])
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
        ("mounts[7].options", |b| b.mount("/data", "overlay", "overlay", &[])),
        ("mounts[7].options", |b| b.mount("/data", "overlay", "overlay", &["lowerdir=/etc:/bin", "upperdir=/tmp"])),
        // Where the kernel makes all that there is.
        ("mounts[7]", |b| b.mount("/sys/new", "tmpfs", "tmpfs", &[])),
        ("mounts[7]", |b| b.mount("/sys/fs/cgroup/new", "tmpfs", "tmpfs", &[])),
        ("mounts[7]", |b| b.mount("/sys/kernel/notes", "tmpfs", "tmpfs", &[])),
        ("mounts[7]", |b| b.mount("/sys/kernel", "none", "none", &["remount", "bind", "ro"])),
        ("mounts[8]", |b| {
            fs::create_dir(b.path().join("data")).unwrap();
            let data = b.path().join("data").display().to_string();
            b.mount("/data", "bind", &data, &["bind", "ro"]).mount("/data/new", "tmpfs", "tmpfs", &[])
        }),
        ("mounts[6]", |b| {
            b.without_mount("/sys").mount("/sys", "bind", "/sys", &["rbind", "ro"]).mount(
                "/sys/kernel/new",
                "tmpfs",
                "tmpfs",
                &[],
            )
        }),
        ("process.cwd", |b| b.with(|c| c["process"]["cwd"] = "/sys/new".into())),
        ("process.cwd", |b| b.with(|c| c["process"]["cwd"] = "/proc/new".into())),
        ("process.cwd", |b| b.with(|c| c["process"]["cwd"] = "/proc/version".into())),
        ("process.cwd", |b| b.with(|c| c["process"]["cwd"] = "/dev/null".into())),
        ("process.cwd", |b| b.with(|c| c["process"]["cwd"] = "/dev/null/new".into())),
        // Nodes.
        ("linux.devices[0]", |b| node(b, "/proc/node")),
        ("linux.devices[0]", |b| node(b, "/sys/node")),
        ("linux.devices[0]", |b| node(b, "/dev/pts/node")),
        ("linux.devices[0]", |b| node(b, "/dev/null/node")),
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
        ("linux.timeOffsets", |b| {
            b.user_namespace(200_000, 1000)
                .namespace("time", Some(json!({"type": "time"})))
                .with(|c| c["linux"]["timeOffsets"] = json!({"monotonic": {"secs": -4_000_000_000i64}}))
        }),
        // Kernel parameters.
        ("linux.sysctl", |b| b.with(|c| c["linux"]["sysctl"] = json!({"net.ipv4.nosuch": "1"}))),
        ("linux.netDevices", |b| b.with(|c| c["linux"]["netDevices"] = json!({"nosuch0": {}}))),
        ("linux.netDevices", |b| b.with(|c| c["linux"]["netDevices"] = json!({"lo": {}}))),
        ("linux.sysctl", |b| {
            b.user_namespace(200_000, 1000)
                .with(|c| c["linux"]["sysctl"] = json!({"net.ipv4.ping_group_range": "0 2147483647"}))
        }),
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
pub fn sound() -> Vec<(&'static str, Change)> {
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
        ("mounts where links lead", |b| {
            symlink("../run/systemd/x", b.rootfs().join("etc/link")).unwrap();
            symlink("new/../made", b.rootfs().join("link")).unwrap();
            let (file, tools) = (b.rootfs().join("etc/passwd"), b.rootfs().join("bin"));
            b.mount("/etc/link", "bind", file.to_str().unwrap(), &["bind", "ro"])
                .mount("/link/deep", "bind", tools.to_str().unwrap(), &["bind", "ro"])
                .args(&["/made/deep/busybox", "cat", "/run/systemd/x"])
        }),
        ("a working directory where a link leads", |b| {
            symlink("/data/app", b.rootfs().join("app")).unwrap();
            b.writable().with(|c| c["process"]["cwd"] = "/app".into())
        }),
        ("a link to the root", |b| {
            symlink("rootfs", b.path().join("link")).unwrap();
            b.with(|c| c["root"]["path"] = "link".into())
        }),
        ("a mount over a directory of sysfs", |b| b.mount("/sys/fs/cgroup", "tmpfs", "tmpfs", &[])),
        ("a mount below that", |b| {
            b.mount("/sys/fs/cgroup", "tmpfs", "tmpfs", &[]).mount("/sys/fs/cgroup/new", "tmpfs", "tmpfs", &[])
        }),
        ("a working directory in sysfs", |b| b.with(|c| c["process"]["cwd"] = "/sys/kernel".into())),
        ("a node beside the default ones", |b| node(b, "/dev/new/node")),
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
