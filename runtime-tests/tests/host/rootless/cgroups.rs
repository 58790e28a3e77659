//! With a cgroup that was delegated to the user, and without any.

use std::process::Command;

use runtime_tests::{Delegated, Runtime, fails_on, is_excused};
use serde_json::json;

use super::{CRUN, RUNC, mine, running};

#[test]
fn a_delegated_cgroup_is_used() {
    let delegated = Delegated::new("used");
    let container = running(delegated.bundle());
    if is_excused(&[(CRUN, "1.8.1 runs it in the caller's cgroup")]) {
        return;
    }
    assert_eq!(container.cgroup().parent(), Some(delegated.path()));
    assert_ne!(container.cgroup(), delegated.leaf());
    container.call(&["pause"], &[]).success();
    assert_eq!(container.status(), "paused");
    container.call(&["resume"], &[]).success();
    container.exec(&["-d"], &["/bin/sleep", "1000"]).success();
    let pids: Vec<i32> = serde_json::from_str(&container.call(&["ps", "--format", "json"], &[]).success()).unwrap();
    assert_eq!(pids.len(), 2);
    let cgroup = container.cgroup();
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
    assert!(!cgroup.exists());
}

/// The container's root owns the cgroup, and may write what it likes on it.
#[test]
fn a_container_that_changes_the_mark_of_its_cgroup_can_be_killed_and_deleted() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    for value in [Some("x"), Some(&"y".repeat(10_000)), None] {
        let delegated = Delegated::new("mark");
        let container = running(delegated.bundle());
        container.exec(&["-d"], &["/bin/sleep", "1000"]).success();
        let cgroup = container.cgroup();
        let mut change = Command::new("setfattr");
        match value {
            Some(value) => change.args(["-n", "user.minirun", "-v", value]),
            None => change.args(["-x", "user.minirun"]),
        };
        assert!(change.arg(&cgroup).status().unwrap().success());
        container.call(&["pause"], &[]).success();
        container.call(&["resume"], &[]).success();
        container.kill("KILL");
        container.wait_for("stopped");
        container.call(&["delete", "-f"], &[]).success();
        container.bundle().assert_nothing_left();
        assert!(!cgroup.exists());
    }
}

/// Out of a limit nobody is let: what is executed is born in the container's cgroup, or not at all.
#[test]
fn an_exec_from_a_cgroup_that_is_not_the_users_is_refused() {
    let peers =
        [(RUNC, "1.1 leaves the process in the caller's cgroup"), (CRUN, "1.8.1 leaves it in the caller's cgroup")];
    fails_on(&peers, || {
        let delegated = Delegated::new("elsewhere");
        let container = running(delegated.bundle());
        let bundle = container.bundle();
        let mut exec = bundle.runtime().command(&bundle.state_root());
        exec.args(["exec", bundle.id(), "/bin/true"]);
        bundle.user().unwrap().clone().anywhere().takes(&mut exec);
        let message = bundle.finish(&mut exec).failure();
        assert!(message.contains("clone3: permission denied (an ordinary user needs a delegated cgroup"), "{message}");
    });
}

#[test]
fn its_own_cgroup_is_used_where_that_alone_is_delegated() {
    let delegated = Delegated::new("own");
    std::os::unix::fs::chown(delegated.path(), Some(0), Some(0)).unwrap();
    let container = running(delegated.bundle());
    fails_on(&[(RUNC, "1.1 runs it without a cgroup"), (CRUN, "1.8.1 runs it in the caller's cgroup")], || {
        assert_eq!(container.cgroup().parent(), Some(&*delegated.leaf()));
    });
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
}

#[test]
fn a_path_that_is_not_delegated_is_refused() {
    let bundle = mine().with(|config| config["linux"]["cgroupsPath"] = "/not-mine".into());
    let message = bundle.refused();
    assert!(message.to_lowercase().contains("permission denied"), "{message}");
    assert!(!bundle.runtime().is_minirun() || message.contains("not delegated"), "{message}");
}

#[test]
fn limits_without_a_cgroup_are_refused_by_field_and_reason() {
    let bundle = mine().with(|config| config["linux"]["resources"] = json!({"pids": {"limit": 10}}));
    fails_on(&[(CRUN, "1.8.1 runs it without the limit")], || {
        let message = bundle.refused();
        if bundle.runtime().is_minirun() {
            assert!(message.contains("linux.resources.pids.limit: ") && message.contains("not delegated"), "{message}");
        }
    });
}

#[test]
fn it_can_be_demanded_that_there_is_a_cgroup() {
    let bundle = mine();
    bundle.write();
    for (rootless, works) in [("true", true), ("auto", true), ("false", false)] {
        let mut command = bundle.runtime().bare();
        command.arg("--root").arg(bundle.state_root()).args(["--rootless", rootless, "run", "--bundle"]);
        bundle.user().unwrap().takes(&mut command);
        let output = bundle.finish(command.arg(bundle.path()).arg(bundle.id()));
        fails_on(if works { &[] } else { &[(CRUN, "1.8.1 ignores the option")] }, || {
            assert_eq!(output.status == 0, works, "{rootless}: {}", output.stderr);
        });
        bundle.assert_nothing_left();
    }
}

#[test]
fn without_a_cgroup_commands_say_what_they_lack() {
    let container = running(mine());
    container.exec(&["-d"], &["/bin/sleep", "1000"]).success();
    let rows: [(&[&str], &[&str]); 3] =
        [(&["pause"], &[]), (&["events", "--stats"], &[]), (&["update", "--pids-limit", "5"], &[])];
    for (verb, rest) in rows {
        let output = container.call(verb, rest);
        if verb[0] == "events" && is_excused(&[(RUNC, "1.1 answers with zeros")]) {
            continue;
        }
        let message = output.failure();
        if container.bundle().runtime().is_minirun() {
            let expected =
                format!("{} needs a cgroup of the container's own, and it has none: /sys/fs/cgroup", verb[0]);
            assert!(message.contains(&expected) && message.contains("not delegated"), "{message}");
        }
    }
    let peers =
        [(RUNC, "1.1 finds processes by their cgroup alone"), (CRUN, "1.8.1 finds processes by their cgroup alone")];
    fails_on(&peers, || {
        let pids: Vec<i32> = serde_json::from_str(&container.call(&["ps", "--format", "json"], &[]).success()).unwrap();
        assert_eq!(pids.len(), 2);
        container.call(&["kill", "--all"], &["KILL"]).success();
    });
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
}

/// BuildKit's `--oci-worker-no-process-sandbox`: nothing but its pid and start time tell the container's first process.
#[test]
fn without_a_cgroup_and_a_pid_namespace_the_first_process_is_found() {
    let host = |bundle: runtime_tests::Bundle| {
        bundle.namespace("pid", None).without_mount("/proc").mount("/proc", "bind", "/proc", &["rbind"])
    };
    let container = running(host(mine()));
    let (bundle, pid) = (container.bundle(), container.pid());
    assert_eq!(container.exec(&[], &["/bin/echo", "inside"]).success(), "inside\n");
    fails_on(&[(RUNC, "1.1 finds processes by their cgroup alone"), (CRUN, "1.8.1 as runc")], || {
        let pids: Vec<i32> = serde_json::from_str(&container.call(&["ps", "--format", "json"], &[]).success()).unwrap();
        assert_eq!(pids, [pid], "the processes of the host are not the container's");
        // Or it would kill all that this user has.
        let message = container.call(&["kill", "--all"], &["KILL"]).failure();
        assert!(message.contains("kill --all needs a cgroup or a pid namespace"), "{message}");
    });
    let output = container.call(&["delete", "-f"], &[]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        !bundle.runtime().is_minirun() || output.stderr.contains("only its init process can be found"),
        "{output:?}"
    );
    bundle.assert_nothing_left();
    let container = running(host(mine()));
    container.kill("KILL");
    container.wait_for("stopped");
    container.delete();
    container.bundle().assert_nothing_left();
}

#[test]
fn an_exec_before_the_start_is_refused() {
    fails_on(&[(RUNC, "1.1 lets its init be looked into")], || {
        let container = mine().probe("pause").create();
        let message = container.exec(&[], &["/bin/true"]).failure();
        assert!(!container.bundle().runtime().is_minirun() || message.contains("not yet started"), "{message}");
    });
}
