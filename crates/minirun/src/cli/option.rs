//! Options: how the table writes them, those before the command, and those that several commands share.

use super::command::{Kind, Opt, Value};

pub(super) const fn flag(long: &'static str, help: &'static str) -> Opt {
    Opt { long, short: None, value: None, help }
}

const fn valued(long: &'static str, name: &'static str, kind: Kind, help: &'static str) -> Opt {
    Opt { long, short: None, value: Some(Value { name, kind }), help }
}

pub(super) const fn text(long: &'static str, name: &'static str, help: &'static str) -> Opt {
    valued(long, name, Kind::Text, help)
}

pub(super) const fn number(long: &'static str, name: &'static str, help: &'static str) -> Opt {
    valued(long, name, Kind::Number, help)
}

pub(super) const fn file(long: &'static str, name: &'static str, help: &'static str) -> Opt {
    valued(long, name, Kind::File, help)
}

pub(super) const fn directory(long: &'static str, help: &'static str) -> Opt {
    valued(long, "DIR", Kind::Directory, help)
}

pub(super) const fn choice(
    long: &'static str,
    name: &'static str,
    words: &'static [&'static str],
    help: &'static str,
) -> Opt {
    valued(long, name, Kind::Choice(words), help)
}

pub(super) const fn short(letter: char, option: Opt) -> Opt {
    Opt { short: Some(letter), ..option }
}

/// In crun's words.
const MANAGERS: &[&str] = &["cgroupfs", "systemd", "disabled"];

/// Options before the command.
pub const GLOBALS: &[Opt] = &[
    directory(
        "root",
        "where the state of containers is kept (default: /run/minirun; of a user $XDG_RUNTIME_DIR/minirun)",
    ),
    file("log", "FILE", "append messages to this file, or to syslog:NAME or journald:NAME; errors are printed as well"),
    choice("log-format", "FORMAT", &["text", "json"], "text or json (default: text)"),
    choice("log-level", "LEVEL", &["error", "warning", "info", "debug"], "log this and what is worse (default: info)"),
    flag("debug", "log every step as it is done: --log-level debug"),
    choice(
        "cgroup-manager",
        "WHO",
        MANAGERS,
        "who makes the cgroup of a new container: cgroupfs, through its files; systemd, as a scope; disabled, nobody: it has no \
         limits, and stays in the caller's (default: cgroupfs)",
    ),
    flag("systemd-cgroup", "--cgroup-manager systemd; linux.cgroupsPath is SLICE:PREFIX:NAME then"),
    choice(
        "rootless",
        "BOOL",
        &["true", "false", "auto"],
        "may a container without limits do without a cgroup? (auto: yes, unless this is root of the host)",
    ),
];

pub(super) const BUNDLE: Opt = short('b', directory("bundle", "the bundle (default: the working directory)"));
pub(super) const PID_FILE: Opt = file("pid-file", "FILE", "write the pid of the container's init there");
pub(super) const CONSOLE_SOCKET: Opt =
    file("console-socket", "PATH", "send the master of the container's terminal there");
pub(super) const PIDFD_SOCKET: Opt = file("pidfd-socket", "PATH", "send a pidfd of the process there");
pub(super) const NO_PIVOT: Opt =
    flag("no-pivot", "change the root by chroot(2): for a root file system that is an initial ramdisk");
pub(super) const NO_NEW_KEYRING: Opt = flag("no-new-keyring", "leave the session keyring as it is");
pub(super) const PRESERVE_FDS: Opt =
    number("preserve-fds", "N", "pass N more descriptors, from 3 on, to the container");
pub(super) const TRACE: Opt =
    file("trace", "FILE", "write what was done, and when, as JSON for Perfetto and chrome://tracing");
pub(super) const TIMINGS: Opt = flag("timings", "show on standard error how long each step took");
