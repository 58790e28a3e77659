//! CRI-O: its own calls beside those of conmon, and what it and podman ask of a runtime before they use it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;

use runtime_tests::engine::{bare, pipe};
use runtime_tests::{Bundle, Running, fails_on, may_fail_on, wait_until};
use serde_json::{Value, json};

use super::{Engine, quiet};

fn crio(bundle: Bundle) -> Engine {
    let crio = Engine::new(bundle, &["--root", "ROOT"]);
    crio.call(&["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/pidfile", "ID"]).success();
    crio
}

#[test]
fn a_whole_life() {
    let crio = crio(Bundle::base().probe("signals"));
    let file = crio.bundle.home().join("process");
    let process = json!({"args": ["/bin/sh", "-c", "echo out; exit 2"], "cwd": "/", "env": ["PATH=/bin"]});
    std::fs::write(&file, process.to_string()).unwrap();
    quiet(crio.call(&["start", "ID"]));
    assert_eq!(crio.status(), "running");
    let output = crio.call(&["exec", "--process", file.to_str().unwrap(), "ID"]);
    assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (2, "out\n", ""), "{output:?}");
    let known = [("runc", "wants the controllers"), ("crun", "wants the controllers")];
    may_fail_on(&known, || {
        let (read, write) = pipe();
        File::from(write).write_all(b"{\"unified\": {\"cgroup.max.depth\": \"9\"}}").unwrap();
        let mut command = crio.command(&["update", "--resources", "-", "ID"]);
        quiet(Running::start(command.stdin(read), crio.bundle.home()).finish());
    });
    quiet(crio.call(&["pause", "ID"]));
    assert_eq!(crio.status(), "paused");
    quiet(crio.call(&["resume", "ID"]));
    quiet(crio.call(&["kill", "ID", "TERM"]));
    wait_until("the end", || crio.status() == "stopped");
    let refused = crio.call(&["kill", "ID", "KILL"]);
    assert_ne!(refused.status, 0);
    quiet(crio.call(&["kill", "-a", "ID", "9"]));
    quiet(crio.call(&["delete", "--force", "ID"]));
    crio.bundle.assert_nothing_left();
}

#[test]
fn kill_by_name_ends_what_ignores_term() {
    let crio = crio(Bundle::base().sh("trap '' TERM; sleep 1000 & wait; sleep 1000"));
    quiet(crio.call(&["start", "ID"]));
    quiet(crio.call(&["kill", "ID", "TERM"]));
    assert_eq!(crio.status(), "running");
    quiet(crio.call(&["kill", "ID", "KILL"]));
    wait_until("the end", || crio.status() == "stopped");
    quiet(crio.call(&["delete", "--force", "ID"]));
    crio.bundle.assert_nothing_left();
}

/// It parses both outputs together.
#[test]
fn features_are_json_on_both_outputs_together() {
    let bundle = Bundle::base();
    fails_on(&[("crun", "1.8.1 is older than this command")], || {
        let mut command = bundle.runtime().bare();
        let (read, write) = pipe();
        bare(command.arg("features")).stdin(Stdio::null());
        assert!(command.stdout(write.try_clone().unwrap()).stderr(write).status().unwrap().success());
        drop(command);
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        let features: Value = serde_json::from_str(&text).unwrap();
        assert!(features["ociVersionMax"].is_string(), "{features}");
    });
}

/// Success of `checkpoint --help` would mean that there are checkpoints, and the words `flag needs an argument` of
/// `restore --lsm-mount-context` that they can be restored into a pod. Neither may be found out later.
#[test]
fn what_is_asked_about_checkpoints_is_denied_twice() {
    let bundle = Bundle::base();
    let asked = |words: &[&str]| bundle.finish(bare(bundle.runtime().bare().args(words)));
    may_fail_on(&[("runc", "can make them"), ("crun", "can make them")], || {
        assert_ne!(asked(&["checkpoint", "--help"]).status, 0);
        let output = asked(&["restore", "--lsm-mount-context"]);
        let both = output.stdout + &output.stderr;
        assert!(output.status != 0 && !both.contains("flag needs an argument"), "{both}");
    });
}

/// What such a question looks like for an option that exists.
#[test]
fn an_option_without_its_value_is_asked_for_in_words() {
    let bundle = Bundle::base();
    for words in [&["create", "--bundle"][..], &["exec", "--process"], &["--root"]] {
        let output = bundle.finish(bare(bundle.runtime().bare().args(words)));
        fails_on(&[("crun", "says: option requires an argument")], || {
            let both = output.stdout.clone() + &output.stderr;
            assert!(output.status != 0 && both.contains("flag needs an argument"), "{words:?}: {both}");
        });
    }
}
