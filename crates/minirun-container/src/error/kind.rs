//! The reasons for errors, each with its words.

use std::fmt;
use std::path::PathBuf;

use minirun_cgroup::CgroupError;
use minirun_plan::{Origin, Problems};
use minirun_spawn::{Failure, SpawnError, StartError};
use minirun_sys::{Errno, errno_text};

use super::Error;
use crate::status::Status;

/// Why an operation failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {
    /// There is no container of this id.
    NotFound {
        /// The id.
        id: String,
    },
    /// There is a container of this id already.
    AlreadyExists {
        /// The id.
        id: String,
    },
    /// The id is not valid: it becomes the name of directories.
    InvalidId {
        /// The id.
        id: String,
    },
    /// The container's init does not run, or not yet.
    NotRunning {
        /// The operation that needs a running container.
        operation: Operation,
        /// The container.
        id: String,
        /// Its status.
        status: Status,
    },
    /// The container is in a state that the operation refuses.
    WrongState {
        /// The operation.
        operation: Operation,
        /// The container.
        id: String,
        /// Its status.
        status: Status,
    },
    /// Another process has held the container's lock for this many seconds.
    Busy {
        /// How long this one has waited.
        seconds: u64,
    },
    /// The bundle has no `config.json`.
    NoConfig {
        /// The bundle's directory.
        bundle: PathBuf,
    },
    /// The configuration cannot be run: everything that is wrong with it.
    Config(Problems),
    /// A limit could not be applied. Its `origin` is the field that asks for it.
    Limit(CgroupError),
    /// An operation on a cgroup failed.
    Cgroup(CgroupError),
    /// A step of the plan failed: the field that asks for it, the operation, the system call and its error number.
    Step(Box<Failure>),
    /// The container's init ended before it was ready, or could not be undone.
    Spawn(SpawnError),
    /// The container's program did not start.
    Start(StartError),
    /// A hook failed.
    Hook {
        /// Its place in the configuration.
        origin: Origin,
        /// The program.
        path: String,
        /// How it ended.
        end: HookEnd,
        /// The end of its output.
        output: String,
    },
    /// The operation needs a cgroup of the container's own, and it has none.
    NoCgroup {
        /// The operation.
        operation: String,
        /// Why it has none.
        why: String,
    },
    /// The container was made by a newer version of this library.
    NewerRecord {
        /// The version of its record.
        version: u32,
        /// The newest that this library understands.
        known: u32,
    },
    /// The calling process has several threads, and the operation supports one.
    Threads {
        /// How many there are.
        count: u64,
    },
    /// The calling program's binary could be written by the container ([`crate::seal()`]).
    NotSealed,
    /// A signal asked this process to end; what it had begun is undone.
    Interrupted {
        /// The signal.
        signal: i32,
        /// The work that it interrupted.
        during: Box<Error>,
    },
    /// systemd refused, or could not be reached.
    #[cfg(feature = "systemd")]
    Systemd(minirun_systemd::Error),
    /// An operation on a file failed.
    Io {
        /// The operation: `read`, `lock`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's error number.
        errno: Errno,
    },
    /// Another system call failed. [`Error::doing`] says in which work.
    Os(Errno),
    /// Other reasons, in words.
    Other(String),
}

/// How a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookEnd {
    /// It could not be executed.
    NotRun(Errno),
    /// With this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It did not end within this many seconds, and was killed.
    Timeout(u64),
    /// The process that watches it was killed.
    Unwatched,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// [`crate::Container::start`]
    Start,
    /// [`crate::Container::exec`]
    Exec,
    /// [`crate::Container::kill`]
    Kill,
    /// [`crate::Container::pause`]
    Pause,
    /// [`crate::Container::resume`]
    Resume,
    /// [`crate::Container::update`]
    Update,
    /// [`crate::Container::stats`], [`crate::Container::watch`]
    Events,
    /// [`crate::Container::delete`]
    Delete,
}

impl Kind {
    /// Returns the kernel's error number, if it gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Kind::Os(errno) | Kind::Io { errno, .. } | Kind::Hook { end: HookEnd::NotRun(errno), .. } => Some(*errno),
            Kind::Limit(error) | Kind::Cgroup(error) => error.errno(),
            Kind::Step(failure) => failure.errno,
            Kind::Start(StartError::Execute { errno, .. } | StartError::Unreachable(errno)) => Some(*errno),
            Kind::Interrupted { during, .. } => during.errno(),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::NotFound { id } => write!(f, "container does not exist: {id}"),
            Kind::AlreadyExists { id } => write!(f, "container with given ID already exists: {id}"),
            Kind::InvalidId { id } => invalid_id(f, id),
            Kind::NotRunning { operation, id, status } | Kind::WrongState { operation, id, status } => {
                wrong_state(f, *operation, id, *status)
            }
            Kind::Busy { seconds } => {
                write!(f, "another command has been at work on this container for {seconds} s")
            }
            Kind::NoConfig { bundle } => {
                write!(f, "JSON specification file config.json not found in {}", bundle.display())
            }
            Kind::Config(problems) => problems.fmt(f),
            Kind::Limit(error) | Kind::Cgroup(error) => error.fmt(f),
            Kind::Step(failure) => failure.fmt(f),
            Kind::Spawn(error) => error.fmt(f),
            Kind::Start(error) => error.fmt(f),
            Kind::Hook { path, end, output, .. } => hook_failed(f, path, *end, output),
            Kind::NoCgroup { operation, why } => {
                write!(f, "{operation} needs a cgroup of the container's own, and it has none: {why}")
            }
            Kind::NewerRecord { version, known } => write!(
                f,
                "version {version} is newer than {known}, the newest that this program supports (hint: use the version of \
                 the program that made the container, or a newer one)"
            ),
            Kind::Threads { count } => write!(
                f,
                "this process has {count} threads, and namespaces can be entered only by a process with one (hint: make \
                 containers before threads are started, or in a child process)"
            ),
            Kind::NotSealed => f.write_str(
                "the container could write the binary of this program (hint: call minirun_container::seal first in main)",
            ),
            Kind::Interrupted { signal, during } => write!(f, "ended by signal {signal}: {during}"),
            #[cfg(feature = "systemd")]
            Kind::Systemd(error) => error.fmt(f),
            Kind::Io { operation, path, errno } => write!(f, "{operation} {}: {}", path.display(), errno_text(*errno)),
            Kind::Os(errno) => f.write_str(&errno_text(*errno)),
            Kind::Other(text) => f.write_str(text),
        }
    }
}

fn invalid_id(f: &mut fmt::Formatter<'_>, id: &str) -> fmt::Result {
    match id.len() {
        0 => f.write_str("container id cannot be empty"),
        length @ 256.. if has_id_letters(id) => {
            write!(f, "invalid container ID format: {length} bytes are more than the 255 of a file name")
        }
        _ => write!(f, "invalid container ID format: {id:?} (expected letters, digits and _+.-)"),
    }
}

/// Whether an id has only the characters that are allowed.
pub(crate) fn has_id_letters(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+.-".contains(c);
    id.chars().all(plain) && !id.starts_with('.') && !id.starts_with('-')
}

/// In runc's words, which engines look for.
fn wrong_state(f: &mut fmt::Formatter<'_>, operation: Operation, id: &str, status: Status) -> fmt::Result {
    match (operation, status) {
        (Operation::Start, Status::Stopped) => f.write_str("cannot start a container that has stopped"),
        (Operation::Start, Status::Running) => f.write_str("cannot start an already running container"),
        (Operation::Start, other) => write!(f, "cannot start a container in the {other} state"),
        (Operation::Exec, Status::Created) => f.write_str(
            "cannot exec in a container that is not yet started without being root of the host (hint: start it first)",
        ),
        (Operation::Exec, Status::Paused) => {
            f.write_str("cannot exec in a paused container (use --ignore-paused to override)")
        }
        (Operation::Exec, Status::Stopped) => f.write_str("cannot exec in a stopped container"),
        (Operation::Exec, other) => write!(f, "cannot exec in a container in the {other} state"),
        (Operation::Kill, _) => f.write_str("container not running: no such process"),
        (Operation::Pause | Operation::Update, _) => f.write_str("container not running"),
        (Operation::Resume, _) => f.write_str("container not paused"),
        (Operation::Events, _) => write!(f, "container with id {id} is not running"),
        (Operation::Delete, _) => write!(f, "cannot delete container {id} that is not stopped: {status}"),
    }
}

fn hook_failed(f: &mut fmt::Formatter<'_>, path: &str, end: HookEnd, output: &str) -> fmt::Result {
    match end {
        HookEnd::NotRun(errno) => write!(f, "run hook {path}: {}", errno.desc().to_lowercase())?,
        HookEnd::Status(status) => write!(f, "hook {path} failed: exit status {status}")?,
        HookEnd::Signal(signal) => write!(f, "hook {path} was ended by signal {signal}")?,
        HookEnd::Timeout(seconds) => write!(f, "hook {path} ran past specified timeout of {seconds}.0s")?,
        HookEnd::Unwatched => return write!(f, "hook {path}: its keeper was killed"),
    }
    if output.is_empty() { Ok(()) } else { write!(f, ", output: {output}") }
}
