//! The one error of this crate: what was done to which file, with which value, for which field, and why it failed.

use std::fmt;
use std::path::PathBuf;

use minirun_plan::Origin;
use minirun_sys::{Errno, errno_text};

/// Something could not be done with a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupError {
    /// The field that asked for it, where one did.
    pub origin: Option<Origin>,
    /// What was done, as the words before the path: `make`, `write "5" to`.
    pub operation: String,
    /// The file or directory.
    pub path: PathBuf,
    /// Why it failed.
    pub cause: Cause,
    /// What may be behind it; empty when nothing is known.
    pub hint: &'static str,
}

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The kernel said so.
    Errno(Errno),
    /// The kernel took the value, and the file shows another.
    Reads(String),
    /// Other reasons, in words.
    Text(String),
}

impl CgroupError {
    /// An error with a cause and no more; `operation` is the words before the path.
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

    /// The error number, where the kernel gave one.
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

/// One line, lower case, outside in: field, operation and file, reason, hint.
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
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

impl std::error::Error for CgroupError {}
