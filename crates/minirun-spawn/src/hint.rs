//! What often is the reason for a failure, for its message.

use std::ffi::CStr;
use std::path::Path;

use minirun_plan::{FsOption, Op};
use minirun_sys::Errno;

/// The number of RLIMIT_NOFILE (asm-generic/resource.h); libc's constant has another type with each C library.
const RLIMIT_NOFILE: u32 = 7;

/// Why no process can be made.
pub(crate) const LIMIT_ON_PROCESSES: &str = "a limit on processes is reached: pids.max or RLIMIT_NPROC";

/// What often is the reason.
pub(crate) fn hint(op: &Op, call: &str, errno: Errno) -> &'static str {
    use minirun_plan::PointKind::RealDirectory;
    match (op, errno) {
        (Op::Bind { .. } | Op::BindRoot(..), Errno::ENOENT) if call == "open_tree" => "the source must exist",
        (Op::Bind { idmap: Some(_), .. }, Errno::EINVAL) => "this file system might not support mapped ids",
        (Op::Bind { recursive: false, .. }, Errno::EINVAL) if call == "open_tree" => {
            "in a user namespace a directory with mounts beneath it can only be bound with rbind"
        }
        (Op::Bind { .. } | Op::Remount { .. }, Errno::EPERM) => {
            "in a user namespace flags of the host's mounts cannot be cleared"
        }
        (Op::Remount { .. }, Errno::EINVAL) if call == "fspick" => "nothing is mounted there",
        (Op::EnterPidNamespace { .. }, Errno::EAGAIN) => LIMIT_ON_PROCESSES,
        (Op::EnterPidNamespace { .. }, Errno::ENOMEM) => "the first process of the pid namespace has ended",
        (Op::Mount { pid_namespace: Some(_), .. }, Errno::EPERM) => {
            "the pid namespace must be in the runtime's own, and belong to a user namespace that the runtime is root of"
        }
        (Op::Terminal { .. }, Errno::ENOENT) => "a devpts must be mounted at /dev/pts",
        (Op::Mount { .. } | Op::ClassicMount { .. }, Errno::ENODEV) => "this kernel has no such file system",
        (Op::Mount { options, .. }, Errno::EINVAL) if is_labelled(options) => {
            "the policy of selinux must know linux.mountLabel, and the superblock must be a new one"
        }
        (Op::Mount { options, .. }, Errno::EACCES) if is_labelled(options) => {
            "in a user namespace only tmpfs, devpts and overlay support linux.mountLabel"
        }
        (Op::Mount { filesystem, .. }, Errno::EPERM) if call == "fsmount" && filesystem.to_bytes() == b"proc" => {
            "parts of the visible /proc are mounted over, so the kernel refuses a new one: bind /proc instead"
        }
        (Op::Mount { filesystem, .. }, Errno::EPERM) if call == "fsmount" && filesystem.to_bytes() == b"sysfs" => {
            "parts of the visible /sys are mounted over, so the kernel refuses a new one: bind /sys instead"
        }
        (Op::Mount { .. }, Errno::EPERM) => "in a user namespace this can require namespaces of the container's own",
        (Op::Mount { point, .. }, Errno::ENOTDIR | Errno::ELOOP) if point.kind == RealDirectory => {
            "it must be mounted on ordinary directory, not on a link"
        }
        (Op::Mount { .. } | Op::Bind { .. } | Op::ClassicMount { .. } | Op::MountCgroup { .. }, Errno::ENOTDIR) => {
            "the mount point is not a directory, or a parent is not"
        }
        (Op::OverlayLower(_) | Op::OverlayUpper(_) | Op::OverlayWork(_), Errno::ENOENT | Errno::ENOTDIR) => {
            "the layer must be a directory that exists"
        }
        (Op::OverlayLower(_), Errno::EACCES) => "the container's root must be allowed to reach the layer",
        (Op::OverlayRoot { .. }, Errno::ENODEV) => "this kernel has no overlayfs, or its module is not loaded",
        (Op::OverlayRoot { .. }, Errno::EINVAL) => {
            "upper and work directory must be on one file system that can hold them; the kernel's log says more"
        }
        (Op::OverlayRoot { .. }, Errno::ELOOP) => "layers must not lie inside each other",
        (Op::Limit { resource: RLIMIT_NOFILE, .. }, Errno::EPERM) => {
            "raising a hard limit requires CAP_SYS_RESOURCE, and it cannot exceed /proc/sys/fs/nr_open"
        }
        (Op::Limit { .. }, Errno::EPERM) => "raising a hard limit requires CAP_SYS_RESOURCE",
        (Op::MemoryPolicy(_), Errno::EINVAL) => {
            "its nodes must have memory and be in the cgroup's cpuset, and this kernel must know mode and flags"
        }
        (Op::MemoryPolicy(_), Errno::ENOSYS) => "this kernel knows no NUMA",
        (Op::PivotRoot, Errno::EINVAL) => "the caller's root is an initial ramdisk or a chroot: use --no-pivot",
        (Op::Device { .. }, Errno::EPERM) => "making nodes requires CAP_MKNOD and a file system without nodev",
        (Op::DropBounding(_), Errno::EPERM) => "it requires CAP_SETPCAP",
        (Op::LabelQueues(_), Errno::EINVAL) => "the policy of selinux must know this label",
        (Op::LabelQueues(_), Errno::EPERM) => "they belong to the user who made the ipc namespace",
        (Op::LabelQueues(_), Errno::EOPNOTSUPP) => "the policy of selinux must let mqueue be labelled (fs_use_trans)",
        (Op::LsmAttribute { file, .. }, errno) => lsm_hint(file, call, errno),
        (Op::Sysctl { .. }, Errno::ENOENT) => "this kernel has no such parameter",
        (Op::Sysctl { path, .. }, Errno::EINVAL) if path.as_c_str() == c"net/ipv4/ping_group_range" => {
            "the first group must not be above the last; in a user namespace both must be mapped in linux.gidMappings"
        }
        (Op::User { .. } | Op::Groups(_) | Op::BecomeRoot { .. }, Errno::EINVAL) if call.starts_with("set") => {
            "the id is not mapped in the user namespace"
        }
        (Op::NewTime, Errno::ERANGE) => "keep the clocks above zero and below 146 years",
        (Op::Capabilities { .. }, Errno::EPERM) if call == "capset" => {
            "the runtime itself lacks a capability that is asked for"
        }
        _ => "",
    }
}

/// Returns a hint at the usual reason why root cannot look at the source of a mount, or an empty text.
pub fn hint_for_source(path: &Path, errno: Errno) -> &'static str {
    if errno == Errno::EACCES && is_on_fuse(path) {
        "it is on a FUSE file system, which lets in only the user who mounted it unless it has the option allow_other"
    } else {
        ""
    }
}

/// Whether the mount that a path is on is one of FUSE. The path cannot be looked at, so mount points are compared as text.
fn is_on_fuse(path: &Path) -> bool {
    // accepts: any error, because it is about a hint: without the list of mounts there is none.
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let at = mount.split(' ').nth(4)?.replace("\\040", " ");
        path.starts_with(&at).then(|| (at.len(), filesystem.starts_with("fuse")))
    };
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).is_some_and(|(_, fuse)| fuse)
}

/// Whether a mount gets its label from `linux.mountLabel`, and not from an option of its own.
fn is_labelled(options: &[FsOption]) -> bool {
    options.iter().any(|option| option.key.to_bytes().ends_with(b"context") && option.index.is_none())
}

/// Kernels without a security module differ in what they say of its files.
fn lsm_hint(file: &CStr, call: &str, errno: Errno) -> &'static str {
    match (file == c"attr/apparmor/exec", errno) {
        (true, Errno::ENOENT) if call == "write" => "the profile is not loaded",
        (true, Errno::ENOENT | Errno::EINVAL) => "config provided but apparmor not supported",
        (false, Errno::ENOENT) => "selinux is disabled or not supported",
        (false, Errno::EINVAL) => "selinux is disabled or not supported, or its policy does not know this label",
        _ => "",
    }
}

/// The kernels that minirun runs on all have clone3(2) (Linux 5.3).
pub(crate) fn clone_hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOSYS => {
            "a seccomp profile around the runtime refuses clone3, as that of Docker before 20.10.10 does: update that \
             engine, or run it with --security-opt seccomp=unconfined"
        }
        _ => "",
    }
}
