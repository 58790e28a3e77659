//! Golden plans of the bundles of `rootfs-fixtures/bundles`.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod plans;

use std::path::Path;

use minirun_plan::spec::LinuxNamespaceType;
use minirun_plan::{Marks, OverlayRoot, RootSource, is_overlay_root};

#[test]
fn plans_match_the_golden_files() {
    plans::compare(|spec| {
        let Some(index) = spec.mounts.iter().position(is_overlay_root) else {
            return Some(Ok(RootSource::Directory(format!("{}/{}", plans::BUNDLE, spec.root.as_ref()?.path))));
        };
        let namespaces = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
        let in_user_namespace = namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::User);
        let marks = if in_user_namespace { Marks::User } else { Marks::Trusted };
        let root = OverlayRoot::parse(&spec.mounts[index], index, Path::new(plans::BUNDLE), marks);
        Some(root.map(|root| RootSource::Overlay(root.steps())))
    });
}
