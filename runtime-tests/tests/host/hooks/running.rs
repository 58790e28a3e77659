//! Hooks that take long, write much, or are there when somebody wants to go on.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime_tests::{Bundle, Output, Running, fails_on, may_fail_on, wait_until};
use serde_json::{Value, json};

use super::{OF_CREATE, POINTS, hook, hooked};

/// A sleep that the oracle of leaks recognises by its path.
fn sleeper(bundle: &Bundle) -> String {
    let path = bundle.home().join("sleep");
    let _ = symlink("/bin/busybox", &path);
    path.to_str().unwrap().to_owned()
}

/// `create` with a hook; how long it took.
fn timed(bundle: &Bundle) -> (Output, Duration) {
    let start = Instant::now();
    let output = bundle.try_create();
    (output, start.elapsed())
}

#[test]
fn one_that_takes_too_long_is_ended_with_its_children() {
    let peers = [("runc", "1.1 reads until the pipe is closed"), ("crun", "ends the hook only")];
    may_fail_on(&peers, || {
        let scripts = [
            "SLEEP 1000",
            "trap '' TERM INT HUP; SLEEP 1000; SLEEP 1000",
            "SLEEP 1000 & SLEEP 1000",
            "(trap '' TERM; SLEEP 1000) & (SLEEP 1000 & SLEEP 1000) & wait",
            "/bin/busybox setsid SLEEP 1000 & SLEEP 1000",
            "(/bin/busybox setsid sh -c 'SLEEP 1000 & SLEEP 1000' &); SLEEP 1000",
            "while :; do echo noise; done",
            "exec >&- 2>&-; SLEEP 1000",
            "cat; SLEEP 1000",
        ];
        for point in OF_CREATE {
            for script in scripts {
                let bundle = Bundle::base();
                let sleeper = sleeper(&bundle);
                let mut hook = hook(&script.replace("SLEEP", &sleeper));
                hook["timeout"] = 1.into();
                let bundle = hooked(bundle, point, hook);
                let (output, time) = timed(&bundle);
                assert!(output.status != 0, "{point} {script}: {output:?}");
                assert!(
                    time >= Duration::from_millis(900) && time < Duration::from_secs(2),
                    "{point} {script}: {time:?}"
                );
                may_fail_on(&[("runc", "ends the hook only"), ("crun", "ends the hook only")], || {
                    assert!(output.stderr.contains("ran past specified timeout"), "{point} {script}: {output:?}");
                    bundle.assert_nothing_left();
                });
            }
        }
    });
}

#[test]
fn one_that_takes_too_long_in_the_container_fails_start() {
    let peers = [("runc", "1.1 reports success, or reads until the pipe is closed"), ("crun", "1.8.1 reports success")];
    may_fail_on(&peers, || {
        for script in ["SLEEP 1000", "trap '' TERM; SLEEP 1000; SLEEP 1000", "SLEEP 1000 & SLEEP 1000"] {
            let mut hook = hook(&script.replace("SLEEP", "sleep"));
            hook["timeout"] = 1.into();
            let container = hooked(Bundle::base(), "startContainer", hook).probe("pause").create();
            let start = Instant::now();
            let output = container.call(&["start"], &[]);
            let time = start.elapsed();
            may_fail_on(&[("runc", "1.1 reports success"), ("crun", "1.8.1 reports success")], || {
                assert!(output.status != 0, "{output:?}");
                assert!(time < Duration::from_secs(2), "{script}: {time:?}");
                container.bundle().assert_nothing_left();
            });
            container.call(&["delete", "-f"], &[]).success();
            container.bundle().assert_nothing_left();
        }
    });
}

#[test]
fn a_grandchild_that_keeps_the_output_open_holds_up_nobody() {
    let peers = [("runc", "1.1 reads until the pipe is closed"), ("crun", "1.8.1 fails where the state is not read")];
    may_fail_on(&peers, || {
        for point in OF_CREATE {
            let bundle = Bundle::base();
            let script = format!("{} 1000 & echo done", sleeper(&bundle));
            let bundle = hooked(bundle, point, hook(&script));
            let (output, time) = timed(&bundle);
            output.success();
            assert!(time < Duration::from_secs(2), "{point}: {time:?}");
            // It was meant to stay: what a hook starts belongs to the engine.
            bundle.leaks().sweep();
        }
    });
}

#[test]
fn any_amount_of_output_is_taken_and_its_end_is_told() {
    let noise = "/bin/busybox head -c 104857600 /dev/zero | /bin/busybox tr '\\0' x";
    for point in OF_CREATE {
        let bundle = hooked(Bundle::base(), point, hook(&format!("{noise}; echo; echo the last words; exit 3")));
        let message = bundle.refused();
        may_fail_on(&[("crun", "does not tell it"), ("runc", "1.1 tells all of it")], || {
            assert!(message.contains("the last words"), "{point}: {} bytes", message.len());
            assert!(message.len() < 10_000, "{point}: {} bytes", message.len());
        });
        hooked(Bundle::base(), point, hook(noise)).try_create().success();
    }
}

/// A runtime that kept all of it would grow with it.
#[test]
fn a_gibibyte_of_output_takes_no_memory() {
    let bundle = Bundle::base();
    let [written, seen] = ["written", "seen"].map(|name| bundle.home().join(name));
    let script = format!(
        "/bin/busybox dd if=/dev/zero bs=1M count=1024; echo; echo the last words; echo > {}; \
         while [ ! -e {} ]; do sleep 0.1; done; exit 3",
        written.display(),
        seen.display()
    );
    let bundle = hooked(bundle, "createRuntime", hook(&script));
    let mut call = Running::start(bundle.command_for("create", &[]).stdin(Stdio::null()), bundle.home());
    // As long as it takes: a machine that is busy is no fault.
    while !written.exists() {
        assert!(!call.has_ended(), "{:?}", call.finish());
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", call.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    let peak: u32 = peak.parse().unwrap();
    fs::write(seen, "").unwrap();
    // runc 1.1 holds all of it, and may still be busy with it when patience ends.
    let known = [("runc", "1.1 keeps and tells all of it"), ("crun", "leaves the output to the caller")];
    may_fail_on(&known, || {
        let message = call.finish().failure();
        eprintln!("peak: {peak} KiB, message: {} bytes", message.len());
        assert!(peak < 16 << 10, "{peak} KiB");
        assert!(message.contains("the last words") && message.len() < 16_000, "{} bytes", message.len());
        bundle.assert_nothing_left();
    });
}

#[test]
fn one_that_does_not_read_its_state_keeps_nobody_waiting() {
    let peers = [("crun", "1.8.1 writes to a pipe and waits")];
    may_fail_on(&peers, || {
        let annotations: serde_json::Map<_, _> =
            (0..2000).map(|i| (format!("key{i}"), json!("x".repeat(100)))).collect();
        for (point, _) in POINTS {
            let bundle = hooked(Bundle::base(), point, hook("exec <&-; sleep 0.1"));
            let bundle = bundle.with(|config| config["annotations"] = annotations.clone().into());
            bundle.run().success();
        }
    });
}

#[test]
fn one_that_runs_dies_with_the_call() {
    let scripts = [
        "exec SLEEP 1000",
        "SLEEP 1000 & exec SLEEP 1000",
        "/bin/busybox setsid SLEEP 1000 & exec SLEEP 1000",
        "(/bin/busybox setsid sh -c 'trap \"\" TERM HUP; SLEEP 1000 & SLEEP 1000' &); exec SLEEP 1000",
    ];
    for (point, script) in OF_CREATE.iter().flat_map(|point| scripts.map(|script| (point, script))) {
        let bundle = Bundle::base();
        let started = bundle.home().join("started");
        let script =
            script.replace("SLEEP", &sleeper(&bundle)).replace("exec", &format!("echo > {}; exec", started.display()));
        let bundle = hooked(bundle, point, hook(&script));
        let call = Running::start(bundle.command_for("create", &[]).stdin(Stdio::null()), bundle.home());
        wait_until("the hook", || started.exists());
        kill(Pid::from_raw(call.pid()), Signal::SIGKILL).unwrap();
        assert_eq!(call.finish().status, 137);
        let start = Instant::now();
        bundle.call(&["delete", "-f", bundle.id()]).success();
        assert!(start.elapsed() < Duration::from_secs(5));
        may_fail_on(&[("runc", "leaves the hook"), ("crun", "leaves the hook")], || bundle.assert_nothing_left());
    }
}

/// A container whose hook runs is being created: others see it, wait for nothing, and may end it.
#[test]
fn one_that_runs_does_not_hide_the_container() {
    let bundle = Bundle::base();
    let started = bundle.home().join("started");
    let script = format!("echo > {}; exec {} 1000", started.display(), sleeper(&bundle));
    let bundle = hooked(bundle, "createRuntime", hook(&script));
    let call = Running::start(bundle.command_for("create", &[]).stdin(Stdio::null()), bundle.home());
    wait_until("the hook", || started.exists());
    let known = [("crun", "1.8.1 has no state yet"), ("runc", "1.1 has no state yet")];
    may_fail_on(&known, || {
        let state: Value = serde_json::from_str(&bundle.call(&["state", bundle.id()]).success()).unwrap();
        assert_eq!(state["status"], "creating", "{state}");
    });
    kill(Pid::from_raw(call.pid()), Signal::SIGKILL).unwrap();
    call.finish();
}

#[test]
fn a_timeout_beyond_all_time_is_none() {
    let endless = json!({"path": "/bin/true", "timeout": i64::MAX});
    let known = [("runc", "the sum overflows, and the time is over at once"), ("crun", "the sum overflows")];
    fails_on(&known, || {
        hooked(Bundle::base().args(&["/bin/true"]), "createRuntime", endless).run().success();
    });
}

/// Whoever is asked to end before there is a program has nobody to pass that on to.
#[test]
fn a_run_that_is_asked_to_end_during_one_leaves_nothing() {
    let bundle = Bundle::base();
    let started = bundle.home().join("started");
    let script = format!("echo > {}; exec {} 1000", started.display(), sleeper(&bundle));
    let bundle = hooked(bundle, "createRuntime", hook(&script));
    let call = bundle.run_in_background();
    wait_until("the hook", || started.exists());
    kill(Pid::from_raw(call.pid()), Signal::SIGTERM).unwrap();
    let known = [("runc", "waits for the hook, however long"), ("crun", "waits for the hook, however long")];
    fails_on(&known, || {
        assert!(call.finish().failure().contains("hooks.createRuntime[0]: interrupted by a signal"));
        bundle.assert_nothing_left();
    });
}
