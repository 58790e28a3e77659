//! `podman run -it`, `attach` and `exec -it`, at a terminal.

use std::thread;
use std::time::Duration;

use runtime_tests::wait_until;

use super::{Caller, ROOT, USER};

#[test]
#[ignore = "long"]
fn a_shell_of_root_can_be_left_and_attached_again() {
    a_shell(ROOT);
}

#[test]
#[ignore = "long"]
fn a_shell_of_a_user_can_be_left_and_attached_again() {
    a_shell(USER);
}

fn a_shell(podman: Caller) {
    let (mut terminal, mut client) = podman.at_a_terminal("podman run -it --network none --name terminal box");
    terminal.wait_for("# ");
    terminal.send("tty\n");
    terminal.wait_for("/dev/pts/0");
    // Podman tells of a size when the container runs already.
    let has = |size: &str| {
        wait_until(size, || podman.says("podman exec terminal stty -F /dev/pts/0 size") == size);
    };
    has("24 80");
    if !podman.user {
        terminal.resize(40, 120);
        has("40 120");
    }
    // Ctrl-P Ctrl-Q, which Podman knows only if it reads them one by one, as a person types.
    wait_until("the client's end", || {
        for key in ["\x10", "\x11"] {
            terminal.send(key);
            thread::sleep(Duration::from_millis(500));
        }
        client.try_wait().unwrap().is_some()
    });
    assert_eq!(podman.says("podman inspect --format '{{.State.Status}}' terminal"), "running");

    let (mut terminal, mut client) =
        podman.at_a_terminal("podman exec -it --env WORD=word --workdir /srv --user 1000 terminal sh");
    terminal.wait_for("$ ");
    terminal.send("pwd; echo $WORD $(id -u); tty; exit 3\n");
    for text in ["/srv", "word 1000", "/dev/pts/1"] {
        terminal.wait_for(text);
    }
    assert_eq!(client.wait().unwrap().code(), Some(3));

    let (mut terminal, mut client) = podman.at_a_terminal("podman attach terminal");
    // What was typed before is taken back.
    terminal.send("\x15echo $((6 * 7)); exit 6\n");
    terminal.wait_for("42");
    // The status of `podman attach` is not the container's.
    client.wait().unwrap();
    assert_eq!(podman.says("podman wait terminal; podman rm terminal"), "6\nterminal");
}
