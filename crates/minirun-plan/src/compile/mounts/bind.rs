//! Bind mounts, and mounts that are replaced by one.

use super::super::mount_options::{NODEV, NOEXEC, NOSUID, RDONLY};
use super::{Draft, Entry, RootSource, mount_options, namespaces, refuse_over_proc};
use crate::spec::Mount;
use crate::{IdMaps, InRoot, MountPoint, Op, Origin, PointKind, Source, Step};

/// Whether this mount shows an existing directory or file.
pub fn is_bind(mount: &Mount) -> bool {
    mount.typ.as_deref() == Some("bind") || mount_options::make_bind(mount.options.as_deref().unwrap_or_default())
}

/// Adds a bind mount of the configuration.
pub(super) fn given(draft: &mut Draft<'_>, entry: &Entry<'_>, recursive: bool) {
    refuse_data(draft, entry);
    let source = entry.mount.source.as_ref().map(|source| source.to_string_lossy()).unwrap_or_default();
    bind(draft, entry, &source, recursive, entry.point(PointKind::LikeSource));
}

/// Refuses file system options, because a bind mount shows a file system that is already configured.
fn refuse_data(draft: &mut Draft<'_>, entry: &Entry<'_>) {
    let words = entry.mount.options.as_deref().unwrap_or(&[]);
    let data = entry.options.data().filter_map(|option| option.index);
    let copy_up = words.iter().position(|word| entry.options.copy_up && word == "tmpcopyup");
    for index in data.chain(copy_up) {
        let text = "bind mounts cannot have any filesystem-specific options applied";
        draft.problem(&entry.field("options").index(index), format!("{text}: {:?}", words[index]));
    }
}

/// Whether this is a sysfs that the kernel would refuse, because the network namespace belongs to the host.
pub(super) fn is_host_sysfs(draft: &Draft<'_>, entry: &Entry<'_>) -> bool {
    entry.typ == "sysfs"
        && entry.options.bind.is_none()
        && draft.below_initial_user_namespace()
        && !draft.namespaces.has(libc::CLONE_NEWNET)
}

/// Binds the host's /sys. sysfs shows a network namespace, and mounting it requires owning that namespace (sysfs(5)).
/// If the container stays in the host's network namespace, the host's /sys is bound instead, as in crun and in runc's
/// rootless template; the mounts below it get the same attributes.
pub(super) fn host_sysfs(draft: &mut Draft<'_>, entry: &Entry<'_>) {
    if entry.options.has_data() {
        draft.problem(
            &entry.field("options"),
            "sysfs of the host's network namespace does not support options of its own",
        );
    }
    draft.notes.push(format!("{}: the network namespace is the host's, so its /sys is bound", entry.origin));
    let mut point = entry.point(PointKind::RealDirectory);
    point.recursive.set |= point.attributes.set & (RDONLY | NOSUID | NODEV | NOEXEC);
    bind(draft, entry, "/sys", true, point);
}

fn bind(draft: &mut Draft<'_>, entry: &Entry<'_>, source: &str, recursive: bool, mut point: MountPoint) {
    let place = entry.field("source");
    if source.is_empty() {
        return draft.problem(&place, "a bind mount requires a source");
    }
    let source = if source.starts_with('/') {
        source.to_owned()
    } else {
        format!("{}/{source}", draft.request.bundle.display())
    };
    refuse_over_proc(draft, &point.target, "bind", Some(&source), &entry.field("destination"));
    if let Some(text) = draft.request.links.get(&source).filter(|_| entry.options.copy_link) {
        let target = draft.c_string(text, &place);
        let op = Op::Symlink { path: point.target, target, replace: false };
        draft.links.push(Step { op, origin: entry.origin.clone() });
        return;
    }
    if recursive && shows_own_cgroups(draft, &source) {
        point.recursive.set |= point.attributes.set & RDONLY;
    }
    let idmap = idmap_of(draft, entry);
    let source = match source_inside(draft, &source, idmap.is_some()) {
        Some(path) => Source::Inside(path, draft.c_string(&source, &place)),
        None => draft.source(&source, recursive, &place),
    };
    let idmap_recursive = entry.options.idmap == Some(true);
    // In its user namespace init is not allowed to map the ids of the host's mounts.
    let idmap = match (&source, draft.handles.last_mut()) {
        (Source::Handle(..), Some(handle)) => {
            handle.idmap = idmap.map(|i| (i, idmap_recursive));
            None
        }
        _ => idmap,
    };
    draft.step(Op::Bind { source, recursive, idmap, idmap_recursive, point }, entry.origin.clone());
}

/// Returns the id mappings of a mount, as an index into the plan's.
fn idmap_of(draft: &mut Draft<'_>, entry: &Entry<'_>) -> Option<usize> {
    let Entry { mount, origin, .. } = entry;
    if draft.facts.euid != 0 && (entry.options.idmap.is_some() || mount.uid_mappings.is_some()) {
        draft.problem(origin, "mapping the ids of a mount requires root");
    }
    match (&mount.uid_mappings, &mount.gid_mappings) {
        (Some(uids), Some(gids)) => {
            for (name, list) in [("uidMappings", uids), ("gidMappings", gids)] {
                if list.is_empty() {
                    draft.problem(&origin.field(name), "requires at least one mapping");
                }
            }
            let uids = namespaces::map_lines(draft, uids, &origin.field("uidMappings"));
            let gids = namespaces::map_lines(draft, gids, &origin.field("gidMappings"));
            draft.idmaps.push(IdMaps { uids, gids, namespace: None, origin: (*origin).clone() });
            Some(draft.idmaps.len() - 1)
        }
        // Without mappings of its own the mount uses the container's (runtime-spec, "idmap").
        _ if entry.options.idmap.is_some() => own_maps(draft, origin),
        _ => None,
    }
}

/// Returns the path in the root to which a source leads, if earlier mounts there matter. A source with mapped ids stays
/// with the parent, because only the parent may map ids for a user namespace.
fn source_inside(draft: &Draft<'_>, source: &str, mapped: bool) -> Option<InRoot> {
    let path = InRoot::new(draft.facts.inside_root.get(source)?)?;
    let made = draft.mounted.has_related(&path);
    let layered = matches!(draft.request.root, RootSource::Overlay(_));
    ((made || layered) && !(mapped && draft.in_user_namespace())).then_some(path)
}

/// Whether a read-only mount of this tree would leave the caller's own cgroups below it writable (CVE-2023-25809).
fn shows_own_cgroups(draft: &Draft<'_>, source: &str) -> bool {
    draft.facts.rootless() && draft.facts.cgroup_mount.as_ref().is_some_and(|mount| mount.starts_with(source))
}

/// Returns the id mappings of the container's user namespace, new or joined.
fn own_maps(draft: &mut Draft<'_>, origin: &Origin) -> Option<usize> {
    let find = |draft: &Draft<'_>, name: &str| {
        let maps = draft.host.iter().filter_map(|step| step.op.id_map());
        maps.filter(|(file, _)| *file == name).map(|(_, value)| value.to_owned()).next()
    };
    match (find(draft, "uid_map"), find(draft, "gid_map")) {
        (Some(uids), Some(gids)) => {
            draft.idmaps.push(IdMaps { uids, gids, namespace: None, origin: origin.clone() });
            Some(draft.idmaps.len() - 1)
        }
        _ => {
            let joined = draft.namespaces.join.iter().find(|joined| joined.kind == libc::CLONE_NEWUSER as u64);
            let Some(namespace) = joined.map(|joined| joined.path.clone()) else {
                draft.problem(origin, "idmap without uidMappings and gidMappings requires a user namespace");
                return None;
            };
            let (uids, gids) = (String::new(), String::new());
            draft.idmaps.push(IdMaps { uids, gids, namespace: Some(namespace), origin: origin.clone() });
            Some(draft.idmaps.len() - 1)
        }
    }
}
