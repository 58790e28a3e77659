//! The sources of mounts that the parent opens for init.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use minirun_plan::Handle;
use minirun_sys as sys;
use minirun_sys::Errno;

use crate::error::{Doing, SpawnError};
use crate::hint::hint_for_source;
use crate::node::make_node;

/// Opens a source that init may not reach, or only after it was cut off from the host's propagation, as most are.
pub(crate) fn open_handle(handle: &Handle, idmaps: &[OwnedFd]) -> Result<OwnedFd, SpawnError> {
    if let Some(node) = &handle.node {
        return make_node(handle, node);
    }
    let doing = Doing::new(&handle.origin, format!("open {}", handle.path.to_string_lossy()));
    let recursive = if handle.recursive { libc::AT_RECURSIVE as libc::c_uint } else { 0 };
    let tree =
        sys::open_tree(sys::working_directory(), &handle.path, libc::OPEN_TREE_CLONE | recursive).map_err(|errno| {
            match errno {
                Errno::ENOENT => doing.failed_with("open_tree", errno, "the source must exist"),
                Errno::EACCES => {
                    let path = Path::new(OsStr::from_bytes(handle.path.to_bytes()));
                    doing.failed_with("open_tree", errno, hint_for_source(path, errno))
                }
                errno => doing.failed("open_tree", errno),
            }
        })?;
    if !handle.connected {
        sys::make_slave(tree.as_fd()).map_err(|errno| doing.failed("mount_setattr", errno))?;
    }
    if let Some((i, all)) = handle.idmap {
        let attr = sys::MountAttr { set: libc::MOUNT_ATTR_IDMAP as u64, ..Default::default() };
        sys::mount_setattr(tree.as_fd(), all, attr, Some(idmaps[i].as_fd())).map_err(|errno| match errno {
            Errno::EINVAL => doing.failed_with("mount_setattr", errno, "this file system might not support mapped ids"),
            errno => doing.failed("mount_setattr", errno),
        })?;
    }
    Ok(tree)
}
