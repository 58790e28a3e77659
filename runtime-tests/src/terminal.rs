//! Terminals from the outside: the user's terminal when calling the runtime, and the engine's end of a container's.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::termios::{InputFlags, LocalFlags, OutputFlags, tcgetattr};

use crate::host;

/// The master of a pseudo-terminal, with the output that was read but not waited for yet.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    unread: String,
}

/// The terminal flags that raw mode clears.
pub type Mode = (InputFlags, OutputFlags, LocalFlags);

impl Terminal {
    /// Returns the terminal of this master.
    pub fn of(master: OwnedFd) -> Self {
        Self { master: master.into(), unread: String::new() }
    }

    /// Returns a new pair: the master and the slave.
    pub fn pair(rows: u16, columns: u16) -> (Self, OwnedFd) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        for fd in [&pair.master, &pair.slave] {
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
        }
        (Self::of(pair.master), pair.slave)
    }

    /// Starts a command in a new terminal, as a shell does: the slave is its streams and its controlling terminal.
    /// Returns the slave as well, so that the terminal outlives the command.
    #[allow(clippy::zombie_processes, reason = "the caller waits for it")]
    pub fn start(command: &mut Command, rows: u16, columns: u16) -> (Self, OwnedFd, Child) {
        let (terminal, slave) = Self::pair(rows, columns);
        let stream = || File::from(slave.try_clone().unwrap());
        command.stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: between fork and exec the closure makes two plain system calls.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                nix::errno::Errno::result(libc::ioctl(0, libc::TIOCSCTTY as _, 0)).map(drop).map_err(Into::into)
            });
        }
        let child = command.spawn().unwrap();
        (terminal, slave, child)
    }

    /// Types a text.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for a text on the screen. Returns and consumes everything up to its end.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + host::patience();
        loop {
            if let Some(place) = self.unread.find(text) {
                return self.unread.drain(..place + text.len()).collect();
            }
            assert!(Instant::now() < end, "timed out waiting for {text:?}, the terminal shows {:?}", self.unread);
            assert!(self.read(), "ended without {text:?}, the terminal shows {:?}", self.unread);
        }
    }

    /// Returns all output until the last process has closed the other side.
    #[track_caller]
    pub fn rest(mut self) -> String {
        let end = Instant::now() + host::patience();
        while self.read() {
            assert!(Instant::now() < end, "the other side stays open after {:?}", self.unread);
        }
        self.unread
    }

    /// Reads available output. Returns false at the end of the stream.
    fn read(&mut self) -> bool {
        let mut list = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut list, PollTimeout::from(50u8)).unwrap_or(0) == 0 {
            return true;
        }
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer) {
            Ok(length @ 1..) => self.unread += &String::from_utf8_lossy(&buffer[..length]),
            // EIO: no slave is open.
            _ => return false,
        }
        true
    }

    /// Changes the size; the kernel notifies the foreground process group.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the kernel reads one structure that outlives the call.
        let result = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ as _, &raw const size) };
        assert_eq!(result, 0);
    }

    /// Returns the flags that raw mode clears. A master returns those of its slave.
    pub fn mode(&self) -> Mode {
        let mode = tcgetattr(&self.master).unwrap();
        (mode.input_flags, mode.output_flags, mode.local_flags)
    }
}

/// An engine's socket, on which one descriptor arrives.
#[derive(Debug)]
pub struct Receiver {
    path: PathBuf,
    listener: UnixListener,
}

impl Receiver {
    /// Listens on a new socket of this name.
    pub fn at(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { path: path.to_owned(), listener }
    }

    /// Returns the path as an argument.
    pub fn argument(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Receives the only message with its only descriptor, and checks that nothing follows.
    #[track_caller]
    pub fn take(&self) -> (OwnedFd, String) {
        let (fd, text, mut stream) = self.receive();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "nothing follows the message");
        (fd, text)
    }

    /// Receives a message with one descriptor; the connection stays open.
    #[track_caller]
    pub fn receive(&self) -> (OwnedFd, String, UnixStream) {
        let mut stream = None;
        host::wait_until("a connection", || {
            stream = self.listener.accept().ok().map(|(stream, _)| stream);
            stream.is_some()
        });
        let stream = stream.unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(host::patience())).unwrap();
        let mut bytes = [0; 4096];
        let mut control = nix::cmsg_space!([i32; 4]);
        let (fds, length) = {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut control), flags).unwrap();
            let rights = message.cmsgs().unwrap().filter_map(|part| match part {
                ControlMessageOwned::ScmRights(fds) => Some(fds),
                _ => None,
            });
            (rights.flatten().collect::<Vec<_>>(), message.bytes)
        };
        assert_eq!(fds.len(), 1, "one descriptor is sent");
        // SAFETY: the kernel just created this descriptor for this process, and nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fds[0]) };
        (fd, String::from_utf8_lossy(&bytes[..length]).into_owned(), stream)
    }
}
