//! The operations of init: a closed list, each the smallest thing that a user would recognise in an error message.
//!
//! Strings are C strings and paths are names still to be resolved, so that the executor neither allocates nor relies on a
//! check made earlier. No operation looks at another's result and none holds a condition, with two exceptions that the
//! specification itself has: a path to mask that does not exist, and a working directory that only the container's user
//! may enter.

use std::ffi::{CStr, CString};

use minirun_seccomp::Filter;

use crate::{Attributes, Credentials, FsOption, InRoot, MemoryPolicy, MountPoint, RootPlace, Source};

/// A kind of device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
}

/// An operation of init.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Enter a namespace that the parent cannot enter for init: mount, time. The number counts `namespaces.join`.
    Join(usize),
    /// Enter the namespaces of a container that runs, these of them, and its root. The pid namespace is for children.
    EnterContainer(u64),
    /// Continue as a new process in a pid namespace that has processes already. They can trace it, so by then it has nothing
    /// of the host and only the container's rights.
    EnterPidNamespace {
        /// Whether its standard input becomes its controlling terminal.
        terminal: bool,
    },
    /// Give the root of the ipc namespace's message queues (mqueue) this label of SELinux. Its owner is who made the
    /// namespace, so this comes before init is another user.
    LabelQueues(CString),
    /// Make the time namespace, set its clocks and enter it: so it belongs to the container's user namespace. This comes
    /// before init is another user, while its files in /proc are its own although others may not read them.
    NewTime,
    /// Become the root of the user namespace: user and group 0, or those that it has.
    BecomeRoot {
        /// 0, or the first one that is mapped.
        uid: u32,
        /// The same of groups.
        gid: u32,
    },
    /// A new session keyring of this name (keyctl(2)).
    SessionKeyring(CString),
    /// sethostname(2).
    Hostname(CString),
    /// setdomainname(2).
    Domainname(CString),
    /// Bring the loopback interface of the new network namespace up.
    LoopbackUp,
    /// Change the propagation of every mount in the new mount namespace: `MS_SLAVE | MS_REC` and so on.
    Propagation(u64),
    /// Make the mount that this directory is on private, so that nobody else sees what is mounted there.
    PrivateParent(CString),
    /// The root file system is this directory, bind-mounted.
    BindRoot(Source, RootPlace),
    /// A tmpfs of the container's own, mounted where the root file system goes: it holds the mount point of the root's
    /// overlay, and its upper directory unless there is another one.
    OverlayStage {
        /// Where it is mounted.
        place: RootPlace,
        /// The most it may hold, in bytes; empty for the kernel's default, half of the memory.
        size: CString,
    },
    /// The next lower directory of the root's overlay, top first.
    OverlayLower(CString),
    /// The upper directory of the root's overlay.
    OverlayUpper(CString),
    /// The work directory of the root's overlay.
    OverlayWork(CString),
    /// Mount the overlay of the directories opened so far, with these options; it becomes the root file system.
    OverlayRoot {
        /// Where.
        place: RootPlace,
        /// `index=off,…`.
        options: CString,
        /// Attributes of the mount: nosuid, nodev and so on.
        attributes: Attributes,
    },
    /// Mount a new instance of a file system.
    Mount {
        /// Its type, as in /proc/filesystems.
        filesystem: CString,
        /// The name that mountinfo shows as source.
        source: CString,
        /// Options of the file system.
        options: Vec<FsOption>,
        /// Give the new file system's root the permission bits that the mount point has (tmpfs without `mode=`).
        inherit_mode: bool,
        /// Copy what the mount point held into the new file system (`tmpcopyup`).
        copy_up: bool,
        /// The joined pid namespace that a procfs shows, if that is not init's own: an index of `namespaces.join`.
        pid_namespace: Option<usize>,
        /// Where.
        point: MountPoint,
    },
    /// As `Mount`, by the older mount(2): for options that fsconfig(2) cannot say (`iversion`, `silent`, long ones).
    ClassicMount {
        /// Its type.
        filesystem: CString,
        /// Its source.
        source: CString,
        /// `MS_*` flags.
        flags: u64,
        /// Options of the file system, joined by commas.
        data: CString,
        /// Where.
        point: MountPoint,
    },
    /// Mount an existing directory or file a second time.
    Bind {
        /// What.
        source: Source,
        /// With everything mounted beneath it (`rbind`)?
        recursive: bool,
        /// The user namespace to map ids by: counts the idmaps of the plan.
        idmap: Option<usize>,
        /// Map what is mounted beneath it as well (`ridmap`)?
        idmap_recursive: bool,
        /// Where.
        point: MountPoint,
    },
    /// Mount cgroup2 as the container's cgroup namespace shows it, or bind-mount the container's cgroup where the kernel
    /// refuses that.
    MountCgroup {
        /// The container's cgroup on the host.
        host: CString,
        /// Where.
        point: MountPoint,
    },
    /// Change a mount that is there already.
    Remount {
        /// Options of its superblock; unused when `bind`.
        options: Vec<FsOption>,
        /// Only this mount, not its superblock?
        bind: bool,
        /// Which and how.
        point: MountPoint,
    },
    /// Make a device node.
    Device {
        /// Where.
        path: InRoot,
        /// What.
        kind: NodeKind,
        /// `makedev` of its numbers.
        device: u64,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Wait until the parent has run the hooks that see the mounted root before it becomes `/`.
    AwaitHooks {
        /// May the parent look into init meanwhile, which is an ordinary user and could not otherwise? Nobody else is in
        /// the container's user namespace yet.
        readable: bool,
    },
    /// Run one of the startContainer hooks.
    RunHook(usize),
    /// Mount a device node, since a user namespace may not make one.
    BindDevice {
        /// The host's node, or one that the parent has made.
        source: Source,
        /// Where.
        path: InRoot,
        /// Character or block, to compare.
        kind: NodeKind,
        /// `makedev` of its numbers, to compare.
        device: u64,
    },
    /// Make a symbolic link; an existing entry is left if it is a link to the same place.
    Symlink {
        /// Where.
        path: InRoot,
        /// Its text.
        target: CString,
        /// Take away what is there (`/dev/ptmx`)?
        replace: bool,
    },
    /// pivot_root(2): the root file system becomes `/`, the host's is detached.
    PivotRoot,
    /// Take the host's procfs or sysfs at this path away, and whatever covers it: `--no-pivot`.
    TakeAway(CString),
    /// chroot(2) into the root file system: `--no-pivot`.
    ChangeRoot {
        /// Whether it was mounted elsewhere than over `/`. Processes that enter the mount namespace later find it at `/`
        /// only.
        elsewhere: bool,
    },
    /// chroot(2) into this directory, where the mounts stay those of the caller.
    Chroot(CString),
    /// Tell a security module what it shall make of init or of its program, by a file below /proc/thread-self.
    LsmAttribute {
        /// `attr/apparmor/exec`, `attr/exec` or `attr/keycreate`.
        file: &'static CStr,
        /// What is written: a label, or `exec` and a profile.
        value: CString,
    },
    /// Write a kernel parameter of the container's namespaces, by its path below /proc/sys.
    Sysctl {
        /// `net/ipv4/ip_forward`.
        path: CString,
        /// Its value.
        value: CString,
    },
    /// Make a pseudo-terminal of the container's own devpts the standard streams, and hand its master out.
    Terminal {
        /// Rows and columns.
        size: Option<(u16, u16)>,
        /// What makes it: `/dev/pts/ptmx`, or else `/dev/ptmx`.
        multiplexers: Box<[InRoot; 2]>,
        /// Where it is shown as well: `/dev/console`.
        console: Option<InRoot>,
        /// Whether it is the controlling terminal of this process, and not of the one that replaces it later.
        controls: bool,
        /// Who owns it.
        uid: u32,
    },
    /// Nothing of this path may be read: /dev/null over a file, an empty read-only directory over a directory.
    MaskedPath {
        /// Which.
        path: InRoot,
        /// The label of the empty directory (SELinux).
        label: Option<CString>,
        /// The number of the mount whose mount point this is.
        number: Option<usize>,
    },
    /// This path and what is beneath it may not be written.
    ReadonlyPath {
        /// Which.
        path: InRoot,
        /// The number of the mount whose mount point this is.
        number: Option<usize>,
    },
    /// The mount of this number is still at this path: no other directory has taken its place.
    VerifyMount {
        /// Where it was made.
        path: InRoot,
        /// Which.
        number: usize,
    },
    /// The propagation of `/` in the container.
    RootPropagation(u64),
    /// Nothing in the root file system itself may be written.
    ReadonlyRoot,
    /// setrlimit(2).
    Limit {
        /// `RLIMIT_*` number.
        resource: u32,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
    },
    /// set_mempolicy(2).
    MemoryPolicy(MemoryPolicy),
    /// personality(2): the number of an execution domain.
    Personality(u32),
    /// Make this directory and its parents where they are missing.
    MakeDirectory(InRoot),
    /// Enter the working directory, if it lets root in.
    EnterDirectory(CString),
    /// Enter the working directory as the container's user, if root was denied.
    EnterDirectoryAsUser(CString),
    /// umask(2).
    Umask(u32),
    /// Look up the home directory of this user in the container's /etc/passwd, for HOME.
    FindHome(u32),
    /// Take these capabilities out of the bounding set.
    DropBounding(u64),
    /// setgroups(2).
    Groups(Vec<u32>),
    /// Change group and user, keeping the permitted capabilities.
    User {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
    /// The effective, permitted, inheritable and ambient capabilities.
    Capabilities {
        /// Mask by capability number.
        effective: u64,
        /// Mask by capability number.
        permitted: u64,
        /// Mask by capability number.
        inheritable: u64,
        /// Mask by capability number.
        ambient: u64,
    },
    /// `prctl(PR_SET_NO_NEW_PRIVS)`.
    NoNewPrivileges,
    /// Compare ids, capabilities and no_new_privs with those that were asked for.
    VerifyCredentials(Box<Credentials>),
    /// Find the program among these, as execvp(3) would with the container's PATH.
    FindProgram(Vec<CString>),
    /// Say that the container is created, and wait for the word to start.
    AwaitStart,
    /// Close every descriptor from this number on but init's own sockets, which close on execve.
    CloseDescriptors(u32),
    /// Give the standard streams to this user, so that /dev/stdout can be opened: pipes, sockets and terminals, no files.
    OwnStreams(u32),
    /// seccomp(2): from here on the kernel asks the filter about every call.
    Seccomp {
        /// The program and its flags.
        filter: Box<Filter>,
        /// Without `noNewPrivileges` it takes CAP_SYS_ADMIN: the effective, permitted and inheritable sets to load it with.
        privileges: Option<(u64, u64, u64)>,
        /// The same sets for afterwards, where others are to see the process, or hooks run, before execve makes its sets anew.
        after: Option<(u64, u64, u64)>,
    },
    /// execve(2) of the program found.
    Execute,
}

impl Op {
    /// The mount point of an operation that makes a mount.
    pub(crate) fn mount_point(&self) -> Option<&MountPoint> {
        match self {
            Op::Mount { point, .. }
            | Op::ClassicMount { point, .. }
            | Op::Bind { point, .. }
            | Op::MountCgroup { point, .. } => Some(point),
            _ => None,
        }
    }
}
