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
        let made = match sys::mknodat(parent.as_fd(), path.name(), kind | node.mode, node.device) {
            Ok(()) if node.uid == 0 && node.gid == 0 => return Ok(()),
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(errno) => return Err(errno).in_call(Call::Mknod),
        };
        // An existing file that is something else must be an error (runtime-spec, "Devices"), and one that has taken the
        // node's place since must not be given away.
        let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
        let entry = super::path::resolve(parent.as_fd(), path.name(), libc::O_NOFOLLOW, how)?;
        let stat = sys::fstat(entry.as_fd()).in_call(Call::Stat)?;
        let same = stat.st_mode & libc::S_IFMT == kind && (kind == libc::S_IFIFO || stat.st_rdev == node.device);
        if !same {
            return Err(Fault::check("something else is there already"));
        }
        if made { sys::chown_entry(entry.as_fd(), node.uid, node.gid).in_call(Call::Chown) } else { Ok(()) }
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
