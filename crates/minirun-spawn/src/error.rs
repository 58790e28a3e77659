//! What can go wrong while a container is made, in words: the field, the operation, the call, the error number, a hint.

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use minirun_plan::{Op, Origin, Plan, Step};
use minirun_sys::{Errno, errno_text};
use nix::sys::wait::WaitStatus;

use crate::hint::{hint, hint_for_source};
use crate::wire::{Call, Detail, Record};

/// Why a container could not be made.
#[derive(Debug)]
pub enum SpawnError {
    /// An operation failed.
    Failed(Box<Failure>),
    /// Something beside init failed: a hook, its record.
    Attendant(String),
    /// Init ended without a word.
    Died {
        /// How, if that is known.
        status: Option<WaitStatus>,
    },
    /// As the cause says, and what had been done for init could not be undone.
    NotUndone {
        /// Why it was undone.
        cause: Box<SpawnError>,
        /// Why that failed.
        undo: Box<SpawnError>,
    },
}

/// An operation that failed.
#[derive(Debug)]
pub struct Failure {
    /// The field that asked for it.
    pub origin: Origin,
    /// What was being done.
    pub doing: String,
    /// The system call; empty when a check failed.
    pub call: String,
    /// Its error number.
    pub errno: Option<Errno>,
    /// What the kernel or the check says beyond that.
    pub detail: String,
    /// What may help.
    pub hint: &'static str,
}

/// Why a created container did not start.
#[derive(Debug)]
pub enum StartError {
    /// The program could not be executed.
    Execute {
        /// Its path in the container.
        path: String,
        /// execve's error number.
        errno: Errno,
    },
    /// A startContainer hook failed.
    Hook(String),
    /// Another step after the start failed.
    Step(String),
    /// Init could not be reached.
    Unreachable(Errno),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::Failed(failure) => failure.fmt(f),
            SpawnError::Attendant(text) => f.write_str(text),
            SpawnError::Died { status: Some(WaitStatus::Signaled(_, signal, _)) } => {
                write!(f, "container init was ended by {signal} before it was ready")
            }
            SpawnError::NotUndone { cause, undo } => write!(f, "{cause}; and: {undo}"),
            SpawnError::Died { .. } => f.write_str("container init ended before it was ready"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.doing)?;
        if !self.call.is_empty() {
            write!(f, ": {}", self.call)?;
        }
        if let Some(errno) = self.errno {
            write!(f, ": {}", errno_text(errno))?;
        }
        if !self.detail.is_empty() {
            let glue = if self.detail.starts_with([' ', ';']) { "" } else { ": " };
            write!(f, "{glue}{}", self.detail)?;
        }
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Execute { path, errno } => {
                write!(f, "exec {path}: {}", errno_text(*errno))?;
                match errno {
                    Errno::ENOENT => f.write_str(" (its interpreter or dynamic loader is missing in the container)"),
                    Errno::ENOEXEC => f.write_str(" (built for another architecture, or a script without a #! line)"),
                    _ => Ok(()),
                }
            }
            StartError::Hook(text) | StartError::Step(text) => f.write_str(text),
            StartError::Unreachable(errno) => write!(f, "container init does not answer: {}", errno_text(*errno)),
        }
    }
}

impl std::error::Error for SpawnError {}
impl std::error::Error for StartError {}

/// A text of init as it can be shown: those who trace init may have put escape sequences of terminals into it.
fn text_of(detail: &Detail) -> String {
    let mut text = String::new();
    for letter in String::from_utf8_lossy(detail.as_bytes()).chars() {
        if letter.is_control() { text.extend(letter.escape_default()) } else { text.push(letter) }
    }
    text
}

impl StartError {
    pub(crate) fn of_record(record: &Record) -> StartError {
        let detail = text_of(&record.detail);
        let errno = Errno::from_raw(record.errno);
        if record.call == Call::Execve as u32 {
            return StartError::Execute { path: detail, errno };
        }
        let subject = text_of(&record.subject);
        let call = Call::name_of(record.call);
        let why = if call.is_empty() { detail } else { format!("{call}: {}{detail}", errno_text(errno)) };
        let text = format!("{subject}{why}");
        if subject.starts_with("hooks.startContainer") { StartError::Hook(text) } else { StartError::Step(text) }
    }
}

impl SpawnError {
    /// A record of init, explained by the plan that it carried out.
    pub(crate) fn of_record(plan: &Plan, record: &Record) -> SpawnError {
        let errno = (record.errno != 0).then(|| Errno::from_raw(record.errno));
        let detail = text_of(&record.detail);
        let call = Call::name_of(record.call).to_owned();
        let Some(step) = plan.init.get(record.step as usize) else {
            let (origin, doing) = (Origin::of("container init"), "get ready".to_owned());
            return SpawnError::Failed(Box::new(Failure { origin, doing, call, errno, detail, hint: "" }));
        };
        if let Op::FindProgram(_) = step.op {
            return program_not_found(plan, step, errno, &detail);
        }
        if let (Op::EnterDirectory(path) | Op::EnterDirectoryAsUser(path), Some(_)) = (&step.op, errno) {
            return directory_not_entered(step, path, errno);
        }
        let origin = match record.option {
            0 => step.origin.clone(),
            number => step.origin.field("options").index(number as usize - 1),
        };
        let hint = errno.map_or("", |errno| hint(&step.op, &call, errno));
        let hint = match (&step.op, errno) {
            (Op::Bind { source, .. } | Op::BindRoot(source, _), Some(errno)) if hint.is_empty() => {
                hint_for_source(Path::new(OsStr::from_bytes(source.path().to_bytes())), errno)
            }
            _ => hint,
        };
        let doing = doing_of(plan, step);
        SpawnError::Failed(Box::new(Failure { origin, doing, call, errno, detail, hint }))
    }
}

/// The operation in words; what the origin says already is not said again.
fn doing_of(plan: &Plan, step: &Step) -> String {
    let subject = match &step.op {
        // Dozens of names: the one at fault is in the detail.
        Op::DropBounding(_) => String::new(),
        op => plan.subject(op),
    };
    match step.op.verb() {
        verb if verb == step.origin.as_str() => subject,
        verb if subject.is_empty() => verb.to_owned(),
        verb => format!("{verb} {subject}"),
    }
}

/// In runc's words, which Docker, Podman and containerd look for.
fn program_not_found(plan: &Plan, step: &Step, errno: Option<Errno>, detail: &str) -> SpawnError {
    let name = plan.payload.args.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let why = match errno {
        Some(errno) => format!("stat {name}: {}", errno_text(errno)),
        None => detail.to_owned(),
    };
    SpawnError::Failed(Box::new(Failure {
        origin: step.origin.clone(),
        doing: format!("exec: {name:?}: {why}"),
        call: String::new(),
        errno: None,
        detail: String::new(),
        hint: "",
    }))
}

/// In runc's words as well.
fn directory_not_entered(step: &Step, path: &CStr, errno: Option<Errno>) -> SpawnError {
    let doing = format!("chdir to cwd ({:?}) set in config.json failed", path.to_string_lossy());
    let (origin, call, detail) = (step.origin.clone(), String::new(), String::new());
    SpawnError::Failed(Box::new(Failure { origin, doing, call, errno, detail, hint: "" }))
}

/// An operation of the parent, for its error.
pub(crate) struct Doing {
    origin: Origin,
    doing: String,
}

impl Doing {
    pub(crate) fn new(origin: &Origin, doing: String) -> Doing {
        Doing { origin: origin.clone(), doing }
    }

    /// Something that no field asks for.
    pub(crate) fn internal(doing: &str) -> Doing {
        Doing { origin: Origin::of("container init"), doing: doing.to_owned() }
    }

    pub(crate) fn failure(&self, call: &str, errno: Option<Errno>, detail: &str, hint: &'static str) -> SpawnError {
        SpawnError::Failed(Box::new(Failure {
            origin: self.origin.clone(),
            doing: self.doing.clone(),
            call: call.to_owned(),
            errno,
            detail: detail.to_owned(),
            hint,
        }))
    }

    pub(crate) fn failed(&self, call: &str, errno: Errno) -> SpawnError {
        self.failure(call, Some(errno), "", "")
    }

    pub(crate) fn failed_with(&self, call: &str, errno: Errno, hint: &'static str) -> SpawnError {
        self.failure(call, Some(errno), "", hint)
    }

    pub(crate) fn failed_io(&self, call: &str, error: &io::Error) -> SpawnError {
        self.failed_io_with(call, error, "")
    }

    pub(crate) fn failed_io_with(&self, call: &str, error: &io::Error, hint: &'static str) -> SpawnError {
        match error.raw_os_error() {
            Some(errno) => self.failure(call, Some(Errno::from_raw(errno)), "", hint),
            None => self.failure(call, None, &error.to_string(), hint),
        }
    }

    pub(crate) fn refused(&self, why: &str) -> SpawnError {
        self.failure("", None, why, "")
    }

    pub(crate) fn refused_with(&self, why: &str, hint: &'static str) -> SpawnError {
        self.failure("", None, why, hint)
    }
}
