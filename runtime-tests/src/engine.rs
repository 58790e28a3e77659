//! The common behaviour of engines: the environment in which they start a runtime, and how they wait for processes that
//! are not their own children.

use std::any::type_name_of_val;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::host;

/// Runs the test in a separate process that adopts orphans (prctl(2), `PR_SET_CHILD_SUBREAPER`), as an engine's monitor
/// does. It must be the outermost call of the test, which is started again by its name.
#[track_caller]
pub fn as_monitor<Test: FnOnce()>(test: Test) {
    const MARK: &str = "MINIRUN_MONITOR";
    if std::env::var_os(MARK).is_some() {
        prctl::set_child_subreaper(true).unwrap();
        return test();
    }
    // The name of the closure's type is that of the test, after the name of the program.
    let name = type_name_of_val(&test).split("::{{closure}}").next().unwrap_or("");
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args([name, "--exact", "--nocapture"]).env(MARK, "1").output().unwrap();
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

/// Limits a call to the environment that engines pass, with `/` as the working directory.
pub fn bare(command: &mut Command) -> &mut Command {
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("XDG_RUNTIME_DIR", "/run").current_dir("/")
}

/// Makes a call end with the thread that starts it, as Go's `Pdeathsig` does.
pub fn mortal(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec the closure makes one system call.
    unsafe { command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into)) }
}

/// Returns a pipe whose ends close at execve: the first reads what the second writes.
pub fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap()
}

/// Returns the pid in a file, parsed like engines without trimming.
#[track_caller]
pub fn pid_in(file: impl AsRef<Path>) -> i32 {
    std::fs::read_to_string(file).unwrap().parse().unwrap()
}

/// Waits for an adopted process. Returns its exit status, or 128 plus the signal that ended it.
#[track_caller]
pub fn adopted(pid: i32) -> i32 {
    let mut status = None;
    host::wait_until(&format!("the end of the adopted process {pid}"), || {
        status = match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)).unwrap() {
            WaitStatus::Exited(_, status) => Some(status),
            WaitStatus::Signaled(_, signal, _) => Some(128 + signal as i32),
            _ => None,
        };
        status.is_some()
    });
    status.unwrap()
}

/// Waits until every adopted process has ended.
#[track_caller]
pub fn all_adopted() {
    let flags = Some(WaitPidFlag::WNOHANG);
    host::wait_until("the end of all adopted processes", || waitpid(None, flags) == Err(nix::errno::Errno::ECHILD));
}

/// Returns the message of the last error in a log of JSON lines, as containerd's shim and Podman read it.
#[track_caller]
pub fn last_error(log: impl AsRef<OsStr>) -> String {
    let text = std::fs::read_to_string(log.as_ref()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let error = lines.rev().find(|line| line["level"] == "error").unwrap_or_else(|| panic!("no error in {text:?}"));
    // Go's decoder refuses the whole line unless the time is in RFC 3339.
    let time = error["time"].as_str().unwrap();
    assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "{time}");
    error["msg"].as_str().unwrap().to_owned()
}
