//! The root file system: mounted, and then made `/`.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_plan::{RootPlace, Source};
use minirun_sys as sys;

use super::Executor;
use crate::wire::{Call, Fault, In};

/// Makes the mount that a directory is on private. Only the root of a mount takes propagation (EINVAL elsewhere), so the
/// way leads up from the directory.
pub(crate) fn make_parent_private(path: &CStr) -> Result<(), Fault> {
    const LEVELS: usize = 4096;
    let attr = sys::MountAttr { propagation: libc::MS_PRIVATE, ..Default::default() };
    let mut directory = sys::open(path, libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)?;
    for _ in 0..LEVELS {
        match sys::mount_setattr(directory.as_fd(), false, attr, None) {
            Err(sys::Errno::EINVAL) => {}
            answer => return answer.in_call(Call::MountSetattr),
        }
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        directory = sys::openat2(directory.as_fd(), c"..", flags, 0, 0).in_call(Call::Openat2)?;
    }
    Err(Fault::check("the root of its mount was not found"))
}

/// The directory where the root file system is mounted.
pub(crate) fn open_place(place: &RootPlace) -> Result<OwnedFd, Fault> {
    let path = match place {
        RootPlace::OverSlash => c"/",
        RootPlace::At(path) => path,
    };
    sys::open(path, libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)
}

impl Executor<'_> {
    /// Mounts the root directory: over `/`, so that its own path need not be within reach of a user namespace, or at its
    /// own path, where hooks look for it.
    pub(crate) fn bind_root(&mut self, source: &Source, place: &RootPlace) -> Result<(), Fault> {
        // The compiler has refused a link; one that has taken the directory's place since then is refused here.
        let tree = self.tree_with(source, libc::AT_RECURSIVE | libc::AT_SYMLINK_NOFOLLOW)?;
        // The copy of a shared mount is its peer: what the container mounts would appear on the host.
        sys::make_slave(tree.as_fd()).in_call(Call::MountSetattr)?;
        let target = open_place(place)?;
        let inode = |fd: BorrowedFd<'_>| sys::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).in_call(Call::Stat);
        // The path was opened twice, and hooks of the host trust what they find there.
        if matches!(place, RootPlace::At(_)) && inode(target.as_fd())? != inode(tree.as_fd())? {
            return Err(Fault::check("another directory is there now: it was exchanged meanwhile"));
        }
        sys::move_mount(tree.as_fd(), target.as_fd()).in_call(Call::MoveMount)?;
        self.root = Some(tree);
        Ok(())
    }

    pub(crate) fn pivot_root(&mut self) -> Result<(), Fault> {
        let old = sys::open(c"/", libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)?;
        sys::fchdir(self.root()?).in_call(Call::Fchdir)?;
        sys::pivot_root_here().in_call(Call::PivotRoot)?;
        // The old root is now mounted over the new one, and both are "."; what is unmounted there must not be unmounted
        // on the host as well.
        sys::make_slave(old.as_fd()).in_call(Call::MountSetattr)?;
        sys::fchdir(old.as_fd()).in_call(Call::Fchdir)?;
        // umount2(2) takes the topmost mount, and others may lie over the old root: the stage of an overlay does. Only when
        // the old root itself is in no namespace any more does the kernel answer EINVAL. It is asked twice, because all of
        // the host's files stay visible if that is no true answer.
        let mut refused = false;
        loop {
            match sys::detach(c".") {
                Ok(()) => refused = false,
                Err(sys::Errno::EINVAL) if refused => break,
                Err(sys::Errno::EINVAL) => refused = true,
                Err(errno) => return Err(errno).in_call(Call::Umount),
            }
        }
        sys::chdir(c"/").in_call(Call::Chdir)
    }

    /// `--no-pivot`: the host's root stays beneath; its views of the kernel were taken away.
    pub(crate) fn change_root(&mut self, elsewhere: bool) -> Result<(), Fault> {
        if elsewhere {
            let top = open_place(&RootPlace::OverSlash)?;
            sys::move_mount(self.root()?, top.as_fd()).in_call(Call::MoveMount)?;
        }
        sys::fchdir(self.root()?).in_call(Call::Fchdir)?;
        sys::chroot(c".").in_call(Call::Chroot)?;
        sys::chdir(c"/").in_call(Call::Chdir)
    }

    /// Unmounts a view of the kernel with all that is mounted beneath it, which stays on the host, and whatever covers it.
    pub(crate) fn take_away(&mut self, view: &CStr) -> Result<(), Fault> {
        let mut found = false;
        loop {
            let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
            let opened = sys::open(view, flags).in_call(Call::Open)?;
            let magic = sys::fstatfs(opened.as_fd()).in_call(Call::Statfs)?.magic;
            match sys::make_slave(opened.as_fd()) {
                // Nothing is mounted there any more.
                Err(sys::Errno::EINVAL) if found => return Ok(()),
                Err(sys::Errno::EINVAL) => return Err(Fault::check("another mount above it hides it")),
                answer => answer.in_call(Call::MountSetattr)?,
            }
            found |= [libc::PROC_SUPER_MAGIC, libc::SYSFS_MAGIC].iter().any(|known| magic == *known as i64);
            match sys::detach(view) {
                Ok(()) => {}
                // Locked by another user namespace (mount_namespaces(7)): a view that is covered does not count either.
                Err(sys::Errno::EINVAL | sys::Errno::EPERM) if found => return self.cover(opened.as_fd()),
                Err(errno) => return Err(errno).in_call(Call::Umount),
            }
        }
    }

    fn cover(&mut self, view: BorrowedFd<'_>) -> Result<(), Fault> {
        let context = sys::fsopen(c"tmpfs").in_call(Call::Fsopen)?;
        let empty = self.create(context.as_fd(), libc::MOUNT_ATTR_RDONLY as u64)?;
        sys::move_mount(empty.as_fd(), view).in_call(Call::MoveMount)
    }

    /// Changes the root alone: the mounts are the caller's.
    pub(crate) fn chroot(&mut self, path: &CStr) -> Result<(), Fault> {
        // The compiler has refused a link; one that has taken the directory's place since then is refused here.
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let root = sys::open(path, flags).in_call(Call::Open)?;
        sys::fchdir(root.as_fd()).in_call(Call::Fchdir)?;
        sys::chroot(c".").in_call(Call::Chroot)?;
        self.root = Some(root);
        sys::chdir(c"/").in_call(Call::Chdir)
    }

    pub(crate) fn make_root_read_only(&mut self) -> Result<(), Fault> {
        let attr = sys::MountAttr { set: libc::MOUNT_ATTR_RDONLY as u64, ..Default::default() };
        sys::mount_setattr(self.root()?, false, attr, None).in_call(Call::MountSetattr)
    }
}
