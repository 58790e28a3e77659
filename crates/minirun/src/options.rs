//! What the operations on containers are asked for. Nothing here knows of a command line, or of defaults that depend on the
//! host.

use std::path::PathBuf;

/// What counts for every operation.
#[derive(Debug, Clone, Default)]
pub struct Runtime {
    /// The state directory; none for the default one.
    pub root: Option<PathBuf>,
    pub cgroup_manager: CgroupManager,
    pub no_cgroup: NoCgroup,
}

/// Who makes the cgroup of a new container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// The runtime, through the files of the cgroup file system.
    #[default]
    Cgroupfs,
    /// systemd, as a scope.
    Systemd,
    /// No one: the container stays in the caller's cgroup.
    Disabled,
}

/// Whether a container without limits may lack a cgroup of its own where none can be created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NoCgroup {
    Allowed,
    Refused,
    /// Allowed unless the caller is root of the host.
    #[default]
    AllowedRootless,
}

/// What a plan is made from.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// The directory of the bundle.
    pub bundle: PathBuf,
    /// Changes the root by chroot(2) instead of pivot_root(2).
    pub no_pivot: bool,
    /// Leaves the session keyring as it is.
    pub no_new_keyring: bool,
    /// How many descriptors from 3 on the container gets, besides those of socket activation.
    pub preserve_fds: u32,
}

/// What `create` is asked for.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    pub id: String,
    pub plan: PlanOptions,
    /// Gets the pid of the container's init process.
    pub pid_file: Option<PathBuf>,
    /// Gets the master of the container's terminal.
    pub console_socket: Option<PathBuf>,
    /// Gets a pidfd of the container's init process.
    pub pidfd_socket: Option<PathBuf>,
}

/// What `run` is asked for.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    pub create: CreateOptions,
    /// Ends as soon as the container's program runs.
    pub detach: bool,
    /// Does not delete the container when it has ended.
    pub keep: bool,
    /// Does not adopt orphans of the container while waiting for it.
    pub no_subreaper: bool,
}

/// What `exec` is asked for.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    pub id: String,
    /// The program and its arguments; empty if `process` names them.
    pub args: Vec<String>,
    /// A file with the process, as in config.json.
    pub process: Option<PathBuf>,
    /// Does not wait for the process.
    pub detach: bool,
    pub tty: bool,
    pub cwd: Option<String>,
    /// More variables, as NAME=VALUE.
    pub env: Vec<String>,
    pub user: Option<UserIds>,
    /// More groups.
    pub additional_gids: Vec<u32>,
    /// More capabilities.
    pub capabilities: Vec<String>,
    pub no_new_privs: bool,
    pub apparmor: Option<String>,
    /// A label of SELinux.
    pub process_label: Option<String>,
    /// A cgroup below the container's.
    pub cgroup: Option<String>,
    /// Does its work in a paused container as well.
    pub ignore_paused: bool,
    pub preserve_fds: u32,
    pub pid_file: Option<PathBuf>,
    pub console_socket: Option<PathBuf>,
    pub pidfd_socket: Option<PathBuf>,
}

/// A user, and a group where that is not to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserIds {
    pub uid: u32,
    pub gid: Option<u32>,
}

/// What `kill` is asked for.
#[derive(Debug, Clone, Default)]
pub struct KillOptions {
    pub id: String,
    pub signal: i32,
    /// Signals every process of the container.
    pub all: bool,
}

/// What `delete` is asked for.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    pub id: String,
    /// Kills the container first, and accepts that there is none.
    pub force: bool,
}

/// What `update` is asked for.
#[derive(Debug, Clone)]
pub struct UpdateOptions {
    pub id: String,
    pub limits: Limits,
    /// The line `L3` of the schemata.
    pub l3_cache_schema: Option<String>,
    /// The line `MB` of the schemata.
    pub mem_bw_schema: Option<String>,
}

/// Where new limits come from.
#[derive(Debug, Clone)]
pub enum Limits {
    /// `linux.resources` as JSON on standard input.
    StandardInput,
    /// The same in a file.
    File(PathBuf),
    /// The same in memory.
    Resources(serde_json::Value),
}
