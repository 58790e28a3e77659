//! `minirun events`: what the kernel counts in a container, once or at intervals, and its kills for want of memory.

mod json;
mod openmetrics;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use minirun_cgroup::{Cgroup, OomWatch, Stats};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::container::Found;
use crate::lifecycle::store;
use crate::options::Runtime;
use crate::process::Process;
use crate::report::print;

/// How statistics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// runc's events, one a line.
    Json,
    /// An exposition each time, for Prometheus and its kin.
    OpenMetrics,
}

/// When statistics are written.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// Once.
    Now,
    /// At intervals, and OOM kills as they happen.
    Every(Duration),
}

impl Format {
    fn stats(self, id: &str, stats: &Stats) -> Result<String> {
        match self {
            Format::Json => json::stats(id, stats),
            Format::OpenMetrics => Ok(openmetrics::exposition(id, stats)),
        }
    }
}

/// Carries out `minirun events`. Without the lock: it may go on for as long as the container.
pub fn events(runtime: &Runtime, id: &str, format: Format, when: When) -> Result<()> {
    let found = Found::peek(&store(runtime)?, id)?.with_context(|| format!("container does not exist: {id}"))?;
    let Some(init) = found.init else { bail!("container with id {id} is not running") };
    let cgroup = found.record.need_cgroup("events")?;
    match when {
        When::Now => {
            let stats = cgroup.stats()?.context("the container's cgroup is gone")?;
            print(&format.stats(id, &stats)?)
        }
        When::Every(interval) => watch(id, &init, &cgroup, interval, format),
    }
}

/// Reports until the container's init has ended.
fn watch(id: &str, init: &Process, cgroup: &Cgroup, interval: Duration, format: Format) -> Result<()> {
    // An exposition has the kills among its counters.
    let mut oom = if format == Format::Json { cgroup.watch_oom()? } else { None };
    let mut next = Instant::now() + interval;
    loop {
        let ended = wait(init, oom.as_ref(), next)?;
        // Also when init has ended: it may be what was killed.
        if let Some(oom) = &mut oom
            && oom.struck().context("read memory.events")?
        {
            print(&json::oom(id)?)?;
        }
        if ended {
            return Ok(());
        }
        let now = Instant::now();
        if now >= next {
            let Some(stats) = cgroup.stats()? else { return Ok(()) };
            print(&format.stats(id, &stats)?)?;
            // Intervals that went by meanwhile are left out.
            let missed = (now - next).as_nanos() / interval.as_nanos().max(1) + 1;
            next += interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX));
        }
    }
}

/// Waits for something to do: until this moment at most. Has init ended?
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
