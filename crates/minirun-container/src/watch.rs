//! The events of a running container: its statistics at intervals, and its processes that are killed for want of memory.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use minirun_cgroup::{Cgroup, OomWatch, Stats};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Context, Operation, Result};
use crate::process::Process;
use crate::runtime::Container;

/// What happened to a container.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The interval is over; the kernel has counted this.
    Stats(Box<Stats>),
    /// The kernel has killed processes of the container for want of memory.
    OutOfMemory,
}

/// Whether kills for want of memory are events of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomEvents {
    /// They are.
    Reported,
    /// They are only among the statistics.
    Counted,
}

/// Watches a container until its init has ended. Its lock is not held.
#[derive(Debug)]
pub struct Events {
    init: Process,
    cgroup: Cgroup,
    oom: Option<OomWatch>,
    interval: Duration,
    next: Instant,
    /// Whether init has ended, which is found after the last kill was reported.
    ended: bool,
}

impl Container<'_> {
    /// Watches the container, with statistics at this interval, which must not be zero.
    ///
    /// # Errors
    /// The container does not run, or has no cgroup.
    pub fn watch(&self, interval: Duration, oom: OomEvents) -> Result<Events> {
        let found = self.snapshot()?;
        let Some(init) = found.init else { return Err(self.wrong_state(Operation::Events, found.status)) };
        let cgroup = found.record.need_cgroup("events")?;
        let oom = if oom == OomEvents::Reported { cgroup.watch_oom()? } else { None };
        Ok(Events { init, cgroup, oom, interval, next: Instant::now() + interval, ended: false })
    }
}

impl Events {
    /// Waits for the next event; none when the container's init has ended.
    fn next_event(&mut self) -> Result<Option<Event>> {
        loop {
            let now = Instant::now();
            if now >= self.next && !self.ended {
                let Some(stats) = self.cgroup.stats()? else { return Ok(None) };
                // Intervals that went by meanwhile are left out.
                let missed = (now - self.next).as_nanos() / self.interval.as_nanos().max(1) + 1;
                self.next += self.interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX));
                return Ok(Some(Event::Stats(Box::new(stats))));
            }
            if self.ended {
                return Ok(None);
            }
            self.ended = wait(&self.init, self.oom.as_ref(), self.next)?;
            // Also when init has ended: it may be what was killed.
            if let Some(oom) = &mut self.oom
                && oom.struck().context("read memory.events")?
            {
                return Ok(Some(Event::OutOfMemory));
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        self.next_event().transpose()
    }
}

/// Waits for something to do: until this moment at most. Returns whether init has ended.
fn wait(init: &Process, oom: Option<&OomWatch>, until: Instant) -> Result<bool> {
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up, so that the last round does not spin.
    let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    let mut list = vec![PollFd::new(init.as_fd(), PollFlags::POLLIN)];
    list.extend(oom.map(|oom| PollFd::new(oom.fd(), PollFlags::POLLPRI)));
    match poll(&mut list, timeout) {
        Ok(_) => Ok(list[0].any().unwrap_or(false)),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno).context("wait for events"),
    }
}
