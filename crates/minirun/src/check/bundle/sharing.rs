//! What the program gets of processors, disks, memory nodes and networks, and what security modules make of it: each asked
//! for by a child, but devices are only looked for.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::ffi::CString;
use std::os::fd::AsFd as _;
use std::path::Path;

use minirun_plan::{HostOp, Op};
use minirun_spawn::scheduler_attributes;
use minirun_sys as sys;

use super::Findings;
use crate::check::trial::{At as _, Birth, Fault, attempt};

pub fn check(findings: &mut Findings<'_>) {
    let plan = findings.plan;
    for step in &plan.host {
        let (call, advice): (Box<dyn Fn() -> Result<(), Fault>>, _) = match &step.op {
            HostOp::Scheduler(scheduler) => (
                Box::new(|| sys::sched_setattr(0, scheduler_attributes(scheduler)).at("sched_setattr")),
                "leave it out, or run with CAP_SYS_NICE",
            ),
            HostOp::IoPriority(priority) => (
                Box::new(|| sys::ioprio_set(0, priority.packed()).at("ioprio_set")),
                "leave it out, or run with CAP_SYS_NICE",
            ),
            HostOp::NetDevice { name, .. } if !Path::new("/sys/class/net").join(name).exists() => {
                let advice = "make the device first, in the network namespace of the runtime";
                findings.problem(&step.origin, format!("there is no network device {name}"), advice);
                continue;
            }
            _ => continue,
        };
        if let Err(failure) = attempt(Birth::default(), call) {
            findings.problem(&step.origin, failure.to_string(), advice);
        }
    }
    own_policies(findings);
}

fn own_policies(findings: &mut Findings<'_>) {
    let plan = findings.plan;
    for step in &plan.init {
        let (tried, advice) = match &step.op {
            Op::MemoryPolicy(policy) => (
                attempt(Birth::default(), || sys::set_mempolicy(policy.mode, policy.nodes.words()).at("set_mempolicy")),
                "name nodes that have memory, and a mode and flags that this kernel knows",
            ),
            Op::Personality(domain) => {
                (attempt(Birth::default(), || sys::personality(*domain).at("personality")), "leave it out")
            }
            Op::LsmAttribute { file, value } => {
                let file = CString::new([b"/proc/thread-self/", file.to_bytes()].concat()).unwrap_or_default();
                let write = || {
                    let open = sys::open(&file, libc::O_WRONLY).at("open")?;
                    sys::write(open.as_fd(), value.to_bytes()).map(drop).at("write")
                };
                let advice = "leave it out, or switch the security module on and load the profile or policy";
                (attempt(Birth::default(), write), advice)
            }
            Op::Seccomp { filter, .. } => {
                /// `BPF_RET | BPF_K` of `SECCOMP_RET_ALLOW`.
                const ALLOW: u64 = 0x7fff_0000_0000_0006;
                let load = || {
                    sys::set_no_new_privs().at("prctl")?;
                    sys::seccomp_set_filter(filter.flags, &[ALLOW]).map(drop).at("seccomp")
                };
                (attempt(Birth::default(), load), "leave out the flags that this kernel does not know")
            }
            _ => continue,
        };
        if let Err(failure) = tried {
            findings.problem(&step.origin, failure.to_string(), advice);
        }
    }
}
