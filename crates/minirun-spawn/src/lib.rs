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

mod channel;
mod clone;
mod error;
mod execute;
mod host;
mod idmap;
mod keeper;
mod net_device;
mod netlink;
mod node;
mod parent;
mod procfs;
mod program;
pub mod resctrl;
#[cfg(test)]
#[allow(dead_code, missing_docs, reason = "each crate's tests use a part of it")]
#[path = "../../../runtime-tests/src/sweep.rs"]
mod sweep;
mod watcher;
mod wire;

pub use error::{Failure, SpawnError, StartError, hint_for_source};
pub use execute::Container;
pub use host::scheduler_attributes;
pub use idmap::{map_ids, map_namespace};
pub use parent::{Attendant, Extras, Gate, HandOver, Init, ask_to_start, check_namespace, spawn, spawn_into};
pub use program::{Running, Where, start_hook};
pub use watcher::{Part, Watcher};
