//! Options that several commands share.

use std::path::PathBuf;

use anyhow::{Result, bail};

use minirun_container::options::{RootChange, Stay};

use crate::cli::option::{Typed, choice, directory, file, flag, number, short};
use crate::report::Format;

pub const BUNDLE: Typed<Option<PathBuf>> =
    short('b', directory("bundle", "directory of the bundle (default: the working directory)"));
pub const PID_FILE: Typed<Option<PathBuf>> = file("pid-file", "FILE", "write the pid of the process to this file");
pub const CONSOLE_SOCKET: Typed<Option<PathBuf>> =
    file("console-socket", "PATH", "send the master of the terminal to this socket");
pub const PIDFD_SOCKET: Typed<Option<PathBuf>> =
    file("pidfd-socket", "PATH", "send a pidfd of the process to this socket");
pub const NO_PIVOT: Typed<bool> =
    flag("no-pivot", "use chroot(2) instead of pivot_root(2), as an initial ramdisk requires");
pub const NO_NEW_KEYRING: Typed<bool> = flag("no-new-keyring", "keep the session keyring of the caller");
pub const PRESERVE_FDS: Typed<Option<u32>> =
    number("preserve-fds", "N", "pass N additional file descriptors, starting at 3, to the process");
pub const TRACE: Typed<Option<PathBuf>> =
    file("trace", "FILE", "write the time of each step to this file, as JSON for Perfetto and chrome://tracing");
pub const TIMINGS: Typed<bool> = flag("timings", "print how long each step took on standard error");
pub const JSON: Typed<bool> = flag("json", "print JSON");
/// Of commands that list: table or json.
pub const FORMAT: Typed<Option<String>> =
    short('f', choice("format", "FORMAT", &["table", "json"], "table or json (default: table)"));

/// The value of [`FORMAT`].
pub fn format_of(text: Option<&str>) -> Result<Format> {
    match text {
        None | Some("table") => Ok(Format::Table),
        Some("json") => Ok(Format::Json),
        Some(other) => bail!("invalid format option: {other:?} (expected table or json)"),
    }
}

/// The value of [`NO_PIVOT`].
pub fn root_change_of(no_pivot: bool) -> RootChange {
    if no_pivot { RootChange::Chroot } else { RootChange::Pivot }
}

/// The value of `--detach`.
pub fn stay_of(detach: bool) -> Stay {
    if detach { Stay::Detached } else { Stay::Foreground }
}

/// The value of [`BUNDLE`].
pub fn bundle_of(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| PathBuf::from("."))
}
