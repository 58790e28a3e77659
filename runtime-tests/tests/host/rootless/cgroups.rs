//! With a cgroup that was delegated to the user, and without any.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;

use runtime_tests::{Bundle, Delegated, User, fails_on, is_excused};
use serde_json::json;

use super::{CRUN, RUNC, mine, of_ids, running, words};

#[test]
fn granted_ids_are_mapped_by_the_helpers() {
    let bundle = of_ids(User::with_ids()).sh("cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups");
    let seen = bundle.run().success();
    let (first, count) = (User::granted().0.to_string(), User::granted().1.to_string());
    let own = User::id().to_string();
    let map = ["0", &own, "1", "1", &first, &count];
    assert_eq!(words(&seen), [&map[..], &map[..], &["allow"][..]].concat());
    bundle.assert_nothing_left();
}

#[test]
fn another_user_of_the_container_has_a_granted_id() {
    let bundle = of_ids(User::with_ids()).writable();
    let bundle = bundle.with(|config| config["process"]["user"] = json!({"uid": 33, "gid": 44}));
    let bundle = bundle.sh("touch /tmp/made; id -u; id -g");
    assert_eq!(words(&bundle.run().success()), ["33", "44"]);
    let made = fs::metadata(bundle.rootfs().join("tmp/made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (User::granted().0 + 32, User::granted().0 + 43));
}

#[test]
fn the_helpers_refusal_is_told_with_what_to_do() {
    let bundle = of_ids(User::with_ids().but_only(10));
    let message = bundle.refused();
    assert!(message.contains("not allowed"), "{message}");
    if bundle.runtime().is_minirun() {
        assert!(message.contains("linux.uidMappings: map the ids by newuidmap: uid range [1-65537)"), "{message}");
        assert!(message.contains("(/etc/subuid must grant these users to the caller)"), "{message}");
    }
}

#[test]
fn a_missing_helper_is_told_with_what_to_do() {
    fails_on(&[(CRUN, "1.8.1 falls back to a map of one id, which is another container")], || {
        let bundle = of_ids(User::with_ids());
        let mut create = bundle.command_for("create", &[]);
        let message = bundle.finish(create.env("PATH", "/nonexistent")).failure();
        assert!(message.contains("newuidmap") || message.contains("mapping tool not present"), "{message}");
        bundle.assert_nothing_left();
        assert!(!bundle.runtime().is_minirun() || message.contains("package uidmap"), "{message}");
    });
}

// ------------------------------------------------------------------------------------------------------------- groups

/// CVE-2018-7169, and the like: a group of the caller's may be one that denies.
#[test]
fn additional_groups_are_refused_where_setgroups_is_denied() {
    let wanted = json!({"uid": 0, "gid": 0, "additionalGids": [5]});
    fails_on(&[(CRUN, "1.8.1 runs it without the groups")], || {
        let bundle = mine().with(|config| config["process"]["user"] = wanted.clone());
        let message = bundle.refused();
        assert!(message.contains("cannot set any additional groups in a rootless container"), "{message}");
        assert!(!bundle.runtime().is_minirun() || message.contains("process.user.additionalGids: "), "{message}");
    });
}

#[test]
fn additional_groups_are_those_asked_for_where_ids_were_granted() {
    let peers = [(RUNC, "1.1 refuses them in every rootless container"), (CRUN, "1.8.1 sets none")];
    fails_on(&peers, || {
        let user = User::with_ids().in_groups(&[4, 27]);
        let bundle = of_ids(user).with(|config| {
            config["process"]["user"] = json!({"uid": 0, "gid": 0, "additionalGids": [5, 6]});
        });
        let container = running(bundle.probe("pause"));
        let groups = |text: &str| text.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap().trim().to_owned();
        for seen in [
            container.exec(&[], &["/bin/cat", "/proc/self/status"]).success(),
            container.exec(&[], &["/bin/cat", "/proc/1/status"]).success(),
        ] {
            assert_eq!(groups(&seen), "5 6");
        }
    });
}

/// Root that joins a namespace which denies setgroups comes without groups: CVE-2022-2989 and its kin.
#[test]
fn root_brings_no_groups_into_a_namespace_that_denies_them() {
    let first = running(mine());
    let path = format!("/proc/{}/ns/user", first.pid());
    let bundle = Bundle::base().of_user(User::plain());
    let bundle = bundle.namespace("user", Some(json!({"type": "user", "path": path})));
    let bundle = bundle.with(|config| {
        config["linux"].as_object_mut().unwrap().remove("uidMappings");
        config["linux"].as_object_mut().unwrap().remove("gidMappings");
    });
    let bundle = bundle.args(&["/bin/cat", "/proc/self/status"]);
    // Called by root, with groups.
    bundle.write();
    let call = |words: &[&str]| {
        let mut command = bundle.runtime().bare();
        let groups = || Ok(nix::unistd::setgroups(&[4, 27].map(nix::unistd::Gid::from_raw))?);
        // SAFETY: between fork and exec the closure makes one system call.
        unsafe { command.args(words).pre_exec(groups) };
        bundle.finish(&mut command)
    };
    fails_on(&[(RUNC, "1.1 keeps the caller's groups"), (CRUN, "1.8.1 keeps the caller's groups")], || {
        let state = bundle.state_root();
        let words =
            ["--root", state.to_str().unwrap(), "run", "--bundle", bundle.path().to_str().unwrap(), bundle.id()]
                .map(str::to_owned);
        let seen = call(&words.iter().map(String::as_str).collect::<Vec<_>>()).success();
        let groups = seen.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        assert_eq!(groups.trim(), "", "{seen}");
    });
    let state = first.bundle().state_root();
    if first.bundle().runtime().is_minirun() {
        let words = ["--root", state.to_str().unwrap(), "exec", first.bundle().id(), "/bin/cat", "/proc/self/status"];
        let seen = call(&words).success();
        assert_eq!(seen.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap().trim(), "", "{seen}");
    }
}

#[test]
fn the_users_other_containers_namespaces_can_be_joined() {
    let first = running(mine());
    let entry =
        |kind: &str, file: &str| Some(json!({"type": kind, "path": format!("/proc/{}/ns/{file}", first.pid())}));
    let second = mine().namespace("user", entry("user", "user")).namespace("ipc", entry("ipc", "ipc"));
    let second = second
        .namespace("uts", entry("uts", "uts"))
        .with(|config| drop(config.as_object_mut().unwrap().remove("hostname")));
    let bundle = second.probe("namespaces");
    let seen = bundle.run().success();
    for file in ["user", "ipc", "uts"] {
        let link = fs::read_link(format!("/proc/{}/ns/{file}", first.pid())).unwrap();
        assert!(seen.contains(&format!("{file}={}", link.display())), "{seen}");
    }
    bundle.assert_nothing_left();
}

// ------------------------------------------------------------------------------------------------------------ cgroups

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

#[test]
fn without_a_cgroup_a_pid_namespace_is_needed() {
    fails_on(&[(RUNC, "1.1 cannot find its processes later"), (CRUN, "1.8.1 cannot find its processes later")], || {
        let bundle = mine().namespace("pid", None).without_mount("/proc").mount("/proc", "bind", "/proc", &["rbind"]);
        let message = bundle.refused();
        assert!(message.contains("linux.namespaces: a new pid namespace is needed"), "{message}");
    });
}

#[test]
fn an_exec_before_the_start_is_refused() {
    fails_on(&[(RUNC, "1.1 lets its init be looked into")], || {
        let container = mine().probe("pause").create();
        let message = container.exec(&[], &["/bin/true"]).failure();
        assert!(!container.bundle().runtime().is_minirun() || message.contains("not yet started"), "{message}");
    });
}
