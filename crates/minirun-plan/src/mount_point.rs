//! Where things are mounted, what is mounted, and how.

use std::ffi::{CStr, CString};

use crate::InRoot;

/// Where the root file system is mounted before it becomes `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootPlace {
    /// Over `/`: nobody needs to be able to reach it by a path.
    OverSlash,
    /// At its own path, where hooks look for it.
    At(CString),
}

/// Which existing thing is mounted by a bind mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path on the host, opened by init.
    Path(CString),
    /// A path on the host that leads into the root file system: opened by init in its turn, with the mounts made before it.
    Inside(InRoot, CString),
    /// A path on the host, opened by the parent, because init in its user namespace may not reach it. The number counts
    /// the handles of the plan.
    Handle(usize, CString),
}

impl Source {
    /// The path, for a message.
    pub fn path(&self) -> &CStr {
        match self {
            Source::Path(path) | Source::Inside(_, path) | Source::Handle(_, path) => path,
        }
    }
}

/// What a mount point must be, and is made as when it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointKind {
    /// A directory.
    Directory,
    /// What the source of the bind mount is.
    LikeSource,
    /// A real directory, not a link: `proc` and `sysfs` (CVE-2019-19921 and its kin).
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
    /// Would setting these change anything?
    pub fn is_empty(&self) -> bool {
        *self == Attributes::default()
    }

    /// Adds attributes, which override the same ones.
    pub(crate) fn add(&mut self, later: Attributes) {
        self.set = self.set & !later.clear | later.set;
        self.clear = self.clear & !later.set | later.clear;
    }
}

/// Everything about a mount that is the same for every kind of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// Where it goes.
    pub target: InRoot,
    /// The number of the mount, which counts those that init makes; of a remount, the one that it changes. None where no
    /// step has made that.
    pub number: Option<usize>,
    /// Whether later steps start from it.
    pub keep: bool,
    /// What the place must be.
    pub kind: PointKind,
    /// May it lie on procfs? Names that lead there by a link may not.
    pub may_cover_proc: bool,
    /// Attributes of this mount alone.
    pub attributes: Attributes,
    /// Attributes of this mount and everything beneath it (`rro` and its family).
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
    /// Its index in the `options` array, for the message; none for one that an attribute brings along.
    pub index: Option<usize>,
}

impl FsOption {
    /// Is its value longer than fsconfig(2) takes: 255 bytes (`vfs_fsconfig` in fs/fsopen.c)?
    pub(crate) fn is_long(&self) -> bool {
        self.value.as_ref().is_some_and(|value| value.as_bytes().len() > 255)
    }
}
