//! What a process gets of the processors, of memory nodes and of disks.

use super::{check, plain, syscall};
use crate::Result;

/// `struct sched_attr` of sched_setattr(2); times are in nanoseconds.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct SchedAttr {
    /// Filled in by [`sched_setattr`].
    pub size: u32,
    /// `SCHED_*` number.
    pub policy: u32,
    /// `SCHED_FLAG_*` bits.
    pub flags: u64,
    /// For `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// For `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// For `SCHED_DEADLINE`, as the next two.
    pub runtime: u64,
    /// Relative to the begin of the period.
    pub deadline: u64,
    /// The period.
    pub period: u64,
    /// The least utilisation, for which the specification has no property.
    pub util_min: u32,
    /// The greatest.
    pub util_max: u32,
}

/// sched_setattr(2) of a process; 0 means this one.
pub fn sched_setattr(pid: i32, mut attr: SchedAttr) -> Result<()> {
    attr.size = size_of::<SchedAttr>() as u32;
    // SAFETY: the kernel reads a struct of the size that this says.
    check(unsafe { syscall!(SYS_sched_setattr, pid, &raw const attr, 0) }).map(drop)
}

/// ioprio_set(2) of a process; 0 means this one.
pub fn ioprio_set(pid: i32, priority: u32) -> Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    check(plain!(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, priority)).map(drop)
}

/// sched_setaffinity(2) of a process; 0 means this one.
pub fn sched_setaffinity(pid: i32, cpus: &[u64]) -> Result<()> {
    // SAFETY: the kernel reads as many bytes as the slice has.
    check(unsafe { syscall!(SYS_sched_setaffinity, pid, size_of_val(cpus), cpus.as_ptr()) }).map(drop)
}

/// set_mempolicy(2) of this process: `MPOL_*` with flags, and the nodes as a mask.
pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<()> {
    // The kernel takes one bit less than it is told of.
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let mask = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the kernel reads as many words as the slice has, or none.
    check(unsafe { syscall!(SYS_set_mempolicy, mode, mask, bits) }).map(drop)
}

/// personality(2).
pub fn personality(domain: u32) -> Result<()> {
    check(plain!(SYS_personality, libc::c_ulong::from(domain))).map(drop)
}
