//! The cgroup and the resctrl groups of a new container.

use minirun_cgroup::Cgroup;
use minirun_plan::Knob;

use crate::delete::mark_of;
use crate::error::Result;
use crate::observer::Observer;
use crate::prepare::Prepared;
use crate::record::Record;
use crate::session::Session;
use crate::store::Entry;
use crate::unit::{self, Manager, Placeholder};

/// The limit of which the scope's first process takes a part.
pub(crate) const PIDS_MAX: &str = "pids.max";

/// Makes the container's cgroup with its limits, if it gets one; with it comes the first process of systemd's scope.
pub(crate) fn make_cgroup(
    session: &Session<'_>,
    entry: &Entry,
    record: &mut Record,
    prepared: &Prepared,
    manager: Option<Manager>,
) -> Result<Option<(Cgroup, Option<Placeholder>)>> {
    let observer = session.observer;
    let (plan, mark) = (&prepared.plan.cgroup, mark_of(entry, record));
    let Some(known) = &mut record.cgroup else { return Ok(None) };
    let (cgroup, placeholder) = {
        let _make = observer.doing("cgroup", || plan.path.display().to_string(), plan.origin.as_str());
        let (mut cgroup, mut placeholder) = match plan.unit.as_ref().zip(manager) {
            None => (Cgroup::create(&prepared.cgroup_mount, plan)?, None),
            Some((unit, manager)) => {
                let (cgroup, placeholder) = unit::start(manager, unit, &mark, (session, &prepared.cgroup_mount, plan))?;
                (cgroup, Some(placeholder))
            }
        };
        known.inode = cgroup.claim(&mark)?;
        if let Some(leaf) = &plan.leaf {
            cgroup.make_leaf(leaf.name)?;
            // A cgroup that has processes hands down no controllers, and a scope without one is at its end.
            placeholder = placeholder.map(|former| former.moved_to(&cgroup)).transpose()?;
            cgroup.hand_down(plan)?;
        }
        (cgroup, placeholder)
    };
    for knob in &plan.knobs {
        if placeholder.is_some() && knob.file == PIDS_MAX {
            // The placeholder counts as well, so the limit has to wait for its end.
            cgroup.write(PIDS_MAX, "max")?;
            continue;
        }
        write_knob(observer, &cgroup, knob)?;
    }
    if let Some(filter) = &plan.devices {
        let rules = || format!("{} rules", filter.rules.len());
        let _attach = observer.doing("device filter", rules, "linux.resources.devices");
        cgroup.attach_devices(filter)?;
    }
    if let Some(owner) = &plan.owner {
        let _give = observer.doing("owner", || owner.uid.to_string(), owner.origin.as_str());
        cgroup.delegate(owner)?;
    }
    Ok(Some((cgroup, placeholder)))
}

/// Writes one limit.
pub(crate) fn write_knob(observer: &dyn Observer, cgroup: &Cgroup, knob: &Knob) -> Result<()> {
    let _write = observer.doing(&knob.file, || knob.value.clone(), knob.origin.as_str());
    Ok(cgroup.apply(std::slice::from_ref(knob))?)
}

/// Makes the container's groups in the resctrl file system, if it gets some.
pub(crate) fn make_groups(
    observer: &dyn Observer,
    entry: &Entry,
    record: &mut Record,
    prepared: &Prepared,
) -> Result<()> {
    let (Some(plan), Some(known)) = (&prepared.plan.resctrl, &mut record.resctrl) else { return Ok(()) };
    let _make = observer.doing("resctrl", || plan.group.display().to_string(), plan.origin.as_str());
    let foreseen = known.made();
    let mut made = foreseen.clone();
    let answer = made.make(plan);
    if made != foreseen {
        // Somebody else was faster: it is not the container's to remove.
        (known.made, known.monitoring) = (made.group, made.monitoring);
        record.save(entry)?;
    }
    Ok(answer?)
}
