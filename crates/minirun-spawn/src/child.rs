//! What init and the processes cloned beside it do in the same way: their protection, their root, their time namespace.

use std::os::fd::{AsFd as _, OwnedFd};

use minirun_plan::Plan;
use minirun_sys as sys;

use crate::wire::{Call, Fault, In as _};

/// Until the commit, init dies with its parent. A change of credentials disarms it (prctl(2)), so it is armed again after
/// those; the end of file on the channel covers the moment between.
pub(crate) fn arm_death_signal() -> Result<(), Fault> {
    sys::die_with_parent().in_call(Call::Prctl)
}

/// No process of the container may trace init or read its descriptors before it has become the container's program.
pub(crate) fn make_unreadable() -> Result<(), Fault> {
    sys::set_dumpable(false).in_call(Call::Prctl)
}

/// Changes the propagation of the mount at `/`, of everything beneath it with `MS_REC`.
pub(crate) fn set_propagation(flags: u64) -> Result<(), Fault> {
    let attr = sys::MountAttr { propagation: flags & !libc::MS_REC, ..Default::default() };
    sys::mount_setattr(root()?.as_fd(), flags & libc::MS_REC != 0, attr, None).in_call(Call::MountSetattr)
}

/// The root directory of this process.
fn root() -> Result<OwnedFd, Fault> {
    sys::open(c"/", libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)
}

/// Makes an empty, detached file system the root of this mount namespace, which has no other mounts then.
pub(crate) fn enter_empty_root() -> Result<(), Fault> {
    set_propagation(libc::MS_PRIVATE | libc::MS_REC)?;
    let context = sys::fsopen(c"tmpfs").in_call(Call::Fsopen)?;
    sys::fsconfig_create(context.as_fd()).in_call(Call::Fsconfig)?;
    let empty = sys::fsmount(context.as_fd(), 0).in_call(Call::Fsmount)?;
    sys::move_mount(empty.as_fd(), root()?.as_fd()).in_call(Call::MoveMount)?;
    sys::fchdir(empty.as_fd()).in_call(Call::Fchdir)?;
    sys::pivot_root_here().in_call(Call::PivotRoot)?;
    sys::detach(c".").in_call(Call::Umount)?;
    sys::chdir(c"/").in_call(Call::Chdir)
}

/// Opens the file of this process that sets the clocks of its new time namespace, if the plan sets some.
pub(crate) fn open_clocks(plan: &Plan) -> Result<Option<OwnedFd>, Fault> {
    if plan.namespaces.time_offsets.is_none() {
        return Ok(None);
    }
    sys::open(c"/proc/self/timens_offsets", libc::O_WRONLY).map(Some).in_call(Call::Open)
}

/// A new time namespace is for the children of the process that makes it, and its clocks can be set until one is in it.
pub(crate) fn make_time_namespace(plan: &Plan, clocks: Option<OwnedFd>) -> Result<(), Fault> {
    sys::unshare(libc::CLONE_NEWTIME).in_call(Call::Unshare)?;
    let Some((offsets, file)) = plan.namespaces.time_offsets.as_ref().zip(clocks) else { return Ok(()) };
    sys::write(file.as_fd(), offsets.as_bytes()).map(drop).in_call(Call::Write)
}
