//! `process.scheduler`, `process.ioPriority`, `process.execCPUAffinity`, `linux.memoryPolicy` and `linux.personality`.

use super::Draft;
use crate::scheduling::{
    DOMAINS, IO_CLASSES, IoPriority, MEMORY_FLAGS, MEMORY_MODES, MemoryPolicy, NumberSet, POLICIES, SCHEDULER_FLAGS,
    Scheduler,
};
use crate::spec::{IoPriority as AskedPriority, Linux, Process, Scheduler as AskedScheduler};
use crate::{HostOp, HostStep, Op, Origin};

/// Adds the settings that the parent makes for init, because they require capabilities that init in its own user
/// namespace does not have.
pub(super) fn priorities(draft: &mut Draft<'_>, process: &Process) {
    if let Some(asked) = &process.scheduler {
        scheduler(draft, asked);
    }
    if let Some(asked) = &process.io_priority {
        io_priority(draft, asked);
    }
}

/// Returns the number of a name in the specification; another name is a problem.
fn number<T: Copy + Default>(draft: &mut Draft<'_>, table: &[(&str, T)], name: &str, origin: &Origin) -> T {
    if let Some((_, number)) = table.iter().find(|(known, _)| *known == name) {
        return *number;
    }
    let known: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
    draft.problem(origin, format!("{name:?} is not supported (expected {})", known.join(", ")));
    T::default()
}

fn scheduler(draft: &mut Draft<'_>, asked: &AskedScheduler) {
    let origin = Origin::of("process.scheduler");
    let policy = number(draft, &POLICIES, &asked.policy, &origin.field("policy"));
    let flags = asked
        .flags
        .iter()
        .enumerate()
        .fold(0, |flags, (i, flag)| flags | number(draft, &SCHEDULER_FLAGS, flag, &origin.field("flags").index(i)));
    if !(-20..=19).contains(&asked.nice) {
        draft.problem(&origin.field("nice"), format!("{} is out of range (expected -20 to 19)", asked.nice));
    }
    let (realtime, place) = (matches!(&*asked.policy, "SCHED_FIFO" | "SCHED_RR"), origin.field("priority"));
    if realtime && !(1..=99).contains(&asked.priority) {
        draft.problem(&place, format!("{} is out of range (expected 1 to 99)", asked.priority));
    } else if !realtime && asked.priority != 0 {
        draft.problem(&place, "requires SCHED_FIFO or SCHED_RR");
    }
    for (name, value) in [("runtime", asked.runtime), ("deadline", asked.deadline), ("period", asked.period)] {
        if value != 0 && asked.policy != "SCHED_DEADLINE" {
            draft.problem(&origin.field(name), "requires SCHED_DEADLINE");
        }
    }
    let AskedScheduler { nice, priority, runtime, deadline, period, .. } = *asked;
    let scheduler = Scheduler { policy, flags, nice, priority: priority.unsigned_abs(), runtime, deadline, period };
    draft.host.push(HostStep { op: HostOp::Scheduler(scheduler), origin });
}

fn io_priority(draft: &mut Draft<'_>, asked: &AskedPriority) {
    let origin = Origin::of("process.ioPriority");
    let class = number(draft, &IO_CLASSES, &asked.class, &origin.field("class"));
    let level = u32::try_from(asked.priority).ok().filter(|level| *level <= 7).unwrap_or_else(|| {
        draft.problem(&origin.field("priority"), format!("{} is out of range (expected 0 to 7)", asked.priority));
        0
    });
    draft.host.push(HostStep { op: HostOp::IoPriority(IoPriority { class, level }), origin });
}

/// Sets the CPUs of the process. It would inherit the caller's, which can be the few CPUs of a service, so it gets all
/// CPUs of its cgroup's cpuset instead. For a further process the configuration can give two lists: `initial` for the
/// process that clones it into the container's cgroup, `final` for the clone. The container's first process has
/// neither, but an invalid list is reported when it is created.
pub(super) fn affinity(draft: &mut Draft<'_>, process: &Process, further: bool) {
    let asked = process.exec_cpu_affinity.as_ref();
    let mut reset = true;
    for (name, list) in [("initial", asked.map(|asked| &asked.initial)), ("final", asked.map(|asked| &asked.last))] {
        let Some(list) = list.and_then(|list| list.as_deref()).filter(|list| !list.is_empty()) else { continue };
        let origin = Origin::of("process.execCPUAffinity").field(name);
        let Some(cpus) = number_set(draft, list, &origin).filter(|_| further) else { continue };
        reset = false;
        let step = HostStep { op: HostOp::Affinity(cpus), origin };
        if name == "initial" { draft.before_birth.push(step) } else { draft.host.push(step) }
    }
    if reset {
        let op = HostOp::Affinity(NumberSet::all());
        draft.host.push(HostStep { op, origin: Origin::of("default CPU affinity") });
    }
}

fn number_set(draft: &mut Draft<'_>, list: &str, origin: &Origin) -> Option<NumberSet> {
    let set = NumberSet::parse(list);
    if set.is_none() {
        draft.problem(origin, format!("invalid list {list:?} (expected a list such as \"0-2,7\")"));
    }
    set
}

/// Adds the settings that only the process itself can make: memory policy and execution domain. Children inherit both,
/// and execve(2) keeps them.
pub(super) fn own_policies(draft: &mut Draft<'_>, linux: &Linux) {
    if let Some(asked) = &linux.memory_policy {
        memory_policy(draft, asked);
    }
    if let Some(asked) = &linux.personality {
        let origin = Origin::of("linux.personality");
        let domain = number(draft, &DOMAINS, &asked.domain, &origin.field("domain"));
        for (i, flag) in asked.flags.iter().enumerate() {
            draft.problem(&origin.field("flags").index(i), format!("{flag:?} is not supported: there are no flags"));
        }
        draft.step(Op::Personality(domain), origin);
    }
}

fn memory_policy(draft: &mut Draft<'_>, asked: &crate::spec::MemoryPolicy) {
    let origin = Origin::of("linux.memoryPolicy");
    let mode = number(draft, &MEMORY_MODES, &asked.mode, &origin.field("mode"));
    let flags = asked
        .flags
        .iter()
        .enumerate()
        .fold(0, |flags, (i, flag)| flags | number(draft, &MEMORY_FLAGS, flag, &origin.field("flags").index(i)));
    let place = origin.field("nodes");
    let list = asked.nodes.as_deref().filter(|list| !list.is_empty());
    let nodes = list.and_then(|list| number_set(draft, list, &place)).unwrap_or_default();
    match (&*asked.mode, list) {
        ("MPOL_DEFAULT" | "MPOL_LOCAL", Some(_)) => {
            draft.problem(&place, format!("{} does not support nodes", asked.mode))
        }
        ("MPOL_BIND" | "MPOL_INTERLEAVE" | "MPOL_WEIGHTED_INTERLEAVE" | "MPOL_PREFERRED_MANY", None) => {
            draft.problem(&place, format!("{} requires at least one node", asked.mode));
        }
        _ => {}
    }
    draft.step(Op::MemoryPolicy(MemoryPolicy { mode: mode | flags, nodes }), origin);
}
