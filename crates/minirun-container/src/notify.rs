//! Readiness, as sd_notify(3) has it: the container says `READY=1` on a socket of its own, and the program that started
//! this one with `NOTIFY_SOCKET` hears of it, and of the pid to watch. Nothing else that the container writes there gets
//! out.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use crate::error::{Context, OnPath, Result, bail};
use minirun_sys as sys;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::observer::Observer;
use crate::store::{Entry, NOTIFY, NOTIFY_SOCKET};

/// How long the caller may take to say that it has read everything, in milliseconds (sd_notify(3), `BARRIER=1`).
const BARRIER: i32 = 30_000;

/// Where the caller wants to hear of readiness, if it does.
fn wanted() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
}

/// The directory that the container shall see, if the caller wants to hear of its readiness.
pub fn directory(entry: &Path) -> Option<PathBuf> {
    wanted().map(|_| entry.join(NOTIFY))
}

/// Makes that directory.
pub fn make_directory(entry: &Entry) -> Result<()> {
    let path = entry.path().join(NOTIFY);
    std::fs::DirBuilder::new().mode(0o755).create(&path).on("make", || &path)
}

/// The container's socket, and the caller's.
#[derive(Debug)]
pub struct Notify {
    container: UnixDatagram,
    caller: UnixDatagram,
    /// Whether the container has said that it is ready.
    ready: bool,
    /// How many of the messages the caller has taken.
    told: usize,
}

impl Notify {
    /// Listens for a container that was created to say when it is ready, if the caller wants to hear it now.
    pub fn listen(entry: &Entry) -> Result<Option<Notify>> {
        let Some(address) = wanted() else { return Ok(None) };
        let directory = entry.path().join(NOTIFY);
        if !directory.try_exists().on("look for", || &directory)? {
            return Ok(None);
        }
        let caller = connect(&address).with_context(|| format!("NOTIFY_SOCKET={}", address.to_string_lossy()))?;
        // Through the directory's descriptor: the address has room for 108 bytes.
        let path = entry.short_path(NOTIFY_SOCKET);
        let context = || format!("bind {}", entry.path().join(NOTIFY_SOCKET).display());
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(context),
            _ => {}
        }
        let container = UnixDatagram::bind(&path).with_context(context)?;
        // Whoever the container's program is; others do not get to the directory.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).with_context(context)?;
        container.set_nonblocking(true).with_context(context)?;
        Ok(Some(Notify { container, caller, ready: false, told: 0 }))
    }

    /// The descriptor to wait for: of the container until it is ready, then of the caller that is to be told.
    pub fn poll(&self) -> PollFd<'_> {
        match self.ready {
            false => PollFd::new(self.container.as_fd(), PollFlags::POLLIN),
            true => PollFd::new(self.caller.as_fd(), PollFlags::POLLOUT),
        }
    }

    /// Reads what the container has said, and once it is ready tells the caller, with the process that stands for the
    /// container from now on: true when all is told. A caller that does not read is waited for in [`Notify::poll`].
    pub fn forward(&mut self, main: i32) -> Result<bool> {
        self.ready = self.ready || self.is_ready()?;
        while self.ready && self.told < 2 {
            let text = if self.told == 0 { "READY=1\n".to_owned() } else { format!("MAINPID={main}\n") };
            match self.caller.send(text.as_bytes()) {
                Ok(_) => self.told += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context("write to NOTIFY_SOCKET"),
            }
        }
        Ok(self.ready)
    }

    fn is_ready(&self) -> Result<bool> {
        let mut datagram = [0u8; 4096];
        loop {
            match self.container.recv(&mut datagram) {
                Ok(length) if says_ready(&datagram[..length]) => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("read from the container's notify socket"),
            }
        }
    }

    /// Waits until the container is ready, tells the caller, and stays until that has read it: a message is believed only
    /// while its sender is there. A container that ends before is no error here.
    pub fn wait(mut self, init: BorrowedFd<'_>, pid: i32, observer: &dyn Observer) -> Result<()> {
        loop {
            let mut list = [self.poll(), PollFd::new(init, PollFlags::POLLIN)];
            match poll(&mut list, PollTimeout::NONE) {
                Ok(_) | Err(sys::Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("poll"),
            }
            let ended = list[1].any() == Some(true);
            if self.forward(pid)? {
                return self.barrier(observer);
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Hands over the end of a pipe, which the receiver closes when it has read everything before.
    fn barrier(&self, observer: &dyn Observer) -> Result<()> {
        let (ours, theirs) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("pipe2")?;
        let mut room = [PollFd::new(self.caller.as_fd(), PollFlags::POLLOUT)];
        poll(&mut room, PollTimeout::try_from(BARRIER)?).context("poll")?;
        sys::send_fd(self.caller.as_fd(), theirs.as_fd(), b"BARRIER=1").context("write to NOTIFY_SOCKET")?;
        drop(theirs);
        if !sys::wait_readable(ours.as_fd(), Some(BARRIER)).context("poll")? {
            let seconds = BARRIER / 1000;
            observer.warn(&format!("the listener at NOTIFY_SOCKET did not answer BARRIER=1 within {seconds} s"));
        }
        Ok(())
    }
}

/// Lines of a datagram are variables.
fn says_ready(datagram: &[u8]) -> bool {
    datagram.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

/// A path, or `@` and a name in the abstract namespace (unix(7)).
fn connect(address: &OsString) -> Result<UnixDatagram> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        _ => bail!("only unix sockets are supported: an absolute path, or @name"),
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A caller that does not read must not keep signals and the container's end from being seen.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::says_ready;

    #[test]
    fn readiness_is_a_line_of_its_own() {
        for text in ["READY=1", "READY=1\n", "STATUS=warm\nREADY=1\nX=2"] {
            assert!(says_ready(text.as_bytes()), "{text}");
        }
        for text in ["", "READY=0", "READY=10", "NOTREADY=1", "STATUS=READY=1"] {
            assert!(!says_ready(text.as_bytes()), "{text}");
        }
    }
}
