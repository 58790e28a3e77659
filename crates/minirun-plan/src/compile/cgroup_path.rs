//! `linux.cgroupsPath`: where below the cgroup2 mount the container's cgroup is, or which unit of systemd has it; and whose
//! it is.

use std::path::{Path, PathBuf};

use super::Draft;
use crate::spec::{IdMapping, Linux, Mount, Spec};
use crate::{CgroupOwner, LeafCgroup, Origin, UnitPlan};

/// The longest name of a unit, in bytes.
const LONGEST_UNIT: usize = 255;

/// The name of the cgroup that holds the processes of a container with a limit of memory. It is crun's, which engines know.
const LEAF: &str = "container";

/// Sets the path of the container's cgroup. A relative path counts from the cgroup below which the runtime makes them, and
/// no path means `minirun-ID` there: the specification leaves both to the runtime. Answers with the slice, if systemd makes
/// the cgroup.
pub(super) fn cgroup_path(draft: &mut Draft<'_>, linux: &Linux) -> String {
    let origin = Origin::of("linux.cgroupsPath");
    if draft.facts.cgroup_mount.is_none() && draft.facts.cgroup_denied.is_none() {
        draft.problem(&Origin::of("linux.resources"), "no cgroup2 file system is mounted on this host");
    }
    let path = linux.cgroups_path.as_deref().unwrap_or("");
    if draft.request.systemd.is_some() {
        return scope(draft, path);
    }
    // Who wants none gets none, whatever the configuration says (crun does so).
    if path.is_empty() || draft.facts.cgroup_denied.is_some() {
        draft.cgroup.origin = Origin::of("default cgroup");
        draft.cgroup.path = match draft.facts.cgroup_denied {
            None => default_path(&draft.facts.cgroup_base, draft.request.id),
            Some(_) => PathBuf::new(),
        };
        return String::new();
    }
    let mut clean = PathBuf::from("/");
    if !path.starts_with('/') {
        clean.push(&draft.facts.cgroup_base);
    }
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." || part.contains(['\0', '\n']) {
            draft.problem(&origin, format!("{path:?} must stay below the cgroup2 mount: {part:?} is not allowed"));
            return String::new();
        }
        clean.push(part);
    }
    if clean.parent().is_none() {
        draft.problem(&origin, "the root cgroup cannot be a container's");
    }
    draft.cgroup.path = clean;
    draft.cgroup.origin = origin;
    String::new()
}

/// To whom the cgroup goes: the container's user, where that sees the cgroup as its root and may write it (runtime-spec,
/// "Cgroup ownership").
pub(super) fn cgroup_owner(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    let Some(process) = spec.process.as_ref().filter(|_| draft.namespaces.is_new(libc::CLONE_NEWCGROUP)) else {
        return;
    };
    let writable = |mount: &Mount| {
        let source = mount.source.as_deref().is_some_and(|source| source == Path::new("cgroup"));
        let read_only = mount.options.iter().flatten().any(|option| option == "ro");
        let clean: PathBuf = mount.destination.components().collect();
        source && clean == Path::new("/sys/fs/cgroup") && !read_only
    };
    let Some(i) = spec.mounts.iter().position(writable) else { return };
    let uid = process.user.uid;
    let holder = |map: &&IdMapping| uid >= map.container_id && uid - map.container_id < map.size;
    let outside = match draft.in_user_namespace() {
        true => linux.uid_mappings.iter().find(holder).and_then(|map| map.host_id.checked_add(uid - map.container_id)),
        false => Some(uid),
    };
    // A user that is not mapped is found when init becomes that user. What nobody needs to give is not given.
    if let Some(uid) = outside.filter(|uid| *uid != draft.facts.euid) {
        draft.cgroup.owner = Some(CgroupOwner { uid, origin: Origin::of("mounts").index(i) });
    }
}

/// Puts init into a cgroup of its own inside the container's where memory is limited.
///
/// Monitors learn of an OOM kill from the first change of `memory.events` in init's cgroup. Where the limit is, the first
/// change is an event that precedes the kill (`max`, `high`), and the kernel tells of further ones only after 10 ms: then the
/// process is dead, and systemd may have removed the cgroup. The leaf sees the kill alone, because the charges of the leaf
/// itself count above it, so that the limit above is reached first. Where memory is not limited, the kill is the first change.
pub(super) fn leaf(draft: &mut Draft<'_>) {
    let limits = |file: &str| {
        let last = draft.cgroup.knobs.iter().rfind(|knob| knob.file == file);
        last.filter(|knob| knob.value.trim() != "max")
    };
    // A threaded cgroup has no limit of memory, nor children with one.
    if draft.cgroup.knobs.iter().any(|knob| knob.file == "cgroup.type") {
        return;
    }
    let limit = limits("memory.max").or_else(|| limits("memory.high"));
    draft.cgroup.leaf = limit.map(|knob| LeafCgroup { name: LEAF, origin: knob.origin.clone() });
}

/// What a container without a cgroup of its own cannot have: limits, and processes that nothing else tells from others.
pub(super) fn without_cgroup(draft: &mut Draft<'_>) {
    let Some(why) = draft.facts.cgroup_denied.as_deref().filter(|_| draft.cgroup.is_none()) else { return };
    for knob in std::mem::take(&mut draft.cgroup.knobs) {
        draft.problem(&knob.origin, format!("{} cannot be written without a cgroup: {why}", knob.file));
    }
    // With rights that a user namespace gives nobody could use a device that was not given.
    if draft.cgroup.devices.take().is_some() {
        draft.warn(&Origin::of("linux.resources.devices"), format!("not enforced without a cgroup: {why}"));
    }
    draft.cgroup.owner = None;
    if !draft.namespaces.is_new(libc::CLONE_NEWPID) {
        // As BuildKit's --oci-worker-no-process-sandbox has it.
        let text = "without a cgroup and a new pid namespace only the container's first process can be found later";
        draft.warn(&Origin::of("linux.namespaces"), format!("{text}: {why}"));
    }
    draft.notes.push(format!("{}: the container stays in the runtime's: {why}", draft.cgroup.origin));
}

/// Where a container's cgroup is when its configuration does not say so; `base` is empty for the root.
pub fn default_path(base: &Path, id: &str) -> PathBuf {
    Path::new("/").join(base).join(format!("minirun-{id}"))
}

/// The scope that `SLICE:PREFIX:NAME` means, a form that runc has made up: `PREFIX-NAME.scope` in SLICE.
fn scope(draft: &mut Draft<'_>, path: &str) -> String {
    let Some(systemd) = draft.request.systemd else { return String::new() };
    let origin = if path.is_empty() { "default cgroup" } else { "linux.cgroupsPath" };
    draft.cgroup.origin = Origin::of(origin);
    let origin = draft.cgroup.origin.clone();
    match scope_of(path, draft.request.id, systemd.user) {
        Ok((slice, name, expanded)) => {
            draft.cgroup.path = Path::new("/").join(systemd.cgroup).join(expanded).join(&name);
            draft.cgroup.unit = Some(UnitPlan { name, properties: Vec::new() });
            slice
        }
        Err(text) => {
            draft.problem(&origin, text);
            String::new()
        }
    }
}

/// The slice, the scope, and the slice's cgroup, relative to that of systemd.
pub fn scope_of(path: &str, id: &str, user: bool) -> Result<(String, String, PathBuf), String> {
    let (slice, prefix, name) = match path.split(':').collect::<Vec<_>>()[..] {
        [""] => ("", "minirun", escape(id)),
        [slice, prefix, name] => (slice, prefix, name.to_owned()),
        _ => {
            let wanted = "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups";
            return Err(format!("{wanted}, got {path:?} instead"));
        }
    };
    let slice = match slice {
        "" if user => "user.slice",
        "" => "system.slice",
        slice => slice,
    };
    if name.is_empty() {
        return Err(format!("{path:?} names no unit: its third part is empty"));
    }
    if name.ends_with(".slice") {
        // runc gives it the container's process, which systemd refuses.
        return Err(format!("{name:?} is a slice, which has no processes of its own; a container needs a scope"));
    }
    let unit = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
    check_unit(&unit)?;
    let expanded = expand(slice)?;
    Ok((slice.to_owned(), unit, expanded))
}

/// Is this a name that systemd takes (systemd.unit(5))? An @ would make it an instance of a template.
fn check_unit(unit: &str) -> Result<(), String> {
    if unit.len() > LONGEST_UNIT {
        return Err(format!("{unit:?} is too long for a unit: {LONGEST_UNIT} bytes are allowed"));
    }
    match unit.chars().find(|letter| !letter.is_ascii_alphanumeric() && !":-_.\\".contains(*letter)) {
        Some(letter) => Err(format!("{unit:?} is not the name of a unit: {letter:?} is not allowed")),
        None => Ok(()),
    }
}

/// The cgroup of a slice: the dashes in its name say in which slices it is. `a-b.slice` is `a.slice/a-b.slice`.
fn expand(slice: &str) -> Result<PathBuf, String> {
    check_unit(slice)?;
    let not_a_slice = || format!("{slice:?} is not the name of a slice, as in \"system.slice\"");
    let stem = slice.strip_suffix(".slice").filter(|stem| !stem.is_empty()).ok_or_else(not_a_slice)?;
    let mut path = PathBuf::new();
    if stem == "-" {
        return Ok(path);
    }
    let mut prefix = String::new();
    for part in stem.split('-') {
        if part.is_empty() {
            return Err(not_a_slice());
        }
        prefix += part;
        path.push(format!("{prefix}.slice"));
        prefix.push('-');
    }
    Ok(path)
}

/// An id as a part of a unit's name: what systemd does not take there is written as it writes it (systemd-escape(1)).
fn escape(id: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    id.chars().fold(String::new(), |text, letter| match letter {
        letter if plain(letter) => text + letter.encode_utf8(&mut [0; 4]),
        letter => letter.to_string().bytes().fold(text, |text, byte| format!("{text}\\x{byte:02x}")),
    })
}

#[cfg(test)]
mod tests {
    use super::scope_of;

    #[test]
    fn scopes() {
        for (path, user, slice, unit, expanded) in [
            ("", false, "system.slice", "minirun-web\\x2b1.scope", "system.slice"),
            ("", true, "user.slice", "minirun-web\\x2b1.scope", "user.slice"),
            (":runc:a", false, "system.slice", "runc-a.scope", "system.slice"),
            ("a-b-c.slice:cri:x", false, "a-b-c.slice", "cri-x.scope", "a.slice/a-b.slice/a-b-c.slice"),
            ("-.slice:p:n", false, "-.slice", "p-n.scope", ""),
            ("machine.slice::n", false, "machine.slice", "n.scope", "machine.slice"),
        ] {
            let wanted = (slice.to_owned(), unit.to_owned(), expanded.into());
            assert_eq!(scope_of(path, "web+1", user), Ok(wanted), "{path:?}");
        }
    }

    #[test]
    fn what_is_no_scope() {
        let long = format!(":p:{}", "x".repeat(255));
        for (path, words) in [
            ("/a/b", "expected cgroupsPath to be of format \"slice:prefix:name\""),
            ("a.slice:b", "got \"a.slice:b\" instead"),
            ("a.slice:b:c:d", "expected"),
            ("::", "names no unit"),
            ("a:b:c", "not the name of a slice"),
            (".slice:b:c", "not the name of a slice"),
            ("a--b.slice:b:c", "not the name of a slice"),
            ("-a.slice:b:c", "not the name of a slice"),
            ("a/b.slice:b:c", "'/' is not allowed"),
            (":p:a/../b", "'/' is not allowed"),
            (":p:n@x", "'@' is not allowed"),
            (":p:n\n", "'\\n' is not allowed"),
            (":p:n.slice", "is a slice"),
            (&long, "too long"),
        ] {
            let text = scope_of(path, "id", false).unwrap_err();
            assert!(text.contains(words), "{path:?}: {text}");
        }
    }
}
