//! An entry of an archive.

use std::ffi::CString;

use super::Part;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; its content follows.
    File,
    /// Another name of a file.
    Link,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// An entry, as the headers before its content tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its path, as it was written: it may be absolute, begin with `./` or hold `..`, but no NUL.
    pub path: Vec<u8>,
    /// What a link points to; empty for everything else.
    pub link: Vec<u8>,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The length of the file, in bytes; nothing else has any.
    pub size: u64,
    /// When its content was changed: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub attributes: Vec<(CString, Vec<u8>)>,
    /// Where its content begins in the archive.
    pub offset: u64,
    /// Of a sparse file, the parts that are its content in the archive, in order.
    pub parts: Option<Vec<Part>>,
}

impl Entry {
    /// An entry with this path, without permissions, of root.
    pub fn new(kind: Kind, path: impl Into<Vec<u8>>) -> Entry {
        Entry { path: path.into(), ..Entry::of(kind) }
    }

    /// An entry without a path.
    pub(crate) fn of(kind: Kind) -> Entry {
        let (path, link, attributes) = (Vec::new(), Vec::new(), Vec::new());
        let (mode, uid, gid, size, modified, device, offset) = (0, 0, 0, 0, (0, 0), (0, 0), 0);
        Entry { kind, path, link, mode, uid, gid, size, modified, device, attributes, offset, parts: None }
    }

    /// How many bytes of content it has in an archive.
    pub fn stored(&self) -> u64 {
        self.parts.as_ref().map_or(self.size, |parts| parts.iter().map(|part| part.length).sum())
    }

    /// Whether the directory of its layer has a file for it. Whiteouts, and what AUFS keeps for itself, have none.
    pub fn is_made(&self) -> bool {
        self.path.split(|byte| *byte == b'/').all(|name| !name.starts_with(b".wh."))
    }
}
