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
    /// What was read and is not written: from here to there in the buffer.
    held: (usize, usize),
    open: bool,
}

impl<'a> Flow<'a> {
    pub fn new(from: BorrowedFd<'a>, to: BorrowedFd<'a>) -> Flow<'a> {
        Flow { from, to, buffer: [0; CHUNK], held: (0, 0), open: true }
    }

    fn holds(&self) -> bool {
        self.held.0 < self.held.1
    }

    /// What has to happen before the next [`Flow::step`]; nothing when there will be none.
    pub fn awaits(&self) -> Option<PollFd<'a>> {
        let (fd, event) = if self.holds() { (self.to, PollFlags::POLLOUT) } else { (self.from, PollFlags::POLLIN) };
        self.open.then(|| PollFd::new(fd, event))
    }

    /// Reads or writes once. A terminal whose other side is closed answers EIO.
    pub fn step(&mut self) {
        let answer = if self.holds() {
            sys::write(self.to, &self.buffer[self.held.0..self.held.1]).map(|length| self.held.0 += length)
        } else {
            sys::read(self.from, &mut self.buffer).map(|length| {
                self.held = (0, length);
                self.open = length > 0;
            })
        };
        self.open &= matches!(answer, Ok(()) | Err(Errno::EINTR | Errno::EAGAIN));
    }
}
