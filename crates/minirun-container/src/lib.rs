//! A container's life as a library: create, start, exec, kill, pause, update, watch, delete.
//!
//! [`Runtime`] is a state directory, [`Container`] one container in it. The options of an operation are a struct with
//! defaults; an [`Error`] has a [`Kind`] to match on, and its `Display` is the whole message. Nothing is printed: an
//! [`observer::Observer`] hears of each step, and of warnings.
//!
//! ```no_run
//! use minirun_container::{Delete, Kind, Run, Runtime, options::Create};
//!
//! fn main() -> Result<(), minirun_container::Error> {
//!     minirun_container::seal()?;
//!     let runtime = Runtime::open("/run/example")?;
//!     let create = Create { id: "web".to_owned(), bundle: "bundle".into(), ..Create::default() };
//!     match runtime.run(&Run { create, ..Run::default() }) {
//!         Ok(running) => println!("{}", running.wait()?),
//!         Err(error) if matches!(error.kind(), Kind::AlreadyExists { .. }) => {
//!             runtime.container("web")?.delete(&Delete { force: true })?;
//!         }
//!         Err(error) => return Err(error),
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Looking at containers needs no privilege but that of reading the state directory:
//!
//! ```
//! # use minirun_container::Runtime;
//! # let directory = std::env::temp_dir().join(format!("minirun-container-{}", std::process::id()));
//! # std::fs::create_dir(&directory).unwrap();
//! let runtime = Runtime::open(&directory)?;
//! for listed in runtime.list()? {
//!     println!("{}: {}", listed.id, listed.snapshot?.status());
//! }
//! # std::fs::remove_dir(&directory).unwrap();
//! # Ok::<(), minirun_container::Error>(())
//! ```
//!
//! # What a program must know that makes containers
//!
//! These count for [`Runtime::create`], [`Runtime::run`] and [`Container::exec`], which make processes. Everything else can
//! be called in a process with threads; while a hook of it runs, the process is a subreaper.
//!
//! - **One thread.** `unshare(2)` and `setns(2)` refuse a process that has several, so these operations fail with
//!   [`Kind::Threads`] before they do anything. A program with threads does this work in a child process.
//! - **A sealed binary.** Until it executes its program, a container's init is a copy of the calling process, and the
//!   container can reach that process's binary through `/proc/PID/exe` (CVE-2019-5736). [`seal()`], called first in `main`,
//!   executes the binary again from a read-only mount. A process that is not sealed gets [`Kind::NotSealed`].
//! - **Signals.** All are blocked from the first change of the host on. HUP, INT, QUIT and TERM undo the operation
//!   ([`Kind::Interrupted`]). The caller's mask is restored when the operation is over; for a [`Running`] process that is when
//!   it is waited for, detached or dropped. SIGCHLD must not be ignored: the kernel would then discard exit statuses.
//! - **Other attributes.** Meanwhile the process cannot be read by others of its user (`PR_SET_DUMPABLE`), and with
//!   [`options::Orphans::Adopt`] it is a subreaper. Both are restored as well. Descriptors of the caller stay open and are
//!   closed in the container, but for standard input, output and error and those of `preserve_fds`.
//! - **Children.** A container's init is a child of the process that made it: see [`Created::wait`] and [`Running::wait`].
//! - **Any allocator.** The allocator of the program `minirun` is not needed.

#![forbid(unsafe_code)]

mod agent;
pub mod bundle;
mod cgroup;
mod console;
mod create;
mod delete;
mod error;
mod exec;
pub mod facts;
mod hooks;
mod kill;
mod notify;
pub mod observer;
pub mod options;
mod pause;
mod pid_file;
mod prepare;
mod process;
mod record;
mod runtime;
pub mod seal;
mod session;
mod snapshot;
mod start;
mod status;
mod steps;
mod store;
#[cfg(feature = "systemd")]
mod unit;
#[cfg(not(feature = "systemd"))]
#[path = "unit_absent.rs"]
mod unit;
mod update;
mod wait;
mod watch;

pub use create::Created;
pub use error::{Error, HookEnd, Kind, Operation, Result};
pub use minirun_cgroup::{Cgroup, CgroupError, Stats};
pub use minirun_plan::spec::Process;
pub use minirun_plan::{Origin, Plan, Problem, Problems};
pub use minirun_spawn::{Failure, SpawnError, StartError};
pub use minirun_sys::Errno;
#[cfg(feature = "systemd")]
pub use minirun_systemd::Error as SystemdError;
pub use options::{Create, Delete, Exec, Run, Update};
pub use prepare::Prepared;
pub use runtime::{Container, Listed, Runtime};
pub use seal::seal;
pub use serde_json::Value;
pub use snapshot::Snapshot;
pub use status::Status;
pub use wait::Running;
pub use watch::{Event, Events, OomEvents};

/// The version of the runtime specification that is implemented.
pub const SPEC_VERSION: &str = "1.3.0";
