//! From images to bundles: what is made of layers, whoever wrote them and whatever they hold. Needs root, and for images of
//! other writers umoci, skopeo, GNU tar and bsdtar.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

#[path = "images/archive.rs"]
mod archive;
#[path = "images/bundles.rs"]
mod bundles;
#[path = "images/debian.rs"]
mod debian;
#[path = "images/effort.rs"]
mod effort;
#[path = "images/home.rs"]
mod home;
#[path = "images/hostile.rs"]
mod hostile;
#[path = "images/links.rs"]
mod links;
#[path = "images/memory.rs"]
mod memory;
#[path = "images/model.rs"]
mod model;
#[path = "images/private.rs"]
mod private;
#[path = "images/progress.rs"]
mod progress;
#[path = "images/sparse.rs"]
mod sparse;
#[path = "images/stdin.rs"]
mod stdin;
#[path = "images/store.rs"]
mod store;
#[path = "images/witnesses.rs"]
mod witnesses;
#[path = "images/writers.rs"]
mod writers;
