//! Sends signals to a container's init, or to all of its processes.

use std::os::fd::AsFd;

use minirun_sys as sys;

use crate::error::{Context, Operation, Result, bail};
use crate::options::Target;
use crate::record::Record;
use crate::runtime::Container;
use crate::snapshot::Snapshot;
use crate::status::Status;

impl Container<'_> {
    /// Sends a signal by its number.
    ///
    /// # Errors
    /// The container does not exist, or its init has ended.
    pub fn kill(&self, signal: i32, target: Target) -> Result<()> {
        // The holder of the lock may be waiting for the container itself. Only a container that is being made has no
        // process yet.
        let found = match Snapshot::peek_or_paused(self.store(), self.id())? {
            Some(found) if found.status != Status::Creating => found,
            _ => Snapshot::locked_or_paused(&self.lock()?)?,
        };
        if target == Target::All && !found.record.finds_processes() {
            bail!("kill --all needs a cgroup or a pid namespace of the container's own, and it has neither");
        }
        if target == Target::All {
            return signal_all(&found.record, signal);
        }
        // Without a pid namespace of its own the container's other processes outlive init.
        if signal == libc::SIGKILL && !found.record.own_pid_namespace && found.record.finds_processes() {
            signal_all(&found.record, signal)?;
        }
        let Some(init) = found.init else { return Err(self.wrong_state(Operation::Kill, found.status)) };
        match init.signal(signal) {
            Ok(()) => Ok(()),
            Err(sys::Errno::ESRCH) => Err(self.wrong_state(Operation::Kill, Status::Stopped)),
            Err(errno) => Err(errno).with_context(|| format!("send signal {signal}")),
        }
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
