//! `minirun kill`: signals to a container's init, or to all of its processes.

use std::os::fd::AsFd;

use anyhow::{Context, Result, bail};
use minirun_sys as sys;

use crate::container::{Found, Record, Status};
use crate::lifecycle::{find, store};
use crate::options::{KillOptions, Runtime};

/// `minirun kill`.
pub fn kill(runtime: &Runtime, options: &KillOptions) -> Result<()> {
    let KillOptions { id, signal, all } = options;
    let signal = *signal;
    // Whoever holds the lock may be waiting for the container itself. Only one that is being made has nobody yet to signal.
    let found = match Found::peek_or_paused(&store(runtime)?, id)? {
        Some(found) if found.status != Status::Creating => found,
        _ => Found::locked_or_paused(&find(runtime, id)?)?,
    };
    if *all && !found.record.finds_processes() {
        bail!("kill --all needs a cgroup or a pid namespace of the container's own, and it has neither");
    }
    if *all {
        return signal_all(&found.record, signal);
    }
    // Without a pid namespace of its own the container's other processes outlive init.
    if signal == libc::SIGKILL && !found.record.own_pid_namespace && found.record.finds_processes() {
        signal_all(&found.record, signal)?;
    }
    let Some(init) = found.init else { bail!("container not running: no such process") };
    match init.signal(signal) {
        Ok(()) => Ok(()),
        Err(sys::Errno::ESRCH) => bail!("container not running: no such process"),
        Err(errno) => Err(errno).with_context(|| format!("send signal {signal}")),
    }
}

/// Signals every process of the container; none at all is as well.
fn signal_all(record: &Record, signal: i32) -> Result<()> {
    if signal == libc::SIGKILL
        && let Some(cgroup) = record.open_cgroup()?
    {
        return Ok(cgroup.kill()?);
    }
    for pid in record.pids()? {
        let sent = sys::pidfd_open(pid).and_then(|process| sys::pidfd_send_signal(process.as_fd(), signal));
        match sent {
            Ok(()) | Err(sys::Errno::ESRCH) => {}
            Err(errno) => return Err(errno).with_context(|| format!("send signal {signal} to process {pid}")),
        }
    }
    Ok(())
}

/// A signal by number or by name, with or without `SIG`, in any case.
pub fn signal_number(text: &str) -> Result<i32> {
    if let Ok(number) = text.parse::<i32>() {
        if (0..=64).contains(&number) {
            return Ok(number);
        }
        bail!("unknown signal {text:?}");
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let offset = if rest.is_empty() { Some(0) } else { rest.strip_prefix('+').and_then(|text| text.parse().ok()) };
        if let Some(offset @ 0..=30) = offset {
            return Ok(34 + offset);
        }
    }
    let full = format!("SIG{name}");
    match full.parse::<nix::sys::signal::Signal>() {
        Ok(signal) => Ok(signal as i32),
        // accepts: a name of another form.
        Err(_) => bail!("unknown signal {text:?}"),
    }
}
