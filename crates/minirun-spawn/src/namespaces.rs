//! The namespaces that a configuration joins by path: opened and checked before init is cloned.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_plan::{JoinedNamespace, Op, Plan};
use minirun_sys as sys;
use minirun_sys::Errno;

use crate::error::{Doing, SpawnError};

/// Opens the namespaces to be joined, and checks that each is what the configuration says it is.
pub(crate) fn open_namespaces(plan: &Plan) -> Result<Vec<OwnedFd>, SpawnError> {
    plan.namespaces.join.iter().map(open_namespace).collect()
}

pub(crate) fn open_namespace(joined: &JoinedNamespace) -> Result<OwnedFd, SpawnError> {
    let doing = Doing::new(&joined.origin, format!("open namespace {}", joined.path.display()));
    let path = CString::new(joined.path.as_os_str().as_encoded_bytes()).unwrap_or_default();
    let fd = sys::open(&path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY)
        .map_err(|errno| doing.failed("open", errno))?;
    match sys::namespace_kind(fd.as_fd()) {
        Ok(kind) if kind as u64 == joined.kind => Ok(fd),
        Ok(_) => Err(doing.refused("it is a namespace of another type")),
        Err(Errno::ENOTTY | Errno::EINVAL) => Err(doing.refused("it is not a namespace")),
        Err(errno) => Err(doing.failed("ioctl", errno)),
    }
}

/// Joining the runtime's own namespace by its path would let the container change what is the host's: its root, its
/// network parameters.
pub(crate) fn refuse_own_namespaces(plan: &Plan, opened: &[OwnedFd]) -> Result<(), SpawnError> {
    plan.namespaces.join.iter().zip(opened).try_for_each(|(joined, fd)| refuse_own_namespace(plan, joined, fd.as_fd()))
}

fn refuse_own_namespace(plan: &Plan, joined: &JoinedNamespace, fd: BorrowedFd<'_>) -> Result<(), SpawnError> {
    let network = |op: &Op| matches!(op, Op::Sysctl { path, .. } if path.to_bytes().starts_with(b"net/"));
    let (file, why) = match joined.kind as libc::c_int {
        libc::CLONE_NEWNS => ("mnt", "it is the runtime's own, whose root would be changed"),
        libc::CLONE_NEWNET if plan.init.iter().any(|step| network(&step.op)) => {
            ("net", "it is the runtime's own, whose parameters linux.sysctl would change")
        }
        _ => return Ok(()),
    };
    let doing = Doing::new(&joined.origin, format!("join namespace {}", joined.path.display()));
    let inode = |fd: BorrowedFd<'_>| sys::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    let own = File::open(format!("/proc/self/ns/{file}")).map_err(|error| doing.failed_io("open", &error))?;
    let same = inode(fd).and_then(|joined| Ok(joined == inode(own.as_fd())?));
    if same.map_err(|errno| doing.failed("fstat", errno))? { Err(doing.refused(why)) } else { Ok(()) }
}

/// Whether the namespaces to join exist, have the right type, and are not the runtime's own where that is refused.
///
/// # Errors
/// It is not.
pub fn check_namespace(plan: &Plan, joined: &JoinedNamespace) -> Result<(), SpawnError> {
    refuse_own_namespace(plan, joined, open_namespace(joined)?.as_fd())
}
