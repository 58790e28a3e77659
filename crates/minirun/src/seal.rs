//! Keeps the runtime's own binary out of a container's reach (CVE-2019-5736).
//!
//! Init is this program until it becomes the container's, and a process of the container may open /proc/PID/exe of it
//! for writing later. So minirun first executes itself again from a detached, read-only copy of the mount that its binary
//! is on: opening that for writing fails with EROFS, and since the copy is in no mount namespace once its descriptor is
//! closed, nobody can make it writable again. No byte is copied.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use minirun_sys as sys;
use minirun_sys::{Argv, Errno, MountAttr};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::trace;

/// Whether this process is known to run from a sealed binary.
static SEALED: AtomicBool = AtomicBool::new(false);

/// Seals before the command line is read, so that it is read once, if its words look as if the command requires it.
pub fn seal_early(mut args: impl Iterator<Item = OsString>) {
    // With these the moment at which the command began must be kept for the sealed binary.
    let measured = |arg: &OsString| ["--timings", "--trace"].iter().any(|name| starts_with(arg, name));
    let args = args.by_ref().take_while(|arg| arg != "--").collect::<Vec<_>>();
    if args.iter().any(|arg| ["create", "run", "exec"].iter().any(|name| arg == name)) && !args.iter().any(measured) {
        // accepts: any error; the command seals again if it requires that, and reports the error.
        let _later = seal();
    }
}

fn starts_with(arg: &OsStr, name: &str) -> bool {
    arg.as_bytes().starts_with(name.as_bytes())
}

/// Returns when this process runs from a sealed binary; otherwise it has become one that does.
pub fn seal() -> Result<()> {
    if SEALED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let exe = sys::open(c"/proc/self/exe", libc::O_PATH).context("open /proc/self/exe")?;
    let read_only = sys::fstatfs(exe.as_fd()).context("fstatfs /proc/self/exe")?.flags & libc::ST_RDONLY != 0;
    if read_only || is_sealed_copy()? {
        SEALED.store(true, Ordering::Relaxed);
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
    let envp = trace::began().map(|began| {
        let began = (trace::BEGAN.into(), began.to_string().into());
        strings(&mut std::env::vars_os().chain([began]).map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        }))
    });
    let errno = sys::execveat(sealed.as_fd(), &argv, envp.as_ref());
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
