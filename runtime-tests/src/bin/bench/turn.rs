//! A turn: one command in a fixed environment, measured from outside.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::{PATH, Result};
use crate::figures::Sample;

/// Returns the order of the contestants in a round: over the rounds each is first, last and after each other equally
/// often.
pub fn order(count: usize, round: usize) -> Vec<usize> {
    let mut turns: Vec<usize> = (0..count).map(|i| (i + round / 2) % count).collect();
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

/// Returns a command in a fixed environment, with only standard error as a stream.
pub fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Runs a command that must succeed, and measures it.
pub fn take(command: &mut Command) -> Result<Sample> {
    let begin = Instant::now();
    let child = command.spawn()?;
    let mut status = 0;
    // SAFETY: all-zero is a valid rusage; both values outlive the call, and the child is ours and not yet waited for.
    let (usage, answer) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let answer = libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage);
        (usage, answer)
    };
    let wall = begin.elapsed();
    if answer < 0 || status != 0 {
        return Err(format!("wait status {status:#x} of {command:?}").into());
    }
    let micros = |time: libc::timeval| time.tv_sec as f64 * 1e6 + time.tv_usec as f64;
    Ok(Sample {
        wall: wall.as_secs_f64() * 1e6,
        cpu: micros(usage.ru_utime) + micros(usage.ru_stime),
        memory: usage.ru_maxrss as u64,
    })
}

/// Waits until no process that a runtime left behind is running.
pub fn reap_orphans() -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(nix::errno::Errno::ECHILD) => return Ok(()),
            Ok(WaitStatus::StillAlive) if Instant::now() > end => return Err("a container outlives SIGKILL".into()),
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_micros(200)),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Returns this process's peak memory. A child inherits it, so a lower peak of the child is invisible.
pub fn own_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
