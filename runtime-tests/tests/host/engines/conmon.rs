//! conmon and conmon-rs, the monitors of podman and CRI-O: they start `create` and `exec` and adopt what comes of it;
//! the engine makes all other calls itself.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use runtime_tests::engine::{adopted, as_monitor, last_error, mortal, pid_in, pipe};
use runtime_tests::{Bundle, Receiver, Terminal, may_fail_on};
use serde_json::{Value, json};

use super::{Engine, quiet};

const CREATE: [&str; 6] = ["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/pidfile", "ID"];

/// conmon's words before each command, for runtimes whose log podman knows to read.
fn conmon(bundle: Bundle) -> Engine {
    Engine::new(bundle, &["--root", "ROOT", "--log-format=json", "--log", "LOG"])
}

/// A call as conmon starts it: the pipes to podman are open and named in the environment, and are closed by execve;
/// streams are pipes of conmon's own.
struct Call {
    child: Child,
    stdout: File,
    stderr: File,
}

impl Call {
    fn start(mut command: Command) -> Self {
        let (sync, start) = (pipe(), pipe());
        command.env("_OCI_SYNCPIPE", sync.1.as_raw_fd().to_string());
        command.env("_OCI_STARTPIPE", start.0.as_raw_fd().to_string());
        let ((stdout, out), (stderr, err)) = (pipe(), pipe());
        mortal(command.stdin(Stdio::null()).stdout(out).stderr(err));
        Self { child: command.spawn().unwrap(), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[track_caller]
    fn status(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }

    /// Standard error until it is closed.
    fn said(&mut self) -> String {
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).unwrap();
        text
    }
}

/// podman's process for an `exec`.
fn process(engine: &Engine, args: &[&str]) -> String {
    let file = engine.bundle.home().join("exec-process");
    let process = json!({
        "user": {"uid": 0, "gid": 0},
        "args": args,
        "env": ["PATH=/usr/bin:/bin", "TERM=xterm", "container=podman"],
        "cwd": "/",
    });
    fs::write(&file, process.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_whole_life_with_podman() {
    as_monitor(|| {
        let conmon = conmon(Bundle::base().sh("echo out; echo err >&2; exec sleep 1000"));
        let mut create = Call::start(conmon.command(&CREATE));
        assert_eq!(create.status(), 0);
        let init = pid_in(conmon.file("pidfile"));
        let podman = Engine::new(conmon.bundle, &["--root", "ROOT"]);
        assert_eq!(podman.status(), "created");
        quiet(podman.call(&["start", "ID"]));
        for (mut stream, text) in [(create.stdout, "out\n"), (create.stderr, "err\n")] {
            let mut seen = [0; 16];
            let length = stream.read(&mut seen).unwrap();
            assert_eq!(std::str::from_utf8(&seen[..length]).unwrap(), text);
        }
        let file = process(&podman, &["/bin/sh", "-c", "echo $container; exit 9"]);
        let log = podman.log().display().to_string();
        let words = ["--log-format=json", "--log", &log, "exec", "--pid-file", "BUNDLE/exec_pid", "--process", &file];
        let mut exec = Call::start(podman.command(&[&words[..], &["--detach", "ID"]].concat()));
        assert_eq!(exec.status(), 0);
        assert_eq!(adopted(pid_in(podman.file("exec_pid"))), 9);
        let mut text = String::new();
        exec.stdout.read_to_string(&mut text).unwrap();
        assert_eq!(text, "podman\n");

        quiet(podman.call(&["pause", "ID"]));
        quiet(podman.call(&["resume", "ID"]));
        let resources = podman.bundle.home().join("podman-resources");
        fs::write(&resources, "{}").unwrap();
        may_fail_on(&[("runc", "wants the controllers"), ("crun", "wants the controllers")], || {
            quiet(podman.call(&["update", &format!("--resources={}", resources.display()), "ID"]));
        });
        quiet(podman.call(&["kill", "ID", "37"]));
        quiet(podman.call(&["kill", "ID", "9"]));
        assert_eq!(adopted(init), 137);
        quiet(podman.call(&["kill", "--all", "ID", "9"]));
        assert_eq!(podman.status(), "stopped");
        quiet(podman.call(&["delete", "--force", "ID"]));
        quiet(podman.call(&["delete", "--force", "ID"]));
        podman.bundle.assert_nothing_left();
    });
}

/// conmon copies standard error of a call that failed to podman, which reads the log as well if it knows the runtime.
#[test]
fn a_failure_is_told_on_standard_error_and_in_the_log() {
    let conmon = conmon(Bundle::base().args(&["nosuch"]));
    let mut create = Call::start(conmon.command(&CREATE));
    let said = create.said();
    assert_eq!(create.status(), 1);
    let logged = last_error(conmon.log());
    for text in [said, logged] {
        assert!(text.contains("nosuch") && text.to_lowercase().contains("executable file"), "{text}");
    }
    assert!(!conmon.file("pidfile").exists());
    conmon.bundle.assert_nothing_left();
}

/// `podman run --preserve-fds` and socket activation: conmon becomes the runtime with these descriptors open.
#[test]
fn descriptors_are_handed_through() {
    as_monitor(|| {
        let conmon = conmon(Bundle::base().sh("cat <&3; /bin/probe fds >&4"));
        let (inner, outer) = (pipe(), pipe());
        File::from(inner.1).write_all(b"through").unwrap();
        let words = ["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/pidfile", "--preserve-fds", "2", "ID"];
        let mut command = conmon.command(&words);
        let numbers = [inner.0.as_raw_fd(), outer.1.as_raw_fd()];
        // SAFETY: between fork and exec the closure makes plain system calls on numbers.
        unsafe {
            command.pre_exec(move || {
                // First out of the way, for the numbers may overlap.
                let high = numbers.map(|number| libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 100));
                libc::dup2(high[0], 3);
                libc::dup2(high[1], 4);
                Ok(())
            });
        }
        // Straight from this process, because the pipes' numbers of [`Call`] would be in the way.
        let (stdout, out) = pipe();
        assert!(mortal(command.stdout(out).stderr(Stdio::inherit())).status().unwrap().success());
        drop((inner.0, outer.1, command));
        let init = pid_in(conmon.file("pidfile"));
        quiet(conmon.call(&["start", "ID"]));
        assert_eq!(adopted(init), 0);
        let mut text = String::new();
        File::from(stdout).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        text.clear();
        File::from(outer.0).read_to_string(&mut text).unwrap();
        let numbers: Vec<_> = text.lines().map(|line| line.split('=').next().unwrap()).collect();
        assert_eq!(numbers, ["0", "1", "2", "3", "4"], "{text}");
    });
}

/// conmon-rs gives its global options twice, and reads standard error of a call with a terminal until it is closed.
#[test]
fn a_whole_life_with_conmon_rs() {
    as_monitor(|| {
        let terminal = |config: &mut Value| config["process"]["terminal"] = true.into();
        let bundle = Bundle::base().with(terminal).sh("read line; echo got $line; read line; exit 3");
        let conmon = Engine::new(bundle, &["--root=ROOT", "--root=ROOT"]);
        let of_init = Receiver::at(&conmon.bundle.home().join("init.sock"));
        let socket = format!("--console-socket={}", of_init.argument());
        let words = ["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/pidfile", &socket, "ID"];
        let mut create = Call::start(conmon.command(&words));
        let mut console = Terminal::of(of_init.take().0);
        assert_eq!((create.said().as_str(), create.status()), ("", 0));
        let init = pid_in(conmon.file("pidfile"));
        quiet(conmon.call(&["start", "ID"]));
        console.send("a line\n");
        console.wait_for("got a line");

        let of_exec = Receiver::at(&conmon.bundle.home().join("exec.sock"));
        let socket = format!("--console-socket={}", of_exec.argument());
        let words = ["exec", "-d", &socket, "--tty", "--pid-file=BUNDLE/exec_pid", "ID", "sh", "-c", "read l; exit 8"];
        let mut exec = Call::start(conmon.command(&words));
        let mut second = Terminal::of(of_exec.take().0);
        assert_eq!((exec.said().as_str(), exec.status()), ("", 0));
        second.send("\n");
        assert_eq!(adopted(pid_in(conmon.file("exec_pid"))), 8);
        console.send("\n");
        assert_eq!(adopted(init), 3);
        quiet(conmon.call(&["delete", "--force", "ID"]));
        conmon.bundle.assert_nothing_left();
    });
}
