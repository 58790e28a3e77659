//! Keeps the runtime's own binary out of a container's reach (CVE-2019-5736).
//!
//! Init is this program until it becomes the container's, and a process of the container may open /proc/PID/exe of it
//! for writing later. So minirun first executes itself again from a detached, read-only copy of the mount that its binary
//! is on: opening that for writing fails with EROFS, and since the copy is in no mount namespace once its descriptor is
//! closed, it cannot be made writable again. No byte is copied.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use minirun_sys as sys;
use minirun_sys::{Argv, Errno, MountAttr};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::{Context, Result};

/// Hands the moment at which a program began on to its sealed self, in the environment. Hooks do not inherit it.
pub const BEGAN: &str = "MINIRUN_BEGAN";

/// Seals this program: to be called first in `main`, before there are threads or open files.
///
/// Returns when this process runs from a sealed binary; otherwise the process executes itself again, with the same arguments
/// and environment. [`crate::Runtime::create`], [`crate::Runtime::run`] and [`crate::Container::exec`] refuse to work in a
/// process that is not sealed.
///
/// # Errors
/// The binary can be neither mounted read-only nor copied.
pub fn seal() -> Result<()> {
    seal_since(None)
}

/// Returns whether this process runs from a sealed binary.
pub(crate) fn is_sealed() -> Result<bool> {
    // It stays so: the binary changes only with execve(2).
    static SEALED: AtomicBool = AtomicBool::new(false);
    if SEALED.load(Ordering::Relaxed) {
        return Ok(true);
    }
    let exe = sys::open(c"/proc/self/exe", libc::O_PATH).context("open /proc/self/exe")?;
    let read_only = sys::fstatfs(exe.as_fd()).context("fstatfs /proc/self/exe")?.flags & libc::ST_RDONLY != 0;
    let sealed = read_only || is_sealed_copy()?;
    SEALED.store(sealed, Ordering::Relaxed);
    Ok(sealed)
}

/// Seals this program as [`seal`] does. The sealed one finds in [`BEGAN`] when this one began.
///
/// # Errors
/// As [`seal`].
pub fn seal_since(began: Option<u64>) -> Result<()> {
    if is_sealed()? {
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
    let envp = began.map(|began| {
        let began = (BEGAN.into(), began.to_string().into());
        strings(&mut std::env::vars_os().chain([began]).map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        }))
    });
    let errno = sys::execveat(sealed.as_fd(), &argv, envp.as_ref());
    Err(errno).context("execute the sealed binary")
}

/// Returns a detached read-only mount of this program's binary.
///
/// # Errors
/// The mount that it is on cannot be copied, or not by this user.
pub fn read_only_mount() -> sys::Result<OwnedFd> {
    let mount = sys::open_tree(sys::working_directory(), c"/proc/self/exe", libc::OPEN_TREE_CLONE)?;
    let attr = MountAttr { set: libc::MOUNT_ATTR_RDONLY as u64, ..Default::default() };
    sys::mount_setattr(mount.as_fd(), false, attr, None)?;
    Ok(mount)
}

fn seals() -> SealFlag {
    SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL
}

/// Whether the binary is a sealed copy in memory. Asking for the seals of any other file fails with EINVAL (fcntl(2)).
fn is_sealed_copy() -> Result<bool> {
    let exe = std::fs::File::open("/proc/self/exe").context("open /proc/self/exe")?;
    match fcntl(&exe, FcntlArg::F_GET_SEALS) {
        Ok(found) => Ok(SealFlag::from_bits_truncate(found).contains(seals())),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno).context("F_GET_SEALS of /proc/self/exe"),
    }
}

/// Returns a copy of this program's binary in memory that can no longer be changed.
///
/// # Errors
/// It cannot be read, or there is no memory.
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
