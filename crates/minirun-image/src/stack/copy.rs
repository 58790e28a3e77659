//! Copies a directory of a stack, with everything in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};

use minirun_sys as sys;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmodat, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, fchownat, linkat, symlinkat};

use super::{Part, Seen, Stack};
use crate::attributes::copy_attributes;
use crate::error::{Doing as _, Result};
use crate::files::{c_string, names_in, open_directory, shown, stat_at};
use crate::holes::extents;

/// What is under way.
pub(super) struct Copier<'a> {
    stack: &'a Stack,
    root: &'a OwnedFd,
    /// Where it is, from the root.
    path: Vec<u8>,
    /// Files that have more than one name, by device and inode: the first name of their copies, from the root.
    links: BTreeMap<(u64, u64), CString>,
}

impl<'a> Copier<'a> {
    /// Copies into this directory.
    pub(super) fn new(stack: &'a Stack, root: &'a OwnedFd) -> Copier<'a> {
        Copier { stack, root, path: Vec::new(), links: BTreeMap::new() }
    }

    /// Copies what is merged here into a directory that is there, and empty.
    pub(super) fn below(&mut self, merged: &[Part], into: &OwnedFd) -> Result<()> {
        let mut names = BTreeSet::new();
        for (_, directory) in merged {
            names.extend(names_in(directory).doing(|| "list")?);
        }
        for name in names {
            let above = self.path.len();
            if above > 0 {
                self.path.push(b'/');
            }
            self.path.extend(name.to_bytes());
            self.one(merged, &name, into).map_err(|error| error.within(shown(name.to_bytes())))?;
            self.path.truncate(above);
        }
        merged.first().map_or(Ok(()), |(_, top)| copy_attributes(into, top))
    }

    fn one(&mut self, merged: &[Part], name: &CStr, into: &OwnedFd) -> Result<()> {
        match self.stack.step(merged, name)? {
            Seen::Nothing => Ok(()),
            Seen::Directory(below) => {
                mkdirat(into, name, Mode::S_IRWXU).doing(|| "make the directory")?;
                self.below(&below, &open_directory(into, name).doing(|| "open")?)
            }
            Seen::Other(parent, name, kind) => self.other(&parent, &name, kind, into),
        }
    }

    /// What is no directory.
    fn other(&mut self, from: &OwnedFd, name: &CStr, kind: SFlag, into: &OwnedFd) -> Result<()> {
        let Some(found) = stat_at(from, name).doing(|| "stat")? else { return Ok(()) };
        if found.st_nlink > 1 {
            let file = (found.st_dev, found.st_ino);
            if let Some(first) = self.links.get(&file) {
                return linkat(self.root, first.as_c_str(), into, name, LinkatFlags::empty()).doing(|| "link");
            }
            // A longer path would not be found.
            if self.path.len() < libc::PATH_MAX as usize {
                self.links.insert(file, c_string(&self.path)?);
            }
        }
        match kind {
            SFlag::S_IFREG => copy_file(from, name, into),
            _ => make_other(from, name, kind, &found, into).doing(|| "make it"),
        }
    }
}

fn copy_file(from: &OwnedFd, name: &CStr, into: &OwnedFd) -> Result<()> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let read = openat(from, name, flags | OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty());
    let mut read = File::from(read.doing(|| "open")?);
    let write = flags | OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let mut made = File::from(openat(into, name, write, Mode::from_bits_truncate(0o600)).doing(|| "create")?);
    copy_content(&mut read, &mut made).doing(|| "copy")?;
    copy_attributes(&made.into(), read.as_fd())
}

/// Copies what a file holds, and leaves its holes.
fn copy_content(read: &mut File, made: &mut File) -> std::io::Result<()> {
    let size = read.metadata()?.len();
    made.set_len(size)?;
    for (start, end) in extents(read, size)? {
        read.seek(SeekFrom::Start(start))?;
        made.seek(SeekFrom::Start(start))?;
        std::io::copy(&mut (&mut *read).take(end - start), made)?;
    }
    Ok(())
}

/// A link, a device or the like.
fn make_other(from: &OwnedFd, name: &CStr, kind: SFlag, found: &FileStat, into: &OwnedFd) -> sys::Result<()> {
    if kind == SFlag::S_IFLNK {
        let mut target = [0; 4096];
        let length = sys::readlinkat(from.as_fd(), name, &mut target)?;
        let target = c_string(&target[..length]).map_err(|_| sys::Errno::EINVAL)?;
        symlinkat(target.as_c_str(), into, name)?;
    } else {
        mknodat(into, name, kind, Mode::from_bits_truncate(found.st_mode), found.st_rdev)?;
    }
    let (uid, gid) = (Uid::from_raw(found.st_uid), Gid::from_raw(found.st_gid));
    fchownat(into, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if kind != SFlag::S_IFLNK {
        // A new owner takes away set-user-id.
        fchmodat(into, name, Mode::from_bits_truncate(found.st_mode), FchmodatFlags::FollowSymlink)?;
    }
    let modified = TimeSpec::new(found.st_mtime, found.st_mtime_nsec);
    utimensat(into, name, &TimeSpec::UTIME_OMIT, &modified, UtimensatFlags::NoFollowSymlink)
}
