//! Who a process is and what it may have: names of the machine, ids, capabilities, keys, limits.

use std::ffi::CStr;

use super::{check, plain, syscall};
use crate::{Errno, Result};

/// sethostname(2).
pub fn sethostname(name: &CStr) -> Result<()> {
    check(plain!(SYS_sethostname, name, name.to_bytes().len())).map(drop)
}

/// setdomainname(2).
pub fn setdomainname(name: &CStr) -> Result<()> {
    check(plain!(SYS_setdomainname, name, name.to_bytes().len())).map(drop)
}

/// setgroups(2).
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: the kernel reads as many ids as the slice has.
    check(unsafe { syscall!(SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// getgroups(2): stores the additional groups and returns their number; EINVAL if there is no room for them.
pub fn getgroups(groups: &mut [u32]) -> Result<usize> {
    // A size of 0 would ask for the number alone.
    if groups.is_empty() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the kernel writes at most as many ids as the slice has.
    check(unsafe { syscall!(SYS_getgroups, groups.len(), groups.as_mut_ptr()) }).map(|count| count as usize)
}

/// setresgid(2), the three of them alike.
pub fn setgid(gid: u32) -> Result<()> {
    check(plain!(SYS_setresgid, gid, gid, gid)).map(drop)
}

/// setresuid(2), the three of them alike.
pub fn setuid(uid: u32) -> Result<()> {
    check(plain!(SYS_setresuid, uid, uid, uid)).map(drop)
}

/// capset(2): the effective, permitted and inheritable sets of this process, each a mask by capability number.
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let data = [
        effective as u32,
        permitted as u32,
        inheritable as u32,
        (effective >> 32) as u32,
        (permitted >> 32) as u32,
        (inheritable >> 32) as u32,
    ];
    // SAFETY: version 3 has a header of two words and data of six, which the kernel reads.
    check(unsafe { syscall!(SYS_capset, header.as_ptr(), data.as_ptr()) }).map(drop)
}

/// capget(2): the (effective, permitted, inheritable) sets of this process.
pub fn capget() -> Result<(u64, u64, u64)> {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = [VERSION_3, 0];
    let mut data = [0u32; 6];
    // SAFETY: version 3 has a header of two words and data of six, which the kernel writes.
    check(unsafe { syscall!(SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) })?;
    let join = |low: usize| data[low] as u64 | (data[low + 3] as u64) << 32;
    Ok((join(0), join(1), join(2)))
}

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING)`: a new session keyring of that name; answers with its serial number.
pub fn join_session_keyring(name: &CStr) -> Result<i64> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: this operation reads the string.
    check(unsafe { syscall!(SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) })
}

/// `keyctl(KEYCTL_SETPERM)`.
pub fn set_key_permissions(serial: i64, permissions: u32) -> Result<()> {
    const SETPERM: libc::c_int = 5;
    // SAFETY: this operation reads numbers alone.
    check(unsafe { syscall!(SYS_keyctl, SETPERM, serial, permissions) }).map(drop)
}

/// prlimit(2): sets a limit of `pid`, where 0 means this process, and answers with the former (soft, hard).
pub fn prlimit(pid: i32, resource: u32, new: Option<(u64, u64)>) -> Result<(u64, u64)> {
    let new = new.map(|(soft, hard)| [soft, hard]);
    let pointer = new.as_ref().map_or(std::ptr::null(), |limits| limits.as_ptr());
    let mut old = [0u64; 2];
    // SAFETY: the kernel reads two words or none, and writes two.
    check(unsafe { syscall!(SYS_prlimit64, pid, resource, pointer, old.as_mut_ptr()) })?;
    Ok((old[0], old[1]))
}

/// getrandom(2): 128 bits that nobody can guess.
pub fn random() -> Result<u128> {
    let mut bytes = [0u8; 16];
    // SAFETY: the kernel writes at most as many bytes as the array has.
    let length = check(unsafe { syscall!(SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), 0) })?;
    // Up to 256 bytes the kernel hands them out whole.
    if length as usize == bytes.len() { Ok(u128::from_ne_bytes(bytes)) } else { Err(Errno::EIO) }
}
