//! One wrapper per system call, by what it is about. Each names the kernel that first had it where that is newer than 5.0.

mod control;
mod descriptors;
mod files;
mod filters;
mod identity;
mod mounts;
mod namespaces;
mod processes;
mod programs;
mod scheduling;
mod signals;
mod sockets;
mod terminals;

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use crate::{Errno, Result};

pub use control::*;
pub use descriptors::*;
pub use files::*;
pub use filters::*;
pub use identity::*;
pub use mounts::*;
pub use namespaces::*;
pub use processes::*;
pub use programs::*;
pub use scheduling::*;
pub use signals::*;
pub use sockets::*;
pub use terminals::*;

/// Turns the C convention (-1 and `errno`) into a result.
fn check(answer: libc::c_long) -> Result<libc::c_long> {
    if answer < 0 { Err(Errno::last()) } else { Ok(answer) }
}

/// As [`check`], for calls that answer with a new descriptor.
fn check_fd(answer: libc::c_long) -> Result<OwnedFd> {
    // SAFETY: a non-negative answer of these calls is a new descriptor that nobody else owns.
    check(answer).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Calls the kernel. Every pointer among the arguments comes from a reference that outlives the call.
macro_rules! syscall {
    ($number:ident $(, $arg:expr)* $(,)?) => {
        // SAFETY: the wrapper around this line passes valid pointers with the sizes that the call expects.
        unsafe { libc::syscall(libc::$number $(, $arg)*) }
    };
}
use syscall;
