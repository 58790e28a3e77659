//! `minirun events`: what the kernel counts in a container, once or at intervals, and its kills for want of memory.

mod json;
mod openmetrics;

use std::time::Duration;

use anyhow::Result;
use minirun_cgroup::Stats;
use minirun_container::{Event, OomEvents, Runtime};

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

/// Carries out `minirun events`.
pub fn events(runtime: &Runtime<'_>, id: &str, format: Format, when: When) -> Result<()> {
    let container = runtime.container(id)?;
    let interval = match when {
        When::Now => return print(&format.stats(id, &container.stats()?)?),
        When::Every(interval) => interval,
    };
    // An exposition has the kills among its counters.
    let oom = if format == Format::Json { OomEvents::Reported } else { OomEvents::Counted };
    for event in container.watch(interval, oom)? {
        match event? {
            Event::Stats(stats) => print(&format.stats(id, &stats)?)?,
            Event::OutOfMemory => print(&json::oom(id)?)?,
            // There are no others yet.
            _ => {}
        }
    }
    Ok(())
}
