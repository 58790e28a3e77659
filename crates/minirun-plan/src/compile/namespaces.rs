//! `linux.namespaces`, the id maps and clocks that belong to new ones, and the names in the UTS namespace.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::Draft;
use crate::spec::{IdMapping, Linux, LinuxNamespaceType, Spec};
use crate::{HostOp, HostStep, JoinedNamespace, Op, Origin};

/// Returns the name of a namespace type in the configuration.
pub(crate) fn name_of(kind: u64) -> &'static str {
    match kind as i32 {
        libc::CLONE_NEWPID => "pid",
        libc::CLONE_NEWNET => "network",
        libc::CLONE_NEWNS => "mount",
        libc::CLONE_NEWIPC => "ipc",
        libc::CLONE_NEWUTS => "uts",
        libc::CLONE_NEWUSER => "user",
        libc::CLONE_NEWCGROUP => "cgroup",
        _ => "time",
    }
}

fn kind_of(typ: LinuxNamespaceType) -> i32 {
    match typ {
        LinuxNamespaceType::Pid => libc::CLONE_NEWPID,
        LinuxNamespaceType::Network => libc::CLONE_NEWNET,
        LinuxNamespaceType::Mount => libc::CLONE_NEWNS,
        LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC,
        LinuxNamespaceType::Uts => libc::CLONE_NEWUTS,
        LinuxNamespaceType::User => libc::CLONE_NEWUSER,
        LinuxNamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
        LinuxNamespaceType::Time => libc::CLONE_NEWTIME,
    }
}

fn has_user(linux: &Linux) -> bool {
    linux.namespaces.iter().any(|namespace| kind_of(namespace.typ()) == libc::CLONE_NEWUSER)
}

/// Sorts the namespaces into new and joined ones, and adds the steps that enter them.
pub(super) fn namespaces(draft: &mut Draft<'_>, linux: &Linux) {
    let list = Origin::of("linux.namespaces");
    for (i, namespace) in linux.namespaces.iter().enumerate() {
        let kind = kind_of(namespace.typ());
        let origin = list.index(i);
        if draft.namespaces.has(kind) {
            draft.problem(&origin.field("type"), format!("duplicate namespace type {:?}", name_of(kind as u64)));
            continue;
        }
        match namespace.path().as_deref().filter(|path| *path != Path::new("")) {
            None if kind == libc::CLONE_NEWTIME && draft.facts.euid != 0 && !has_user(linux) => {
                let text = "a new time namespace requires a user namespace in linux.namespaces, or root";
                draft.problem(&origin.field("type"), text);
            }
            None => draft.namespaces.new |= kind as u64,
            Some(path) if !path.is_absolute() => {
                draft.problem(&origin.field("path"), format!("{} must be an absolute path", path.display()));
            }
            Some(path) => {
                let origin = origin.field("path");
                if path.as_os_str().as_encoded_bytes().contains(&0) {
                    draft.problem(&origin, "must not contain a NUL byte");
                }
                draft.namespaces.join.push(JoinedNamespace { kind: kind as u64, path: PathBuf::from(path), origin });
            }
        }
    }
    user_namespace(draft, linux);
    if draft.namespaces.is_joined(libc::CLONE_NEWUSER) {
        draft.namespaces.leave_groups = must_leave_groups(draft);
    }
    draft.namespaces.by_go_between = match draft.facts.euid {
        0 => {
            let away = !draft.namespaces.join.is_empty() || draft.namespaces.parent_makes_time();
            // Root of a user namespace is not allowed to return to namespaces of the host.
            away && !draft.facts.initial_user_namespace
        }
        _ => draft.namespaces.is_joined(libc::CLONE_NEWUSER),
    };
    time_offsets(draft, linux);
    if draft.in_user_namespace() {
        if draft.namespaces.is_new(libc::CLONE_NEWTIME) {
            let clocks = draft.namespaces.time_offsets.is_some();
            draft.step(Op::NewTime, Origin::of(if clocks { "linux.timeOffsets" } else { "linux.namespaces (time)" }));
        }
        become_root(draft, linux);
    }
    // The parent enters the other namespaces for init and returns. It could not leave these again, or not enter them
    // alone. A process in a joined cgroup namespace cannot create a child in a cgroup outside of it (`nsdelegate`,
    // cgroup-v2.rst). So init enters that one after the clone, unless its own user namespace gives it no right to do
    // so.
    let cgroup = if draft.namespaces.is_new(libc::CLONE_NEWUSER) { 0 } else { libc::CLONE_NEWCGROUP };
    for kind in [libc::CLONE_NEWNS, libc::CLONE_NEWTIME, cgroup] {
        if let Some(i) = draft.namespaces.join.iter().position(|joined| joined.kind == kind as u64) {
            let origin = draft.namespaces.join[i].origin.clone();
            draft.step(Op::Join(i), origin);
        }
    }
}

/// Adds the step that enters all namespaces of a running container that its configuration lists.
pub(super) fn enter_container(draft: &mut Draft<'_>, linux: &Linux) {
    let kinds = linux.namespaces.iter().fold(0, |kinds, namespace| kinds | kind_of(namespace.typ()) as u64);
    let user = kinds & libc::CLONE_NEWUSER as u64;
    if user != 0 && must_leave_groups(draft) {
        draft.step(Op::Groups(Vec::new()), Origin::of("process.user.additionalGids"));
    }
    draft.step(Op::EnterContainer(kinds), Origin::of("linux.namespaces"));
    if user != 0 {
        become_root(draft, linux);
    }
    draft.namespaces.entered = kinds;
    session_keyring(draft);
}

/// Adds the step that becomes root of the user namespace. Root has every capability there, even if id 0 is not mapped;
/// but an unmapped id cannot create files. The mappings of a joined namespace are known if the configuration repeats
/// them, as engines do.
fn become_root(draft: &mut Draft<'_>, linux: &Linux) {
    let first = |maps: &[IdMapping]| {
        let zero = maps.iter().any(|map| map.container_id == 0);
        maps.first().filter(|_| !zero).map_or(0, |map| map.container_id)
    };
    let op = Op::BecomeRoot { uid: first(&linux.uid_mappings), gid: first(&linux.gid_mappings) };
    draft.step(op, Origin::of("linux.namespaces (user)"));
}

/// Whether root must give up its groups before it enters. A user namespace that denies setgroups(2) keeps the groups
/// that a process brings along. An ordinary user cannot give them up at all.
fn must_leave_groups(draft: &Draft<'_>) -> bool {
    draft.facts.joined_setgroups_denied && !draft.facts.setgroups_denied && draft.facts.euid == 0
}

/// Adds the id mappings of a new user namespace.
fn user_namespace(draft: &mut Draft<'_>, linux: &Linux) {
    let maps =
        [("linux.uidMappings", "uid_map", &linux.uid_mappings), ("linux.gidMappings", "gid_map", &linux.gid_mappings)];
    for (place, file, mappings) in maps {
        let origin = Origin::of(place);
        if !draft.in_user_namespace() {
            if !mappings.is_empty() {
                draft.problem(&origin, "id mappings require a user namespace in linux.namespaces");
            }
            continue;
        }
        if draft.namespaces.is_joined(libc::CLONE_NEWUSER) {
            // containerd and CRI-O send the mappings of a namespace that they made: they are there already.
            continue;
        }
        if mappings.is_empty() {
            draft.problem(&origin, "a new user namespace requires at least one mapping");
        }
        let value = map_lines(draft, mappings, &origin);
        for op in map_ops(draft, file, mappings, value) {
            draft.host.push(HostStep { op, origin: origin.clone() });
        }
    }
}

/// Returns the operations that write a map. An ordinary user may map one id, its own, and the group only after giving
/// up setgroups. The helpers also map the ids that the administrator has granted (user_namespaces(7), subuid(5)).
fn map_ops(draft: &Draft<'_>, file: &'static str, mappings: &[IdMapping], value: String) -> Vec<HostOp> {
    let users = file == "uid_map";
    let own = if users { draft.facts.euid } else { draft.facts.egid };
    match mappings {
        _ if draft.facts.euid == 0 => vec![HostOp::WriteProc { file, value }],
        [one] if one.host_id == own && one.size == 1 && users => vec![HostOp::WriteProc { file, value }],
        [one] if one.host_id == own && one.size == 1 => {
            let denied = HostOp::WriteProc { file: "setgroups", value: "deny".to_owned() };
            vec![denied, HostOp::WriteProc { file, value }]
        }
        _ => vec![HostOp::MapIds { program: if users { "newuidmap" } else { "newgidmap" }, value }],
    }
}

/// Returns the mappings as lines for `uid_map` and `gid_map`.
pub(super) fn map_lines(draft: &mut Draft<'_>, mappings: &[IdMapping], origin: &Origin) -> String {
    let mut lines = String::new();
    for (i, mapping) in mappings.iter().enumerate() {
        let ends = [mapping.container_id.checked_add(mapping.size), mapping.host_id.checked_add(mapping.size)];
        if mapping.size == 0 || ends.contains(&None) {
            draft.problem(&origin.index(i).field("size"), format!("{} is out of range", mapping.size));
        }
        // Writing to a String cannot fail.
        let _infallible = writeln!(lines, "{} {} {}", mapping.container_id, mapping.host_id, mapping.size);
    }
    for (later, earlier) in overlaps(mappings) {
        draft.problem(&origin.index(later), format!("overlaps element {earlier}"));
    }
    // The map must fit in one write of less than a page (user_namespaces(7)).
    const MAX_BYTES: usize = 4096;
    let (count, bytes) = (mappings.len(), lines.len());
    if count > 340 {
        draft.problem(origin, format!("has {count} mappings, but the kernel supports at most 340"));
    } else if bytes >= MAX_BYTES {
        let text =
            format!("{count} mappings are {bytes} bytes of text, but the kernel supports fewer than {MAX_BYTES}");
        draft.problem(origin, format!("{text} (hint: use fewer mappings of more ids)"));
    }
    lines
}

/// Returns the pairs of elements that share an id inside or outside, as indices with the greater one first. Each
/// overlapping element is in at least one pair.
fn overlaps(mappings: &[IdMapping]) -> BTreeSet<(usize, usize)> {
    let mut found = BTreeSet::new();
    for start in [|mapping: &IdMapping| mapping.container_id, |mapping: &IdMapping| mapping.host_id] {
        let mut sorted: Vec<usize> = (0..mappings.len()).filter(|i| mappings[*i].size > 0).collect();
        sorted.sort_by_key(|i| start(&mappings[*i]));
        let end = |i: usize| u64::from(start(&mappings[i])) + u64::from(mappings[i].size);
        let mut furthest: Option<usize> = None;
        for i in sorted {
            match furthest {
                Some(other) if u64::from(start(&mappings[i])) < end(other) => {
                    found.insert((i.max(other), i.min(other)));
                    furthest = Some(if end(i) > end(other) { i } else { other });
                }
                _ => furthest = Some(i),
            }
        }
    }
    found
}

/// Sets the clocks of a new time namespace (time_namespaces(7)).
fn time_offsets(draft: &mut Draft<'_>, linux: &Linux) {
    let Some(offsets) = linux.time_offsets.as_ref().filter(|offsets| !offsets.is_empty()) else { return };
    let origin = Origin::of("linux.timeOffsets");
    if !draft.namespaces.is_new(libc::CLONE_NEWTIME) {
        draft.problem(&origin, "clock offsets require a new time namespace in linux.namespaces");
    }
    let mut lines = String::new();
    for (clock, offset) in offsets {
        if clock != "monotonic" && clock != "boottime" {
            draft.problem(&origin.key(clock), "unknown clock (expected monotonic or boottime)");
        }
        let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        if nanoseconds >= 1_000_000_000 {
            draft.problem(
                &origin.key(clock).field("nanosecs"),
                format!("{nanoseconds} is out of range (expected 0 to 999999999)"),
            );
        }
        let _infallible = writeln!(lines, "{clock} {seconds} {nanoseconds}");
    }
    if draft.facts.euid != 0 && draft.namespaces.is_joined(libc::CLONE_NEWUSER) {
        draft.problem(&origin, "setting the clocks requires root, or a new user namespace instead of a joined one");
    }
    draft.namespaces.time_offsets = Some(lines);
}

/// Adds a session keyring for the container, so that it cannot see the caller's keys.
pub(super) fn session_keyring(draft: &mut Draft<'_>) {
    if !draft.request.no_new_keyring {
        let origin = Origin::of("default session keyring");
        let name = draft.c_string(&format!("_ses.{}", draft.request.id), &origin);
        draft.step(Op::SessionKeyring(name), origin);
    }
}

/// Adds the steps for the loopback interface, without which a container with its own network cannot reach itself, and
/// for `hostname` and `domainname`.
pub(super) fn names(draft: &mut Draft<'_>, spec: &Spec) {
    if draft.namespaces.is_new(libc::CLONE_NEWNET) {
        draft.step(Op::LoopbackUp, Origin::of("default loopback"));
    }
    for (place, name) in [("hostname", &spec.hostname), ("domainname", &spec.domainname)] {
        let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else { continue };
        let origin = Origin::of(place);
        if !draft.namespaces.has(libc::CLONE_NEWUTS) {
            draft.problem(&origin, format!("unable to set {place} without a private UTS namespace"));
        }
        if name.len() > 64 {
            draft.problem(&origin, format!("{} bytes are too long (expected at most 64)", name.len()));
        }
        let name = draft.c_string(name, &origin);
        draft.step(if place == "hostname" { Op::Hostname(name) } else { Op::Domainname(name) }, origin);
    }
}
