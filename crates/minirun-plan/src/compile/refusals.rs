//! Fields that minirun knows and does not apply: each is refused by name, because a container without a confinement that
//! was asked for is not the container that was asked for.

use super::Draft;
use crate::Origin;
use crate::spec::{Linux, Spec};

/// Adds a problem for each field that is set and not supported.
pub(super) fn refuse_unsupported(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    let origin = Origin::of("ociVersion");
    if !spec.oci_version.starts_with("1.") {
        draft.problem(&origin, format!("version {:?} is not supported: 1.0.0 to 1.3.x are", spec.oci_version));
    }
    let mut refuse = refuser(draft);
    refuse(linux.intel_rdt.is_some(), "linux.intelRdt");
    refuse(given(&linux.mount_label), "linux.mountLabel");
}

fn refuser<'d>(draft: &'d mut Draft<'_>) -> impl FnMut(bool, &'static str) + 'd {
    |set, place| {
        if set {
            draft.problem(&Origin::of(place), "not supported by this version of minirun");
        }
    }
}

fn given(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}
