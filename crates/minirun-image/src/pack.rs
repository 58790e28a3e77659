//! Makes a layer's archive of what a container has changed (layer.md, "Creating Layers"). The same files make the same bytes:
//! entries are sorted, and nothing of the moment or of the host is in them.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Write, empty};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, major, minor};

use crate::attributes::kept_attributes;
use crate::changes::{Met, Visitor};
use crate::entry_path::{EntryPath, WHITEOUT};
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{kind_of, shown};
use crate::holes::{Parts, parts};
use crate::ids::{IdMaps, id_in_container};
use crate::stream::Limits;
use crate::tar::{Entry, Kind, Writer};

/// How many bytes of holes a file must have to be written as a sparse one: readers that do not know these see less of others.
const HOLES: u64 = 1 << 20;
/// How many files with several names may be waiting for the rest of them.
const MOST_LINKED: usize = 1 << 20;
/// Writes what it is shown.
pub(crate) struct Packer<'a, W> {
    out: Writer<W>,
    ids: &'a IdMaps,
    /// Paths of files that have more names, and how many of those were not met so far.
    linked: HashMap<(u64, u64), (Vec<u8>, u64)>,
    entries: u64,
}

impl<'a, W: Write> Packer<'a, W> {
    pub(crate) fn new(out: W, ids: &'a IdMaps) -> Packer<'a, W> {
        Packer { out: Writer::new(out), ids, linked: HashMap::new(), entries: 0 }
    }

    /// Ends the archive, and tells how many entries it has.
    pub(crate) fn finish(self) -> Result<(W, u64)> {
        Ok((self.out.finish()?, self.entries))
    }

    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Read>) -> Result<()> {
        self.entries += 1;
        check(entry, self.entries)?;
        match content {
            Some(content) => self.out.entry(entry, content),
            None => self.out.entry(entry, empty()),
        }
    }

    /// Hides something that the layers have.
    fn whiteout(&mut self, directory: &[u8], name: &[u8]) -> Result<()> {
        let path = if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() };
        self.write(&Entry { path, ..Entry::of(Kind::File) }, None)
    }

    fn entry(&mut self, met: &Met<'_>) -> Result<()> {
        let found = met.found;
        if met.name.to_bytes().starts_with(WHITEOUT) {
            return Err(ImageError::new("a layer cannot hold a name that begins with .wh., which is a whiteout there"));
        }
        let Some(kind) = kind(found) else {
            log::warn!("{} is left out: it is a socket", shown(met.path));
            return Ok(());
        };
        let mut entry = Entry {
            path: met.path.to_vec(),
            mode: found.st_mode & 0o7777,
            uid: id_in_container(&self.ids.users, found.st_uid, "user")?,
            gid: id_in_container(&self.ids.groups, found.st_gid, "group")?,
            modified: (found.st_mtime, found.st_mtime_nsec as u32),
            ..Entry::of(kind)
        };
        if kind == Kind::Directory {
            return self.directory(met, entry);
        }
        if found.st_nlink > 1 && self.is_linked(met, &mut entry)? {
            return self.write(&entry, None);
        }
        match kind {
            Kind::File => return self.file(met, entry),
            Kind::Symlink => {
                let mut target = [0; libc::PATH_MAX as usize];
                let length = sys::readlinkat(met.parent.as_fd(), met.name, &mut target).doing(|| "readlink")?;
                entry.link = target[..length].to_vec();
            }
            Kind::Character | Kind::Block => {
                entry.device = (major(found.st_rdev) as u32, minor(found.st_rdev) as u32);
            }
            _ => {}
        }
        self.write(&entry, None)
    }

    /// Another name of a file that is in the layer already becomes a link to it.
    fn is_linked(&mut self, met: &Met<'_>, entry: &mut Entry) -> Result<bool> {
        let key = (met.found.st_dev, met.found.st_ino);
        if let Some((path, left)) = self.linked.get_mut(&key) {
            entry.kind = Kind::Link;
            entry.link.clone_from(path);
            *left -= 1;
            if *left == 0 {
                self.linked.remove(&key);
            }
            return Ok(true);
        }
        if self.linked.len() == MOST_LINKED {
            return Err(ImageError::limit(format!("there are more than {MOST_LINKED} files with several names")));
        }
        self.linked.insert(key, (met.path.to_vec(), met.found.st_nlink as u64 - 1));
        Ok(false)
    }

    fn directory(&mut self, met: &Met<'_>, mut entry: Entry) -> Result<()> {
        let Some(directory) = met.directory else { return Ok(()) };
        if met.path.is_empty() {
            // The root's time changes with everything that is made in it, so it says nothing.
            let key = |stat: &FileStat| (stat.st_mode, stat.st_uid, stat.st_gid);
            if met.beneath.is_some_and(|beneath| key(met.found) == key(&beneath.stat)) {
                return Ok(());
            }
            entry.path = b".".to_vec();
        }
        entry.path.push(b'/');
        entry.attributes = attributes(directory.as_fd())?;
        self.write(&entry, None)?;
        if met.opaque { self.whiteout(met.path, b".wh..wh..opq") } else { Ok(()) }
    }

    fn file(&mut self, met: &Met<'_>, mut entry: Entry) -> Result<()> {
        let file = open(met.parent, met.name)?;
        let found = fstat(&file).doing(|| "stat")?;
        if (found.st_dev, found.st_ino) != (met.found.st_dev, met.found.st_ino) || kind_of(&found) != SFlag::S_IFREG {
            return Err(ImageError::new("it was replaced while it was read"));
        }
        entry.size = u64::try_from(found.st_size).unwrap_or(0);
        entry.attributes = attributes(file.as_fd())?;
        let parts = parts(&file, entry.size).doing(|| "look for holes")?;
        if entry.size - parts.iter().map(|part| part.length).sum::<u64>() < HOLES {
            return self.write(&entry, Some(&mut &file));
        }
        let mut content = Parts::new(&file, parts.clone());
        entry.parts = Some(parts);
        self.write(&entry, Some(&mut content))
    }
}

impl<W: Write> Visitor for Packer<'_, W> {
    const LAYER: bool = true;

    fn present(&mut self, met: &Met<'_>) -> Result<()> {
        self.entry(met).map_err(|error| error.within(shown(met.path)))
    }

    fn absent(&mut self, path: &[u8]) -> Result<()> {
        let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], path),
        };
        self.whiteout(directory, &[WHITEOUT, name].concat())
    }
}

/// Fails if unpacking would refuse the entry.
fn check(entry: &Entry, number: u64) -> Result<()> {
    let limits = Limits::default();
    if number > limits.entries {
        return Err(ImageError::limit(format!("a layer cannot have more than {} entries", limits.entries)));
    }
    EntryPath::split(&entry.path, limits.depth)?;
    if entry.kind == Kind::Link {
        EntryPath::split(&entry.link, limits.depth)?;
    }
    Ok(())
}

/// Opens a file without changing the time of its last use, where that may be asked for.
fn open(parent: &OwnedFd, name: &CStr) -> Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let opened = match openat(parent, name, flags | OFlag::O_NOATIME, Mode::empty()) {
        Err(Errno::EPERM) => openat(parent, name, flags, Mode::empty()),
        answer => answer,
    };
    opened.map(File::from).doing(|| "open")
}

/// What it is in an archive; there are no sockets in one.
fn kind(found: &FileStat) -> Option<Kind> {
    Some(match kind_of(found) {
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFLNK => Kind::Symlink,
        SFlag::S_IFCHR => Kind::Character,
        SFlag::S_IFBLK => Kind::Block,
        SFlag::S_IFIFO => Kind::Fifo,
        _ => return None,
    })
}

/// The extended attributes that a new layer has, sorted.
fn attributes(fd: BorrowedFd<'_>) -> Result<Vec<(CString, Vec<u8>)>> {
    let mut attributes = kept_attributes(fd)?;
    if let Some((name, _)) =
        attributes.iter().find(|(name, _)| name.to_bytes().contains(&b'=') || name.to_str().is_err())
    {
        return Err(ImageError::new(format!("a layer cannot hold the attribute {}", shown(name.to_bytes()))));
    }
    attributes.sort();
    Ok(attributes)
}
