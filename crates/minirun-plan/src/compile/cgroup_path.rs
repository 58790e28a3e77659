//! `linux.cgroupsPath`: where below the cgroup2 mount the container's cgroup is, and whose it is.

use std::path::{Path, PathBuf};

use super::Draft;
use crate::spec::{IdMapping, Linux, Mount, Spec};
use crate::{CgroupOwner, Origin};

/// Sets the path of the container's cgroup. A relative path counts from the cgroup below which the runtime makes them, and
/// no path means `minirun-ID` there: the specification leaves both to the runtime.
pub(super) fn cgroup_path(draft: &mut Draft<'_>, linux: &Linux) {
    let origin = Origin::of("linux.cgroupsPath");
    if draft.facts.cgroup_mount.is_none() && draft.facts.cgroup_denied.is_none() {
        draft.problem(&Origin::of("linux.resources"), "no cgroup2 file system is mounted on this host");
    }
    let path = linux.cgroups_path.as_deref().unwrap_or("");
    if path.is_empty() {
        draft.cgroup.origin = Origin::of("default cgroup");
        draft.cgroup.path = match draft.facts.cgroup_denied {
            None => default_path(&draft.facts.cgroup_base, draft.request.id),
            Some(_) => PathBuf::new(),
        };
        return;
    }
    let mut clean = PathBuf::from("/");
    if !path.starts_with('/') {
        clean.push(&draft.facts.cgroup_base);
    }
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." || part.contains(['\0', '\n']) {
            draft.problem(&origin, format!("{path:?} must stay below the cgroup2 mount: {part:?} is not allowed"));
            return;
        }
        clean.push(part);
    }
    if clean.parent().is_none() {
        draft.problem(&origin, "the root cgroup cannot be a container's");
    }
    draft.cgroup.path = clean;
    draft.cgroup.origin = origin;
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

/// What a container without a cgroup of its own cannot have: limits, and processes that nothing else tells from others.
pub(super) fn without_cgroup(draft: &mut Draft<'_>) {
    let Some(why) = draft.facts.cgroup_denied.as_deref().filter(|_| draft.cgroup.is_none()) else { return };
    for knob in std::mem::take(&mut draft.cgroup.knobs) {
        draft.problem(&knob.origin, format!("{} cannot be written without a cgroup: {why}", knob.file));
    }
    draft.cgroup.devices = None;
    draft.cgroup.owner = None;
    if !draft.namespaces.is_new(libc::CLONE_NEWPID) {
        let text = format!("a new pid namespace is needed to find the container's processes without a cgroup: {why}");
        draft.problem(&Origin::of("linux.namespaces"), text);
    }
    draft.notes.push(format!("{}: the container stays in the runtime's: {why}", draft.cgroup.origin));
}

/// Where a container's cgroup is when its configuration does not say so; `base` is empty for the root.
pub fn default_path(base: &Path, id: &str) -> PathBuf {
    Path::new("/").join(base).join(format!("minirun-{id}"))
}
