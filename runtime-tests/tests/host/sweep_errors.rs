//! An error at every system call, with one configuration that has something of everything, and one with a user namespace.

use crate::errors::{Verb, in_user_namespace, rich, sweep};

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
