//! The error type of this crate: the operation, file, value, field, and cause.

use std::fmt;
use std::path::PathBuf;

use minirun_plan::Origin;
use minirun_sys::{Errno, errno_text};

/// An operation on a cgroup that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupError {
    /// The field that requests it, if any.
    pub origin: Option<Origin>,
    /// The operation, as the words before the path: `make`, `write "5" to`.
    pub operation: String,
    /// The file or directory.
    pub path: PathBuf,
    /// Why it failed.
    pub cause: Cause,
    /// The likely cause, or what to do; empty if unknown.
    pub hint: &'static str,
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The kernel returned this error.
    Errno(Errno),
    /// The kernel accepted the value, but the file shows this one.
    Reads(String),
    /// Another reason, as text.
    Text(String),
}

impl CgroupError {
    /// Returns an error without field and hint; `operation` is the words before the path.
    pub(crate) fn new(operation: impl Into<String>, path: impl Into<PathBuf>, cause: impl Into<Cause>) -> CgroupError {
        let (operation, path, cause) = (operation.into(), path.into(), cause.into());
        CgroupError { origin: None, operation, path, cause, hint: "" }
    }

    pub(crate) fn hint(self, hint: &'static str) -> CgroupError {
        CgroupError { hint, ..self }
    }

    pub(crate) fn origin(self, origin: &Origin) -> CgroupError {
        CgroupError { origin: Some(origin.clone()), ..self }
    }

    /// Returns the error number, if the kernel returned one.
    pub fn errno(&self) -> Option<Errno> {
        match self.cause {
            Cause::Errno(errno) => Some(errno),
            _ => None,
        }
    }
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Cause {
        Cause::Errno(errno)
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Cause {
        Cause::Text(text)
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Cause {
        Cause::Text(text.to_owned())
    }
}

/// Writes one line: field, operation and file, reason, hint.
impl fmt::Display for CgroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.operation.is_empty() {
            write!(f, "{} ", self.operation)?;
        }
        write!(f, "{}: ", self.path.display())?;
        match &self.cause {
            Cause::Errno(errno) => f.write_str(&errno_text(*errno))?,
            Cause::Reads(text) => write!(f, "it then reads {text:?}")?,
            Cause::Text(text) => f.write_str(text)?,
        }
        if self.hint.is_empty() { Ok(()) } else { write!(f, " (hint: {})", self.hint) }
    }
}

impl std::error::Error for CgroupError {}
