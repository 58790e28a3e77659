//! What a process asks of itself by prctl(2): who can read it, when it dies, and which capabilities it can get.

use super::{check, syscall};
use crate::Result;

pub use nix::sys::prctl::{
    get_child_subreaper, get_no_new_privs, set_child_subreaper, set_dumpable, set_keepcaps, set_name, set_no_new_privs,
};

/// `PR_GET_DUMPABLE`: whether others of the same user can read this process. False also if root alone can, which cannot be set.
pub fn is_dumpable() -> Result<bool> {
    // SAFETY: this option reads numbers alone.
    check(unsafe { syscall!(SYS_prctl, libc::PR_GET_DUMPABLE, 0u64, 0u64, 0u64, 0u64) }).map(|value| value == 1)
}

/// `PR_SET_PDEATHSIG`: the kernel kills this process when its parent ends. A change of credentials cancels it.
pub fn die_with_parent() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
}

/// `PR_SET_PDEATHSIG` with no signal: this process outlives its parent.
pub fn outlive_parent() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(None)
}

/// `PR_CAPBSET_READ`: whether a capability is in the bounding set; `EINVAL` if the kernel does not know it.
pub fn read_capbset(capability: u32) -> Result<bool> {
    // SAFETY: this option reads numbers alone.
    check(unsafe { syscall!(SYS_prctl, libc::PR_CAPBSET_READ, u64::from(capability), 0u64, 0u64, 0u64) })
        .map(|set| set == 1)
}

/// `PR_CAPBSET_DROP`: takes a capability out of the bounding set.
pub fn drop_capbset(capability: u32) -> Result<()> {
    // SAFETY: this option reads numbers alone.
    check(unsafe { syscall!(SYS_prctl, libc::PR_CAPBSET_DROP, u64::from(capability), 0u64, 0u64, 0u64) }).map(drop)
}

/// `PR_CAP_AMBIENT_IS_SET`: whether a capability is in the ambient set.
pub fn is_ambient(capability: u32) -> Result<bool> {
    ambient(libc::PR_CAP_AMBIENT_IS_SET, capability).map(|set| set == 1)
}

/// `PR_CAP_AMBIENT_RAISE`: adds a capability to the ambient set.
pub fn raise_ambient(capability: u32) -> Result<()> {
    ambient(libc::PR_CAP_AMBIENT_RAISE, capability).map(drop)
}

/// `PR_CAP_AMBIENT_CLEAR_ALL`: empties the ambient set.
pub fn clear_ambient() -> Result<()> {
    ambient(libc::PR_CAP_AMBIENT_CLEAR_ALL, 0).map(drop)
}

fn ambient(operation: libc::c_int, capability: u32) -> Result<libc::c_long> {
    // SAFETY: these operations read numbers alone.
    check(unsafe { syscall!(SYS_prctl, libc::PR_CAP_AMBIENT, operation as u64, u64::from(capability), 0u64, 0u64) })
}

/// `PR_SET_SECCOMP` with a filter at address 0: the kernel's answer tells whether it has filters, and none is loaded.
/// `EFAULT` is the answer of a kernel that has them, `EACCES` that of one that requires `no_new_privs` first.
pub fn probe_seccomp() -> Result<()> {
    const MODE_FILTER: u64 = 2;
    // SAFETY: a filter at address 0 is an error before it is read.
    check(unsafe { syscall!(SYS_prctl, libc::PR_SET_SECCOMP, MODE_FILTER, 0u64, 0u64, 0u64) }).map(drop)
}
