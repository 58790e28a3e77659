//! The container's cgroup: made beside its place for a moment, with its filter and, where their controllers are enabled
//! already, its knobs.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use minirun_cgroup::{Cgroup, CgroupError};
use minirun_plan::{CgroupPlan, Origin};

use super::Findings;

pub fn check(findings: &mut Findings<'_>, mount: &Path) {
    let plan = &findings.plan.cgroup;
    if plan.is_none() {
        return;
    }
    if let Ok(Some(there)) = Cgroup::open(mount, &plan.path) {
        in_use(findings, &there);
    }
    controllers(findings, mount);
    let mut name = OsString::from(plan.path.file_name().unwrap_or_default());
    name.push(format!("-check-{}", std::process::id()));
    // Without controllers: enabling them would change the cgroups above.
    let beside = CgroupPlan { path: plan.path.with_file_name(name), ..CgroupPlan::default() };
    let cgroup = match Cgroup::create(mount, &beside) {
        Ok(cgroup) => cgroup,
        Err(error) => {
            let advice = "run as root, or name a linux.cgroupsPath below a cgroup that is delegated to this user";
            return findings.problem(&plan.origin, plain(&error, None), advice);
        }
    };
    if let Some(filter) = &plan.devices
        && let Err(error) = cgroup.attach_devices(filter)
    {
        let origin = Origin::of("linux.resources.devices");
        let advice = "run as root in the first user namespace, on a kernel with CONFIG_CGROUP_BPF";
        findings.problem(&origin, plain(&error, Some(&origin)), advice);
    }
    knobs(findings, &cgroup);
    let made = cgroup.made().map(Path::to_owned);
    if let Err(error) = cgroup.remove(made.as_deref()) {
        findings.problem(&plan.origin, plain(&error, None), "remove it by hand");
    }
}

/// The error without the place, which the row has.
fn plain(error: &CgroupError, origin: Option<&Origin>) -> String {
    let text = error.to_string();
    match origin.or(error.origin.as_ref()) {
        Some(origin) => text.strip_prefix(&format!("{origin}: ")).unwrap_or(&text).to_owned(),
        None => text,
    }
}

fn in_use(findings: &mut Findings<'_>, there: &Cgroup) {
    let origin = &findings.plan.cgroup.origin;
    let advice = "give the container a linux.cgroupsPath of its own, or delete what lives there";
    let path = there.path().display().to_string();
    if there.populated().unwrap_or(false) {
        findings.problem(origin, format!("{path}: the cgroup is not empty"), advice);
    }
    if there.is_frozen().unwrap_or(false) {
        findings.problem(origin, format!("{path}: the cgroup is frozen"), advice);
    }
    if let Ok(Some(mark)) = there.mark() {
        let directory = mark.directory.display().to_string();
        findings.problem(origin, format!("{path}: it belongs to the container {directory:?}"), advice);
    }
}

/// Each cgroup on the way must hand the controllers down; one with processes of its own cannot (cgroup-v2.rst, "No Internal
/// Process Constraint").
fn controllers(findings: &mut Findings<'_>, mount: &Path) {
    let plan = &findings.plan.cgroup;
    if plan.controllers.is_empty() {
        return;
    }
    let above: Vec<PathBuf> = plan.path.ancestors().skip(1).map(Path::to_owned).collect();
    for path in above.iter().filter(|path| path.parent().is_some()) {
        let Ok(Some(cgroup)) = Cgroup::open(mount, path) else { continue };
        let enabled = cgroup.read("cgroup.subtree_control").ok().flatten().unwrap_or_default();
        let lacks = plan.controllers.iter().find(|name| !enabled.split_whitespace().any(|had| had == *name));
        let busy = cgroup.read("cgroup.procs").ok().flatten().is_some_and(|pids| !pids.trim().is_empty());
        if let Some(controller) = lacks.filter(|_| busy) {
            let place = cgroup.path();
            findings.problem(
                &plan.origin,
                format!(
                    "{} has processes of its own and cannot hand down the {controller} controller",
                    place.display()
                ),
                "name a linux.cgroupsPath elsewhere, or move these processes to a child",
            );
        }
    }
}

fn knobs(findings: &mut Findings<'_>, cgroup: &Cgroup) {
    let enabled = cgroup.read("cgroup.controllers").ok().flatten().unwrap_or_default();
    for knob in &findings.plan.cgroup.knobs {
        let controller = knob.file.split('.').next().unwrap_or("");
        if controller != "cgroup" && !enabled.split_whitespace().any(|name| name == controller) {
            let seen = format!("{} was not tried: the {controller} controller is not enabled there yet", knob.file);
            findings.doubt(&knob.origin, seen, "");
            continue;
        }
        if let Err(error) = cgroup.apply(std::slice::from_ref(knob)) {
            findings.problem(&knob.origin, plain(&error, Some(&knob.origin)), "give a value that this host can hold");
        }
    }
}
