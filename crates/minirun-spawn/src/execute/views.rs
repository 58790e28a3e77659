//! What the container must not read or write although it is there: masked and read-only paths, verified afterwards.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_plan::InRoot;
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Executor;
use crate::wire::{Call, Fault, In};

const READ_ONLY: sys::MountAttr = sys::MountAttr { set: libc::MOUNT_ATTR_RDONLY as u64, clear: 0, propagation: 0 };

/// What masks paths: found or made once, mounted many times.
#[derive(Default)]
pub(crate) struct Masks {
    /// The container's /dev/null.
    null: Option<OwnedFd>,
    /// An empty read-only file system, mounted at the first masked directory.
    empty: Option<OwnedFd>,
}

/// Is it the null device (major 1, minor 3)?
fn is_null(fd: BorrowedFd<'_>) -> Result<bool, Fault> {
    let stat = sys::fstat(fd).in_call(Call::Stat)?;
    Ok(stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == libc::makedev(1, 3))
}

impl Executor<'_> {
    /// Opens a path that need not be there.
    fn open_if_there(&self, path: &InRoot) -> Result<Option<OwnedFd>, Fault> {
        match self.open_in_root(path) {
            Ok(fd) => Ok(Some(fd)),
            Err(fault) if fault.is(Errno::ENOENT) || fault.is(Errno::ENOTDIR) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    pub(crate) fn make_read_only(&mut self, path: &InRoot) -> Result<(), Fault> {
        let Some(place) = self.open_if_there(path)? else { return Ok(()) };
        let tree = clone_of(place.as_fd(), true)?;
        sys::mount_setattr(tree.as_fd(), true, READ_ONLY, None).in_call(Call::MountSetattr)?;
        sys::move_mount(tree.as_fd(), place.as_fd()).in_call(Call::MoveMount)?;
        let flags = sys::fstatfs(self.open_in_root(path)?.as_fd()).in_call(Call::Statfs)?.flags;
        if flags & libc::ST_RDONLY != 0 { Ok(()) } else { Err(Fault::check("it can still be written")) }
    }

    pub(crate) fn mask(&mut self, path: &InRoot, label: Option<&CStr>) -> Result<(), Fault> {
        let Some(place) = self.open_if_there(path)? else { return Ok(()) };
        let directory = sys::fstat(place.as_fd()).in_call(Call::Stat)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        if directory { self.mask_directory(path, label, place) } else { self.mask_file(path, place) }
    }

    fn mask_file(&mut self, path: &InRoot, place: OwnedFd) -> Result<(), Fault> {
        if self.masks.null.is_none() {
            let null = self.open_file_in_root(c"dev/null", libc::O_PATH | libc::O_NOFOLLOW)?;
            self.masks.null = Some(null);
        }
        let Some(null) = &self.masks.null else { return Err(Fault::check("there is no null device")) };
        // The copy is checked, not the name: the name may have been exchanged meanwhile (CVE-2025-31133).
        let copy = clone_of(null.as_fd(), false)?;
        if !is_null(copy.as_fd())? {
            return Err(Fault::check("/dev/null in the container is not the null device"));
        }
        sys::move_mount(copy.as_fd(), place.as_fd()).in_call(Call::MoveMount)?;
        if is_null(self.open_in_root(path)?.as_fd())? { Ok(()) } else { Err(Fault::check("it can still be read")) }
    }

    /// All masked directories share one file system: each superblock costs memory (a Kubernetes node masks hundreds).
    fn mask_directory(&mut self, path: &InRoot, label: Option<&CStr>, place: OwnedFd) -> Result<(), Fault> {
        let empty = match &self.masks.empty {
            Some(first) => clone_of(first.as_fd(), false)?,
            None => {
                let context = sys::fsopen(c"tmpfs").in_call(Call::Fsopen)?;
                sys::fsconfig_set(context.as_fd(), c"ro", None).in_call(Call::Fsconfig)?;
                if let Some(label) = label {
                    sys::fsconfig_set(context.as_fd(), c"context", Some(label)).in_call(Call::Fsconfig)?;
                }
                self.create(context.as_fd(), libc::MOUNT_ATTR_RDONLY as u64)?
            }
        };
        sys::move_mount(empty.as_fd(), place.as_fd()).in_call(Call::MoveMount)?;
        if self.masks.empty.is_none() {
            self.masks.empty = Some(empty);
        }
        let stat = sys::fstatfs(self.open_in_root(path)?.as_fd()).in_call(Call::Statfs)?;
        let masked = stat.magic == libc::TMPFS_MAGIC as i64 && stat.flags & libc::ST_RDONLY != 0;
        if masked { Ok(()) } else { Err(Fault::check("it can still be read")) }
    }
}

/// A detached copy of the mount that a descriptor is on, rooted at what the descriptor refers to.
fn clone_of(fd: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Fault> {
    let recursive = if recursive { libc::AT_RECURSIVE as libc::c_uint } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::AT_EMPTY_PATH as libc::c_uint | recursive;
    sys::open_tree(fd, c"", flags).in_call(Call::OpenTree)
}
