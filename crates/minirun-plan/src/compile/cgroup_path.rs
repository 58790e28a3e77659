//! `linux.cgroupsPath`: where below the cgroup2 mount the container's cgroup is, and whose it is.

use std::path::{Path, PathBuf};

use super::Draft;
use crate::spec::{IdMapping, Linux, Mount, Spec};
use crate::{CgroupOwner, Origin};

/// Sets the path of the container's cgroup. A relative path counts from the root of the mount, and no path means
/// `/minirun-ID`: the specification leaves both to the runtime.
pub(super) fn cgroup_path(draft: &mut Draft<'_>, linux: &Linux) {
    let origin = Origin::of("linux.cgroupsPath");
    if draft.facts.cgroup_mount.is_none() {
        draft.problem(&Origin::of("linux.resources"), "no cgroup2 file system is mounted on this host");
    }
    let path = linux.cgroups_path.as_deref().unwrap_or("");
    if path.is_empty() {
        draft.cgroup.path = default_path(draft.request.id);
        draft.cgroup.origin = Origin::of("default cgroup");
        return;
    }
    let mut clean = PathBuf::from("/");
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

/// Where a container's cgroup is when its configuration does not say so.
pub fn default_path(id: &str) -> PathBuf {
    PathBuf::from(format!("/minirun-{id}"))
}
