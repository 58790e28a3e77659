//! Fields that minirun knows and does not apply: each is refused by name, because a container without a confinement that
//! was asked for is not the container that was asked for.

use super::Draft;
use crate::Origin;
use crate::spec::{Linux, Spec};

/// Adds a problem for each field that is set and not supported.
pub(super) fn refuse_unsupported(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    let origin = Origin::of("ociVersion");
    match major(&spec.oci_version) {
        Some(1) => {}
        Some(_) => {
            draft.problem(&origin, format!("version {:?} is not supported: 1.0.0 to 1.3.x are", spec.oci_version));
        }
        None => draft.problem(&origin, format!("{:?} is not a version as in \"1.0.2\"", spec.oci_version)),
    }
    if spec.annotations.iter().flatten().any(|(key, _)| key.is_empty()) {
        draft.problem(&Origin::of("annotations").key(""), "a key must not be empty");
    }
    if linux.intel_rdt.is_some() {
        draft.problem(&Origin::of("linux.intelRdt"), "not supported by this version of minirun");
    }
}

/// The first number of a semantic version (semver.org, 2.0.0); none when the text is none.
fn major(version: &str) -> Option<u64> {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten();
    let core = version.split(['-', '+']).next()?;
    let numbers: Option<Vec<u64>> = core.split('.').map(number).collect();
    numbers.filter(|numbers| numbers.len() == 3)?.first().copied()
}
