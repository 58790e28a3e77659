//! Options that several commands share.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::cli::option::{Typed, choice, directory, file, flag, number, short};
use crate::report::Format;

pub const BUNDLE: Typed<Option<PathBuf>> =
    short('b', directory("bundle", "the bundle (default: the working directory)"));
pub const PID_FILE: Typed<Option<PathBuf>> = file("pid-file", "FILE", "write the pid of the container's init there");
pub const CONSOLE_SOCKET: Typed<Option<PathBuf>> =
    file("console-socket", "PATH", "send the master of the container's terminal there");
pub const PIDFD_SOCKET: Typed<Option<PathBuf>> = file("pidfd-socket", "PATH", "send a pidfd of the process there");
pub const NO_PIVOT: Typed<bool> =
    flag("no-pivot", "change the root by chroot(2): for a root file system that is an initial ramdisk");
pub const NO_NEW_KEYRING: Typed<bool> = flag("no-new-keyring", "leave the session keyring as it is");
pub const PRESERVE_FDS: Typed<Option<u32>> =
    number("preserve-fds", "N", "pass N more descriptors, from 3 on, to the container");
pub const TRACE: Typed<Option<PathBuf>> =
    file("trace", "FILE", "write what was done, and when, as JSON for Perfetto and chrome://tracing");
pub const TIMINGS: Typed<bool> = flag("timings", "show on standard error how long each step took");
pub const JSON: Typed<bool> = flag("json", "as JSON");
/// Of commands that list: table or json.
pub const FORMAT: Typed<Option<String>> =
    short('f', choice("format", "FORMAT", &["table", "json"], "table or json (default: table)"));

/// The value of [`FORMAT`].
pub fn format_of(text: Option<&str>) -> Result<Format> {
    match text {
        None | Some("table") => Ok(Format::Table),
        Some("json") => Ok(Format::Json),
        Some(other) => bail!("invalid format option: {other:?} (table and json are known)"),
    }
}

/// The value of [`BUNDLE`].
pub fn bundle_of(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| PathBuf::from("."))
}
