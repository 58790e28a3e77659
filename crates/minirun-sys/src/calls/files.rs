//! Files and directories: opened, made, changed, asked about, with their extended attributes.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use super::{check, check_fd, plain, plain_fd, read, syscall};
use crate::{Errno, Result};

/// openat2(2), Linux 5.6. `flags` gets `O_CLOEXEC`; `mode` counts with `O_CREAT` alone.
pub fn openat2(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int, mode: u32, resolve: u64) -> Result<OwnedFd> {
    // SAFETY: all-zero is a valid open_how; the struct has no padding that matters to the kernel.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.mode = if flags & libc::O_CREAT != 0 { mode as u64 } else { 0 };
    how.resolve = resolve;
    // A rename elsewhere makes the kernel unsure of a `..` (EAGAIN); somebody who renames all the time shall not win.
    const ATTEMPTS: usize = 128;
    let mut answer = Err(Errno::EAGAIN);
    for _ in 0..ATTEMPTS {
        let size = size_of::<libc::open_how>();
        // SAFETY: the kernel reads the string and a struct of this size, and answers with a new descriptor.
        answer = unsafe { check_fd(syscall!(SYS_openat2, at.as_raw_fd(), path.as_ptr(), &raw const how, size)) };
        if !matches!(answer, Err(Errno::EAGAIN)) {
            break;
        }
    }
    answer
}

/// openat(2) from the working directory, with `O_CLOEXEC`.
pub fn open(path: &CStr, flags: libc::c_int) -> Result<OwnedFd> {
    plain_fd!(SYS_openat, libc::AT_FDCWD, path, flags | libc::O_CLOEXEC, 0)
}

/// Reads a whole file of /proc, in as few calls as possible.
///
/// # Errors
/// It cannot be opened or read.
pub fn read_file(path: &str) -> std::io::Result<Vec<u8>> {
    let file = open(&CString::new(path)?, libc::O_RDONLY)?;
    Ok(read_to_end(file.as_fd(), 0)?)
}

/// Reads the rest of a file. `size` is the expected number of bytes; the end is known only from a read that returns none.
///
/// # Errors
/// It cannot be read.
pub fn read_to_end(file: BorrowedFd<'_>, size: usize) -> Result<Vec<u8>> {
    const PAGE: usize = 4096;
    let (mut text, mut length) = (vec![0; size.saturating_add(1).max(PAGE)], 0);
    loop {
        match read(file, &mut text[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        if length == text.len() {
            text.resize(2 * length, 0);
        }
    }
    text.truncate(length);
    Ok(text)
}

/// mkdirat(2).
pub fn mkdirat(at: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    check(plain!(SYS_mkdirat, at, name, mode)).map(drop)
}

/// mknodat(2).
pub fn mknodat(at: BorrowedFd<'_>, name: &CStr, mode: u32, device: u64) -> Result<()> {
    check(plain!(SYS_mknodat, at, name, mode, device)).map(drop)
}

/// symlinkat(2).
pub fn symlinkat(target: &CStr, at: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    check(plain!(SYS_symlinkat, target, at, name)).map(drop)
}

/// renameat2(2) with `RENAME_NOREPLACE`: what has the new name already stays (`EEXIST`).
pub fn rename_to_new(at: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, new: &CStr) -> Result<()> {
    let flags = libc::RENAME_NOREPLACE;
    check(plain!(SYS_renameat2, at, name, to, new, flags)).map(drop)
}

/// unlinkat(2) of a file.
pub fn unlinkat(at: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    check(plain!(SYS_unlinkat, at, name, 0)).map(drop)
}

/// readlinkat(2): how many bytes of the link's text were put into `buffer`.
pub fn readlinkat(at: BorrowedFd<'_>, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel reads the string, and writes at most as many bytes as the slice has.
    check(unsafe { syscall!(SYS_readlinkat, at.as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr(), buffer.len()) })
        .map(|n| n as usize)
}

/// fchownat(2) of the entry itself, never of what a link points to.
pub fn fchownat(at: BorrowedFd<'_>, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    check(plain!(SYS_fchownat, at, name, uid, gid, libc::AT_SYMLINK_NOFOLLOW)).map(drop)
}

/// fchownat(2) through an empty path, so that it works on `O_PATH` descriptors, even on one of a link.
pub fn chown_entry(entry: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    check(plain!(SYS_fchownat, entry, c"", uid, gid, libc::AT_EMPTY_PATH)).map(drop)
}

/// fchown(2).
pub fn fchown(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    check(plain!(SYS_fchown, fd, uid, gid)).map(drop)
}

/// fchmod(2).
pub fn fchmod(fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    check(plain!(SYS_fchmod, fd, mode)).map(drop)
}

/// fchmodat(2), which follows links.
pub fn fchmodat(at: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    check(plain!(SYS_fchmodat, at, name, mode)).map(drop)
}

/// fstat(2) through an empty path, so that it works on `O_PATH` descriptors.
pub fn fstat(fd: BorrowedFd<'_>) -> Result<libc::stat> {
    // SAFETY: all-zero is a valid stat, which the kernel overwrites.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one stat.
    check(unsafe { syscall!(SYS_newfstatat, fd.as_raw_fd(), c"".as_ptr(), &raw mut stat, libc::AT_EMPTY_PATH) })?;
    Ok(stat)
}

/// stat(2), links followed.
pub fn stat(path: &CStr) -> Result<libc::stat> {
    // SAFETY: all-zero is a valid stat, which the kernel overwrites.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel reads the string and writes one stat.
    check(unsafe { syscall!(SYS_newfstatat, libc::AT_FDCWD, path.as_ptr(), &raw mut stat, 0) })?;
    Ok(stat)
}

/// statx(2) with `STATX_MNT_ID`: the id of the mount that a descriptor is on. From Linux 6.8 on no other mount ever gets it;
/// before, none does while the mount exists.
pub fn mount_id(fd: BorrowedFd<'_>) -> Result<u64> {
    const STATX_MNT_ID_UNIQUE: libc::c_uint = 0x4000;
    // SAFETY: all-zero is a valid statx, which the kernel overwrites.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    let mask = libc::STATX_MNT_ID | STATX_MNT_ID_UNIQUE;
    // SAFETY: the kernel writes one statx.
    check(unsafe { syscall!(SYS_statx, fd.as_raw_fd(), c"".as_ptr(), flags, mask, &raw mut stat) })?;
    // Linux 5.8 and later fill it in.
    if stat.stx_mask & mask == 0 { Err(Errno::ENOSYS) } else { Ok(stat.stx_mnt_id) }
}

/// What is known of the file system behind a descriptor.
#[derive(Debug, Clone, Copy)]
pub struct FileSystem {
    /// `f_type`: `PROC_SUPER_MAGIC` and so on.
    pub magic: i64,
    /// `ST_*` bits: of the mount as well as of the superblock.
    pub flags: u64,
}

/// fstatfs(2).
pub fn fstatfs(fd: BorrowedFd<'_>) -> Result<FileSystem> {
    // On 64-bit machines struct statfs is longs throughout, f_fsid counting as one; libc hides f_flags on some targets.
    let mut fields = [0i64; 15];
    // SAFETY: the kernel writes one statfs, which is as long as the array (see above).
    check(unsafe { syscall!(SYS_fstatfs, fd.as_raw_fd(), fields.as_mut_ptr()) })?;
    Ok(FileSystem { magic: fields[0], flags: fields[10] as u64 })
}

/// faccessat2(2), Linux 5.8, with `AT_EACCESS`: may the present credentials do `mode` with this path?
pub fn faccess(path: &CStr, mode: libc::c_int) -> Result<()> {
    check(plain!(SYS_faccessat2, libc::AT_FDCWD, path, mode, libc::AT_EACCESS)).map(drop)
}

/// getdents64(2): how many bytes of directory entries were put into `buffer`.
pub fn getdents(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most as many bytes as the slice has.
    check(unsafe { syscall!(SYS_getdents64, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) }).map(|n| n as usize)
}

/// getcwd(2): how many bytes of the working directory's path, its NUL included, were put into `buffer`.
pub fn getcwd(buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most as many bytes as the slice has.
    check(unsafe { syscall!(SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) }).map(|n| n as usize)
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    check(plain!(SYS_chdir, path)).map(drop)
}

/// fchdir(2).
pub fn fchdir(directory: BorrowedFd<'_>) -> Result<()> {
    check(plain!(SYS_fchdir, directory)).map(drop)
}

/// chroot(2).
pub fn chroot(path: &CStr) -> Result<()> {
    check(plain!(SYS_chroot, path)).map(drop)
}

/// umask(2); returns the former mask.
pub fn umask(mask: u32) -> u32 {
    plain!(SYS_umask, mask) as u32
}

/// fsetxattr(2) with `XATTR_CREATE`: an attribute that is there already is `EEXIST`.
pub fn create_xattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    let flags = libc::XATTR_CREATE;
    // SAFETY: the kernel reads the name, and as many bytes as the value has.
    check(unsafe { syscall!(SYS_fsetxattr, fd.as_raw_fd(), name.as_ptr(), value.as_ptr(), value.len(), flags) })
        .map(drop)
}

/// fsetxattr(2): an attribute that is there already is replaced.
pub fn set_xattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads the name, and as many bytes as the value has.
    check(unsafe { syscall!(SYS_fsetxattr, fd.as_raw_fd(), name.as_ptr(), value.as_ptr(), value.len(), 0) }).map(drop)
}

/// fgetxattr(2): how many bytes of the attribute were put into `buffer`.
pub fn get_xattr(fd: BorrowedFd<'_>, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel reads the name, and writes at most as many bytes as the slice has.
    check(unsafe { syscall!(SYS_fgetxattr, fd.as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr(), buffer.len()) })
        .map(|n| n as usize)
}

/// flistxattr(2): how many bytes of names, each with its NUL, were put into `buffer`; ERANGE if it is too short for them.
pub fn list_xattr(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most as many bytes as the slice has.
    check(unsafe { syscall!(SYS_flistxattr, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) }).map(|n| n as usize)
}
