//! Golden plans of bundles whose root is a directory; those with layers are compared in the crate that reads layers.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod plans;

use minirun_plan::RootSource;

#[test]
fn plans_are_as_they_were() {
    plans::compare(|spec| match plans::has_layers(spec) {
        true => None,
        false => Some(Ok(RootSource::Directory(format!("{}/{}", plans::BUNDLE, spec.root.as_ref()?.path)))),
    });
}
