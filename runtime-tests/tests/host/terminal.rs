//! Terminals: the one that a detached container gets through a socket, and the caller's around a call in the foreground.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::process::{Child, Command};

use nix::sys::termios::LocalFlags;
use runtime_tests::{Bundle, Canary, Container, Receiver, Terminal, fails_on, may_fail_on, wait_until};
use serde_json::json;

/// A bundle whose process has a terminal.
fn base() -> Bundle {
    Bundle::base().with(|config| config["process"]["terminal"] = true.into())
}

/// `create` with a console socket, and the terminal that came through it.
fn created(bundle: Bundle) -> (Bundle, Terminal) {
    let receiver = Receiver::at(&bundle.home().join("console"));
    let call = runtime_tests::Running::start(
        &mut bundle.command_for("create", &["--console-socket", receiver.argument()]),
        bundle.home(),
    );
    let (master, payload) = receiver.take();
    may_fail_on(&[("crun", "sends a blank")], || {
        assert!(payload.starts_with("/dev/"), "the name of the terminal: {payload:?}");
    });
    call.finish().success();
    (bundle, Terminal::of(master))
}

/// A container with a terminal that runs.
fn started(bundle: Bundle) -> (Bundle, Terminal) {
    let (bundle, terminal) = created(bundle);
    bundle.call(&["start", bundle.id()]).success();
    (bundle, terminal)
}

/// `run` in the foreground of a new terminal.
fn foreground(bundle: &Bundle, rows: u16, columns: u16) -> (Terminal, OwnedFd, Child) {
    Terminal::start(&mut bundle.command_for("run", &[]), rows, columns)
}

#[track_caller]
fn status(mut child: Child) -> i32 {
    let mut status = None;
    wait_until("the end of the call", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap().code().unwrap()
}

/// The value of a line of the probe on a screen.
fn value(screen: &str, key: &str) -> String {
    let found = screen.lines().find_map(|line| line.trim_end().strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {key} in {screen:?}")).to_owned()
}

#[test]
fn the_master_comes_through_the_socket() {
    let (bundle, mut terminal) = created(base().sh("read line; echo got $line"));
    let state = bundle.call(&["state", bundle.id()]).success();
    assert!(state.contains("\"created\""), "{state}");
    bundle.call(&["start", bundle.id()]).success();
    terminal.send("something\n");
    terminal.wait_for("got something");
}

#[test]
fn the_slave_is_the_streams_the_console_and_the_controlling_terminal() {
    let (_bundle, mut terminal) = started(base().sh("/bin/probe terminal; /bin/probe fds; echo over; sleep 1000"));
    let screen = terminal.wait_for("over");
    assert_eq!(value(&screen, "controls"), "true", "{screen}");
    assert_eq!(value(&screen, "console"), value(&screen, "stdin"), "{screen}");
    for key in ["name", "0", "1", "2"] {
        assert_eq!(value(&screen, key), "/dev/pts/0", "{screen}");
    }
    assert!(!screen.contains("\n3="), "{screen}");
}

#[test]
fn the_console_is_a_mount() {
    let (_bundle, mut terminal) = started(base().sh("cat /proc/self/mountinfo; echo over; sleep 1000"));
    let mounts = terminal.wait_for("over");
    let console: Vec<_> = mounts.lines().filter(|line| line.contains(" /dev/console ")).collect();
    assert!(
        matches!(console[..], [line] if line.contains(" /0 /dev/console ") && line.contains("- devpts ")),
        "{mounts}"
    );
}

#[test]
fn the_size_is_the_configured_one() {
    let sized = base().with(|config| config["process"]["consoleSize"] = json!({"height": 31, "width": 97}));
    let (_bundle, mut terminal) = started(sized.sh("/bin/probe terminal; echo over; sleep 1000"));
    let screen = terminal.wait_for("over");
    assert_eq!((value(&screen, "rows").as_str(), value(&screen, "columns").as_str()), ("31", "97"), "{screen}");
}

#[test]
fn jobs_are_controlled() {
    let (bundle, mut terminal) = started(base().args(&["/bin/sh", "-i"]));
    terminal.wait_for("# ");
    terminal.send("echo job; sleep 1000\n");
    terminal.wait_for("\njob");
    // The shell must have handed the terminal over before the key is pressed.
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.send("\x03");
    terminal.wait_for("# ");
    terminal.send("echo status=$?\n");
    terminal.wait_for("status=130");
    terminal.send("/bin/probe pause\n");
    terminal.wait_for("\nready");
    terminal.send("\x1a");
    terminal.wait_for("Stopped");
    terminal.send("exec true\n");
    wait_until("the end", || bundle.call(&["state", bundle.id()]).stdout.contains("stopped"));
}

#[test]
fn the_terminal_belongs_to_the_user() {
    let user = base().with(|config| config["process"]["user"] = json!({"uid": 1000, "gid": 1000}));
    let (_bundle, mut terminal) =
        started(user.sh("/bin/probe terminal; echo written > /dev/tty; echo too > /dev/stderr; sleep 1000"));
    let screen = terminal.wait_for("too");
    assert!(value(&screen, "stdin").ends_with(" 1000"), "{screen}");
    assert!(screen.contains("written"), "{screen}");
}

#[test]
fn it_works_in_a_user_namespace() {
    let (_bundle, mut terminal) =
        started(base().user_namespace(200_000, 65_536).sh("/bin/probe terminal; echo over; sleep 1000"));
    let screen = terminal.wait_for("over");
    assert_eq!(value(&screen, "controls"), "true", "{screen}");
    assert_eq!(value(&screen, "console"), value(&screen, "stdin"), "{screen}");
}

#[test]
fn a_terminal_needs_somebody_to_take_it() {
    let bundle = base();
    let console = bundle.home().join("console");
    let _receiver = Receiver::at(&console);
    let option = ["--console-socket", console.to_str().unwrap()];
    let detached = "will detach without setting console socket";
    let kept = "cannot use console socket if";
    let rows: [(bool, &str, &[&str], &str); 5] = [
        (true, "create", &[], detached),
        (true, "run", &["-d"], detached),
        (true, "run", &option, kept),
        (false, "create", &option, kept),
        (false, "run", &[option[0], option[1], "-d"], kept),
    ];
    let mut bundle = bundle;
    for (wanted, verb, options, words) in rows {
        bundle = bundle.with(|config| config["process"]["terminal"] = wanted.into());
        let output = bundle.finish(&mut bundle.command_for(verb, options));
        may_fail_on(&[("crun", "has words of its own, and ignores a socket that it does not need")], || {
            assert!(output.status != 0 && output.stderr.contains(words), "{verb} {options:?}: {output:?}");
        });
        let _ = bundle.call(&["delete", "-f", bundle.id()]);
        bundle.assert_nothing_left();
    }
}

#[test]
fn a_socket_that_nobody_listens_on_is_named() {
    let bundle = base();
    let message =
        bundle.finish(&mut bundle.command_for("create", &["--console-socket", "/nonexistent/socket"])).failure();
    assert!(message.contains("/nonexistent/socket"), "{message}");
    bundle.assert_nothing_left();
}

#[test]
fn in_the_foreground_the_callers_terminal_is_passed_through() {
    let peers = [("crun", "1.8.1 sets the size later, and only when it changes")];
    may_fail_on(&peers, || {
        let bundle = base().sh("/bin/probe terminal; echo ready; read line; echo got $line; exit 3");
        let (mut terminal, _slave, child) = foreground(&bundle, 24, 80);
        let screen = terminal.wait_for("ready");
        assert_eq!((value(&screen, "rows").as_str(), value(&screen, "columns").as_str()), ("24", "80"), "{screen}");
        assert_eq!(
            (value(&screen, "controls").as_str(), value(&screen, "name").as_str()),
            ("true", "/dev/pts/0"),
            "{screen}"
        );
        terminal.send("typed\r");
        // Typed once, echoed once by the inner terminal, and answered.
        let screen = terminal.wait_for("got typed");
        assert_eq!(screen.matches("typed").count(), 2, "{screen:?}");
        assert_eq!(status(child), 3);
        bundle.assert_nothing_left();
    });
}

#[test]
fn a_change_of_size_arrives() {
    let peers = [("crun", "1.8.1 sets the size later, and only when it changes")];
    may_fail_on(&peers, || {
        let bundle = base().sh("while :; do /bin/busybox stty size; sleep 0.05; done");
        let (mut terminal, _slave, child) = foreground(&bundle, 24, 80);
        terminal.wait_for("24 80");
        terminal.resize(40, 120);
        terminal.wait_for("40 120");
        terminal.resize(10, 20);
        terminal.wait_for("10 20");
        bundle.call(&["delete", "-f", bundle.id()]).success();
        assert_eq!(status(child), 137);
    });
}

#[test]
fn the_callers_terminal_is_raw_meanwhile_and_restored() {
    let killed = |bundle: &Bundle| drop(bundle.call(&["kill", bundle.id(), "KILL"]).success());
    type End<'a> = (&'a str, i32, &'a dyn Fn(&Bundle));
    let ends: [End<'_>; 2] = [("echo ready; read line; exit 5", 5, &|_| ()), ("echo ready; sleep 1000", 137, &killed)];
    for (script, wanted, end) in ends {
        let bundle = base().sh(script);
        let (terminal, slave) = Terminal::pair(24, 80);
        let before = terminal.mode();
        drop((terminal, slave));
        let (mut terminal, _slave, child) = foreground(&bundle, 24, 80);
        terminal.wait_for("ready");
        let cooked = LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG;
        assert!(!terminal.mode().2.intersects(cooked), "not raw: {:?}", terminal.mode());
        end(&bundle);
        terminal.send("\r");
        assert_eq!(status(child), wanted);
        assert_eq!(terminal.mode(), before, "not restored");
    }
}

#[test]
fn the_callers_terminal_is_as_before_after_a_failure() {
    let peers = [("crun", "1.8.1 does not restore it")];
    may_fail_on(&peers, || {
        for args in [&["/nonexistent"][..], &["/etc/passwd"]] {
            let bundle = base().args(args);
            let (mut terminal, _slave, child) = foreground(&bundle, 24, 80);
            assert_ne!(status(child), 0);
            assert!(terminal.mode().2.contains(LocalFlags::ECHO | LocalFlags::ICANON));
            terminal.wait_for(args[0]);
            bundle.assert_nothing_left();
        }
    });
}

#[test]
fn control_c_is_for_the_container() {
    let bundle = base().sh("trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.05; done");
    let (mut terminal, _slave, child) = foreground(&bundle, 24, 80);
    terminal.wait_for("ready");
    terminal.send("\x03");
    terminal.wait_for("interrupted");
    assert_eq!(status(child), 5);
}

#[test]
fn the_last_output_is_not_lost() {
    for _ in 0..10 {
        let bundle = base().sh("seq 1 3000; echo the end");
        let (terminal, slave, child) = foreground(&bundle, 24, 80);
        let reader = std::thread::spawn(move || terminal.rest());
        assert_eq!(status(child), 0);
        drop(slave);
        let screen = reader.join().unwrap();
        assert!(screen.contains("\r\n3000\r\nthe end"), "{:?}", &screen[screen.len().saturating_sub(80)..]);
    }
}

#[test]
fn it_works_without_a_terminal_of_the_callers() {
    let peers =
        [("runc", "wants a terminal of the caller, /dev/tty"), ("crun", "wants standard input to be a terminal")];
    may_fail_on(&peers, || {
        let bundle = base().sh("seq 1 2000; /bin/probe session");
        let output = bundle.run();
        assert!(output.stdout.contains("\n2000\n") && output.stdout.contains("terminal=1"), "{output:?}");
        bundle.assert_nothing_left();
    });
}

#[test]
fn what_is_piped_in_is_typed() {
    let peers =
        [("runc", "wants a terminal of the caller, /dev/tty"), ("crun", "wants standard input to be a terminal")];
    may_fail_on(&peers, || {
        use std::io::Write;
        use std::process::Stdio;
        let bundle = base().args(&["/bin/sh"]);
        let mut command = bundle.command_for("run", &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"echo $((6 * 7))\nexit 3\n").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&output.stdout).contains("42"), "{output:?}");
        drop(stdin);
    });
}

#[test]
fn the_end_of_the_input_does_not_end_the_container() {
    let peers =
        [("runc", "wants a terminal of the caller, /dev/tty"), ("crun", "wants standard input to be a terminal")];
    may_fail_on(&peers, || {
        let bundle = base().sh("sleep 0.3; echo still here; exit 6");
        let output = bundle.run();
        assert_eq!(output.status, 6);
        assert!(output.stdout.contains("still here"), "{output:?}");
    });
}

fn with_init() -> Container {
    let container = Bundle::base().probe("pause").create();
    container.start();
    container
}

#[test]
fn a_further_process_gets_a_terminal_in_the_foreground() {
    let container = with_init();
    let bundle = container.bundle();
    let script = "/bin/probe terminal; echo ready; read line; echo got $line; exit 9";
    let mut command = bundle.command(&["exec", "-t", bundle.id(), "sh", "-c", script]);
    let (mut terminal, _slave, child) = Terminal::start(&mut command, 33, 99);
    let screen = terminal.wait_for("ready");
    assert_eq!((value(&screen, "rows").as_str(), value(&screen, "columns").as_str()), ("33", "99"), "{screen}");
    assert_eq!(
        (value(&screen, "controls").as_str(), value(&screen, "name").as_str()),
        ("true", "/dev/pts/0"),
        "{screen}"
    );
    terminal.send("typed\r");
    terminal.wait_for("got typed");
    assert_eq!(status(child), 9);
    assert!(terminal.mode().2.contains(LocalFlags::ECHO));
}

#[test]
fn a_further_process_gets_a_terminal_through_a_socket() {
    let container = with_init();
    let receiver = Receiver::at(&container.bundle().home().join("console"));
    let options = ["-d", "-t", "--console-socket", receiver.argument()];
    container.exec(&options, &["sh", "-c", "read line; echo got $line"]).success();
    let mut terminal = Terminal::of(receiver.take().0);
    terminal.send("a line\n");
    terminal.wait_for("got a line");
    let message = container.exec(&["-d", "-t"], &["true"]).failure();
    fails_on(&[("crun", "has words of its own")], || {
        assert!(message.contains("will detach without setting console socket"), "{message}");
    });
}

#[test]
fn a_further_process_for_a_user_owns_its_terminal() {
    let peers = [("crun", "1.8.1 leaves it to root")];
    may_fail_on(&peers, || {
        let container = with_init();
        let bundle = container.bundle();
        let mut command = bundle.command(&["exec", "-t", "-u", "1000", bundle.id(), "/bin/probe", "terminal"]);
        let (terminal, slave, child) = Terminal::start(&mut command, 24, 80);
        assert_eq!(status(child), 0);
        drop((command, slave));
        let screen = terminal.rest();
        assert!(value(&screen, "stdin").ends_with(" 1000"), "{screen}");
    });
}

/// CVE-2025-52565 without the race: the console is whatever the image calls so.
#[test]
fn a_console_that_is_a_link_stays_inside() {
    let home = Bundle::base();
    let canary = Canary::new(home.home());
    for target in [canary.path().join("mark").display().to_string(), "/proc/sysrq-trigger".into(), "null".into()] {
        let bundle = base().writable().without_mount("/dev");
        fs::create_dir_all(bundle.rootfs().join("dev/pts")).unwrap();
        symlink(&target, bundle.rootfs().join("dev/console")).unwrap();
        let bundle = bundle.mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666", "mode=0620"]);
        let output = bundle.sh("cat /proc/self/mountinfo").run();
        canary.assert_untouched();
        assert!(output.status != 0 || !output.stdout.contains("/sysrq-trigger "), "{target}: {output:?}");
    }
}

/// More than the terminal holds in each direction.
#[test]
fn much_input_waits_until_it_is_read() {
    let bundle = base().args(&["/bin/cat"]);
    let mut input = "0123456789\n".repeat(20_000).into_bytes();
    input.push(4);
    let file = bundle.home().join("input");
    fs::write(&file, input).unwrap();
    let call = bundle.command_for("run", &[]);
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" <\"$0\""]).arg(&file).arg(call.get_program()).args(call.get_args());
    let output = bundle.finish(&mut command);
    // All that cat repeats is there; of what the terminal echoes besides, it drops what nobody takes in time.
    assert!(output.success().len() >= 20_000 * 11);
}

/// What systemd and getty do with a console.
#[test]
fn a_terminal_may_have_nobody_for_a_while() {
    may_fail_on(&[("crun", "takes it for the end")], || {
        let script = "exec 0<&- 1>&- 2>&-; sleep 1; exec >/dev/console; echo back";
        let bundle = base().args(&["/bin/sh", "-c", script]);
        let mut call = bundle.command_for("run", &[]);
        assert_eq!(bundle.finish(&mut call).success(), "back\n");
    });
}

#[test]
fn output_that_is_no_terminal_gets_the_lines_as_they_were_written() {
    // runc opens the caller's terminal even where none of the streams is one.
    let peers = [("runc", "needs a terminal"), ("crun", "ends lines by CR LF")];
    may_fail_on(&peers, || {
        let bundle = base().sh("echo one; echo two >&2; /bin/probe terminal");
        let seen = bundle.run().success();
        assert!(seen.starts_with("one\ntwo\n") && !seen.contains('\r'), "{seen:?}");
        let container = Bundle::base().args(&["sleep", "1000"]).create();
        container.start();
        assert_eq!(container.exec(&["-t"], &["echo", "line"]).success(), "line\n");
    });
    // On a terminal, they are for a screen.
    let bundle = base().sh("echo one; echo two");
    let (mut terminal, _slave, child) = foreground(&bundle, 24, 80);
    terminal.wait_for("one\r\ntwo\r\n");
    assert_eq!(status(child), 0);
}

#[test]
fn a_program_may_change_how_its_lines_end() {
    let bundle = base().sh("/bin/busybox stty onlcr; echo one; /bin/busybox stty -onlcr; echo two");
    may_fail_on(&[("runc", "needs a terminal"), ("crun", "1.8.1 needs a terminal")], || {
        assert_eq!(bundle.run().success(), "one\r\ntwo\n");
    });
}

/// A hook that runs in the container, whose streams are the terminal.
fn with_hook(script: &str) -> Bundle {
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    base().with(|config| config["hooks"] = json!({"startContainer": hook})).sh("echo program")
}

#[test]
fn what_a_failing_hook_says_to_the_terminal_is_shown() {
    let bundle = with_hook("echo spoken; echo complained >&2; exit 3");
    fails_on(&[("runc", "1.1 ignores the failure"), ("crun", "1.8.1 ignores the failure")], || {
        let output = bundle.run();
        let all = format!("{}{}", output.stdout, output.stderr);
        assert!(output.status != 0 && !all.contains("program"), "{output:?}");
        for text in ["spoken", "complained", "hooks.startContainer[0]"] {
            assert!(all.contains(text), "{text} is missing: {output:?}");
        }
        bundle.assert_nothing_left();
    });
}

#[test]
fn a_hook_may_say_more_than_a_terminal_holds() {
    let bundle = with_hook("seq 20000; test $(wc -c < /proc/self/cmdline) -gt 0");
    may_fail_on(&[("runc", "needs a terminal"), ("crun", "1.8.1 needs a terminal")], || {
        let seen = bundle.run().success();
        let lines: Vec<_> = seen.lines().collect();
        assert_eq!((lines.len(), lines[19_999], lines[20_000]), (20_001, "20000", "program"));
    });
}
