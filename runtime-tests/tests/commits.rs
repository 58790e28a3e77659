//! What a container has changed, and images that are made of it: read by umoci, skopeo and GNU tar, and by minirun itself.
//! Needs root and a cgroup2 mount.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

#[path = "commits/archives.rs"]
mod archives;
#[path = "commits/commit.rs"]
mod commit;
#[path = "commits/debian.rs"]
mod debian;
#[path = "commits/diff.rs"]
mod diff;
#[path = "commits/home.rs"]
mod home;
#[path = "commits/property.rs"]
mod property;
#[path = "commits/refused.rs"]
mod refused;
#[path = "commits/rootless.rs"]
mod rootless;
#[path = "commits/running.rs"]
mod running;
