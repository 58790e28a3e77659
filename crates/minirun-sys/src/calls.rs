//! One wrapper per system call, by what it is about. Each names the kernel that first had it where that is newer than 5.0.

mod arguments;
mod child;
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

use child::check_one_thread;
pub use child::*;
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
///
/// # Safety
/// A number that is not negative is a descriptor which the kernel has just made for this process.
unsafe fn check_fd(answer: libc::c_long) -> Result<OwnedFd> {
    // SAFETY: it has no other owner, as the caller states.
    check(answer).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Calls the kernel. Where the kernel reads or writes memory of this process, the caller states why it can.
macro_rules! syscall {
    ($number:ident $(, $arg:expr)* $(,)?) => {
        libc::syscall(libc::$number $(, $arg)*)
    };
}
use syscall;

/// Makes one of the calls in [`arguments::CALLS`], with arguments whose types are [`arguments::Plain`]. Both are checked when it is
/// compiled, so this is safe.
macro_rules! plain {
    ($number:ident $(, $arg:expr)* $(,)?) => {{
        const { assert!($crate::calls::arguments::is_plain(libc::$number), "not in the list of plain calls") };
        // SAFETY: the kernel writes no memory in these calls, and reads only strings, which the arguments keep alive.
        unsafe { libc::syscall(libc::$number $(, $crate::calls::arguments::Plain::word($arg))*) }
    }};
}
use plain;

/// As [`plain!`], for calls that answer with a new descriptor ([`arguments::MAKERS`]).
macro_rules! plain_fd {
    ($number:ident $(, $arg:expr)* $(,)?) => {{
        const { assert!($crate::calls::arguments::is_maker(libc::$number), "not in the list of calls that make descriptors") };
        let answer = $crate::calls::plain!($number $(, $arg)*);
        // SAFETY: the call is in that list.
        unsafe { $crate::calls::check_fd(answer) }
    }};
}
use plain_fd;
