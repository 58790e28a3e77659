//! Mounts: the calls of the new interface (Linux 5.2 and later), and those of the old one that it has no word for.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use super::{check, plain, plain_fd, syscall};
use crate::Result;

/// open_tree(2), Linux 5.2. With `OPEN_TREE_CLONE` the answer is a detached copy of the mount at `path`.
pub fn open_tree(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_uint) -> Result<OwnedFd> {
    plain_fd!(SYS_open_tree, at, path, flags | libc::OPEN_TREE_CLOEXEC)
}

/// move_mount(2), Linux 5.2: attaches the detached mount `mount` onto what `target` refers to.
pub fn move_mount(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    const EMPTY_PATHS: libc::c_uint = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    check(plain!(SYS_move_mount, mount, c"", target, c"", EMPTY_PATHS)).map(drop)
}

/// fsopen(2), Linux 5.2.
pub fn fsopen(filesystem: &CStr) -> Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    plain_fd!(SYS_fsopen, filesystem, FSOPEN_CLOEXEC)
}

/// fspick(2), Linux 5.2: the superblock beneath a mount, for reconfiguring it.
pub fn fspick(mount: BorrowedFd<'_>) -> Result<OwnedFd> {
    const FSPICK_CLOEXEC: libc::c_uint = 1;
    const FSPICK_EMPTY_PATH: libc::c_uint = 8;
    plain_fd!(SYS_fspick, mount, c"", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH)
}

/// fsconfig(2), Linux 5.2: `FSCONFIG_SET_STRING` with a value, `FSCONFIG_SET_FLAG` without.
pub fn fsconfig_set(context: BorrowedFd<'_>, key: &CStr, value: Option<&CStr>) -> Result<()> {
    const SET_FLAG: libc::c_uint = 0;
    const SET_STRING: libc::c_uint = 1;
    let command = if value.is_some() { SET_STRING } else { SET_FLAG };
    check(plain!(SYS_fsconfig, context, command, key, value, 0)).map(drop)
}

/// fsconfig(2) with `FSCONFIG_SET_FD`: an option whose value is a descriptor.
pub fn fsconfig_set_fd(context: BorrowedFd<'_>, key: &CStr, value: BorrowedFd<'_>) -> Result<()> {
    const SET_FD: libc::c_uint = 5;
    check(plain!(SYS_fsconfig, context, SET_FD, key, 0, value)).map(drop)
}

/// fsconfig(2) with `FSCONFIG_CMD_CREATE`: makes the superblock.
pub fn fsconfig_create(context: BorrowedFd<'_>) -> Result<()> {
    const CMD_CREATE: libc::c_uint = 6;
    check(plain!(SYS_fsconfig, context, CMD_CREATE, 0usize, 0usize, 0)).map(drop)
}

/// fsconfig(2) with `FSCONFIG_CMD_RECONFIGURE`: the superblock's half of a remount.
pub fn fsconfig_reconfigure(context: BorrowedFd<'_>) -> Result<()> {
    const CMD_RECONFIGURE: libc::c_uint = 7;
    check(plain!(SYS_fsconfig, context, CMD_RECONFIGURE, 0usize, 0usize, 0)).map(drop)
}

/// fsmount(2), Linux 5.2: a detached mount of the superblock, with `MOUNT_ATTR_*` bits.
pub fn fsmount(context: BorrowedFd<'_>, attributes: u64) -> Result<OwnedFd> {
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    plain_fd!(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes as libc::c_uint)
}

/// What [`mount_setattr`] changes of a mount (`struct mount_attr`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountAttr {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`; 0 leaves the propagation alone.
    pub propagation: u64,
}

/// mount_setattr(2), Linux 5.12, on what `mount` refers to, with everything beneath it when `recursive`.
/// `userns` goes with `MOUNT_ATTR_IDMAP` in `attr.set`.
pub fn mount_setattr(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attr: MountAttr,
    userns: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: attr.set,
        attr_clr: attr.clear,
        propagation: attr.propagation,
        userns_fd: userns.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the kernel reads the string and a struct of this size.
    check(unsafe {
        syscall!(
            SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>()
        )
    })
    .map(drop)
}

/// mount_setattr(2) of a mount and all mounts below it: they become slaves of their peers, so that events there no longer reach
/// the host.
pub fn make_slave(mount: BorrowedFd<'_>) -> Result<()> {
    mount_setattr(mount, true, MountAttr { propagation: libc::MS_SLAVE, ..MountAttr::default() }, None)
}

/// mount(2). For what the newer calls cannot say: superblock flags that fsconfig(2) lacks, overlayfs before Linux 6.5.
pub fn mount(source: &CStr, target: &CStr, filesystem: &CStr, flags: u64, data: &CStr) -> Result<()> {
    check(plain!(SYS_mount, source, target, filesystem, flags, data)).map(drop)
}

/// umount2(2) with `MNT_DETACH`.
pub fn detach(path: &CStr) -> Result<()> {
    check(plain!(SYS_umount2, path, libc::MNT_DETACH)).map(drop)
}

/// `pivot_root(".", ".")`: the working directory becomes the root, with the old root mounted over it (pivot_root(2)).
pub fn pivot_root_here() -> Result<()> {
    check(plain!(SYS_pivot_root, c".", c".")).map(drop)
}
