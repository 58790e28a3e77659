//! `docker run -it`, `attach` and `exec -it`, at a terminal.

use runtime_tests::{Terminal, fails_on};

use super::{Named, docker, says, sh, shell, wait_until};

/// At a new terminal, as a person would start it.
#[track_caller]
fn at_a_terminal(words: &str) -> (Terminal, std::process::Child) {
    // Prepares the machine as well.
    let mut command = shell(words);
    let (terminal, _slave, child) = Terminal::start(command.env("TERM", "xterm"), 24, 80);
    (terminal, child)
}

#[test]
fn a_shell_can_be_left_and_attached_again() {
    let _docker = docker();
    let _named = Named(&["terminal"]);
    let (mut terminal, mut client) = at_a_terminal("exec docker run -it --name terminal box");
    terminal.wait_for("# ");
    terminal.send("tty; stty size\n");
    terminal.wait_for("/dev/pts/0");
    terminal.wait_for("24 80");
    // Docker's client hears of it only from when the call that starts the container has come back.
    wait_until("the new size", || {
        terminal.resize(40, 119);
        terminal.resize(40, 120);
        says("docker exec terminal stty -F /dev/pts/0 size") == "40 120"
    });
    // Ctrl-P Ctrl-Q.
    terminal.send("\x10\x11");
    wait_until("the client's end", || client.try_wait().unwrap().is_some());
    assert_eq!(says("docker ps --quiet --filter 'name=^terminal$' --filter status=running | wc -l"), "1");

    let (mut terminal, mut client) = at_a_terminal("exec docker attach terminal");
    terminal.send("echo $((6 * 7)); exit 6\n");
    terminal.wait_for("42");
    let mut status = None;
    wait_until("the client's end", || {
        status = client.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(6));
}

#[test]
#[ignore = "long"]
fn exec_has_a_terminal_of_its_own() {
    let _docker = docker();
    let _named = Named(&["terminal-exec"]);
    says("docker run -d --name terminal-exec box sleep 1000");
    let (mut terminal, mut client) =
        at_a_terminal("exec docker exec -it -e WORD=word -w /srv -u 1000 terminal-exec sh");
    terminal.wait_for("$ ");
    terminal.send("pwd; echo $WORD $(id -u); tty; stty size; exit 3\n");
    for text in ["/srv", "word 1000", "/dev/pts/0", "24 80"] {
        terminal.wait_for(text);
    }
    assert_eq!(client.wait().unwrap().code(), Some(3));
    assert_eq!(sh("docker exec terminal-exec sh -c 'exit 4'").status, 4);
    let output = sh("docker exec terminal-exec nosuch");
    assert_eq!(output.status, 126);
    fails_on(&[("crun", "says \"executable file `nosuch` not found\"")], || {
        assert!(output.stdout.contains("executable file not found"), "{output:?}");
    });
}
