//! The layers of an image on top of each other as overlayfs would show them, without a mount: for what has to be known of an
//! image before a container is made of it.

mod copy;

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::sys::stat::SFlag;

use crate::attributes::copy_attributes;
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, kind_of, open_directory, open_file, read_all, shown, stat_at};
use crate::marks::{Marks, is_absence, is_opaque};
use crate::store::Stored;
use copy::Copier;

/// How many symbolic links a path may lead through (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The layers of an image.
#[derive(Debug)]
pub struct Stack {
    /// Top first.
    layers: Vec<Opened>,
    marks: Marks,
}

#[derive(Debug)]
struct Opened {
    root: OwnedFd,
    /// Directories that it has no entry for.
    implied: BTreeSet<Vec<u8>>,
}

/// A directory of one layer, which is the one with this number from the top.
pub(crate) type Part = (usize, OwnedFd);

/// What a stack has at a path.
pub(crate) enum Seen {
    /// The directories that are merged there, top first.
    Directory(Vec<Part>),
    /// Something else: the directory that it lies in, and its name.
    Other(OwnedFd, CString, SFlag),
    Nothing,
}

impl Stack {
    /// Opens the layers of an image, bottom first.
    ///
    /// # Errors
    /// One cannot be opened.
    pub fn open(layers: &[Stored], marks: Marks) -> Result<Stack> {
        let mut opened = Vec::with_capacity(layers.len());
        for layer in layers.iter().rev() {
            let path = c_string(layer.root.as_os_str().as_encoded_bytes())?;
            let root = sys::open(&path, libc::O_DIRECTORY).doing(|| format!("open layer {}", layer.diff_id))?;
            opened.push(Opened { root, implied: layer.facts.implied.iter().cloned().collect() });
            if layer.facts.opaque {
                break;
            }
        }
        Ok(Stack { layers: opened, marks })
    }

    /// Opens directories that are layers, top first.
    ///
    /// # Errors
    /// One cannot be opened.
    pub(crate) fn of_directories(paths: &[PathBuf], marks: Marks) -> Result<Stack> {
        let open = |path: &PathBuf| {
            let name = c_string(path.as_os_str().as_encoded_bytes())?;
            let root = sys::open(&name, libc::O_DIRECTORY).doing(|| format!("open layer {}", path.display()))?;
            Ok(Opened { root, implied: BTreeSet::new() })
        };
        Ok(Stack { layers: paths.iter().map(open).collect::<Result<_>>()?, marks })
    }

    /// Where overlayfs has its marks in them.
    pub(crate) fn marks(&self) -> Marks {
        self.marks
    }

    /// What is merged at the root, top first.
    pub(crate) fn root(&self) -> Result<Vec<Part>> {
        let parts = self.layers.iter().enumerate();
        parts.map(|(number, layer)| Ok((number, layer.root.try_clone().doing(|| "dup")?))).collect()
    }

    /// Directories that would show the attributes of a layer that has no entry for them, and hide those of one that has:
    /// their paths. Overlayfs takes the attributes of the topmost.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn misattributed(&self) -> Result<Vec<Vec<u8>>> {
        let all = self.layers.iter().flat_map(|layer| &layer.implied).filter(|path| !path.is_empty());
        let mut found = Vec::new();
        self.each_directory(&in_order(all.map(Vec::as_slice)), &mut |path, merged| {
            if self.attributed(merged, path) > 0 {
                found.push(path.to_vec());
            }
        })?;
        Ok(found)
    }

    /// Tells of each of these paths that is a directory the layers whose directories are merged there, top first. The paths are
    /// in order, so that each directory on the way is looked at once.
    fn each_directory<'p>(&self, paths: &[&'p [u8]], tell: &mut dyn FnMut(&'p [u8], &[usize])) -> Result<()> {
        // The directories on the way to the present path, with what is merged there. None of them is kept open.
        let mut way: Vec<(&[u8], Vec<usize>)> = Vec::new();
        let root: Vec<usize> = (0..self.layers.len()).collect();
        for path in paths {
            let names = names(path);
            let common = way.iter().zip(&names).take_while(|((there, _), name)| there == *name).count();
            way.truncate(common);
            while way.len() < names.len() {
                let above = way.last().map_or(&root, |(_, merged)| merged);
                let merged = self.merged(above, &names[..=way.len()].join(&b'/'))?;
                way.push((names[way.len()], merged));
            }
            match way.last() {
                Some((_, merged)) if !merged.is_empty() => tell(path, merged),
                _ => {}
            }
        }
        Ok(())
    }

    /// Which of the layers that are merged above have a directory at this path that is merged as well.
    fn merged(&self, above: &[usize], path: &[u8]) -> Result<Vec<usize>> {
        let mut merged = Vec::new();
        for number in above {
            match self.open_in(*number, path) {
                Ok(opened) => {
                    merged.push(*number);
                    if is_opaque(self.marks, &opened)? {
                        break;
                    }
                }
                Err(Errno::ENOENT) => {}
                // Something else hides those beneath: a file, a link, an absence.
                Err(Errno::ENOTDIR | Errno::ELOOP) => break,
                Err(errno) => return Err(ImageError::of(format!("open {}", shown(path)), errno)),
            }
        }
        Ok(merged)
    }

    /// Opens a directory of one layer.
    fn open_in(&self, number: usize, path: &[u8]) -> sys::Result<OwnedFd> {
        let path = c_string(path).map_err(|_| Errno::EINVAL)?;
        let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
        sys::openat2(self.layers[number].root.as_fd(), &path, libc::O_RDONLY | libc::O_DIRECTORY, 0, how)
    }

    /// Which of the directories that are merged at this path has the attributes that count.
    fn attributed(&self, merged: &[usize], path: &[u8]) -> usize {
        merged.iter().position(|layer| !self.layers[*layer].implied.contains(path)).unwrap_or(0)
    }

    /// Makes the directories at these paths in an empty one, without content, with the attributes that count. Merged over the
    /// layers, they show those.
    pub(crate) fn attribute(&self, paths: &[Vec<u8>], into: &OwnedFd) -> Result<()> {
        let ends = |path: &[u8]| -> Vec<usize> {
            path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end).chain([path.len()]).collect()
        };
        let all: BTreeSet<&[u8]> =
            paths.iter().flat_map(|path| ends(path).into_iter().map(|end| &path[..end])).collect();
        let all = in_order(all.into_iter());
        for path in &all {
            sys::mkdirat(into.as_fd(), &c_string(path)?, 0o700).doing(|| format!("make {}", shown(path)))?;
        }
        let mut sources = Vec::new();
        self.each_directory(&all, &mut |path, merged| sources.push((path, merged[self.attributed(merged, path)])))?;
        // Children first: making one changes the time of its parent.
        for (path, number) in sources.into_iter().rev() {
            let doing = || format!("give {} its attributes", shown(path));
            let from = self.open_in(number, path).doing(doing)?;
            let made = sys::openat2(into.as_fd(), &c_string(path)?, libc::O_DIRECTORY, 0, libc::RESOLVE_BENEATH);
            copy_attributes(&made.doing(doing)?, from).map_err(|error| error.within(doing()))?;
        }
        Ok(())
    }

    /// The content of a regular file of at most so many bytes, links followed within the image; none if there is nothing.
    ///
    /// # Errors
    /// It is something else, too large, or cannot be read.
    pub fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let read = || match self.resolve(path)? {
            Seen::Nothing => Ok(None),
            Seen::Other(parent, name, SFlag::S_IFREG) => read_all(&open_file(parent.as_fd(), &name)?, most).map(Some),
            _ => Err(ImageError::new("it is not a regular file")),
        };
        read().map_err(|error| error.within(format!("read {path} of the image")))
    }

    /// Copies a directory, with its owner and permissions and everything in it, into one that is there and empty. One that
    /// the image does not have is empty and root's.
    ///
    /// # Errors
    /// It is no directory, or something cannot be read or made.
    pub(crate) fn copy(&self, path: &str, into: &OwnedFd) -> Result<()> {
        let copy = || match self.resolve(path)? {
            Seen::Nothing => Ok(()),
            Seen::Directory(merged) => Copier::new(self, into).below(&merged, into),
            Seen::Other(..) => Err(ImageError::new("it is not a directory")),
        };
        copy().map_err(|error| error.within(format!("copy {path} of the image")))
    }

    /// Follows a path, and all links in it.
    fn resolve(&self, path: &str) -> Result<Seen> {
        let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(name) = left.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(name),
            }
            match self.see(&at)? {
                Seen::Directory(_) => {}
                Seen::Other(parent, name, SFlag::S_IFLNK) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(ImageError::of("follow links", Errno::ELOOP));
                    }
                    let target = link_target(&parent, &name)?;
                    at.pop();
                    if target.starts_with('/') {
                        at.clear();
                    }
                    left.extend(target.split('/').rev().map(str::to_owned));
                }
                other if left.iter().all(|name| name.is_empty() || name == ".") => return Ok(other),
                _ => return Ok(Seen::Nothing),
            }
        }
        self.see(&at)
    }

    /// What is at these names, no link among those before the last.
    fn see(&self, names: &[impl AsRef<[u8]>]) -> Result<Seen> {
        let mut merged = self.root()?;
        for (index, name) in names.iter().enumerate() {
            match self.step(&merged, &c_string(name.as_ref())?)? {
                Seen::Directory(below) => merged = below,
                other if index + 1 == names.len() => return Ok(other),
                _ => return Ok(Seen::Nothing),
            }
        }
        Ok(Seen::Directory(merged))
    }

    /// One name further.
    pub(crate) fn step(&self, merged: &[Part], name: &CStr) -> Result<Seen> {
        let mut below: Vec<Part> = Vec::new();
        for (number, directory) in merged {
            let Some(found) = stat_at(directory, name).doing(|| "stat")? else { continue };
            let kind = kind_of(&found);
            if kind != SFlag::S_IFDIR {
                if below.is_empty() && !is_absence(self.marks, directory, name, &found)? {
                    return Ok(Seen::Other(directory.try_clone().doing(|| "dup")?, name.to_owned(), kind));
                }
                break;
            }
            let opened = open_directory(directory, name).doing(|| "open")?;
            let opaque = is_opaque(self.marks, &opened)?;
            below.push((*number, opened));
            if opaque {
                break;
            }
        }
        Ok(if below.is_empty() { Seen::Nothing } else { Seen::Directory(below) })
    }
}

/// The names that a path is made of.
fn names(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').collect()
}

/// Paths, each once, a directory before what is in it and with nothing else between them.
fn in_order<'p>(paths: impl Iterator<Item = &'p [u8]>) -> Vec<&'p [u8]> {
    let mut all: Vec<_> = paths.collect();
    let names = |path: &'p [u8]| path.split(|byte| *byte == b'/');
    all.sort_unstable_by(|one, other| names(one).cmp(names(other)));
    all.dedup();
    all
}

fn link_target(parent: &OwnedFd, name: &CStr) -> Result<String> {
    let mut target = [0; 4096];
    let length = sys::readlinkat(parent.as_fd(), name, &mut target).doing(|| "readlink")?;
    let target = std::str::from_utf8(&target[..length]);
    target.map(str::to_owned).map_err(|_| ImageError::new("the target of the link is not valid UTF-8"))
}
