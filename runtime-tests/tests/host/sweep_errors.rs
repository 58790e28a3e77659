//! An error at every system call, with one configuration that has something of everything, and one with a user namespace.

use runtime_tests::Bundle;
use serde_json::json;

use crate::errors::{Verb, rich, sweep};

#[test]
fn an_error_in_create_leaves_the_same_confinement_or_nothing() {
    sweep("errors in create", Verb::Create, rich, None);
}

#[test]
fn an_error_in_run_leaves_the_same_confinement_or_nothing() {
    sweep("errors in run", Verb::Run, rich, None);
}

#[test]
fn an_error_in_exec_leaves_the_same_confinement_or_nothing() {
    sweep("errors in exec", Verb::Exec, rich, None);
}

#[test]
fn an_error_in_create_with_a_user_namespace_leaves_the_same_confinement_or_nothing() {
    sweep("errors in create with a user namespace", Verb::Create, in_user_namespace, None);
}

#[test]
fn an_error_in_exec_with_a_user_namespace_leaves_the_same_confinement_or_nothing() {
    sweep("errors in exec with a user namespace", Verb::Exec, in_user_namespace, None);
}

/// Root of a user namespace, with a root file system that cannot be written, and without the option not to gain privileges.
fn in_user_namespace() -> Bundle {
    Bundle::base().mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "mode=1777"]).user_namespace(100_000, 65536).with(
        |config| {
            config["process"]["noNewPrivileges"] = false.into();
            config["process"]["user"] = json!({"uid": 0, "gid": 0, "additionalGids": [7]});
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
            });
        },
    )
}
