//! The record of a container, and what its state is: told from the kernel's facts, not from what was written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use minirun_cgroup::{Cgroup, Hierarchy, Mark, Place};
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
    /// A random number by which its cgroup and its unit are known as its own. Paths are not enough: a state directory can
    /// be renamed, and named in several ways.
    pub mark: String,
    /// Whether this was told from the configuration, because the record was damaged: then anything may live.
    #[serde(skip)]
    pub reconstructed: bool,
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
    /// Where cgroup2 was mounted.
    pub mount: PathBuf,
    /// The inode number of the mount's root ([`Place::root`]).
    pub root: u64,
    /// The cgroup's path from there.
    pub path: PathBuf,
    /// The topmost directory that is made for it; none when it was there before.
    pub made: Option<PathBuf>,
    /// The name of the cgroup in it that holds the container's processes; none when they are in the container's own.
    #[serde(default)]
    pub leaf: Option<String>,
    /// Its inode number, where the container can change the mark.
    #[serde(default)]
    pub inode: Option<u64>,
}

impl CgroupRecord {
    /// The path of the cgroup that init was born in, and that `exec` goes to.
    pub fn of_processes(&self) -> PathBuf {
        self.leaf.as_ref().map_or_else(|| self.path.clone(), |name| self.path.join(name))
    }

    /// Where cgroup2 was.
    pub fn place(&self) -> Place {
        Place { mount: self.mount.clone(), root: self.root }
    }
}

/// Where a container's cgroup is, and whose.
#[derive(Debug)]
pub enum Home {
    /// The container has none.
    None,
    /// It is the container's.
    Own(Cgroup),
    /// It is not there, and cgroup2 is.
    Gone(Hierarchy),
    /// One is at its place that is not marked as the container's; whose mark it has, if it has one.
    Foreign(Hierarchy, Cgroup, Option<Mark>),
    /// This process is in another cgroup namespace, whose cgroups are others.
    Elsewhere,
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
    /// Its cgroup, if that was looked at.
    pub cgroup: Option<Cgroup>,
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

    /// Where its cgroup is. The mount is looked for, and the mark decides whose the cgroup is.
    pub fn home(&self) -> Result<Home> {
        let Some(known) = &self.cgroup else { return Ok(Home::None) };
        let Some(hierarchy) = Hierarchy::find(&known.place())? else { return Ok(Home::Elsewhere) };
        let Some(cgroup) = hierarchy.open(&known.path)? else { return Ok(Home::Gone(hierarchy)) };
        if known.inode == Some(cgroup.inode()?) {
            return Ok(Home::Own(cgroup));
        }
        match cgroup.mark()? {
            Some(mark) if mark.token == self.mark && !self.mark.is_empty() => Ok(Home::Own(cgroup)),
            // A mark can get lost.
            None if self.holds_init(&cgroup)? => Ok(Home::Own(cgroup)),
            mark => Ok(Home::Foreign(hierarchy, cgroup, mark)),
        }
    }

    fn holds_init(&self, cgroup: &Cgroup) -> Result<bool> {
        let Some(init) = self.init.filter(|_| !self.mark.is_empty()) else { return Ok(false) };
        Ok(self.living_init()?.is_some() && cgroup.pids()?.contains(&init.pid))
    }

    /// The container's cgroup, if it has one and it is there.
    pub fn open_cgroup(&self) -> Result<Option<Cgroup>> {
        match self.home()? {
            Home::None | Home::Gone(_) => Ok(None),
            Home::Own(cgroup) => Ok(Some(cgroup)),
            Home::Foreign(_, cgroup, mark) => Err(not_own(&cgroup, mark)),
            Home::Elsewhere => Err(elsewhere(self)),
        }
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

    /// Whether all of its processes can be found: by its cgroup, or by a pid namespace that is its own.
    pub fn finds_processes(&self) -> bool {
        self.cgroup.is_some() || self.own_pid_namespace
    }

    /// The container's processes: all in its cgroup, or without one in its pid namespace; where that is shared as well, its
    /// first process.
    pub fn pids(&self) -> Result<Vec<i32>> {
        match (self.open_cgroup()?, &self.cgroup, &self.init) {
            (Some(cgroup), ..) => Ok(cgroup.pids()?),
            (None, None, Some(init)) if self.living_init()?.is_some() => {
                if self.own_pid_namespace {
                    in_pid_namespace_of(init.pid)
                } else {
                    Ok(vec![init.pid])
                }
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Its init, if that is alive.
    pub fn living_init(&self) -> Result<Option<Process>> {
        let Some(identity) = self.init else { return Ok(None) };
        Ok(if boot_id()? == self.boot_id { identity.open()? } else { None })
    }

    /// Its state now; `gate` says whether somebody may still start it.
    fn look(self, gate: bool, freezer: Freezer) -> Result<Found> {
        if self.init.is_none() {
            return Ok(Found { record: self, status: Status::Creating, init: None, cgroup: None });
        }
        let init = self.living_init()?;
        let asked = init.is_some() && freezer == Freezer::Ask;
        let cgroup = if asked { self.open_cgroup()? } else { None };
        let frozen = cgroup.as_ref().map_or(Ok(false), Cgroup::is_frozen)?;
        let status = match &init {
            None => Status::Stopped,
            Some(_) if frozen => Status::Paused,
            // The name changes when init becomes the program, the gate goes when `start` has seen that.
            Some(init) if gate && init.name == "minirun:[init]" => Status::Created,
            Some(_) => Status::Running,
        };
        Ok(Found { record: self, status, init, cgroup })
    }
}

/// Whether a paused container is distinguished from a running one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freezer {
    Ask,
    /// For commands that need no cgroup: they work where cgroup2 cannot be found any more.
    Ignore,
}

/// The error for a cgroup at the container's place that is not known as the container's.
pub fn not_own(cgroup: &Cgroup, mark: Option<Mark>) -> anyhow::Error {
    match mark {
        Some(mark) => cgroup.belongs_to(&mark).into(),
        None => anyhow!("use {}: it is not marked as this container's cgroup", cgroup.path().display()),
    }
}

/// The error for a caller that sees other cgroups than the creator did.
pub fn elsewhere(record: &Record) -> anyhow::Error {
    let mount = record.cgroup.as_ref().map(|known| known.mount.display().to_string()).unwrap_or_default();
    anyhow!(
        "find cgroups at {mount}: another part of the hierarchy is mounted there (hint: use the cgroup namespace in which the container was created)"
    )
}

impl Found {
    /// Looks at a container whose lock is held.
    pub fn locked(entry: &Entry) -> Result<Found> {
        Record::parse(&entry.read_record()?.unwrap_or_default())?.look(entry.has_gate()?, Freezer::Ask)
    }

    /// The same where a paused container counts as one that runs.
    pub fn locked_or_paused(entry: &Entry) -> Result<Found> {
        Record::parse(&entry.read_record()?.unwrap_or_default())?.look(entry.has_gate()?, Freezer::Ignore)
    }

    /// Looks at a container without its lock; none when there is no such container.
    pub fn peek(store: &Store, id: &str) -> Result<Option<Found>> {
        let Some(bytes) = store.peek(id)? else { return Ok(None) };
        Record::parse(&bytes)?.look(store.has_gate(id)?, Freezer::Ask).map(Some)
    }

    /// The same where a paused container counts as one that runs.
    pub fn peek_or_paused(store: &Store, id: &str) -> Result<Option<Found>> {
        let Some(bytes) = store.peek(id)? else { return Ok(None) };
        Record::parse(&bytes)?.look(store.has_gate(id)?, Freezer::Ignore).map(Some)
    }
}
