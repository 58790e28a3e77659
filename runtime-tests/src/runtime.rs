//! The runtime under test: its program, its calls, and their results.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host;

/// The program under test.
#[derive(Debug, Clone)]
pub struct Runtime {
    program: PathBuf,
}

impl Runtime {
    /// Returns the program that `MINIRUN_RUNTIME` names, or else the workspace's release build.
    pub fn from_env() -> Self {
        let built = || host::built("minirun");
        Self { program: std::env::var_os("MINIRUN_RUNTIME").map_or_else(built, |program| along_path(&program)) }
    }

    /// Returns the program's file name, by which differences between runtimes are listed: `runc`, `crun`, `minirun`.
    pub fn name(&self) -> &str {
        self.program.file_name().and_then(|name| name.to_str()).unwrap_or("minirun")
    }

    /// Whether the runtime is neither runc nor crun, so that minirun's additions are expected.
    pub fn is_minirun(&self) -> bool {
        !matches!(self.name(), "runc" | "crun")
    }

    /// Copies the program to another directory; an installed one stays where it is.
    pub fn copied_to(&self, directory: &Path) -> Self {
        if !self.is_minirun() {
            return self.clone();
        }
        let program = directory.join(self.name());
        // Another process copies it: a child that another thread starts meanwhile would hold it open for writing
        // (ETXTBSY).
        assert!(Command::new("cp").arg(&self.program).arg(&program).status().unwrap().success());
        Self { program }
    }

    /// Returns a call without arguments.
    pub fn bare(&self) -> Command {
        Command::new(&self.program)
    }

    /// Returns a call with the state directory `root`.
    pub fn command(&self, root: &Path) -> Command {
        let mut command = self.bare();
        command.arg("--root").arg(root);
        command
    }
}

/// Returns the path of a program, because callers can have another PATH.
fn along_path(program: &OsStr) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(program));
    candidates.find(|candidate| candidate.is_file()).unwrap_or_else(|| PathBuf::from(program))
}

/// The result of a finished call.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit status, or 128 plus the signal that ended the call.
    pub status: i32,
    /// Standard output; for `create` also the container's, until the moment of reading.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The file behind standard output, to which a container that outlives the call continues to write.
    pub stdout_file: PathBuf,
}

impl Output {
    /// Returns standard output. Fails if the call failed.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.status == 0, "status {}\nstdout: {}\nstderr: {}", self.status, self.stdout, self.stderr);
        self.stdout
    }

    /// Returns standard error. Fails if the call succeeded.
    #[track_caller]
    pub fn failure(self) -> String {
        assert!(self.status != 0, "succeeded\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stderr
    }

    /// Returns the value of a `key=value` line on standard output. Fails if the call failed.
    #[track_caller]
    pub fn value(self, key: &str) -> String {
        let text = self.success();
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {key} in:\n{text}")).to_owned()
    }
}

/// A running call. Its streams are files, because a container that outlives the call must not keep the test waiting for
/// the end of a pipe.
#[derive(Debug)]
pub struct Running {
    child: Child,
    call: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts a command whose streams go to new files in `directory`.
    #[track_caller]
    pub fn start(command: &mut Command, directory: &Path) -> Self {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let [stdout, stderr] = ["out", "err"].map(|name| directory.join(format!("{call}.{name}")));
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
        Self { child, call: format!("{command:?}"), stdout, stderr }
    }

    /// Returns the pid of the runtime itself.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Returns the standard output so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// Whether the call has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until standard output contains `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        host::wait_until(&format!("{text:?} on the output of {}", self.call), || {
            let ended = self.child.try_wait().unwrap();
            let found = self.stdout().contains(text);
            assert!(found || ended.is_none(), "ended without {text:?}: {}", read(&self.stderr));
            found
        });
    }

    /// Waits for the end. A call that exceeds the time limit is killed and fails the test.
    #[track_caller]
    pub fn finish(mut self) -> Output {
        let end = Instant::now() + host::patience();
        let mut nap = Duration::from_micros(200);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("does not end: {}\n{}", self.call, read(&self.stderr));
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(20));
        };
        self.output(status)
    }

    /// Sends the call a signal that asks it to end. Fails unless it ends within two seconds, with 128 plus the signal.
    #[track_caller]
    pub fn end_by(self, signal: Signal) -> Output {
        let start = Instant::now();
        kill(Pid::from_raw(self.pid()), signal).unwrap();
        let output = self.finish();
        assert!(start.elapsed() < Duration::from_secs(2), "{signal}: {:?}", start.elapsed());
        assert_eq!(output.status, 128 + signal as i32, "{output:?}");
        output
    }

    fn output(&self, status: ExitStatus) -> Output {
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Output { status, stdout: read(&self.stdout), stderr: read(&self.stderr), stdout_file: self.stdout.clone() }
    }
}

/// Runs a command to its end with an empty standard input.
#[track_caller]
pub fn finish(command: &mut Command, directory: &Path) -> Output {
    Running::start(command.stdin(Stdio::null()), directory).finish()
}

/// Runs a command for its effect; one that hangs is killed.
pub fn attempt(command: &mut Command) {
    let Ok(mut child) = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
        return;
    };
    let end = Instant::now() + host::patience();
    while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
