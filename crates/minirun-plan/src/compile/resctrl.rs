//! `linux.intelRdt`: the group of the resctrl file system for the container's processes, and the shares of caches and
//! memory bandwidth of that group.

use super::Draft;
use crate::spec::{IntelRdt, Linux};
use crate::{GroupKind, HostOp, HostStep, Origin, Problems, Resctrl, ResctrlPlan, Schema};

/// Names that cannot be a group: the file system's own directories.
const RESERVED: [&str; 5] = [".", "..", "info", "mon_groups", "mon_data"];

/// Adds the group, the directories and schemata to write, and the step by which init joins it; for a further process
/// only the latter.
pub(super) fn groups(draft: &mut Draft<'_>, linux: &Linux, further: bool) {
    let Some(rdt) = &linux.intel_rdt else { return };
    let origin = Origin::of("linux.intelRdt");
    let named = rdt.clos_id.as_deref().filter(|name| !name.is_empty());
    let place = if named.is_some() { origin.field("closID") } else { origin.clone() };
    let name = named.unwrap_or(draft.request.id);
    // `/` is the default group of all processes that are in no other.
    let default = named == Some("/");
    if RESERVED.contains(&name) || !default && name.contains(['/', '\0', '\n']) {
        draft.problem(&place, format!("invalid group name {name:?}"));
    }
    let schemata = schemata_of(&mut draft.problems, rdt, &origin);
    if let Some(problem) = missing(&draft.facts.resctrl) {
        return draft.problem(&origin, problem);
    }
    let Resctrl::Mounted { mount, .. } = &draft.facts.resctrl else { return };
    check_resources(&draft.facts.resctrl, &mut draft.problems, &schemata);
    if rdt.enable_monitoring && !draft.facts.resctrl.has("L3_MON") {
        let text = "this host's resctrl does not support monitoring: its info has no L3_MON";
        draft.problems.add(&origin.field("enableMonitoring"), text);
    }
    let group = if default { mount.clone() } else { mount.join(name) };
    let monitoring = rdt.enable_monitoring.then(|| group.join("mon_groups").join(draft.request.id));
    for (path, origin) in [(Some(&group), place.clone()), (monitoring.as_ref(), origin.field("enableMonitoring"))] {
        if let Some(path) = path {
            let op = HostOp::JoinResctrl { mount: mount.clone(), group: path.clone() };
            draft.host.push(HostStep { op, origin });
        }
    }
    if further {
        return;
    }
    let kind = match named {
        None => GroupKind::Own,
        Some(_) if schemata.is_empty() => GroupKind::Existing,
        Some(_) => GroupKind::Shared,
    };
    draft.resctrl = Some(ResctrlPlan { mount: mount.clone(), group, kind, schemata, monitoring, origin: place });
}

/// Returns why Intel RDT is not available.
fn missing(resctrl: &Resctrl) -> Option<&'static str> {
    match resctrl {
        Resctrl::Absent => Some("this host has no Intel RDT: the kernel has no resctrl file system for its processor"),
        Resctrl::Unmounted => {
            Some("no resctrl file system is mounted (hint: mount -t resctrl resctrl /sys/fs/resctrl)")
        }
        Resctrl::Mounted { .. } => None,
    }
}

/// Returns all schemata in the order in which they are written. Empty texts mean unset, as in runc.
fn schemata_of(problems: &mut Problems, rdt: &IntelRdt, origin: &Origin) -> Vec<Schema> {
    let mut list = Vec::new();
    for (name, text) in [("l3CacheSchema", &rdt.l3_cache_schema), ("memBwSchema", &rdt.mem_bw_schema)] {
        let Some(text) = text.as_deref() else { continue };
        let place = origin.field(name);
        if name == "memBwSchema" && !text.is_empty() && !text.starts_with("MB:") {
            problems.add(&place, format!("{text:?} must start with \"MB:\""));
        }
        let several = name == "l3CacheSchema";
        list.extend(lines_of(problems, text, several, &place).map(|line| (line, true, place.clone())));
    }
    for (i, text) in rdt.schemata.iter().flatten().enumerate() {
        let place = origin.field("schemata").index(i);
        list.extend(lines_of(problems, text, false, &place).map(|line| (line, false, place.clone())));
    }
    list.into_iter().map(|(line, compared, origin)| Schema { line, compared, origin }).collect()
}

/// Returns the lines of a schema; only the oldest field may have `several`.
fn lines_of(problems: &mut Problems, text: &str, several: bool, place: &Origin) -> impl Iterator<Item = String> {
    if text.trim_end_matches('\n').contains('\n') && !several {
        problems.add(place, "must not contain a newline");
    }
    let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    for line in lines.iter().filter(|line| resource_of(line).is_none()) {
        problems.add(place, format!("invalid schema {line:?} (expected a line such as \"L3:0=ff;1=f\")"));
    }
    lines.into_iter()
}

/// Returns the resource of a line: `L3` of `L3:0=ff`.
fn resource_of(line: &str) -> Option<&str> {
    let (resource, domains) = line.split_once(':')?;
    let plain =
        |text: &str| !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    (plain(resource.trim()) && domains.contains('=')).then_some(resource.trim())
}

/// Refuses schemata for resources that the host does not allocate: `info` has a directory for each resource.
fn check_resources(resctrl: &Resctrl, problems: &mut Problems, schemata: &[Schema]) {
    let Resctrl::Mounted { info, .. } = resctrl else { return };
    for schema in schemata {
        let Some(resource) = resource_of(&schema.line).filter(|resource| !resctrl.has(resource)) else { continue };
        let offered: Vec<&str> = info.iter().map(String::as_str).filter(|name| !name.ends_with("_MON")).collect();
        let offered = if offered.is_empty() { "nothing".to_owned() } else { offered.join(", ") };
        problems
            .add(&schema.origin, format!("this host's resctrl does not allocate {resource} (available: {offered})"));
    }
}

/// Compiles the options of `update` for a container's group: the two schemata that have options of their own.
///
/// # Errors
/// All problems of the schemata, and resources that this host lacks.
pub fn compile_schemata(
    l3_cache: Option<&str>,
    mem_bw: Option<&str>,
    resctrl: &Resctrl,
) -> Result<Vec<Schema>, Problems> {
    let (mut problems, mut schemata) = (Problems::new(), Vec::new());
    for (option, prefix, text) in [("--l3-cache-schema", "", l3_cache), ("--mem-bw-schema", "MB:", mem_bw)] {
        let Some(text) = text else { continue };
        let origin = Origin::of(option);
        if !text.starts_with(prefix) {
            problems.add(&origin, format!("{text:?} must start with {prefix:?}"));
        }
        let lines = lines_of(&mut problems, text, prefix.is_empty(), &origin);
        schemata.extend(lines.map(|line| Schema { line, compared: false, origin: origin.clone() }));
        if let Some(problem) = missing(resctrl) {
            problems.add(&origin, problem);
        }
    }
    check_resources(resctrl, &mut problems, &schemata);
    if problems.is_empty() { Ok(schemata) } else { Err(problems) }
}
