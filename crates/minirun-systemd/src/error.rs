//! The error type of this crate: the request, the instance of systemd, and the cause.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A request to systemd that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The request, as the first words of the message: `start unit minirun-web.scope`.
    pub operation: String,
    /// Why it failed.
    pub cause: Cause,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// systemd cannot be reached: the sockets that were tried, each with the reason.
    Unreachable(Vec<(PathBuf, String)>),
    /// systemd refused the request with a D-Bus error.
    Refused {
        /// The name of the error, such as `org.freedesktop.systemd1.UnitExists`.
        name: String,
        /// The text of the error.
        text: String,
    },
    /// The job of the unit ended with this result: `failed`, `timeout`, `canceled`, `dependency`, `skipped`.
    Job(String),
    /// The wait for its answer was interrupted ([`crate::Manager::interrupted_by`]).
    Interrupted,
    /// systemd did not answer in time on this socket.
    Silent(PathBuf, Duration),
    /// The connection over this socket broke.
    Broken(PathBuf, String),
    /// The answer is not valid D-Bus, or exceeds a size limit.
    Malformed(&'static str),
}

impl Error {
    pub(crate) fn new(operation: impl Into<String>, cause: Cause) -> Error {
        Error { operation: operation.into(), cause }
    }

    /// Whether systemd refused with a D-Bus error whose name ends like this.
    pub fn is_refusal(&self, name: &str) -> bool {
        matches!(&self.cause, Cause::Refused { name: given, .. } if given.rsplit('.').next() == Some(name))
    }
}

/// Writes one line: request, cause, and a hint if there is one.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        match &self.cause {
            Cause::Unreachable(tried) => {
                f.write_str("systemd cannot be reached")?;
                for (i, (path, why)) in tried.iter().enumerate() {
                    write!(f, "{} {}: {why}", if i == 0 { ":" } else { ";" }, path.display())?;
                }
                f.write_str(" (hint: if systemd does not run on this host, use --cgroup-manager cgroupfs)")
            }
            Cause::Refused { name, text } => {
                write!(f, "systemd refuses: {}", text.trim_end_matches('.'))?;
                match name.rsplit('.').next() {
                    Some("UnitExists") => f.write_str(" (hint: give each container its own unit in linux.cgroupsPath)"),
                    Some("PropertyReadOnly") => f.write_str(" (hint: this version of systemd might be too old for it)"),
                    _ => Ok(()),
                }
            }
            Cause::Job(result) => write!(f, "systemd's job ended with {result:?}"),
            Cause::Interrupted => f.write_str("interrupted by a signal"),
            Cause::Silent(path, time) => {
                write!(f, "systemd did not answer on {} within {} s", path.display(), time.as_secs())
            }
            Cause::Broken(path, why) => write!(f, "the connection to systemd on {} broke: {why}", path.display()),
            Cause::Malformed(what) => write!(f, "systemd's answer cannot be read: {what}"),
        }
    }
}

impl std::error::Error for Error {}
