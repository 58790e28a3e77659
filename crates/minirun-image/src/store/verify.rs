//! Compares a layer in the store with the archive that it was made from.
//!
//! What was kept of the archive and the files as they are now make an archive again, whose digest must be that of the layer.
//! Owners, permissions, times and the like are compared with the headers one by one.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ffi::CString;
use std::io::{BufReader, Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use flate2::read::GzDecoder;
use minirun_sys as sys;
use minirun_sys::Errno;
use nix::sys::stat::{FileStat, SFlag, makedev};

use super::{Facts, HEADERS, Store, Stored, name_of};
use crate::digest::{Digest, Hasher};
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, kind_of, names_in, open_directory, open_file, shown, stat_at};
use crate::stream::{CHUNK, Piece};
use crate::tar::{Entry, Kind, Part, Reader};

/// Takes the archive while it is put together.
struct Archive<W>(Hasher, W);

impl<W: Write> Write for Archive<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.write_all(bytes)?;
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Store {
    /// Writes a layer's archive, byte by byte as it was; by a process to whom all files in it may belong.
    pub(crate) fn restore<W: Write>(&self, layer: &Stored, out: W) -> Result<W> {
        let directory = open_directory(&self.layers, &name_of(&layer.diff_id)).doing(|| "open")?;
        match put_together(&directory, &layer.facts, out)? {
            (found, out) if found == layer.diff_id => Ok(out),
            (found, _) => Err(ImageError::mismatch(format!("the digest of its content is {found}"))),
        }
    }

    /// Verifies a layer.
    ///
    /// # Errors
    /// The first difference, or why it cannot be told.
    pub fn verify(&self, diff_id: &Digest) -> Result<()> {
        let Some(layer) = self.layer(diff_id)? else { return Err(ImageError::new("it is not there")) };
        if layer.facts.replaced {
            return Err(ImageError::new("it cannot be verified: some of its entries replace others"));
        }
        let directory = open_directory(&self.layers, &name_of(diff_id)).doing(|| "open")?;
        let root = open_directory(&directory, c"root").doing(|| "open root")?;
        self.workers.run(|| {
            let (found, _) = put_together(&directory, &layer.facts, std::io::sink())?;
            if found != *diff_id {
                return Err(ImageError::mismatch(format!("the digest of its content is {found}")));
            }
            match count(&root)? {
                names if names == layer.facts.names => Ok(()),
                names => Err(ImageError::new(format!("there are {names} files in it, not {}", layer.facts.names))),
            }
        })
    }
}

/// Puts the archive of the layer in this directory together, and compares what it says with what is there. Its digest, and
/// where it was written.
fn put_together<W: Write>(directory: &OwnedFd, facts: &Facts, out: W) -> Result<(Digest, W)> {
    let kept = || Ok::<_, ImageError>(GzDecoder::new(open_file(directory.as_fd(), HEADERS)?));
    let root = open_directory(directory, c"root").doing(|| "open root")?;
    let lacks_devices = facts.devices > 0;
    let replaced = if facts.repeated { replaced(kept()?)? } else { BTreeSet::new() };
    let mut reader = Reader::of_kept(kept()?, Archive(Hasher::default(), out));
    let mut number = 0;
    while let Some(entry) = reader.next_entry()? {
        number += 1;
        if !entry.is_made() || replaced.contains(&number) {
            continue;
        }
        compare(root.as_fd(), &entry, lacks_devices, reader.kept())
            .map_err(|error| error.within(shown(&entry.path)))?;
    }
    let Archive(hasher, out) = reader.into_kept();
    Ok((hasher.finish(), out))
}

/// Which entries another one took the place of, counted from 1. None of them had content: one with content may only be
/// linked to itself.
fn replaced(kept: impl Read) -> Result<BTreeSet<u64>> {
    let mut reader = Reader::of_kept(kept, std::io::sink());
    let mut last = BTreeMap::new();
    let mut replaced = BTreeSet::new();
    let mut number = 0;
    while let Some(entry) = reader.next_entry()? {
        number += 1;
        if !entry.is_made() {
            continue;
        }
        let has_content = entry.kind == Kind::File && entry.size > 0;
        let path = names_of(&entry.path).collect::<Vec<_>>().join(&b'/');
        match last.entry(path) {
            btree_map::Entry::Vacant(place) => {
                place.insert((number, has_content));
            }
            // What a layer has itself its whiteouts do not hide.
            btree_map::Entry::Occupied(_) if entry.kind == Kind::Character && entry.device == (0, 0) => {
                replaced.insert(number);
            }
            btree_map::Entry::Occupied(mut place) => match place.insert((number, has_content)) {
                (_, true) => {}
                (before, false) => drop(replaced.insert(before)),
            },
        }
    }
    Ok(replaced)
}

fn names_of(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".")
}

fn compare(root: BorrowedFd<'_>, entry: &Entry, lacks_devices: bool, archive: &mut impl Write) -> Result<()> {
    let (parent, name) = place(root, &entry.path)?;
    let Some(found) = stat_at(&parent, &name).doing(|| "stat")? else {
        return match entry.kind {
            Kind::Character | Kind::Block if lacks_devices => Ok(()),
            _ => Err(ImageError::new("it is missing")),
        };
    };
    let kind = match entry.kind {
        Kind::File => SFlag::S_IFREG,
        Kind::Symlink => SFlag::S_IFLNK,
        Kind::Directory => SFlag::S_IFDIR,
        Kind::Character => SFlag::S_IFCHR,
        Kind::Block => SFlag::S_IFBLK,
        Kind::Fifo => SFlag::S_IFIFO,
        Kind::Link => return compare_link(root, entry, &found),
    };
    if kind_of(&found) != kind {
        return Err(ImageError::new("it is something else"));
    }
    if entry.kind == Kind::Character && entry.device == (0, 0) {
        // A whiteout has nothing else.
        return Ok(());
    }
    compare_attributes(entry, &found)?;
    match entry.kind {
        Kind::Symlink => {
            let mut target = [0; 4096];
            let length = sys::readlinkat(parent.as_fd(), &name, &mut target).doing(|| "readlink")?;
            differ("target", shown(&target[..length]), shown(&entry.link))
        }
        Kind::File => {
            let file = open_file(parent.as_fd(), &name)?;
            compare_xattrs(file.as_fd(), entry)?;
            let whole = [Part { offset: 0, length: entry.size }];
            for part in entry.parts.as_deref().unwrap_or(&whole) {
                let piece = Piece { file: file.try_clone().doing(|| "dup")?, start: part.offset, length: part.length };
                let copied = std::io::copy(&mut BufReader::with_capacity(CHUNK, piece), archive).doing(|| "read")?;
                differ("size", copied, part.length)?;
            }
            Ok(())
        }
        Kind::Directory => compare_xattrs(open_directory(&parent, &name).doing(|| "open")?.as_fd(), entry),
        _ => Ok(()),
    }
}

/// Another name of a file.
fn compare_link(root: BorrowedFd<'_>, entry: &Entry, found: &FileStat) -> Result<()> {
    let (parent, name) = place(root, &entry.link)?;
    let target = stat_at(&parent, &name).doing(|| "stat")?.map(|target| (target.st_dev, target.st_ino));
    match target == Some((found.st_dev, found.st_ino)) {
        true => Ok(()),
        false => Err(ImageError::new(format!("it is not the same file as {}", shown(&entry.link)))),
    }
}

fn compare_attributes(entry: &Entry, found: &FileStat) -> Result<()> {
    differ("owner", (found.st_uid, found.st_gid), (entry.uid, entry.gid))?;
    // A link has no permissions, and what is no file loses some with its owner.
    if matches!(entry.kind, Kind::File | Kind::Directory) {
        differ("mode", found.st_mode & 0o7777, entry.mode)?;
    }
    if matches!(entry.kind, Kind::Character | Kind::Block) {
        differ("device", found.st_rdev, makedev(entry.device.0.into(), entry.device.1.into()))?;
    }
    if entry.kind == Kind::File {
        differ("size", found.st_size, entry.size as i64)?;
    }
    differ("time of change", (found.st_mtime, found.st_mtime_nsec as u32), entry.modified)
}

fn compare_xattrs(fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    for (name, value) in entry.attributes.iter().filter(|(name, _)| crate::attributes::is_kept(name)) {
        // The kernel writes ids of the namespace into these.
        if name.as_bytes() == b"security.capability" || name.as_bytes().starts_with(b"system.") {
            continue;
        }
        let mut buffer = vec![0; value.len() + 1];
        let length = match sys::get_xattr(fd, name, &mut buffer) {
            Ok(length) => length,
            // It lacks the attribute, or has a longer one.
            Err(Errno::ENODATA | Errno::ERANGE) => 0,
            Err(errno) => return Err(ImageError::of("getxattr", errno)),
        };
        differ(&shown(name.as_bytes()), shown(&buffer[..length]), shown(value))?;
    }
    Ok(())
}

fn differ<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(ImageError::new(format!("its {what} is {found:?}, not {expected:?}")))
}

/// The directory and the name of a path; those of the root are the root and a dot.
fn place(root: BorrowedFd<'_>, path: &[u8]) -> Result<(OwnedFd, CString)> {
    let names: Vec<_> = names_of(path).collect();
    let Some((last, parents)) = names.split_last() else {
        return Ok((root.try_clone_to_owned().doing(|| "dup")?, c".".to_owned()));
    };
    let parent = if parents.is_empty() { b".".to_vec() } else { parents.join(&b'/') };
    // Links are followed as they were when the layer was made.
    let how = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let parent = sys::openat2(root, &c_string(&parent)?, libc::O_PATH | libc::O_DIRECTORY, 0, how);
    Ok((parent.doing(|| "open the directory that it is in")?, c_string(last)?))
}

/// How many names there are below a directory.
fn count(directory: &OwnedFd) -> Result<u64> {
    let mut total = 0;
    for name in names_in(directory).doing(|| "list")? {
        total += 1;
        let found = stat_at(directory, &name).doing(|| "stat")?;
        if found.is_some_and(|found| kind_of(&found) == SFlag::S_IFDIR) {
            total += count(&open_directory(directory, &name).doing(|| "open")?)?;
        }
    }
    Ok(total)
}
