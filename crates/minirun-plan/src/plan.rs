//! A compiled container: the steps of the parent, the steps of init, and the program.

use std::ffi::CString;
use std::path::PathBuf;

use crate::{DeviceFilter, HostNode, IoPriority, NumberSet, Op, Origin, Scheduler, UnitPlan};

/// An operation of init and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is done.
    pub op: Op,
    /// Why.
    pub origin: Origin,
}

/// The complete plan of one container, in the order in which it is executed.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Whether the runtime only has the rights of an ordinary user, or of root in a user namespace. If so, it can write
    /// to /proc/PID of its init only while that is readable.
    pub rootless: bool,
    /// The container's cgroup.
    pub cgroup: CgroupPlan,
    /// The container's groups in the resctrl file system (Intel RDT).
    pub resctrl: Option<ResctrlPlan>,
    /// New and joined namespaces.
    pub namespaces: Namespaces,
    /// The steps that the parent applies to itself before it clones init.
    pub before_birth: Vec<HostStep>,
    /// The steps that the parent applies to the new process before it lets it continue.
    pub host: Vec<HostStep>,
    /// Sources of bind mounts that the parent opens for init: see [`crate::Source::Handle`].
    pub handles: Vec<Handle>,
    /// User namespaces that only map the ids of mounts.
    pub idmaps: Vec<IdMaps>,
    /// The steps of init, in order.
    pub init: Vec<Step>,
    /// The number of mounts that those steps create.
    pub mounts: usize,
    /// The program of the container.
    pub payload: Payload,
    /// The hooks.
    pub hooks: Hooks,
    /// Problems that the specification wants logged but not refused.
    pub warnings: Vec<String>,
    /// Notes on values that the kernel, by long practice, treats differently from the configuration.
    pub notes: Vec<String>,
}

/// The cgroup of a container, and the writes to its files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CgroupPlan {
    /// The directory, as a path from the root of the cgroup2 mount; it starts with `/`. Empty if the container stays in
    /// the runtime's cgroup.
    pub path: PathBuf,
    /// The field that sets the path.
    pub origin: Origin,
    /// Controllers that the limits below require; they are enabled from the root down.
    pub controllers: Vec<String>,
    /// Interface files with their values, in the order of writing.
    pub knobs: Vec<Knob>,
    /// The device filter; none if every device may be used.
    pub devices: Option<DeviceFilter>,
    /// The owner, if it is not the runtime's user.
    pub owner: Option<CgroupOwner>,
    /// The child cgroup in which init is created; none if init is created in the container's cgroup itself.
    pub leaf: Option<LeafCgroup>,
    /// The systemd unit that owns the cgroup; none if the cgroup is created through the file system.
    pub unit: Option<UnitPlan>,
}

/// A child of the container's cgroup that holds its processes. The limits are repeated in it, because programs and
/// engines look for them there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafCgroup {
    /// Its name.
    pub name: &'static str,
    /// The field that requests it.
    pub origin: Origin,
}

/// The user of a container, who may create cgroups inside its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupOwner {
    /// The user id on the host.
    pub uid: u32,
    /// The field that requests it.
    pub origin: Origin,
}

impl CgroupPlan {
    /// Whether the container stays in the runtime's own cgroup.
    pub fn is_none(&self) -> bool {
        self.path.as_os_str().is_empty()
    }
}

/// A cgroup interface file and the value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knob {
    /// The file's name: `memory.max`.
    pub file: String,
    /// What is written.
    pub value: String,
    /// The value that the file must show afterwards.
    pub expect: Expect,
    /// The field that requests it.
    pub origin: Origin,
}

impl Knob {
    /// Whether the file is written in the leaf cgroup as well. `cgroup.*` files concern the container's cgroup. CPUs
    /// can be taken away from others only once, and reclaiming twice has no further effect.
    pub fn is_repeated(&self) -> bool {
        const ONCE: [&str; 3] = ["cpuset.cpus.partition", "cpuset.cpus.exclusive", "memory.reclaim"];
        !self.file.starts_with("cgroup.") && !ONCE.contains(&self.file.as_str())
    }
}

/// The content that a knob must have after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The text that was written.
    Same,
    /// The text that was written; or the file is absent, if that means that the value applies anyway (no swap at all).
    SameOrAbsent,
    /// The number that was written, rounded down to a multiple of this many bytes (a page, a huge page).
    Rounded(u64),
    /// The CPUs or memory nodes that were written, in any notation.
    Set,
    /// A line that begins with the first written word (`8:0`, `default`) and contains the others (`rbps=1`).
    DeviceLine,
    /// Anything, so the file is not read: minirun does not know it, and it was written through `unified`.
    Readable,
}

/// A container's groups in the resctrl file system. They are created before init, which then joins them
/// ([`HostOp::JoinResctrl`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResctrlPlan {
    /// The mount point of that file system.
    pub mount: PathBuf,
    /// The directory of the group.
    pub group: PathBuf,
    /// The owner of the group.
    pub kind: GroupKind,
    /// The lines to write to its `schemata`, in this order.
    pub schemata: Vec<Schema>,
    /// The directory of the container's monitoring group, if it has one.
    pub monitoring: Option<PathBuf>,
    /// The field that names the group.
    pub origin: Origin,
}

/// The owner of a group (runtime-spec, "IntelRdt").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// The container: the group is created if it is missing, and then removed with the container.
    Own,
    /// All containers that name it: the group is created if it is missing, and kept.
    Shared,
    /// Another program: the group must exist.
    Existing,
}

/// A line of `schemata`: `L3:0=ff;1=f`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The line.
    pub line: String,
    /// Whether an existing shared group must already have this line, instead of getting it.
    pub compared: bool,
    /// The field that requests it.
    pub origin: Origin,
}

/// The namespaces of a container.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Namespaces {
    /// `CLONE_NEW*` bits of the new ones.
    pub new: u64,
    /// The namespaces joined by path.
    pub join: Vec<JoinedNamespace>,
    /// The namespaces of a running container, for a further process in it: `CLONE_NEW*` bits.
    pub entered: u64,
    /// Whether an intermediate process enters the joined namespaces, because the runtime has no right to them outside
    /// their user namespace, or could not return from them.
    pub by_go_between: bool,
    /// Whether the runtime's supplementary groups are dropped before a joined user namespace is entered, because that
    /// would be denied inside.
    pub leave_groups: bool,
    /// Offsets of the clocks in a new time namespace, as lines for `/proc/PID/timens_offsets`.
    pub time_offsets: Option<String>,
}

/// An existing namespace that is joined.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedNamespace {
    /// Its `CLONE_NEW*` bit.
    pub kind: u64,
    /// The file that refers to it (`/proc/PID/ns/net`, or a bind mount of that).
    pub path: PathBuf,
    /// The field that names it.
    pub origin: Origin,
}

impl Namespaces {
    /// Returns the `CLONE_NEW*` bits of all namespaces.
    pub fn kinds(&self) -> u64 {
        self.join.iter().fold(self.new | self.entered, |kinds, joined| kinds | joined.kind)
    }

    /// Whether there is a namespace of this kind: new, joined or entered.
    pub fn has(&self, kind: i32) -> bool {
        self.is_new(kind) || self.is_joined(kind) || self.entered & kind as u64 != 0
    }

    /// Whether there is a new namespace of this kind.
    pub fn is_new(&self, kind: i32) -> bool {
        self.new & kind as u64 != 0
    }

    /// Whether init enters a pid namespace that has processes already. It enters it last, because they can trace it
    /// from then on ([`Op::EnterPidNamespace`]).
    pub fn enters_pid_namespace(&self) -> bool {
        self.is_joined(libc::CLONE_NEWPID) || self.entered & libc::CLONE_NEWPID as u64 != 0
    }

    /// Whether the first process enters joined namespaces before anything else, and creates the new ones there.
    pub fn entered_by_init(&self) -> bool {
        self.by_go_between || self.is_joined(libc::CLONE_NEWUSER) || self.is_joined(libc::CLONE_NEWPID)
    }

    /// Whether init is not the process that the runtime clones, but a later sibling of that.
    pub fn change_process(&self) -> bool {
        self.entered_by_init() || self.enters_pid_namespace()
    }

    /// Whether the parent creates the time namespace for its children. It would belong to the host's user namespace, so
    /// with another user namespace init creates it ([`Op::NewTime`]).
    pub fn parent_makes_time(&self) -> bool {
        self.is_new(libc::CLONE_NEWTIME) && !self.has(libc::CLONE_NEWUSER)
    }

    /// Whether a namespace of this kind is joined.
    pub fn is_joined(&self, kind: i32) -> bool {
        self.join.iter().any(|joined| joined.kind == kind as u64)
    }
}

/// An operation that the parent applies to init between `clone3` and the permission to continue, or to itself before
/// `clone3`.
#[derive(Debug, Clone, PartialEq)]
pub struct HostStep {
    /// What is done.
    pub op: HostOp,
    /// Why.
    pub origin: Origin,
}

/// The kinds of [`HostStep`].
#[derive(Debug, Clone, PartialEq)]
pub enum HostOp {
    /// Write a file of `/proc/PID`: `uid_map`, `gid_map`, `setgroups`, `oom_score_adj`.
    WriteProc {
        /// The file's name.
        file: &'static str,
        /// The value, written at once.
        value: String,
    },
    /// Map ids that are not the caller's own, with a helper (newuidmap(1), newgidmap(1)).
    MapIds {
        /// Its name: `newuidmap` or `newgidmap`.
        program: &'static str,
        /// The lines of the map.
        value: String,
    },
    /// Raise a hard limit to at least this value, which init cannot do in a user namespace of its own.
    RaiseLimit {
        /// `RLIMIT_*` number.
        resource: u32,
        /// The hard limit, in the unit of setrlimit(2).
        hard: u64,
    },
    /// sched_setattr(2), before init does any work.
    Scheduler(Scheduler),
    /// ioprio_set(2).
    IoPriority(IoPriority),
    /// sched_setaffinity(2).
    Affinity(NumberSet),
    /// Write the process to the `tasks` of this group of the resctrl file system.
    JoinResctrl {
        /// The mount point of the file system.
        mount: PathBuf,
        /// The directory of the group.
        group: PathBuf,
    },
    /// Move a network device to init's network namespace with its addresses, and set it up there.
    NetDevice {
        /// Its name on the host.
        name: String,
        /// Its name in the container; the kernel replaces a `%d` in it with a free number.
        new_name: String,
    },
}

impl HostOp {
    /// Whether a child of the process inherits the setting. With some schedulers a process cannot have children
    /// (`SCHED_DEADLINE`), or its children do not inherit it (`SCHED_FLAG_RESET_ON_FORK`).
    pub fn is_inherited(&self) -> bool {
        !matches!(self, HostOp::Scheduler(_))
    }

    /// Returns the file and the lines of an id map, if this operation writes one.
    pub fn id_map(&self) -> Option<(&'static str, &str)> {
        match self {
            HostOp::WriteProc { file: file @ ("uid_map" | "gid_map"), value } => Some((file, value)),
            HostOp::MapIds { program: "newuidmap", value } => Some(("uid_map", value)),
            HostOp::MapIds { value, .. } => Some(("gid_map", value)),
            _ => None,
        }
    }
}

/// The programs that run at six points of a container's life (runtime-spec, "POSIX-platform Hooks").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hooks {
    /// In the runtime's namespaces, before the root is changed.
    pub prestart: Vec<Hook>,
    /// In the runtime's namespaces, after the prestart hooks.
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before the root is changed.
    pub create_container: Vec<Hook>,
    /// In the container, before its program.
    pub start_container: Vec<Hook>,
    /// In the runtime's namespaces, after the program was started.
    pub poststart: Vec<Hook>,
    /// In the runtime's namespaces, after the container was deleted.
    pub poststop: Vec<Hook>,
}

impl Hooks {
    /// Whether there is a hook that runs before the mounted root becomes `/`.
    pub fn before_pivot(&self) -> bool {
        [&self.prestart, &self.create_runtime, &self.create_container].iter().any(|list| !list.is_empty())
    }
}

/// A program that runs at one of these points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The program.
    pub path: CString,
    /// Its argument vector.
    pub args: Vec<CString>,
    /// Its environment; if absent, the runtime's, or the program's for hooks in the container.
    pub env: Option<Vec<CString>>,
    /// The time limit in seconds.
    pub timeout: Option<u64>,
    /// The field that names it.
    pub origin: Origin,
}

/// A source of a bind mount that the parent opens.
#[derive(Debug, Clone, PartialEq)]
pub struct Handle {
    /// The path on the host.
    pub path: CString,
    /// Whether the mounts below it are included.
    pub recursive: bool,
    /// The user namespace that maps the ids, which only the parent may apply; and whether the mounts below are mapped
    /// as well.
    pub idmap: Option<(usize, bool)>,
    /// Whether mounts below it propagate between the host and the container in both directions (`rootfsPropagation`
    /// shared).
    pub connected: bool,
    /// The device node that is created on a separate file system in place of the host's at this path.
    pub node: Option<HostNode>,
    /// The option and the label of that file system, where `linux.mountLabel` is set.
    pub label: Option<(CString, CString)>,
    /// The field that names it.
    pub origin: Origin,
}

/// The two maps of a user namespace, as lines for `uid_map` and `gid_map` (user_namespaces(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMaps {
    /// For `uid_map`.
    pub uids: String,
    /// For `gid_map`.
    pub gids: String,
    /// An existing user namespace whose maps are used instead of these.
    pub namespace: Option<PathBuf>,
    /// The field that requests it.
    pub origin: Origin,
}

/// The program of the container's process.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// The argument vector; the first argument is the program as the user named it.
    pub args: Vec<CString>,
    /// Environment, `KEY=value`, without duplicates.
    pub env: Vec<CString>,
}
