//! The CPU time of a command, including the processes that it waits for.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::host;

/// Runs a command to its end, without streams, and returns its CPU time in user and kernel mode.
///
/// # Panics
/// If it cannot be started, does not end, or ends by a signal: with any input it must fail regularly.
#[must_use]
#[allow(clippy::zombie_processes, reason = "the loop below waits for it, and takes what it used")]
pub fn cpu_time_of(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("start the command");
    let pid = child.id() as libc::pid_t;
    let end = Instant::now() + host::patience();
    let (mut status, mut nap) = (0, Duration::from_micros(200));
    // SAFETY: all zeros are a valid rusage, which holds numbers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables; the process is a child of ours that nothing else waits for.
    while unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) } == 0 {
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("does not end: {command:?}");
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(5));
    }
    let status = ExitStatus::from_raw(status);
    assert!(status.code().is_some(), "{command:?}: {status}");
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}
