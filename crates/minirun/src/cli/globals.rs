//! The options before the command.

use std::path::PathBuf;

use anyhow::Result;
use log::LevelFilter;
use minirun_container::Runtime;
use minirun_container::options::{CgroupManager, Cgroups, NoCgroup, SignalsAfter};

use super::option::{choice, directory, flag, options, place};
use crate::report::Logging;
use crate::trace::Tracer;

/// In crun's words.
const MANAGERS: &[&str] = &["cgroupfs", "systemd", "disabled"];

options! {
    /// What was said before the command.
    Globals {
        root: Option<PathBuf> = directory(
            "root",
            "state directory (default: /run/minirun, or for a user other than root $XDG_RUNTIME_DIR/minirun)",
        ),
        log: Option<std::ffi::OsString> = place(
            "log",
            "FILE",
            "append messages to this file, or send them to syslog:NAME or journald:NAME; errors are also printed",
        ),
        log_format: Option<String> =
            choice("log-format", "FORMAT", &["text", "json"], "format of the log: text or json (default: text)"),
        log_level: Option<String> = choice(
            "log-level",
            "LEVEL",
            &["error", "warning", "info", "debug"],
            "log messages of this level and above (default: info)",
        ),
        debug: bool = flag("debug", "log every step; the same as --log-level debug"),
        cgroup_manager: Option<String> = choice(
            "cgroup-manager",
            "NAME",
            MANAGERS,
            "how a new container gets its cgroup: cgroupfs, systemd (a scope) or disabled (no cgroup and no limits) (default: cgroupfs)",
        ),
        systemd_cgroup: bool =
            flag("systemd-cgroup", "the same as --cgroup-manager systemd; linux.cgroupsPath is then SLICE:PREFIX:NAME"),
        rootless: Option<String> = choice(
            "rootless",
            "BOOL",
            &["true", "false", "auto"],
            "allow containers without a cgroup when none can be created (auto: only if the caller is not root of the host)",
        ),
    }
}

impl Globals {
    /// Opens the containers that the operations work on.
    pub fn runtime(&self) -> Result<Runtime<'static>> {
        let runtime = self.root.clone().map_or_else(Runtime::open_default, Runtime::open)?;
        // A second signal must not end this process before it has reported what the first one interrupted.
        let runtime = runtime.with_cgroups(self.cgroups()).with_signals_after(SignalsAfter::Blocked);
        Ok(runtime.observed_by(&Tracer))
    }

    /// How the cgroups of new containers are made.
    pub fn cgroups(&self) -> Cgroups {
        Cgroups {
            manager: match self.cgroup_manager.as_deref() {
                _ if self.systemd_cgroup => CgroupManager::Systemd,
                Some("systemd") => CgroupManager::Systemd,
                Some("disabled") => CgroupManager::Disabled,
                _ => CgroupManager::Cgroupfs,
            },
            none: match self.rootless.as_deref() {
                Some("true") => NoCgroup::Allowed,
                Some("false") => NoCgroup::Refused,
                _ => NoCgroup::AllowedRootless,
            },
        }
    }

    /// Where messages go.
    pub fn logging(&self) -> Logging {
        Logging {
            target: self.log.clone(),
            json: self.log_format.as_deref() == Some("json"),
            level: match self.log_level.as_deref() {
                _ if self.debug => LevelFilter::Debug,
                Some("error") => LevelFilter::Error,
                Some("warning") => LevelFilter::Warn,
                Some("debug") => LevelFilter::Debug,
                _ => LevelFilter::Info,
            },
        }
    }
}
