//! The one error of this crate: what was done to what, and why it failed.

use std::fmt;
use std::io;

use minirun_sys::{Errno, errno_text};

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, ImageError>;

/// Something could not be done with an image, a layer or the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageError {
    /// What was done, outside in, and what was wrong with it.
    text: String,
    /// The error number, where the kernel gave one.
    errno: Option<Errno>,
    /// What may help; empty when nothing is known.
    hint: &'static str,
}

impl ImageError {
    /// An error in words.
    pub fn new(text: impl Into<String>) -> ImageError {
        ImageError { text: text.into(), errno: None, hint: "" }
    }

    /// An error of which a system call tells the reason.
    pub fn of(doing: impl Into<String>, errno: Errno) -> ImageError {
        ImageError { text: doing.into(), errno: Some(errno), hint: hint(errno) }
    }

    /// The same error, of a part of something larger.
    pub fn within(self, whole: impl fmt::Display) -> ImageError {
        ImageError { text: format!("{whole}: {}", self.text), ..self }
    }

    /// The same error, with what may help.
    pub fn hint(self, hint: &'static str) -> ImageError {
        ImageError { hint, ..self }
    }

    /// The same error, after which undoing what was done failed as well.
    pub fn and(self, undo: &ImageError) -> ImageError {
        ImageError { text: format!("{self}; then: {undo}"), errno: None, hint: "" }
    }

    /// The error number, where the kernel gave one.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if let Some(errno) = self.errno {
            write!(f, ": {errno:?}, {}", errno_text(errno))?;
        }
        if self.hint.is_empty() { Ok(()) } else { write!(f, " (hint: {})", self.hint) }
    }
}

impl std::error::Error for ImageError {}

/// What stands behind an error number here more often than its text tells.
fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOSPC => "bundle --store DIR keeps layers elsewhere",
        Errno::EDQUOT => "this user has no more room there; bundle --store DIR keeps layers elsewhere",
        _ => "",
    }
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    /// `doing` is the words before the reason: `open FILE`.
    fn doing<D: Into<String>>(self, doing: impl FnOnce() -> D) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, Errno> {
    fn doing<D: Into<String>>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|errno| ImageError::of(doing(), errno))
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing<D: Into<String>>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| match error.raw_os_error() {
            Some(number) => ImageError::of(doing(), Errno::from_raw(number)),
            None => ImageError::new(format!("{}: {error}", doing().into())),
        })
    }
}

impl<T> Doing<T> for serde_json::Result<T> {
    fn doing<D: Into<String>>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| ImageError::new(format!("{}: {error}", doing().into())))
    }
}
