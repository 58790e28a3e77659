//! Annotations that change how a container runs: crun's invention, of which Podman sends two. Those that make units of
//! systemd are in `unit.rs`.

use std::ffi::CStr;

use super::Draft;
use crate::Origin;
use crate::spec::Spec;

/// How the names of crun's annotations begin.
const FAMILY: &str = "run.oci.";

/// The process keeps the groups of the runtime's caller (`podman run --group-add keep-groups`).
const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

/// Which option of a file system `linux.mountLabel` is given by.
const CONTEXT_TYPE: &str = "run.oci.mount_context_type";

/// The options that label a file system (mount(8), selinux(8)).
const CONTEXTS: [(&str, &CStr); 4] = [
    ("context", c"context"),
    ("fscontext", c"fscontext"),
    ("defcontext", c"defcontext"),
    ("rootcontext", c"rootcontext"),
];

/// Reads those that are supported, and warns about the others of the same family.
pub(super) fn annotations(draft: &mut Draft<'_>, spec: &Spec) {
    draft.keeps_groups = keeps_groups(spec);
    for (key, value) in spec.annotations.iter().flatten().filter(|(key, _)| key.starts_with(FAMILY)) {
        let origin = Origin::of("annotations").key(key);
        match key.as_str() {
            KEEP_GROUPS => {}
            CONTEXT_TYPE => match CONTEXTS.iter().find(|(name, _)| name == value) {
                Some((_, option)) => draft.label_option = option,
                None => draft.problem(
                    &origin,
                    format!("invalid type {value:?} (expected context, fscontext, defcontext or rootcontext)"),
                ),
            },
            _ => draft.warn(&origin, "ignored: minirun does not support this annotation of crun"),
        }
    }
}

/// Whether the process keeps its caller's supplementary groups. As with crun any value says so, except for a plain no.
pub(super) fn keeps_groups(spec: &Spec) -> bool {
    let value = spec.annotations.as_ref().and_then(|all| all.get(KEEP_GROUPS));
    value.is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}
