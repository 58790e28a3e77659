//! The record of a container, and what its state is: told from the kernel's facts, not from what was written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use minirun_cgroup::Cgroup;
use minirun_spawn::resctrl::MadeGroups;
use serde::{Deserialize, Serialize};

use crate::process::{Identity, Process, boot_id, in_pid_namespace_of};
use crate::store::{Entry, Store};

/// What is known of a container. It is written before the first thing that it describes exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// Of the record's own form.
    pub version: u32,
    pub id: String,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    /// RFC 3339, with nanoseconds.
    pub created: String,
    pub owner: u32,
    pub boot_id: String,
    /// The container's init, once it is there.
    pub init: Option<Identity>,
    pub cgroup: Option<CgroupRecord>,
    /// Its group in the resctrl file system, if it has one.
    pub resctrl: Option<ResctrlRecord>,
    /// Why it has no cgroup.
    pub cgroup_denied: Option<String>,
    /// The unit of systemd that has the cgroup, if one has. Later commands go by it, not by the command line.
    pub unit: Option<UnitRecord>,
    /// Removed with its draft when `create` was killed while it wrote.
    pub pid_file: Option<PathBuf>,
    /// Do its processes end with its init?
    pub own_pid_namespace: bool,
    /// Was the caller's session keyring kept?
    pub no_new_keyring: bool,
    /// Are there poststart or poststop hooks?
    pub hooks_after_create: bool,
    pub annotations: BTreeMap<String, String>,
}

/// The container's cgroup.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupRecord {
    /// Where cgroup2 is mounted.
    pub mount: PathBuf,
    /// The cgroup's path from there.
    pub path: PathBuf,
    /// The topmost directory that is made for it; none when it was there before.
    pub made: Option<PathBuf>,
    /// The name of the cgroup in it that holds the container's processes; none when they are in the container's own.
    #[serde(default)]
    pub leaf: Option<String>,
}

impl CgroupRecord {
    /// The path of the cgroup that init was born in, and that `exec` goes to.
    pub fn of_processes(&self) -> PathBuf {
        self.leaf.as_ref().map_or_else(|| self.path.clone(), |name| self.path.join(name))
    }
}

/// The scope that systemd has made for the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitRecord {
    /// The unit's name.
    pub name: String,
    /// Is it one of the user's own systemd?
    pub user: bool,
}

/// The container's group in the resctrl file system (Intel RDT), and what goes with the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResctrlRecord {
    /// Where the file system is mounted.
    pub mount: PathBuf,
    /// The group's directory.
    pub group: PathBuf,
    /// The same, if it was made for this container alone.
    pub made: Option<PathBuf>,
    /// Its monitoring group.
    pub monitoring: Option<PathBuf>,
}

impl ResctrlRecord {
    /// What was made for the container.
    pub fn made(&self) -> MadeGroups {
        MadeGroups { group: self.made.clone(), monitoring: self.monitoring.clone() }
    }
}

/// The states of the runtime specification, and runc's `paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}

/// A container as it was found.
#[derive(Debug)]
pub struct Found {
    pub record: Record,
    pub status: Status,
    /// Its init, if that is alive.
    pub init: Option<Process>,
}

impl Record {
    /// Writes it down.
    pub fn save(&self, entry: &Entry) -> Result<()> {
        entry.write_record(&serde_json::to_vec(self)?)
    }

    /// Reads a record. An empty one means that `create` did not get that far.
    pub fn parse(bytes: &[u8]) -> Result<Record> {
        if bytes.is_empty() { Ok(Record::default()) } else { serde_json::from_slice(bytes).context("state.json") }
    }

    /// The container's cgroup, if it has one and it is there.
    pub fn open_cgroup(&self) -> Result<Option<Cgroup>> {
        let Some(cgroup) = &self.cgroup else { return Ok(None) };
        Ok(Cgroup::open(&cgroup.mount, &cgroup.path)?)
    }

    /// The container's cgroup, for a command that cannot do without it.
    pub fn need_cgroup(&self, command: &str) -> Result<Cgroup> {
        let why = || self.cgroup_denied.as_deref().unwrap_or("it was never made");
        match self.open_cgroup()? {
            Some(cgroup) => Ok(cgroup),
            None if self.cgroup.is_some() => bail!("the container's cgroup is gone"),
            None => bail!("{command} needs a cgroup of the container's own, and it has none: {}", why()),
        }
    }

    /// The container's processes: all in its cgroup, or without one in its pid namespace.
    pub fn pids(&self) -> Result<Vec<i32>> {
        match (self.open_cgroup()?, &self.cgroup, &self.init) {
            (Some(cgroup), ..) => Ok(cgroup.pids()?),
            (None, None, Some(init)) if init.open()?.is_some() => in_pid_namespace_of(init.pid),
            _ => Ok(Vec::new()),
        }
    }

    /// Its state now; `gate` says whether somebody may still start it.
    fn look(self, gate: bool) -> Result<Found> {
        let Some(identity) = self.init else {
            return Ok(Found { record: self, status: Status::Creating, init: None });
        };
        let init = match boot_id()? == self.boot_id {
            true => identity.open()?,
            false => None,
        };
        let frozen = || -> Result<bool> { Ok(self.open_cgroup()?.map_or(Ok(false), |cgroup| cgroup.is_frozen())?) };
        let status = match &init {
            None => Status::Stopped,
            Some(_) if frozen()? => Status::Paused,
            // The name changes when init becomes the program, the gate goes when `start` has seen that.
            Some(init) if gate && init.name == "minirun:[init]" => Status::Created,
            Some(_) => Status::Running,
        };
        Ok(Found { record: self, status, init })
    }
}

impl Found {
    /// Looks at a container whose lock is held.
    pub fn locked(entry: &Entry) -> Result<Found> {
        Record::parse(&entry.read_record()?.unwrap_or_default())?.look(entry.has_gate())
    }

    /// Looks at a container without its lock; none when there is no such container.
    pub fn peek(store: &Store, id: &str) -> Result<Option<Found>> {
        let Some(bytes) = store.peek(id)? else { return Ok(None) };
        Record::parse(&bytes)?.look(store.has_gate(id)).map(Some)
    }
}
