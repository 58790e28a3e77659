//! The state of a container at one moment: told from the kernel's facts, not from what was written.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use minirun_cgroup::Cgroup;

use crate::error::Result;
use crate::process::Process;
use crate::record::Record;
use crate::status::Status;
use crate::store::{Entry, Store};

/// A container as it was at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) record: Record,
    pub(crate) status: Status,
    /// Its init, if that is alive.
    pub(crate) init: Option<Process>,
    /// Its cgroup, if that was looked at.
    pub(crate) cgroup: Option<Cgroup>,
}

/// Whether a paused container is distinguished from a running one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freezer {
    Ask,
    /// For operations that need no cgroup: they work where cgroup2 cannot be found any more.
    Ignore,
}

impl Snapshot {
    /// The container's id.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Its status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The pid of its init, if that is alive.
    pub fn pid(&self) -> Option<i32> {
        self.init.as_ref().and(self.record.init).map(|init| init.pid)
    }

    /// A descriptor of its init, if that is alive.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.init.as_ref().map(|init| init.as_fd())
    }

    /// The directory of its bundle.
    pub fn bundle(&self) -> &Path {
        &self.record.bundle
    }

    /// `root.path` of its configuration, as an absolute path.
    pub fn rootfs(&self) -> &Path {
        &self.record.rootfs
    }

    /// When it was created, as in RFC 3339.
    pub fn created(&self) -> &str {
        &self.record.created
    }

    /// The user who created it.
    pub fn owner(&self) -> u32 {
        self.record.owner
    }

    /// The annotations of its configuration.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.record.annotations
    }

    /// Its cgroup, for an operation that cannot do without one.
    ///
    /// # Errors
    /// It has none, or another one is in its place.
    pub fn cgroup(&self, operation: &str) -> Result<Cgroup> {
        self.record.need_cgroup(operation)
    }

    /// Looks at a container whose lock is held.
    pub(crate) fn locked(entry: &Entry) -> Result<Snapshot> {
        Snapshot::of(Record::parse(&entry.read_record()?.unwrap_or_default())?, entry.has_gate()?, Freezer::Ask)
    }

    /// The same where a paused container counts as one that runs.
    pub(crate) fn locked_or_paused(entry: &Entry) -> Result<Snapshot> {
        Snapshot::of(Record::parse(&entry.read_record()?.unwrap_or_default())?, entry.has_gate()?, Freezer::Ignore)
    }

    /// Looks at a container without its lock; none when there is no such container.
    pub(crate) fn peek(store: &Store, id: &str) -> Result<Option<Snapshot>> {
        let Some(bytes) = store.peek(id)? else { return Ok(None) };
        Snapshot::of(Record::parse(&bytes)?, store.has_gate(id)?, Freezer::Ask).map(Some)
    }

    /// The same where a paused container counts as one that runs.
    pub(crate) fn peek_or_paused(store: &Store, id: &str) -> Result<Option<Snapshot>> {
        let Some(bytes) = store.peek(id)? else { return Ok(None) };
        Snapshot::of(Record::parse(&bytes)?, store.has_gate(id)?, Freezer::Ignore).map(Some)
    }

    /// The state now; `gate` says whether somebody may still start it.
    fn of(record: Record, gate: bool, freezer: Freezer) -> Result<Snapshot> {
        if record.init.is_none() {
            return Ok(Snapshot { record, status: Status::Creating, init: None, cgroup: None });
        }
        let init = record.living_init()?;
        let asked = init.is_some() && freezer == Freezer::Ask;
        let cgroup = if asked { record.open_cgroup()? } else { None };
        let frozen = cgroup.as_ref().map_or(Ok(false), Cgroup::is_frozen)?;
        let status = match &init {
            None => Status::Stopped,
            Some(_) if frozen => Status::Paused,
            // The name changes when init becomes the program, the gate goes when `start` has seen that.
            Some(init) if gate && init.name == "minirun:[init]" => Status::Created,
            Some(_) => Status::Running,
        };
        Ok(Snapshot { record, status, init, cgroup })
    }
}
