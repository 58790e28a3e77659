//! `docker run` and its exit statuses.

use super::{docker, refuses, runtime, says, sh};

#[test]
fn the_runtime_is_the_default() {
    let _docker = docker();
    assert_eq!(says("docker info --format '{{.DefaultRuntime}}'"), runtime());
}

#[test]
fn a_program_that_cannot_run_has_the_status_of_a_shell() {
    let _docker = docker();
    assert!(refuses("docker run --rm box nosuch").contains("executable file not found"));
    for (words, status) in [("nosuch", 127), ("/etc/passwd", 126), ("/etc", 126), ("sh -c 'exit 5'", 5)] {
        assert_eq!(sh(&format!("docker run --rm box {words}")).status, status, "{words}");
    }
    assert_eq!(sh("docker run --rm --nosuch box true").status, 125);
}
