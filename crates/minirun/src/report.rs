//! What minirun says: messages to the log in the form that engines read, errors to standard error as well.

mod target;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use log::{Level, LevelFilter, Log, Metadata, Record};
use minirun_container::Kind;
use minirun_sys::{Errno, errno_text};

use target::Target;

/// Where messages go, once the command line is read.
#[derive(Debug)]
struct Reporter {
    /// `--log`.
    target: Option<Target>,
    /// `--log-format json`.
    json: bool,
}

static REPORTER: OnceLock<Reporter> = OnceLock::new();

/// Which messages are kept, and where.
#[derive(Debug)]
pub struct Logging {
    /// `--log`; none for standard error alone.
    pub target: Option<OsString>,
    /// Lines of JSON instead of text.
    pub json: bool,
    pub level: LevelFilter,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
}

/// Sets up messages as the command line wants them.
pub fn set_up(logging: &Logging) -> Result<()> {
    let target = logging.target.as_deref().and_then(Target::parse);
    if let Some(target) = &target {
        // Opened now and for each message: a log that cannot be written is an error before anything is done.
        target.check().with_context(|| format!("open log file {}", target.path().display()))?;
    }
    let reporter = REPORTER.get_or_init(|| Reporter { target, json: logging.json });
    log::set_max_level(logging.level);
    log::set_logger(reporter).map_err(|error| anyhow!("set up logging: {error}"))
}

impl Log for Reporter {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let message = record.args().to_string();
        if let Some(target) = &self.target {
            // There is no other place to complain in.
            // accepts: any error; there is no other place to complain in.
            let _lost = target.write(record.level(), &message, &self.line(record.level(), &message));
        }
        // Engines take everything on standard error for the reason of a failure, so with a log only errors go there.
        if self.target.is_none() || record.level() == Level::Error {
            let line = match self.json && self.target.is_none() {
                true => self.line(record.level(), &message),
                false => format!("minirun: {}{}\n", prefix(record.level()), printable(&message)),
            };
            // accepts: as above.
            let _lost = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

/// The level as compilers print it, which scripts search standard error for.
fn prefix(level: Level) -> &'static str {
    match level {
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        Level::Info => "",
        Level::Debug | Level::Trace => "debug: ",
    }
}

impl Reporter {
    /// A line of the log: runc's keys, which containerd's shim decodes.
    fn line(&self, level: Level, message: &str) -> String {
        let time = humantime::format_rfc3339_nanos(SystemTime::now());
        let level = match level {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug | Level::Trace => "debug",
        };
        match self.json {
            true => format!("{}\n", serde_json::json!({ "level": level, "msg": message, "time": time.to_string() })),
            false => format!("time=\"{time}\" level={level} msg={message:?}\n"),
        }
    }
}

/// Names from a configuration may hold anything; control characters would reach the terminal.
pub fn printable(message: &str) -> String {
    message.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// An error with its causes, outside in, each in the house's words: those of libraries differ from each other.
pub fn describe(error: &anyhow::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let number = match (cause.downcast_ref::<Errno>(), cause.downcast_ref::<std::io::Error>()) {
            (Some(errno), _) => Some(*errno),
            (None, Some(error)) => error.raw_os_error().map(Errno::from_raw),
            (None, None) => None,
        };
        let text = number.map_or_else(|| cause.to_string(), errno_text);
        // An error that shows its cause itself is followed by it once more.
        if texts.last().is_none_or(|last| !last.ends_with(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

/// Reports an error, and gives the exit status for it.
pub fn failure(error: &anyhow::Error) -> ExitCode {
    failure_as(error, 1)
}

/// Reports an error, with an exit status of its own.
pub fn failure_as(error: &anyhow::Error, status: u8) -> ExitCode {
    if error.is::<ReaderGone>() {
        // What a shell shows of a program that the signal ended, as most others end here.
        return ExitCode::from(128 + libc::SIGPIPE as u8);
    }
    if REPORTER.get().is_some() {
        log::error!("{}", describe(error));
    } else {
        let _lost = writeln!(std::io::stderr(), "minirun: error: {}", printable(&describe(error)));
    }
    ExitCode::from(status)
}

/// A signal has asked this process to end.
#[derive(Debug)]
pub struct EndedBySignal(pub i32);

impl std::fmt::Display for EndedBySignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ended by signal {}", self.0)
    }
}

/// The signal that has asked this process to end, if that is why something failed.
pub fn signal_of(error: &anyhow::Error) -> Option<i32> {
    match error.downcast_ref().map(minirun_container::Error::kind) {
        Some(Kind::Interrupted { signal, .. }) => Some(*signal),
        _ => error.downcast_ref().map(|EndedBySignal(signal)| *signal),
    }
}

/// Whoever read standard output has gone, as in `minirun list | head -1`: there is nothing more to do, and nothing to tell.
#[derive(Debug)]
pub struct ReaderGone;

impl std::fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard output is closed")
    }
}

/// Prints a text that was asked for.
pub fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(anyhow!(error).context(ReaderGone)),
        answer => answer.context("write to standard output"),
    }
}

/// Prints a text that was asked for instead of work.
pub fn text(text: &str) -> ExitCode {
    // accepts: no error: it is the status.
    print(text).map_or_else(|error| failure(&error), |()| ExitCode::SUCCESS)
}
