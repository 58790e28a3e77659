//! An error at system calls of `create` and `run` of a container with limits: they hold, or there is no container.

use runtime_tests::{Bundle, is_full_sweep};
use serde_json::json;

use crate::errors::{Verb, rich, sweep};
use crate::{MIB, limited};

/// An emulated machine takes a second for each point.
fn most() -> Option<usize> {
    Some(if is_full_sweep() { 1500 } else { 40 })
}

fn with_limits() -> Bundle {
    let resources = limited(json!({
        "memory": {"limit": 64 * MIB, "reservation": 32 * MIB, "swap": 64 * MIB},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
        "pids": {"limit": 50},
    }));
    let limits = resources.config()["linux"]["resources"].clone();
    rich().with(|config| {
        for (name, value) in limits.as_object().unwrap() {
            config["linux"]["resources"][name] = value.clone();
        }
    })
}

#[test]
fn an_error_in_create_leaves_the_same_limits_or_nothing() {
    sweep("errors in create with limits", Verb::Create, with_limits, most());
}

#[test]
fn an_error_in_run_leaves_the_same_limits_or_nothing() {
    sweep("errors in run with limits", Verb::Run, with_limits, most());
}

#[test]
fn an_error_in_exec_with_limits_leaves_the_same_confinement_or_nothing() {
    sweep("errors in exec with limits", Verb::Exec, with_limits, most());
}
