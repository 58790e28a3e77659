//! `tmpcopyup`: what a directory holds is copied into the tmpfs that will cover it.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_sys as sys;

use crate::wire::{Call, Fault, In};

/// How deep directories may be nested: each level takes a buffer on the stack and two descriptors.
const MOST_LEVELS: usize = 64;

/// Copies the contents of `from`, with owners and permission bits, into `to`.
pub(crate) fn copy_up(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Fault> {
    copy_directory(from, to, MOST_LEVELS)
}

const HOW: u64 = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, levels: usize) -> Result<(), Fault> {
    if levels == 0 {
        return Err(Fault::check("directories are nested too deeply to be copied"));
    }
    let listing = sys::openat2(from, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0, HOW).in_call(Call::Openat2)?;
    let mut buffer = [0u8; 2048];
    loop {
        let length = sys::getdents(listing.as_fd(), &mut buffer).in_call(Call::Getdents)?;
        if length == 0 {
            return Ok(());
        }
        let mut at = 0;
        while at < length {
            // struct linux_dirent64: inode 8, offset 8, length of the entry 2, type 1, name.
            let size = u16::from_ne_bytes([buffer[at + 16], buffer[at + 17]]) as usize;
            // accepts: a name without its end, which the kernel does not write.
            let name = CStr::from_bytes_until_nul(&buffer[at + 19..at + size]).unwrap_or(c".");
            if name != c"." && name != c".." {
                copy_entry(from, to, name, levels)?;
            }
            at += size;
        }
    }
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, levels: usize) -> Result<(), Fault> {
    let entry = sys::openat2(from, name, libc::O_PATH | libc::O_NOFOLLOW, 0, HOW & !libc::RESOLVE_NO_SYMLINKS)
        .in_call(Call::Openat2)?;
    let stat = sys::fstat(entry.as_fd()).in_call(Call::Stat)?;
    let mode = stat.st_mode & 0o7777;
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => {
            sys::mkdirat(to, name, mode).in_call(Call::Mkdir)?;
            let inner = open_copy(to, name, libc::O_RDONLY | libc::O_DIRECTORY)?;
            copy_directory(entry.as_fd(), inner.as_fd(), levels - 1)?;
        }
        libc::S_IFLNK => {
            let mut target = [0u8; libc::PATH_MAX as usize];
            let length = sys::readlinkat(entry.as_fd(), c"", &mut target[..libc::PATH_MAX as usize - 1]);
            length.in_call(Call::Readlink)?;
            // accepts: a text that fills the buffer; a link to nothing fails.
            let target = CStr::from_bytes_until_nul(&target).unwrap_or(c"");
            sys::symlinkat(target, to, name).in_call(Call::Symlink)?;
        }
        libc::S_IFREG => copy_file(from, to, name, mode)?,
        _ => sys::mknodat(to, name, stat.st_mode, stat.st_rdev).in_call(Call::Mknod)?,
    }
    sys::fchownat(to, name, stat.st_uid, stat.st_gid).in_call(Call::Chown)?;
    // A change of owner takes the set-user-id bit away.
    if mode & 0o6000 != 0 && stat.st_mode & libc::S_IFMT != libc::S_IFLNK {
        sys::fchmod(open_copy(to, name, libc::O_RDONLY)?.as_fd(), mode).in_call(Call::Chmod)?;
    }
    Ok(())
}

fn open_copy(to: BorrowedFd<'_>, name: &CStr, flags: libc::c_int) -> Result<OwnedFd, Fault> {
    sys::openat2(to, name, flags, 0, HOW).in_call(Call::Openat2)
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<(), Fault> {
    let source = sys::openat2(from, name, libc::O_RDONLY | libc::O_NONBLOCK, 0, HOW).in_call(Call::Openat2)?;
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    let copy = sys::openat2(to, name, flags, mode, HOW).in_call(Call::Openat2)?;
    let mut buffer = [0u8; 16384];
    loop {
        let length = sys::read(source.as_fd(), &mut buffer).in_call(Call::Read)?;
        if length == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            let written = sys::write(copy.as_fd(), rest).in_call(Call::Write)?;
            rest = &rest[written..];
        }
    }
}
