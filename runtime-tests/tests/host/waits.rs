//! Nothing waits forever: a command that waits for a container, or for a hook, ends when it is asked to.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use runtime_tests::{Bundle, Container, Running, may_fail_on, wait_until};
use serde_json::json;

const SIGNALS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

fn start(container: &Container, words: &[&str]) -> Running {
    let bundle = container.bundle();
    let mut command = bundle.command(words);
    Running::start(&mut command, bundle.home())
}

/// A container that owns its cgroups stops what is executed in one of them before it is the program.
#[test]
fn exec_into_a_frozen_cgroup_ends_when_it_is_asked_to() {
    may_fail_on(&[("runc", "1.1 waits"), ("crun", "1.8.1 waits")], || {
        let bundle = Bundle::base().namespace("cgroup", Some(json!({"type": "cgroup"})));
        let bundle = bundle.without_mount("/sys/fs/cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", &[]);
        let script =
            "mkdir /sys/fs/cgroup/cell && echo 1 >/sys/fs/cgroup/cell/cgroup.freeze && echo frozen; sleep 1000";
        let container = bundle.sh(script).create();
        container.start();
        wait_until("the frozen cgroup", || container.output().contains("frozen"));
        let procs = container.cgroup().join("cell/cgroup.procs");
        let busy = || std::fs::read_to_string(&procs).is_ok_and(|pids| !pids.is_empty());
        for detach in [&["exec", "--cgroup", "cell"][..], &["exec", "-d", "--cgroup", "cell"]] {
            for signal in SIGNALS {
                let call = start(&container, &[detach, &[container.bundle().id(), "/bin/true"]].concat());
                wait_until("the process", busy);
                call.end_by(signal);
                wait_until("the end of the process", || !busy());
            }
        }
        container.call(&["delete", "-f"], &[]).success();
        container.bundle().assert_nothing_left();
    });
}

#[test]
fn exec_into_a_paused_container_ends_when_it_is_asked_to() {
    may_fail_on(&[("runc", "1.1 waits"), ("crun", "1.8.1 has no such option")], || {
        let container = Bundle::base().probe("pause").create();
        container.start();
        container.call(&["pause"], &[]).success();
        let procs = container.cgroup().join("cgroup.procs");
        let call = start(&container, &["exec", "--ignore-paused", container.bundle().id(), "/bin/true"]);
        wait_until("the process", || std::fs::read_to_string(&procs).unwrap().lines().count() == 2);
        call.end_by(Signal::SIGTERM);
        assert_eq!(container.status(), "paused");
        container.call(&["delete", "-f"], &[]).success();
        container.bundle().assert_nothing_left();
    });
}

/// A hook that sleeps, at a path by which the oracle of leaks knows it.
fn sleeping(point: &str, script: &str) -> Bundle {
    let bundle = Bundle::base();
    let sleep = bundle.home().join("sleep");
    symlink("/bin/busybox", &sleep).unwrap();
    let script = script.replace("SLEEP", sleep.to_str().unwrap()).replace("HOME", bundle.home().to_str().unwrap());
    let hook = json!([{"path": "/bin/busybox", "args": ["sh", "-c", script]}]);
    bundle.with(|config| config["hooks"][point] = hook)
}

#[test]
fn a_creation_that_is_asked_to_end_is_undone() {
    may_fail_on(&[("runc", "1.1 leaves what it has made"), ("crun", "1.8.1 leaves what it has made")], || {
        for verb in ["create", "run"] {
            for signal in SIGNALS {
                let bundle = sleeping("createRuntime", "touch HOME/begun; SLEEP 1000");
                let call = Running::start(&mut bundle.command_for(verb, &[]), bundle.home());
                wait_until("the hook", || bundle.home().join("begun").exists());
                call.end_by(signal);
                bundle.assert_nothing_left();
            }
        }
    });
}

/// Also before init has answered for the first time, which it does from the namespaces that it enters itself.
#[test]
fn a_creation_in_a_frozen_cgroup_ends_when_it_is_asked_to() {
    may_fail_on(&[("runc", "1.1 waits"), ("crun", "1.8.1 waits")], || {
        let first = Bundle::base().probe("pause").create();
        let parent = first.cgroup().with_file_name(format!("frozen-{}", std::process::id()));
        std::fs::create_dir(&parent).unwrap();
        std::fs::write(parent.join("cgroup.freeze"), "1").unwrap();
        for path in [None, Some(format!("/proc/{}/ns/pid", first.pid()))] {
            let cgroup = parent.join("c");
            let bundle = Bundle::base().with(|config| {
                let path = cgroup.strip_prefix("/sys/fs/cgroup").unwrap();
                config["linux"]["cgroupsPath"] = format!("/{}", path.display()).into();
            });
            let bundle = match path {
                Some(path) => bundle.namespace("pid", Some(json!({"type": "pid", "path": path}))),
                None => bundle,
            };
            let call = Running::start(&mut bundle.command_for("create", &[]), bundle.home());
            let procs = cgroup.join("cgroup.procs");
            wait_until("the process", || std::fs::read_to_string(&procs).is_ok_and(|pids| !pids.is_empty()));
            call.end_by(Signal::SIGTERM);
            bundle.assert_nothing_left();
        }
        std::fs::remove_dir(&parent).unwrap();
    });
}

/// Before there is a program to pass signals on to.
#[test]
fn run_ends_when_it_is_asked_to_while_the_container_starts() {
    may_fail_on(&[("runc", "1.1 waits"), ("crun", "1.8.1 leaves what it has made")], || {
        for signal in SIGNALS {
            let bundle = Bundle::base().writable();
            let hook = json!([{"path": "/bin/busybox", "args": ["sh", "-c", "touch /begun; sleep 1000"]}]);
            let bundle = bundle.with(|config| config["hooks"]["startContainer"] = hook);
            let call = bundle.run_in_background();
            wait_until("the hook", || bundle.rootfs().join("begun").exists());
            call.end_by(signal);
            bundle.assert_nothing_left();
        }
    });
}

/// The timeout of a hook holds whatever the hook does to the process that watches it.
#[test]
fn a_hook_cannot_stop_its_timeout() {
    may_fail_on(&[("runc", "1.1 waits for the end of the output"), ("crun", "1.8.1 stops itself")], || {
        for script in ["kill -STOP $PPID; SLEEP 1000", "/bin/busybox setsid SLEEP 1000 & kill -STOP $PPID; SLEEP 1000"]
        {
            for point in ["prestart", "createRuntime"] {
                let bundle = sleeping(point, script).with(|config| config["hooks"][point][0]["timeout"] = 1.into());
                let start = Instant::now();
                let message = bundle.try_create().failure();
                assert!(start.elapsed() < Duration::from_millis(3500), "{script}: {:?}", start.elapsed());
                assert!(!bundle.runtime().is_minirun() || message.contains("ran past specified timeout"), "{message}");
                bundle.assert_nothing_left();
            }
        }
    });
}

#[test]
fn a_hook_that_kills_the_process_that_watches_it_ends() {
    if !runtime_tests::Runtime::from_env().is_minirun() {
        return;
    }
    for script in [
        "kill -9 $PPID; SLEEP 1000",
        "SLEEP 1000 & kill -9 $PPID; SLEEP 1000",
        "(/bin/busybox setsid sh -c 'SLEEP 1000 & SLEEP 1000' &); /bin/busybox sleep 0.1; kill -9 $PPID; SLEEP 1000",
    ] {
        for (point, verb) in [("prestart", "create"), ("createRuntime", "run"), ("poststart", "run")] {
            let bundle = sleeping(point, script).probe("pause");
            let message = bundle.finish(&mut bundle.command_for(verb, &[])).failure();
            assert!(message.contains("was killed"), "{message}");
            bundle.assert_nothing_left();
        }
    }
}

/// Neither its own cgroup, nor that of the container, nor another session keeps a process of the hook from its end.
#[test]
fn a_hook_that_leaves_its_cgroup_and_kills_its_keeper_ends() {
    may_fail_on(&[("runc", "1.1 has no keeper"), ("crun", "1.8.1 has no keeper")], || {
        let first = Bundle::base().probe("pause").create();
        for (point, verb) in
            [("prestart", "create"), ("createRuntime", "run"), ("createContainer", "create"), ("poststart", "run")]
        {
            for timeout in [None, Some(1)] {
                let escape = first.cgroup().with_file_name(format!("escape-{point}-{}", std::process::id()));
                std::fs::create_dir(&escape).unwrap();
                let script = format!(
                    "echo $$ >{}/cgroup.procs; /bin/busybox setsid sh -c 'SLEEP 1000 & SLEEP 1000' & \
                     SLEEP 1000 & KILL; SLEEP 1000",
                    escape.display()
                );
                // The keeper is killed in the end, or stopped until the time is over.
                let script =
                    script.replace("KILL", if timeout.is_none() { "kill -9 $PPID" } else { "kill -STOP $PPID" });
                let bundle = sleeping(point, &script).probe("pause").with(|config| {
                    if let Some(seconds) = timeout {
                        config["hooks"][point][0]["timeout"] = seconds.into();
                    }
                });
                let start = Instant::now();
                bundle.finish(&mut bundle.command_for(verb, &[])).failure();
                assert!(start.elapsed() < Duration::from_secs(5), "{point}: {:?}", start.elapsed());
                let left = std::fs::read_to_string(escape.join("cgroup.procs")).unwrap();
                assert!(left.is_empty(), "{point} {timeout:?}: processes {left}");
                bundle.assert_nothing_left();
                std::fs::remove_dir(&escape).unwrap();
            }
        }
    });
}
