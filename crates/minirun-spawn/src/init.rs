//! A container's init, as its parent holds it.

use std::cell::Cell;
use std::os::fd::{AsFd as _, OwnedFd};

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::channel::{Channel, UNKNOWN};
use crate::error::{Doing, SpawnError, StartError};
use crate::start::{HandOver, await_execution};
use crate::watcher::Watcher;
use crate::wire::{COMMIT, Kind, Record, START};

/// A container's init that has done everything up to the start.
#[derive(Debug)]
pub struct Init {
    /// Its pid in the runtime's pid namespace.
    pub pid: i32,
    /// A descriptor that refers to it whatever becomes of its pid.
    pub pidfd: OwnedFd,
    pub(crate) channel: Channel<OwnedFd>,
    /// The first process, which has cloned this one and ends, until it is reaped: not immediately, because that would take
    /// as long as all the rest.
    former: Cell<Option<i32>>,
    /// What startContainer hooks read; none without such hooks.
    state: Option<OwnedFd>,
}

impl Init {
    pub(crate) fn new(pid: i32, pidfd: OwnedFd, channel: OwnedFd, state: Option<OwnedFd>) -> Init {
        Init { pid, pidfd, channel: Channel::new(channel), former: Cell::new(None), state }
    }

    /// Whether init has cloned its successor, which sent this message. The kernel names the sender, but a process in there
    /// with CAP_SYS_ADMIN can name another one; so only a child of this process is accepted.
    pub(crate) fn is_succeeded_by(&mut self, sender: i32) -> Result<bool, SpawnError> {
        if sender == self.pid || sender == UNKNOWN {
            return Ok(false);
        }
        let doing = Doing::internal("find the process in the pid namespace");
        // Init changes once. A process that traces it can add children to this one (`CLONE_PARENT`), and have them answer.
        let former = self.former.take();
        self.former.set(former);
        if former.is_some() {
            return Err(doing.refused("a second process has answered in its place"));
        }
        let pidfd = sys::pidfd_open(sender).map_err(|errno| doing.failed("pidfd_open", errno))?;
        if !sys::is_child(pidfd.as_fd()).map_err(|errno| doing.failed("waitid", errno))? {
            return Err(doing.refused("another process has answered in its place"));
        }
        self.former = Cell::new(Some(self.pid));
        (self.pid, self.pidfd) = (sender, pidfd);
        Ok(true)
    }

    /// The state that startContainer hooks get on their standard input. Before [`Init::commit`].
    ///
    /// # Errors
    /// It could not be written.
    pub fn provide_state(&self, json: &[u8]) -> Result<(), SpawnError> {
        let Some(state) = &self.state else { return Ok(()) };
        match sys::write(state.as_fd(), json) {
            Ok(_) => Ok(()),
            Err(errno) => Err(Doing::internal("write the state for its hooks").failed("write", errno)),
        }
    }

    /// Whether startContainer hooks run in the container before its program.
    pub fn has_hooks(&self) -> bool {
        self.state.is_some()
    }

    /// Tells init that the record is safe: from here on it outlives this process. For [`crate::Gate::Listener`].
    ///
    /// # Errors
    /// Init died meanwhile.
    pub fn commit(&self, watcher: &mut dyn Watcher) -> Result<(), SpawnError> {
        self.send(COMMIT)?;
        self.reap_former();
        match self.receive(watcher)? {
            Some((Record { kind: Kind::Kept, .. }, _)) => Ok(()),
            Some((record, _)) => Err(SpawnError::Attendant(StartError::of_record(&record).to_string())),
            None => Err(SpawnError::Died { status: self.reap() }),
        }
    }

    /// Starts the program and waits until it runs. For [`crate::Gate::Parent`], after the record is safe: it commits as well.
    /// `hand_over` as with [`crate::ask_to_start`].
    ///
    /// # Errors
    /// Why it could not be executed.
    pub fn start(&self, watcher: &mut dyn Watcher, hand_over: HandOver<'_>) -> Result<(), StartError> {
        self.channel.send(START).map_err(StartError::Unreachable)?;
        self.reap_former();
        await_execution(&self.channel, || self.channel.receive_news(watcher), hand_over)
    }

    /// Ends init, and waits until it has ended.
    pub fn kill(&self) {
        // accepts: ESRCH; it has ended by itself.
        let _gone = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        self.reap();
        self.reap_former();
    }

    fn reap_former(&self) {
        if let Some(pid) = self.former.take() {
            // If another function has waited for it, it is gone.
            // accepts: ECHILD; another function has waited for it.
            let _gone = sys::wait(pid);
        }
    }

    /// Waits for init to end: its exit status, or the signal that ended it.
    pub(crate) fn reap(&self) -> Option<WaitStatus> {
        loop {
            match waitpid(Pid::from_raw(self.pid), None) {
                Err(Errno::EINTR) => {}
                // accepts: ECHILD; then its end is known and its status is not.
                answer => return answer.ok(),
            }
        }
    }

    pub(crate) fn send(&self, word: u8) -> Result<(), SpawnError> {
        self.channel.send(word).map_err(|errno| Doing::internal("write to init").failed("write", errno))
    }

    /// The next record of init; none when it has ended.
    pub(crate) fn receive(&self, watcher: &mut (impl Watcher + ?Sized)) -> Result<Option<(Record, i32)>, SpawnError> {
        match self.channel.receive_news(watcher) {
            Err(Errno::ECONNRESET) => Ok(None),
            answer => answer.map_err(|errno| Doing::internal("read from init").failed("read", errno)),
        }
    }
}
