//! Mounts that are new instances of a file system.

use std::ffi::CString;

use super::super::mount_options::{MountOptions, NODEV, NOEXEC, NOSUID, RDONLY};
use super::{Draft, Entry, labels, refuse_over_proc};
use crate::{Attributes, FsOption, MountPoint, Op, Origin, PointKind, Step};

/// Adds a mount that is neither a bind mount nor a remount.
pub(super) fn filesystem(draft: &mut Draft<'_>, mut entry: Entry<'_>) {
    let typ = entry.typ;
    if typ.is_empty() {
        return draft.problem(&entry.field("type"), "a mount that is not a bind mount requires a type");
    }
    if entry.options.copy_link {
        draft.problem(&entry.field("options"), "copy-symlink requires a bind mount");
    }
    refuse_over_proc(draft, &entry.target, typ, None, &entry.field("destination"));
    let kind = if typ == "proc" || typ == "sysfs" { PointKind::RealDirectory } else { PointKind::Directory };
    if typ == "cgroup" || typ == "cgroup2" {
        if !entry.options.filesystem.is_empty() || entry.options.classic.is_some() || entry.options.copy_up {
            // The options would change the hierarchy for the whole host.
            draft.problem(&entry.field("options"), "a cgroup mount does not support options of the file system");
        }
        return cgroup(draft, entry.point(kind), entry.origin);
    }
    if entry.options.copy_up && (typ != "tmpfs" || entry.options.classic.is_some()) {
        draft.problem(&entry.field("options"), "tmpcopyup requires a tmpfs without silent and iversion");
    }
    let mut point = entry.point(kind);
    if typ == "tmpfs" && point.attributes.set & RDONLY != 0 {
        make_read_only_later(draft, &mut point, entry.field("options"));
    }
    labels::label_mount(draft, typ, &mut entry.options);
    let pid_namespace = pid_namespace_of(draft, &entry);
    let origin = entry.origin.clone();
    let op = new_instance(draft, entry, point, pid_namespace);
    draft.step(op, origin);
}

/// Delays read-only: a read-only tmpfs stays writable until its mount points and nodes exist.
fn make_read_only_later(draft: &mut Draft<'_>, point: &mut MountPoint, origin: Origin) {
    point.attributes.set &= !RDONLY;
    let attributes = Attributes { set: RDONLY, clear: 0 };
    let last = MountPoint { attributes, recursive: Attributes::default(), propagation: Vec::new(), ..point.clone() };
    draft.delayed.push(Step { op: Op::Remount { options: Vec::new(), bind: true, point: last }, origin });
}

/// Returns the joined pid namespace that a procfs shows, as an index of `namespaces.join`.
fn pid_namespace_of(draft: &mut Draft<'_>, entry: &Entry<'_>) -> Option<usize> {
    let joined = draft.namespaces.join.iter().position(|joined| joined.kind == libc::CLONE_NEWPID as u64);
    let joined = joined.filter(|_| entry.typ == "proc");
    if joined.is_some() && entry.options.classic.is_some() {
        draft.problem(
            &entry.field("options"),
            "proc of a joined pid namespace cannot be mounted with iversion or silent",
        );
    }
    joined
}

fn new_instance(draft: &mut Draft<'_>, entry: Entry<'_>, point: MountPoint, pid_namespace: Option<usize>) -> Op {
    let filesystem = draft.c_string(entry.typ, &entry.field("type"));
    let source = entry.mount.source.as_ref().map_or(entry.typ.into(), |source| source.to_string_lossy());
    let source = draft.c_string(&source, &entry.field("source"));
    let options = entry.options;
    // mount(2) allows one page for all options together; fsconfig(2) allows less for a single option.
    let long = !options.copy_up && options.filesystem.iter().any(FsOption::is_long);
    match options.classic.or(long.then_some(0)) {
        Some(flags) => Op::ClassicMount {
            filesystem,
            source,
            flags: flags | classic_flags(&point.attributes),
            data: joined(&options.filesystem),
            point,
        },
        None => Op::Mount {
            filesystem,
            source,
            inherit_mode: entry.typ == "tmpfs" && options.find("mode").is_none(),
            copy_up: options.copy_up,
            pid_namespace,
            options: if entry.typ == "tmpfs" { options.filesystem } else { with_read_only_flag(&options) },
            point,
        },
    }
}

/// Adds the cgroup hierarchy. Mounting cgroup2 outside a cgroup namespace would change the flags of the host's own
/// mount (`nsdelegate`, cgroup-v2.rst), so without a cgroup namespace the host's mount is shown instead.
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

/// Returns the options with `ro` for the superblock: on a new file system `ro` applies to the superblock as well, as
/// with mount(2).
pub(super) fn with_read_only_flag(options: &MountOptions) -> Vec<FsOption> {
    let mut list = options.filesystem.clone();
    if options.attributes.set & RDONLY != 0 && options.bind.is_none() {
        list.push(FsOption { key: c"ro".to_owned(), value: None, index: None });
    }
    list
}

/// Returns the attributes as `MS_*` flags.
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
