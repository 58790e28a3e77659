//! A compiled container: what the parent does, what init does, and what is executed at the end.

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

/// Everything that makes one container, in the order in which it is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Has the runtime no rights but those of an ordinary user, or of root in a user namespace? Then it can write to /proc/PID
    /// of its init only while that is readable.
    pub rootless: bool,
    /// The container's cgroup.
    pub cgroup: CgroupPlan,
    /// Its groups in the resctrl file system (Intel RDT), if it has some.
    pub resctrl: Option<ResctrlPlan>,
    /// New and joined namespaces.
    pub namespaces: Namespaces,
    /// What the parent does to itself before it makes init.
    pub before_birth: Vec<HostStep>,
    /// What the parent does to the new process before it may go on.
    pub host: Vec<HostStep>,
    /// Sources of bind mounts that the parent opens for init: see [`crate::Source::Handle`].
    pub handles: Vec<Handle>,
    /// User namespaces made only to map the ids of mounts by.
    pub idmaps: Vec<IdMaps>,
    /// What init does, first to last.
    pub init: Vec<Step>,
    /// How many mounts those steps make.
    pub mounts: usize,
    /// What runs in the container.
    pub payload: Payload,
    /// What runs besides.
    pub hooks: Hooks,
    /// What the specification wants logged without refusing the configuration.
    pub warnings: Vec<String>,
    /// What the kernel makes of the configuration differently, and everybody is used to.
    pub notes: Vec<String>,
}

/// The cgroup of a container and what is written to its files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CgroupPlan {
    /// The directory, as a path from the root of the cgroup2 mount; it starts with `/`. Empty when the container has none
    /// of its own: it stays in the runtime's.
    pub path: PathBuf,
    /// The field that places it.
    pub origin: Origin,
    /// Controllers that the limits below need; they are enabled from the root down.
    pub controllers: Vec<String>,
    /// Interface files with their values, in the order of writing.
    pub knobs: Vec<Knob>,
    /// Which devices may be used; none when every device may.
    pub devices: Option<DeviceFilter>,
    /// Who gets it, if not its maker.
    pub owner: Option<CgroupOwner>,
    /// The cgroup in it that init is born in; none when it is born in the container's cgroup itself.
    pub leaf: Option<LeafCgroup>,
    /// The unit of systemd that has the cgroup; none when it is made through the file system.
    pub unit: Option<UnitPlan>,
}

/// A cgroup inside of the container's that holds its processes. The limits are repeated in it, for that is where programs and
/// engines look for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafCgroup {
    /// Its name.
    pub name: &'static str,
    /// The field that asks for it.
    pub origin: Origin,
}

/// The user of a container, who may make cgroups inside of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupOwner {
    /// Its id on the host.
    pub uid: u32,
    /// The field that asks for it.
    pub origin: Origin,
}

impl CgroupPlan {
    /// Does the container stay in the runtime's own cgroup?
    pub fn is_none(&self) -> bool {
        self.path.as_os_str().is_empty()
    }
}

/// A cgroup interface file and the value that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knob {
    /// The file's name: `memory.max`.
    pub file: String,
    /// What is written.
    pub value: String,
    /// What must be read afterwards.
    pub expect: Expect,
    /// The field that asked for it.
    pub origin: Origin,
}

impl Knob {
    /// Whether the file is written in the leaf cgroup as well. The core's files are about the container's cgroup; CPUs can
    /// be taken away from others only once; and reclaiming twice is no better.
    pub fn is_repeated(&self) -> bool {
        const ONCE: [&str; 3] = ["cpuset.cpus.partition", "cpuset.cpus.exclusive", "memory.reclaim"];
        !self.file.starts_with("cgroup.") && !ONCE.contains(&self.file.as_str())
    }
}

/// What reading a knob back must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The text that was written.
    Same,
    /// The text that was written; or the file is absent, where that means that the value holds anyway (no swap at all).
    SameOrAbsent,
    /// The number that was written, rounded down to a multiple of this many bytes (a page, a huge page).
    Rounded(u64),
    /// The CPUs or memory nodes that were written, however the ranges are spelt.
    Set,
    /// A line that begins with the word that was written first (`8:0`, `default`) and has the others as well (`rbps=1`).
    DeviceLine,
    /// Anything, so that it is not read: a file that minirun does not know, written through `unified`.
    Readable,
}

/// A container's groups in the resctrl file system: made before init is born, which joins them then ([`HostOp::JoinResctrl`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResctrlPlan {
    /// Where that file system is mounted.
    pub mount: PathBuf,
    /// The directory of the group.
    pub group: PathBuf,
    /// Whose it is.
    pub kind: GroupKind,
    /// What is written to its `schemata`, in this order.
    pub schemata: Vec<Schema>,
    /// The directory of the container's monitoring group, if it has one.
    pub monitoring: Option<PathBuf>,
    /// The field that names the group.
    pub origin: Origin,
}

/// Whose a group is (runtime-spec, "IntelRdt").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// The container's: made if it is missing, and then removed with the container.
    Own,
    /// Everybody's who names it: made if it is missing, and left.
    Shared,
    /// Somebody else's: it must be there.
    Existing,
}

/// A line of `schemata`: `L3:0=ff;1=f`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The line.
    pub line: String,
    /// Must a shared group that is there already have it, rather than get it?
    pub compared: bool,
    /// The field that asks for it.
    pub origin: Origin,
}

/// The namespaces of a container.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Namespaces {
    /// `CLONE_NEW*` bits of the new ones.
    pub new: u64,
    /// The ones joined by path.
    pub join: Vec<JoinedNamespace>,
    /// The ones of a running container, for a further process in it: `CLONE_NEW*` bits.
    pub entered: u64,
    /// Whether a go-between enters the joined ones, because the runtime has no right to them outside of their user
    /// namespace, or could not return from them.
    pub by_go_between: bool,
    /// Are the runtime's supplementary groups given up before a joined user namespace is entered, where that would be
    /// denied?
    pub leave_groups: bool,
    /// Offsets of the clocks in a new time namespace, as lines for `/proc/PID/timens_offsets`.
    pub time_offsets: Option<String>,
}

/// A namespace that exists already.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedNamespace {
    /// Its `CLONE_NEW*` bit.
    pub kind: u64,
    /// The file that stands for it (`/proc/PID/ns/net`, a bind mount of that).
    pub path: PathBuf,
    /// The field that names it.
    pub origin: Origin,
}

impl Namespaces {
    /// The `CLONE_NEW*` bits of all of them.
    pub fn kinds(&self) -> u64 {
        self.join.iter().fold(self.new | self.entered, |kinds, joined| kinds | joined.kind)
    }

    /// Is there a namespace of this kind, new, joined or entered?
    pub fn has(&self, kind: i32) -> bool {
        self.is_new(kind) || self.is_joined(kind) || self.entered & kind as u64 != 0
    }

    /// Is there a new namespace of this kind?
    pub fn is_new(&self, kind: i32) -> bool {
        self.new & kind as u64 != 0
    }

    /// Whether init enters a pid namespace that has processes already. It does so last, because they can trace it from then
    /// on ([`Op::EnterPidNamespace`]).
    pub fn enters_pid_namespace(&self) -> bool {
        self.is_joined(libc::CLONE_NEWPID) || self.entered & libc::CLONE_NEWPID as u64 != 0
    }

    /// Whether the first process enters joined namespaces before anything else, and makes the new ones there.
    pub fn entered_by_init(&self) -> bool {
        self.by_go_between || self.is_joined(libc::CLONE_NEWUSER) || self.is_joined(libc::CLONE_NEWPID)
    }

    /// Whether init is not the process that the runtime clones, but a later sibling of that.
    pub fn change_process(&self) -> bool {
        self.entered_by_init() || self.enters_pid_namespace()
    }

    /// Does the parent make the time namespace, for its children? It would belong to the host's user namespace, so in
    /// another one init does ([`Op::NewTime`]).
    pub fn parent_makes_time(&self) -> bool {
        self.is_new(libc::CLONE_NEWTIME) && !self.has(libc::CLONE_NEWUSER)
    }

    /// Is a namespace of this kind joined?
    pub fn is_joined(&self, kind: i32) -> bool {
        self.join.iter().any(|joined| joined.kind == kind as u64)
    }
}

/// Something that the parent does to init between `clone3` and the word to go on, or to itself before it.
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
        /// What is written, in one write.
        value: String,
    },
    /// Have a helper map ids that are not the caller's own (newuidmap(1), newgidmap(1)).
    MapIds {
        /// Its name: `newuidmap` or `newgidmap`.
        program: &'static str,
        /// The lines of the map.
        value: String,
    },
    /// Raise a hard limit to at least this, which init cannot do in a user namespace of its own.
    RaiseLimit {
        /// `RLIMIT_*` number.
        resource: u32,
        /// The hard limit, as setrlimit(2) takes it.
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
        /// Where that is mounted.
        mount: PathBuf,
        /// The directory of the group.
        group: PathBuf,
    },
    /// Move a network device to init's network namespace, with its addresses, and set it up there.
    NetDevice {
        /// Its name here.
        name: String,
        /// Its name there; a `%d` in it stands for a number that the kernel finds.
        new_name: String,
    },
}

impl HostOp {
    /// Whether a child of the process has it as well. A scheduler can be such that its process can have no children
    /// (`SCHED_DEADLINE`), or that they are without it (`SCHED_FLAG_RESET_ON_FORK`).
    pub fn is_inherited(&self) -> bool {
        !matches!(self, HostOp::Scheduler(_))
    }

    /// The lines of an id map and its file, if this is what makes one.
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
    /// The same, after those.
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
    /// Is there a hook that wants to see the mounted root before it becomes `/`?
    pub fn before_pivot(&self) -> bool {
        [&self.prestart, &self.create_runtime, &self.create_container].iter().any(|list| !list.is_empty())
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The program.
    pub path: CString,
    /// Its argument vector.
    pub args: Vec<CString>,
    /// Its environment; without one the runtime's, in the container the program's.
    pub env: Option<Vec<CString>>,
    /// How many seconds it may take.
    pub timeout: Option<u64>,
    /// The field that names it.
    pub origin: Origin,
}

/// A source of a bind mount that the parent opens.
#[derive(Debug, Clone, PartialEq)]
pub struct Handle {
    /// The path on the host.
    pub path: CString,
    /// With everything mounted beneath it?
    pub recursive: bool,
    /// The user namespace to map ids by, which only the parent may do; and whether what is beneath is mapped as well.
    pub idmap: Option<(usize, bool)>,
    /// Does what is mounted below it go to and fro between the host and the container (`rootfsPropagation` shared)?
    pub connected: bool,
    /// The device node that is made, on a file system of its own, in place of the host's at this path.
    pub node: Option<HostNode>,
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
    /// A user namespace that is there, whose maps are used instead of these.
    pub namespace: Option<PathBuf>,
    /// The field that asks for it.
    pub origin: Origin,
}

/// The process of the container.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// Argument vector; the first is what the user named.
    pub args: Vec<CString>,
    /// Environment, `KEY=value`, without duplicates.
    pub env: Vec<CString>,
}
