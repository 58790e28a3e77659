//! Deletes a container: the operation, and the undoing of a creation that failed: everything that a container has on the
//! host goes.

use std::path::Path;
use std::time::{Duration, Instant};

use minirun_cgroup::{Hierarchy, Mark, Place};
use minirun_plan::Resctrl;
use minirun_plan::spec::Linux;
use minirun_sys as sys;

use crate::error::{Context, Kind, Operation, Result, bail};
use crate::options::Delete;
use crate::process::Process;
use crate::record::{CgroupLookup, CgroupRecord, Record, ResctrlRecord, elsewhere, not_own};
use crate::runtime::Container;
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::status::Status;
use crate::store::{Entry, Store};
use crate::{facts, hooks, pid_file, unit};

/// How long `delete` waits for processes to die and the cgroup to empty.
const PATIENCE: Duration = Duration::from_secs(10);

impl Container<'_> {
    /// Removes everything that the container has on this host, and runs its poststop hooks. Success means that nothing is
    /// left.
    ///
    /// # Errors
    /// The container does not exist or runs, and `force` is not given; or something of it cannot be removed.
    pub fn delete(&self, options: &Delete) -> Result<()> {
        let Delete { force } = *options;
        let (id, store) = (self.id(), self.store());
        let session = self.session();
        if force {
            break_in(store, id)?;
        }
        let entry = match store.find(id)? {
            Some(entry) => entry,
            None if force => return Ok(()),
            None => return Err(self.not_found()),
        };
        if let Err(error) = Record::parse(&entry.read_record()?.unwrap_or_default())
            && force
            && !matches!(error.kind(), Kind::NewerRecord { .. })
        {
            session.observer.warn(&format!("container {id}: {error}; its configuration is used instead"));
            let record = reconstructed(&entry, id)?;
            return remove_traces(&session, entry, &record, None);
        }
        let found = if force { Snapshot::locked_or_paused(&entry)? } else { Snapshot::locked(&entry)? };
        match found.status {
            Status::Stopped | Status::Created | Status::Creating => {}
            _ if !force => return Err(self.wrong_state(Operation::Delete, found.status)),
            _ => {}
        }
        remove_traces(&session, entry, &found.record, found.init)
    }
}

/// Deletes this container, unless it was deleted meanwhile, and perhaps another was made under its id.
pub(crate) fn delete_same(session: &Session<'_>, store: &Store, record: &Record) -> Result<()> {
    // Asked twice, as with masks: one wrong ENOENT would leave everything behind with status 0.
    let entry = store.find(&record.id)?.map_or_else(|| store.find(&record.id), |entry| Ok(Some(entry)))?;
    let Some(entry) = entry else { return Ok(()) };
    let now = match entry.read_record()? {
        Some(text) => Record::parse(&text)?,
        // The mark says as well whose directory this is.
        None if entry.read_mark()?.as_ref() == Some(&record.mark) => record.clone(),
        None => return Ok(()),
    };
    if now.init == record.init { remove_traces(session, entry, &now, None) } else { Ok(()) }
}

/// Where another command holds the lock, it may be waiting for the container that is to be deleted: a frozen one that is
/// started. Its death lets that command end.
fn break_in(store: &Store, id: &str) -> Result<()> {
    if !store.is_busy(id)? {
        return Ok(());
    }
    let Some(found) = Snapshot::peek_or_paused(store, id)? else { return Ok(()) };
    let Some(init) = found.init else { return Ok(()) };
    let cgroup = found.record.open_cgroup();
    kill_init(&init)?;
    cgroup?.map_or(Ok(()), |cgroup| Ok(cgroup.kill()?))
}

fn kill_init(init: &Process) -> Result<()> {
    match init.signal(libc::SIGKILL) {
        // It has ended meanwhile.
        Ok(()) | Err(sys::Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno).context("kill container init"),
    }
}

/// Reconstructs a damaged record: the configuration places the cgroup, or the id does.
fn reconstructed(entry: &Entry, id: &str) -> Result<Record> {
    let spec: Option<minirun_plan::Spec> = match entry.read_config() {
        // accepts: a configuration that was damaged as well; its defaults are left then.
        Ok(text) => serde_json::from_slice(&text).ok(),
        // It was never kept: create had made nothing yet.
        Err(error) if error.errno() == Some(sys::Errno::ENOENT) => None,
        Err(error) => return Err(error),
    };
    let linux = spec.and_then(|spec| spec.linux);
    let named = linux.as_ref().and_then(|linux| linux.cgroups_path.clone()).filter(|path| !path.is_empty());
    let unit = unit::guess(named.as_deref().unwrap_or_default(), id)?;
    let mount = minirun_cgroup::locate()?.context("no cgroup2 file system is mounted on this host")?;
    let path = match named {
        Some(path) => Some(Path::new("/").join(path)),
        // accepts: the reason why it can have none: it has none.
        None => facts::default_cgroup(&mount, id)?.ok(),
    };
    let place = Place::of(&mount.path)?;
    let cgroup = path.map(|path| CgroupRecord {
        mount: place.mount,
        root: place.root,
        path,
        made: None,
        leaf: None,
        inode: None,
    });
    let resctrl = groups_of(linux.as_ref(), id)?;
    let mark = entry.read_mark()?.unwrap_or_default();
    Ok(Record { id: id.to_owned(), mark, reconstructed: true, cgroup, unit, resctrl, ..Record::default() })
}

/// Reconstructs the record of the groups of resctrl: a group without a name of its own has the container's.
fn groups_of(linux: Option<&Linux>, id: &str) -> Result<Option<ResctrlRecord>> {
    let Some(rdt) = linux.and_then(|linux| linux.intel_rdt.as_ref()) else { return Ok(None) };
    let Resctrl::Mounted { mount, .. } = facts::resctrl()? else { return Ok(None) };
    let named = rdt.clos_id.as_deref().filter(|name| !name.is_empty());
    let group = mount.join(named.unwrap_or(id).trim_start_matches('/'));
    let monitoring = rdt.enable_monitoring.then(|| group.join("mon_groups").join(id));
    let made = named.is_none().then(|| group.clone());
    Ok(Some(ResctrlRecord { mount, group, made, monitoring }))
}

/// Kills what is left of a container and removes everything that it has on the host. Success means that nothing is left.
pub(crate) fn remove_traces(session: &Session<'_>, entry: Entry, record: &Record, init: Option<Process>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let _delete = session.observer.doing("delete", || format!("container {}", record.id), "");
    // Before init is gone: it can be the only proof that the cgroup is the container's. An error here does not keep init
    // from being killed.
    let home = record.find_cgroup();
    if let Some(init) = &init {
        kill_init(init)?;
    }
    if !matches!(home, Ok(CgroupLookup::Own(_))) {
        wait_for_init(init.as_ref())?;
    }
    remove_cgroup(session, record, home?, deadline)?;
    if let (Some(unit), Some(known)) = (&record.unit, &record.cgroup) {
        unit::remove(session, record, (unit, known), deadline)?;
    }
    wait_for_init(init.as_ref())?;
    if let Some(init) = &init {
        init.reap()?;
    }
    if record.init.is_some() && !record.finds_processes() {
        let why = "it had neither a cgroup nor a pid namespace of its own";
        session.observer.warn(&format!("container {}: only its init process can be found: {why}", record.id));
    }
    if let Some(path) = &record.pid_file {
        // accepts: any error; the draft is there only where create was killed.
        let _not_there = std::fs::remove_file(pid_file::draft(path, &record.id));
    }
    if let Some(groups) = &record.resctrl {
        groups.made().remove().context("remove the container's resctrl group")?;
    }
    let hooks = record.hooks_after_create.then(|| hooks::of_config(&entry.read_config()?));
    entry.remove()?;
    if let Some(hooks) = hooks {
        hooks::run_and_warn(session, &hooks?.poststop, &record.bundle, &hooks::state_of(record, Status::Stopped, 0)?);
    }
    Ok(())
}

fn wait_for_init(init: Option<&Process>) -> Result<()> {
    match init {
        Some(init) if !init.wait(PATIENCE.as_millis() as u16)? => bail!("container init still running"),
        _ => Ok(()),
    }
}

/// Returns the mark of a container's cgroup.
pub(crate) fn mark_of(entry: &Entry, record: &Record) -> Mark {
    Mark { token: record.mark.clone(), directory: entry.path().to_owned() }
}

/// Removes the container's cgroup, and what was made for it above. Init has ended, unless the cgroup is known as the
/// container's.
fn remove_cgroup(session: &Session<'_>, record: &Record, home: CgroupLookup, deadline: Instant) -> Result<()> {
    let Some(known) = &record.cgroup else { return Ok(()) };
    // The cgroup is marked before there is an init, and with init its pid namespace has ended.
    let lived = record.init.is_some() || record.reconstructed;
    let may_live = lived && !record.own_pid_namespace;
    match home {
        CgroupLookup::None => Ok(()),
        CgroupLookup::Own(cgroup) => {
            cgroup.kill()?;
            if !cgroup.wait_empty(deadline)? {
                bail!("processes of the container are still there: {:?}", cgroup.pids()?);
            }
            known.leaf.as_ref().map_or(Ok(()), |name| cgroup.remove_leaf(name))?;
            Ok(cgroup.remove(known.made.as_deref())?)
        }
        CgroupLookup::Gone(hierarchy) => remove_unused(&hierarchy, known),
        // What is marked by another, or in use, is not ours to remove.
        CgroupLookup::Foreign(_, cgroup, Some(mark)) => {
            if may_live && cgroup.populated()? {
                Err(not_own(&cgroup, Some(mark)))
            } else {
                Ok(())
            }
        }
        CgroupLookup::Foreign(hierarchy, _, None) if !lived => remove_unused(&hierarchy, known),
        CgroupLookup::Foreign(_, cgroup, None) => {
            match cgroup.wait_empty(if may_live { deadline } else { Instant::now() })? {
                true => Ok(cgroup.remove(known.made.as_deref())?),
                false if may_live => Err(not_own(&cgroup, None)),
                false => Ok(()),
            }
        }
        CgroupLookup::Elsewhere if may_live => Err(elsewhere(record)),
        CgroupLookup::Elsewhere => {
            session.observer.warn(&format!("container {}: {}; its cgroup stays", record.id, elsewhere(record)));
            Ok(())
        }
    }
}

fn remove_unused(hierarchy: &Hierarchy, known: &CgroupRecord) -> Result<()> {
    known.made.as_ref().map_or(Ok(()), |made| Ok(hierarchy.remove_unused(&known.path, made)?))
}
