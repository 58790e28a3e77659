//! Ordinary users, for whom their own instance of systemd makes the cgroups.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use runtime_tests::{Bundle, User};
use serde_json::json;

use super::{read, systemctl, unit_of};

/// The user with an instance of systemd, and with a process there whose cgroup it may share.
fn user() -> User {
    static READY: OnceLock<()> = OnceLock::new();
    let user = User::plain().in_session(&PathBuf::from(format!("/run/user/{}", User::id())));
    READY.get_or_init(|| {
        let id = User::id().to_string();
        let made = Command::new("useradd").args(["--uid", &id, "--user-group", "tester"]).status().unwrap();
        assert!(made.success());
        systemctl(&["start", &format!("user@{id}.service")]);
        let mut start = Command::new("systemd-run");
        start.args(["--user", "--quiet", "--unit", "shell", "sleep", "infinity"]);
        user.takes(&mut start);
        assert!(start.status().unwrap().success());
    });
    user.in_cgroup(&PathBuf::from(format!("/sys/fs/cgroup/{}/app.slice/shell.service", instance())))
}

/// The cgroup of the user's instance of systemd.
fn instance() -> String {
    let id = User::id();
    format!("user.slice/user-{id}.slice/user@{id}.service")
}

/// A property of a unit of the user's.
#[track_caller]
fn property(unit: &str, name: &str) -> String {
    let mut command = Command::new("systemctl");
    command.args(["--user", "show", "--value", "-p", name, unit]);
    user().takes(&mut command);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn scope() -> Bundle {
    Bundle::base().of_user(user()).globals(&["--systemd-cgroup"]).probe("pause")
}

#[test]
fn a_user_has_scopes_with_limits() {
    let bundle = scope().with(|config| {
        config["linux"]["resources"] =
            json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}, "cpu": {"shares": 512}});
    });
    let unit = unit_of(&bundle);
    let container = bundle.create();
    container.start();
    assert_eq!(property(&unit, "ControlGroup"), format!("/{}/user.slice/{unit}", instance()));
    assert_eq!(property(&unit, "Slice"), "user.slice");
    assert_eq!((property(&unit, "MemoryMax"), property(&unit, "TasksMax")), ("67108864".into(), "20".into()));
    let cgroup = container.cgroup();
    assert_eq!((read(&cgroup, "memory.max"), read(&cgroup, "pids.max")), ("67108864".into(), "20".into()));
    assert_eq!(read(&cgroup, "cgroup.procs"), container.pid().to_string());

    container.call(&["update", "--pids-limit", "33"], &[]).success();
    assert_eq!((property(&unit, "TasksMax"), read(&cgroup, "pids.max")), ("33".into(), "33".into()));
    let seen = container.exec(&[], &["/bin/cat", "/proc/self/cgroup"]).success();
    assert!(seen.trim().ends_with(&format!("{unit}/container")), "{seen}");
    container.call(&["pause"], &[]).success();
    assert_eq!(container.status(), "paused");
    container.call(&["resume"], &[]).success();
    container.call(&["delete", "-f"], &[]).success();
    assert_eq!(property(&unit, "LoadState"), "not-found");
    assert!(!cgroup.exists());
    container.bundle().assert_nothing_left();
}

/// What the user's instance was not given it cannot hand on.
#[test]
fn a_controller_that_was_not_delegated_is_named() {
    let bundle = scope().with(|config| config["linux"]["resources"] = json!({"blockIO": {"weight": 100}}));
    let unit = unit_of(&bundle);
    let message = bundle.refused();
    assert!(message.contains("linux.resources.blockIO.weight") && message.contains("controller"), "{message}");
    assert_eq!(property(&unit, "LoadState"), "not-found");
}

#[test]
fn a_user_without_an_instance_of_systemd_is_told_so() {
    let bundle = Bundle::base().of_user(User::plain()).globals(&["--systemd-cgroup"]);
    let message = bundle.refused();
    let socket = bundle.user().unwrap().runtime_directory().join("systemd/private");
    assert!(message.contains("systemd cannot be reached") && message.contains(socket.to_str().unwrap()), "{message}");
}

/// As Podman calls a runtime for its user: as root of a user namespace, which the container shares.
#[test]
fn root_of_a_user_namespace_has_scopes_of_its_user() {
    let bundle = scope().namespace("user", None).with(|config| {
        let linux = config["linux"].as_object_mut().unwrap();
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    });
    let unit = unit_of(&bundle);
    bundle.write();
    // One user namespace for all: nobody may enter another's sibling.
    let script = format!(
        "runtime=$1 root=$2
         \"$runtime\" --root \"$root\" --systemd-cgroup create --bundle {path} {id} >/dev/null
         systemctl --user show --value -p ControlGroup {unit}
         \"$runtime\" --root \"$root\" start {id}
         \"$runtime\" --root \"$root\" exec {id} /bin/cat /proc/self/cgroup
         \"$runtime\" --root \"$root\" delete -f {id}",
        path = bundle.path().display(),
        id = bundle.id(),
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--", "sh", "-euc", &script, "sh"]);
    command.arg(bundle.runtime().bare().get_program()).arg(bundle.state_root());
    bundle.user().unwrap().takes(&mut command);
    let seen = bundle.finish(&mut command).success();
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!(lines[0], format!("/{}/user.slice/{unit}", instance()), "{seen}");
    assert!(lines[1].ends_with(&unit), "{seen}");
    assert_eq!(property(&unit, "LoadState"), "not-found");
    assert!(!fs::exists(format!("/sys/fs/cgroup/{}/user.slice/{unit}", instance())).unwrap());
}
