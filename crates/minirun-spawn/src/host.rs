//! What the parent does to the newborn while that waits, and to itself before there is one.

use std::fs::File;
use std::io::Write as _;

use minirun_plan::{HostOp, HostStep, IoPriority, NumberSet, Origin, Plan, Scheduler};
use minirun_sys as sys;
use minirun_sys::Errno;

use crate::SpawnError;
use crate::error::Doing;
use crate::idmap::{Wait, map_ids};
use crate::net_device::{Moved, move_device};
use crate::resctrl;

/// Stands for the calling process where a pid is expected.
pub(crate) const MYSELF: i32 = 0;

/// Why the kernel refuses a score.
pub(crate) const OOM_SCORE_HINT: &str = "lowering it requires CAP_SYS_RESOURCE";

/// The number of the policy (linux/sched.h).
const SCHED_DEADLINE: u32 = 6;

/// Does one of these things to a process. Devices that go to its namespace are added to the moved ones.
///
/// # Errors
/// The field, what was tried, and why the kernel refused.
pub(crate) fn host_step(
    plan: &Plan,
    step: &HostStep,
    pid: i32,
    (moved, wait): (&mut Vec<Moved>, Wait<'_>),
) -> Result<(), SpawnError> {
    match &step.op {
        // Written by the process itself, before it became unreadable for this one.
        HostOp::WriteProc { file: "oom_score_adj", .. } if plan.namespaces.by_go_between => Ok(()),
        HostOp::WriteProc { file, value } => write_proc(&step.origin, pid, file, value),
        HostOp::MapIds { program, value } => map_ids(pid, program, value, &step.origin, wait),
        HostOp::RaiseLimit { resource, hard } => raise_limit(&step.origin, pid, *resource, *hard),
        HostOp::Scheduler(scheduler) => set_scheduler(&step.origin, pid, scheduler),
        HostOp::IoPriority(priority) => set_io_priority(&step.origin, pid, *priority),
        HostOp::NetDevice { name, new_name } => move_device(&step.origin, pid, (name, new_name), moved),
        HostOp::JoinResctrl { mount, group } => resctrl::join(&step.origin, mount, group, pid),
        HostOp::Affinity(cpus) => set_affinity(&step.origin, pid, cpus),
    }
}

/// Writes a file of `/proc/PID`, in one write.
fn write_proc(origin: &Origin, pid: i32, file: &str, value: &str) -> Result<(), SpawnError> {
    let path = format!("/proc/{pid}/{file}");
    let doing = Doing::new(origin, format!("write {} to {path}", shortened(value.trim_end())));
    let hint = match file {
        "oom_score_adj" => OOM_SCORE_HINT,
        "uid_map" | "gid_map" => "the ids on the host must be the caller's, and each be mapped once",
        _ => "",
    };
    let written = File::options().write(true).open(&path).and_then(|mut open| open.write_all(value.as_bytes()));
    written.map_err(|error| doing.failed_io_with("write", &error, hint))
}

/// Raises a hard limit to at least this.
fn raise_limit(origin: &Origin, pid: i32, resource: u32, hard: u64) -> Result<(), SpawnError> {
    let doing = Doing::new(origin, format!("raise the hard limit to {hard}"));
    let (soft, current) = sys::prlimit(pid, resource, None).map_err(|errno| doing.failed("prlimit64", errno))?;
    if hard <= current {
        return Ok(());
    }
    let raised = sys::prlimit(pid, resource, Some((soft, hard)));
    let hint = "raising a hard limit requires CAP_SYS_RESOURCE";
    raised.map(drop).map_err(|errno| doing.failed_with("prlimit64", errno, hint))
}

fn set_scheduler(origin: &Origin, pid: i32, scheduler: &Scheduler) -> Result<(), SpawnError> {
    let doing = Doing::new(origin, format!("set scheduler {scheduler}"));
    sys::sched_setattr(pid, scheduler_attributes(scheduler)).map_err(|errno| match errno {
        Errno::EPERM if scheduler.policy == SCHED_DEADLINE => {
            doing.failed_with("sched_setattr", errno, "it requires CAP_SYS_NICE and a cpuset with every CPU")
        }
        Errno::EPERM => doing.failed_with("sched_setattr", errno, "it requires CAP_SYS_NICE"),
        errno => doing.failed("sched_setattr", errno),
    })
}

fn set_io_priority(origin: &Origin, pid: i32, priority: IoPriority) -> Result<(), SpawnError> {
    let doing = Doing::new(origin, format!("set I/O priority {priority}"));
    sys::ioprio_set(pid, priority.packed()).map_err(|errno| match errno {
        Errno::EPERM => doing.failed_with("ioprio_set", errno, "IOPRIO_CLASS_RT requires CAP_SYS_NICE"),
        errno => doing.failed("ioprio_set", errno),
    })
}

fn set_affinity(origin: &Origin, pid: i32, cpus: &NumberSet) -> Result<(), SpawnError> {
    let doing = Doing::new(origin, format!("run on CPUs {cpus}"));
    sys::sched_setaffinity(pid, cpus.words()).map_err(|errno| match errno {
        Errno::EINVAL => {
            doing.failed_with("sched_setaffinity", errno, "none of them is online and in the cgroup's cpuset")
        }
        errno => doing.failed("sched_setaffinity", errno),
    })
}

/// A scheduler as sched_setattr(2) takes it.
pub fn scheduler_attributes(scheduler: &Scheduler) -> sys::SchedAttr {
    let Scheduler { policy, flags, nice, priority, runtime, deadline, period } = *scheduler;
    sys::SchedAttr { policy, flags, nice, priority, runtime, deadline, period, ..Default::default() }
}

/// A text for a message, quoted, and cut where it gets long.
fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
