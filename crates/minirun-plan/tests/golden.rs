//! Golden plans of bundles whose root is a directory; those with layers are compared in the crate that reads layers.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod plans;

use minirun_plan::{RootSource, is_overlay_root};

#[test]
fn plans_are_as_they_were() {
    plans::compare(|spec| match spec.mounts.iter().any(is_overlay_root) {
        true => None,
        false => Some(Ok(RootSource::Directory(format!("{}/{}", plans::BUNDLE, spec.root.as_ref()?.path)))),
    });
}
