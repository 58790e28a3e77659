//! The extended attributes that a layer keeps, and the copying of a file's attributes.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::sys::stat::{Mode, fchmod, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown};

use crate::error::{Doing as _, ImageError, Result};
use crate::files::shown;

/// The most that the kernel lets attributes have: their names together, and one value, in bytes (xattr(7)).
const MOST_ATTRIBUTES: usize = 64 << 10;
/// With these overlayfs finds a file, or its content, elsewhere. minirun mounts without them.
const ELSEWHERE: [&[u8]; 4] =
    [b"trusted.overlay.redirect", b"trusted.overlay.metacopy", b"user.overlay.redirect", b"user.overlay.metacopy"];

/// What of a layer's extended attributes counts. All others say something to the host, or to overlayfs.
pub(crate) fn is_kept(name: &CStr) -> bool {
    let name = name.to_bytes();
    name == b"security.capability"
        || name.starts_with(b"system.posix_acl_")
        || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
}

/// The extended attributes that count. Those of overlayfs say where a file's content is, if that is elsewhere.
pub(crate) fn kept_attributes(fd: BorrowedFd<'_>) -> Result<Vec<(CString, Vec<u8>)>> {
    let mut names = vec![0; MOST_ATTRIBUTES];
    let length = match sys::list_xattr(fd, &mut names) {
        Err(Errno::EOPNOTSUPP) => 0,
        answer => answer.doing(|| "list the attributes")?,
    };
    let mut attributes = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if ELSEWHERE.contains(&name) {
            return Err(ImageError::new(format!("its attribute {} says that it is elsewhere", shown(name))));
        }
        let name = CString::new(name).map_err(|_| ImageError::new("a NUL byte in a name"))?;
        if !is_kept(&name) {
            continue;
        }
        let mut value = vec![0; MOST_ATTRIBUTES];
        let length = sys::get_xattr(fd, &name, &mut value).doing(|| format!("read {}", shown(name.to_bytes())))?;
        value.truncate(length);
        attributes.push((name, value));
    }
    Ok(attributes)
}

/// Gives what was made the owner, attributes, permissions and time of another, in this order: a new owner takes away
/// capabilities and permissions.
pub(crate) fn copy_attributes(made: &OwnedFd, from: impl AsFd) -> Result<()> {
    let found = nix::sys::stat::fstat(&from).doing(|| "stat")?;
    fchown(made, Some(Uid::from_raw(found.st_uid)), Some(Gid::from_raw(found.st_gid))).doing(|| "chown")?;
    for (name, value) in kept_attributes(from.as_fd())? {
        sys::set_xattr(made.as_fd(), &name, &value).doing(|| format!("set {}", shown(name.to_bytes())))?;
    }
    fchmod(made, Mode::from_bits_truncate(found.st_mode)).doing(|| "chmod")?;
    let modified = TimeSpec::new(found.st_mtime, found.st_mtime_nsec);
    futimens(made, &TimeSpec::UTIME_OMIT, &modified).doing(|| "set the time")
}
