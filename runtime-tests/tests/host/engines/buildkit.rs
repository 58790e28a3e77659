//! BuildKit: `run --keep` in the foreground and in a process group of its own, without any `--root`, and signals for
//! the runtime's process.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime_tests::engine::{last_error, mortal};
use runtime_tests::{Bundle, Leaks, Running, Terminal, fails_on, may_fail_on, wait_until};
use serde_json::{Value, json};

use super::{Engine, quiet};

const RUN: [&str; 5] = ["run", "--bundle", "BUNDLE", "--keep", "ID"];
/// crun of Debian 12 cannot take part.
const OLD: [(&str, &str); 1] = [("crun", "1.8.1 is older than --keep")];

/// BuildKit's words; the state is where it is by default, and is removed from there whatever happens.
struct BuildKit(Engine);

impl BuildKit {
    fn new(bundle: Bundle) -> Self {
        Self(Engine::new(bundle, &["--log", "LOG", "--log-format", "json"]))
    }

    fn state_root(&self) -> PathBuf {
        Path::new("/run").join(self.0.bundle.runtime().name())
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        let left = || Leaks::of(self.0.bundle.id(), &self.state_root());
        wait_until("the end of the processes", || left().processes.is_empty());
        assert!(left().is_none(), "{:#?}", left());
    }
}

impl Drop for BuildKit {
    fn drop(&mut self) {
        let _ = self.0.command(&["delete", "--force", "ID"]).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_whole_life() {
    fails_on(&OLD, || {
        let buildkit = BuildKit::new(Bundle::base().sh("echo built; read line; exit 3"));
        let mut command = buildkit.0.command(&RUN);
        mortal(command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut run = command.spawn().unwrap();
        wait_until("running", || buildkit.0.call(&["state", "ID"]).stdout.contains("\"running\""));

        let process = buildkit.0.bundle.home().join("process");
        let text = json!({"args": ["/bin/sh", "-c", "exit 6"], "cwd": "/", "env": ["PATH=/bin"]}).to_string();
        std::fs::write(&process, text).unwrap();
        let words = ["exec", "--process", process.to_str().unwrap(), "--pid-file", "BUNDLE/exec.pid", "ID"];
        let mut exec = buildkit.0.command(&words);
        let output = buildkit.0.bundle.finish(mortal(exec.process_group(0)));
        assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (6, "", ""));
        runtime_tests::engine::pid_in(buildkit.0.file("exec.pid"));

        drop(run.stdin.take());
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"built\n"[..], &b""[..]));
        assert_eq!(buildkit.0.status(), "stopped");
        quiet(buildkit.0.call(&["delete", "ID"]));
        buildkit.assert_nothing_left();
    });
}

/// A cancelled build: the container is killed by a call of its own, and the first call ends by itself.
#[test]
fn a_cancelled_build_is_killed() {
    fails_on(&OLD, || {
        let buildkit = BuildKit::new(Bundle::base().probe("pause"));
        let mut command = buildkit.0.command(&RUN);
        let mut run = Running::start(mortal(command.process_group(0)), buildkit.0.bundle.home());
        run.wait_for("ready");
        quiet(buildkit.0.call(&["kill", "ID", "9"]));
        assert_eq!(run.finish().status, 137);
        // It tries until the runtime says that there is nobody.
        buildkit.0.call(&["kill", "ID", "9"]).failure();
        let message = last_error(buildkit.0.log()).to_lowercase();
        let ignored = ["container not running", "container does not exist", "no such process"];
        assert!(ignored.iter().any(|words| message.contains(words)), "{message}");
        quiet(buildkit.0.call(&["delete", "ID"]));
        let gone = buildkit.0.call(&["kill", "ID", "9"]).stderr.to_lowercase();
        assert!(ignored.iter().any(|words| gone.contains(words)), "{gone}");
        buildkit.assert_nothing_left();
    });
}

/// A terminal is a slave as standard streams, which controls nobody outside; its change of size is told by a signal to
/// the runtime's process.
#[test]
fn a_signal_tells_of_a_change_of_size() {
    fails_on(&OLD, || {
        let with_terminal = |config: &mut Value| config["process"]["terminal"] = true.into();
        let script = "while :; do /bin/busybox stty size; sleep 0.05; done";
        let buildkit = BuildKit::new(Bundle::base().with(with_terminal).sh(script));
        let (mut terminal, slave) = Terminal::pair(24, 80);
        let stream = || std::fs::File::from(slave.try_clone().unwrap());
        let mut command = buildkit.0.command(&RUN);
        command.process_group(0).stdin(stream()).stdout(stream()).stderr(stream());
        let mut run = mortal(&mut command).spawn().unwrap();
        // runc 1.1 opens /dev/tty, which is nobody's here.
        may_fail_on(&[("runc", "1.1 needs a terminal that controls it")], || {
            terminal.wait_for("24 80");
            for (rows, columns) in [(40, 120), (10, 20)] {
                terminal.resize(rows, columns);
                kill(Pid::from_raw(run.id() as i32), Signal::SIGWINCH).unwrap();
                terminal.wait_for(&format!("{rows} {columns}"));
            }
            quiet(buildkit.0.call(&["kill", "ID", "9"]));
        });
        wait_until("the end", || run.try_wait().unwrap().is_some());
        buildkit.0.call(&["delete", "--force", "ID"]).success();
        buildkit.assert_nothing_left();
    });
}

/// The daemon dies: the runtime with it, and the container is found and deleted by the next daemon.
#[test]
fn a_build_whose_daemon_died_is_deleted() {
    fails_on(&OLD, || {
        let buildkit = BuildKit::new(Bundle::base().probe("pause"));
        let mut command = buildkit.0.command(&RUN);
        let mut run = Running::start(mortal(command.process_group(0)), buildkit.0.bundle.home());
        run.wait_for("ready");
        kill(Pid::from_raw(run.pid()), Signal::SIGKILL).unwrap();
        assert_eq!(run.finish().status, 137);
        buildkit.0.call(&["delete", "--force", "ID"]).success();
        buildkit.assert_nothing_left();
    });
}
