//! Where the applier stands: open directories from the root of the layer down, each below the one before.
//!
//! Archives go through a tree in order, so the next entry is mostly in the same directory or near it. One that is elsewhere
//! is opened by its whole path in one call, however deep it lies. When a directory that was changed is left its time is set
//! again, for everything that is made in it changes that.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod};
use nix::unistd::{Gid, Uid, fchown};

use super::links::resolve;
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
    /// The path of the directory where it stands, from the root.
    path: Vec<u8>,
    /// Directories that were made on the way to something and have no entry so far.
    implied: BTreeSet<Vec<u8>>,
    implied_bytes: usize,
    /// How many directories were made.
    pub(super) made: u64,
    /// Did an entry take the place of an earlier one that had content?
    pub(super) replaced: bool,
    /// Did one take the place of an earlier one at all?
    pub(super) repeated: bool,
    /// Whether the path of an entry led through a symbolic link.
    pub(super) followed: bool,
}

#[derive(Debug)]
struct Level {
    /// How long its path is.
    end: usize,
    fd: OwnedFd,
    /// The time to set when it is left; none as long as nothing was changed in it.
    modified: Option<(i64, u32)>,
    /// Was it made for an entry of its own, which comes next?
    fresh: bool,
}

impl Cursor {
    pub(super) fn new(root: OwnedFd) -> Cursor {
        Cursor {
            root: Level { end: 0, fd: root, modified: Some((0, 0)), fresh: false },
            below: Vec::new(),
            path: Vec::new(),
            // Without an entry of its own the root is implied as well; its path is empty.
            implied: BTreeSet::from([Vec::new()]),
            implied_bytes: 0,
            made: 0,
            replaced: false,
            repeated: false,
            followed: false,
        }
    }

    /// The directory where the cursor stands.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.below.last().unwrap_or(&self.root).fd.as_fd()
    }

    /// The same, in which something is about to be made or removed.
    pub(super) fn change(&mut self) -> sys::Result<BorrowedFd<'_>> {
        let level = self.below.last_mut().unwrap_or(&mut self.root);
        if level.modified.is_none() {
            level.modified = Some(modified(level.fd.as_fd())?);
        }
        Ok(level.fd.as_fd())
    }

    pub(super) fn is_root(&self) -> bool {
        self.below.is_empty()
    }

    /// The directory where the cursor stands has an entry, with this time.
    pub(super) fn set_modified(&mut self, modified: (i64, u32)) {
        let level = self.below.last_mut().unwrap_or(&mut self.root);
        level.modified = Some(modified);
        if !std::mem::take(&mut level.fresh) {
            self.repeated |= !self.implied.remove(&self.path);
        }
    }

    /// Goes to the directory with this path, making what is missing of it. Symbolic links on the way are followed, but never
    /// out of the layer.
    pub(super) fn enter(&mut self, names: &[&[u8]], marks: Marks, depth: usize) -> Result<()> {
        let resolved;
        let mut path: Vec<&[u8]> = names.to_vec();
        match self.go(&names.join(&b'/'))? {
            None => return Ok(()),
            Some(Errno::ELOOP) => {
                self.followed = true;
                resolved = resolve(self.root.fd.as_fd(), names, depth)?;
                path = resolved.iter().map(Vec::as_slice).collect();
            }
            Some(_) => {}
        }
        // From below: each directory that is not there is made, so this is done once for it.
        let mut there = path.len();
        while self.go(&path[..there].join(&b'/'))?.is_some() {
            there -= 1;
        }
        for name in &path[there..] {
            self.push(&c_string(name)?, marks, false).map_err(|error| error.within(shown(name)))?;
        }
        Ok(())
    }

    /// Goes to a directory that is there, and not behind a link; if it is not, as near as it stands, and tells why.
    fn go(&mut self, path: &[u8]) -> Result<Option<Errno>> {
        let is_above =
            |end: usize, here: &[u8]| path.starts_with(&here[..end]) && path.get(end).is_none_or(|next| *next == b'/');
        while self.below.last().is_some_and(|level| !is_above(level.end, &self.path)) {
            self.leave()?;
        }
        let left = match self.below.last() {
            Some(level) => path.get(level.end + 1..).unwrap_or_default(),
            None => path,
        };
        if left.is_empty() {
            return Ok(None);
        }
        match open_path(self.fd(), left, libc::O_RDONLY | libc::O_DIRECTORY) {
            Ok(fd) => {
                self.path = path.to_vec();
                self.below.push(Level { end: path.len(), fd, modified: None, fresh: false });
                Ok(None)
            }
            Err(errno @ (Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP)) => Ok(Some(errno)),
            Err(errno) => Err(ImageError::of("open the directory that it is in", errno)),
        }
    }

    /// Goes into a directory, making it if it is missing. One that takes the place of something else hides what is beneath
    /// (that something had hidden it already); only one that is `listed` in the archive may do that to anything but a whiteout.
    pub(super) fn push(&mut self, name: &CStr, marks: Marks, listed: bool) -> Result<()> {
        let mut replaced = None;
        let (fd, new) = match open_directory(self.fd(), name) {
            Ok(fd) => (fd, false),
            Err(Errno::ENOENT) => (make(self.change().doing(|| "stat")?, name)?, true),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let at = self.change().doing(|| "stat")?;
                let found = stat_at(at, name).doing(|| "stat")?;
                if !listed && !found.is_some_and(|found| is_whiteout(&found)) {
                    return Err(ImageError::new("it is on the way to this entry, and no directory"));
                }
                remove_file(at, name).doing(|| "remove the former entry")?;
                replaced = found;
                let fd = make(at, name)?;
                set_opaque(marks, fd.as_fd())?;
                (fd, true)
            }
            Err(errno) => return Err(ImageError::of("open the directory", errno)),
        };
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name.to_bytes());
        let modified = new.then_some((0, 0));
        self.below.push(Level { end: self.path.len(), fd, modified, fresh: new && listed });
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
    /// from their headers only as long as the first is there, and so are files behind a link.
    pub(super) fn replaces(&mut self, found: &FileStat) {
        self.repeated = true;
        self.replaced |= match kind_of(found) {
            SFlag::S_IFDIR => true,
            SFlag::S_IFREG => found.st_size > 0 || found.st_nlink > 1,
            _ => found.st_nlink > 1,
        };
    }

    /// Opens the directory that something is in, without making anything. Links are followed within the layer.
    pub(super) fn look_up(&mut self, names: &[&[u8]], depth: usize) -> Result<sys::Result<OwnedFd>> {
        match self.open(&names.join(&b'/')) {
            Err(Errno::ELOOP) => {
                self.followed = true;
                let names = resolve(self.root.fd.as_fd(), names, depth)?;
                Ok(self.open(&names.join(&b'/')))
            }
            answer => Ok(answer),
        }
    }

    fn open(&self, path: &[u8]) -> sys::Result<OwnedFd> {
        open_path(self.root.fd.as_fd(), path, libc::O_PATH | libc::O_DIRECTORY)
    }

    /// Leaves everything, and tells which directories have no entry.
    pub(super) fn finish(mut self) -> Result<Vec<Vec<u8>>> {
        while !self.below.is_empty() {
            self.leave()?;
        }
        let modified = self.root.modified.unwrap_or_default();
        set_modified(self.root.fd.as_fd(), modified).doing(|| "set the time of the root")?;
        Ok(self.implied.into_iter().collect())
    }

    fn leave(&mut self) -> Result<()> {
        let Some(level) = self.below.pop() else { return Ok(()) };
        if let Some(modified) = level.modified {
            let doing = || format!("set the time of {}", shown(&self.path));
            set_modified(level.fd.as_fd(), modified).doing(doing)?;
        }
        self.path.truncate(self.below.last().map_or(0, |level| level.end));
        Ok(())
    }

    fn imply(&mut self) -> Result<()> {
        let fd = self.fd();
        let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
        fchown(fd, Some(uid), Some(gid))
            .and_then(|()| fchmod(fd, Mode::from_bits_truncate(IMPLIED)))
            .doing(|| "chown")?;
        let path = self.path.clone();
        self.implied_bytes += path.len() + EACH_IMPLIED;
        if self.implied_bytes > MOST_IMPLIED {
            return Err(ImageError::new("too many directories without an entry of their own"));
        }
        self.implied.insert(path);
        Ok(())
    }
}

/// Opens something by its path below a directory, without passing a link or a mount.
pub(super) fn open_path(at: BorrowedFd<'_>, path: &[u8], flags: i32) -> sys::Result<OwnedFd> {
    let path = c_string(if path.is_empty() { b"." } else { path }).map_err(|_| Errno::EINVAL)?;
    let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
    sys::openat2(at, &path, flags, 0, how)
}

fn make(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    make_directory(at, &name.to_owned()).and_then(|()| open_directory(at, name)).doing(|| "make the directory")
}

fn modified(fd: BorrowedFd<'_>) -> sys::Result<(i64, u32)> {
    let stat = sys::fstat(fd)?;
    Ok((stat.st_mtime as i64, stat.st_mtime_nsec as u32))
}
