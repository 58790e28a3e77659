//! An ordinary user's containers: the whole life, what they cannot have, and the reasons they are told.
//!
//! The user has no login session: it gets a runtime directory, and where a test says so, granted ids or a cgroup.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Child;

use runtime_tests::{Bundle, Container, Delegated, Terminal, User, fails_on, is_excused, may_fail_on, wait_until};
use serde_json::{Value, json};

const RUNC: &str = "runc";
const CRUN: &str = "crun";

fn mine() -> Bundle {
    Bundle::base().of_user(User::plain())
}

fn running(bundle: Bundle) -> Container {
    let container = bundle.probe("pause").create();
    container.start();
    container
}

/// Sets both maps.
fn mapped(bundle: Bundle, lines: &[(u32, u32, u32)]) -> Bundle {
    let map: Vec<Value> = lines
        .iter()
        .map(|(inside, outside, size)| json!({"containerID": inside, "hostID": outside, "size": size}))
        .collect();
    bundle.with(|config| {
        config["linux"]["uidMappings"] = map.clone().into();
        config["linux"]["gidMappings"] = map.into();
    })
}

/// The user's own id as root, and then those that were granted.
fn all_ids() -> Vec<(u32, u32, u32)> {
    let (first, count) = User::granted();
    vec![(0, User::id(), 1), (1, first, count)]
}

fn of_ids(user: User) -> Bundle {
    mapped(Bundle::base().of_user(user), &all_ids())
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn a_container_runs_and_leaves_nothing() {
    let bundle = mine().sh("id -u; echo of $(cat /proc/self/uid_map)");
    assert_eq!(bundle.run().success(), format!("0\nof 0 {} 1\n", User::id()));
    bundle.assert_nothing_left();
    let bundle = bundle.sh("exit 7");
    assert_eq!(bundle.run().status, 7);
    bundle.assert_nothing_left();
}

#[test]
fn its_life_by_single_commands() {
    let container = mine().probe("pause").create();
    assert_eq!(container.status(), "created");
    container.start();
    assert_eq!(container.status(), "running");
    let listed = container.bundle().call(&["list", "--quiet"]).success();
    assert!(listed.contains(container.bundle().id()), "{listed}");
    assert_eq!(container.exec(&[], &["/bin/echo", "hello"]).success(), "hello\n");
    container.kill("KILL");
    container.wait_for("stopped");
    container.delete();
    container.bundle().assert_nothing_left();
}

#[test]
fn force_deletes_what_runs_with_all_that_was_executed_there() {
    for made in ["created", "running"] {
        let container = mine().probe("pause").create();
        if made == "running" {
            container.start();
            container.exec(&["-d"], &["/bin/sleep", "1000"]).success();
        }
        container.call(&["delete", "-f"], &[]).success();
        container.bundle().assert_nothing_left();
    }
}

#[test]
fn what_fails_leaves_nothing() {
    let bundle = mine().args(&["/bin/missing"]);
    bundle.run().failure();
    bundle.assert_nothing_left();
    let bundle = mine().mount("/x", "bind", "/nonexistent", &["bind"]);
    bundle.refused();
}

#[test]
fn executed_processes_are_the_containers() {
    let container = running(mine());
    let seen = container.exec(&[], &["/bin/probe", "namespaces"]).success();
    for file in ["user", "pid", "mnt", "ipc", "uts"] {
        let link = fs::read_link(format!("/proc/{}/ns/{file}", container.pid())).unwrap();
        assert!(seen.contains(&format!("{file}={}", link.display())), "{file}: {seen}");
    }
    assert_eq!(container.exec(&[], &["/bin/sh", "-c", "exit 3"]).status, 3);
    assert_eq!(
        container.exec(&["--env", "A=b", "--cwd", "/tmp"], &["/bin/sh", "-c", "echo $A $PWD"]).success(),
        "b /tmp\n"
    );
    let status = container.exec(&[], &["/bin/cat", "/proc/self/status"]).success();
    assert!(status.contains("CapEff:\t0000000020000420"), "{status}");
}

/// CVE-2016-9962: what comes from outside is not looked into before it is the container's.
#[test]
fn executed_processes_cannot_be_looked_into_before() {
    let bundle = mine().with(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]);
        }
        config["process"]["capabilities"]["ambient"] = json!([]);
    });
    let container = bundle.probe("snoop /etc").create();
    container.start();
    for _ in 0..20 {
        container.exec(&[], &["/bin/true"]).success();
    }
    container.kill("TERM");
    let output = container.output();
    assert!(!output.contains("minirun"), "{output}");
}

#[test]
fn a_terminal_is_given_to_run_and_to_exec() {
    let bundle = mine()
        .with(|config| config["process"]["terminal"] = true.into())
        .sh("stty size 2>/dev/null; ls -n /dev/console; tty 2>/dev/null; read line; echo got $line");
    let (mut terminal, slave, child) = Terminal::start(&mut bundle.command_for("run", &[]), 30, 90);
    terminal.send("words\n");
    terminal.wait_for("got words");
    end(child);
    drop(slave);
    bundle.assert_nothing_left();
    let container = running(mine());
    let mut exec = container.bundle().command(&["exec", "-t", container.bundle().id(), "/bin/probe", "terminal"]);
    let (mut terminal, _slave, child) = Terminal::start(&mut exec, 31, 91);
    terminal.wait_for("controls=true");
    end(child);
}

fn end(mut child: Child) {
    wait_until("the end of the call", || child.try_wait().unwrap().is_some());
}

#[test]
fn devices_are_the_hosts_and_no_others_can_be_made() {
    let bundle = mine().probe("open /dev/null /dev/zero /dev/full /dev/random /dev/urandom");
    let seen = bundle.run().success();
    assert_eq!(seen.matches("write=ok").count(), 5, "{seen}");
    let made = mine().writable().probe("mknod /tmp/node 1 3").run().success();
    assert!(made.contains("EPERM"), "{made}");
}

#[test]
fn a_pipe_among_the_devices_is_made() {
    fails_on(&[(RUNC, "1.1 looks for a pipe of the host"), (CRUN, "1.8.1 looks for a pipe of the host")], || {
        let pipe = json!([{"path": "/dev/pipe", "type": "p", "fileMode": 0o600}]);
        let bundle = mine().with(|config| config["linux"]["devices"] = pipe).sh("stat -c %F /dev/pipe");
        assert_eq!(bundle.run().success(), "fifo\n");
    });
}

/// A mount of sysfs takes the network namespace, which stays the host's here.
#[test]
fn sysfs_is_the_hosts_where_the_network_is() {
    fails_on(&[(RUNC, "1.1 fails: mounting sysfs takes the network namespace")], || {
        let bundle = mine().without_mount("/sys").mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]);
        let seen = bundle.sh("ls /sys/class/net/lo >/dev/null && mkdir /sys/x 2>&1").run();
        assert!(seen.stdout.contains("Read-only") || seen.stdout.contains("Permission denied"), "{seen:?}");
    });
}

/// CVE-2023-25809: a read-only /sys had the user's own cgroups in it, writable.
#[test]
fn the_users_cgroups_cannot_be_written_through_sys() {
    let delegated = Delegated::new("sys");
    let user = User::plain().in_cgroup(&delegated.leaf());
    let path = delegated.path().strip_prefix("/sys/fs/cgroup").unwrap().display().to_string();
    let bundle = Bundle::base().of_user(user).without_mount("/sys/fs/cgroup");
    fails_on(&[(RUNC, "1.1.5 leaves them writable"), (CRUN, "1.8.1 leaves them writable")], || {
        let seen = bundle.probe(&format!("mkdir /sys/fs/cgroup/{path}/made")).run().success();
        assert!(seen.contains("EROFS") || seen.contains("EACCES") || seen.contains("ENOENT"), "{seen}");
    });
}

#[test]
fn an_overlay_is_mounted_by_an_ordinary_user() {
    let bundle = mine();
    fs::create_dir(bundle.path().join("upper")).unwrap();
    fs::create_dir(bundle.path().join("work")).unwrap();
    for name in ["upper", "work"] {
        std::os::unix::fs::chown(bundle.path().join(name), Some(User::id()), Some(User::id())).unwrap();
    }
    let options = ["lowerdir=rootfs", "upperdir=upper", "workdir=work"];
    fails_on(&[(RUNC, "knows no such root"), (CRUN, "knows no such root")], || {
        let bundle = bundle.writable().with(|config| {
            let root = json!({"destination": "/", "type": "overlay", "source": "overlay", "options": options});
            config["mounts"].as_array_mut().unwrap().insert(0, root);
        });
        let bundle = bundle.sh("rm /bin/echo && echo new >/tmp/made");
        bundle.run().success();
        assert_eq!(fs::read_to_string(bundle.path().join("upper/tmp/made")).unwrap(), "new\n");
        assert!(!bundle.rootfs().join("tmp/made").exists() && bundle.rootfs().join("bin/echo").is_symlink());
        // The second time the first time's marks are understood.
        let bundle = bundle.sh("cat /tmp/made; ls /bin/echo 2>/dev/null");
        assert_eq!(bundle.run().stdout, "new\n");
        bundle.assert_nothing_left();
    });
}

#[test]
fn hooks_find_the_container() {
    may_fail_on(&[(RUNC, "1.1: its init is at times not to be looked into"), (CRUN, "1.8.1: never")], || {
        let bundle = mine();
        let seen = bundle.home().join("bundle/seen");
        let list = |name: &str| {
            let script = format!(
                "sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p' | head -n 1 | {{ read pid; for one in $pid self; do readlink /proc/$one/ns/mnt; done >>{}.{name}; }}",
                seen.display()
            );
            json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}])
        };
        let bundle = bundle.with(|config| {
            config["hooks"] = json!({
                "createRuntime": list("runtime"), "createContainer": list("container"), "poststart": list("started"),
            });
        });
        let container = bundle.probe("pause").create();
        container.start();
        let links = |name: &str| {
            let text = fs::read_to_string(format!("{}.{name}", seen.display())).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let own = fs::read_link(format!("/proc/{}/ns/mnt", container.pid())).unwrap().display().to_string();
        for name in ["runtime", "started"] {
            assert_eq!(links(name)[0], own, "{name}");
        }
        assert_eq!(links("container").last(), Some(&own));
    });
}

#[test]
fn a_score_below_the_callers_own_is_refused_by_name() {
    let bundle = mine().with(|config| config["process"]["oomScoreAdj"] = json!(-500));
    let message = bundle.run().failure();
    assert!(message.contains("oom"), "{message}");
    bundle.assert_nothing_left();
    let bundle = mine().with(|config| config["process"]["oomScoreAdj"] = json!(500)).probe("oom");
    assert_eq!(bundle.run().value("oom_score_adj"), "500");
}

#[test]
fn a_score_is_given_to_what_is_executed() {
    let container = running(mine().with(|config| config["process"]["oomScoreAdj"] = json!(300)));
    fails_on(&[(CRUN, "1.8.1 leaves the caller's")], || {
        assert_eq!(container.exec(&[], &["/bin/probe", "oom"]).value("oom_score_adj"), "300");
    });
}

#[test]
fn the_session_keyring_is_the_containers_own() {
    let seen = mine().sh("cat /proc/keys; true").with(|config| config["linux"]["maskedPaths"] = json!([]));
    let name = seen.id().to_owned();
    let keys = seen.run().success();
    assert!(keys.contains(&name), "{keys}");
}

// ------------------------------------------------------------------------------------------------ the state directory

#[test]
fn state_is_kept_in_the_users_runtime_directory() {
    let bundle = mine().probe("pause");
    bundle.write();
    let command = |words: &[&str]| {
        let mut command = bundle.runtime().bare();
        command.args(words).current_dir(bundle.path());
        bundle.user().unwrap().takes(&mut command);
        bundle.finish(&mut command)
    };
    command(&["create", bundle.id()]).success();
    let directory = bundle.user().unwrap().runtime_directory().join(bundle.runtime().name());
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert!(directory.join(bundle.id()).is_dir());
    fails_on(&[(CRUN, "1.8.1 leaves it to be cleaned away")], || assert_eq!(mode(&directory), 0o1700));
    assert_eq!(fs::metadata(&directory).unwrap().uid(), User::id());
    assert!(command(&["list"]).success().contains(bundle.id()));
    command(&["delete", "-f", bundle.id()]).success();
    assert!(!directory.join(bundle.id()).exists());
}

#[test]
fn a_user_without_a_runtime_directory_is_told() {
    let bundle = mine();
    let mut command = bundle.runtime().bare();
    command.arg("list");
    bundle.user().unwrap().takes(&mut command);
    command.env_remove("XDG_RUNTIME_DIR");
    fails_on(&[(RUNC, "1.1 looks into root's directory"), (CRUN, "1.8.1 looks into root's directory")], || {
        let message = bundle.finish(&mut command).failure();
        assert!(message.contains("XDG_RUNTIME_DIR is not set"), "{message}");
    });
}

#[test]
fn the_template_runs_as_it_is() {
    let bundle = mine();
    let mut spec = bundle.runtime().bare();
    spec.args(["spec", "--rootless"]).current_dir(bundle.path());
    bundle.user().unwrap().takes(&mut spec);
    bundle.finish(&mut spec).success();
    let path = bundle.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(["/bin/id", "-u"]);
    fs::write(&path, config.to_string()).unwrap();
    let mut run = bundle.command(&["run", "--bundle"]);
    let output = bundle.finish(run.arg(bundle.path()).arg(bundle.id()));
    assert_eq!(output.success(), "0\n");
    bundle.assert_nothing_left();
}

// ---------------------------------------------------------------------------------------------- ids that were granted

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
