//! Where the log goes: to a file, to syslog or to systemd's journal, in the words that crun has for them.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{Result, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use log::Level;

/// Of syslog(3).
const SYSLOG: &str = "/dev/log";
/// Of systemd's journal, "Native Journal Protocol".
const JOURNAL: &str = "/run/systemd/journal/socket";
/// The facility of ordinary programs, LOG_USER, where a priority has it.
const USER: u8 = 1 << 3;

/// Where the log goes.
#[derive(Debug)]
pub enum Target {
    File(PathBuf),
    /// Under this name.
    Syslog(String),
    /// Under this name.
    Journal(String),
}

impl Target {
    /// What the value of `--log` says: `syslog:NAME`, `journald:NAME`, or a file with or without `file:`.
    pub fn parse(value: &OsStr) -> Option<Target> {
        let after = |prefix: &str| value.as_bytes().strip_prefix(prefix.as_bytes()).map(OsStr::from_bytes);
        let name = |rest: &OsStr| match rest.is_empty() {
            true => "minirun".to_owned(),
            false => rest.to_string_lossy().replace(['\n', '\0'], " "),
        };
        if let Some(rest) = after("syslog:") {
            return Some(Target::Syslog(name(rest)));
        }
        if let Some(rest) = after("journald:") {
            return Some(Target::Journal(name(rest)));
        }
        let path = after("file:").unwrap_or(value);
        // It counts from where the caller stands.
        // accepts: any error; without a working directory a relative path stays.
        (!path.is_empty()).then(|| Target::File(std::path::absolute(path).unwrap_or_else(|_| path.into())))
    }

    /// What is opened for it.
    pub fn path(&self) -> &Path {
        match self {
            Target::File(path) => path,
            Target::Syslog(_) => Path::new(SYSLOG),
            Target::Journal(_) => Path::new(JOURNAL),
        }
    }

    /// Whether it exists and can be written to. A file is made.
    pub fn check(&self) -> Result<()> {
        match self {
            Target::File(path) => open(path).map(drop),
            Target::Syslog(_) | Target::Journal(_) => connect(self.path()).map(drop),
        }
    }

    /// Writes a message; `line` is what it looks like in a file. Opened for each, so that no container inherits it.
    pub fn write(&self, level: Level, message: &str, line: &str) -> Result<()> {
        match self {
            Target::File(path) => open(path)?.write_all(line.as_bytes()),
            Target::Syslog(name) => connect(self.path())?.send(&syslog(level, name, message)).map(drop),
            Target::Journal(name) => connect(self.path())?.send(&journal(level, name, message)).map(drop),
        }
    }
}

fn open(path: &Path) -> Result<std::fs::File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn connect(path: &Path) -> Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

/// Severities of syslog(3).
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// RFC 3164 as programs send it. The time is left to the daemon, which knows the zone it writes in.
fn syslog(level: Level, name: &str, message: &str) -> Vec<u8> {
    format!("<{}>{name}[{}]: {message}", USER | severity(level), std::process::id()).into_bytes()
}

/// Fields, one a line; a message of several lines goes with its length. `ID` is crun's.
fn journal(level: Level, name: &str, message: &str) -> Vec<u8> {
    let head = format!("PRIORITY={}\nSYSLOG_IDENTIFIER={name}\nID={name}\nMESSAGE\n", severity(level));
    let mut datagram = head.into_bytes();
    datagram.extend((message.len() as u64).to_le_bytes());
    datagram.extend(message.as_bytes());
    datagram.push(b'\n');
    datagram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_choose_the_target() {
        let parse = |text: &str| format!("{:?}", Target::parse(text.as_ref()));
        assert_eq!(parse("/var/log/x"), "Some(File(\"/var/log/x\"))");
        assert_eq!(parse("file:/var/log/x"), "Some(File(\"/var/log/x\"))");
        assert_eq!(parse("syslog:web"), "Some(Syslog(\"web\"))");
        assert_eq!(parse("journald:"), "Some(Journal(\"minirun\"))");
        assert_eq!(parse(""), "None");
        assert!(parse("./journald:web").contains("/journald:web\""));
    }

    #[test]
    fn a_name_cannot_add_a_field_to_the_journal() {
        let Some(Target::Journal(name)) = Target::parse("journald:a\nMESSAGE=b".as_ref()) else { panic!("no journal") };
        assert_eq!(name, "a MESSAGE=b");
    }
}
