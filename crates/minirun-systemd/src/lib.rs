//! Units of systemd for containers: made, changed and removed over D-Bus.
//!
//! A small client of its own, because a runtime may have no threads: `unshare` and `setns` refuse a process that has
//! some. It is synchronous, every call has an end (30 seconds), and nothing is done before [`Manager::connect`]. The
//! protocol is in the D-Bus specification, the calls are in org.freedesktop.systemd1(5).

#![forbid(unsafe_code)]

mod address;
mod connection;
mod error;
mod manager;
mod message;
mod wire;

pub use error::{Cause, Error};
pub use manager::{Manager, Scope};

/// What every function here answers with.
pub type Result<T> = std::result::Result<T, Error>;
