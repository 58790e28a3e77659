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
#[path = "host/effort.rs"]
mod effort;
#[path = "host/engines.rs"]
mod engines;
#[path = "sweep/errors.rs"]
mod errors;
#[path = "host/events.rs"]
mod events;
#[path = "host/exec.rs"]
mod exec;
#[path = "host/exec_attacks.rs"]
mod exec_attacks;
#[path = "host/handed_over.rs"]
mod handed_over;
#[path = "host/hooks.rs"]
mod hooks;
#[path = "host/keyring.rs"]
mod keyring;
#[path = "host/labels.rs"]
mod labels;
#[path = "host/lifecycle.rs"]
mod lifecycle;
#[path = "host/matrix.rs"]
mod matrix;
#[path = "host/mounts.rs"]
mod mounts;
#[path = "host/names.rs"]
mod names;
#[path = "host/namespaces.rs"]
mod namespaces;
#[path = "host/net_devices.rs"]
mod net_devices;
#[path = "host/overlay.rs"]
mod overlay;
#[path = "host/own.rs"]
mod own;
#[path = "host/paths.rs"]
mod paths;
#[path = "host/person.rs"]
mod person;
#[path = "host/podman.rs"]
mod podman;
#[path = "host/process.rs"]
mod process;
#[path = "host/readiness.rs"]
mod readiness;
#[path = "host/regressions.rs"]
mod regressions;
#[path = "host/removal.rs"]
mod removal;
#[path = "host/rootless.rs"]
mod rootless;
#[path = "host/scheduling.rs"]
mod scheduling;
#[path = "host/seccomp.rs"]
mod seccomp;
#[path = "host/streams.rs"]
mod streams;
#[path = "host/sweep_errors.rs"]
mod sweep_errors;
#[path = "host/systemd.rs"]
mod systemd;
#[path = "host/terminal.rs"]
mod terminal;
#[path = "host/tracing.rs"]
mod tracing;
#[path = "host/trust.rs"]
mod trust;
#[path = "host/users.rs"]
mod users;
#[path = "host/waits.rs"]
mod waits;
