//! The caller's terminal and the container's: who takes the master, and what goes to and fro in the foreground.

use std::io::IsTerminal as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use minirun_spawn::{Part, Watcher};
use minirun_sys as sys;
use minirun_sys::Standard;
use nix::errno::Errno;
use nix::poll::{PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, socketpair, sockopt};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::sys::time::TimeVal;

use crate::error::{Context, Result, bail};
use crate::options::Stay;
use crate::session::{Ready, Session};
use crate::steps::Steps;

mod flow;

pub(crate) use flow::Flow;

/// Where the master of the container's terminal goes.
pub enum Console {
    /// There is no terminal.
    None,
    /// To the listener on the console socket.
    Socket(OwnedFd),
    /// To this process, which stays in the foreground: the socket's two ends.
    Here(OwnedFd, OwnedFd),
}

impl Console {
    /// Decides by the options and the configuration; the messages are runc's.
    pub fn of(socket: Option<&Path>, terminal: bool, stay: Stay) -> Result<Console> {
        let detached = stay == Stay::Detached;
        match (terminal, socket) {
            (true, Some(path)) if detached => Ok(Console::Socket(connect_to(path)?)),
            (false, Some(_)) | (true, Some(_)) => {
                bail!("cannot use console socket if minirun will not detach or allocate tty")
            }
            (true, None) if detached => {
                bail!("cannot allocate tty if minirun will detach without setting console socket")
            }
            (true, None) => {
                let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)
                    .context("socketpair")?;
                Ok(Console::Here(ours, theirs))
            }
            (false, None) => Ok(Console::None),
        }
    }

    /// The end that init sends the master to, and the end that it arrives at if that is here.
    pub fn split(self) -> (Option<OwnedFd>, Option<OwnedFd>) {
        match self {
            Console::None => (None, None),
            Console::Socket(socket) => (Some(socket), None),
            Console::Here(ours, theirs) => (Some(theirs), Some(ours)),
        }
    }
}

/// How long the listener on a socket may take to accept a connection.
const PATIENCE: TimeVal = TimeVal::new(10, 0);

/// Connects to a socket that an engine listens on. Through the directory's descriptor, for its path may be long.
pub fn connect_to(path: &Path) -> Result<OwnedFd> {
    let context = || format!("connect to {}", path.display());
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).context("socket")?;
    // Counts for connect(2) as well (unix(7)): a container's lock is held meanwhile.
    setsockopt(&socket, sockopt::SendTimeout, &PATIENCE).context("setsockopt")?;
    let directory = std::fs::File::open(path.parent().unwrap_or(Path::new("/"))).with_context(context)?;
    let name = path.file_name().with_context(context)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    match connect(socket.as_raw_fd(), &UnixAddr::new(&short).with_context(context)?) {
        Err(Errno::EAGAIN) => bail!("{}: not accepted within {} s", context(), PATIENCE.tv_sec()),
        answer => answer.with_context(context)?,
    }
    Ok(socket)
}

/// Takes the master that init has sent, and sets the terminal up before anything runs on it.
pub fn arrive(socket: &OwnedFd) -> Result<OwnedFd> {
    let master = receive(socket)?;
    copy_size(master.as_fd());
    if !std::io::stdout().is_terminal() {
        keep_line_ends(&master)?;
    }
    Ok(master)
}

/// A new terminal ends lines by CR LF, which is for a screen. A file or a pipe gets what the program writes.
fn keep_line_ends(master: &OwnedFd) -> Result<()> {
    let mut mode = tcgetattr(master).context("tcgetattr")?;
    mode.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(master, SetArg::TCSANOW, &mode).context("tcsetattr")
}

fn receive(socket: &OwnedFd) -> Result<OwnedFd> {
    let received = sys::receive_fd(socket.as_fd()).context("receive the terminal")?;
    received.context("the container's init sent no terminal")
}

/// Puts the caller's terminal into raw mode, and back whatever happens.
pub struct RawMode {
    before: Termios,
}

impl RawMode {
    /// None when standard input is no terminal.
    pub fn enter() -> Result<Option<RawMode>> {
        // accepts: ENOTTY: no terminal, so nothing to change.
        let Ok(before) = tcgetattr(std::io::stdin()) else { return Ok(None) };
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(std::io::stdin(), SetArg::TCSANOW, &raw).context("put the terminal into raw mode")?;
        Ok(Some(RawMode { before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that has gone away.
        // accepts: EIO; nothing can be done about a terminal that has gone away.
        let _gone = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.before);
    }
}

/// The container's terminal, whose other side is this process.
pub struct Attended<'a> {
    pub master: &'a OwnedFd,
    pub output: Flow<'a>,
}

impl<'a> Attended<'a> {
    pub fn of(master: &'a OwnedFd) -> Attended<'a> {
        Attended { master, output: Flow::new(master.as_fd(), Standard::Output.fd()) }
    }

    /// Shows what was written last, which is still in the terminal.
    pub fn drain(&mut self) {
        drain(&mut self.output);
    }
}

/// Watches the steps of a start, and shows meanwhile what hooks write to the terminal: it holds only a few KiB, so they would
/// wait for a reader, as the start waits for them.
pub struct Showing<'s, 'a, 'o> {
    pub session: &'s Session<'s>,
    pub steps: &'s mut Steps<'o>,
    pub terminal: Option<&'s mut Attended<'a>>,
}

impl Watcher for Showing<'_, '_, '_> {
    fn watches(&self) -> bool {
        self.steps.watches()
    }

    fn begins(&mut self, part: Part, former: Option<(u64, u64)>) {
        self.steps.begins(part, former);
    }

    fn waits(&mut self, channel: BorrowedFd<'_>) -> sys::Result<()> {
        if let Some(Attended { output, .. }) = &mut self.terminal {
            while let Some(shown) = output.awaits() {
                if self.session.await_readable(channel, Some(shown))? == Ready::Channel {
                    return Ok(());
                }
                output.step();
            }
        }
        self.steps.waits(channel)
    }
}

/// Takes what the container wrote last, which is still in the terminal.
pub fn drain(output: &mut Flow<'_>) {
    output.again();
    while let Some(one) = output.awaits() {
        let timeout = if one.events() == PollFlags::POLLOUT { PollTimeout::NONE } else { PollTimeout::ZERO };
        if poll(&mut [one], timeout) == Ok(0) {
            return;
        }
        output.step();
    }
}

/// Gives the container's terminal the caller's size. Without a terminal there is none to give.
pub fn copy_size(master: BorrowedFd<'_>) {
    // accepts: ENOTTY; what is no terminal has no size.
    if let Ok(size) = sys::window_size(Standard::Input.fd()) {
        // accepts: EIO; the container has closed it.
        let _gone = sys::set_window_size(master, size);
    }
}
