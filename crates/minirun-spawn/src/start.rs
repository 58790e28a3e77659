//! The start of a created container, and the wait until its program runs.

use std::os::fd::{AsFd, BorrowedFd, RawFd};

use minirun_sys as sys;

use crate::channel::Channel;
use crate::error::StartError;
use crate::wire::{GO, Kind, Record, START};

/// Hands the listener of a seccomp filter to the agent, given its number among init's descriptors.
/// An error in words ends init.
pub type HandOver<'a> = &'a mut dyn FnMut(RawFd) -> Result<(), String>;

/// End of file means that the program runs, or that init died; which of them, its state tells.
pub(crate) fn await_execution(
    channel: &Channel<impl AsFd>,
    mut next: impl FnMut() -> sys::Result<Option<(Record, i32)>>,
    hand_over: HandOver<'_>,
) -> Result<(), StartError> {
    let mut in_hooks = false;
    loop {
        match next().map_err(StartError::Unreachable)? {
            None if in_hooks => {
                let text =
                    "hooks.startContainer: container init ended while they ran (linux.seccomp might have ended it)";
                return Err(StartError::Hook(text.to_owned()));
            }
            None => return Ok(()),
            Some((Record { kind: Kind::Hooks, .. }, _)) => in_hooks = true,
            Some((Record { kind: Kind::HooksDone, .. }, _)) => in_hooks = false,
            Some((Record { kind: Kind::Listener, step, .. }, _)) => {
                hand_over(step as RawFd).map_err(StartError::Step)?;
                channel.send(GO).map_err(StartError::Unreachable)?;
            }
            Some((record, _)) => return Err(StartError::of_record(&record)),
        }
    }
}

/// Asks an init behind a gate's socket to start, and waits until its program runs. `hand_over` is called if the container has a
/// seccomp filter that notifies.
///
/// # Errors
/// Why it could not be executed, or that init no longer listens.
pub fn ask_to_start(connection: BorrowedFd<'_>, hand_over: HandOver<'_>) -> Result<(), StartError> {
    let channel = Channel::new(connection);
    channel.send(START).map_err(StartError::Unreachable)?;
    // Steps are reported to init's parent, which is gone.
    await_execution(&channel, || channel.receive(), hand_over)
}
