//! A harness for black-box tests of an OCI runtime: bundles, containers, and checks that nothing is left behind.
//!
//! ```no_run
//! use runtime_tests::Bundle;
//!
//! let seen = Bundle::base().with(|config| config["hostname"] = "box".into()).probe("names").run().success();
//! assert!(seen.contains("hostname=box"));
//! ```
//!
//! `MINIRUN_RUNTIME` names the runtime under test, `MINIRUN_PROBE` the probe and `MINIRUN_BUSYBOX` busybox; each has a
//! default. The suite uses the command line that all OCI runtimes share, so another runtime can check the tests:
//! `MINIRUN_RUNTIME=runc`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

mod bundle;
mod canary;
mod effort;
pub mod engine;
mod fixtures;
mod host;
mod injection;
mod known;
mod leaks;
mod openmetrics;
mod runtime;
mod sweep;
mod terminal;
mod trace;
mod user;

pub use bundle::{Bundle, Container};
pub use canary::Canary;
pub use effort::cpu_time_of;
pub use fixtures::debian_images;
pub use host::{patience, require_cgroup2, require_controllers, wait_until};
pub use injection::{Injected, Late, Point, inject, outlive, survey};
pub use known::{fails_on, is_excused, may_fail_on};
pub use leaks::Leaks;
pub use openmetrics::{Sample, read_openmetrics};
pub use runtime::{Output, Running, Runtime};
pub use sweep::{Random, cases, is_full_sweep, sample};
pub use terminal::{Receiver, Terminal};
pub use trace::{Traced, beside, errat, killat};
pub use user::{Delegated, User};
