//! What is done, as it is done, and how long it took: messages for `--debug`, a chart for `--timings`, a file for
//! `--trace`.
//!
//! Everything here is one test of a flag where none of them was asked for.

mod chart;
mod file;

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use minirun_plan::{Line, Plan};
use minirun_spawn::{Part, Watcher};
use minirun_sys as sys;

use crate::run;

/// Hands the first moment on to the sealed binary, which this process becomes ([`crate::seal`]).
pub const BEGAN: &str = "MINIRUN_BEGAN";

/// Who does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// This process.
    Minirun,
    /// The container's init, or the further process of `exec`, before it executes the program.
    Init,
    /// The program in the container.
    Program,
}

impl Lane {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Lane::Minirun => "minirun",
            Lane::Init => "init",
            Lane::Program => "program",
        }
    }
}

/// Something that was done.
#[derive(Debug)]
pub struct Event {
    pub lane: Lane,
    pub verb: String,
    pub subject: String,
    /// The field that asks for it; empty for what every container needs.
    pub origin: String,
    /// Nanoseconds of [`sys::now`].
    pub began: u64,
    /// None while it goes on.
    pub ended: Option<u64>,
}

#[derive(Debug)]
struct Trace {
    began: u64,
    events: Vec<Event>,
    /// The step of init that goes on.
    step: Option<usize>,
    file: Option<File>,
    chart: bool,
}

static ON: AtomicBool = AtomicBool::new(false);
static TRACE: Mutex<Option<Trace>> = Mutex::new(None);

fn trace() -> MutexGuard<'static, Option<Trace>> {
    // accepts: a lock that a panic has poisoned: there is one thread.
    TRACE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is measured of a command.
#[derive(Debug, Default)]
pub struct Tracing {
    /// Gets every step with its times.
    pub file: Option<PathBuf>,
    /// Shows on standard error how long each step took.
    pub chart: bool,
}

/// Sets up what the command line asks for.
///
/// The file is opened now: that it cannot be is an error before anything is done.
pub fn set_up(tracing: &Tracing) -> Result<()> {
    let (file, chart) = (tracing.file.as_deref().map(file::open).transpose()?, tracing.chart);
    if file.is_some() || chart {
        let now = sys::now();
        let began = std::env::var(BEGAN).ok().and_then(|text| text.parse().ok()).filter(|began| *began < now);
        *trace() = Some(Trace { began: began.unwrap_or(now), events: Vec::new(), step: None, file, chart });
        if let Some(began) = began {
            let mut seal = Event::new(Lane::Minirun, "seal", "the binary, and execute it".to_owned(), "", began);
            seal.ended = Some(now);
            record(seal);
        }
    }
    ON.store(trace().is_some(), Ordering::Relaxed);
    Ok(())
}

fn on() -> bool {
    ON.load(Ordering::Relaxed) || log::max_level() >= log::Level::Debug
}

/// The first moment, for the sealed binary; none when nothing is measured.
pub fn began() -> Option<u64> {
    if on() { trace().as_ref().map(|trace| trace.began) } else { None }
}

impl Event {
    fn new(lane: Lane, verb: &str, subject: String, origin: &str, began: u64) -> Event {
        Event { lane, verb: verb.to_owned(), subject, origin: origin.to_owned(), began, ended: None }
    }
}

/// Keeps an event; its number.
fn record(event: Event) -> Option<usize> {
    let origin = if event.origin.is_empty() { String::new() } else { format!(" [{}]", event.origin) };
    log::debug!("{}: {} {}{origin}", event.lane.name(), event.verb, event.subject);
    let mut trace = trace();
    let events = &mut trace.as_mut()?.events;
    events.push(event);
    Some(events.len() - 1)
}

/// Something that this process does until it is dropped.
#[must_use = "it ends where it is dropped"]
#[derive(Debug)]
pub struct Doing(Option<usize>);

impl Drop for Doing {
    fn drop(&mut self) {
        if let (Some(number), Some(trace)) = (self.0, trace().as_mut()) {
            trace.events[number].ended = Some(sys::now());
        }
    }
}

/// This process begins something. `subject` is asked for only when somebody wants to know.
pub fn doing(verb: &str, subject: impl FnOnce() -> String, origin: &str) -> Doing {
    in_lane(Lane::Minirun, verb, subject, origin)
}

/// The program runs, until this is dropped.
pub fn program_runs() -> Doing {
    in_lane(Lane::Program, "run", String::new, "")
}

fn in_lane(lane: Lane, verb: &str, subject: impl FnOnce() -> String, origin: &str) -> Doing {
    if !on() {
        return Doing(None);
    }
    // The time of making the texts belongs to nothing.
    let mut event = Event::new(lane, verb, subject(), origin, 0);
    event.began = sys::now();
    Doing(record(event))
}

/// Watches the steps of a plan.
#[derive(Debug)]
pub struct Steps {
    host: Vec<Line>,
    init: Vec<Line>,
    /// What the parent does for init now.
    doing: Option<Doing>,
}

impl Steps {
    /// The steps of this plan.
    pub fn of(plan: &Plan) -> Steps {
        let lines = if on() { plan.lines() } else { Vec::new() };
        let of = |part| lines.iter().filter(move |line| line.part == part).cloned().collect();
        Steps { host: of("host"), init: of("init"), doing: None }
    }

    /// The parent waits for init.
    pub fn pause(&mut self) {
        self.doing = None;
    }
}

impl Watcher for Steps {
    fn watches(&self) -> bool {
        on()
    }

    fn begins(&mut self, part: Part, former: Option<(u64, u64)>) {
        self.doing = None;
        if !on() {
            return;
        }
        match part {
            Part::Host(i) => {
                let line = self.host.get(i);
                self.doing = line.map(|line| doing(&line.verb, || line.subject.clone(), line.origin.as_str()));
            }
            Part::Init(i) => step_begins(self.init.get(i), former),
        }
    }

    fn waits(&mut self, channel: BorrowedFd<'_>) -> sys::Result<()> {
        run::await_readable(channel, None).map(drop)
    }
}

fn step_begins(line: Option<&Line>, former: Option<(u64, u64)>) {
    end_step(former);
    let Some(line) = line else { return };
    let number = record(Event::new(Lane::Init, &line.verb, line.subject.clone(), line.origin.as_str(), sys::now()));
    if let Some(trace) = trace().as_mut() {
        trace.step = number;
    }
}

/// The step of init that was under way ended: at its own times, or now.
fn end_step(times: Option<(u64, u64)>) {
    if let Some(trace) = trace().as_mut()
        && let Some(number) = trace.step.take()
    {
        let event = &mut trace.events[number];
        (event.began, event.ended) = times.map_or((event.began, Some(sys::now())), |(began, end)| (began, Some(end)));
    }
}

/// Init has executed the program.
pub fn executed() {
    if on() {
        end_step(None);
    }
}

/// Gives out what was collected; what goes on still is what failed. That something is done is worth more than its trace.
pub fn finish() {
    let Some(trace) = trace().take() else { return };
    if trace.chart {
        chart::print(&trace.events, trace.began);
    }
    if let Some(Err(error)) = trace.file.map(|file| file::write(file, &trace.events)) {
        log::warn!("write the trace: {error}");
    }
}
