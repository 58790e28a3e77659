//! Makes the init process of a container and has it carry out the plan.
//!
//! ```text
//! parent                                              init
//! spawn(): open what init cannot, enter namespaces
//! clone3(new namespaces | INTO_CGROUP) ─────────────► wait
//! id maps, oom score; GO ───────────────────────────► every step up to await-start
//!                        ◄─────────────────────────── CREATED (or FAILED, which ends it)
//! Init::commit() once the record is safe ───────────► outlives its parent from here on
//! Init::start(), or a peer on the gate's socket ────► the rest, execve
//!                        ◄─────────────────────────── end of file: it runs; FAILED: it does not
//! ```
//!
//! Messages are sequenced packets of fixed size. End of file always means that the other side is gone or has executed, so
//! that nobody waits for ever. Until the commit, init dies with its parent.

#![forbid(unsafe_code)]

mod attendant;
mod bring_up;
mod channel;
mod child;
mod clone;
mod error;
mod execute;
mod gate;
mod handle;
mod hint;
mod host;
mod idmap;
mod init;
mod keeper;
mod namespaces;
mod net_device;
mod netlink;
mod node;
mod opened;
mod procfs;
mod program;
pub mod resctrl;
mod spawn;
mod start;
#[cfg(test)]
#[allow(dead_code, missing_docs, reason = "each crate's tests use a part of it")]
#[path = "../../../runtime-tests/src/sweep.rs"]
mod sweep;
mod watcher;
mod wire;

pub use attendant::Attendant;
pub use error::{Failure, SpawnError, StartError};
pub use gate::Gate;
pub use hint::hint_for_source;
pub use host::scheduler_attributes;
pub use idmap::{map_ids, map_namespace};
pub use init::Init;
pub use namespaces::check_namespace;
pub use opened::Container;
pub use program::{Running, Where, start_hook};
pub use spawn::{Extras, spawn, spawn_into};
pub use start::{HandOver, ask_to_start};
pub use watcher::{Part, Watcher};
