//! What a container is, tested from inside and outside: needs root and a cgroup2 mount, no controllers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

#[path = "host/attacks.rs"]
mod attacks;
#[path = "host/cgroups.rs"]
mod cgroups;
#[path = "host/check.rs"]
mod check;
#[path = "host/command_line.rs"]
mod command_line;
#[path = "host/control.rs"]
mod control;
#[path = "host/devices.rs"]
mod devices;
#[path = "host/events.rs"]
mod events;
#[path = "host/exec.rs"]
mod exec;
#[path = "host/hooks.rs"]
mod hooks;
#[path = "host/lifecycle.rs"]
mod lifecycle;
#[path = "host/mounts.rs"]
mod mounts;
#[path = "host/names.rs"]
mod names;
#[path = "host/namespaces.rs"]
mod namespaces;
#[path = "host/overlay.rs"]
mod overlay;
#[path = "host/own.rs"]
mod own;
#[path = "host/paths.rs"]
mod paths;
#[path = "host/process.rs"]
mod process;
#[path = "host/readiness.rs"]
mod readiness;
#[path = "host/regressions.rs"]
mod regressions;
#[path = "host/streams.rs"]
mod streams;
#[path = "host/systemd.rs"]
mod systemd;
#[path = "host/terminal.rs"]
mod terminal;
#[path = "host/tracing.rs"]
mod tracing;
#[path = "host/users.rs"]
mod users;
