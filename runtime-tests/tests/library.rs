//! The library minirun-container: its examples, which make containers without the program, and its records.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::fs;
use std::process::Command;

use runtime_tests::{Bundle, Output};

/// Runs an example, which is built beside this program.
#[track_caller]
fn example(name: &str, bundle: &Bundle, arguments: &[&str]) -> Output {
    let program = std::env::current_exe().unwrap();
    let program = program.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is missing (hint: runtime-tests/test-programs library builds it)", program.display());
    let mut command = Command::new(program);
    command.arg(bundle.state_root()).args(arguments);
    bundle.write();
    bundle.finish(&mut command)
}

fn path(bundle: &Bundle) -> String {
    bundle.path().to_str().unwrap().to_owned()
}

#[test]
fn run_runs_a_bundle() {
    let bundle = Bundle::base().sh("echo hello; exit 3");
    let output = example("run", &bundle, &[&path(&bundle)]);
    assert_eq!((output.status, output.stdout.as_str()), (3, "hello\n"), "{}", output.stderr);
    assert_eq!(example("list", &bundle, &[]).stdout, "");
}

#[test]
fn lifecycle_carries_a_container_from_create_to_delete() {
    let bundle = Bundle::base().sh("exec sleep 1000");
    let output = example("lifecycle", &bundle, &[&path(&bundle), "/bin/sh", "-c", "exit 5"]);
    let expected = "created\nrunning\nexec: exit status: 5\ninit: signal: 9 (SIGKILL)\nstopped\n";
    assert_eq!(output.stdout, expected, "{}", output.stderr);
    assert_eq!(output.status, 0, "{}", output.stderr);
    assert_eq!(example("list", &bundle, &[]).stdout, "");
}

#[test]
fn containers_of_the_program_are_listed_and_entered() {
    let container = Bundle::base().probe("pause").create();
    container.start();
    let (bundle, id) = (container.bundle(), container.bundle().id());
    let listed = example("list", bundle, &[]).stdout;
    assert_eq!(listed, format!("{id} running Some({})\n", container.pid()));
    let output = example("exec", bundle, &[id, "/bin/sh", "-c", "echo inside"]);
    assert_eq!((output.status, output.stdout.as_str()), (0, "inside\n"), "{}", output.stderr);
}

#[test]
fn errors_have_the_words_of_the_program() {
    let bundle = Bundle::base();
    let output = example("exec", &bundle, &["nowhere", "/bin/true"]);
    assert_eq!(output.status, 1);
    assert!(output.stderr.contains("container does not exist: nowhere"), "{}", output.stderr);
}

#[test]
fn nothing_is_left_in_the_calling_process() {
    let bundle = Bundle::base().args(&["/bin/true"]);
    let output = example("caller", &bundle, &[&path(&bundle)]);
    assert_eq!(output.status, 0, "{}", output.stderr);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("refused: invalid container ID format: \"../x\""), "{lines:?}");
    assert_eq!(lines[1..], ["other child: exit status: 7", "exit status: 0", "exit status: 0", "as before"]);
}

#[test]
fn a_record_of_a_newer_version_is_refused() {
    let container = Bundle::base().probe("pause").create();
    let record = container.bundle().state_root().join(container.bundle().id()).join("state.json");
    let text = fs::read_to_string(&record).unwrap();
    assert!(text.contains("\"version\":1,"), "{text}");
    fs::write(&record, text.replacen("\"version\":1,", "\"version\":2,", 1)).unwrap();
    for verb in [&["state"][..], &["start"], &["kill"], &["delete"], &["delete", "--force"]] {
        let message = container.call(verb, &[]).failure();
        assert!(
            message.contains("state.json: version 2 is newer than 1, the newest that this program supports"),
            "{message}"
        );
        assert!(message.contains("hint: use the version of the program that made the container"), "{message}");
    }
    fs::write(&record, text).unwrap();
    container.start();
}
