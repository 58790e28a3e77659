//! The root file system: mounted over `/`, and then made `/`.

use std::os::fd::AsFd;

use minirun_plan::Source;
use minirun_sys as sys;

use super::Executor;
use crate::wire::{Call, Fault, In};

/// Changes the propagation of the mount at `/`, of everything beneath it with `MS_REC`.
pub(crate) fn set_propagation(flags: u64) -> Result<(), Fault> {
    let root = sys::open(c"/", libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)?;
    let attr = sys::MountAttr { propagation: flags & !libc::MS_REC, ..Default::default() };
    sys::mount_setattr(root.as_fd(), flags & libc::MS_REC != 0, attr, None).in_call(Call::MountSetattr)
}

impl Executor<'_> {
    /// Mounts the root directory over `/`. It is attached there rather than onto itself, so that its own path need not be
    /// within reach of a user namespace.
    pub(crate) fn bind_root(&mut self, source: &Source) -> Result<(), Fault> {
        let tree = self.tree_of(source, true)?;
        self.attach_over_root(tree)
    }

    /// Mounts a detached mount over `/` and remembers it as the root.
    pub(crate) fn attach_over_root(&mut self, mount: std::os::fd::OwnedFd) -> Result<(), Fault> {
        let slash = sys::open(c"/", libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)?;
        sys::move_mount(mount.as_fd(), slash.as_fd()).in_call(Call::MoveMount)?;
        self.root = Some(mount);
        Ok(())
    }

    pub(crate) fn pivot_root(&mut self) -> Result<(), Fault> {
        let old = sys::open(c"/", libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)?;
        sys::fchdir(self.root()?).in_call(Call::Fchdir)?;
        sys::pivot_root_here().in_call(Call::PivotRoot)?;
        // The old root is now mounted over the new one, and both are "."; what is unmounted there must not be unmounted
        // on the host as well.
        let cut_off = sys::MountAttr { propagation: libc::MS_SLAVE, ..Default::default() };
        sys::mount_setattr(old.as_fd(), true, cut_off, None).in_call(Call::MountSetattr)?;
        sys::fchdir(old.as_fd()).in_call(Call::Fchdir)?;
        // umount2(2) takes the topmost mount, and others may lie over the old root: the stage of an overlay does. Only when
        // the old root itself is in no namespace any more does the kernel answer EINVAL.
        loop {
            match sys::detach(c".") {
                Ok(()) => {}
                Err(sys::Errno::EINVAL) => break,
                Err(errno) => return Err(errno).in_call(Call::Umount),
            }
        }
        sys::chdir(c"/").in_call(Call::Chdir)
    }

    /// `--no-pivot`: the host's root stays beneath, so its views of the kernel are taken away first.
    pub(crate) fn change_root(&mut self) -> Result<(), Fault> {
        for view in [c"/proc", c"/sys"] {
            match sys::detach(view) {
                // Nothing is mounted there, or there is no such place.
                Ok(()) | Err(sys::Errno::EINVAL | sys::Errno::ENOENT) => {}
                Err(errno) => return Err(errno).in_call(Call::Umount),
            }
        }
        sys::fchdir(self.root()?).in_call(Call::Fchdir)?;
        sys::chroot(c".").in_call(Call::Chroot)?;
        sys::chdir(c"/").in_call(Call::Chdir)
    }

    pub(crate) fn make_root_read_only(&mut self) -> Result<(), Fault> {
        let attr = sys::MountAttr { set: libc::MOUNT_ATTR_RDONLY as u64, ..Default::default() };
        sys::mount_setattr(self.root()?, false, attr, None).in_call(Call::MountSetattr)
    }
}
