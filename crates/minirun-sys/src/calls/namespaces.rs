//! Namespaces: joined, left, and asked about.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use super::{check, check_fd, plain, syscall};
use crate::Result;

/// setns(2): moves this process into the namespace that `namespace` refers to; `kind` is its `CLONE_NEW*` bit.
pub fn setns(namespace: BorrowedFd<'_>, kind: libc::c_int) -> Result<()> {
    check(plain!(SYS_setns, namespace, kind)).map(drop)
}

/// unshare(2).
pub fn unshare(flags: libc::c_int) -> Result<()> {
    check(plain!(SYS_unshare, flags)).map(drop)
}

/// The `CLONE_NEW*` bit of the namespace that a descriptor refers to (`NS_GET_NSTYPE`, ioctl_ns(2)).
pub fn namespace_kind(namespace: BorrowedFd<'_>) -> Result<libc::c_int> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: NS_GET_NSTYPE has no argument.
    check(unsafe { syscall!(SYS_ioctl, namespace.as_raw_fd(), NS_GET_NSTYPE) }).map(|kind| kind as libc::c_int)
}

/// The namespace that a pid or user namespace is in (`NS_GET_PARENT`, ioctl_ns(2)); EPERM for one that the caller is in or
/// below.
pub fn namespace_parent(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    const NS_GET_PARENT: libc::c_ulong = 0xb702;
    // SAFETY: NS_GET_PARENT has no argument, and answers with a new descriptor.
    unsafe { check_fd(syscall!(SYS_ioctl, namespace.as_raw_fd(), NS_GET_PARENT)) }
}
