//! The runtime's end of the channel to init: it receives records and sends words.

use std::cell::Cell;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd as _};

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg};

use crate::watcher::{Part, Watcher};
use crate::wire::{Kind, RECORD, Record};

/// The sender of a message on a channel that does not tell.
pub(crate) const UNKNOWN: i32 = 0;

/// A socket to init, owned or borrowed.
#[derive(Debug)]
pub(crate) struct Channel<S> {
    socket: S,
    /// Whether init ended without reading everything that was sent to it.
    reset: Cell<bool>,
}

impl<S: AsFd> Channel<S> {
    pub(crate) fn new(socket: S) -> Channel<S> {
        Channel { socket, reset: Cell::new(false) }
    }

    /// Sends a word. If init has ended, this is no failure: the records that it sent before are still to be read.
    pub(crate) fn send(&self, word: u8) -> sys::Result<()> {
        match sys::write(self.socket.as_fd(), &[word]) {
            Ok(_) => Ok(()),
            Err(Errno::ECONNRESET | Errno::EPIPE) => {
                self.reset.set(true);
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }

    /// Returns the next record with the pid of its sender, which the kernel translates into this process's namespace; none at
    /// the end of file.
    ///
    /// # Errors
    /// `ECONNRESET` at the end of file, if init ended without reading everything that was sent to it.
    pub(crate) fn receive(&self) -> sys::Result<Option<(Record, i32)>> {
        self.receive_with(MsgFlags::empty())
    }

    /// As [`Channel::receive`], of the records that have arrived.
    ///
    /// # Errors
    /// As there, and `EAGAIN` if there is none yet.
    pub(crate) fn receive_arrived(&self) -> sys::Result<Option<(Record, i32)>> {
        self.receive_with(MsgFlags::MSG_DONTWAIT)
    }

    fn receive_with(&self, flags: MsgFlags) -> sys::Result<Option<(Record, i32)>> {
        let mut bytes = [0u8; RECORD];
        let mut control = nix::cmsg_space!(UnixCredentials);
        let (socket, flags) = (self.socket.as_fd().as_raw_fd(), flags | MsgFlags::MSG_CMSG_CLOEXEC);
        loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let message = match recvmsg::<()>(socket, &mut parts, Some(&mut control), flags) {
                Ok(message) => message,
                Err(Errno::EINTR) => continue,
                // The kernel says this once, before the records that are still in the queue.
                Err(Errno::ECONNRESET) if !self.reset.replace(true) => continue,
                Err(errno) => return Err(errno),
            };
            let sender = message.cmsgs()?.find_map(|part| match part {
                ControlMessageOwned::ScmCredentials(sender) => Some(sender.pid()),
                _ => None,
            });
            let length = message.bytes;
            if length == 0 {
                return if self.reset.get() { Err(Errno::ECONNRESET) } else { Ok(None) };
            }
            let record = Record::parse(&bytes[..length]).ok_or(Errno::EPROTO)?;
            return Ok(Some((record, sender.unwrap_or(UNKNOWN))));
        }
    }

    /// Returns the next record that asks for something; the watcher is told of steps.
    ///
    /// # Errors
    /// As [`Channel::receive`], and those of the watcher.
    pub(crate) fn receive_news(&self, watcher: &mut (impl Watcher + ?Sized)) -> sys::Result<Option<(Record, i32)>> {
        loop {
            watcher.waits(self.socket.as_fd())?;
            match self.receive()? {
                Some((record, _)) if record.kind == Kind::Step => tell(watcher, &record),
                other => return Ok(other),
            }
        }
    }
}

/// Tells the watcher which step begins.
fn tell(watcher: &mut (impl Watcher + ?Sized), record: &Record) {
    let former = record.former;
    // A process that traces init can send anything.
    let possible = former.0 != 0 && former.0 <= former.1 && former.1 <= sys::now();
    watcher.begins(Part::Init(record.step as usize), possible.then_some(former));
}
