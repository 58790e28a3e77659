//! Cgroup directories and interface files by descriptor.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use minirun_sys::Errno;
use nix::sys::uio::pread;

use crate::{CgroupError, Result};

/// A result with the kernel's error.
pub(crate) type Answer<T> = minirun_sys::Result<T>;

/// Opens the cgroup2 mount.
pub(crate) fn open_mount(mount: &Path) -> Result<OwnedFd> {
    c_path(mount)
        .and_then(|path| minirun_sys::open(&path, libc::O_PATH | libc::O_DIRECTORY))
        .map_err(|errno| CgroupError::new("open", mount, errno))
}

/// Returns another descriptor of the same directory.
pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> Answer<OwnedFd> {
    fd.try_clone_to_owned().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}

/// Returns a cgroup's path without its leading slash. Fails if it could leave the mount, or is its root.
pub(crate) fn inside(mount: &Path, path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(CgroupError::new("open", mount.join(path), "a cgroup's path cannot have \"..\""));
            }
        }
    }
    if clean.as_os_str().is_empty() {
        return Err(CgroupError::new("open", mount, "the root cgroup cannot be a container's"));
    }
    Ok(clean)
}

/// Opens a directory below another. The path cannot leave that one. An empty path is the directory itself.
pub(crate) fn open_dir(at: BorrowedFd<'_>, path: &Path) -> Answer<OwnedFd> {
    let path = if path.as_os_str().is_empty() { c".".to_owned() } else { c_path(path)? };
    open_below(at, &path, libc::O_RDONLY | libc::O_DIRECTORY)
}

fn open_below(at: BorrowedFd<'_>, path: &std::ffi::CStr, flags: libc::c_int) -> Answer<OwnedFd> {
    minirun_sys::openat2(at, path, flags, 0, libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS)
}

/// Opens an interface file.
pub(crate) fn open_file(dir: BorrowedFd<'_>, file: &str, flags: libc::c_int) -> Answer<OwnedFd> {
    open_below(dir, &CString::new(file).map_err(|_| Errno::EINVAL)?, flags)
}

/// Returns a path as a C string.
pub(crate) fn c_path(path: &Path) -> Answer<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

/// Reads an interface file completely.
pub(crate) fn read_file(dir: BorrowedFd<'_>, file: &str) -> Answer<String> {
    read_all(open_file(dir, file, libc::O_RDONLY)?.as_fd())
}

/// Reads an interface file with one record.
pub(crate) fn read_record(dir: BorrowedFd<'_>, file: &str) -> Answer<String> {
    read_short(open_file(dir, file, libc::O_RDONLY)?.as_fd())
}

/// Reads an open interface file from its start: the kernel generates the content anew each time.
fn read_all(file: BorrowedFd<'_>) -> Answer<String> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match pread(file, &mut buffer, text.len() as libc::off_t)? {
            0 => break,
            n => text.extend_from_slice(&buffer[..n]),
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Reads an interface file with one record, which the kernel returns in one read.
pub(crate) fn read_short(file: BorrowedFd<'_>) -> Answer<String> {
    let mut buffer = [0; 4096];
    match pread(file, &mut buffer, 0)? {
        n if n == buffer.len() => read_all(file),
        n => Ok(String::from_utf8_lossy(&buffer[..n]).into_owned()),
    }
}

/// Writes an interface file in one write, as the kernel requires.
pub(crate) fn write_file(dir: BorrowedFd<'_>, file: &str, value: &str) -> Answer<()> {
    write(open_file(dir, file, libc::O_WRONLY)?.as_fd(), value)
}

/// Writes an open interface file. An empty value is written as a newline, because the kernel may not see an empty
/// write.
pub(crate) fn write(file: BorrowedFd<'_>, value: &str) -> Answer<()> {
    let value = if value.is_empty() { "\n" } else { value };
    match minirun_sys::write(file, value.as_bytes())? {
        n if n == value.len() => Ok(()),
        _ => Err(Errno::EIO),
    }
}

/// Returns the value of a key in a flat keyed file (`populated 0`).
pub(crate) fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).map(str::trim)
}

/// Whether this is the error for a removed cgroup, by name or by descriptor.
pub(crate) fn gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENODEV)
}
