//! What becomes of the container when a hook fails, at each of the points.

use std::fs;

use runtime_tests::{Bundle, Output, Running, fails_on, is_excused, may_fail_on};
use serde_json::{Value, json};

use super::{OF_CREATE, POINTS, hook, hooked, live, shared};

#[test]
fn a_failure_of_create_names_the_hook_and_its_output() {
    for point in OF_CREATE {
        for (end, said) in [("exit 3", "3"), ("kill -9 $$", "9")] {
            let (bundle, directory) = shared();
            let bundle = hooked(bundle, point, hook("true"));
            let bundle = hooked(bundle, point, hook(&format!("echo spoken; echo complained >&2; {end}")));
            let bundle = hooked(bundle, point, hook(&format!("echo > {}/next", directory.display())));
            let bundle = hooked(bundle, "poststop", hook(&format!("cat > {}/poststop", directory.display())));
            let message = bundle.refused();
            assert!(!directory.join("next").exists(), "{point}: the next one ran");
            let known =
                [("crun", "has words of its own, and leaves poststop out"), ("runc", "1.1 has words of its own")];
            may_fail_on(&known, || {
                assert!(message.contains(&format!("hooks.{point}[1]")), "{message}");
                assert!(
                    message.contains("spoken") && message.contains("complained") && message.contains(said),
                    "{message}"
                );
                let state: Value = serde_json::from_slice(&fs::read(directory.join("poststop")).unwrap()).unwrap();
                assert_eq!(state["status"], "stopped");
            });
        }
    }
}

#[test]
fn a_program_that_is_missing_fails_the_hook() {
    for point in OF_CREATE {
        let bundle = hooked(Bundle::base(), point, json!({"path": "/nonexistent/hook"}));
        let message = bundle.refused();
        assert!(message.contains("/nonexistent/hook") || is_excused(&[("crun", "does not name it")]), "{message}");
    }
}

#[test]
fn a_failure_of_start_container_fails_start_and_stops() {
    let (bundle, directory) = shared();
    let bundle = hooked(bundle, "startContainer", hook("exit 3"));
    let bundle = hooked(bundle, "poststart", hook(&format!("echo > {}/poststart", directory.display())));
    let bundle = hooked(bundle, "poststop", hook(&format!("echo > {}/poststop", directory.display())));
    let container = bundle.sh(&format!("echo > {}/program", directory.display())).create();
    let output = container.call(&["start"], &[]);
    fails_on(&[("crun", "1.8.1 reports success"), ("runc", "1.1 reports success")], || {
        assert!(output.status != 0 && output.stderr.contains("hooks.startContainer[0]"), "{output:?}");
    });
    fails_on(&[("crun", "waits for delete"), ("runc", "waits for delete")], || {
        // The life goes on with the destruction and poststop (runtime-spec, "Lifecycle", step 7).
        container.bundle().assert_nothing_left();
        assert!(directory.join("poststop").exists());
    });
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
    assert!(!directory.join("program").exists() && directory.join("poststop").exists());
    may_fail_on(&[("crun", "goes on"), ("runc", "goes on")], || assert!(!directory.join("poststart").exists()));
}

#[test]
fn a_failure_of_poststart_ends_the_container() {
    let peers = [("runc", "1.1 runs poststart in create"), ("crun", "only warns")];
    may_fail_on(&peers, || {
        let (bundle, directory) = shared();
        let bundle = hooked(bundle, "poststart", hook("echo spoken; exit 3")).probe("pause");
        let bundle = hooked(bundle, "poststop", hook(&format!("cat > {}/poststop", directory.display())));
        let container = bundle.create();
        let output = container.call(&["start"], &[]);
        let known = [("crun", "only warns, as the older specification had it")];
        may_fail_on(&known, || {
            assert!(output.status != 0 && output.stderr.contains("spoken"), "{output:?}");
            // It is destroyed, and poststop runs then (runtime-spec, "Lifecycle", steps 9, 12 and 13).
            container.bundle().assert_nothing_left();
            let state: Value = serde_json::from_slice(&fs::read(directory.join("poststop")).unwrap()).unwrap();
            assert_eq!(state["status"], "stopped");
        });
        let bundle = hooked(Bundle::base(), "poststart", hook("exit 3")).probe("pause");
        may_fail_on(&known, || {
            bundle.run().failure();
            bundle.assert_nothing_left();
        });
    });
}

#[test]
fn a_container_can_be_killed_while_a_hook_of_poststart_runs() {
    may_fail_on(&[("runc", "1.1 runs poststart in create")], || {
        let (bundle, directory) = shared();
        let script = format!("sleep 5; echo > {}/end", directory.display());
        let bundle = hooked(bundle, "poststart", hook(&script)).probe("pause");
        let container = bundle.create();
        let start = Running::start(&mut container.bundle().command(&["start", container.bundle().id()]), &directory);
        container.wait_for("running");
        container.call(&["kill"], &["KILL"]).success();
        container.wait_for("stopped");
        assert!(!directory.join("end").exists());
        start.finish();
    });
}

#[test]
fn failures_of_poststop_are_warnings() {
    let peers = [("runc", "1.1 leaves out the rest"), ("crun", "1.8.1 leaves out the rest")];
    may_fail_on(&peers, || {
        for point in ["run", "delete"] {
            let (bundle, directory) = shared();
            let bundle = hooked(bundle, "poststop", hook("exit 3"));
            let bundle = hooked(bundle, "poststop", json!({"path": "/nonexistent/hook"}));
            let bundle =
                hooked(bundle, "poststop", json!({"path": "/bin/busybox", "args": ["sleep", "1000"], "timeout": 1}));
            let bundle = hooked(bundle, "poststop", hook(&format!("echo > {}/last", directory.display())));
            let output = match point {
                "run" => bundle.probe("exit 4").run_and_keep(),
                _ => {
                    let bundle = bundle.probe("pause");
                    bundle.try_create().success();
                    (bundle.call(&["delete", "-f", bundle.id()]), bundle)
                }
            };
            let (output, bundle) = output;
            assert_eq!(output.status, if point == "run" { 4 } else { 0 }, "{output:?}");
            fails_on(&[("crun", "says nothing of it")], || {
                for i in 0..3 {
                    assert!(
                        output.stderr.contains(&format!("hooks.poststop[{i}]")) || !bundle.runtime().is_minirun(),
                        "{output:?}"
                    );
                }
            });
            assert!(directory.join("last").exists(), "{point}: the rest does not run");
            bundle.assert_nothing_left();
        }
    });
}

trait RunAndKeep {
    fn run_and_keep(self) -> (Output, Bundle);
}

impl RunAndKeep for Bundle {
    /// `run`, with the bundle that it was made from.
    fn run_and_keep(self) -> (Output, Bundle) {
        (self.run(), self)
    }
}

#[test]
fn poststop_runs_once_nothing_is_left() {
    let peers = [("runc", "runs it before it removes its state"), ("crun", "as runc")];
    may_fail_on(&peers, || {
        let (bundle, directory) = shared();
        let script = format!(
            "{{ ls {} ; /bin/busybox find /sys/fs/cgroup -name '*{}*'; }} > {}/seen 2>/dev/null",
            bundle.state_root().display(),
            bundle.id(),
            directory.display()
        );
        let bundle = hooked(bundle, "poststop", hook(&script)).probe("pause");
        live(&bundle);
        may_fail_on(&[("runc", "runs it before it removes its state")], || {
            assert_eq!(fs::read_to_string(directory.join("seen")).unwrap(), "");
        });
    });
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let rows = [
        (json!({"path": "relative"}), "path"),
        (json!({"path": ""}), "path"),
        (json!({"args": ["x"]}), "path"),
        (json!({"path": "/bin/true", "timeout": 0}), "timeout"),
        (json!({"path": "/bin/true", "timeout": -1}), "timeout"),
        (json!({"path": "/bin/true", "env": "A=b"}), "env"),
    ];
    for (point, _) in POINTS {
        for (hook, field) in &rows {
            let known = [("crun", "takes it"), ("runc", "1.1 takes it")];
            may_fail_on(&known, || {
                let message = hooked(Bundle::base(), point, hook.clone()).refused();
                assert!(message.contains(&format!("hooks.{point}[0]")) && message.contains(field), "{hook}: {message}");
            });
        }
    }
}
