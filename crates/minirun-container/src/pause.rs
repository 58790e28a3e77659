//! Freezes and thaws the processes of a container.

use crate::error::{Operation, Result};
use crate::runtime::Container;
use crate::snapshot::Snapshot;
use crate::status::Status;

impl Container<'_> {
    /// Freezes all of its processes.
    ///
    /// # Errors
    /// The container does not run, or has no cgroup.
    pub fn pause(&self) -> Result<()> {
        let entry = self.lock()?;
        let found = Snapshot::locked(&entry)?;
        match found.status {
            Status::Created | Status::Running => Ok(found.record.need_cgroup("pause")?.freeze()?),
            other => Err(self.wrong_state(Operation::Pause, other)),
        }
    }

    /// Thaws a paused container. Without the lock: an operation may hold it that waits for a frozen process.
    ///
    /// # Errors
    /// The container is not paused.
    pub fn resume(&self) -> Result<()> {
        let found = self.snapshot()?;
        match found.status {
            Status::Paused => Ok(found.record.need_cgroup("resume")?.thaw()?),
            other => Err(self.wrong_state(Operation::Resume, other)),
        }
    }
}
