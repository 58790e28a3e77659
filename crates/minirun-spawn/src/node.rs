//! A device node for a container in a user namespace, where the host has none that is as it shall be.

use std::os::fd::{AsFd, OwnedFd};

use minirun_plan::{Handle, HostNode, NodeKind};
use minirun_sys as sys;

use crate::SpawnError;
use crate::error::Doing;

/// Makes the node on a detached tmpfs, which belongs to this user namespace, so that it is one that can be opened. The tmpfs
/// lasts as long as the mount of the node in the container.
///
/// # Errors
/// The call that failed.
pub(crate) fn make_node(handle: &Handle, node: &HostNode) -> Result<OwnedFd, SpawnError> {
    let doing = Doing::new(&handle.origin, format!("make device node {}", handle.path.to_string_lossy()));
    let context = sys::fsopen(c"tmpfs").map_err(|errno| doing.failed("fsopen", errno))?;
    if let Some((option, label)) = &handle.label {
        let set = sys::fsconfig_set(context.as_fd(), option, Some(label));
        set.map_err(|errno| doing.failed_with("fsconfig", errno, "linux.mountLabel must be valid in the policy"))?;
    }
    sys::fsconfig_create(context.as_fd()).map_err(|errno| doing.failed("fsconfig", errno))?;
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
    let tmpfs = sys::fsmount(context.as_fd(), attributes as u64).map_err(|errno| doing.failed("fsmount", errno))?;
    let kind = if node.kind == NodeKind::Block { libc::S_IFBLK } else { libc::S_IFCHR };
    // Nobody else can reach it yet, so the umask and the order do not matter.
    sys::mknodat(tmpfs.as_fd(), c"node", kind, node.device).map_err(|errno| doing.failed("mknodat", errno))?;
    sys::fchownat(tmpfs.as_fd(), c"node", node.uid, node.gid).map_err(|errno| doing.failed("fchownat", errno))?;
    sys::fchmodat(tmpfs.as_fd(), c"node", node.mode).map_err(|errno| doing.failed("fchmodat", errno))?;
    sys::open_tree(tmpfs.as_fd(), c"node", libc::OPEN_TREE_CLONE).map_err(|errno| doing.failed("open_tree", errno))
}
