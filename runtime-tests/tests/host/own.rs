//! What minirun adds to the shared command line.

use std::fs;
use std::time::{Duration, Instant};

use runtime_tests::{Bundle, fails_on};
use serde_json::Value;

/// Other runtimes do not have it, which is no fault.
const OWN: [(&str, &str); 2] = [("runc", "minirun's own addition"), ("crun", "minirun's own addition")];

#[test]
fn run_takes_a_bundle_and_makes_up_the_identifier() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().args(&["/bin/echo", "from a bundle"]);
        bundle.write();
        let argument = format!("{}/", bundle.path().display());
        assert_eq!(bundle.call(&["run", &argument]).success(), "from a bundle\n");
        assert_eq!(fs::read_dir(bundle.state_root()).unwrap().count(), 0);
    });
}

#[test]
fn a_relative_bundle_is_taken_too() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().args(&["/bin/echo", "here"]);
        bundle.write();
        let output = bundle.finish(bundle.command(&["run", "./"]).current_dir(bundle.path()));
        assert_eq!(output.success(), "here\n");
    });
}

#[test]
fn a_made_up_identifier_is_listed() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().probe("pause");
        bundle.write();
        let argument = format!("{}/", bundle.path().display());
        let mut running = runtime_tests::Running::start(&mut bundle.command(&["run", &argument]), bundle.home());
        // Deleted before its program runs, it would be a container that failed to start.
        running.wait_for("ready");
        let ids = || bundle.call(&["list", "-q"]).stdout;
        assert_eq!(ids().lines().count(), 1);
        bundle.call(&["delete", "-f", ids().trim()]).success();
        assert_eq!(running.finish().status, 137);
    });
}

#[test]
fn keep_leaves_the_stopped_container() {
    fails_on(&[("crun", "1.8.1 is older than this option")], || {
        let bundle = Bundle::base().probe("exit 5");
        let output = bundle.finish(&mut bundle.command_for("run", &["--keep"]));
        assert_eq!(output.status, 5);
        let state: Value = serde_json::from_str(&bundle.call(&["state", bundle.id()]).success()).unwrap();
        assert_eq!(state["status"], "stopped");
        bundle.call(&["delete", bundle.id()]).success();
        bundle.assert_nothing_left();
    });
}

#[test]
fn plan_shows_what_would_be_done_and_does_nothing() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().mount("/data", "tmpfs", "tmpfs", &["ro"]);
        bundle.write();
        let plan = bundle.call(&["plan", bundle.path().to_str().unwrap()]).success();
        assert!(plan.contains("/data") && plan.contains("mounts[7]"), "every step names its origin: {plan}");
        assert!(plan.contains("/bin/true"), "{plan}");
        bundle.assert_nothing_left();
    });
}

#[test]
fn plan_prints_json() {
    fails_on(&OWN, || {
        let bundle = Bundle::base();
        bundle.write();
        let plan = bundle.call(&["plan", bundle.path().to_str().unwrap(), "--json"]).success();
        let plan: Value = serde_json::from_str(&plan).unwrap();
        assert!(plan.to_string().contains("/bin/true"), "{plan}");
    });
}

#[test]
fn plan_takes_the_bundle_of_the_working_directory() {
    fails_on(&OWN, || {
        let bundle = Bundle::base();
        bundle.write();
        bundle.finish(bundle.command(&["plan"]).current_dir(bundle.path())).success();
    });
}

#[test]
fn plan_refuses_what_create_refuses() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().with(|config| config["process"]["cwd"] = "relative".into());
        bundle.write();
        let message = bundle.call(&["plan", bundle.path().to_str().unwrap()]).failure();
        assert!(message.contains("process.cwd"), "{message}");
    });
}

#[test]
fn the_same_bundle_has_the_same_plan() {
    fails_on(&OWN, || {
        let bundle = Bundle::base();
        bundle.write();
        let plan = || bundle.call(&["plan", bundle.path().to_str().unwrap()]).success();
        assert_eq!(plan(), plan());
    });
}

#[test]
fn an_error_names_the_field_and_the_reason() {
    fails_on(&OWN, || {
        let message = Bundle::base().mount("/data", "bind", "/nonexistent", &["bind"]).refused();
        assert!(message.contains("mounts[7]") && message.contains("/nonexistent"), "{message}");
        assert!(message.to_lowercase().contains("no such file or directory"), "{message}");
    });
}

#[test]
fn a_thousand_containers_are_listed_at_once() {
    fails_on(&OWN, || {
        let container = Bundle::base().args(&["/bin/sleep", "100"]).create();
        container.start();
        let (root, id) = (container.bundle().state_root(), container.bundle().id());
        let record = fs::read_to_string(root.join(id).join("state.json")).unwrap();
        for i in 1..1000 {
            let copy = root.join(format!("{id}{i}"));
            fs::create_dir(&copy).unwrap();
            fs::write(copy.join("state.json"), record.replacen(id, &format!("{id}{i}"), 1)).unwrap();
        }
        let list = || {
            let begin = Instant::now();
            let text = container.bundle().call(&["list"]).success();
            // The benchmark measures it: some 10 ms. This only finds work that grows with the square of their number.
            assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
            text
        };
        assert_eq!(list().matches("running").count(), 1000);
        container.kill("KILL");
        container.wait_for("stopped");
        assert_eq!(list().matches("stopped").count(), 1000);
    });
}

#[test]
fn nobody_to_read_is_no_error_to_tell() {
    fails_on(&OWN, || {
        let bundle = Bundle::base();
        bundle.write();
        for words in ["features", "plan", "--help", "help run"] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let words: Vec<_> = words.split(' ').collect();
            let output = bundle.command(&words).current_dir(bundle.path()).stdout(writer).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
            assert_eq!(output.status.code(), Some(128 + libc::SIGPIPE), "{words:?}");
        }
    });
}
