//! The configuration's version and annotations.

use super::Draft;
use crate::Origin;
use crate::spec::Spec;

/// Refuses unsupported versions, and annotations without a name.
pub(super) fn document(draft: &mut Draft<'_>, spec: &Spec) {
    let origin = Origin::of("ociVersion");
    match major(&spec.oci_version) {
        Some(1) => {}
        Some(_) => {
            draft
                .problem(&origin, format!("version {:?} is not supported (expected 1.0.0 to 1.3.x)", spec.oci_version));
        }
        None => draft
            .problem(&origin, format!("invalid version {:?} (expected a version such as \"1.0.2\")", spec.oci_version)),
    }
    if spec.annotations.iter().flatten().any(|(key, _)| key.is_empty()) {
        draft.problem(&Origin::of("annotations").key(""), "a key must not be empty");
    }
}

/// Returns the major number of a semantic version (semver.org, 2.0.0); none if the text is not one.
fn major(version: &str) -> Option<u64> {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten();
    let core = version.split(['-', '+']).next()?;
    let numbers: Option<Vec<u64>> = core.split('.').map(number).collect();
    numbers.filter(|numbers| numbers.len() == 3)?.first().copied()
}
