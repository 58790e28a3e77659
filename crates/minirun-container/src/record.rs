//! The record of a container, and what its state is: told from the kernel's facts, not from what was written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Context, Error, Kind, Result, bail, error};
use minirun_cgroup::{Cgroup, Hierarchy, Mark, Place};
use minirun_spawn::resctrl::MadeGroups;
use serde::{Deserialize, Serialize};

use crate::process::{Identity, Process, boot_id, in_pid_namespace_of};
use crate::store::Entry;

/// The newest version of a record that is understood, and the one that is written.
pub const VERSION: u32 = 1;

/// The record of a container. It is written before the first thing that it describes exists.
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
    /// Whether its processes end with its init.
    pub own_pid_namespace: bool,
    /// Whether the caller's session keyring was kept.
    pub no_new_keyring: bool,
    /// Whether there are poststart or poststop hooks.
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

/// The result of looking for a container's cgroup.
#[derive(Debug)]
pub enum CgroupLookup {
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
    /// Whether it is one of the user's own systemd.
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
    /// Returns the groups that were made for the container.
    pub fn made(&self) -> MadeGroups {
        MadeGroups { group: self.made.clone(), monitoring: self.monitoring.clone() }
    }
}

impl Record {
    /// Writes it down.
    pub fn save(&self, entry: &Entry) -> Result<()> {
        entry.write_record(&serde_json::to_vec(self)?)
    }

    /// Reads a record. An empty one means that `create` did not get that far.
    ///
    /// # Errors
    /// It is damaged, or of a newer version, which may say what this one would not see.
    pub fn parse(bytes: &[u8]) -> Result<Record> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if bytes.is_empty() {
            return Ok(Record::default());
        }
        let record = serde_json::from_slice::<Record>(bytes);
        let version = match &record {
            Ok(record) => record.version,
            // accepts: any error; what has no version is damaged, which is said below.
            Err(_) => serde_json::from_slice(bytes).map_or(0, |Version { version }| version),
        };
        if version > VERSION {
            return Err(Error::from(Kind::NewerRecord { version, known: VERSION }).context("state.json"));
        }
        record.context("state.json")
    }

    /// Looks for its cgroup. The mount is searched for, and the mark decides whose the cgroup is.
    pub fn find_cgroup(&self) -> Result<CgroupLookup> {
        let Some(known) = &self.cgroup else { return Ok(CgroupLookup::None) };
        let Some(hierarchy) = Hierarchy::find(&known.place())? else { return Ok(CgroupLookup::Elsewhere) };
        let Some(cgroup) = hierarchy.open(&known.path)? else { return Ok(CgroupLookup::Gone(hierarchy)) };
        if known.inode == Some(cgroup.inode()?) {
            return Ok(CgroupLookup::Own(cgroup));
        }
        match cgroup.mark()? {
            Some(mark) if mark.token == self.mark && !self.mark.is_empty() => Ok(CgroupLookup::Own(cgroup)),
            // A mark can get lost.
            None if self.holds_init(&cgroup)? => Ok(CgroupLookup::Own(cgroup)),
            mark => Ok(CgroupLookup::Foreign(hierarchy, cgroup, mark)),
        }
    }

    fn holds_init(&self, cgroup: &Cgroup) -> Result<bool> {
        let Some(init) = self.init.filter(|_| !self.mark.is_empty()) else { return Ok(false) };
        Ok(self.living_init()?.is_some() && cgroup.pids()?.contains(&init.pid))
    }

    /// The container's cgroup, if it has one and it is there.
    pub fn open_cgroup(&self) -> Result<Option<Cgroup>> {
        match self.find_cgroup()? {
            CgroupLookup::None | CgroupLookup::Gone(_) => Ok(None),
            CgroupLookup::Own(cgroup) => Ok(Some(cgroup)),
            CgroupLookup::Foreign(_, cgroup, mark) => Err(not_own(&cgroup, mark)),
            CgroupLookup::Elsewhere => Err(elsewhere(self)),
        }
    }

    /// The container's cgroup, for a command that cannot do without it.
    pub fn need_cgroup(&self, command: &str) -> Result<Cgroup> {
        let why = || self.cgroup_denied.as_deref().unwrap_or("it was never made");
        match self.open_cgroup()? {
            Some(cgroup) => Ok(cgroup),
            None if self.cgroup.is_some() => bail!("the container's cgroup is gone"),
            None => Err(Kind::NoCgroup { operation: command.to_owned(), why: why().to_owned() }.into()),
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
}

/// The error for a cgroup at the container's place that is not known as the container's.
pub fn not_own(cgroup: &Cgroup, mark: Option<Mark>) -> Error {
    match mark {
        Some(mark) => cgroup.belongs_to(&mark).into(),
        None => error!("use {}: it is not marked as this container's cgroup", cgroup.path().display()),
    }
}

/// The error for a caller that sees other cgroups than the creator did.
pub fn elsewhere(record: &Record) -> Error {
    let mount = record.cgroup.as_ref().map(|known| known.mount.display().to_string()).unwrap_or_default();
    error!(
        "find cgroups at {mount}: another part of the hierarchy is mounted there (hint: use the cgroup namespace in which the container was created)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_newer_versions_are_refused() {
        for text in [r#"{"version": 2, "id": "web"}"#, r#"{"version": 3, "id": {"name": "web"}}"#] {
            let error = Record::parse(text.as_bytes()).unwrap_err();
            assert!(matches!(error.kind(), Kind::NewerRecord { version: 2 | 3, known: 1 }), "{error}");
            assert!(
                error.to_string().contains("hint: use the version of the program that made the container"),
                "{error}"
            );
        }
        assert_eq!(Record::parse(br#"{"version": 1, "id": "web"}"#).unwrap().id, "web");
        assert!(matches!(Record::parse(br#"{"version": 1, "id": "#).unwrap_err().kind(), Kind::Other(_)));
    }
}
