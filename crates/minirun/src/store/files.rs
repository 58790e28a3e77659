//! Files of the state directory: opened by descriptor, without following links or waiting, and believed only if nobody else
//! could have written them.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use minirun_plan::{distrust, distrust_way};
use minirun_sys as sys;
use minirun_sys::Errno;

use crate::facts::in_initial_user_namespace;

/// Nothing outside of the directory, and nothing by a link.
const INSIDE: u64 = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: u32 = 40;
/// The owner of a file whose owner a user namespace does not map.
const UNMAPPED: u32 = 65534;
/// A FIFO, a terminal or another device must not keep the caller waiting.
const AT_ONCE: libc::c_int = libc::O_NONBLOCK | libc::O_NOCTTY;

/// Fails unless only root and the user of this process can write this file or directory.
pub(super) fn trust(fd: BorrowedFd<'_>) -> Result<()> {
    let stat = sys::fstat(fd)?;
    match distrust(stat.st_uid, stat.st_mode, nix::unistd::geteuid().as_raw()) {
        Some(why) => bail!("{why}"),
        None => Ok(()),
    }
}

/// Fails unless only root and the user of this process can exchange what is below this directory, or this link.
fn trust_way(fd: BorrowedFd<'_>, here: &Path) -> Result<()> {
    let stat = sys::fstat(fd)?;
    // A link has no mode of its own.
    let mode = if stat.st_mode & libc::S_IFMT == libc::S_IFLNK { 0 } else { stat.st_mode };
    let ids = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    match distrust_way(stat.st_uid, mode, (stat.st_gid, ids.1), ids.0) {
        // In a user namespace root of the host, among others, has no number.
        Some(_) if stat.st_uid == UNMAPPED && !in_initial_user_namespace()? => Ok(()),
        Some(why) => bail!("{}: {why}", here.display()),
        None => Ok(()),
    }
}

/// Opens the state directory; none if it is not there. What leads to it is looked at as well, step by step: the user of a
/// directory above, or of a link, could have another directory of root's taken for it.
pub(super) fn open_root(path: &Path) -> Result<Option<OwnedFd>> {
    let path = std::path::absolute(path)?;
    let names = |path: &Path| path.components().rev().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>();
    let (mut here, mut so_far) = (None::<OwnedFd>, PathBuf::new());
    let (mut left, mut links) = (names(&path), 0);
    while let Some(name) = left.pop() {
        let above = here.as_ref().map_or(sys::working_directory(), AsFd::as_fd);
        let next = match sys::openat2(above, &CString::new(name.as_bytes())?, libc::O_PATH | libc::O_NOFOLLOW, 0, 0) {
            Err(Errno::ENOENT) => return Ok(None),
            answer => answer?,
        };
        let place = so_far.join(&name);
        if sys::fstat(next.as_fd())?.st_mode & libc::S_IFMT == libc::S_IFLNK {
            trust_way(next.as_fd(), &place)?;
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::ELOOP.into());
            }
            let mut target = [0; libc::PATH_MAX as usize];
            let length = sys::readlinkat(next.as_fd(), c"", &mut target)?;
            left.extend(names(Path::new(OsStr::from_bytes(&target[..length]))));
            continue;
        }
        if !left.is_empty() {
            trust_way(next.as_fd(), &place)?;
        }
        (here, so_far) = (Some(next), place);
    }
    let Some(root) = here else { return Err(Errno::ENOENT.into()) };
    let root = sys::openat2(root.as_fd(), c".", libc::O_PATH | libc::O_DIRECTORY, 0, 0)?;
    trust(root.as_fd())?;
    Ok(Some(root))
}

fn open(at: BorrowedFd<'_>, name: &str, flags: libc::c_int) -> Result<Option<File>> {
    match sys::openat2(at, &CString::new(name)?, flags, 0o600, INSIDE) {
        Ok(fd) => Ok(Some(File::from(fd))),
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ELOOP) => bail!("it is a symbolic link"),
        // A socket, or a FIFO without a reader.
        Err(Errno::ENXIO) => bail!("it is not a regular file"),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens a directory to be locked; none if it is not there.
pub(super) fn open_directory(at: BorrowedFd<'_>, name: &str) -> Result<Option<File>> {
    let directory = open(at, name, libc::O_RDONLY | libc::O_DIRECTORY)?;
    directory.as_ref().map_or(Ok(()), |directory| trust(directory.as_fd()))?;
    Ok(directory)
}

/// Everything in a regular file; none if it is not there.
pub(super) fn read(at: BorrowedFd<'_>, name: &str) -> Result<Option<Vec<u8>>> {
    let Some(mut file) = open(at, name, libc::O_RDONLY | AT_ONCE)? else { return Ok(None) };
    regular(&file)?;
    trust(file.as_fd())?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Makes a regular file with this text, or replaces its text.
pub(super) fn write(at: BorrowedFd<'_>, name: &str, text: &[u8]) -> Result<()> {
    let Some(mut file) = open(at, name, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | AT_ONCE)? else {
        return Err(Errno::ENOENT.into());
    };
    regular(&file)?;
    Ok(file.write_all(text)?)
}

fn regular(file: &File) -> Result<()> {
    let kind = sys::fstat(file.as_fd())?.st_mode & libc::S_IFMT;
    if kind == libc::S_IFREG { Ok(()) } else { bail!("it is not a regular file") }
}

/// Whether there is something of this name.
pub(super) fn exists(at: BorrowedFd<'_>, name: &str) -> Result<bool> {
    match sys::openat2(at, &CString::new(name)?, libc::O_PATH | libc::O_NOFOLLOW, 0, libc::RESOLVE_BENEATH) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
