//! Annotations that change how a container runs. crun defined them, and Podman uses two. The annotations for systemd
//! units are in `unit.rs`.

use std::ffi::CStr;

use super::Draft;
use crate::Origin;
use crate::spec::Spec;

/// The prefix of crun's annotations.
const PREFIX: &str = "run.oci.";

/// The process keeps the groups of the runtime's caller (`podman run --group-add keep-groups`).
const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

/// The mount option that sets `linux.mountLabel`.
const CONTEXT_TYPE: &str = "run.oci.mount_context_type";

/// The options that label a file system (mount(8), selinux(8)).
const CONTEXTS: [(&str, &CStr); 4] = [
    ("context", c"context"),
    ("fscontext", c"fscontext"),
    ("defcontext", c"defcontext"),
    ("rootcontext", c"rootcontext"),
];

/// Reads the supported annotations and warns about others with the same prefix.
pub(super) fn annotations(draft: &mut Draft<'_>, spec: &Spec) {
    draft.keeps_groups = keeps_groups(spec);
    for (key, value) in spec.annotations.iter().flatten().filter(|(key, _)| key.starts_with(PREFIX)) {
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

/// Whether the process keeps its caller's supplementary groups. As in crun, any value except a plain "no" enables it.
pub(super) fn keeps_groups(spec: &Spec) -> bool {
    let value = spec.annotations.as_ref().and_then(|all| all.get(KEEP_GROUPS));
    value.is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}
