//! What a container has changed: its own files compared with the layers beneath, directory by directory.

mod difference;
mod source;

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use nix::sys::stat::{FileStat, SFlag, fstat};

use crate::error::{Doing as _, ImageError, Result};
use crate::files::{kind_of, names_in, open_directory, shown, stat_at};
use crate::marks::{is_absence, is_opaque};
use crate::stack::{Part, Seen, Stack};

pub use difference::{Change, Changed};
pub use source::{Root, Source};

/// How many directories may be inside each other.
const DEPTH: usize = 256;

/// What the layers have where the container has something, too.
pub(crate) struct Beneath {
    pub(crate) stat: FileStat,
    /// The directory that it lies in, and its name; none for what is a directory itself.
    pub(crate) place: Option<(OwnedFd, CString)>,
}

/// Something that a container has.
pub(crate) struct Met<'a> {
    /// From the root, without a slash before it; that of the root is empty.
    pub(crate) path: &'a [u8],
    /// The directory that it lies in, and its name.
    pub(crate) parent: &'a OwnedFd,
    pub(crate) name: &'a CStr,
    pub(crate) found: &'a FileStat,
    /// Itself, if it is a directory.
    pub(crate) directory: Option<&'a OwnedFd>,
    pub(crate) beneath: Option<&'a Beneath>,
    /// Whether it is a directory that hides everything that the layers have in it.
    pub(crate) opaque: bool,
}

/// Hears of what was changed, a directory before what is in it, names sorted.
pub(crate) trait Visitor {
    /// Whether it gets the changes as a layer has them: absences first in a directory, and none in an opaque one.
    const LAYER: bool;

    /// The container has this; what the layers have there may be the same.
    fn present(&mut self, met: &Met<'_>) -> Result<()>;

    /// The layers have something at this path, and the container has not.
    fn absent(&mut self, path: &[u8]) -> Result<()>;
}

/// Goes through what a container has.
struct Walk<'a, V> {
    stack: &'a Stack,
    /// Whether it is the whole root, with the files of the layers.
    whole: bool,
    path: Vec<u8>,
    visitor: &'a mut V,
}

/// A directory of the container, and what it lies on.
struct Level {
    directory: OwnedFd,
    beneath: Vec<Part>,
    /// Whether nothing of that can be seen here.
    hides: bool,
}

impl<V: Visitor> Walk<'_, V> {
    fn root(&mut self, root: OwnedFd) -> Result<()> {
        let found = fstat(&root).doing(|| "stat")?;
        let beneath = self.stack.root()?;
        let stat = beneath.first().map(|(_, top)| fstat(top)).transpose().doing(|| "stat")?;
        let below = stat.map(|stat| Beneath { stat, place: None });
        let (directory, beneath, opaque) = (Some(&root), below.as_ref(), false);
        let met = Met { path: b"", parent: &root, name: c".", found: &found, directory, beneath, opaque };
        self.visitor.present(&met)?;
        let beneath = self.stack.root()?;
        self.level(&Level { directory: root, beneath, hides: self.whole }, DEPTH)
    }

    fn level(&mut self, level: &Level, depth: usize) -> Result<()> {
        let mut names: BTreeMap<CString, bool> = BTreeMap::new();
        names.extend(names_in(&level.directory).doing(|| "list")?.into_iter().map(|name| (name, true)));
        if level.hides {
            for (_, directory) in &level.beneath {
                for name in names_in(directory).doing(|| "list")? {
                    names.entry(name).or_insert(false);
                }
            }
        }
        let mut later = Vec::new();
        for (name, own) in names {
            let found = if own { stat_at(&level.directory, &name).doing(|| shown(name.to_bytes()))? } else { None };
            if own && found.is_none() {
                // It is gone since the directory was listed.
                continue;
            }
            let absence = match &found {
                Some(found) if !self.whole => self.is_absence(level, &name, found)?,
                _ => false,
            };
            match found.filter(|_| !absence) {
                Some(found) if V::LAYER => later.push((name, found)),
                Some(found) => self.one(level, &name, &found, depth)?,
                None => self.absent(level, &name)?,
            }
        }
        later.iter().try_for_each(|(name, found)| self.one(level, name, found, depth))
    }

    fn is_absence(&self, level: &Level, name: &CStr, found: &FileStat) -> Result<bool> {
        is_absence(self.stack.marks(), &level.directory, name, found)
    }

    fn absent(&mut self, level: &Level, name: &CStr) -> Result<()> {
        if matches!(self.stack.step(&level.beneath, name)?, Seen::Nothing) {
            return Ok(());
        }
        let length = self.enter(name);
        let done = self.visitor.absent(&self.path);
        self.path.truncate(length);
        done
    }

    fn one(&mut self, level: &Level, name: &CStr, found: &FileStat, depth: usize) -> Result<()> {
        // A layer cannot hold deeper paths.
        if depth == 0 && V::LAYER {
            return Err(too_deep());
        }
        let length = self.enter(name);
        let done = self.present(level, name, found, depth);
        let done = done.map_err(|error| if depth == DEPTH { error.within(shown(&self.path)) } else { error });
        self.path.truncate(length);
        done
    }

    fn present(&mut self, level: &Level, name: &CStr, found: &FileStat, depth: usize) -> Result<()> {
        let (below, parts) = match self.stack.step(&level.beneath, name)? {
            Seen::Nothing => (None, Vec::new()),
            Seen::Directory(parts) => {
                let top = parts.first().map(|(_, top)| fstat(top)).transpose().doing(|| "stat")?;
                (top.map(|stat| Beneath { stat, place: None }), parts)
            }
            Seen::Other(parent, name, _) => {
                let stat = stat_at(&parent, &name).doing(|| "stat")?;
                (stat.map(|stat| Beneath { stat, place: Some((parent, name)) }), Vec::new())
            }
        };
        if self.whole && below.as_ref().is_some_and(|below| is_untouched(found, &below.stat)) {
            return Ok(());
        }
        if kind_of(found) != SFlag::S_IFDIR {
            let (parent, beneath) = (&level.directory, below.as_ref());
            let met = Met { path: &self.path, parent, name, found, directory: None, beneath, opaque: false };
            return self.visitor.present(&met);
        }
        if depth == 0 {
            return Err(too_deep());
        }
        let directory = open_directory(&level.directory, name).doing(|| "open the directory")?;
        let marked = !self.whole && is_opaque(self.stack.marks(), &directory)?;
        let opaque = marked && !parts.is_empty();
        let (parent, beneath) = (&level.directory, below.as_ref());
        let met = Met { path: &self.path, parent, name, found, directory: Some(&directory), beneath, opaque };
        self.visitor.present(&met)?;
        // In a layer nothing is beneath an opaque directory, so nothing can be missing from it.
        let beneath = if V::LAYER && opaque { Vec::new() } else { parts };
        self.level(&Level { directory, beneath, hides: level.hides || marked }, depth - 1)
    }

    /// Adds a name to the path, and tells how long that was before.
    fn enter(&mut self, name: &CStr) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name.to_bytes());
        length
    }
}

fn too_deep() -> ImageError {
    ImageError::limit(format!("more than {DEPTH} directories inside each other"))
}

/// Whether a root shows the file of a layer. The overlay shows the times of the file that it takes, and the time cannot be set of
/// the last change of status; in the directories above a changed file something was changed, too.
fn is_untouched(found: &FileStat, beneath: &FileStat) -> bool {
    kind_of(found) == kind_of(beneath)
        && (found.st_ctime, found.st_ctime_nsec) == (beneath.st_ctime, beneath.st_ctime_nsec)
}
