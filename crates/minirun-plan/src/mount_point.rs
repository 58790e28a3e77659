//! The sources, places and attributes of mounts.

use std::ffi::{CStr, CString};

use crate::InRoot;

/// Where the root file system is mounted before it becomes `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootPlace {
    /// Over `/`: no other process reaches it by a path.
    OverSlash,
    /// At its own path, where hooks expect it.
    At(CString),
}

/// The source of a bind mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path on the host, opened by init.
    Path(CString),
    /// A path on the host that leads into the root file system. Init opens it when its step runs, with the mounts made
    /// before it.
    Inside(InRoot, CString),
    /// A path on the host, opened by the parent, because init in its user namespace may not reach it. The number is an
    /// index of the plan's handles.
    Handle(usize, CString),
}

impl Source {
    /// Returns the path, for messages.
    pub fn path(&self) -> &CStr {
        match self {
            Source::Path(path) | Source::Inside(_, path) | Source::Handle(_, path) => path,
        }
    }
}

/// The file type that a mount point must have, and with which it is created if missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointKind {
    /// A directory.
    Directory,
    /// The type of the bind mount's source.
    LikeSource,
    /// A directory, and not a link to one: `proc` and `sysfs` (CVE-2019-19921 and similar).
    RealDirectory,
}

/// `MOUNT_ATTR_*` bits of a mount, for mount_setattr(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
}

impl Attributes {
    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        *self == Attributes::default()
    }

    /// Adds attributes, which override the same ones.
    pub(crate) fn add(&mut self, later: Attributes) {
        self.set = self.set & !later.clear | later.set;
        self.clear = self.clear & !later.set | later.clear;
    }
}

/// The properties that every kind of mount has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The path of the mount point.
    pub target: InRoot,
    /// The number of the mount, in the order in which init creates mounts; for a remount, the number of the mount that
    /// it changes. None if no step created that one.
    pub number: Option<usize>,
    /// Whether later steps look up paths from it.
    pub keep: bool,
    /// The file type of the mount point.
    pub kind: PointKind,
    /// Whether it may lie on procfs. Paths that lead there through a link must not.
    pub may_cover_proc: bool,
    /// Attributes of this mount alone.
    pub attributes: Attributes,
    /// Attributes of this mount and all mounts below it (`rro` and similar).
    pub recursive: Attributes,
    /// Propagation changes in order: `MS_SHARED` and so on, with `MS_REC`.
    pub propagation: Vec<u64>,
}

/// One option of a file system: `size=64k` or `newinstance`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsOption {
    /// Its name.
    pub key: CString,
    /// Its value, if it has one.
    pub value: Option<CString>,
    /// Its index in the `options` array, for messages; none if an attribute implies it.
    pub index: Option<usize>,
}

impl FsOption {
    /// Whether its value exceeds the 255 bytes that fsconfig(2) accepts (`vfs_fsconfig` in fs/fsopen.c).
    pub(crate) fn is_long(&self) -> bool {
        self.value.as_ref().is_some_and(|value| value.as_bytes().len() > 255)
    }
}
