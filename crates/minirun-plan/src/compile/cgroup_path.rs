//! `linux.cgroupsPath`: the path of the container's cgroup below the cgroup2 mount, or the systemd unit that owns it;
//! and the cgroup's owner.

use std::path::{Path, PathBuf};

use super::Draft;
use crate::spec::{IdMapping, Linux, Mount, Spec};
use crate::{CgroupOwner, LeafCgroup, Origin, UnitPlan};

/// The maximum length of a unit name, in bytes.
const MAX_UNIT_NAME: usize = 255;

/// The name of the child cgroup that holds the processes of a container with a memory limit. crun uses the same name,
/// and engines know it.
const LEAF: &str = "container";

/// Sets the path of the container's cgroup. A relative path starts at the cgroup below which the runtime creates
/// containers; an absent one becomes `minirun-ID` there. The specification leaves both to the runtime. Returns the
/// slice if systemd creates the cgroup.
pub(super) fn cgroup_path(draft: &mut Draft<'_>, linux: &Linux) -> String {
    let origin = Origin::of("linux.cgroupsPath");
    if draft.facts.cgroup_mount.is_none() && draft.facts.cgroup_denied.is_none() {
        draft.problem(&Origin::of("linux.resources"), "no cgroup2 file system is mounted on this host");
    }
    let path = linux.cgroups_path.as_deref().unwrap_or("");
    if draft.request.systemd.is_some() {
        return scope(draft, path);
    }
    // `--cgroup-manager disabled` overrides the configuration, as in crun.
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

/// Sets the owner of the cgroup: the container's user, if that user sees the cgroup as its root and may write to it
/// (runtime-spec, "Cgroup ownership").
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
    // A user without a mapping is reported when init becomes that user. The cgroup changes its owner only if necessary.
    if let Some(uid) = outside.filter(|uid| *uid != draft.facts.euid) {
        draft.cgroup.owner = Some(CgroupOwner { uid, origin: Origin::of("mounts").index(i) });
    }
}

/// Puts init into a child of the container's cgroup if memory is limited.
///
/// Monitors detect an OOM kill by the first change of `memory.events` in init's cgroup. In the cgroup that has the
/// limit, the first change is an event before the kill (`max`, `high`), and the kernel reports further ones only after
/// 10 ms. By then the process is dead, and systemd may have removed the cgroup. The leaf reports only the kill: its
/// charges count in the cgroup above, which reaches its limit first. Without a memory limit, the kill is the first
/// change.
pub(super) fn leaf(draft: &mut Draft<'_>) {
    let limits = |file: &str| {
        let last = draft.cgroup.knobs.iter().rfind(|knob| knob.file == file);
        last.filter(|knob| knob.value.trim() != "max")
    };
    // A threaded cgroup supports no memory limit, and neither do its children.
    if draft.cgroup.knobs.iter().any(|knob| knob.file == "cgroup.type") {
        return;
    }
    let limit = limits("memory.max").or_else(|| limits("memory.high"));
    draft.cgroup.leaf = limit.map(|knob| LeafCgroup { name: LEAF, origin: knob.origin.clone() });
}

/// Refuses limits for a container without a cgroup, and warns if its processes could not be found later.
pub(super) fn without_cgroup(draft: &mut Draft<'_>) {
    let Some(why) = draft.facts.cgroup_denied.as_deref().filter(|_| draft.cgroup.is_none()) else { return };
    for knob in std::mem::take(&mut draft.cgroup.knobs) {
        draft.problem(&knob.origin, format!("{} cannot be written without a cgroup: {why}", knob.file));
    }
    // With the rights of a user namespace, no process can use a device that the container was not given.
    if draft.cgroup.devices.take().is_some() {
        draft.warn(&Origin::of("linux.resources.devices"), format!("not enforced without a cgroup: {why}"));
    }
    draft.cgroup.owner = None;
    if !draft.namespaces.is_new(libc::CLONE_NEWPID) {
        // BuildKit does this with --oci-worker-no-process-sandbox.
        let text = "without a cgroup and a new pid namespace only the container's first process can be found later";
        draft.warn(&Origin::of("linux.namespaces"), format!("{text}: {why}"));
    }
    draft.notes.push(format!("{}: the container stays in the runtime's: {why}", draft.cgroup.origin));
}

/// Returns the path of a container's cgroup if its configuration has no path; `base` is empty for the root.
pub fn default_path(base: &Path, id: &str) -> PathBuf {
    Path::new("/").join(base).join(format!("minirun-{id}"))
}

/// Returns the slice of `SLICE:PREFIX:NAME` and plans the scope `PREFIX-NAME.scope` in it. runc defined this form.
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

/// Returns the slice, the scope, and the slice's cgroup relative to systemd's.
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
        return Err(format!("{path:?} does not name a unit: the third part is empty"));
    }
    if name.ends_with(".slice") {
        // runc passes the container's process to it, which systemd refuses.
        return Err(format!("{name:?} is a slice, which cannot hold processes (hint: name a scope)"));
    }
    let unit = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
    check_unit(&unit)?;
    let expanded = expand(slice)?;
    Ok((slice.to_owned(), unit, expanded))
}

/// Fails if systemd does not accept this unit name (systemd.unit(5)). An @ would make it an instance of a template.
fn check_unit(unit: &str) -> Result<(), String> {
    if unit.len() > MAX_UNIT_NAME {
        return Err(format!("unit name {unit:?} is too long (expected at most {MAX_UNIT_NAME} bytes)"));
    }
    match unit.chars().find(|letter| !letter.is_ascii_alphanumeric() && !":-_.\\".contains(*letter)) {
        Some(letter) => Err(format!("invalid unit name {unit:?}: {letter:?} is not allowed")),
        None => Ok(()),
    }
}

/// Returns the cgroup of a slice. Dashes in its name separate the slices that contain it: `a-b.slice` is
/// `a.slice/a-b.slice`.
fn expand(slice: &str) -> Result<PathBuf, String> {
    check_unit(slice)?;
    let not_a_slice = || format!("invalid slice name {slice:?} (expected a name such as \"system.slice\")");
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

/// Returns an id as part of a unit name; other characters are escaped as in systemd-escape(1).
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
    fn paths_become_scopes() {
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
    fn invalid_scopes_are_refused() {
        let long = format!(":p:{}", "x".repeat(255));
        for (path, words) in [
            ("/a/b", "expected cgroupsPath to be of format \"slice:prefix:name\""),
            ("a.slice:b", "got \"a.slice:b\" instead"),
            ("a.slice:b:c:d", "expected"),
            ("::", "does not name a unit"),
            ("a:b:c", "invalid slice name"),
            (".slice:b:c", "invalid slice name"),
            ("a--b.slice:b:c", "invalid slice name"),
            ("-a.slice:b:c", "invalid slice name"),
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
