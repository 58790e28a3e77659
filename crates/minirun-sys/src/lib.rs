//! The system calls that minirun makes, one thin wrapper each, and its allocator.
//!
//! All unsafe code of the workspace stands in this crate: the files of `calls` talk to the kernel, `alloc.rs` to the allocator
//! interface. A wrapper takes C strings and descriptors, makes one call, and returns the kernel's answer; it decides
//! nothing, allocates nothing and logs nothing, so that all of them may be used between `clone3` and `execve`.
//!
//! Three modules are not wrappers: `flock.rs` keeps a lock, `trust.rs` opens directories that other users cannot exchange, and
//! `text.rs` puts C strings together without allocating memory.
//!
//! Safe functions are safe with every argument; the others say `unsafe`, and stay in this crate. Where the `nix` crate has the
//! call, processes that allocate use that one.

mod alloc;
mod calls;
mod flock;
mod text;
mod trust;

#[cfg(test)]
#[allow(dead_code, missing_docs, reason = "each crate's tests use a part of it")]
#[path = "../../../runtime-tests/src/sweep.rs"]
mod sweep;

pub use alloc::{Bump, forbid_allocation};
pub use calls::*;
pub use flock::{Flock, FlockArg};
pub use nix::errno::Errno;
pub use text::{Text, TooLong};
pub use trust::{Untrusted, in_initial_user_namespace, open_trusted, trust, trust_file};

/// What a system call returned, or its error number.
pub type Result<T> = std::result::Result<T, Errno>;

/// The error number in words, as they stand inside a sentence: "permission denied", but "I/O error".
///
/// # Examples
///
/// ```
/// # use minirun_sys::{Errno, errno_text};
/// assert_eq!(errno_text(Errno::EPERM), "operation not permitted");
/// ```
pub fn errno_text(errno: Errno) -> String {
    // libc's text for this error is about mathematics.
    let text = if errno == Errno::ERANGE { "value out of range" } else { errno.desc() };
    let mut letters = text.chars();
    match letters.next() {
        // "I/O error" and the like keep their capitals.
        Some(first) if letters.as_str().starts_with(|second: char| second.is_lowercase()) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}
