//! Compiles `linux.seccomp` of an OCI runtime configuration to the classic BPF program that the kernel runs for each
//! system call (seccomp(2)).
//!
//! A [`Profile`] is resolved to rules for each architecture (`rules.rs`). These become intervals of call numbers with
//! one answer each, and the intervals a balanced tree of comparisons (`tree.rs`), which is written from its last
//! instruction to its first (`program.rs`). This crate does not query the host.
//!
//! # What a profile means
//!
//! The specification leaves much undefined. The compiler follows runc and crun, which use libseccomp; where they are
//! unclear, it chooses the safe meaning:
//!
//! - A rule with the default action is left out. Of the others about a call, the first without conditions decides, wherever
//!   it stands; without such a rule the first whose conditions all hold. (libseccomp refuses two rules with the same
//!   conditions, and asks about those that overlap in an order of its own.)
//! - Conditions of one rule hold together, unless two are about the same argument: then each is a rule by itself.
//! - Arguments are compared as unsigned numbers of 64 bits, and of 32 bits (as are the values) for x86, x32 and arm.
//! - The native architecture is always among those of the profile. Calls of others kill the thread that makes them.
//! - Calls newer than the newest that the profile names fail with `ENOSYS`, and not by the default action, so that
//!   programs fall back to older ones; unless the default action lets calls through (`ALLOW`, `LOG`, `TRACE`).
//! - On x86 a rule about `socket` is about `socketcall(SYS_SOCKET)` as well, and so on for the calls behind `socketcall` and
//!   `ipc`. Conditions cannot be checked there, because the arguments are in memory: then the stricter of the rule's and
//!   the default action counts. A rule without conditions about `socketcall` or `ipc` itself outweighs this.
//! - Names of calls that no architecture of the profile has, and architectures whose programs cannot run here, are ignored.

#![forbid(unsafe_code)]

mod action;
mod architecture;
mod container;
mod listing;
mod multiplexed;
mod permits;
mod profile;
mod program;
mod rules;
mod syscalls;
mod tree;

pub use action::{ACTIONS, show};
pub use architecture::{ARCHITECTURES, Machine};
pub use container::container_profile;
pub use permits::NativeCall;
pub use profile::{Argument, Profile, Syscall};
pub use rules::{OPERATORS, compile};

/// The flags of a profile, with the kernel's bits (`SECCOMP_FILTER_FLAG_*`).
pub const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 1 << 0),
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 1 << 2),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1 << 5),
];

/// The flag that makes seccomp(2) return a descriptor for notifications about calls.
pub const NEW_LISTENER: u32 = 1 << 3;

/// A program for seccomp(2), and the flags to load it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// One `struct sock_filter` per element, as a little-endian machine stores it.
    pub program: Vec<u64>,
    /// `SECCOMP_FILTER_FLAG_*` bits, with [`NEW_LISTENER`] if there is a listener.
    pub flags: u32,
    /// The receiver of notifications; none if no rule requests them.
    pub listener: Option<Listener>,
    /// The answer to calls that no rule matches, in the kernel's form: see [`show`].
    pub default: u32,
    /// The names in the profile of the architectures whose calls have rules.
    pub architectures: Vec<&'static str>,
}

/// Where the listener's descriptor is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// `listenerPath`: a socket that waits for connections.
    pub path: String,
    /// `listenerMetadata`; empty if absent.
    pub metadata: String,
}

/// A problem or a note at a place in the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The place, such as `syscalls[3].args[0].index`; empty for the whole profile.
    pub place: String,
    /// The problem or the note.
    pub text: String,
}

/// A compiled profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The filter; none for a profile without a default action and rules, which engines write for "no filter".
    pub filter: Option<Filter>,
    /// Notes on parts that were ignored, as all runtimes do, and that need no warning.
    pub notes: Vec<Remark>,
}

#[cfg(test)]
mod tests;
