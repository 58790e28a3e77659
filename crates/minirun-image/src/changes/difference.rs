//! The differences as `docker diff` tells them.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};

use minirun_sys as sys;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag};

use super::{Beneath, Met, Visitor};
use crate::error::Result;
use crate::files::kind_of;

/// The one extended attribute that counts.
const CAPABILITY: &std::ffi::CStr = c"security.capability";

/// What has become of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The layers do not have it.
    Added,
    /// It is another than that of the layers, or something in it was changed.
    Changed,
    /// The layers alone have it.
    Deleted,
}

/// A path with what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What has.
    pub change: Change,
    /// From the root, without a slash before it.
    pub path: Vec<u8>,
}

impl fmt::Display for Changed {
    /// A letter and the path. Control characters are shown in octal, as `\012`: a name cannot look like another line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.change {
            Change::Added => "A /",
            Change::Changed => "C /",
            Change::Deleted => "D /",
        })?;
        String::from_utf8_lossy(&self.path).chars().try_for_each(|letter| match letter.is_control() {
            true => write!(f, "\\{:03o}", u32::from(letter)),
            false => write!(f, "{letter}"),
        })
    }
}

/// Tells every change, and of a directory in which something was changed that it was.
pub(super) struct Differences<'a> {
    tell: &'a mut dyn FnMut(&Changed) -> Result<()>,
    /// Directories that are as they were so far, each in the one before.
    waiting: Vec<Vec<u8>>,
}

impl<'a> Differences<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(&Changed) -> Result<()>) -> Differences<'a> {
        Differences { tell, waiting: Vec::new() }
    }

    fn leave(&mut self, path: &[u8]) {
        let above = |directory: &Vec<u8>| path.strip_prefix(&directory[..]).is_some_and(|rest| rest.starts_with(b"/"));
        while self.waiting.last().is_some_and(|directory| !above(directory)) {
            self.waiting.pop();
        }
    }

    fn changed(&mut self, change: Change, path: &[u8]) -> Result<()> {
        for path in std::mem::take(&mut self.waiting) {
            (self.tell)(&Changed { change: Change::Changed, path })?;
        }
        (self.tell)(&Changed { change, path: path.to_vec() })
    }
}

impl Visitor for Differences<'_> {
    const LAYER: bool = false;

    fn present(&mut self, met: &Met<'_>) -> Result<()> {
        if met.path.is_empty() {
            return Ok(());
        }
        self.leave(met.path);
        match met.beneath {
            None => self.changed(Change::Added, met.path),
            Some(beneath) if differs(met, beneath) => self.changed(Change::Changed, met.path),
            Some(_) if met.directory.is_some() => {
                self.waiting.push(met.path.to_vec());
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }

    fn absent(&mut self, path: &[u8]) -> Result<()> {
        self.leave(path);
        self.changed(Change::Deleted, path)
    }
}

/// Docker's rule (moby, pkg/archive): type, permissions, owner, device; of all but directories size and time; and
/// capabilities.
fn differs(met: &Met<'_>, beneath: &Beneath) -> bool {
    let key = |stat: &FileStat| (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev);
    let (found, before) = (met.found, &beneath.stat);
    if key(found) != key(before) {
        return true;
    }
    if kind_of(found) == SFlag::S_IFDIR {
        return false;
    }
    // A file system, or an archive, may have no nanoseconds.
    let whole = found.st_mtime_nsec == 0 || before.st_mtime_nsec == 0;
    if found.st_size != before.st_size
        || found.st_mtime != before.st_mtime
        || !whole && found.st_mtime_nsec != before.st_mtime_nsec
    {
        return true;
    }
    let Some((parent, name)) = &beneath.place else { return false };
    kind_of(found) == SFlag::S_IFREG && capability(met.parent, met.name) != capability(parent, name)
}

fn capability(parent: &OwnedFd, name: &std::ffi::CStr) -> Option<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    // accepts: any error; a file that differs in what can be seen is compared by that alone.
    let file = File::from(openat(parent, name, flags, Mode::empty()).ok()?);
    // Of any version it is shorter (linux/capability.h).
    let mut value = vec![0; 64];
    // accepts: ENODATA: a file without capabilities.
    let length = sys::get_xattr(file.as_fd(), CAPABILITY, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_look_like_another_line() {
        let changed = Changed { change: Change::Added, path: b"a\nD \x1b[2J\xc3\xa9".to_vec() };
        assert_eq!(changed.to_string(), "A /a\\012D \\033[2J\u{e9}");
    }
}
