//! Ids that were granted to the user, groups, and user namespaces that are joined.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt as _};
use std::os::unix::process::CommandExt;

use nix::sys::signal::Signal;
use runtime_tests::{Bundle, Running, User, fails_on, wait_until};
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
fn a_user_sets_the_clocks_of_a_new_time_namespace() {
    fails_on(&[(RUNC, "1.1 knows no time namespace"), (CRUN, "1.8.1 knows no time namespace")], || {
        for bundle in [mine(), of_ids(User::with_ids())] {
            let bundle = bundle.namespace("time", Some(json!({"type": "time"}))).probe("clocks");
            let plain = bundle.run().value("boottime").parse::<u64>().unwrap();
            let bundle =
                bundle.with(|config| config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000}}));
            let shifted = bundle.run().value("boottime").parse::<u64>().unwrap();
            assert!(shifted > plain + 999_000, "{plain} {shifted}");
            bundle.assert_nothing_left();
        }
    });
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

/// It asks the name service, which can be a server that does not answer. It is setuid, so that the runtime cannot kill it.
#[test]
fn a_creation_ends_while_a_helper_does_not() {
    fails_on(&[(RUNC, "1.1 waits"), (CRUN, "1.8.1 leaves what it has made")], || {
        for (helper, other) in [("newuidmap", "newgidmap"), ("newgidmap", "newuidmap")] {
            for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
                let bundle = of_ids(User::with_ids());
                let tools = bundle.home().join("tools");
                fs::create_dir(&tools).unwrap();
                let script =
                    "#!/bin/busybox sh\necho begun >&2\ntouch \"${0%/*}/begun\"\nexec /bin/busybox sleep 1000\n";
                for (name, text) in [(helper, script), (other, "#!/bin/busybox true\n")] {
                    fs::write(tools.join(name), text).unwrap();
                    fs::set_permissions(tools.join(name), fs::Permissions::from_mode(0o755)).unwrap();
                }
                fs::set_permissions(&tools, fs::Permissions::from_mode(0o777)).unwrap();
                let mut create = bundle.command_for("create", &[]);
                let call = Running::start(create.env("PATH", &tools), bundle.home());
                wait_until("the helper", || tools.join("begun").exists());
                call.end_by(signal);
                bundle.assert_nothing_left();
            }
        }
    });
}

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
        // One below a directory of the user's is refused.
        let roots = Bundle::base();
        let state = roots.state_root();
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
        // Root does not believe the state of a user.
        let message = call(&words).failure();
        assert!(message.contains(&format!("it belongs to user {}", User::id())), "{message}");
        let give_to = |owner: u32| {
            let status = std::process::Command::new("chown").args(["-R", &owner.to_string()]).arg(&state).status();
            assert!(status.unwrap().success());
            std::os::unix::fs::chown(state.parent().unwrap(), Some(owner), None).unwrap();
        };
        give_to(0);
        let seen = call(&words).success();
        give_to(User::id());
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
