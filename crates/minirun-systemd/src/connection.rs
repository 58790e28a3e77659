//! A connection to systemd or to a message bus: connects, authenticates, sends and receives, always with a deadline.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use minirun_sys::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::address::Address;
use crate::error::Cause;
use crate::message::{self, Message, Method, PROLOGUE};
use crate::wire::Writer;

/// The time limit of each request to systemd.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The client does not send its name: the peer takes its credentials from the kernel, because in a user namespace this
/// user can have another number. All lines are sent together; the peer processes one after the other (D-Bus
/// specification, "Authentication Protocol").
pub(crate) const GREETING: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
/// The maximum length of a line in the answer.
const LONGEST_LINE: usize = 1024;

/// An open, authenticated connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    path: PathBuf,
    serial: u32,
    /// The received bytes that are not processed yet.
    buffer: Vec<u8>,
    interruptions: Option<Interruptions>,
}

/// A descriptor that can be read when nothing shall be waited for any more.
pub(crate) type Interruptions = Rc<OwnedFd>;

/// Whether it can be read, now or within this time.
pub(crate) fn is_interrupted(interruptions: Option<&Interruptions>, time: Duration) -> bool {
    let Some(interruptions) = interruptions else {
        std::thread::sleep(time);
        return false;
    };
    let mut list = [PollFd::new(interruptions.as_fd(), PollFlags::POLLIN)];
    // accepts: EINTR; the time is shorter then.
    poll(&mut list, milliseconds(time)).is_ok_and(|ready| ready > 0)
}

/// Rounded up, so that the last wait does not spin.
fn milliseconds(time: Duration) -> PollTimeout {
    PollTimeout::try_from(time.as_millis() + 1).unwrap_or(PollTimeout::MAX)
}

impl Connection {
    /// Connects to the first of these sockets that accepts.
    pub(crate) fn open(
        candidates: &[Address],
        deadline: Instant,
        interruptions: Option<&Interruptions>,
    ) -> Result<(Connection, bool), Cause> {
        let mut tried = Vec::new();
        for address in candidates {
            match open_socket(address, deadline) {
                Ok(stream) => {
                    let path = address.path.clone();
                    let interruptions = interruptions.cloned();
                    let mut connection = Connection { stream, path, serial: 0, buffer: Vec::new(), interruptions };
                    connection.authenticate(deadline)?;
                    return Ok((connection, address.is_bus));
                }
                Err(Errno::EAGAIN) => return Err(Cause::Silent(address.path.clone(), PATIENCE)),
                Err(errno) => tried.push((address.path.clone(), errno.desc().to_lowercase())),
            }
        }
        if candidates.is_empty() {
            let why = "XDG_RUNTIME_DIR and DBUS_SESSION_BUS_ADDRESS are not set".to_owned();
            tried.push((PathBuf::from("the user's instance"), why));
        }
        Err(Cause::Unreachable(tried))
    }

    fn authenticate(&mut self, deadline: Instant) -> Result<(), Cause> {
        self.send(GREETING, deadline)?;
        loop {
            let line = self.line(deadline)?;
            if line.starts_with("OK") {
                return Ok(());
            }
            if !line.starts_with("DATA") {
                return Err(Cause::Refused { name: "authentication".to_owned(), text: line });
            }
        }
    }

    /// Reads a line of the authentication.
    fn line(&mut self, deadline: Instant) -> Result<String, Cause> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err(Cause::Malformed("authentication has no end"));
            }
            self.receive(deadline)?;
        }
    }

    /// From here on, waiting ends when this can be read.
    pub(crate) fn interrupted_by(&mut self, interruptions: Interruptions) {
        self.interruptions = Some(interruptions);
    }

    /// Sends a call and returns its serial number.
    pub(crate) fn call(
        &mut self,
        method: Method<'_>,
        signature: &str,
        arguments: Writer,
        deadline: Instant,
    ) -> Result<u32, Cause> {
        self.serial += 1;
        let serial = self.serial;
        let call = message::call(serial, method, signature, arguments);
        self.send(&call, deadline)?;
        Ok(serial)
    }

    /// Returns the next message.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Message, Cause> {
        loop {
            if let Some(prologue) = self.buffer.first_chunk::<PROLOGUE>() {
                let length = message::length(prologue).map_err(Cause::Malformed)?;
                if self.buffer.len() >= length {
                    let message = Message::parse(&self.buffer[..length]).map_err(Cause::Malformed)?;
                    self.buffer.drain(..length);
                    return Ok(message);
                }
            }
            self.receive(deadline)?;
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<(), Cause> {
        self.ready(PollFlags::POLLIN, deadline)?;
        let left = self.left(deadline)?;
        self.stream.set_read_timeout(Some(left)).map_err(|error| self.broken(&error))?;
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Cause::Broken(self.path.clone(), "it was closed".to_owned())),
            Ok(length) => {
                self.buffer.extend(&chunk[..length]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), Cause> {
        while !bytes.is_empty() {
            self.ready(PollFlags::POLLOUT, deadline)?;
            let left = self.left(deadline)?;
            self.stream.set_write_timeout(Some(left)).map_err(|error| self.broken(&error))?;
            match self.stream.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
        Ok(())
    }

    /// Waits until the stream is ready for this, where the wait can be interrupted; otherwise the stream's own timeout ends it.
    fn ready(&self, events: PollFlags, deadline: Instant) -> Result<(), Cause> {
        let Some(interruptions) = &self.interruptions else { return Ok(()) };
        loop {
            let mut list =
                [PollFd::new(self.stream.as_fd(), events), PollFd::new(interruptions.as_fd(), PollFlags::POLLIN)];
            match poll(&mut list, milliseconds(self.left(deadline)?)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.broken(&errno.into())),
            }
            if list[1].any() == Some(true) {
                return Err(Cause::Interrupted);
            }
            if list[0].any() == Some(true) {
                return Ok(());
            }
        }
    }

    /// Returns the remaining time; never zero, which would mean no limit.
    fn left(&self, deadline: Instant) -> Result<Duration, Cause> {
        match deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(left.max(Duration::from_millis(1))),
            _ => Err(Cause::Silent(self.path.clone(), PATIENCE)),
        }
    }

    fn broken(&self, error: &std::io::Error) -> Cause {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Cause::Silent(self.path.clone(), PATIENCE),
            _ => Cause::Broken(self.path.clone(), error.to_string().to_lowercase()),
        }
    }
}

/// Connects a socket. If the socket's queue is full, waits until the deadline and then fails with EAGAIN.
fn open_socket(address: &Address, deadline: Instant) -> Result<UnixStream, Errno> {
    let stream = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let left = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
    setsockopt(&stream, sockopt::SendTimeout, &TimeVal::milliseconds(left as i64))?;
    let name = match address.is_abstract {
        true => UnixAddr::new_abstract(address.path.as_os_str().as_bytes())?,
        false => UnixAddr::new(&address.path)?,
    };
    connect(stream.as_raw_fd(), &name)?;
    Ok(UnixStream::from(stream))
}
