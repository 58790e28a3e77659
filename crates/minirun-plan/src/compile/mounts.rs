//! The root file system, `mounts`, and the views of it that the container must not have.

use std::ffi::{CStr, CString};
use std::path::Path;

use super::mount_options::{MountOptions, NODEV, NOEXEC, NOSUID, RDONLY};
use super::{Draft, RootSource, c_string, labels, mount_options, namespaces};
use crate::spec::{Linux, Mount, Spec};
use crate::{Attributes, FsOption, IdMaps, InRoot, MountPoint, Op, Origin, PointKind, RootPlace, Source, Step};

/// Files below /proc that a mount may cover: what LXCFS and its like provide (runc's list).
const COVERABLE_PROC_FILES: [&str; 10] = [
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/meminfo",
    "proc/stat",
    "proc/swaps",
    "proc/uptime",
    "proc/loadavg",
    "proc/slabinfo",
    "proc/sys/kernel/ns_last_pid",
    "proc/sys/crypto/fips_enabled",
];

/// Where the container finds the socket on which it says that it is ready: runc's place.
pub(super) const NOTIFY_DIRECTORY: &str = "/run/notify";

/// `linux.rootfsPropagation` as `MS_*` flags; none when it is absent or unknown.
fn root_propagation(linux: &Linux) -> Option<u64> {
    let word = linux.rootfs_propagation.as_deref()?;
    let (recursive, kind) = match word.strip_prefix('r') {
        Some(kind) => (libc::MS_REC, kind),
        None => (0, word),
    };
    let flags = match kind {
        "shared" => libc::MS_SHARED,
        "slave" => libc::MS_SLAVE,
        "private" => libc::MS_PRIVATE,
        "unbindable" => libc::MS_UNBINDABLE,
        _ => return None,
    };
    Some(flags | recursive)
}

/// Whether the container has the caller's mounts, none of which it may change.
fn shares_callers_mounts(draft: &Draft<'_>) -> bool {
    !draft.namespaces.has(libc::CLONE_NEWNS)
}

/// A container without a mount namespace is in the caller's, as the specification demands. Its root is changed, but all that
/// would change mounts is refused: it would change them for the host.
fn refuse_mounts(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    let mut refused: Vec<Origin> = Vec::new();
    refused.extend((0..spec.mounts.len()).map(|i| Origin::of("mounts").index(i)));
    let lists = [("linux.maskedPaths", &linux.masked_paths), ("linux.readonlyPaths", &linux.readonly_paths)];
    refused.extend(lists.iter().filter(|(_, paths)| !paths.is_empty()).map(|(place, _)| Origin::of(place)));
    if linux.rootfs_propagation.as_deref().is_some_and(|word| !word.is_empty()) {
        refused.push(Origin::of("linux.rootfsPropagation"));
    }
    if spec.root.as_ref().is_some_and(|root| root.readonly) {
        refused.push(Origin::of("root.readonly"));
    }
    if draft.below_initial_user_namespace() && !linux.devices.is_empty() {
        refused.push(Origin::of("linux.devices"));
    }
    for origin in refused {
        draft.problem(&origin, "requires a mount namespace in linux.namespaces: it would change the caller's mounts");
    }
}

/// Cuts the new mount namespace off from the host's and mounts the root file system.
pub(super) fn root(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    if shares_callers_mounts(draft) {
        return refuse_mounts(draft, spec, linux);
    }
    let propagation = root_propagation(linux);
    let origin = Origin::of(if propagation.is_some() { "linux.rootfsPropagation" } else { "default propagation" });
    if let Some(word) = linux.rootfs_propagation.as_deref().filter(|word| !word.is_empty() && propagation.is_none()) {
        let text = format!("unknown propagation {word:?}: shared, slave, private and unbindable are known");
        draft.problem(&Origin::of("linux.rootfsPropagation"), text);
    }
    // The root is mounted over `/`, so that mount must not be shared, or the host would see it. When what the container
    // mounts shall reach the host, everything else stays connected.
    let flags = match propagation {
        Some(flags) if flags & libc::MS_SHARED != 0 => libc::MS_PRIVATE,
        Some(flags) if flags & libc::MS_UNBINDABLE == 0 => flags | libc::MS_REC,
        _ => libc::MS_SLAVE | libc::MS_REC,
    };
    draft.step(Op::Propagation(flags), origin.clone());
    let place = root_place(draft);
    if let (RootPlace::At(path), libc::MS_PRIVATE) = (&place, flags) {
        draft.step(Op::PrivateParent(path.clone()), origin);
    }
    match draft.request.root.clone() {
        RootSource::Directory(path) => {
            let origin = Origin::of("root.path");
            let source = draft.source(&path, true, &origin);
            draft.step(Op::BindRoot(source, place), origin);
        }
        RootSource::Overlay(steps) => {
            let label = draft.mount_label.clone();
            let label = label.as_deref().map(|label| (draft.label_option, label));
            draft.init.extend(steps.into_iter().map(|step| placed(step, &place, label)));
        }
    }
    draft.shares_mounts = propagation.is_some_and(|flags| flags & libc::MS_SHARED != 0);
}

/// Over `/`, unless a hook wants to find the root file system by its path.
fn root_place(draft: &mut Draft<'_>) -> RootPlace {
    if !draft.hooks.before_pivot() {
        return RootPlace::OverSlash;
    }
    let origin = Origin::of("root.path");
    let path = draft.request.root_path.to_owned();
    if path.is_empty() {
        draft.problem(&origin, "hooks need a directory where they find the mounted root file system");
    }
    RootPlace::At(draft.c_string(&path, &origin))
}

fn placed(mut step: Step, at: &RootPlace, label: Option<(&CStr, &CStr)>) -> Step {
    if let Op::OverlayStage { place, .. } | Op::OverlayRoot { place, .. } = &mut step.op {
        *place = at.clone();
    }
    if let (Op::OverlayRoot { options, .. }, Some((option, label))) = (&mut step.op, label) {
        labels::add_context(options, option, label);
    }
    step
}

/// Does this mount make the root of layers?
pub fn is_overlay_root(mount: &Mount) -> bool {
    let at_root = InRoot::new(&mount.destination.to_string_lossy()).is_some_and(|path| path.path().is_empty());
    at_root && mount.typ.as_deref() == Some("overlay")
}

/// Whether this mount shows a directory or file that exists.
pub fn is_bind(mount: &Mount) -> bool {
    mount.typ.as_deref() == Some("bind") || mount_options::make_bind(mount.options.as_deref().unwrap_or_default())
}

/// `mounts`, in their order, except for the overlay at `/` which is the root.
pub(super) fn mounts(draft: &mut Draft<'_>, spec: &Spec) {
    if shares_callers_mounts(draft) {
        return;
    }
    let list = Origin::of("mounts");
    let mut delayed = Vec::new();
    let mut root = None;
    for (i, mount) in spec.mounts.iter().enumerate() {
        if is_overlay_root(mount) {
            if let Some(first) = root.replace(i) {
                draft.problem(&list.index(i), format!("the root is an overlay already: mounts[{first}]"));
            }
            continue;
        }
        one_mount(draft, mount, &list.index(i), &mut delayed);
    }
    draft.delayed = delayed;
}

/// The directory of the socket that `NOTIFY_SOCKET` names in the container.
pub(super) fn notify(draft: &mut Draft<'_>) {
    let Some(directory) = draft.request.notify else { return };
    if shares_callers_mounts(draft) {
        return;
    }
    let mount = Mount {
        destination: NOTIFY_DIRECTORY.into(),
        source: Some(directory.into()),
        typ: Some("bind".to_owned()),
        options: Some(["bind", "ro", "nosuid", "nodev", "noexec"].map(str::to_owned).to_vec()),
        ..Mount::default()
    };
    let mut delayed = std::mem::take(&mut draft.delayed);
    one_mount(draft, &mount, &Origin::of("NOTIFY_SOCKET"), &mut delayed);
    draft.delayed = delayed;
}

/// Links that are copied instead of what they lead to. They are made after the root has changed, as the default ones are.
pub(super) fn links(draft: &mut Draft<'_>) {
    let mut links = std::mem::take(&mut draft.links);
    draft.init.append(&mut links);
}

/// File systems of the container's own that shall be read-only, once the mount points and nodes in them are made.
pub(super) fn finish_read_only(draft: &mut Draft<'_>) {
    let mut delayed = std::mem::take(&mut draft.delayed);
    draft.init.append(&mut delayed);
}

fn one_mount(draft: &mut Draft<'_>, mount: &Mount, origin: &Origin, delayed: &mut Vec<Step>) {
    let words = mount.options.as_deref().unwrap_or(&[]);
    let Some(mut options) = MountOptions::parse(words) else {
        let at = words.iter().position(|word| word.contains('\0')).unwrap_or_default();
        return draft.problem(&origin.field("options").index(at), "must not contain a NUL byte");
    };
    let destination = mount.destination.to_string_lossy();
    let Some(target) = destination_of(draft, &destination, &origin.field("destination")) else { return };
    let typ = mount.typ.as_deref().unwrap_or("");
    if typ == "bind" && options.bind.is_none() {
        options.bind = Some(false);
    }
    let point = |kind, options: &MountOptions| MountPoint {
        target: target.clone(),
        number: None,
        keep: false,
        kind,
        may_cover_proc: target.path().to_bytes().starts_with(b"proc"),
        attributes: options.attributes,
        recursive: options.recursive,
        propagation: options.propagation.clone(),
    };
    if mount.uid_mappings.is_some() != mount.gid_mappings.is_some() {
        draft.problem(origin, "uidMappings and gidMappings must be given together");
    }
    let wants_idmap = options.idmap.is_some() || mount.uid_mappings.is_some();
    if wants_idmap && options.bind.is_none() {
        draft.problem(origin, "only bind mounts can map ids");
    }
    if options.remount && (options.classic.is_some() || options.copy_up) {
        draft.problem(&origin.field("options"), "silent, iversion and tmpcopyup cannot be changed by a remount");
    }
    if options.remount {
        let op = Op::Remount {
            bind: options.bind.is_some(),
            point: point(PointKind::Directory, &options),
            options: with_read_only_flag(&options),
        };
        return draft.step(op, origin.clone());
    }
    if typ == "sysfs"
        && options.bind.is_none()
        && draft.below_initial_user_namespace()
        && !draft.namespaces.has(libc::CLONE_NEWNET)
    {
        return host_sysfs(draft, mount, origin, point(PointKind::RealDirectory, &options), options);
    }
    if let Some(recursive) = options.bind {
        refuse_data(draft, words, &options, origin);
        return bind(draft, mount, origin, recursive, point(PointKind::LikeSource, &options), &options);
    }
    if typ.is_empty() {
        return draft.problem(&origin.field("type"), "a mount that is not a bind mount needs a type");
    }
    if options.copy_link {
        draft.problem(&origin.field("options"), "copy-symlink requires a bind mount");
    }
    refuse_over_proc(draft, &target, typ, None, &origin.field("destination"));
    let kind = if typ == "proc" || typ == "sysfs" { PointKind::RealDirectory } else { PointKind::Directory };
    if typ == "cgroup" || typ == "cgroup2" {
        if !options.filesystem.is_empty() || options.classic.is_some() || options.copy_up {
            // They would change the hierarchy for the whole host.
            draft.problem(&origin.field("options"), "a cgroup mount takes no options of the file system");
        }
        return cgroup(draft, point(kind, &options), origin);
    }
    if options.copy_up && (typ != "tmpfs" || options.classic.is_some()) {
        draft.problem(&origin.field("options"), "tmpcopyup works with tmpfs alone, and not beside silent or iversion");
    }
    let mut place = point(kind, &options);
    if typ == "tmpfs" && options.attributes.set & RDONLY != 0 {
        place.attributes.set &= !RDONLY;
        let attributes = Attributes { set: RDONLY, clear: 0 };
        let last =
            MountPoint { attributes, recursive: Attributes::default(), propagation: Vec::new(), ..place.clone() };
        let op = Op::Remount { options: Vec::new(), bind: true, point: last };
        delayed.push(Step { op, origin: origin.field("options") });
    }
    labels::label_mount(draft, typ, &mut options);
    let filesystem = draft.c_string(typ, &origin.field("type"));
    let source = mount.source.as_ref().map_or(typ.to_owned(), |source| source.to_string_lossy().into_owned());
    let source = draft.c_string(&source, &origin.field("source"));
    // A whole page is for all options together in mount(2), but not so much for one in fsconfig(2).
    let long = !options.copy_up && options.filesystem.iter().any(FsOption::is_long);
    let joined_pids = draft.namespaces.join.iter().position(|joined| joined.kind == libc::CLONE_NEWPID as u64);
    let pid_namespace = joined_pids.filter(|_| typ == "proc");
    if pid_namespace.is_some() && options.classic.is_some() {
        draft.problem(
            &origin.field("options"),
            "proc of a joined pid namespace cannot be mounted with iversion or silent",
        );
    }
    let op = match options.classic.or(long.then_some(0)) {
        Some(flags) => Op::ClassicMount {
            filesystem,
            source,
            flags: flags | classic_flags(&place.attributes),
            data: joined(&options.filesystem),
            point: place,
        },
        None => Op::Mount {
            filesystem,
            source,
            inherit_mode: typ == "tmpfs" && options.find("mode").is_none(),
            copy_up: options.copy_up,
            pid_namespace,
            options: if typ == "tmpfs" { options.filesystem } else { with_read_only_flag(&options) },
            point: place,
        },
    };
    draft.step(op, origin.clone());
}

/// A bind mount shows a file system that has its options already.
fn refuse_data(draft: &mut Draft<'_>, words: &[String], options: &MountOptions, origin: &Origin) {
    let data = options.data().filter_map(|option| option.index);
    let copy_up = words.iter().position(|word| options.copy_up && word == "tmpcopyup");
    for index in data.chain(copy_up) {
        let text = "bind mounts cannot have any filesystem-specific options applied";
        draft.problem(&origin.field("options").index(index), format!("{text}: {:?}", words[index]));
    }
}

/// sysfs shows a network namespace, and who mounts it has to own that (sysfs(5)). Where the container stays in the host's,
/// the host's /sys is shown, as crun does and runc's rootless template; what is mounted beneath gets the same attributes.
fn host_sysfs(draft: &mut Draft<'_>, mount: &Mount, origin: &Origin, mut point: MountPoint, options: MountOptions) {
    if options.has_data() {
        draft.problem(&origin.field("options"), "sysfs of the host's network namespace takes no options of its own");
    }
    draft.notes.push(format!("{origin}: the network namespace is the host's, so its /sys is bound"));
    point.recursive.set |= point.attributes.set & (RDONLY | NOSUID | NODEV | NOEXEC);
    let host = Mount { source: Some("/sys".into()), ..mount.clone() };
    bind(draft, &host, origin, true, point, &options);
}

/// The cgroup hierarchy. A mount of cgroup2 outside a cgroup namespace would change the flags of the host's own mount
/// (`nsdelegate`, cgroup-v2.rst), so without a namespace the host's mount is shown instead.
fn cgroup(draft: &mut Draft<'_>, point: MountPoint, origin: &Origin) {
    let Some(mount) = draft.facts.cgroup_mount.clone() else { return };
    if !draft.namespaces.has(libc::CLONE_NEWCGROUP) {
        let source = draft.source(&mount.to_string_lossy(), false, origin);
        let op = Op::Bind { source, recursive: false, idmap: None, idmap_recursive: false, point };
        return draft.step(op, origin.clone());
    }
    let path = if draft.cgroup.is_none() { &draft.facts.cgroup_base } else { &draft.cgroup.path };
    let own = format!("{}{}", mount.display(), path.display());
    let host = draft.c_string(&own, origin);
    draft.step(Op::MountCgroup { host, point }, origin.clone());
}

/// `ro` on a file system of its own means its superblock as well, as with mount(2).
fn with_read_only_flag(options: &MountOptions) -> Vec<FsOption> {
    let mut list = options.filesystem.clone();
    if options.attributes.set & RDONLY != 0 && options.bind.is_none() {
        list.push(FsOption { key: c"ro".to_owned(), value: None, index: None });
    }
    list
}

/// The same attributes as `MS_*` flags.
fn classic_flags(attributes: &Attributes) -> u64 {
    let pairs =
        [(RDONLY, libc::MS_RDONLY), (NOSUID, libc::MS_NOSUID), (NODEV, libc::MS_NODEV), (NOEXEC, libc::MS_NOEXEC)];
    pairs.iter().filter(|(attribute, _)| attributes.set & attribute != 0).fold(0, |all, (_, flag)| all | flag)
}

fn joined(options: &[FsOption]) -> CString {
    let mut data = Vec::new();
    for option in options {
        if !data.is_empty() {
            data.push(b',');
        }
        data.extend_from_slice(option.key.to_bytes());
        if let Some(value) = &option.value {
            data.push(b'=');
            data.extend_from_slice(value.to_bytes());
        }
    }
    // The parts are C strings, so there is no NUL inside.
    CString::new(data).unwrap_or_default()
}

/// A relative path inside the container counts from `/`. The specification wants absolute ones; runc and crun accept both.
pub(super) fn warn_of_relative(draft: &mut Draft<'_>, path: &str, origin: &Origin) {
    if !path.starts_with('/') {
        draft.warn(origin, format!("{path:?} is not an absolute path; it counts from the root"));
    }
}

/// Where a mount goes.
fn destination_of(draft: &mut Draft<'_>, destination: &str, origin: &Origin) -> Option<InRoot> {
    warn_of_relative(draft, destination, origin);
    let Some(target) = InRoot::new(destination) else {
        draft.problem(origin, "must not contain a NUL byte");
        return None;
    };
    if target.path().is_empty() {
        draft.problem(origin, "only a mount of type \"overlay\" can be the root: others would hide it");
        return None;
    }
    Some(target)
}

fn bind(
    draft: &mut Draft<'_>,
    mount: &Mount,
    origin: &Origin,
    recursive: bool,
    mut point: MountPoint,
    options: &MountOptions,
) {
    let place = origin.field("source");
    let source = mount.source.as_ref().map(|source| source.to_string_lossy().into_owned()).unwrap_or_default();
    if source.is_empty() {
        return draft.problem(&place, "a bind mount needs a source");
    }
    let source = match source.starts_with('/') {
        true => source,
        false => format!("{}/{source}", draft.request.bundle.display()),
    };
    refuse_over_proc(draft, &point.target, "bind", Some(&source), &origin.field("destination"));
    if let Some(text) = draft.request.links.get(&source).filter(|_| options.copy_link) {
        let target = draft.c_string(text, &place);
        let op = Op::Symlink { path: point.target, target, replace: false };
        draft.links.push(Step { op, origin: origin.clone() });
        return;
    }
    if recursive && shows_own_cgroups(draft, &source) {
        point.recursive.set |= point.attributes.set & RDONLY;
    }
    if draft.facts.euid != 0 && (options.idmap.is_some() || mount.uid_mappings.is_some()) {
        draft.problem(origin, "mapping the ids of a mount takes root, to whom its file system belongs");
    }
    let idmap = match (&mount.uid_mappings, &mount.gid_mappings) {
        (Some(uids), Some(gids)) => {
            for (name, list) in [("uidMappings", uids), ("gidMappings", gids)] {
                if list.is_empty() {
                    draft.problem(&origin.field(name), "needs at least one mapping");
                }
            }
            let uids = namespaces::map_lines(draft, uids, &origin.field("uidMappings"));
            let gids = namespaces::map_lines(draft, gids, &origin.field("gidMappings"));
            draft.idmaps.push(IdMaps { uids, gids, namespace: None, origin: origin.clone() });
            Some(draft.idmaps.len() - 1)
        }
        _ if options.idmap.is_some() => {
            // Without maps of its own the mount uses the container's (runtime-spec, "idmap").
            own_maps(draft, origin)
        }
        _ => None,
    };
    let source = match source_inside(draft, &source, idmap.is_some()) {
        Some(path) => Source::Inside(path, draft.c_string(&source, &place)),
        None => draft.source(&source, recursive, &place),
    };
    let idmap_recursive = options.idmap == Some(true);
    // In its user namespace init may not map the ids of the host's mounts.
    let idmap = match (&source, draft.handles.last_mut()) {
        (Source::Handle(..), Some(handle)) => {
            handle.idmap = idmap.map(|i| (i, idmap_recursive));
            None
        }
        _ => idmap,
    };
    draft.step(Op::Bind { source, recursive, idmap, idmap_recursive, point }, origin.clone());
}

/// The path in the root that a source leads to, where what is mounted there before makes a difference. One whose ids are mapped
/// stays with the parent, which alone may do that for a user namespace.
fn source_inside(draft: &Draft<'_>, source: &str, mapped: bool) -> Option<InRoot> {
    let path = InRoot::new(draft.facts.inside_root.get(source)?)?;
    let related = |other: &InRoot| path.prefixes().zip(other.prefixes()).all(|(one, two)| one == two);
    let made = draft.init.iter().any(|step| match &step.op {
        Op::Mount { point, .. }
        | Op::ClassicMount { point, .. }
        | Op::Bind { point, .. }
        | Op::MountCgroup { point, .. } => related(&point.target),
        _ => false,
    });
    let layered = matches!(draft.request.root, RootSource::Overlay(_));
    ((made || layered) && !(mapped && draft.in_user_namespace())).then_some(path)
}

/// Would a read-only mount of this tree leave cgroups beneath it writable that are the caller's own (CVE-2023-25809)?
fn shows_own_cgroups(draft: &Draft<'_>, source: &str) -> bool {
    draft.facts.rootless() && draft.facts.cgroup_mount.as_ref().is_some_and(|mount| mount.starts_with(source))
}

/// The maps of the container's user namespace, be it new or joined.
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
                draft.problem(origin, "idmap without uidMappings and gidMappings needs a user namespace");
                return None;
            };
            let (uids, gids) = (String::new(), String::new());
            draft.idmaps.push(IdMaps { uids, gids, namespace: Some(namespace), origin: origin.clone() });
            Some(draft.idmaps.len() - 1)
        }
    }
}

/// A mount over /proc could make later writes of labels and parameters go elsewhere (CVE-2019-16884).
fn refuse_over_proc(draft: &mut Draft<'_>, target: &InRoot, typ: &str, source: Option<&str>, origin: &Origin) {
    let path = target.path().to_string_lossy();
    if path == "proc" && (typ == "proc" || source == Some("/proc")) {
        return;
    }
    let below = path == "proc" || path.starts_with("proc/");
    if below && !(typ == "bind" && COVERABLE_PROC_FILES.contains(&&*path)) {
        draft.problem(origin, format!("\"/{path}\" cannot be mounted because it is inside /proc"));
    }
}

/// Makes the mounted root the root directory.
pub(super) fn change_root(draft: &mut Draft<'_>) {
    if shares_callers_mounts(draft) {
        if let RootSource::Directory(path) = draft.request.root.clone() {
            let origin = Origin::of("root.path");
            let path = draft.c_string(&path, &origin);
            draft.step(Op::Chroot(path), origin);
        }
        return;
    }
    match draft.request.no_pivot {
        false => draft.step(Op::PivotRoot, Origin::of("root.path")),
        // The host's /proc and /sys beneath could not be taken away: they are locked (mount_namespaces(7)).
        true if draft.in_user_namespace() => {
            draft
                .problem(&Origin::of("--no-pivot"), "not possible with a user namespace: the host's mounts would stay");
        }
        true => {
            take_views_away(draft);
            let over_slash = |step: &Step| matches!(step.op, Op::BindRoot(_, RootPlace::OverSlash));
            let elsewhere = !draft.init.iter().any(over_slash);
            draft.step(Op::ChangeRoot { elsewhere }, Origin::of("--no-pivot"));
        }
    }
}
/// With the host's root beneath, the kernel finds the host's procfs and sysfs when the container wants to mount its own in a
/// user namespace, and then lets it do so without the masks (`mount_too_revealing`).
fn take_views_away(draft: &mut Draft<'_>) {
    let origin = Origin::of("--no-pivot");
    let under = |view: &Path| {
        Path::new(draft.request.root_path).parent().is_some() && view.starts_with(draft.request.root_path)
    };
    // Where hooks look for the root it is mounted over its own path, and covers them.
    let covered = draft.hooks.before_pivot();
    // The last first: it lies on the others.
    let views = &draft.facts.kernel_views;
    for (i, view) in views.iter().enumerate().rev() {
        if views[i + 1..].contains(view) {
            // They lie on each other, and go together.
            continue;
        }
        if covered && under(view) {
            let text = format!("{} is mounted inside root.path (hint: unmount it)", view.display());
            draft.problems.add(&origin, text);
        }
        let path = c_string(&mut draft.problems, &view.to_string_lossy(), &origin);
        draft.init.push(Step { op: Op::TakeAway(path), origin: origin.clone() });
    }
}

/// Read-only and masked paths, and the root itself.
pub(super) fn views(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    if shares_callers_mounts(draft) {
        return;
    }
    let lists = [("linux.readonlyPaths", &linux.readonly_paths), ("linux.maskedPaths", &linux.masked_paths)];
    for (place, paths) in lists {
        for (i, path) in paths.iter().enumerate() {
            let origin = Origin::of(place).index(i);
            warn_of_relative(draft, path, &origin);
            match InRoot::new(path) {
                Some(target) if target.path().is_empty() => draft.problem(&origin, "cannot be the root"),
                Some(target) if place == "linux.readonlyPaths" => {
                    draft.step(Op::ReadonlyPath { path: target, number: None }, origin)
                }
                Some(path) => {
                    let label = draft.mount_label.clone();
                    draft.step(Op::MaskedPath { path, label, number: None }, origin);
                }
                None => draft.problem(&origin, "must not contain a NUL byte"),
            }
        }
    }
    if let Some(flags) = root_propagation(linux) {
        draft.step(Op::RootPropagation(flags), Origin::of("linux.rootfsPropagation"));
    }
    if spec.root.as_ref().is_some_and(|root| root.readonly) {
        draft.step(Op::ReadonlyRoot, Origin::of("root.readonly"));
    }
}
