//! `mounts`: each entry becomes a step, or several.

mod bind;
mod callers;
mod filesystem;
mod root;
mod views;

use super::mount_options::MountOptions;
use super::overlay_root::is_overlay_root;
use super::{Draft, RootSource, c_string, labels, mount_options, namespaces};
use crate::spec::{Mount, Spec};
use crate::{InRoot, MountPoint, Op, Origin, PointKind};
use callers::shares_callers_mounts;

pub use bind::is_bind;
pub(super) use root::{change_root, root};
pub(super) use views::views;

/// The directory of the readiness socket in the container (runc's path).
pub(super) const NOTIFY_DIRECTORY: &str = "/run/notify";

/// Files below /proc that a mount may cover: those that LXCFS and similar programs provide (runc's list).
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

/// One of `mounts`, with its options sorted.
struct Entry<'m> {
    mount: &'m Mount,
    origin: &'m Origin,
    /// Its type; empty if absent.
    typ: &'m str,
    target: InRoot,
    options: MountOptions,
}

impl<'m> Entry<'m> {
    /// Reads an entry. Returns none if its options or its destination have a problem.
    fn read(draft: &mut Draft<'_>, mount: &'m Mount, origin: &'m Origin) -> Option<Entry<'m>> {
        let words = mount.options.as_deref().unwrap_or(&[]);
        let Some(mut options) = MountOptions::parse(words) else {
            let at = words.iter().position(|word| word.contains('\0')).unwrap_or_default();
            draft.problem(&origin.field("options").index(at), "must not contain a NUL byte");
            return None;
        };
        let target = destination_of(draft, &mount.destination.to_string_lossy(), &origin.field("destination"))?;
        let typ = mount.typ.as_deref().unwrap_or("");
        if typ == "bind" && options.bind.is_none() {
            options.bind = Some(false);
        }
        Some(Entry { mount, origin, typ, target, options })
    }

    fn point(&self, kind: PointKind) -> MountPoint {
        MountPoint {
            target: self.target.clone(),
            number: None,
            keep: false,
            kind,
            may_cover_proc: self.target.path().to_bytes().starts_with(b"proc"),
            attributes: self.options.attributes,
            recursive: self.options.recursive,
            propagation: self.options.propagation.clone(),
        }
    }

    /// Returns the origin of a member of the entry.
    fn field(&self, name: &str) -> Origin {
        self.origin.field(name)
    }
}

/// Adds the steps of `mounts`, in order, except for the overlay at `/`, which is the root.
pub(super) fn mounts(draft: &mut Draft<'_>, spec: &Spec) {
    if shares_callers_mounts(draft) {
        return;
    }
    let list = Origin::of("mounts");
    let mut root = None;
    for (i, mount) in spec.mounts.iter().enumerate() {
        if is_overlay_root(mount) {
            if let Some(first) = root.replace(i) {
                draft.problem(&list.index(i), format!("the root is already an overlay: mounts[{first}]"));
            }
            continue;
        }
        one_mount(draft, mount, &list.index(i));
    }
}

/// Mounts the directory of the socket that `NOTIFY_SOCKET` names in the container.
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
    one_mount(draft, &mount, &Origin::of("NOTIFY_SOCKET"));
}

fn one_mount(draft: &mut Draft<'_>, mount: &Mount, origin: &Origin) {
    let Some(entry) = Entry::read(draft, mount, origin) else { return };
    if mount.uid_mappings.is_some() != mount.gid_mappings.is_some() {
        draft.problem(origin, "uidMappings and gidMappings must be given together");
    }
    let wants_idmap = entry.options.idmap.is_some() || mount.uid_mappings.is_some();
    if wants_idmap && entry.options.bind.is_none() {
        draft.problem(origin, "only bind mounts can map ids");
    }
    if entry.options.remount {
        remount(draft, &entry);
    } else if bind::is_host_sysfs(draft, &entry) {
        bind::host_sysfs(draft, &entry);
    } else if let Some(recursive) = entry.options.bind {
        bind::given(draft, &entry, recursive);
    } else {
        filesystem::filesystem(draft, entry);
    }
}

fn remount(draft: &mut Draft<'_>, entry: &Entry<'_>) {
    let Entry { options, .. } = entry;
    if options.classic.is_some() || options.copy_up {
        draft.problem(&entry.field("options"), "silent, iversion and tmpcopyup cannot be changed by a remount");
    }
    let op = Op::Remount {
        bind: options.bind.is_some(),
        point: entry.point(PointKind::Directory),
        options: filesystem::with_read_only_flag(options),
    };
    draft.step(op, entry.origin.clone());
}

/// Adds the links of `copy-symlink`. Like the default links, they are created after the root has changed.
pub(super) fn links(draft: &mut Draft<'_>) {
    let mut links = std::mem::take(&mut draft.links);
    draft.init.append(&mut links);
}

/// Makes the container's new file systems read-only, once the mount points and nodes in them exist.
pub(super) fn finish_read_only(draft: &mut Draft<'_>) {
    let mut delayed = std::mem::take(&mut draft.delayed);
    draft.init.append(&mut delayed);
}

/// Warns about a relative path, which starts at `/` of the container. The specification requires absolute paths; runc
/// and crun accept both.
pub(super) fn warn_of_relative(draft: &mut Draft<'_>, path: &str, origin: &Origin) {
    if !path.starts_with('/') {
        draft.warn(origin, format!("{path:?} is not an absolute path; it starts at the root"));
    }
}

/// Returns the path where a mount goes.
fn destination_of(draft: &mut Draft<'_>, destination: &str, origin: &Origin) -> Option<InRoot> {
    warn_of_relative(draft, destination, origin);
    let Some(target) = InRoot::new(destination) else {
        draft.problem(origin, "must not contain a NUL byte");
        return None;
    };
    if target.path().is_empty() {
        draft.problem(origin, "only a mount of type \"overlay\" can be the root; another one would hide it");
        return None;
    }
    Some(target)
}

/// Refuses mounts over /proc, which could redirect later writes of labels and parameters (CVE-2019-16884).
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
