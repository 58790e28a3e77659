//! How much a call does: the number of its system calls, which does not depend on the machine's load.

use std::process::{Command, Stdio};

use runtime_tests::{Bundle, beside};

/// The system calls of a call, including those of the container's program.
fn calls_of(mut command: Command) -> u64 {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let traced = beside(command, |_| {});
    assert_eq!(traced.status, 0, "the call failed");
    traced.calls
}

#[test]
fn exec_makes_at_most_500_system_calls() {
    let bundle = Bundle::base().probe("pause");
    bundle.try_create().success();
    bundle.call(&["start", bundle.id()]).success();
    let calls = calls_of(bundle.command(&["exec", bundle.id(), "/bin/probe", "exit", "0"]));
    assert!(calls <= 500, "{calls}");
}

#[test]
fn run_makes_at_most_900_system_calls() {
    let bundle = Bundle::base().args(&["/bin/probe", "exit", "0"]);
    let calls = calls_of(bundle.command_for("run", &[]));
    assert!(calls <= 900, "{calls}");
}
