//! The one error of this crate: what was done to what, and why it failed.

use std::borrow::Cow;
use std::fmt;
use std::io;

use minirun_sys::{Errno, errno_text};
use serde::{Deserialize, Serialize};

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, ImageError>;

/// The reason of an [`ImageError`], for programs that act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An image, a layer, or a file of the store or of a bundle is not valid.
    Invalid,
    /// The image, layer, user or file that was asked for does not exist.
    NotFound,
    /// The bundle or the image that should be made exists.
    AlreadyExists,
    /// A digest is not the expected one.
    DigestMismatch,
    /// Something is larger, deeper or more than its limit.
    Limit,
    /// The image needs something that this crate does not support.
    Unsupported,
    /// An option or argument of the caller cannot be used.
    Option,
    /// A system call failed; see [`ImageError::errno`].
    System,
    /// A process that worked on an image has died.
    Worker,
}

/// Something could not be done with an image, a layer or the store. Its text is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageError {
    kind: ErrorKind,
    /// What was done, outside in, and what was wrong with it.
    text: String,
    /// The error number, where the kernel gave one.
    #[serde(with = "number")]
    errno: Option<Errno>,
    /// What may help; empty when nothing is known.
    hint: Cow<'static, str>,
}

impl ImageError {
    /// An error in words, of the kind [`ErrorKind::Invalid`].
    pub fn new(text: impl Into<String>) -> ImageError {
        ImageError { kind: ErrorKind::Invalid, text: text.into(), errno: None, hint: "".into() }
    }

    /// A system call that failed.
    pub fn of(doing: impl Into<String>, errno: Errno) -> ImageError {
        ImageError { kind: ErrorKind::System, text: doing.into(), errno: Some(errno), hint: hint(errno).into() }
    }

    /// A limit that was exceeded.
    pub(crate) fn limit(text: impl Into<String>) -> ImageError {
        ImageError::new(text).with_kind(ErrorKind::Limit)
    }

    /// Something that does not exist.
    pub(crate) fn not_found(text: impl Into<String>) -> ImageError {
        ImageError::new(text).with_kind(ErrorKind::NotFound)
    }

    /// Something that this crate does not support.
    pub(crate) fn unsupported(text: impl Into<String>) -> ImageError {
        ImageError::new(text).with_kind(ErrorKind::Unsupported)
    }

    /// A digest that is not the expected one.
    pub(crate) fn mismatch(text: impl Into<String>) -> ImageError {
        ImageError::new(text).with_kind(ErrorKind::DigestMismatch)
    }

    /// An option or argument that cannot be used.
    pub(crate) fn option(text: impl Into<String>) -> ImageError {
        ImageError::new(text).with_kind(ErrorKind::Option)
    }

    /// The same error with at most this many characters of text, for a message between processes.
    pub(crate) fn cut(&self, most: usize) -> ImageError {
        ImageError { text: self.text.chars().take(most).collect(), ..self.clone() }
    }

    /// The same error, of another kind.
    pub fn with_kind(self, kind: ErrorKind) -> ImageError {
        ImageError { kind, ..self }
    }

    /// The same error, of a part of something larger.
    pub fn within(self, whole: impl fmt::Display) -> ImageError {
        ImageError { text: format!("{whole}: {}", self.text), ..self }
    }

    /// The same error, with what may help.
    pub fn hint(self, hint: &'static str) -> ImageError {
        ImageError { hint: hint.into(), ..self }
    }

    /// The same error, after which undoing failed as well.
    pub(crate) fn and(self, undo: &ImageError) -> ImageError {
        ImageError { text: format!("{self}; then: {undo}"), ..ImageError::new("").with_kind(self.kind) }
    }

    /// The same error, after which removing the new bundle failed as well.
    pub(crate) fn and_undo(self, undo: &ImageError) -> ImageError {
        ImageError { text: format!("{self}; and undoing it: {undo}"), ..ImageError::new("").with_kind(self.kind) }
    }

    /// The reason, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
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

/// An error number between processes.
mod number {
    use minirun_sys::Errno;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(errno: &Option<Errno>, to: S) -> Result<S::Ok, S::Error> {
        errno.map(|errno| errno as i32).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Errno>, D::Error> {
        Ok(Option::<i32>::deserialize(from)?.map(Errno::from_raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_same_in_another_process() {
        let error = ImageError::of("open layer", Errno::ENOSPC).within("store");
        let told: ImageError = serde_json::from_slice(&serde_json::to_vec(&error).unwrap()).unwrap();
        assert_eq!(told, error);
        assert_eq!((told.kind(), told.errno()), (ErrorKind::System, Some(Errno::ENOSPC)));
    }
}
