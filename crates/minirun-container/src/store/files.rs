//! Files of the state directory: opened by descriptor, without following links or waiting, and trusted only if no other user
//! could have written them.

use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd};

use minirun_sys as sys;
use minirun_sys::{Errno, Untrusted};

use crate::error::{Error, Result, bail};

/// Nothing outside of the directory, and nothing by a link.
const INSIDE: u64 = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
/// A FIFO, a terminal or another device must not keep the caller waiting.
const AT_ONCE: libc::c_int = libc::O_NONBLOCK | libc::O_NOCTTY;

/// The error as reports show it: an error number, or words.
pub(super) fn explain(error: Untrusted) -> Error {
    match error {
        Untrusted::Failed(errno) => errno.into(),
        Untrusted::Refused(why) => Error::text(why),
    }
}

fn trust(fd: BorrowedFd<'_>) -> Result<()> {
    sys::trust(fd).map_err(explain)
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
    let Some(file) = open(at, name, libc::O_RDONLY | AT_ONCE)? else { return Ok(None) };
    let stat = regular(&file)?;
    sys::trust_file(&stat).map_err(explain)?;
    Ok(Some(sys::read_to_end(file.as_fd(), stat.st_size as usize)?))
}

/// Makes a regular file with this text, or replaces its text.
pub(super) fn write(at: BorrowedFd<'_>, name: &str, text: &[u8]) -> Result<()> {
    let Some(mut file) = open(at, name, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | AT_ONCE)? else {
        return Err(Errno::ENOENT.into());
    };
    regular(&file)?;
    Ok(file.write_all(text)?)
}

fn regular(file: &File) -> Result<libc::stat> {
    let stat = sys::fstat(file.as_fd())?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFREG { Ok(stat) } else { bail!("it is not a regular file") }
}

/// Whether there is something of this name.
pub(super) fn exists(at: BorrowedFd<'_>, name: &str) -> Result<bool> {
    match sys::openat2(at, &CString::new(name)?, libc::O_PATH | libc::O_NOFOLLOW, 0, libc::RESOLVE_BENEATH) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
