//! Creates, changes and removes systemd units for containers over D-Bus.
//!
//! It is a small client of its own, because a runtime must not have threads: `unshare` and `setns` refuse a process
//! with several. It is synchronous, every request has a time limit (30 seconds), and nothing happens before
//! [`Manager::connect`]. The protocol is in the D-Bus specification, the methods are in org.freedesktop.systemd1(5).

#![forbid(unsafe_code)]

mod address;
mod connection;
mod error;
mod manager;
mod message;
#[cfg(test)]
#[allow(dead_code, missing_docs, reason = "each crate's tests use a part of it")]
#[path = "../../../runtime-tests/src/sweep.rs"]
mod sweep;
mod wire;

pub use error::{Cause, Error};
pub use manager::{Manager, Scope};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
