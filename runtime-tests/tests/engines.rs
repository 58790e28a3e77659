//! Container engines with the runtime under test, on a machine that has them and systemd (`make test-engines`).
//! A test that takes minutes is ignored, for a run by hand. The engines are set up by what docs/engines.md tells.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

#[path = "engines/boxes.rs"]
mod boxes;
#[path = "engines/buildah.rs"]
mod buildah;
#[path = "engines/calls.rs"]
mod calls;
#[path = "engines/containerd.rs"]
mod containerd;
#[path = "engines/docker.rs"]
mod docker;
#[path = "engines/document.rs"]
mod document;
#[path = "engines/images.rs"]
mod images;
#[path = "engines/machine.rs"]
mod machine;
#[path = "engines/oom.rs"]
mod oom;
#[path = "engines/podman.rs"]
mod podman;
