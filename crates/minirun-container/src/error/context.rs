//! How errors of other crates become this crate's, and how the work that was under way is added to one.

use std::path::Path;

use minirun_cgroup::CgroupError;
use minirun_plan::Problems;
use minirun_spawn::{SpawnError, StartError};
use minirun_sys::Errno;

use super::{Error, Kind, Result};

/// Adds the work that was under way.
pub(crate) trait Context<T> {
    fn context(self, doing: impl Into<String>) -> Result<T>;
    fn with_context<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn context(self, doing: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into().context(doing))
    }

    fn with_context<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| error.into().context(doing()))
    }
}

/// Adds the operation on a file that failed.
pub(crate) trait OnPath<T> {
    fn on<P: AsRef<Path>>(self, operation: &'static str, path: impl FnOnce() -> P) -> Result<T>;
}

impl<T, E: Into<Error>> OnPath<T> for Result<T, E> {
    fn on<P: AsRef<Path>>(self, operation: &'static str, path: impl FnOnce() -> P) -> Result<T> {
        self.map_err(|error| {
            let (error, path) = (error.into(), path().as_ref().to_owned());
            match error.kind() {
                Kind::Os(errno) if error.doing().next().is_none() => Kind::Io { operation, path, errno: *errno }.into(),
                _ => error.context(format!("{operation} {}", path.display())),
            }
        })
    }
}

/// Something that is missing is an error in these words.
impl<T> Context<T> for Option<T> {
    fn context(self, text: impl Into<String>) -> Result<T> {
        self.ok_or_else(|| Error::text(text))
    }

    fn with_context<S: Into<String>>(self, text: impl FnOnce() -> S) -> Result<T> {
        self.ok_or_else(|| Error::text(text()))
    }
}

macro_rules! error {
    ($($text:tt)*) => { $crate::error::Error::text(format!($($text)*)) };
}
macro_rules! bail {
    ($($text:tt)*) => { return Err($crate::error::Error::text(format!($($text)*))) };
}
macro_rules! ensure {
    ($holds:expr, $($text:tt)*) => { if !$holds { $crate::error::bail!($($text)*) } };
}
pub(crate) use {bail, ensure, error};

impl From<Kind> for Error {
    fn from(kind: Kind) -> Error {
        Error::new(kind)
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        Error::new(Kind::Os(errno))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        match error.raw_os_error() {
            Some(errno) => Errno::from_raw(errno).into(),
            None => Error::text(error.to_string()),
        }
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Error {
        Error::new(Kind::Config(problems))
    }
}

impl From<CgroupError> for Error {
    fn from(error: CgroupError) -> Error {
        Error::new(if error.origin.is_some() { Kind::Limit(error) } else { Kind::Cgroup(error) })
    }
}

impl From<SpawnError> for Error {
    fn from(error: SpawnError) -> Error {
        Error::new(match error {
            SpawnError::Failed(failure) => Kind::Step(failure),
            other => Kind::Spawn(other),
        })
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Error {
        Error::new(Kind::Start(error))
    }
}

/// Errors that are a text and no more.
macro_rules! texts {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Error {
                Error::text(error.to_string())
            }
        })*
    };
}
texts!(
    std::string::FromUtf8Error,
    serde_json::Error,
    std::ffi::NulError,
    std::num::ParseIntError,
    nix::poll::PollTimeoutTryFromError
);
