//! Keeps the runtime's own binary out of a container's reach (CVE-2019-5736).
//!
//! Init is this program until it becomes the container's, and a process of the container may open /proc/PID/exe of it
//! for writing later. So minirun first executes itself again from a detached, read-only copy of the mount that its binary
//! is on: opening that for writing fails with EROFS, and since the copy is in no mount namespace once its descriptor is
//! closed, nobody can make it writable again. No byte is copied.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use anyhow::{Context, Result};
use minirun_sys as sys;
use minirun_sys::{Argv, Errno, MountAttr};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::trace;

/// Returns when this process runs from a sealed binary; otherwise it has become one that does.
pub fn seal() -> Result<()> {
    let exe = sys::open(c"/proc/self/exe", libc::O_PATH).context("open /proc/self/exe")?;
    let read_only = sys::fstatfs(exe.as_fd()).context("fstatfs /proc/self/exe")?.flags & libc::ST_RDONLY != 0;
    if read_only || is_sealed_copy()? {
        return Ok(());
    }
    let sealed = match read_only_mount() {
        Ok(mount) => mount,
        // Without the privilege for mounts, or on a mount that cannot be copied: a copy in memory that can no longer be
        // changed.
        Err(Errno::EPERM | Errno::EINVAL) => copy_in_memory()?,
        Err(errno) => return Err(errno).context("make a read-only mount of /proc/self/exe"),
    };
    let strings = |list: &mut dyn Iterator<Item = std::ffi::OsString>| {
        Argv::new(list.filter_map(|text| CString::new(text.as_bytes()).ok()).collect())
    };
    let argv = strings(&mut std::env::args_os());
    let began = trace::began().map(|began| (trace::BEGAN.into(), began.to_string().into()));
    let envp = strings(&mut std::env::vars_os().chain(began).map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    }));
    let errno = sys::execveat(sealed.as_fd(), &argv, &envp);
    Err(errno).context("execute the sealed binary")
}

pub fn read_only_mount() -> sys::Result<OwnedFd> {
    let mount = sys::open_tree(sys::working_directory(), c"/proc/self/exe", libc::OPEN_TREE_CLONE)?;
    let attr = MountAttr { set: libc::MOUNT_ATTR_RDONLY as u64, ..Default::default() };
    sys::mount_setattr(mount.as_fd(), false, attr, None)?;
    Ok(mount)
}

fn seals() -> SealFlag {
    SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL
}

/// Is the binary a sealed copy in memory? Asking for the seals of any other file fails with EINVAL (fcntl(2)).
fn is_sealed_copy() -> Result<bool> {
    let exe = std::fs::File::open("/proc/self/exe").context("open /proc/self/exe")?;
    match fcntl(&exe, FcntlArg::F_GET_SEALS) {
        Ok(found) => Ok(SealFlag::from_bits_truncate(found).contains(seals())),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno).context("F_GET_SEALS of /proc/self/exe"),
    }
}

pub fn copy_in_memory() -> Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Where vm.memfd_noexec is set only who asks for it may execute one; Linux before 6.3 does not know the flag.
    let copy = match memfd_create(c"minirun", flags | MFdFlags::from_bits_retain(libc::MFD_EXEC)) {
        Err(Errno::EINVAL) => memfd_create(c"minirun", flags),
        answer => answer,
    };
    let copy = copy.context("memfd_create")?;
    let mut source = std::fs::File::open("/proc/self/exe").context("open /proc/self/exe")?;
    let mut target = std::fs::File::from(copy);
    std::io::copy(&mut source, &mut target).context("copy the binary")?;
    fcntl(&target, FcntlArg::F_ADD_SEALS(seals())).context("F_ADD_SEALS")?;
    Ok(target.into())
}
