//! The systemd cgroup driver: the container's cgroup is that of a scope, a unit that systemd makes for it.
//!
//! A scope begins with a process in it and ends with its last one. So a placeholder, which does nothing but wait, is the
//! first; init is born into the cgroup as everywhere, and then the placeholder ends. When this process is killed
//! meanwhile, so is either of them, and systemd collects the scope.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use minirun_cgroup::{Cgroup, Hierarchy, Mark};
use minirun_plan::{
    CgroupPlan, DeviceFilter, Knob, Origin, Property, UnitPlan, Value, knobs_of, unit_description, unit_devices,
    unit_properties,
};
use minirun_sys as sys;
pub use minirun_systemd::Manager;
use minirun_systemd::{Cause, Error as SystemdError};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::error::{Context, Error, Kind, Result, bail};
use crate::facts;
use crate::observer::Observer;
use crate::options::CgroupManager;
use crate::record::{CgroupRecord, Record, UnitRecord, elsewhere};
use crate::session::Session;

/// From this version on a scope has the property `OOMPolicy`.
const OOM_POLICY_SINCE: u32 = 253;

impl From<SystemdError> for Error {
    fn from(error: SystemdError) -> Error {
        Kind::Systemd(error).into()
    }
}

/// The systemd that makes the cgroup.
pub struct Driver {
    /// Whether it is this user's own.
    pub user: bool,
    /// The cgroup below which its units are.
    pub cgroup: PathBuf,
}

/// The driver, if systemd makes the cgroup; a user's own systemd is asked where it is.
pub fn driver(manager: CgroupManager) -> Result<Option<Driver>> {
    if manager != CgroupManager::Systemd {
        return Ok(None);
    }
    let user = facts::rootless()?;
    let cgroup = if user { Manager::connect(user)?.cgroup()? } else { PathBuf::from("/") };
    Ok(Some(Driver { user, cgroup }))
}

/// The unit that a container of which only the configuration is left may have: what it says as systemd's driver reads it.
/// Only one that was made for the container is ever touched.
pub fn guess(cgroups_path: &str, id: &str) -> Result<Option<UnitRecord>> {
    if !Path::new("/run/systemd/system").try_exists().context("look for /run/systemd/system")? {
        return Ok(None);
    }
    let user = facts::rootless()?;
    // accepts: a path that names no unit, for which systemd has made none.
    Ok(minirun_plan::scope_of(cgroups_path, id, user).ok().map(|(_, name, _)| UnitRecord { name, user }))
}

/// A process in a scope that has no other yet.
pub struct Placeholder {
    pid: i32,
    pidfd: OwnedFd,
    /// The end of this one ends the process.
    word: OwnedFd,
    ended: Cell<bool>,
}

impl Placeholder {
    fn new() -> Result<Placeholder> {
        Placeholder::born_in(None)
    }

    /// Replaces it with another one in the cgroup that init will be born in: moving a process makes the kernel wait for all
    /// processors.
    pub fn moved_to(self, cgroup: &Cgroup) -> Result<Placeholder> {
        Placeholder::born_in(Some(cgroup.fd()))
    }

    fn born_in(cgroup: Option<BorrowedFd<'_>>) -> Result<Placeholder> {
        let (theirs, word) = pipe2(OFlag::O_CLOEXEC).context("pipe")?;
        let cloned = sys::clone3(sys::Clone { flags: 0, cgroup }, |child| {
            child.abandon(&[word.as_raw_fd()]);
            // The end of file does not end a process that is frozen.
            // accepts: no errno; if there were one, the end of file is left.
            let _pipe_is_left = sys::die_with_parent();
            // A signal may interrupt it; anything else is the end.
            while sys::read(theirs.as_fd(), &mut [0]) == Err(sys::Errno::EINTR) {}
            0
        });
        let cloned = cloned.context("make the scope's first process")?;
        Ok(Placeholder { pid: cloned.pid, pidfd: cloned.pidfd, word, ended: Cell::new(false) })
    }

    /// The descriptor that no other process may keep open.
    pub fn word(&self) -> BorrowedFd<'_> {
        self.word.as_fd()
    }

    /// Ends it: there is another process in the scope.
    pub fn end(&self) {
        if !self.ended.replace(true) {
            // Its cgroup can be frozen, because one above is.
            // accepts: ESRCH; it has ended already.
            let _ended_already = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
            // accepts: ECHILD; it was reaped already.
            let _reaped_already = sys::wait(self.pid);
        }
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reaches the systemd that a plan needs, if it needs one: before there is a trace of the container to be undone.
pub fn reach(plan: &CgroupPlan, user: bool) -> Result<Option<Manager>> {
    plan.unit.as_ref().map(|_| Ok(Manager::connect(user)?)).transpose()
}

/// Makes the scope of a plan through systemd, and opens its cgroup. The placeholder must live until init is there.
pub fn start(
    mut manager: Manager,
    unit: &UnitPlan,
    mark: &Mark,
    (session, mount, plan): (&Session<'_>, &Path, &CgroupPlan),
) -> Result<(Cgroup, Placeholder)> {
    interrupt(&mut manager, session)?;
    let started = try_to_start(&mut manager, unit, mark, (mount, plan));
    // The signal must not interrupt the undoing as well.
    if let Err(error) = &started
        && matches!(error.kind(), Kind::Systemd(error) if error.cause == Cause::Interrupted)
        && let Some(signals) = session.interruptions().context("signalfd")?
    {
        session.take_interruption(signals).context("read a signal")?;
    }
    started
}

/// Lets signals end every wait for this systemd.
fn interrupt(manager: &mut Manager, session: &Session<'_>) -> Result<()> {
    if let Some(signals) = session.interruptions().context("signalfd")? {
        manager.interrupted_by(Rc::new(signals.try_clone_to_owned().context("signalfd")?));
    }
    Ok(())
}

fn try_to_start(
    manager: &mut Manager,
    unit: &UnitPlan,
    mark: &Mark,
    (mount, plan): (&Path, &CgroupPlan),
) -> Result<(Cgroup, Placeholder)> {
    let placeholder = Placeholder::new()?;
    let mut properties = unit.properties.clone();
    for property in properties.iter_mut().filter(|property| property.name == "Description") {
        property.value = Value::string(description(mark));
    }
    if properties.iter().any(|property| property.name == "OOMPolicy") && manager.version()? < OOM_POLICY_SINCE {
        properties.retain(|property| property.name != "OOMPolicy");
    }
    let pids = Value::Array("u".to_owned(), vec![Value::Uint32(placeholder.pid as u32)]);
    properties.push(Property { name: "PIDs".to_owned(), value: pids, origin: plan.origin.clone() });
    match manager.start(&unit.name, &properties) {
        // One that has failed, without any process, takes the name until it is forgotten.
        Err(error) if error.is_refusal("UnitExists") => {
            manager.forget(&unit.name)?;
            manager.start(&unit.name, &properties)?;
        }
        answer => answer?,
    }
    let scope = manager.scope(&unit.name)?.with_context(|| format!("unit {} ended immediately", unit.name))?;
    if Path::new(&scope.cgroup) != plan.path {
        bail!("unit {} has the cgroup {:?}, not {:?}", unit.name, scope.cgroup, plan.path.display());
    }
    Ok((Cgroup::adopt(mount, plan)?, placeholder))
}

/// The description of a unit: the directory, for people, and the mark that identifies it.
fn description(mark: &Mark) -> String {
    unit_description(&format!("{}{}", mark.directory.display(), signature(&mark.token)))
}

fn signature(token: &str) -> String {
    format!(" ({token})")
}

/// Stops a container's scope if it is there, and removes what its cgroup holds. A unit of the same name that is not the
/// container's stays as it is.
pub fn remove(
    session: &Session<'_>,
    record: &Record,
    (unit, known): (&UnitRecord, &CgroupRecord),
    deadline: Instant,
) -> Result<()> {
    let observer = session.observer;
    let _stop = observer.doing("unit", || format!("stop {}", unit.name), "");
    let mut manager = match Manager::connect(unit.user) {
        Ok(manager) => manager,
        // Without systemd there are no units, and the cgroup was removed through its files.
        Err(error) if matches!(error.cause, Cause::Unreachable(_)) => {
            observer.warn(&format!("unit {}: {error}", unit.name));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    // What was asked to end undoes its work, and a second signal ends the wait of that: systemd may not answer at all.
    if session.was_interrupted() {
        interrupt(&mut manager, session)?;
    }
    let Some(scope) = manager.scope(&unit.name)? else { return Ok(()) };
    if record.mark.is_empty() || !scope.description.ends_with(&signature(&record.mark)) {
        return Ok(());
    }
    let cgroup = match scope.cgroup.as_str() {
        "" | "/" => None,
        path => Hierarchy::find(&known.place())?.ok_or_else(|| elsewhere(record))?.open(Path::new(path))?,
    };
    if let Some(cgroup) = &cgroup {
        cgroup.kill()?;
        if !cgroup.wait_empty(deadline)? {
            bail!("processes of the container are still there: {:?}", cgroup.pids()?);
        }
    }
    manager.stop(&unit.name)?;
    // systemd removes the cgroups that it finds empty; what it leaves is the container's.
    Ok(cgroup.map_or(Ok(()), |cgroup| cgroup.remove(None))?)
}

/// The files that systemd may write when a property of their controllers is set.
pub const FILES: [&str; 15] = [
    "memory.min",
    "memory.low",
    "memory.high",
    "memory.max",
    "memory.swap.max",
    "memory.zswap.max",
    "pids.max",
    "cpu.weight",
    "cpu.idle",
    "cpu.max",
    "cpuset.cpus",
    "cpuset.mems",
    "io.weight",
    "io.bfq.weight",
    "io.max",
];

/// The properties that say what some knobs say, and those that said the same before.
pub struct Change {
    unit: UnitRecord,
    new: Vec<Property>,
    former: Vec<Property>,
}

impl Change {
    /// Reads the former values from the files.
    pub fn of(unit: &UnitRecord, cgroup: &Cgroup, knobs: &[Knob]) -> Result<Change> {
        let origin = Origin::of("linux.resources");
        let (mut former, mut said) = (Vec::new(), Vec::new());
        for knob in knobs {
            let mut remember = |file: &str| -> Result<String> {
                let text = cgroup.read(file)?.unwrap_or_default();
                if !text.is_empty() {
                    former.extend(knobs_of(file, &text, &origin));
                }
                Ok(text)
            };
            let now = remember(&knob.file)?;
            // To be idle is a weight in systemd's words, and a cgroup that is not idle keeps the weight that it has.
            if knob.file == "cpu.idle" && now.trim() == "0" {
                remember("cpu.weight")?;
                if knob.value == "0" {
                    continue;
                }
            }
            said.push(knob.clone());
        }
        Ok(Change { unit: unit.clone(), new: unit_properties(&said), former: unit_properties(&former) })
    }

    /// Sets the new ones.
    pub fn make(&self, observer: &dyn Observer, cgroup: &Cgroup) -> Result<()> {
        // systemd writes it with every other property of the cpu controller, and rounds (unit_properties).
        let bandwidth = cgroup.read("cpu.max")?;
        set(observer, &self.unit, &self.new)?;
        Ok(bandwidth.map_or(Ok(()), |text| cgroup.write("cpu.max", text.trim()))?)
    }

    /// Sets the former ones. systemd rounds, so that the files have to be restored afterwards.
    pub fn undo(&self, observer: &dyn Observer) -> Result<()> {
        set(observer, &self.unit, &self.former)
    }
}

/// Sets the properties that say what this filter does.
pub fn replace_devices(observer: &dyn Observer, unit: &UnitRecord, filter: Option<&DeviceFilter>) -> Result<()> {
    set(observer, unit, &unit_devices(filter))
}

fn set(observer: &dyn Observer, unit: &UnitRecord, properties: &[Property]) -> Result<()> {
    if properties.is_empty() {
        return Ok(());
    }
    let _set =
        observer.doing("unit", || format!("set {} properties of {}", properties.len(), unit.name), "linux.resources");
    Manager::connect(unit.user)?.set(&unit.name, properties).map_err(Error::from)
}
