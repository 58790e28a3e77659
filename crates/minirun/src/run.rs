//! `minirun run`: a container from its creation to its end, in the foreground.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::report::describe;
use anyhow::{Context, Result};
use minirun_spawn::Init;
use minirun_sys as sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::agent::Filtered;
use crate::container::Status;
use crate::lifecycle::{Created, Starter, after_start, delete_same, hooks_after_start, make, store};
use crate::notify::Notify;
use crate::options::{RunOptions, Runtime};
use crate::removal::{add_undo, remove_traces};
use crate::store::Entry;
use crate::terminal::{self, Attended, Showing};
use crate::trace;

/// Carries out `minirun run`.
pub fn run(runtime: &Runtime, options: RunOptions) -> Result<ExitCode> {
    let RunOptions { create, detach: detached, keep, no_subreaper } = options;
    if !detached && !no_subreaper {
        sys::set_child_subreaper(true).context("become a subreaper")?;
    }
    let (entry, mut container) = make(runtime, create, Starter::Myself { detached })?;
    let notify = match Notify::listen(&entry) {
        Ok(notify) => notify,
        Err(error) => {
            container.init.kill();
            return Err(add_undo(error, remove_traces(entry, &container.record, None)));
        }
    };
    let master = container.terminal.take();
    let mut terminal = master.as_ref().map(Attended::of);
    let started = start(&entry, &mut container, terminal.as_mut()).context("unable to start container process");
    let hooks = match started.and_then(|()| hooks_after_start(&entry, &container.record)) {
        Ok(hooks) => hooks,
        Err(error) => {
            container.init.kill();
            return Err(add_undo(error, remove_traces(entry, &container.record, None)));
        }
    };
    // Others may kill or delete the container while its hooks and it run.
    drop(entry);
    if let Err(error) = after_start(&hooks, &container.record) {
        container.init.kill();
        return Err(add_undo(error, delete_same(&store(runtime)?, &container.record)));
    }
    trace::executed();
    if detached {
        unblock_signals()?;
        if let Some(notify) = notify {
            notify.wait(container.init.pidfd.as_fd(), container.init.pid)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let running = trace::program_runs();
    let ended = wait_for(&container.init, terminal, notify);
    drop(running);
    // accepts: no error: it is returned below.
    if ended.is_err() {
        container.init.kill();
    }
    // accepts: no error: it is returned below.
    report_oom(&container, ended.as_ref().is_ok_and(|status| libc::WIFSIGNALED(*status)));
    if !keep {
        delete_same(&store(runtime)?, &container.record)?;
    }
    Ok(ExitCode::from(status_code(ended?)))
}

fn start(entry: &Entry, container: &mut Created, mut terminal: Option<&mut Attended<'_>>) -> Result<()> {
    let Created { record, init, steps, .. } = container;
    let filtered = Filtered { entry, record, status: Status::Created, pid: init.pid, pidfd: init.pidfd.as_fd() };
    // The program's output can wait until there is somebody to pass signals on.
    let mut showing = Showing { steps, terminal: terminal.as_deref_mut().filter(|_| init.has_hooks()) };
    let started = init.start(&mut showing, &mut |number| filtered.notify(number));
    // accepts: no error: it is returned below.
    if let (Err(_), Some(terminal)) = (&started, terminal) {
        // What a hook has said of its failure stands in the terminal.
        terminal.drain();
    }
    Ok(started?)
}

/// An id that no other container has: time and pid never repeat together.
pub fn made_up_id() -> String {
    // accepts: a clock before 1970; the id must only be new, and one in use is refused.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("run-{:x}-{:x}", std::process::id(), now.as_micros() & 0xfff_ffff_ffff)
}

static BLOCKED: AtomicBool = AtomicBool::new(false);
/// The signal by which this process was asked to end; 0 for none.
static INTERRUPTED: AtomicI32 = AtomicI32::new(0);

/// Blocks every signal, to be read from a descriptor instead. Before the clone, so that none is lost; init makes them
/// deliverable again for its program.
///
/// Until there is a program to pass them on to, [`interruptions`] are looked for in every wait that depends on others.
pub fn block_signals() -> Result<()> {
    BLOCKED.store(true, Ordering::Relaxed);
    sys::block_signals().context("block signals")
}

/// Lets signals act again for a process that does not stay in the foreground: what it had to undo is done.
pub fn unblock_signals() -> Result<()> {
    BLOCKED.store(false, Ordering::Relaxed);
    sys::unblock_signals().context("unblock signals")
}

/// The signal by which this process was asked to end before its work was done.
pub fn interrupted() -> Option<i32> {
    Some(INTERRUPTED.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}

/// Takes the signal that an [`interruptions`] descriptor has, so that it does not stop the undoing as well.
pub fn take_interruption(interruptions: BorrowedFd<'_>) -> sys::Result<bool> {
    let signal = sys::read_signal(interruptions)?;
    if let Some(signal) = signal {
        INTERRUPTED.store(signal, Ordering::Relaxed);
    }
    Ok(signal.is_some())
}

/// Waits until this can be read, or has ended; or until there is something to do beside it: then true.
///
/// # Errors
/// `EINTR` when this process is asked to end.
pub fn await_readable(fd: BorrowedFd<'_>, beside: Option<PollFd<'_>>) -> sys::Result<bool> {
    let signals = kept_signals_to_end()?;
    if signals.is_none() && beside.is_none() {
        return Ok(false);
    }
    loop {
        let channel = PollFd::new(fd, PollFlags::POLLIN);
        let asleep = PollFd::new(fd, PollFlags::empty());
        let asked = signals.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN));
        let mut list = [channel, asked.unwrap_or_else(|| asleep.clone()), beside.clone().unwrap_or(asleep)];
        match poll(&mut list, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let [ready, asked, comes] = list.map(|fd| fd.any() == Some(true));
        if let Some(signals) = signals
            && asked
            && take_interruption(signals.as_fd())?
        {
            return Err(Errno::EINTR);
        }
        if comes && beside.is_some() {
            return Ok(true);
        }
        if ready {
            return Ok(false);
        }
    }
}

/// Readable when this process is asked to end before there is a program to pass that on to. None where signals are not
/// blocked, and end it without being asked.
pub fn interruptions() -> Result<Option<OwnedFd>> {
    signals_to_end().context("signalfd")
}

/// The same descriptor for all waits.
fn kept_signals_to_end() -> sys::Result<Option<&'static OwnedFd>> {
    static KEPT: OnceLock<OwnedFd> = OnceLock::new();
    if !BLOCKED.load(Ordering::Relaxed) {
        return Ok(None);
    }
    if KEPT.get().is_none()
        && let Some(signals) = signals_to_end()?
    {
        KEPT.get_or_init(|| signals);
    }
    Ok(KEPT.get())
}

fn signals_to_end() -> sys::Result<Option<OwnedFd>> {
    let mask = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM].map(|signal| 1u64 << (signal - 1));
    let blocked = BLOCKED.load(Ordering::Relaxed);
    blocked.then(|| sys::signal_fd_of(mask.iter().sum())).transpose()
}

/// Stays until the container's init has ended: between the terminals if there are some, passing signals on.
/// Where the caller wants to hear that the container is ready, it is told as long as it has not been.
pub fn wait_for(init: &Init, terminal: Option<Attended<'_>>, mut notify: Option<Notify>) -> Result<i32> {
    if let Some(terminal) = terminal {
        return terminal::attend(init, terminal, notify);
    }
    let signals = sys::signal_fd().context("signalfd")?;
    loop {
        if let Some(status) = reap(init)? {
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
            pass_on(init, signal);
        }
        forward_readiness(&mut notify);
    }
}

/// Tells the caller when the container is ready, once. This process is the one to watch: it ends as the container does.
pub fn forward_readiness(notify: &mut Option<Notify>) {
    let Some(waiting) = notify else { return };
    match waiting.forward(std::process::id() as i32) {
        Ok(false) => {}
        Ok(true) => *notify = None,
        Err(error) => {
            log::warn!("{}", describe(&error));
            *notify = None;
        }
    }
}

/// Passes a signal on. SIGCHLD is for this process, SIGWINCH tells of a terminal that the container does not have, and SIGURG
/// is what Go's runtime sends itself, engines' included.
pub fn pass_on(init: &Init, signal: i32) {
    if [libc::SIGCHLD, libc::SIGWINCH, libc::SIGURG].contains(&signal) {
        return;
    }
    match sys::pidfd_send_signal(init.pidfd.as_fd(), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => log::warn!("could not pass signal {signal} on: {}", errno.desc()),
    }
}

/// Takes every child that has ended: init's status word if it is among them.
pub fn reap(init: &Init) -> Result<Option<i32>> {
    loop {
        match sys::reap_any() {
            Ok(None) => return Ok(None),
            Ok(Some((pid, status))) if pid == init.pid => return Ok(Some(status)),
            Ok(Some(_)) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("wait for the container"),
        }
    }
}

/// The status of a shell: the process's own, or 128 and the signal that ended it.
pub fn status_code(status: i32) -> u8 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) as u8 } else { libc::WEXITSTATUS(status) as u8 }
}

/// A container that ended for want of memory looks like one that was killed, so it is said.
fn report_oom(container: &Created, killed: bool) {
    let Some(cgroup) = &container.cgroup else { return };
    // accepts: any error; it is only told.
    if let Ok(Some(kills @ 1..)) = cgroup.oom_kills() {
        // accepts: as above.
        let limit = cgroup.read("memory.max").ok().flatten().unwrap_or_default();
        let who = if killed { "container init was OOM-killed" } else { "processes of the container were OOM-killed" };
        log::error!("{who}: memory.max of {} bytes was reached ({kills} kills)", limit.trim_end());
    }
}
