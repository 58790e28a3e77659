//! Files below a descriptor: opened, read, written and removed without following links.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::{Errno, Flock, FlockArg};
use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::error::{Doing as _, ImageError, Result};

/// How deep a tree may be that is removed: deeper than any that is made here.
const DEPTH: usize = 512;

/// A name or path as the kernel wants it.
pub(crate) fn c_string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| ImageError::new("a NUL byte in a path"))
}

/// Bytes as people read them; of many the beginning.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    match bytes.get(..MOST) {
        Some(start) if bytes.len() > MOST => format!("{:?}...", String::from_utf8_lossy(start)),
        _ => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}

/// Opens a directory by its name in another one; a link is none.
pub(crate) fn open_directory(at: impl AsFd, name: &CStr) -> sys::Result<OwnedFd> {
    openat(at, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

/// Opens a regular file at a path below a directory, without passing a link.
pub(crate) fn open_file(at: BorrowedFd<'_>, path: &CStr) -> Result<File> {
    let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
    // Without O_NONBLOCK a named pipe would keep its reader waiting.
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    let name = path.to_string_lossy();
    let file = match sys::openat2(at, path, flags, 0, how) {
        Err(Errno::ELOOP) => return Err(ImageError::new(format!("open {name}: there is a symbolic link"))),
        answer => answer.doing(|| format!("open {name}"))?,
    };
    let file = File::from(file);
    if !file.metadata().doing(|| format!("stat {name}"))?.is_file() {
        return Err(ImageError::new(format!("open {name}: it is not a regular file")));
    }
    Ok(file)
}

/// Reads a file that must not be larger than `most` bytes.
pub(crate) fn read_all(file: &File, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = file.take(most + 1).read_to_end(&mut bytes).doing(|| "read")?;
    if length as u64 > most {
        return Err(ImageError::limit(format!("more than {most} bytes are not expected there")));
    }
    Ok(bytes)
}

/// Waits for the lock of a directory and takes it.
pub(crate) fn locked(directory: impl Into<File>) -> sys::Result<Flock<File>> {
    let mut directory = directory.into();
    loop {
        match Flock::lock(directory, FlockArg::LockExclusive) {
            Err((back, Errno::EINTR)) => directory = back,
            answer => return answer.map_err(|(_, errno)| errno),
        }
    }
}

/// The names of an absolute path, without dots, as far as the path itself tells where it leads.
pub(crate) fn plain_names(path: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names
}

/// Makes a directory unless there is one.
pub(crate) fn make_directory(at: impl AsFd, name: &CStr, mode: u32) -> sys::Result<()> {
    match mkdirat(at, name, Mode::from_bits_truncate(mode)) {
        Err(Errno::EEXIST) => Ok(()),
        answer => answer,
    }
}

/// Writes a file in one go: whoever reads sees the old one or the new one. `draft` is its name until then.
pub(crate) fn replace(at: BorrowedFd<'_>, name: &CStr, draft: &CStr, content: &[u8]) -> sys::Result<()> {
    write_new(at, draft, content)?;
    nix::fcntl::renameat(at, draft, at, name)
}

/// Writes a file; what was there before is gone.
pub(crate) fn write_new(at: BorrowedFd<'_>, name: &CStr, content: &[u8]) -> sys::Result<()> {
    match unlinkat(at, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(at, name, flags, Mode::from_bits_truncate(0o600))?);
    file.write_all(content).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}

/// What is there under this name; a link is not followed.
pub(crate) fn stat_at(at: impl AsFd, name: &CStr) -> sys::Result<Option<FileStat>> {
    match fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The type of what was found.
pub(crate) fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Is it what overlayfs takes for the absence of a file?
pub(crate) fn is_whiteout(stat: &FileStat) -> bool {
    kind_of(stat) == SFlag::S_IFCHR && stat.st_rdev == 0
}

/// The names in a directory.
pub(crate) fn names_in(directory: impl AsFd) -> sys::Result<Vec<CString>> {
    let mut names = Vec::new();
    // Opened anew, because listing moves the descriptor's position.
    let mut dir = Dir::openat(directory, c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    for entry in dir.iter() {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Removes a file, or a directory with everything in it. Nothing that is not there is missed.
pub(crate) fn remove_tree(at: impl AsFd, name: &CStr) -> sys::Result<()> {
    remove_below(at.as_fd(), name, DEPTH)
}

fn remove_below(at: BorrowedFd<'_>, name: &CStr, depth: usize) -> sys::Result<()> {
    match unlinkat(at, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::EISDIR | Errno::EPERM) if depth > 0 => {}
        Err(errno) => return Err(errno),
    }
    let directory = open_directory(at, name)?;
    for child in names_in(&directory)? {
        remove_below(directory.as_fd(), &child, depth - 1)?;
    }
    unlinkat(at, name, UnlinkatFlags::RemoveDir)
}
