//! What is done, as it is done, and how long it took: messages for `--debug`, a chart for `--timings`, a file for
//! `--trace`.
//!
//! Everything here is one test of a flag where none of them was asked for.

mod chart;
mod file;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use minirun_container::observer::{Activity, Actor, Level, Observer, Times};
use minirun_container::seal::BEGAN;
use minirun_sys as sys;

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
        *trace() = Some(Trace { began: began.unwrap_or(now), events: Vec::new(), file, chart });
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
fn began() -> Option<u64> {
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

/// Hears of the work on containers.
#[derive(Debug)]
pub struct Tracer;

/// The number of an event that is not kept.
const NONE: u64 = u64::MAX;

impl Observer for Tracer {
    fn observes(&self) -> bool {
        on()
    }

    fn begins(&self, activity: &Activity<'_>) -> u64 {
        let lane = match activity.actor {
            Actor::Init => Lane::Init,
            Actor::Program => Lane::Program,
            _ => Lane::Minirun,
        };
        let mut event = Event::new(lane, activity.verb, activity.subject.to_owned(), activity.origin, 0);
        // The time of making the texts belongs to nothing.
        event.began = sys::now();
        record(event).map_or(NONE, |number| number as u64)
    }

    fn ended(&self, number: u64, times: Option<Times>) {
        if let Some(trace) = trace().as_mut()
            && let Some(event) = usize::try_from(number).ok().and_then(|number| trace.events.get_mut(number))
        {
            (event.began, event.ended) =
                times.map_or_else(|| (event.began, Some(sys::now())), |times| (times.began, Some(times.ended)));
        }
    }

    fn says(&self, level: Level, text: &str) {
        match level {
            Level::Error => log::error!("{text}"),
            Level::Warning => log::warn!("{text}"),
            _ => log::debug!("{text}"),
        }
    }
}

/// Seals before the command line is read, so that it is read once, if its words look as if the command requires it.
pub fn seal_early(args: impl Iterator<Item = OsString>) {
    // With these the moment at which the command began must be kept for the sealed binary.
    let measured = |arg: &OsString| ["--timings", "--trace"].iter().any(|name| starts_with(arg, name));
    let args = args.take_while(|arg| arg != "--").collect::<Vec<_>>();
    if args.iter().any(|arg| ["create", "run", "exec"].iter().any(|name| arg == name)) && !args.iter().any(measured) {
        // accepts: any error; the command seals again if it requires that, and reports the error.
        let _later = minirun_container::seal();
    }
}

fn starts_with(arg: &OsStr, name: &str) -> bool {
    arg.as_bytes().starts_with(name.as_bytes())
}

/// Executes this program again from a binary that no container can write, unless it runs from one.
pub fn seal() -> Result<()> {
    Ok(minirun_container::seal::seal_since(began())?)
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
