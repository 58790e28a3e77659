//! `linux.cgroupsPath`: where below the cgroup2 mount the container's cgroup is.

use std::path::PathBuf;

use super::Draft;
use crate::Origin;
use crate::spec::Linux;

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

/// Where a container's cgroup is when its configuration does not say so.
pub fn default_path(id: &str) -> PathBuf {
    PathBuf::from(format!("/minirun-{id}"))
}
