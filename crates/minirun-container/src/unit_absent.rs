//! The systemd cgroup driver of a build without the feature `systemd`: refused by name.

use std::convert::Infallible;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use minirun_cgroup::{Cgroup, Mark};
use minirun_plan::{CgroupPlan, DeviceFilter, Knob, UnitPlan};

use crate::error::{Error, Result, bail};
use crate::observer::Observer;
use crate::options::CgroupManager;
use crate::record::{CgroupRecord, Record, UnitRecord};
use crate::session::Session;

/// The systemd that shall make the cgroup; there is none.
pub struct Driver {
    pub user: bool,
    pub cgroup: PathBuf,
    #[expect(dead_code, reason = "it keeps the struct from being made")]
    never: Infallible,
}

/// A connection to systemd; there is none.
pub enum Manager {}

/// The first process of a scope; there is none.
pub enum Placeholder {}

impl Placeholder {
    pub fn moved_to(self, _cgroup: &Cgroup) -> Result<Placeholder> {
        match self {}
    }

    pub fn word(&self) -> BorrowedFd<'_> {
        match *self {}
    }

    pub fn end(&self) {
        match *self {}
    }
}

/// What this build does not support.
fn unsupported() -> Error {
    Error::text(
        "the systemd cgroup driver is not supported: this program was built without it (hint: --cgroup-manager cgroupfs)",
    )
}

/// Refuses systemd by name.
pub fn driver(manager: CgroupManager) -> Result<Option<Driver>> {
    if manager == CgroupManager::Systemd { Err(unsupported()) } else { Ok(None) }
}

/// A damaged record of a container of systemd's driver cannot be reconstructed without it.
pub fn guess(_cgroups_path: &str, _id: &str) -> Result<Option<UnitRecord>> {
    Ok(None)
}

/// No plan of this build needs one.
pub fn reach(plan: &CgroupPlan, _user: bool) -> Result<Option<Manager>> {
    if plan.unit.is_some() { Err(unsupported()) } else { Ok(None) }
}

/// There is no manager to call it with.
pub fn start(
    manager: Manager,
    _unit: &UnitPlan,
    _mark: &Mark,
    _place: (&Session<'_>, &Path, &CgroupPlan),
) -> Result<(Cgroup, Placeholder)> {
    match manager {}
}

/// The scope of another build's container ends with the last process in its cgroup, and systemd collects it.
pub fn remove(
    session: &Session<'_>,
    _record: &Record,
    (unit, _): (&UnitRecord, &CgroupRecord),
    _deadline: Instant,
) -> Result<()> {
    session.observer.warn(&format!("unit {}: {}", unit.name, unsupported()));
    Ok(())
}

/// No file is written by systemd.
pub const FILES: [&str; 0] = [];

/// Properties of a unit; there are none.
pub enum Change {}

impl Change {
    pub fn of(unit: &UnitRecord, _cgroup: &Cgroup, _knobs: &[Knob]) -> Result<Change> {
        bail!("unit {}: {}", unit.name, unsupported());
    }

    pub fn make(&self, _observer: &dyn Observer, _cgroup: &Cgroup) -> Result<()> {
        match *self {}
    }

    pub fn undo(&self, _observer: &dyn Observer) -> Result<()> {
        match *self {}
    }
}

/// As [`Change::of`].
pub fn replace_devices(_observer: &dyn Observer, unit: &UnitRecord, _filter: Option<&DeviceFilter>) -> Result<()> {
    bail!("unit {}: {}", unit.name, unsupported());
}
