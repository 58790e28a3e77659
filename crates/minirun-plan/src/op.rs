//! The operations of init: a closed list. Each is the smallest action that a user would recognise in an error message.
//!
//! Strings are C strings and paths are not resolved yet, so the executor does not allocate and does not rely on an
//! earlier check. No operation uses the result of another, and none has a condition, with two exceptions that the
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
    /// Enter a namespace that the parent cannot enter for init: mount, time. The number is an index of
    /// `namespaces.join`.
    Join(usize),
    /// Enter these namespaces of a running container, and its root. The pid namespace applies to children.
    EnterContainer(u64),
    /// Continue as a new process in a pid namespace that has processes already. They can trace it, so by then it must
    /// hold nothing of the host and have only the container's rights.
    EnterPidNamespace {
        /// Whether its standard input becomes its controlling terminal.
        terminal: bool,
    },
    /// Set the SELinux label of the root of the ipc namespace's message queues (mqueue). It belongs to the creator of
    /// the namespace, so this comes before init changes its user.
    LabelQueues(CString),
    /// Create the time namespace, set its clocks and enter it, so that it belongs to the container's user namespace.
    /// This comes before init changes its user: until then it owns its files in /proc, even if others may not read
    /// them.
    NewTime,
    /// Become root of the user namespace: user and group 0, or the first mapped ones.
    BecomeRoot {
        /// The user id: 0, or the first mapped one.
        uid: u32,
        /// The group id: 0, or the first mapped one.
        gid: u32,
    },
    /// Create a session keyring with this name (keyctl(2)).
    SessionKeyring(CString),
    /// sethostname(2).
    Hostname(CString),
    /// setdomainname(2).
    Domainname(CString),
    /// Bring the loopback interface of the new network namespace up.
    LoopbackUp,
    /// Change the propagation of every mount in the new mount namespace to these flags, such as `MS_SLAVE | MS_REC`.
    Propagation(u64),
    /// Make the mount that this directory is on private, so that mounts on it do not propagate.
    PrivateParent(CString),
    /// Bind-mount this directory as the root file system.
    BindRoot(Source, RootPlace),
    /// Mount a tmpfs where the root file system goes. It holds the mount point of the root's overlay, and its upper
    /// directory unless there is another one.
    OverlayStage {
        /// The place of the root.
        place: RootPlace,
        /// The maximum size in bytes; empty for the kernel's default, half of the memory.
        size: CString,
    },
    /// Open the next lower directory of the root's overlay, top first.
    OverlayLower(CString),
    /// Open the upper directory of the root's overlay.
    OverlayUpper(CString),
    /// Open the work directory of the root's overlay.
    OverlayWork(CString),
    /// Mount the overlay of the directories opened so far, with these options, as the root file system.
    OverlayRoot {
        /// Where.
        place: RootPlace,
        /// Options, such as `index=off`, joined by commas.
        options: CString,
        /// Attributes of the mount: nosuid, nodev and so on.
        attributes: Attributes,
    },
    /// Mount a new instance of a file system.
    Mount {
        /// Its type, as in /proc/filesystems.
        filesystem: CString,
        /// The source that mountinfo shows.
        source: CString,
        /// Options of the file system.
        options: Vec<FsOption>,
        /// Whether the new file system's root gets the permission bits of the mount point (tmpfs without `mode=`).
        inherit_mode: bool,
        /// Whether the content of the mount point is copied into the new file system (`tmpcopyup`).
        copy_up: bool,
        /// The joined pid namespace that a procfs shows, if it is not init's own: an index of `namespaces.join`.
        pid_namespace: Option<usize>,
        /// Where.
        point: MountPoint,
    },
    /// As `Mount`, with the older mount(2): for options that fsconfig(2) does not support (`iversion`, `silent`, long
    /// ones).
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
    /// Mount an existing directory or file at a second place.
    Bind {
        /// What.
        source: Source,
        /// Whether the mounts below it are included (`rbind`).
        recursive: bool,
        /// The user namespace that maps the ids: an index of the plan's idmaps.
        idmap: Option<usize>,
        /// Whether ids of the mounts below it are mapped as well (`ridmap`).
        idmap_recursive: bool,
        /// Where.
        point: MountPoint,
    },
    /// Mount cgroup2 as the container's cgroup namespace shows it, or bind-mount the container's cgroup if the kernel
    /// refuses that.
    MountCgroup {
        /// The container's cgroup on the host.
        host: CString,
        /// Where.
        point: MountPoint,
    },
    /// Change an existing mount.
    Remount {
        /// Options of its superblock; unused when `bind`.
        options: Vec<FsOption>,
        /// Whether only the mount changes, not its superblock.
        bind: bool,
        /// The mount and its new attributes.
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
    /// Wait until the parent has run the hooks that run before the mounted root becomes `/`.
    AwaitHooks {
        /// Whether init is readable meanwhile for a parent that is an ordinary user and could not read it otherwise. No
        /// other process is in the container's user namespace yet.
        readable: bool,
    },
    /// Run one of the startContainer hooks.
    RunHook(usize),
    /// Mount a device node, because a user namespace cannot create one.
    BindDevice {
        /// The host's node, or one that the parent created.
        source: Source,
        /// Where.
        path: InRoot,
        /// Character or block, to compare.
        kind: NodeKind,
        /// `makedev` of its numbers, to compare.
        device: u64,
    },
    /// Create a symbolic link; an existing entry is kept if it is a link to the same target.
    Symlink {
        /// Where.
        path: InRoot,
        /// The target.
        target: CString,
        /// Whether an existing entry is replaced (`/dev/ptmx`).
        replace: bool,
    },
    /// pivot_root(2): the root file system becomes `/`, the host's is detached.
    PivotRoot,
    /// Unmount the host's procfs or sysfs at this path, and the mounts that cover it: `--no-pivot`.
    TakeAway(CString),
    /// chroot(2) into the root file system: `--no-pivot`.
    ChangeRoot {
        /// Whether it was not mounted over `/`. Processes that enter the mount namespace later find it only at `/`.
        elsewhere: bool,
    },
    /// chroot(2) into this directory; the mounts stay the caller's.
    Chroot(CString),
    /// Write a label for a security module, for init or for its program, to a file below /proc/thread-self.
    LsmAttribute {
        /// `attr/apparmor/exec`, `attr/exec` or `attr/keycreate`.
        file: &'static CStr,
        /// The value: a label, or `exec` and a profile.
        value: CString,
    },
    /// Write a kernel parameter of the container's namespaces, by its path below /proc/sys.
    Sysctl {
        /// `net/ipv4/ip_forward`.
        path: CString,
        /// Its value.
        value: CString,
    },
    /// Open a pseudo-terminal of the container's devpts as the standard streams, and send its master to the caller.
    Terminal {
        /// Rows and columns.
        size: Option<(u16, u16)>,
        /// The multiplexer: `/dev/pts/ptmx`, or else `/dev/ptmx`.
        multiplexers: Box<[InRoot; 2]>,
        /// A second path where it is mounted: `/dev/console`.
        console: Option<InRoot>,
        /// Whether it is the controlling terminal of this process rather than of the one that replaces it later.
        controls: bool,
        /// The user id of its owner.
        uid: u32,
    },
    /// Mask this path: mount /dev/null over a file, and an empty read-only directory over a directory.
    MaskedPath {
        /// Which.
        path: InRoot,
        /// The SELinux label of the empty directory.
        label: Option<CString>,
        /// The number of the mount whose mount point this is.
        number: Option<usize>,
    },
    /// Make this path and the mounts below it read-only.
    ReadonlyPath {
        /// Which.
        path: InRoot,
        /// The number of the mount whose mount point this is.
        number: Option<usize>,
    },
    /// Verify that the mount of this number is still at this path, and no other directory has taken its place.
    VerifyMount {
        /// The path of its mount point.
        path: InRoot,
        /// Which.
        number: usize,
    },
    /// Set the propagation of `/` in the container.
    RootPropagation(u64),
    /// Make the root file system itself read-only.
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
    /// personality(2), with the number of an execution domain.
    Personality(u32),
    /// Create this directory and its parents if they are missing.
    MakeDirectory(InRoot),
    /// Enter the working directory, if root is allowed to.
    EnterDirectory(CString),
    /// Enter the working directory as the container's user, if root was denied.
    EnterDirectoryAsUser(CString),
    /// umask(2).
    Umask(u32),
    /// Look up the home directory of this user in the container's /etc/passwd, for HOME.
    FindHome(u32),
    /// Remove these capabilities from the bounding set.
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
    /// Set the effective, permitted, inheritable and ambient capabilities.
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
    /// Compare ids, capabilities and no_new_privs with the requested ones.
    VerifyCredentials(Box<Credentials>),
    /// Find the program among these paths, as execvp(3) would with the container's PATH.
    FindProgram(Vec<CString>),
    /// Report that the container is created, and wait for the start request.
    AwaitStart,
    /// Close every descriptor from this number on except init's own sockets, which close on execve.
    CloseDescriptors(u32),
    /// Change the owner of the standard streams to this user, so that /dev/stdout can be opened: pipes, sockets and
    /// terminals, but not files.
    OwnStreams(u32),
    /// seccomp(2): from here on the kernel applies the filter to every call.
    Seccomp {
        /// The program and its flags.
        filter: Box<Filter>,
        /// The effective, permitted and inheritable sets to load it with: without `noNewPrivileges` it requires
        /// CAP_SYS_ADMIN.
        privileges: Option<(u64, u64, u64)>,
        /// The same sets for afterwards, if others can see the process, or hooks run, before execve computes its sets
        /// anew.
        after: Option<(u64, u64, u64)>,
    },
    /// execve(2) of the program that was found.
    Execute,
}

impl Op {
    /// Returns the mount point of an operation that creates a mount.
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
