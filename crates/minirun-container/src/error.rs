//! The one error of this crate: what was done, and why it failed. The words that engines look for stand here and nowhere
//! else.

mod context;
mod kind;

use std::fmt;

use minirun_sys::Errno;

pub(crate) use context::{Context, OnPath, bail, ensure, error};
pub(crate) use kind::has_id_letters;
pub use kind::{HookEnd, Kind, Operation};

/// The answer of every function here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on a container failed.
///
/// Its `Display` is the whole message, in one line: what was being done, from the outside in, and the reason. A program that
/// wants to act on the reason matches on [`Error::kind`].
pub struct Error(Box<Inner>);

struct Inner {
    /// What was being done, from the inside out.
    doing: Vec<String>,
    kind: Kind,
    /// What failed while the work was undone.
    undo: Vec<Undo>,
}

/// Something that could not be undone after an error.
struct Undo {
    /// What was being undone.
    doing: &'static str,
    errors: Vec<Error>,
}

impl Error {
    /// An error of this kind.
    pub(crate) fn new(kind: Kind) -> Error {
        Error(Box::new(Inner { doing: Vec::new(), kind, undo: Vec::new() }))
    }

    /// Something that this library refuses or cannot understand, in words.
    pub(crate) fn text(text: impl Into<String>) -> Error {
        Error::new(Kind::Other(text.into()))
    }

    /// Returns the reason.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Returns the reason itself.
    pub fn into_kind(self) -> Kind {
        self.0.kind
    }

    /// Returns the steps that were under way, from the outside in. The message begins with them.
    pub fn doing(&self) -> impl Iterator<Item = &str> {
        self.0.doing.iter().rev().map(String::as_str)
    }

    /// Returns the errors met while the work was undone. Without any, nothing of it is left.
    pub fn undo_errors(&self) -> impl Iterator<Item = &Error> {
        self.0.undo.iter().flat_map(|undo| &undo.errors)
    }

    /// Returns the kernel's error number, if it gave one.
    pub fn errno(&self) -> Option<Errno> {
        self.kind().errno()
    }

    /// The same error, met while this was being done.
    pub(crate) fn context(mut self, doing: impl Into<String>) -> Error {
        self.0.doing.push(doing.into());
        self
    }

    /// The same error; and what it made necessary to undo, which may have failed too. That never hides the first one.
    pub(crate) fn and_undo(self, undone: Result<()>) -> Error {
        self.and_failed("undoing it", undone.err().into_iter().collect())
    }

    /// The same error, and others of an attempt to undo.
    pub(crate) fn and_failed(mut self, doing: &'static str, errors: Vec<Error>) -> Error {
        if !errors.is_empty() {
            self.0.undo.push(Undo { doing, errors });
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.kind().to_string();
        let mut last = "";
        for text in self.doing().chain([reason.as_str()]) {
            // What ends with its reason does not say it again.
            if last.is_empty() {
                f.write_str(text)?;
            } else if !last.ends_with(text) {
                write!(f, ": {text}")?;
            }
            last = text;
        }
        for undo in &self.0.undo {
            for (i, error) in undo.errors.iter().enumerate() {
                if i == 0 { write!(f, "; and {}: {error}", undo.doing)? } else { write!(f, "; {error}")? }
            }
        }
        Ok(())
    }
}

/// The message: what `main` shows of an error that it returns, and `unwrap` of one that was not expected.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// Its message holds those of its causes, so there is no `source` that would show them once more.
impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_goes_from_the_outside_in() {
        let error = Error::from(Errno::ENOENT).context("read /x/state.json").context("container web");
        assert_eq!(error.to_string(), "container web: read /x/state.json: no such file or directory");
        assert_eq!(error.errno(), Some(Errno::ENOENT));
    }

    #[test]
    fn an_operation_on_a_file_is_named_in_parts() {
        let failed = || Err::<(), _>(Errno::EACCES);
        let error = failed().on("read", || "/x").context("container web").unwrap_err();
        assert_eq!(error.to_string(), "container web: read /x: permission denied");
        assert!(matches!(error.kind(), Kind::Io { operation: "read", errno: Errno::EACCES, .. }), "{error}");
        let error = failed().context("openat2").on("read", || "/x").unwrap_err();
        assert_eq!(error.to_string(), "read /x: openat2: permission denied");
    }

    #[test]
    fn a_failure_to_undo_follows_the_cause() {
        let undo = || Err(Error::text("container init still running"));
        let error = Error::text("no space").and_undo(undo()).context("make the cgroup");
        assert_eq!(error.to_string(), "make the cgroup: no space; and undoing it: container init still running");
        assert_eq!(error.undo_errors().count(), 1);
        assert_eq!(Error::text("no space").and_undo(Ok(())).to_string(), "no space");
    }

    #[test]
    fn a_reason_is_said_once() {
        let error = Error::text("connection refused").context("connect to x: connection refused");
        assert_eq!(error.to_string(), "connect to x: connection refused");
    }
}
