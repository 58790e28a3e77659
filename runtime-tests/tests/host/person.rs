//! A person at a terminal: a shell in the foreground, and the terminal afterwards.

use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime_tests::{Bundle, Container, Terminal, may_fail_on, wait_until};

/// A terminal at which somebody has called the runtime.
struct Seat {
    terminal: Terminal,
    _slave: OwnedFd,
    call: Child,
}

impl Seat {
    /// Calls, and waits for the shell.
    fn at(command: &mut Command) -> Self {
        let (terminal, slave, call) = Terminal::start(command, 24, 80);
        let mut seat = Self { terminal, _slave: slave, call };
        seat.terminal.wait_for("ready$ ");
        seat
    }

    /// Types a line, and waits for what the shell answers.
    #[track_caller]
    fn ask(&mut self, line: &str, answer: &str) {
        self.terminal.send(&format!("{line}\r"));
        self.terminal.wait_for(answer);
    }

    /// Presses a key while a job has the foreground, which the shell must have given it before.
    fn press(&mut self, key: &str) {
        std::thread::sleep(Duration::from_millis(300));
        self.terminal.send(key);
    }

    /// The exit status of the call.
    #[track_caller]
    fn end(&mut self) -> i32 {
        let mut status = None;
        wait_until("the end of the call", || {
            status = self.call.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code().unwrap()
    }
}

/// A bundle with a shell at a terminal, whose prompt is not among what is typed.
fn shell() -> Bundle {
    Bundle::base().args(&["/bin/sh"]).with(|config| {
        config["process"]["terminal"] = true.into();
        config["process"]["env"] = ["PATH=/bin", "TERM=xterm", "PS1=ready$ "].as_slice().into();
    })
}

/// `exec -t` of a shell.
fn shell_in(container: &Container) -> Command {
    container.bundle().command(&["exec", "-t", "-e", "PS1=ready$ ", container.bundle().id(), "/bin/sh"])
}

/// Does the same with the shell of `run` and with that of `exec -t`.
fn with_both(test: impl Fn(&mut Seat)) {
    let bundle = shell();
    test(&mut Seat::at(&mut bundle.command_for("run", &[])));
    bundle.assert_nothing_left();
    let container = Bundle::base().probe("pause").create();
    container.start();
    test(&mut Seat::at(&mut shell_in(&container)));
}

#[test]
fn a_shell_controls_its_jobs() {
    with_both(|seat| {
        seat.ask("sleep 100 &", "ready$ ");
        seat.ask("jobs", "Running");
        seat.terminal.wait_for("ready$ ");
        seat.ask("fg", "sleep 100");
        seat.press("\x1a");
        seat.terminal.wait_for("Stopped");
        seat.terminal.wait_for("ready$ ");
        seat.ask("bg", "ready$ ");
        seat.ask("jobs", "Running");
        seat.terminal.wait_for("ready$ ");
        seat.ask("fg", "sleep 100");
        seat.press("\x03");
        seat.terminal.wait_for("ready$ ");
        seat.ask("echo status=$?", "status=130");
        seat.terminal.wait_for("ready$ ");
        seat.terminal.send("exit 7\r");
        assert_eq!(seat.end(), 7);
    });
}

#[test]
fn the_end_of_the_input_ends_the_shell() {
    with_both(|seat| {
        seat.ask("(exit 9)", "ready$ ");
        seat.terminal.send("\x04");
        assert_eq!(seat.end(), 9);
    });
}

#[test]
fn a_line_is_edited_and_can_be_given_up() {
    with_both(|seat| {
        seat.terminal.send("echo wrong\x03");
        seat.terminal.wait_for("ready$ ");
        seat.ask("echo ro\x7fight=$((6 * 7))", "right=42");
        seat.terminal.send("exit\r");
        assert_eq!(seat.end(), 0);
    });
}

#[test]
fn the_size_follows_the_window() {
    may_fail_on(&[("crun", "1.8.1 passes no change on to exec")], || {
        with_both(|seat| {
            for (rows, columns) in [(40, 120), (5, 60), (60, 200)] {
                seat.terminal.resize(rows, columns);
                let wanted = format!("{rows} {columns}\r");
                // The news takes a moment.
                let arrived = (0..100).any(|_| {
                    seat.terminal.send("/bin/busybox stty size\r");
                    seat.terminal.wait_for("ready$ ").contains(&wanted)
                });
                assert!(arrived, "{wanted}");
            }
            seat.terminal.send("exit 3\r");
            assert_eq!(seat.end(), 3);
        });
    });
}

/// How a call comes to its end: in words, the exit status, what brings it about.
type End<'a, On> = (&'a str, i32, fn(&On, &mut Seat));

/// A call whose shell exits with 7 on a signal to the call; it looks at its traps when a line has come.
fn signalled(seat: &mut Seat, signal: Signal) {
    seat.ask(&format!("trap 'exit 7' {}", &signal.as_str()[3..]), "ready$ ");
    kill(Pid::from_raw(seat.call.id() as i32), signal).unwrap();
    wait_until("the trap", || {
        seat.terminal.send("\r");
        std::thread::sleep(Duration::from_millis(100));
        seat.call.try_wait().unwrap().is_some()
    });
}

#[test]
fn the_terminal_is_restored_whatever_ends_the_call() {
    let ends: [End<'_, Bundle>; 7] = [
        ("exit", 7, |_, seat| seat.terminal.send("exit 7\r")),
        ("kill", 137, |bundle, _| drop(bundle.call(&["kill", bundle.id(), "KILL"]).success())),
        ("kill --all", 137, |bundle, _| drop(bundle.call(&["kill", "--all", bundle.id(), "KILL"]).success())),
        ("delete by force", 137, |bundle, _| drop(bundle.call(&["delete", "-f", bundle.id()]).success())),
        ("a state that vanishes", 7, |bundle, seat| {
            std::fs::remove_dir_all(bundle.state_root().join(bundle.id())).unwrap();
            seat.terminal.send("exit 7\r");
        }),
        ("SIGTERM to the call", 7, |_, seat| signalled(seat, Signal::SIGTERM)),
        ("SIGHUP to the call", 7, |_, seat| signalled(seat, Signal::SIGHUP)),
    ];
    for (what, status, end) in ends {
        let bundle = shell();
        let before = Terminal::pair(24, 80).0.mode();
        let mut seat = Seat::at(&mut bundle.command_for("run", &[]));
        let known = [("runc", "1.1 answers 1 where its state is gone"), ("crun", "as runc, and its own mode may stay")];
        may_fail_on(&known, || {
            end(&bundle, &mut seat);
            assert_eq!(seat.end(), status, "{what}");
            assert_eq!(seat.terminal.mode(), before, "{what}: not restored");
        });
    }
}

/// The same for a further process, whose container may go before it.
#[test]
fn the_terminal_is_restored_after_a_further_process() {
    let ends: [End<'_, Container>; 5] = [
        ("exit", 7, |_, seat| seat.terminal.send("exit 7\r")),
        ("kill", 137, |container, _| container.kill("KILL")),
        ("delete by force", 137, |container, _| drop(container.call(&["delete", "-f"], &[]).success())),
        ("SIGTERM to the call", 7, |_, seat| signalled(seat, Signal::SIGTERM)),
        ("SIGHUP to the call", 7, |_, seat| signalled(seat, Signal::SIGHUP)),
    ];
    for (what, status, end) in ends {
        let container = Bundle::base().probe("pause").create();
        container.start();
        let before = Terminal::pair(24, 80).0.mode();
        let mut seat = Seat::at(&mut shell_in(&container));
        may_fail_on(&[("crun", "1.8.1 waits for ever where its container is gone")], || {
            end(&container, &mut seat);
            assert_eq!(seat.end(), status, "{what}");
            assert_eq!(seat.terminal.mode(), before, "{what}: not restored");
        });
    }
}
