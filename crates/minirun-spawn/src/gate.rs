//! Where init waits for its start.

use std::os::fd::BorrowedFd;

/// Where init waits for the word to start.
#[derive(Debug, Clone, Copy)]
pub enum Gate<'a> {
    /// A listening socket, to which `start` connects later.
    Listener(BorrowedFd<'a>),
    /// The channel to its parent, which starts it itself.
    Parent,
}
