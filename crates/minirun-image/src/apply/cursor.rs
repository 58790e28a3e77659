//! Where the applier stands: a chain of open directories from the root of the layer down.
//!
//! Archives go through a tree in order, so the next entry is mostly in the same directory or near it. When a directory is
//! left its time is set, for everything that is made in it changes that; when it is come back to, its time is remembered.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod};
use nix::unistd::{Gid, Uid, fchown};

use super::{IMPLIED, Marks, make_directory, remove_file, set_modified, set_opaque};
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, is_whiteout, kind_of, open_directory, shown, stat_at};

/// How many bytes the paths of implied directories may take together, and how many each takes besides its own.
const MOST_IMPLIED: usize = 4 << 20;
const EACH_IMPLIED: usize = 64;

#[derive(Debug)]
pub(super) struct Cursor {
    root: Level,
    below: Vec<Level>,
    /// Directories that were made on the way to something and have no entry so far.
    implied: BTreeSet<Vec<u8>>,
    implied_bytes: usize,
    /// How many directories were made.
    pub(super) made: u64,
    /// Did an entry take the place of an earlier one that had content?
    pub(super) replaced: bool,
    /// Did one take the place of an earlier one at all?
    pub(super) repeated: bool,
}

#[derive(Debug)]
struct Level {
    name: Vec<u8>,
    fd: OwnedFd,
    /// The time to set when it is left.
    modified: (i64, u32),
    /// Was it made for an entry of its own, which comes next?
    fresh: bool,
}

impl Cursor {
    pub(super) fn new(root: OwnedFd) -> Cursor {
        let root = Level { name: Vec::new(), fd: root, modified: (0, 0), fresh: false };
        // Without an entry of its own the root is implied as well; its path is empty.
        Cursor {
            root,
            below: Vec::new(),
            implied: BTreeSet::from([Vec::new()]),
            implied_bytes: 0,
            made: 0,
            replaced: false,
            repeated: false,
        }
    }

    /// The directory where the cursor stands.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.below.last().unwrap_or(&self.root).fd.as_fd()
    }

    pub(super) fn is_root(&self) -> bool {
        self.below.is_empty()
    }

    /// The directory where the cursor stands has an entry, with this time.
    pub(super) fn set_modified(&mut self, modified: (i64, u32)) {
        self.below.last_mut().unwrap_or(&mut self.root).modified = modified;
        let path = self.path();
        let level = self.below.last_mut().unwrap_or(&mut self.root);
        if !std::mem::take(&mut level.fresh) {
            self.repeated |= !self.implied.remove(&path);
        }
    }

    /// Goes to the directory with this path, making what is missing of it.
    pub(super) fn enter(&mut self, names: &[&[u8]], marks: Marks) -> Result<()> {
        let common = self.below.iter().zip(names).take_while(|(level, name)| level.name == **name).count();
        while self.below.len() > common {
            self.leave()?;
        }
        for name in &names[common..] {
            self.push(&c_string(name)?, marks, false).map_err(|error| error.within(shown(name)))?;
        }
        Ok(())
    }

    /// Goes into a directory, making it if it is missing. One that takes the place of something else hides what is beneath
    /// (that something had hidden it already); only one that is `listed` in the archive may do that to anything but a whiteout.
    pub(super) fn push(&mut self, name: &CStr, marks: Marks, listed: bool) -> Result<()> {
        let at = self.fd();
        let mut replaced = None;
        let (fd, new) = match open_directory(at, name) {
            Ok(fd) => (fd, false),
            Err(Errno::ENOENT) => (make(at, name)?, true),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let found = stat_at(at, name).doing(|| "stat")?;
                if !listed && !found.is_some_and(|found| is_whiteout(&found)) {
                    return Err(ImageError::new("it is on the way to this entry, and no directory"));
                }
                remove_file(at, name).doing(|| "remove what was there before")?;
                replaced = found;
                let fd = make(at, name)?;
                set_opaque(fd.as_fd(), marks)?;
                (fd, true)
            }
            Err(errno) => return Err(ImageError::of("open the directory", errno)),
        };
        let modified = match new {
            true => (0, 0),
            false => modified(fd.as_fd()).doing(|| "stat")?,
        };
        self.below.push(Level { name: name.to_bytes().to_vec(), fd, modified, fresh: new && listed });
        // The name of what was there before is counted.
        self.made += u64::from(new && replaced.is_none());
        if let Some(found) = replaced {
            self.replaces(&found);
        }
        if new && !listed {
            self.imply()?;
        }
        Ok(())
    }

    /// Notes that an entry takes the place of this. Headers are kept, content is not; other names of the same file are told
    /// from their headers only as long as the first is there.
    pub(super) fn replaces(&mut self, found: &FileStat) {
        self.repeated = true;
        self.replaced |= match kind_of(found) {
            SFlag::S_IFDIR => true,
            SFlag::S_IFREG => found.st_size > 0 || found.st_nlink > 1,
            _ => found.st_nlink > 1,
        };
    }

    /// Opens a directory by its path, without making anything, from where links would lead elsewhere: there must be none.
    pub(super) fn look_up(&self, names: &[&[u8]]) -> sys::Result<OwnedFd> {
        let path = if names.is_empty() { b".".to_vec() } else { names.join(&b'/') };
        let path = c_string(&path).map_err(|_| Errno::EINVAL)?;
        let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
        sys::openat2(self.root.fd.as_fd(), &path, libc::O_PATH | libc::O_DIRECTORY, 0, how)
    }

    /// Leaves everything, and tells which directories have no entry.
    pub(super) fn finish(mut self) -> Result<Vec<Vec<u8>>> {
        while !self.below.is_empty() {
            self.leave()?;
        }
        set_modified(self.root.fd.as_fd(), self.root.modified).doing(|| "set the time of the root")?;
        Ok(self.implied.into_iter().collect())
    }

    fn leave(&mut self) -> Result<()> {
        let Some(level) = self.below.pop() else { return Ok(()) };
        set_modified(level.fd.as_fd(), level.modified).doing(|| format!("set the time of {}", shown(&level.name)))
    }

    fn imply(&mut self) -> Result<()> {
        let fd = self.fd();
        let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
        fchown(fd, Some(uid), Some(gid))
            .and_then(|()| fchmod(fd, Mode::from_bits_truncate(IMPLIED)))
            .doing(|| "chown")?;
        let path = self.path();
        self.implied_bytes += path.len() + EACH_IMPLIED;
        if self.implied_bytes > MOST_IMPLIED {
            return Err(ImageError::new("too many directories without an entry of their own"));
        }
        self.implied.insert(path);
        Ok(())
    }

    /// Where the cursor stands, from the root.
    fn path(&self) -> Vec<u8> {
        self.below.iter().map(|level| level.name.as_slice()).collect::<Vec<_>>().join(&b'/')
    }
}

fn make(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    make_directory(at, &name.to_owned()).and_then(|()| open_directory(at, name)).doing(|| "make the directory")
}

fn modified(fd: BorrowedFd<'_>) -> sys::Result<(i64, u32)> {
    let stat = sys::fstat(fd)?;
    Ok((stat.st_mtime as i64, stat.st_mtime_nsec as u32))
}
