//! The options of the operations on containers. Each has defaults, and fields may be added: write `..Create::default()`.

use std::path::PathBuf;

use minirun_plan::spec::Process;
use serde_json::Value;

/// Who makes the cgroup of a new container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// This library, through the files of the cgroup file system.
    #[default]
    Cgroupfs,
    /// systemd, as a scope.
    Systemd,
    /// No one: the container stays in the caller's cgroup, without limits.
    Disabled,
}

/// Whether a container without limits may lack a cgroup of its own where none can be created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NoCgroup {
    /// It may.
    Allowed,
    /// It may not.
    Refused,
    /// Allowed unless the caller is root of the host.
    #[default]
    AllowedRootless,
}

/// How the cgroups of new containers are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// Who makes them.
    pub manager: CgroupManager,
    /// Whether a container may lack one.
    pub none: NoCgroup,
}

/// The signal mask of the calling process after an operation that has blocked all signals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SignalsAfter {
    /// It is as before. Signals that came meanwhile are delivered then.
    #[default]
    Restored,
    /// All signals stay blocked: for a program that reports the outcome and ends, and is not to be ended before.
    Blocked,
}

/// How a container's root is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RootChange {
    /// By pivot_root(2).
    #[default]
    Pivot,
    /// By chroot(2), for a caller whose root file system is an initial ramdisk.
    Chroot,
}

/// A container to be made.
#[derive(Debug, Clone, Default)]
pub struct Create {
    /// Its id: letters, digits and `_+.-`.
    pub id: String,
    /// The directory of its bundle.
    pub bundle: PathBuf,
    /// How its root is changed.
    pub root_change: RootChange,
    /// Whether the session keyring stays as it is.
    pub no_new_keyring: bool,
    /// How many descriptors from 3 on the container gets, besides those of socket activation (sd_listen_fds(3)).
    pub preserve_fds: u32,
    /// A file that gets the pid of the container's init.
    pub pid_file: Option<PathBuf>,
    /// A listening socket that gets the master of the container's terminal.
    pub console_socket: Option<PathBuf>,
    /// A listening socket that gets a pidfd of the container's init.
    pub pidfd_socket: Option<PathBuf>,
}

/// Whether the calling process stays with the process that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stay {
    /// It waits, and is between the terminals.
    #[default]
    Foreground,
    /// It does not.
    Detached,
}

/// Who waits for the orphans of a container without a pid namespace of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orphans {
    /// The subreaper above this process, or the host's init.
    #[default]
    Leave,
    /// This process, which becomes a subreaper until the container has ended, and takes the status of *every* child that
    /// ends.
    Adopt,
}

/// Whose exit statuses the calling process takes while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Children {
    /// Those of the process alone.
    #[default]
    Made,
    /// Those of *every* child that ends. A process in a container can make siblings of itself (`CLONE_PARENT`, clone(2)), which
    /// are children of the calling process and remain as zombies otherwise.
    All,
}

/// A container to be made and started.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The container.
    pub create: Create,
    /// Whether the calling process stays with it.
    pub stay: Stay,
    /// Who waits for its orphans.
    pub orphans: Orphans,
    /// Whether it is not deleted when it has ended.
    pub keep: bool,
}

/// A further process in a container.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    /// The program and its arguments. Empty for those of `process`.
    pub args: Vec<String>,
    /// The process, as in `process` of a configuration. Without one, that of the container is the base.
    pub process: Option<Process>,
    /// Whether the calling process stays with it.
    pub stay: Stay,
    /// Whose exit statuses are taken while the calling process stays.
    pub children: Children,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Its working directory.
    pub cwd: Option<String>,
    /// More variables, as `NAME=VALUE`.
    pub env: Vec<String>,
    /// Its user.
    pub user: Option<UserIds>,
    /// More groups.
    pub additional_gids: Vec<u32>,
    /// More capabilities.
    pub capabilities: Vec<String>,
    /// Whether it can gain no privileges by `execve`.
    pub no_new_privileges: bool,
    /// Its profile of AppArmor.
    pub apparmor_profile: Option<String>,
    /// Its label of SELinux.
    pub selinux_label: Option<String>,
    /// A cgroup below the container's.
    pub cgroup: Option<String>,
    /// Whether it is made in a paused container as well.
    pub ignore_paused: bool,
    /// How many descriptors from 3 on it gets.
    pub preserve_fds: u32,
    /// A file that gets its pid.
    pub pid_file: Option<PathBuf>,
    /// A listening socket that gets the master of its terminal.
    pub console_socket: Option<PathBuf>,
    /// A listening socket that gets a pidfd of it.
    pub pidfd_socket: Option<PathBuf>,
}

/// A user, and a group where that is not to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserIds {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: Option<u32>,
}

/// The processes that a signal is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// The container's init.
    #[default]
    Init,
    /// All of its processes.
    All,
}

/// How a container is deleted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delete {
    /// Whether a container that runs is killed, and one that does not exist is accepted. A damaged record is then replaced by
    /// what the configuration says.
    pub force: bool,
}

/// Other limits for a container.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The limits to be changed, as an object of the form of `linux.resources`.
    pub resources: Value,
    /// The line `L3` of its schemata (Intel RDT).
    pub l3_cache_schema: Option<String>,
    /// The line `MB` of its schemata.
    pub mem_bw_schema: Option<String>,
}
