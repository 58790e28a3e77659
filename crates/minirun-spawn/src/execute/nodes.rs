//! Device nodes and links, made when the root is the container's already.

use std::ffi::CStr;
use std::os::fd::AsFd;

use minirun_plan::{InRoot, NodeKind};
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Executor;
use crate::wire::{Call, Fault, In};

/// The properties of a node.
#[derive(Clone, Copy)]
pub(crate) struct Node {
    pub(crate) device: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Executor<'_> {
    pub(crate) fn device(&mut self, path: &InRoot, kind: NodeKind, node: Node) -> Result<(), Fault> {
        let parent = self.make_parent(path)?;
        let kind = match kind {
            NodeKind::Char => libc::S_IFCHR,
            NodeKind::Block => libc::S_IFBLK,
            NodeKind::Fifo => libc::S_IFIFO,
        };
        match sys::mknodat(parent.as_fd(), path.name(), kind | node.mode, node.device) {
            Ok(()) if node.uid == 0 && node.gid == 0 => Ok(()),
            Ok(()) => sys::fchownat(parent.as_fd(), path.name(), node.uid, node.gid).in_call(Call::Chown),
            Err(Errno::EEXIST) => {
                // An existing file that is something else must be an error (runtime-spec, "Devices").
                let stat = sys::fstat(self.open_entry(path)?.as_fd()).in_call(Call::Stat)?;
                let same =
                    stat.st_mode & libc::S_IFMT == kind && (kind == libc::S_IFIFO || stat.st_rdev == node.device);
                if same { Ok(()) } else { Err(Fault::check("something else is there already")) }
            }
            Err(errno) => Err(errno).in_call(Call::Mknod),
        }
    }

    pub(crate) fn symlink(&mut self, path: &InRoot, target: &CStr, replace: bool) -> Result<(), Fault> {
        let parent = self.make_parent(path)?;
        if replace {
            match sys::unlinkat(parent.as_fd(), path.name()) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno).in_call(Call::Unlink),
            }
        }
        match sys::symlinkat(target, parent.as_fd(), path.name()) {
            // What an image brings stays, as with runc.
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(errno).in_call(Call::Symlink),
        }
    }
}
