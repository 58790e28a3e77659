//! What can go wrong while a container is made, in words: the field, the operation, the call, the error number, a hint.

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use minirun_plan::{FsOption, Op, Origin, Plan, Step};
use minirun_sys::{Errno, errno_text};
use nix::sys::wait::WaitStatus;

use crate::wire::{Call, Detail, Record};

/// Why a container could not be made.
#[derive(Debug)]
pub enum SpawnError {
    /// An operation failed.
    Failed(Box<Failure>),
    /// Something beside init failed: a hook, its record.
    Attendant(String),
    /// Init ended without a word.
    Died {
        /// How, if that is known.
        status: Option<WaitStatus>,
    },
    /// As the cause says, and what had been done for init could not be undone.
    NotUndone {
        /// Why it was undone.
        cause: Box<SpawnError>,
        /// Why that failed.
        undo: Box<SpawnError>,
    },
}

/// An operation that failed.
#[derive(Debug)]
pub struct Failure {
    /// The field that asked for it.
    pub origin: Origin,
    /// What was being done.
    pub doing: String,
    /// The system call; empty when a check failed.
    pub call: String,
    /// Its error number.
    pub errno: Option<Errno>,
    /// What the kernel or the check says beyond that.
    pub detail: String,
    /// What may help.
    pub hint: &'static str,
}

/// Why a created container did not start.
#[derive(Debug)]
pub enum StartError {
    /// The program could not be executed.
    Execute {
        /// Its path in the container.
        path: String,
        /// execve's error number.
        errno: Errno,
    },
    /// A startContainer hook failed.
    Hook(String),
    /// Another step after the start failed.
    Step(String),
    /// Init could not be reached.
    Unreachable(Errno),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::Failed(failure) => failure.fmt(f),
            SpawnError::Attendant(text) => f.write_str(text),
            SpawnError::Died { status: Some(WaitStatus::Signaled(_, signal, _)) } => {
                write!(f, "container init was ended by {signal} before it was ready")
            }
            SpawnError::NotUndone { cause, undo } => write!(f, "{cause}; and: {undo}"),
            SpawnError::Died { .. } => f.write_str("container init ended before it was ready"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.doing)?;
        if !self.call.is_empty() {
            write!(f, ": {}", self.call)?;
        }
        if let Some(errno) = self.errno {
            write!(f, ": {}", errno_text(errno))?;
        }
        if !self.detail.is_empty() {
            let glue = if self.detail.starts_with([' ', ';']) { "" } else { ": " };
            write!(f, "{glue}{}", self.detail)?;
        }
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Execute { path, errno } => {
                write!(f, "exec {path}: {}", errno_text(*errno))?;
                match errno {
                    Errno::ENOENT => f.write_str(" (its interpreter or dynamic loader is missing in the container)"),
                    Errno::ENOEXEC => f.write_str(" (built for another architecture, or a script without a #! line)"),
                    _ => Ok(()),
                }
            }
            StartError::Hook(text) | StartError::Step(text) => f.write_str(text),
            StartError::Unreachable(errno) => write!(f, "container init does not answer: {}", errno_text(*errno)),
        }
    }
}

impl std::error::Error for SpawnError {}
impl std::error::Error for StartError {}

/// A text of init as it can be shown: those who trace init may have put escape sequences of terminals into it.
fn text_of(detail: &Detail) -> String {
    let mut text = String::new();
    for letter in String::from_utf8_lossy(detail.as_bytes()).chars() {
        if letter.is_control() { text.extend(letter.escape_default()) } else { text.push(letter) }
    }
    text
}

impl StartError {
    pub(crate) fn of_record(record: &Record) -> StartError {
        let detail = text_of(&record.detail);
        let errno = Errno::from_raw(record.errno);
        if record.call == Call::Execve as u32 {
            return StartError::Execute { path: detail, errno };
        }
        let subject = text_of(&record.subject);
        let call = Call::name_of(record.call);
        let why = if call.is_empty() { detail } else { format!("{call}: {}{detail}", errno_text(errno)) };
        let text = format!("{subject}{why}");
        if subject.starts_with("hooks.startContainer") { StartError::Hook(text) } else { StartError::Step(text) }
    }
}

impl SpawnError {
    /// A record of init, explained by the plan that it carried out.
    pub(crate) fn of_record(plan: &Plan, record: &Record) -> SpawnError {
        let errno = (record.errno != 0).then(|| Errno::from_raw(record.errno));
        let detail = text_of(&record.detail);
        let call = Call::name_of(record.call).to_owned();
        let Some(step) = plan.init.get(record.step as usize) else {
            let (origin, doing) = (Origin::of("container init"), "get ready".to_owned());
            return SpawnError::Failed(Box::new(Failure { origin, doing, call, errno, detail, hint: "" }));
        };
        if let Op::FindProgram(_) = step.op {
            return program_not_found(plan, step, errno, &detail);
        }
        if let (Op::EnterDirectory(path) | Op::EnterDirectoryAsUser(path), Some(_)) = (&step.op, errno) {
            return directory_not_entered(step, path, errno);
        }
        let origin = match record.option {
            0 => step.origin.clone(),
            number => step.origin.field("options").index(number as usize - 1),
        };
        let hint = errno.map_or("", |errno| hint(&step.op, &call, errno));
        let hint = match (&step.op, errno) {
            (Op::Bind { source, .. } | Op::BindRoot(source, _), Some(errno)) if hint.is_empty() => {
                hint_for_source(Path::new(OsStr::from_bytes(source.path().to_bytes())), errno)
            }
            _ => hint,
        };
        let doing = doing_of(plan, step);
        SpawnError::Failed(Box::new(Failure { origin, doing, call, errno, detail, hint }))
    }
}

/// The operation in words; what the origin says already is not said again.
fn doing_of(plan: &Plan, step: &Step) -> String {
    let subject = match &step.op {
        // Dozens of names: the one at fault is in the detail.
        Op::DropBounding(_) => String::new(),
        op => plan.subject(op),
    };
    match step.op.verb() {
        verb if verb == step.origin.as_str() => subject,
        verb if subject.is_empty() => verb.to_owned(),
        verb => format!("{verb} {subject}"),
    }
}

/// In runc's words, which Docker, Podman and containerd look for.
fn program_not_found(plan: &Plan, step: &Step, errno: Option<Errno>, detail: &str) -> SpawnError {
    let name = plan.payload.args.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let why = match errno {
        Some(errno) => format!("stat {name}: {}", errno_text(errno)),
        None => detail.to_owned(),
    };
    SpawnError::Failed(Box::new(Failure {
        origin: step.origin.clone(),
        doing: format!("exec: {name:?}: {why}"),
        call: String::new(),
        errno: None,
        detail: String::new(),
        hint: "",
    }))
}

/// In runc's words as well.
fn directory_not_entered(step: &Step, path: &CStr, errno: Option<Errno>) -> SpawnError {
    let doing = format!("chdir to cwd ({:?}) set in config.json failed", path.to_string_lossy());
    let (origin, call, detail) = (step.origin.clone(), String::new(), String::new());
    SpawnError::Failed(Box::new(Failure { origin, doing, call, errno, detail, hint: "" }))
}

/// The number of RLIMIT_NOFILE (asm-generic/resource.h); libc's constant has another type with each C library.
const RLIMIT_NOFILE: u32 = 7;

/// Why no process can be made.
pub(crate) const LIMIT_ON_PROCESSES: &str = "a limit on processes is reached: pids.max or RLIMIT_NPROC";

/// What often is the reason.
fn hint(op: &Op, call: &str, errno: Errno) -> &'static str {
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

/// Does a mount take its label from `linux.mountLabel`, rather than from an option of its own?
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

/// An operation of the parent, for its error.
pub(crate) struct Doing {
    origin: Origin,
    doing: String,
}

impl Doing {
    pub(crate) fn new(origin: &Origin, doing: String) -> Doing {
        Doing { origin: origin.clone(), doing }
    }

    /// Something that no field asks for.
    pub(crate) fn internal(doing: &str) -> Doing {
        Doing { origin: Origin::of("container init"), doing: doing.to_owned() }
    }

    pub(crate) fn failure(&self, call: &str, errno: Option<Errno>, detail: &str, hint: &'static str) -> SpawnError {
        SpawnError::Failed(Box::new(Failure {
            origin: self.origin.clone(),
            doing: self.doing.clone(),
            call: call.to_owned(),
            errno,
            detail: detail.to_owned(),
            hint,
        }))
    }

    pub(crate) fn failed(&self, call: &str, errno: Errno) -> SpawnError {
        self.failure(call, Some(errno), "", "")
    }

    pub(crate) fn failed_with(&self, call: &str, errno: Errno, hint: &'static str) -> SpawnError {
        self.failure(call, Some(errno), "", hint)
    }

    pub(crate) fn failed_io(&self, call: &str, error: &io::Error) -> SpawnError {
        self.failed_io_with(call, error, "")
    }

    pub(crate) fn failed_io_with(&self, call: &str, error: &io::Error, hint: &'static str) -> SpawnError {
        match error.raw_os_error() {
            Some(errno) => self.failure(call, Some(Errno::from_raw(errno)), "", hint),
            None => self.failure(call, None, &error.to_string(), hint),
        }
    }

    pub(crate) fn refused(&self, why: &str) -> SpawnError {
        self.failure("", None, why, "")
    }

    pub(crate) fn refused_with(&self, why: &str, hint: &'static str) -> SpawnError {
        self.failure("", None, why, hint)
    }
}
