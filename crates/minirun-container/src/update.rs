//! Changes the limits of a container that exists.

use minirun_cgroup::{Cgroup, locate};
use minirun_plan::spec::{Objects, Resources};
use minirun_plan::{DeviceFilter, Knob, compile_resources, compile_schemata};
use minirun_spawn::resctrl::{self, Former};
use serde_json::{Value, json};

use crate::error::{Context, Error, Operation, Result, bail, error};
use crate::observer::Observer;
use crate::options::Update;
use crate::record::{ResctrlRecord, UnitRecord};
use crate::runtime::Container;
use crate::snapshot::Snapshot;
use crate::status::Status;
use crate::{facts, unit};

impl Container<'_> {
    /// Changes all of the limits, or none.
    ///
    /// # Errors
    /// The container does not run, has no cgroup, or a limit cannot be applied.
    pub fn update(&self, options: &Update) -> Result<()> {
        let session = self.session();
        let observer = session.observer;
        let entry = self.lock()?;
        let found = Snapshot::locked(&entry)?;
        if found.status == Status::Stopped || found.status == Status::Creating {
            return Err(self.wrong_state(Operation::Update, found.status));
        }
        let mut cgroup = found.record.need_cgroup("update")?;
        if let Some(leaf) = found.record.cgroup.as_ref().and_then(|cgroup| cgroup.leaf.as_deref()) {
            cgroup.open_leaf(leaf)?;
        }
        let mut asked = if options.resources.is_null() { json!({}) } else { options.resources.clone() };
        complete(&mut asked, &cgroup)?;
        let resources: Resources = serde_path_to_error::deserialize(Objects(&asked))
            .map_err(|error| error!("{}: {}", error.path(), error.inner()))?;
        check_usage(&resources, &cgroup)?;
        check_idle(&resources, &cgroup)?;
        let groups = found.record.resctrl;
        let rootless = facts::rootless()?;
        let base = found.record.cgroup.filter(|_| rootless).map(|cgroup| cgroup.path).unwrap_or_default();
        let facts = facts::of_limits(Some(&resources), locate()?.as_ref(), &base, false)?;
        let mut plan = compile_resources(&resources, &facts)?;
        plan.warnings.iter().for_each(|warning| observer.warn(&warning.to_string()));
        let knobs = in_order(std::mem::take(&mut plan.cgroup.knobs), &cgroup)?;
        let devices =
            if plan.changes_devices { Devices::Replaced(plan.cgroup.devices.as_ref()) } else { Devices::Kept };
        let former = change_schemata(options, groups.as_ref())?;
        change_limits(observer, &cgroup, found.record.unit.as_ref(), &knobs, devices).map_err(|error| {
            let restored = former.map_or(Ok(()), |former| former.restore());
            error.and_failed("restoring the former schemata", restored.err().map(Error::from).into_iter().collect())
        })
    }
}

/// Writes the limits, and the properties that say the same where systemd has made the cgroup; all of them, or none.
fn change_limits(
    observer: &dyn Observer,
    cgroup: &Cgroup,
    unit: Option<&UnitRecord>,
    knobs: &[Knob],
    devices: Devices<'_>,
) -> Result<()> {
    let names = knobs.iter().flat_map(|knob| files_of(&knob.file)).chain(unit.iter().flat_map(|_| unit::FILES));
    let files = cgroup.remember(names)?;
    let properties = unit.map(|unit| unit::Change::of(unit, cgroup, knobs)).transpose()?;
    let mut former_devices = None;
    let done = write_limits(observer, cgroup, properties.as_ref(), knobs).and_then(|()| {
        // The last, because it happens in one step: what follows is systemd's view of it.
        if let Devices::Replaced(filter) = devices {
            former_devices = Some(cgroup.replace_devices(filter)?);
            unit.map_or(Ok(()), |unit| unit::replace_devices(observer, unit, filter))?;
        }
        Ok(())
    });
    let Err(error) = done else { return Ok(()) };
    // Each of them, even if another one fails. systemd rounds values, so the files come after its properties.
    let undone = [
        former_devices.map_or(Ok(()), |former| cgroup.restore_devices(&former)).map_err(Error::from),
        properties.map_or(Ok(()), |properties| properties.undo(observer)),
        cgroup.restore(&files).map_err(Error::from),
    ];
    Err(error.and_failed("restoring the former limits", undone.into_iter().filter_map(Result::err).collect()))
}

/// The device filter after the update.
#[derive(Debug, Clone, Copy)]
enum Devices<'a> {
    Kept,
    Replaced(Option<&'a DeviceFilter>),
}

fn write_limits(
    observer: &dyn Observer,
    cgroup: &Cgroup,
    properties: Option<&unit::Change>,
    knobs: &[Knob],
) -> Result<()> {
    // systemd first: it writes its files itself, and rounds what the knobs then say exactly.
    properties.map_or(Ok(()), |properties| properties.make(observer, cgroup))?;
    knobs.iter().try_for_each(|knob| Ok(cgroup.apply(std::slice::from_ref(knob))?))
}

/// The files that change when this one is written. A cgroup that becomes idle, or is no longer, loses its weight; to be
/// restored after that, the weight is named before.
fn files_of(file: &str) -> impl Iterator<Item = &str> {
    (file == "cpu.idle").then_some("cpu.weight").into_iter().chain([file])
}

/// Gives the container's resctrl group the schemata that are asked for, if there are some.
fn change_schemata(options: &Update, groups: Option<&ResctrlRecord>) -> Result<Option<Former>> {
    let (l3_cache, mem_bw) = (options.l3_cache_schema.as_deref(), options.mem_bw_schema.as_deref());
    if l3_cache.is_none() && mem_bw.is_none() {
        return Ok(None);
    }
    let groups = groups.context("updating a non-existent Intel RDT configuration is not supported")?;
    let schemata = compile_schemata(l3_cache, mem_bw, &facts::resctrl()?)?;
    Ok(Some(resctrl::change(&groups.mount, &groups.group, &schemata)?))
}

/// Completes a request for a part of a file with the rest, as the file has it.
fn complete(asked: &mut Value, cgroup: &Cgroup) -> Result<()> {
    let given = |asked: &Value, pointer: &str| {
        asked.pointer(pointer).is_some_and(|value| !value.is_null() && *value != json!(0))
    };
    let (quota, period) = (given(asked, "/cpu/quota"), given(asked, "/cpu/period"));
    if quota != period
        && let Some(now) = cgroup.read("cpu.max")?
    {
        let mut words = now.split_whitespace();
        let (now_quota, now_period) = (words.next().unwrap_or("max"), words.next().unwrap_or("100000"));
        if quota {
            asked["cpu"]["period"] = json!(now_period.parse::<u64>().context("cpu.max")?);
        } else {
            asked["cpu"]["quota"] = json!(now_quota.parse::<i64>().unwrap_or(-1));
        }
    }
    // memory+swap can be turned into a limit of swap only beside the limit of memory.
    if given(asked, "/memory/swap")
        && !given(asked, "/memory/limit")
        && let Some(now) = cgroup.read("memory.max")?
    {
        asked["memory"]["limit"] = json!(now.trim_end().parse::<i64>().unwrap_or(-1));
    }
    // The other way round the sum stays, as it was configured; a container without swap has none.
    if asked.pointer("/memory/limit").and_then(Value::as_i64).is_some_and(|limit| limit > 0)
        && !given(asked, "/memory/swap")
        && let [Some(memory), Some(swap @ 1..)] =
            [number_in(cgroup, "memory.max")?, number_in(cgroup, "memory.swap.max")?]
    {
        asked["memory"]["swap"] = json!(memory.saturating_add(swap));
    }
    Ok(())
}

/// Returns the number in a file; none if there is another word.
fn number_in(cgroup: &Cgroup, file: &str) -> Result<Option<i64>> {
    Ok(cgroup.read(file)?.and_then(|text| text.trim_end().parse().ok()))
}

/// The kernel refuses a quota below the burst that is there, and a burst above the quota that is there: one that becomes
/// smaller goes first.
fn in_order(mut knobs: Vec<Knob>, cgroup: &Cgroup) -> Result<Vec<Knob>> {
    let find = |file: &str| knobs.iter().position(|knob| knob.file == file);
    if let (Some(quota), Some(burst)) = (find("cpu.max"), find("cpu.max.burst"))
        && quota < burst
        && let (Ok(new), Some(now)) = (knobs[burst].value.trim().parse::<i64>(), number_in(cgroup, "cpu.max.burst")?)
        && new < now
    {
        let burst = knobs.remove(burst);
        knobs.insert(quota, burst);
    }
    Ok(knobs)
}

/// An idle cgroup has no weight: shares alone would fail half way.
fn check_idle(resources: &Resources, cgroup: &Cgroup) -> Result<()> {
    let Some(cpu) = &resources.cpu else { return Ok(()) };
    if cpu.idle().is_none()
        && cpu.shares().is_some_and(|shares| shares != 0)
        && number_in(cgroup, "cpu.idle")? == Some(1)
    {
        bail!("linux.resources.cpu.shares: the container is idle and cannot have shares (hint: set idle to 0 as well)");
    }
    Ok(())
}

/// `checkBeforeUpdate`: a limit below the present usage is refused instead of killing.
fn check_usage(resources: &Resources, cgroup: &Cgroup) -> Result<()> {
    let Some(memory) = &resources.memory else { return Ok(()) };
    let Some(limit) = memory.limit().filter(|limit| *limit > 0) else { return Ok(()) };
    if memory.check_before_update() != Some(true) {
        return Ok(());
    }
    let usage: i64 = cgroup.read("memory.current")?.unwrap_or_default().trim_end().parse().unwrap_or(0);
    if usage >= limit { Err(error!("rejecting memory limit {limit} <= usage {usage}")) } else { Ok(()) }
}
