//! Who hears of the work on a container: what is done, when it ended, and what deserves a warning.

use std::fmt;

/// Who does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Actor {
    /// This process.
    Runtime,
    /// The container's init, or the process of an `exec`, before it executes its program.
    Init,
    /// The program in the container.
    Program,
}

/// Something that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity<'a> {
    /// Who does it.
    pub actor: Actor,
    /// What is done: `mount`, `clone`.
    pub verb: &'a str,
    /// What it is done to.
    pub subject: &'a str,
    /// The field of the configuration that asks for it; empty for what every container needs.
    pub origin: &'a str,
}

/// When something was done, in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// When it began.
    pub began: u64,
    /// When it ended.
    pub ended: u64,
}

/// The weight of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Something ended badly, and the operation's answer does not say it.
    Error,
    /// Something works, and perhaps not as was expected.
    Warning,
    /// For those who look for the reason of something.
    Note,
}

/// Hears of the work on containers. Every method has a default: none of them has to be written.
pub trait Observer: fmt::Debug {
    /// Whether activities are reported at all. Those of init cost a message each, so that is left out for `false`.
    fn observes(&self) -> bool {
        false
    }

    /// Something begins. The answer is a number that names it when it ends.
    fn begins(&self, _activity: &Activity<'_>) -> u64 {
        0
    }

    /// It has ended: now, or at these times.
    fn ended(&self, _number: u64, _times: Option<Times>) {}

    /// Something deserves to be said, in one line.
    fn says(&self, _level: Level, _text: &str) {}
}

/// An observer that does not listen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// An activity of this process or of the container's program, until it is dropped.
#[must_use = "it ends where it is dropped"]
#[derive(Debug)]
pub(crate) struct Doing<'o> {
    observer: &'o dyn Observer,
    number: Option<u64>,
}

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.observer.ended(number, None);
        }
    }
}

impl<'o> dyn Observer + 'o {
    /// This process begins something. `subject` is called only if someone listens.
    pub(crate) fn doing(&self, verb: &str, subject: impl FnOnce() -> String, origin: &str) -> Doing<'_> {
        let number = self.observes().then(|| {
            let subject = subject();
            self.begins(&Activity { actor: Actor::Runtime, verb, subject: &subject, origin })
        });
        Doing { observer: self, number }
    }

    /// The program in the container runs.
    pub(crate) fn program_runs(&self) -> Doing<'_> {
        let running = Activity { actor: Actor::Program, verb: "run", subject: "", origin: "" };
        Doing { observer: self, number: self.observes().then(|| self.begins(&running)) }
    }

    /// Gives a warning.
    pub(crate) fn warn(&self, text: &str) {
        self.says(Level::Warning, text);
    }
}
