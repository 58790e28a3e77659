//! The bar that tells how far the unpacking is: on a terminal, and gone at the end.

use std::fs;
use std::process::Command;

use runtime_tests::{Runtime, Terminal};
use serde_json::json;

use crate::archive::{archive, docker, file};
use crate::home::Home;

/// What a terminal shows while a caller there makes a bundle.
#[track_caller]
fn shown(home: &Home, options: &str, redirected: &str) -> String {
    let _before = fs::remove_dir_all(home.path("store"));
    let _before = fs::remove_dir_all(home.path("bundle"));
    let words = "bundle --store store --cmd true docker-archive:image.tar bundle";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec \"$0\" {options} {words} {redirected}")])
        .arg(Runtime::from_env().bare().get_program());
    let (terminal, slave, mut child) = Terminal::start(shell.current_dir(home.path(".")), 24, 80);
    assert!(child.wait().unwrap().success());
    // The command has them open as well.
    drop((slave, shell));
    terminal.rest()
}

#[test]
fn a_bar_is_shown_on_a_terminal_and_wiped_off() {
    let home = Home::new();
    let layers: Vec<_> = (0..3).map(|number| archive(&[file(format!("f{number}"), &"x".repeat(5 << 20))])).collect();
    docker(&home.path("image.tar"), &json!({}), &layers);
    let text = shown(&home, "", "");
    assert!(text.starts_with("\rlayers 0/3 [                              ] 0 B/15.0 MiB\x1b[K"), "{text:?}");
    // Each takes the place of the last, and at the end there is none.
    assert!(!text.contains('\n') && text.ends_with("\r\x1b[K"), "{text:?}");
    for line in text.trim_start_matches('\r').trim_end_matches("\r\x1b[K").split('\r') {
        assert!(line.ends_with(" MiB\x1b[K") && line.len() < 80, "{line:?}");
    }
}

#[test]
fn who_does_not_sit_at_a_terminal_sees_no_bar() {
    let home = Home::new();
    docker(&home.path("image.tar"), &json!({}), &[archive(&[file("f", &"x".repeat(5 << 20))])]);
    assert_eq!(shown(&home, "--log messages", ""), "");
    assert_eq!(shown(&home, "", "2>errors"), "");
    for name in ["messages", "errors"] {
        assert_eq!(fs::read_to_string(home.path(name)).unwrap(), "", "{name}");
    }
}
