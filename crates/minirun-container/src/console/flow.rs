//! What goes one way between two terminals, and waits here while the other side takes nothing: whoever blocked for it would
//! see no signal, and leave the other way to fill up.

use std::os::fd::BorrowedFd;

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::poll::{PollFd, PollFlags};

/// So much can be written to a pipe that poll(2) calls writable (`PIPE_BUF`).
const CHUNK: usize = 4096;

/// One way, from one descriptor to another.
pub struct Flow<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    buffer: [u8; CHUNK],
    /// The bytes that were read and not written: from here to there in the buffer.
    held: (usize, usize),
    open: bool,
    /// Whether no one has the other side open, or this process is in the background. Either may pass.
    hung: bool,
}

impl<'a> Flow<'a> {
    pub fn new(from: BorrowedFd<'a>, to: BorrowedFd<'a>) -> Flow<'a> {
        Flow { from, to, buffer: [0; CHUNK], held: (0, 0), open: true, hung: false }
    }

    fn holds(&self) -> bool {
        self.held.0 < self.held.1
    }

    /// The event that has to come before the next [`Flow::step`]; nothing when there will be none, or none before
    /// [`Flow::again`].
    pub fn awaits(&self) -> Option<PollFd<'a>> {
        let (fd, event) = if self.holds() { (self.to, PollFlags::POLLOUT) } else { (self.from, PollFlags::POLLIN) };
        (self.open && !self.hung).then(|| PollFd::new(fd, event))
    }

    /// Whether it waits for the other side to be opened again, of which poll(2) cannot tell.
    pub fn is_hung(&self) -> bool {
        self.open && self.hung
    }

    /// Tries again what was hung.
    pub fn again(&mut self) {
        self.hung = false;
    }

    /// Reads or writes once. A terminal whose other side no one has open answers EIO, as it does in the background.
    pub fn step(&mut self) {
        let answer = if self.holds() {
            sys::write(self.to, &self.buffer[self.held.0..self.held.1]).map(|length| self.held.0 += length)
        } else {
            sys::read(self.from, &mut self.buffer).map(|length| {
                self.held = (0, length);
                self.open = length > 0;
            })
        };
        match answer {
            Ok(()) | Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(Errno::EIO) => self.hung = true,
            // accepts: any error, which ends the copying.
            Err(_) => self.open = false,
        }
    }
}
