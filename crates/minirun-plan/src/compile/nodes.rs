//! Device nodes and links in /dev: the specification's default ones, and `linux.devices`.

use std::collections::BTreeMap;
use std::ffi::CString;

use super::Draft;
use super::mounts::{is_bind, warn_of_relative};
use crate::spec::{Device, IdMapping, Linux, LinuxDeviceType, Spec};
use crate::{Handle, HostNode, InRoot, NodeKind, Op, Origin, Source};

/// The devices that every container has (runtime-spec, "Default Devices"): path, major, minor.
const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("dev/null", 1, 3),
    ("dev/zero", 1, 5),
    ("dev/full", 1, 7),
    ("dev/random", 1, 8),
    ("dev/urandom", 1, 9),
    ("dev/tty", 5, 0),
];

/// The origin of the default devices.
const DEFAULT: &str = "default devices";

/// The greatest major and minor numbers that the kernel stores (`MINORBITS` in linux/kdev_t.h).
const MAX_MAJOR: i64 = (1 << 12) - 1;
const MAX_MINOR: i64 = (1 << 20) - 1;

/// The links that every container has (runtime-spec, "Dev symbolic links").
const DEFAULT_LINKS: [(&str, &str); 4] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
];

/// A node to create.
struct Node {
    path: InRoot,
    kind: NodeKind,
    device: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    origin: Origin,
}

/// Adds the steps that mount the host's device nodes. In a user namespace device nodes cannot be created (mknod(2)), so
/// the host's are mounted while they can still be seen. If a listed one differs from the host's, the parent creates
/// one, if it has the right to.
pub(super) fn host_nodes(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    if !draft.below_initial_user_namespace() || !draft.namespaces.has(libc::CLONE_NEWNS) {
        return;
    }
    let listed: BTreeMap<_, _> = linux
        .devices
        .iter()
        .filter_map(|device| Some((InRoot::new(&device.path)?.path().to_owned(), device)))
        .collect();
    for node in all_nodes(draft, spec, linux) {
        if node.kind == NodeKind::Fifo {
            continue;
        }
        let host = format!("/{}", node.path.path().to_string_lossy());
        let asked = listed.get(node.path.path());
        let source = match asked.and_then(|asked| difference(draft, &node, asked, &host, linux)) {
            None => draft.source(&host, false, &node.origin),
            Some((field, text)) => match made_node(draft, &node, linux) {
                Ok(made) => made_source(draft, made, &host, &node.origin),
                Err(why) => {
                    draft.problem(&node.origin.field(field), format!("{text} ({why})"));
                    continue;
                }
            },
        };
        draft.step(Op::BindDevice { source, path: node.path, kind: node.kind, device: node.device }, node.origin);
    }
}

/// Returns the field that differs between a node of the host and the requested one, and a description. An owner can be
/// given with its id on the host, because engines copy that id, or with its id in the container.
fn difference(
    draft: &Draft<'_>,
    node: &Node,
    asked: &Device,
    host: &str,
    linux: &Linux,
) -> Option<(&'static str, String)> {
    let Some(found) = draft.facts.nodes.get(host) else {
        return Some(("path", format!("the host has no device node {host}")));
    };
    if (found.kind, found.device) != (node.kind, node.device) {
        return Some(("path", format!("{host} is another device on the host")));
    }
    if asked.file_mode.is_some() && node.mode != found.mode {
        return Some(("fileMode", format!("the host's {host} has mode {:04o}", found.mode)));
    }
    let ids = [("uid", asked.uid, found.uid, &linux.uid_mappings), ("gid", asked.gid, found.gid, &linux.gid_mappings)];
    ids.into_iter().find_map(|(field, asked, found, maps)| {
        let differs = asked.is_some_and(|id| id != found && host_id(maps, id) != Some(found));
        differs.then(|| (field, format!("the host's {host} belongs to {found}")))
    })
}

/// Returns the id on the host.
fn host_id(maps: &[IdMapping], id: u32) -> Option<u32> {
    let inside = |map: &&IdMapping| id >= map.container_id && id - map.container_id < map.size;
    maps.iter().find(inside).and_then(|map| map.host_id.checked_add(id - map.container_id))
}

/// Returns the node as the parent creates it; or why it cannot.
fn made_node(draft: &Draft<'_>, node: &Node, linux: &Linux) -> Result<HostNode, String> {
    if draft.facts.rootless() || !draft.in_user_namespace() {
        return Err("hint: remove it, or create the node on the host: only the host's root can create one".to_owned());
    }
    let id = |maps: &[IdMapping], id: u32, place: &str| {
        host_id(maps, id).ok_or_else(|| format!("it cannot be created: {id} is not in {place}"))
    };
    Ok(HostNode {
        kind: node.kind,
        device: node.device,
        mode: node.mode,
        uid: id(&linux.uid_mappings, node.uid, "linux.uidMappings")?,
        gid: id(&linux.gid_mappings, node.gid, "linux.gidMappings")?,
    })
}

fn made_source(draft: &mut Draft<'_>, node: HostNode, host: &str, origin: &Origin) -> Source {
    let path = draft.c_string(host, origin);
    let label = draft.mount_label.clone().map(|label| (draft.label_option.to_owned(), label));
    let handle = Handle {
        path: path.clone(),
        recursive: false,
        idmap: None,
        connected: false,
        node: Some(node),
        label,
        origin: origin.clone(),
    };
    draft.handles.push(handle);
    Source::Handle(draft.handles.len() - 1, path)
}

/// Adds the nodes and links that init creates. The root is the container's by then, so no path can lead out of it.
pub(super) fn own_nodes(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    // In the caller's mounts /dev may be the host's.
    if !draft.namespaces.has(libc::CLONE_NEWNS) {
        return;
    }
    let pipes_only = draft.below_initial_user_namespace();
    for Node { path, kind, device, mode, uid, gid, origin } in all_nodes(draft, spec, linux) {
        if kind == NodeKind::Fifo || !pipes_only {
            draft.step(Op::Device { path, kind, device, mode, uid, gid }, origin);
        }
    }
    if !sets_up_dev(spec) {
        return;
    }
    let kcore = [("dev/core", "/proc/kcore")];
    let links = DEFAULT_LINKS.iter().chain(kcore.iter().filter(|_| draft.facts.kcore));
    for (path, target) in links.copied().chain([("dev/ptmx", "pts/ptmx")]) {
        let origin = Origin::of("default links");
        let (Some(path), target) = (InRoot::new(path), draft.c_string(target, &origin)) else { continue };
        let replace = path.name() == c"ptmx";
        draft.step(Op::Symlink { path, target, replace }, origin);
    }
}

/// Whether /dev is the container's own; a bind-mounted one is left as it is.
fn sets_up_dev(spec: &Spec) -> bool {
    !spec.mounts.iter().any(|mount| {
        is_bind(mount) && InRoot::new(&mount.destination.to_string_lossy()).is_some_and(|path| path.path() == c"dev")
    })
}

/// Returns all nodes. A listed device replaces the default one, whose mode and owner nobody chose, and an equal one
/// before it.
fn all_nodes(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) -> Vec<Node> {
    let mut nodes: Vec<Option<Node>> = Vec::with_capacity(DEFAULT_DEVICES.len() + linux.devices.len());
    let mut places: BTreeMap<CString, usize> = BTreeMap::new();
    if sets_up_dev(spec) {
        for (path, major, minor) in DEFAULT_DEVICES {
            let Some(path) = InRoot::new(path) else { continue };
            let device = libc::makedev(major, minor);
            let origin = Origin::of(DEFAULT);
            places.insert(path.path().to_owned(), nodes.len());
            nodes.push(Some(Node { path, kind: NodeKind::Char, device, mode: 0o666, uid: 0, gid: 0, origin }));
        }
    }
    for (i, device) in linux.devices.iter().enumerate() {
        let Some(node) = listed_node(draft, device, Origin::of("linux.devices").index(i)) else { continue };
        let before = places.insert(node.path.path().to_owned(), nodes.len());
        if let Some(first) = before.and_then(|place| nodes[place].take())
            && (first.kind, first.device) != (node.kind, node.device)
            && first.origin != Origin::of(DEFAULT)
        {
            let text = format!("{} is another device at the same path", first.origin);
            draft.problem(&node.origin.field("path"), text);
        }
        nodes.push(Some(node));
    }
    nodes.into_iter().flatten().collect()
}

fn listed_node(draft: &mut Draft<'_>, device: &Device, origin: Origin) -> Option<Node> {
    let place = origin.field("path");
    warn_of_relative(draft, &device.path, &place);
    let kind = match device.typ {
        LinuxDeviceType::C | LinuxDeviceType::U => NodeKind::Char,
        LinuxDeviceType::B => NodeKind::Block,
        LinuxDeviceType::P => NodeKind::Fifo,
        LinuxDeviceType::A => {
            draft.problem(
                &origin.field("type"),
                "invalid type \"a\" (expected c, b, u or p; \"a\" is for device rules)",
            );
            return None;
        }
    };
    let mut number = |name: &'static str, value: Option<i64>, most: i64| match value {
        _ if kind == NodeKind::Fifo => 0,
        Some(value) if (0..=most).contains(&value) => value as u32,
        Some(value) => {
            draft.problem(&origin.field(name), format!("{value} is out of range (expected 0 to {most})"));
            0
        }
        None => {
            draft.problem(&origin.field(name), "is required for a device node");
            0
        }
    };
    let device_number =
        libc::makedev(number("major", device.major, MAX_MAJOR), number("minor", device.minor, MAX_MINOR));
    for (name, id) in [("uid", device.uid), ("gid", device.gid)] {
        // chown(2) interprets this id as "do not change".
        if id == Some(u32::MAX) {
            draft.problem(&origin.field(name), format!("invalid id {} (expected 0 to {})", u32::MAX, u32::MAX - 1));
        }
    }
    // Docker sends the whole st_mode, with the bits of the file type.
    let mode = device.file_mode.unwrap_or(0o666);
    if mode > 0o177_777 {
        draft.problem(&origin.field("fileMode"), format!("invalid file mode {mode:#o}"));
    }
    let Some(path) = InRoot::new(&device.path).filter(|path| !path.path().is_empty()) else {
        draft.problem(&place, format!("invalid device node path {:?}", device.path));
        return None;
    };
    Some(Node {
        path,
        kind,
        device: device_number,
        mode: mode & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
        origin,
    })
}
