//! Read-only and masked paths, which restrict the container's view of its root file system.

use super::callers::shares_callers_mounts;
use super::root::root_propagation;
use super::{Draft, warn_of_relative};
use crate::spec::{Linux, Spec};
use crate::{InRoot, Op, Origin};

/// Adds the steps for read-only and masked paths, and for the root itself.
pub(in crate::compile) fn views(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    if shares_callers_mounts(draft) {
        return;
    }
    let lists = [("linux.readonlyPaths", &linux.readonly_paths), ("linux.maskedPaths", &linux.masked_paths)];
    for (place, paths) in lists {
        for (i, path) in paths.iter().enumerate() {
            let origin = Origin::of(place).index(i);
            warn_of_relative(draft, path, &origin);
            match InRoot::new(path) {
                Some(target) if target.path().is_empty() => draft.problem(&origin, "cannot be the root"),
                Some(target) if place == "linux.readonlyPaths" => {
                    draft.step(Op::ReadonlyPath { path: target, number: None }, origin)
                }
                Some(path) => {
                    let label = draft.mount_label.clone();
                    draft.step(Op::MaskedPath { path, label, number: None }, origin);
                }
                None => draft.problem(&origin, "must not contain a NUL byte"),
            }
        }
    }
    if let Some(flags) = root_propagation(linux) {
        draft.step(Op::RootPropagation(flags), Origin::of("linux.rootfsPropagation"));
    }
    if spec.root.as_ref().is_some_and(|root| root.readonly) {
        draft.step(Op::ReadonlyRoot, Origin::of("root.readonly"));
    }
}
