//! If init fails while the runtime does something for it, the message is about init: what is done to a process that has ended
//! fails for no other reason.

use std::fs;
use std::process::Stdio;

use nix::errno::Errno;
use runtime_tests::{Bundle, Injected, Late, Runtime, outlive};
use serde_json::json;

use crate::matches;
use crate::prepare::{few_ids, same, set, sleeping};

const MESSAGE: &str = "container init: get ready: setsid: operation not permitted";

/// A bundle in which the runtime does something to init.
type Prepare = fn(Bundle) -> Bundle;

/// Ends the first process that `verb` makes, before the runtime's call of this number.
fn outlived(bundle: &Bundle, verb: &str, call: u64) -> (Injected, String) {
    let log = bundle.home().join("outlived");
    let mut command = match verb {
        "exec" => bundle.command(&["exec", bundle.id(), "/bin/true"]),
        verb => bundle.command_for(verb, &[]),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let end = outlive(command, Late { failing: libc::SYS_setsid, errno: Errno::EPERM, call });
    let message = fs::read_to_string(log).unwrap();
    assert_eq!(end.failed, Some(libc::SYS_setsid), "init of {verb} makes no setsid: {message}");
    (end, message)
}

/// Tries the calls of this command, the first `most` of them, and says where the message is another.
fn wrong(bundle: &Bundle, verb: &str, most: u64) -> Vec<String> {
    let tries = (1..=most).map(|call| (call, outlived(bundle, verb, call)));
    let tries = tries.take_while(|(_, (end, _))| end.held);
    let (mut count, mut wrong) = (0, Vec::new());
    for (call, (end, message)) in tries {
        count += 1;
        if end.status == 0 || !matches(message.trim(), MESSAGE) {
            wrong.push(format!("{verb}, before call {call}: status {}: {message}", end.status));
        }
    }
    assert!(count >= most.min(5), "{verb} makes only {count} calls after the clone");
    wrong
}

#[test]
fn an_init_that_fails_first_is_the_cause() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let prepared: [Prepare; 5] = [
        same,
        |bundle| set(bundle, "/process/oomScoreAdj", json!(500)),
        |bundle| set(few_ids(bundle), "/process/rlimits/0/hard", json!(2048)),
        |bundle| set(bundle, "/process/scheduler", json!({"policy": "SCHED_BATCH"})),
        |bundle| set(bundle, "/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 4})),
    ];
    let mut all = Vec::new();
    for prepare in prepared {
        for verb in ["create", "run"] {
            let bundle = prepare(Bundle::base());
            all.extend(wrong(&bundle, verb, u64::MAX));
            bundle.assert_nothing_left();
        }
    }
    // Init has failed before the runtime finds that there is no such device.
    let bundle = set(Bundle::base(), "/linux/netDevices", json!({"nosuch0": {"name": "eth0"}}));
    all.extend(wrong(&bundle, "create", 1));
    bundle.assert_nothing_left();
    assert!(all.is_empty(), "\n{}", all.join(""));
}

#[test]
fn a_process_of_exec_that_fails_first_is_the_cause() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let bundle = sleeping(Bundle::base());
    let bundle = set(bundle, "/process/execCPUAffinity", json!({"initial": "0", "final": "0-1"}));
    bundle.try_create().success();
    bundle.call(&["start", bundle.id()]).success();
    let wrong = wrong(&bundle, "exec", u64::MAX);
    bundle.call(&["delete", "-f", bundle.id()]).success();
    bundle.assert_nothing_left();
    assert!(wrong.is_empty(), "\n{}", wrong.join(""));
}
