//! Known differences: a test that another runtime fails states which of the two is right, and why.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Runtime;

/// Whether the runtime under test is among `peers`, pairs of a runtime's name and the reason.
pub fn is_excused(peers: &[(&str, &str)]) -> bool {
    peers.iter().any(|(name, _)| *name == Runtime::from_env().name())
}

/// Runs a test that the named runtimes are known to fail. On those it must fail, so that an outdated note is noticed.
#[track_caller]
pub fn fails_on(peers: &[(&str, &str)], test: impl FnOnce()) {
    let runtime = Runtime::from_env();
    let Some((name, reason)) = peers.iter().find(|(name, _)| *name == runtime.name()) else { return test() };
    let outcome = catch_unwind(AssertUnwindSafe(test));
    assert!(outcome.is_err(), "{name} passes; the note is out of date: {reason}");
}

/// As [`fails_on`], for tests that those runtimes fail only sometimes.
#[track_caller]
pub fn may_fail_on(peers: &[(&str, &str)], test: impl FnOnce()) {
    match is_excused(peers) {
        true => drop(catch_unwind(AssertUnwindSafe(test))),
        false => test(),
    }
}
