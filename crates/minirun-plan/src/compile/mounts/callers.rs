//! Containers in the caller's mount namespace.

use super::Draft;
use crate::Origin;
use crate::spec::{Linux, Spec};

/// Whether the container shares the caller's mounts, which it must not change.
pub(super) fn shares_callers_mounts(draft: &Draft<'_>) -> bool {
    !draft.namespaces.has(libc::CLONE_NEWNS)
}

/// Refuses everything that would change mounts. As the specification demands, a container without a mount namespace is
/// in the caller's: it changes its root, but changing mounts would affect the host.
pub(super) fn refuse_mounts(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    let mut refused: Vec<Origin> = Vec::new();
    refused.extend((0..spec.mounts.len()).map(|i| Origin::of("mounts").index(i)));
    let lists = [("linux.maskedPaths", &linux.masked_paths), ("linux.readonlyPaths", &linux.readonly_paths)];
    refused.extend(lists.iter().filter(|(_, paths)| !paths.is_empty()).map(|(place, _)| Origin::of(place)));
    if linux.rootfs_propagation.as_deref().is_some_and(|word| !word.is_empty()) {
        refused.push(Origin::of("linux.rootfsPropagation"));
    }
    if spec.root.as_ref().is_some_and(|root| root.readonly) {
        refused.push(Origin::of("root.readonly"));
    }
    for origin in refused {
        draft.problem(&origin, "requires a mount namespace in linux.namespaces: it would change the caller's mounts");
    }
    if !linux.devices.is_empty() {
        let text =
            "requires a mount namespace in linux.namespaces: the nodes would be made in the caller's file systems";
        draft.problem(&Origin::of("linux.devices"), text);
    }
}
