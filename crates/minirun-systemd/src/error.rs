//! The one error of this crate: what was asked for, of which systemd, and why there is no good answer.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Something could not be had from systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was asked for, as the words at the start: `start unit minirun-web.scope`.
    pub operation: String,
    /// Why it failed.
    pub cause: Cause,
}

/// Why systemd gave no good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It cannot be reached: the sockets that were tried, each with the reason.
    Unreachable(Vec<(PathBuf, String)>),
    /// It says no: the name of a D-Bus error, and its text.
    Refused {
        /// `org.freedesktop.systemd1.UnitExists` and the like.
        name: String,
        /// In systemd's words.
        text: String,
    },
    /// The job of the unit ended with this result: `failed`, `timeout`, `canceled`, `dependency`, `skipped`.
    Job(String),
    /// It said nothing in time, on this socket.
    Silent(PathBuf, Duration),
    /// The connection over this socket broke.
    Broken(PathBuf, String),
    /// It said something that is not D-Bus, or beyond the sizes that are taken.
    Malformed(&'static str),
}

impl Error {
    pub(crate) fn new(operation: impl Into<String>, cause: Cause) -> Error {
        Error { operation: operation.into(), cause }
    }

    /// Did systemd refuse with a D-Bus error whose name ends like this?
    pub fn is_refusal(&self, name: &str) -> bool {
        matches!(&self.cause, Cause::Refused { name: given, .. } if given.rsplit('.').next() == Some(name))
    }
}

/// One line, lower case, outside in, with a hint where one is known.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        match &self.cause {
            Cause::Unreachable(tried) => {
                f.write_str("systemd cannot be reached")?;
                for (i, (path, why)) in tried.iter().enumerate() {
                    write!(f, "{} {}: {why}", if i == 0 { ":" } else { ";" }, path.display())?;
                }
                f.write_str(" (does it run on this host? --cgroup-manager cgroupfs does without it)")
            }
            Cause::Refused { name, text } => {
                write!(f, "systemd refuses: {}", text.trim_end_matches('.'))?;
                match name.rsplit('.').next() {
                    Some("UnitExists") => f.write_str(" (each container needs a unit of its own: linux.cgroupsPath)"),
                    Some("PropertyReadOnly") => f.write_str(" (this version of systemd might be too old for it)"),
                    _ => Ok(()),
                }
            }
            Cause::Job(result) => write!(f, "systemd's job ended with {result:?}"),
            Cause::Silent(path, time) => {
                write!(f, "systemd did not answer on {} within {} s", path.display(), time.as_secs())
            }
            Cause::Broken(path, why) => write!(f, "the connection to systemd on {} broke: {why}", path.display()),
            Cause::Malformed(what) => write!(f, "systemd's answer cannot be read: {what}"),
        }
    }
}

impl std::error::Error for Error {}
