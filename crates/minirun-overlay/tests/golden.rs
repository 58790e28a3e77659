//! Golden plans of bundles whose root is a stack of layers.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

#[path = "../../minirun-plan/tests/plans/mod.rs"]
mod plans;

use std::path::Path;

use minirun_overlay::LayerStack;
use minirun_plan::spec::LinuxNamespaceType;
use minirun_plan::{RootSource, is_overlay_root};

#[test]
fn plans_are_as_they_were() {
    plans::compare(|spec| {
        let index = spec.mounts.iter().position(is_overlay_root)?;
        let namespaces = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
        let userns = namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::User);
        let stack = LayerStack::parse(&spec.mounts[index], index, Path::new(plans::BUNDLE), userns);
        Some(stack.map(|stack| RootSource::Overlay(stack.steps())))
    });
}
