//! The container's group in the resctrl file system: one like it is made for a moment, or the one that is there is read.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use minirun_plan::{Origin, ResctrlPlan};
use minirun_spawn::SpawnError;
use minirun_spawn::resctrl::{MadeGroups, compare_shared};

use super::Findings;

pub fn check(findings: &mut Findings<'_>) {
    let Some(plan) = &findings.plan.resctrl else { return };
    let tried = match MadeGroups::foresee(plan) {
        // A group in use is not written to.
        Ok(_) if plan.group.is_dir() => compare_shared(plan),
        Ok(_) => try_group(plan),
        Err(error) => Err(error),
    };
    if let Err(error) = tried {
        let (origin, text) = parts(&error, &plan.origin);
        findings.problem(&origin, text, "correct the field, or the group: pqos and resctrl's info say what there is");
    }
}

/// Makes a group of another name with the same schemata, and removes it.
fn try_group(plan: &ResctrlPlan) -> Result<(), SpawnError> {
    let group = plan.mount.join(format!("minirun-check-{}", std::process::id()));
    let monitoring = plan.monitoring.as_ref().map(|_| group.join("mon_groups/check"));
    let beside = ResctrlPlan { group: group.clone(), kind: minirun_plan::GroupKind::Own, monitoring, ..plan.clone() };
    let mut made = MadeGroups::foresee(&beside)?;
    let answer = made.make(&beside);
    if let Err(error) = made.remove() {
        log::warn!("{error}");
    }
    answer
}

/// The place of an error, and what it says besides.
fn parts(error: &SpawnError, otherwise: &Origin) -> (Origin, String) {
    let text = error.to_string();
    match error {
        SpawnError::Failed(failure) => {
            let plain = text.strip_prefix(&format!("{}: ", failure.origin)).unwrap_or(&text).to_owned();
            (failure.origin.clone(), plain)
        }
        _ => (otherwise.clone(), text),
    }
}
