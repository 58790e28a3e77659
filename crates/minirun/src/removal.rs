//! `minirun delete`, and the undoing of a creation that failed: everything that a container has on the host goes.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::report::describe;
use anyhow::{Context, Result, anyhow, bail};
use minirun_cgroup::{Hierarchy, Mark, Place};
use minirun_plan::Resctrl;
use minirun_plan::spec::Linux;
use minirun_sys as sys;

use crate::container::{CgroupRecord, Found, Home, Record, ResctrlRecord, Status, elsewhere, not_own};
use crate::facts;
use crate::hooks;
use crate::lifecycle::store;
use crate::options::{DeleteOptions, Runtime};
use crate::pid_file;
use crate::process::Process;
use crate::store::{Entry, Store};
use crate::trace::doing;
use crate::unit;

/// How long `delete` waits for processes to die and the cgroup to empty.
const PATIENCE: Duration = Duration::from_secs(10);

/// A failure to clean up never hides why there was something to clean up.
pub fn add_undo(error: anyhow::Error, undone: Result<()>) -> anyhow::Error {
    match undone {
        Ok(()) => error,
        Err(undo) => anyhow!("{}; and undoing it: {}", describe(&error), describe(&undo)),
    }
}

/// `minirun delete`.
pub fn delete(runtime: &Runtime, options: &DeleteOptions) -> Result<()> {
    let DeleteOptions { id, force } = options;
    let force = *force;
    let store = store(runtime)?;
    if force {
        break_in(&store, id)?;
    }
    let entry = match store.find(id)? {
        Some(entry) => entry,
        None if force => return Ok(()),
        None => bail!("container does not exist: {id}"),
    };
    if let Err(error) = Record::parse(&entry.read_record()?.unwrap_or_default())
        && force
    {
        log::warn!("container {id}: {}; its configuration is used instead", describe(&error));
        let record = reconstructed(&entry, id)?;
        return remove_traces(entry, &record, None);
    }
    let found = if force { Found::locked_or_paused(&entry)? } else { Found::locked(&entry)? };
    match found.status {
        Status::Stopped | Status::Created | Status::Creating => {}
        other if !force => bail!("cannot delete container {id} that is not stopped: {other}"),
        _ => {}
    }
    remove_traces(entry, &found.record, found.init)
}

/// Where another command holds the lock, it may be waiting for the very container that shall go: a frozen one that is
/// started. Its death lets that command end.
fn break_in(store: &Store, id: &str) -> Result<()> {
    if !store.is_busy(id)? {
        return Ok(());
    }
    let Some(found) = Found::peek_or_paused(store, id)? else { return Ok(()) };
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

/// What a damaged record must have said about the cgroup: the configuration places it, or the id does.
fn reconstructed(entry: &Entry, id: &str) -> Result<Record> {
    let spec: Option<minirun_plan::Spec> = match entry.read_config() {
        // accepts: a configuration that was damaged as well; its defaults are left then.
        Ok(text) => serde_json::from_slice(&text).ok(),
        // It was never kept: create had made nothing yet.
        Err(error) if is_absence(&error) => None,
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

fn is_absence(error: &anyhow::Error) -> bool {
    let is_absent = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        io == Some(libc::ENOENT) || cause.downcast_ref() == Some(&sys::Errno::ENOENT)
    };
    error.chain().any(is_absent)
}

/// What it must have said about the resctrl file system: a group without a name of its own has the container's.
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
pub fn remove_traces(entry: Entry, record: &Record, init: Option<Process>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let _delete = doing("delete", || format!("container {}", record.id), "");
    // Before init is gone: it can be the only proof that the cgroup is the container's. An error here does not keep init
    // from being killed.
    let home = record.home();
    if let Some(init) = &init {
        kill_init(init)?;
    }
    if !matches!(home, Ok(Home::Own(_))) {
        wait_for_init(init.as_ref())?;
    }
    remove_cgroup(record, home?, deadline)?;
    if let (Some(unit), Some(known)) = (&record.unit, &record.cgroup) {
        unit::remove(record, unit, known, deadline)?;
    }
    wait_for_init(init.as_ref())?;
    if record.init.is_some() && !record.finds_processes() {
        let why = "it had neither a cgroup nor a pid namespace of its own";
        log::warn!("container {}: processes beside its first one cannot be found: {why}", record.id);
    }
    if let Some(path) = &record.pid_file {
        // accepts: any error; the draft is there only where create was killed.
        let _not_there = std::fs::remove_file(pid_file::draft(path, &record.id));
    }
    if let Some(groups) = &record.resctrl {
        groups.made().remove().context("remove the container's resctrl group")?;
    }
    let hooks = record.hooks_after_create.then(|| entry.read_config().and_then(|text| hooks::of_config(&text)));
    entry.remove()?;
    if let Some(hooks) = hooks {
        hooks::run_and_warn(&hooks?.poststop, &record.bundle, &hooks::state_of(record, Status::Stopped, 0)?);
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
pub fn mark_of(entry: &Entry, record: &Record) -> Mark {
    Mark { token: record.mark.clone(), directory: entry.path().to_owned() }
}

/// Removes the container's cgroup, and what was made for it above. Init has ended, unless the cgroup is known as the
/// container's.
fn remove_cgroup(record: &Record, home: Home, deadline: Instant) -> Result<()> {
    let Some(known) = &record.cgroup else { return Ok(()) };
    // The cgroup is marked before there is an init, and with init its pid namespace has ended.
    let lived = record.init.is_some() || record.reconstructed;
    let may_live = lived && !record.own_pid_namespace;
    match home {
        Home::None => Ok(()),
        Home::Own(cgroup) => {
            cgroup.kill()?;
            if !cgroup.wait_empty(deadline)? {
                bail!("processes of the container are still there: {:?}", cgroup.pids()?);
            }
            known.leaf.as_ref().map_or(Ok(()), |name| cgroup.remove_leaf(name))?;
            Ok(cgroup.remove(known.made.as_deref())?)
        }
        Home::Gone(hierarchy) => remove_unused(&hierarchy, known),
        // What is marked by another, or in use, is not ours to remove.
        Home::Foreign(_, cgroup, Some(mark)) => {
            if may_live && cgroup.populated()? {
                Err(not_own(&cgroup, Some(mark)))
            } else {
                Ok(())
            }
        }
        Home::Foreign(hierarchy, _, None) if !lived => remove_unused(&hierarchy, known),
        Home::Foreign(_, cgroup, None) => match cgroup.wait_empty(if may_live { deadline } else { Instant::now() })? {
            true => Ok(cgroup.remove(known.made.as_deref())?),
            false if may_live => Err(not_own(&cgroup, None)),
            false => Ok(()),
        },
        Home::Elsewhere if may_live => Err(elsewhere(record)),
        Home::Elsewhere => {
            log::warn!("container {}: {}; its cgroup stays", record.id, elsewhere(record));
            Ok(())
        }
    }
}

fn remove_unused(hierarchy: &Hierarchy, known: &CgroupRecord) -> Result<()> {
    known.made.as_ref().map_or(Ok(()), |made| Ok(hierarchy.remove_unused(&known.path, made)?))
}
