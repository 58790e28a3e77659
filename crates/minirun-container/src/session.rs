//! One operation: who hears of it, the signals that end it, and what it changes in the calling process until it is over.

use std::cell::{Cell, OnceCell};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;

use crate::error::{Context, Error, Kind, Result};
use crate::observer::Observer;
use crate::options::SignalsAfter;

/// The signals that end an operation, as the bits of a signal mask.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// An operation. Dropping it restores the attributes of the calling process that it has changed.
#[derive(Debug)]
pub(crate) struct Session<'o> {
    pub observer: &'o dyn Observer,
    signals_after: SignalsAfter,
    /// The caller's signal mask, while every signal is blocked.
    mask: Cell<Option<SigSet>>,
    /// The signals that end the operation, once they were waited for.
    signals: OnceCell<OwnedFd>,
    /// The signal by which this process was asked to end.
    signal: Cell<Option<i32>>,
    /// Whether the caller was dumpable, and adopted orphans, if that has changed.
    dumpable: Cell<bool>,
    subreaper: Cell<Option<bool>>,
    /// Whether the status of every child is taken.
    all_children: Cell<bool>,
}

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    /// The descriptor can be read, or its other side is closed.
    Channel,
    /// There is something else to do.
    Other,
}

impl<'o> Session<'o> {
    /// An operation that changes nothing in the calling process.
    pub fn new(observer: &'o dyn Observer) -> Session<'o> {
        let (mask, signals, signal) = (Cell::new(None), OnceCell::new(), Cell::new(None));
        let (signals_after, dumpable, subreaper) = (SignalsAfter::default(), Cell::new(false), Cell::new(None));
        Session { observer, signals_after, mask, signals, signal, dumpable, subreaper, all_children: Cell::new(false) }
    }

    /// An operation that makes a process in a container. It leaves this process unreadable for others until it is over.
    pub fn making(observer: &'o dyn Observer, signals_after: SignalsAfter) -> Result<Session<'o>> {
        let threads = threads()?;
        if threads > 1 {
            return Err(Kind::Threads { count: threads }.into());
        }
        if !crate::seal::is_sealed()? {
            return Err(Kind::NotSealed.into());
        }
        let mut session = Session::new(observer);
        session.signals_after = signals_after;
        session.dumpable.set(sys::is_dumpable().context("prctl")?);
        Ok(session)
    }

    /// Adopts orphans of the children of this process.
    pub fn adopt_orphans(&self) -> Result<()> {
        let former = sys::get_child_subreaper().context("look whether this is a subreaper")?;
        sys::set_child_subreaper(true).context("become a subreaper")?;
        self.subreaper.set(Some(former));
        Ok(())
    }

    /// Takes the exit statuses of all children from here on.
    pub fn take_all_children(&self) {
        self.all_children.set(true);
    }

    /// Whether the exit status of every child is taken, as it must be if orphans are adopted.
    pub fn takes_all_children(&self) -> bool {
        self.all_children.get() || self.subreaper.get().is_some()
    }

    /// Blocks every signal, to be read from a descriptor instead. Before the clone, so that none is lost; init makes them
    /// deliverable again for its program.
    ///
    /// Until there is a program to pass them on to, [`Session::interruptions`] are looked for in every wait that depends on
    /// others.
    pub fn block_signals(&self) -> Result<()> {
        let former = SigSet::thread_get_mask().context("block signals")?;
        sys::block_signals().context("block signals")?;
        self.mask.set(Some(former));
        Ok(())
    }

    /// Gives the caller its signals back: what they would have undone is done.
    pub fn unblock_signals(&self) -> Result<()> {
        self.mask.take().map_or(Ok(()), |mask| mask.thread_set_mask()).context("unblock signals")
    }

    /// The error of an operation that a signal may have interrupted.
    pub fn explain(&self, error: Error) -> Error {
        match self.signal.get() {
            Some(signal) => Kind::Interrupted { signal, during: Box::new(error) }.into(),
            None => error,
        }
    }

    /// Whether a signal has asked this process to end.
    #[cfg(feature = "systemd")]
    pub fn was_interrupted(&self) -> bool {
        self.signal.get().is_some()
    }

    /// Readable when this process is asked to end before there is a program to pass that on to; the same descriptor for all
    /// waits. None where signals are not blocked, and end it without being asked.
    pub fn interruptions(&self) -> sys::Result<Option<BorrowedFd<'_>>> {
        let mask = self.mask.take();
        self.mask.set(mask);
        if mask.is_none() {
            return Ok(None);
        }
        if self.signals.get().is_none() {
            let signals = sys::signal_fd_of(ENDING.iter().map(|signal| 1u64 << (signal - 1)).sum())?;
            self.signals.get_or_init(|| signals);
        }
        Ok(self.signals.get().map(|signals| signals.as_fd()))
    }

    /// Takes the signal that a descriptor of [`Session::interruptions`] has, so that it does not stop the undoing as well.
    pub fn take_interruption(&self, interruptions: BorrowedFd<'_>) -> sys::Result<bool> {
        let signal = sys::read_signal(interruptions)?;
        if signal.is_some() {
            self.signal.set(signal);
        }
        Ok(signal.is_some())
    }

    /// Waits until this can be read, or has ended; or until there is something to do beside it.
    ///
    /// # Errors
    /// `EINTR` when this process is asked to end.
    pub fn await_readable(&self, fd: BorrowedFd<'_>, beside: Option<PollFd<'_>>) -> sys::Result<Ready> {
        let signals = self.interruptions()?;
        if signals.is_none() && beside.is_none() {
            return Ok(Ready::Channel);
        }
        loop {
            let channel = PollFd::new(fd, PollFlags::POLLIN);
            let asleep = PollFd::new(fd, PollFlags::empty());
            let asked = signals.map(|signals| PollFd::new(signals, PollFlags::POLLIN));
            let mut list = [channel, asked.unwrap_or_else(|| asleep.clone()), beside.clone().unwrap_or(asleep)];
            match poll(&mut list, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
            // The other side has ended or executed its program: what was waited for is decided, whatever comes with it.
            if list[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)) {
                return Ok(Ready::Channel);
            }
            let [ready, asked, comes] = list.map(|fd| fd.any() == Some(true));
            if let Some(signals) = signals
                && asked
                && self.take_interruption(signals)?
            {
                return Err(Errno::EINTR);
            }
            if comes && beside.is_some() {
                return Ok(Ready::Other);
            }
            if ready {
                return Ok(Ready::Channel);
            }
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.dumpable.get() {
            // accepts: any error; the process then stays unreadable.
            let _unreadable = sys::set_dumpable(true);
        }
        if self.subreaper.get() == Some(false) {
            // accepts: any error; prctl(2) has none for this.
            let _adopting = sys::set_child_subreaper(false);
        }
        if self.signals_after == SignalsAfter::Restored {
            // accepts: any error; sigprocmask(2) has none for a valid mask.
            let _blocked = self.unblock_signals();
        }
    }
}

/// How many threads this process has (proc(5): a directory has a link for each directory in it).
fn threads() -> Result<u64> {
    let stat = sys::stat(c"/proc/self/task").context("stat /proc/self/task")?;
    Ok((stat.st_nlink as u64).saturating_sub(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::Silent;

    #[test]
    fn several_threads_are_refused_in_words() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv());
        let error = Session::making(&Silent, SignalsAfter::Restored).unwrap_err();
        assert!(matches!(error.kind(), Kind::Threads { count: 2.. }), "{error}");
        drop(sender);
        thread.join().unwrap().unwrap_err();
    }

    #[test]
    fn the_signal_mask_is_restored() {
        let before = SigSet::thread_get_mask().unwrap();
        let session = Session::new(&Silent);
        session.block_signals().unwrap();
        assert_ne!(SigSet::thread_get_mask().unwrap(), before);
        drop(session);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
