//! From the first command to the last: what a user can do as root can, and what only root can.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Child;

use runtime_tests::{Bundle, Delegated, Terminal, User, fails_on, may_fail_on, wait_until};
use serde_json::{Value, json};

use super::{CRUN, RUNC, mine, running};

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
