//! Who the container's process is: its limits, its user and its capabilities, taken on by a child.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use minirun_plan::{HostOp, Op, Step, limit_name};
use minirun_sys as sys;

use super::Findings;
use super::maps::IdRanges;
use crate::check::processes::{raise, score};
use crate::check::trial::{At as _, Birth, Fault, attempt};

pub fn check(findings: &mut Findings<'_>) {
    let plan = findings.plan;
    for step in &plan.host {
        match &step.op {
            HostOp::RaiseLimit { resource, hard } => limit(findings, step.origin.clone(), *resource, *hard),
            HostOp::WriteProc { file: "oom_score_adj", value } => {
                if let Err(failure) = score(value) {
                    let advice = "leave it out or give a higher score; lowering it requires CAP_SYS_RESOURCE";
                    findings.problem(&step.origin, failure.to_string(), advice);
                }
            }
            _ => {}
        }
    }
    for step in &plan.init {
        // In a user namespace of its own init could not raise any: the parent has done so.
        if let (Op::Limit { resource, hard, .. }, false) = (&step.op, plan.namespaces.has(libc::CLONE_NEWUSER)) {
            limit(findings, step.origin.clone(), *resource, *hard);
        }
    }
    credentials(findings);
}

fn limit(findings: &mut Findings<'_>, origin: minirun_plan::Origin, resource: u32, hard: u64) {
    if let Err(failure) = raise(resource, hard) {
        let now = sys::prlimit(0, resource, None).map_or(0, |(_, hard)| hard);
        let name = limit_name(resource);
        let seen = format!("{name} cannot be raised from {now} to {hard}: {failure}");
        findings.problem(&origin, seen, format!("ask for at most {now}, or run with CAP_SYS_RESOURCE"));
    }
}

/// Takes on the groups, the user and the capabilities, one step more each time: the last is the one that fails.
fn credentials(findings: &mut Findings<'_>) {
    let plan = findings.plan;
    if plan.namespaces.is_joined(libc::CLONE_NEWUSER) {
        return;
    }
    let ranges = IdRanges::of(plan);
    let maps = ranges.as_ref().and_then(IdRanges::for_child);
    let namespaces = plan.namespaces.new as i32 & libc::CLONE_NEWUSER;
    let birth = Birth { namespaces, maps, ..Birth::default() };
    if attempt(birth, || Ok(())).is_err() {
        // Told of at the maps.
        return;
    }
    let steps: Vec<&Step> = plan.init.iter().filter(|step| is_credential(&step.op)).collect();
    for count in 1..=steps.len() {
        let taken_on = attempt(birth, || steps[..count].iter().try_for_each(|step| take_on(&step.op)));
        if let Err(failure) = taken_on {
            let advice = match steps[count - 1].op {
                Op::Groups(_) | Op::User { .. } => {
                    "map these ids in linux.uidMappings and linux.gidMappings; without a user namespace run as root"
                }
                _ => "run as root, with CAP_SETPCAP and the capabilities that are asked for",
            };
            return findings.problem(&steps[count - 1].origin, failure.to_string(), advice);
        }
    }
}

fn is_credential(op: &Op) -> bool {
    matches!(op, Op::DropBounding(_) | Op::Groups(_) | Op::User { .. } | Op::Capabilities { .. })
}

fn take_on(op: &Op) -> Result<(), Fault> {
    match op {
        Op::DropBounding(mask) => {
            (0..64).filter(|bit| mask & 1 << bit != 0).try_for_each(|bit| sys::drop_capbset(bit).at("prctl"))
        }
        Op::Groups(groups) => sys::setgroups(groups).at("setgroups"),
        Op::User { uid, gid } => {
            sys::setgid(*gid).at("setresgid")?;
            sys::set_keepcaps(true).at("prctl")?;
            sys::setuid(*uid).at("setresuid")
        }
        Op::Capabilities { effective, permitted, inheritable, .. } => {
            sys::capset(*effective, *permitted, *inheritable).at("capset")
        }
        _ => Ok(()),
    }
}
