//! `check`: what it says of a bundle is what `run` then does, and what it says of the host is what the host does.

#[path = "check/bundles.rs"]
mod bundles;
#[path = "check/mutations.rs"]
mod mutations;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use caps::{CapSet, Capability};
use runtime_tests::{Bundle, Output, Running, Runtime, fails_on};
use serde_json::{Value, json};

use bundles::{broken, hook, sound};

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
    assert!(
        run.stderr.contains("minirun: error: "),
        "{field}: the program failed, and not the runtime: {}",
        run.stderr
    );
    bundle.assert_nothing_left();
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
            assert!(output.stdout.contains(&format!("{place}: ")), "{place}: {}", output.stdout);
        }
        assert!(!output.stdout.contains(": missing: "), "{}", output.stdout);
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
