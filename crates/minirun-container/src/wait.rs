//! A process in a container that this process stays with: passes signals on, relays between the terminals, and waits for its
//! end.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use minirun_cgroup::Cgroup;
use minirun_spawn::Init;
use minirun_sys as sys;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::console::{Attended, Flow, RawMode, copy_size, drain};
use crate::delete::delete_same;
use crate::error::{Context, Result};
use crate::notify::Notify;
use crate::observer::Level;
use crate::record::Record;
use crate::session::Session;
use crate::store::Store;

/// How long to wait before a terminal that no one had open is tried again, in milliseconds.
const HUNG: u8 = 100;

/// A process in a container, started by this process: the container's init after [`crate::Runtime::run`], or a further one
/// after [`crate::Container::exec`].
///
/// Every signal is blocked in this process until it is dropped, waited for or detached.
#[derive(Debug)]
pub struct Running<'r> {
    pub(crate) session: Session<'r>,
    pub(crate) init: Init,
    /// The master of its terminal, if that is here.
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) notify: Option<Notify>,
    /// The container that was made with it.
    pub(crate) container: Option<Made<'r>>,
}

/// A container that [`Running`] is the init of.
#[derive(Debug)]
pub(crate) struct Made<'r> {
    pub store: &'r Store,
    pub record: Record,
    pub cgroup: Option<Cgroup>,
    /// Whether it stays when it has ended.
    pub keep: bool,
}

impl Running<'_> {
    /// Its pid in this process's pid namespace.
    pub fn pid(&self) -> i32 {
        self.init.pid
    }

    /// A descriptor of it.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.init.pidfd.as_fd()
    }

    /// Leaves it to itself, once the container has said that it is ready if the caller of this process wants to know that
    /// (`NOTIFY_SOCKET`). This process remains its parent.
    ///
    /// # Errors
    /// The caller cannot be told.
    pub fn detach(self) -> Result<()> {
        let Running { session, init, notify, .. } = self;
        session.unblock_signals()?;
        let Some(notify) = notify else { return Ok(()) };
        notify.wait(init.pidfd.as_fd(), init.pid, session.observer)
    }

    /// Waits until it has ended. Until then signals to this process are passed on to it, and its terminal, if it has one, is
    /// connected to standard input and output. A container that was made with it is deleted afterwards, unless it is to be
    /// kept.
    ///
    /// # Errors
    /// It cannot be waited for, or the container cannot be deleted.
    pub fn wait(self) -> Result<ExitStatus> {
        let Running { session, init, terminal, notify, container } = self;
        let running = session.observer.program_runs();
        let ended = wait_for(&session, &init, terminal.as_ref().map(Attended::of), notify);
        drop(running);
        if let Some(Made { store, record, cgroup, keep }) = &container {
            // accepts: no error: it is returned below.
            if ended.is_err() {
                init.kill();
            }
            // accepts: no error: it is returned below.
            report_oom(&session, cgroup.as_ref(), ended.as_ref().is_ok_and(|status| libc::WIFSIGNALED(*status)));
            if !keep {
                delete_same(&session, store, record)?;
            }
        }
        ended.map(ExitStatus::from_raw)
    }
}

/// Stays until init has ended: between the terminals if there are some, passing signals on. Where the caller wants to hear
/// that the container is ready, it is told as long as it has not been.
fn wait_for(
    session: &Session<'_>,
    init: &Init,
    terminal: Option<Attended<'_>>,
    mut notify: Option<Notify>,
) -> Result<i32> {
    if let Some(terminal) = terminal {
        return attend(session, init, terminal, notify);
    }
    let signals = sys::signal_fd().context("signalfd")?;
    loop {
        if let Some(status) = reap(session, init)? {
            return Ok(status);
        }
        let signal = PollFd::new(signals.as_fd(), PollFlags::POLLIN);
        let told = notify.as_ref().map_or_else(|| signal.clone(), Notify::poll);
        let mut list = [signal, told];
        match poll(&mut list, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("wait for a signal"),
        }
        while let Some(signal) = sys::read_signal(signals.as_fd()).context("wait for a signal")? {
            pass_on(session, init, signal);
        }
        forward_readiness(session, &mut notify);
    }
}

/// Tells the caller when the container is ready, once. This process is the one to watch: it ends as the container does.
fn forward_readiness(session: &Session<'_>, notify: &mut Option<Notify>) {
    let Some(waiting) = notify else { return };
    match waiting.forward(std::process::id() as i32) {
        Ok(false) => {}
        Ok(true) => *notify = None,
        Err(error) => {
            session.observer.warn(&error.to_string());
            *notify = None;
        }
    }
}

/// Passes a signal on. SIGCHLD is for this process, SIGWINCH tells of a terminal that the container does not have, and SIGURG
/// is what Go's runtime sends itself, engines' included.
fn pass_on(session: &Session<'_>, init: &Init, signal: i32) {
    if [libc::SIGCHLD, libc::SIGWINCH, libc::SIGURG].contains(&signal) {
        return;
    }
    match sys::pidfd_send_signal(init.pidfd.as_fd(), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => session.observer.warn(&format!("could not pass signal {signal} on: {}", errno.desc())),
    }
}

/// Takes the status word of init if it has ended; and of every other child, if the session takes all.
fn reap(session: &Session<'_>, init: &Init) -> Result<Option<i32>> {
    loop {
        let ended = if session.takes_all_children() { sys::reap_any() } else { sys::reap(init.pid) };
        match ended {
            Ok(None) => return Ok(None),
            Ok(Some((pid, status))) if pid == init.pid => return Ok(Some(status)),
            Ok(Some(_)) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("wait for the container"),
        }
    }
}

/// A container that ended for want of memory looks like one that was killed, so it is said.
fn report_oom(session: &Session<'_>, cgroup: Option<&Cgroup>, killed: bool) {
    let Some(cgroup) = cgroup else { return };
    // accepts: any error; it is only told.
    if let Ok(Some(kills @ 1..)) = cgroup.oom_kills() {
        // accepts: as above.
        let limit = cgroup.read("memory.max").ok().flatten().unwrap_or_default();
        let who = if killed { "container init was OOM-killed" } else { "processes of the container were OOM-killed" };
        let limit = limit.trim_end();
        let text = format!("{who}: memory.max of {limit} bytes was reached ({kills} kills)");
        session.observer.says(Level::Error, &text);
    }
}

/// Relays between the caller's and the container's terminal until init has ended.
fn attend(session: &Session<'_>, init: &Init, terminal: Attended<'_>, notify: Option<Notify>) -> Result<i32> {
    let raw = RawMode::enter()?;
    let signals = sys::signal_fd().context("signalfd")?;
    // This is the only process that has it open.
    fcntl(terminal.master, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK)).context("fcntl")?;
    let status = relay(session, init, &signals, terminal, notify);
    drop(raw);
    status
}

fn relay(
    session: &Session<'_>,
    init: &Init,
    signals: &OwnedFd,
    terminal: Attended<'_>,
    mut notify: Option<Notify>,
) -> Result<i32> {
    let Attended { master, mut output } = terminal;
    let mut input = Flow::new(sys::Standard::Input.fd(), master.as_fd());
    loop {
        if let Some(status) = reap(session, init)? {
            drain(&mut output);
            return Ok(status);
        }
        // What is closed would be reported for ever, so the signals stand in its place, and nothing is asked of them. Not a
        // list of what is open: it would take memory with every round, for as long as the container runs.
        let asleep = || PollFd::new(signals.as_fd(), PollFlags::empty());
        let mut list = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            output.awaits().unwrap_or_else(asleep),
            input.awaits().unwrap_or_else(asleep),
            notify.as_ref().map_or_else(asleep, Notify::poll),
        ];
        let timeout = if output.is_hung() || input.is_hung() { PollTimeout::from(HUNG) } else { PollTimeout::NONE };
        match poll(&mut list, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno).context("poll"),
        }
        let [signalled, comes, goes, told] = list.map(|fd| fd.any() == Some(true));
        output.again();
        input.again();
        if signalled {
            pass_signals(session, init, signals, master)?;
        }
        if comes {
            output.step();
        }
        if goes {
            input.step();
        }
        if told {
            forward_readiness(session, &mut notify);
        }
    }
}

fn pass_signals(session: &Session<'_>, init: &Init, signals: &OwnedFd, master: &OwnedFd) -> Result<()> {
    while let Some(signal) = sys::read_signal(signals.as_fd()).context("read a signal")? {
        match signal {
            libc::SIGWINCH => copy_size(master.as_fd()),
            signal => pass_on(session, init, signal),
        }
    }
    Ok(())
}
