//! What the container must not read or write although it is there: masked and read-only paths, verified afterwards.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_plan::InRoot;
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Executor;
use super::mounts::mount_id;
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

/// Whether it is the null device (major 1, minor 3).
fn is_null(fd: BorrowedFd<'_>) -> Result<bool, Fault> {
    let stat = sys::fstat(fd).in_call(Call::Stat)?;
    Ok(stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == libc::makedev(1, 3))
}

fn is_absence(fault: Fault) -> bool {
    fault.is(Errno::ENOENT) || fault.is(Errno::ENOTDIR)
}

impl Executor<'_> {
    /// Opens a path that need not exist. Below a mount that init made, only that mount can say that it is missing. Elsewhere
    /// a process that can rename files of the root can hide a path, but only to those files.
    fn open_if_there(&self, path: &InRoot) -> Result<Option<OwnedFd>, Fault> {
        match self.open_in_root(path) {
            Ok(fd) => Ok(Some(fd)),
            Err(fault) if is_absence(fault) => match self.open_by_name(path) {
                Err(fault) if is_absence(fault) => Ok(None),
                Err(fault) => Err(fault),
                Ok(_) => Err(Fault::check("it was reported missing, but exists")),
            },
            Err(fault) => Err(fault),
        }
    }

    /// Makes a path read-only; where it is the mount point of the mount of this number, that mount itself.
    pub(crate) fn make_read_only(&mut self, path: &InRoot, number: Option<usize>) -> Result<(), Fault> {
        if let Some(number) = number {
            let mount = self.mount_root(number)?;
            sys::mount_setattr(mount, true, READ_ONLY, None).in_call(Call::MountSetattr)?;
            return verify_read_only(mount);
        }
        let Some(place) = self.open_if_there(path)? else { return Ok(()) };
        let tree = clone_of(place.as_fd(), true)?;
        sys::mount_setattr(tree.as_fd(), true, READ_ONLY, None).in_call(Call::MountSetattr)?;
        sys::move_mount(tree.as_fd(), place.as_fd()).in_call(Call::MoveMount)?;
        verify_read_only(self.open_in_root(path)?.as_fd())
    }

    /// Masks a path; where it is the mount point of the mount of this number, that mount.
    pub(crate) fn mask(&mut self, path: &InRoot, label: Option<&CStr>, number: Option<usize>) -> Result<(), Fault> {
        let place = match number {
            Some(number) => Some(reopen(self.mount_root(number)?)?),
            None => self.open_if_there(path)?,
        };
        let Some(place) = place else { return Ok(()) };
        let directory = sys::fstat(place.as_fd()).in_call(Call::Stat)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let mask = if directory { self.mask_directory(label, place)? } else { self.mask_file(place)? };
        let seen = match number {
            // From the mount itself the mask that covers it cannot be seen.
            Some(_) => self.open_by_name(path)?,
            None => self.open_in_root(path)?,
        };
        if mount_id(seen.as_fd())? == mask { Ok(()) } else { Err(Fault::check("it can still be read")) }
    }

    /// Returns the id of the mount that masks the file.
    fn mask_file(&mut self, place: OwnedFd) -> Result<u64, Fault> {
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
        mount_id(copy.as_fd())
    }

    /// Returns the id of the mount that masks the directory. All masked directories share one file system: each superblock
    /// costs memory (a Kubernetes node masks hundreds).
    fn mask_directory(&mut self, label: Option<&CStr>, place: OwnedFd) -> Result<u64, Fault> {
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
        let stat = sys::fstatfs(empty.as_fd()).in_call(Call::Statfs)?;
        if stat.magic != libc::TMPFS_MAGIC as i64 || stat.flags & libc::ST_RDONLY == 0 {
            return Err(Fault::check("its mask is not an empty read-only file system"));
        }
        sys::move_mount(empty.as_fd(), place.as_fd()).in_call(Call::MoveMount)?;
        let id = mount_id(empty.as_fd())?;
        if self.masks.empty.is_none() {
            self.masks.empty = Some(empty);
        }
        Ok(id)
    }

    /// Fails unless the mount of this number is what is found at this path.
    pub(crate) fn verify_mount(&self, path: &InRoot, number: usize) -> Result<(), Fault> {
        let changed = Fault::check("it is not the mount that was made: the root file system changed meanwhile");
        let seen = match self.open_by_name(path) {
            Err(fault) if fault.is(Errno::ENOENT) || fault.is(Errno::ENOTDIR) => return Err(changed),
            answer => answer?,
        };
        let made = self.mount_root(number)?;
        let inode = |fd: BorrowedFd<'_>| sys::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).in_call(Call::Stat);
        // Another directory of the same mount is not it either.
        let same = mount_id(seen.as_fd())? == mount_id(made)? && inode(seen.as_fd())? == inode(made)?;
        if same { Ok(()) } else { Err(changed) }
    }
}

fn verify_read_only(mount: BorrowedFd<'_>) -> Result<(), Fault> {
    let flags = sys::fstatfs(mount).in_call(Call::Statfs)?.flags;
    if flags & libc::ST_RDONLY != 0 { Ok(()) } else { Err(Fault::check("it can still be written")) }
}

/// Another descriptor of the same place.
fn reopen(fd: BorrowedFd<'_>) -> Result<OwnedFd, Fault> {
    sys::open_tree(fd, c"", libc::AT_EMPTY_PATH as libc::c_uint).in_call(Call::OpenTree)
}

/// A detached copy of the mount that a descriptor is on, rooted at what the descriptor refers to.
fn clone_of(fd: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Fault> {
    let recursive = if recursive { libc::AT_RECURSIVE as libc::c_uint } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::AT_EMPTY_PATH as libc::c_uint | recursive;
    sys::open_tree(fd, c"", flags).in_call(Call::OpenTree)
}
