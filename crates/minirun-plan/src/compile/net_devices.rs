//! `linux.netDevices`: network devices that move from the host to the container.

use std::collections::BTreeSet;

use super::Draft;
use crate::spec::Linux;
use crate::{HostOp, HostStep, Origin};

/// The maximum length of a network device name, in bytes (`IFNAMSIZ` without the NUL).
const MAX_NAME: usize = 15;

/// Adds one step of the parent for each device.
pub(super) fn net_devices(draft: &mut Draft<'_>, linux: &Linux) {
    let list = Origin::of("linux.netDevices");
    let devices: Vec<_> = linux.net_devices.iter().flatten().collect();
    if !devices.is_empty() && !draft.namespaces.has(libc::CLONE_NEWNET) {
        draft.problem(&list, "unable to move network devices without a private network namespace");
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (name, device) in devices {
        let origin = list.key(name);
        let asked = device.name.as_deref().filter(|name| !name.is_empty());
        let new_name = asked.unwrap_or(name);
        let place = if asked.is_some() { origin.field("name") } else { origin.clone() };
        if !is_name(name) || name.contains('%') {
            draft.problem(&origin, format!("invalid network device name {name:?}"));
        }
        if name == "lo" {
            draft.problem(&origin, "the loopback interface cannot be moved: each network namespace has its own");
        }
        if asked.is_some() && !is_name(new_name) {
            draft.problem(
                &place,
                format!("invalid network device name {new_name:?} (expected a name or a template with one %d)"),
            );
        }
        // The kernel makes as many names of a template as are needed.
        if !names.insert(new_name) && !new_name.contains('%') {
            draft.problem(&place, format!("two devices would be named {new_name:?}"));
        }
        let op = HostOp::NetDevice { name: name.clone(), new_name: new_name.to_owned() };
        draft.host.push(HostStep { op, origin });
    }
}

/// Whether the kernel accepts this as a name or as a template for one.
fn is_name(name: &str) -> bool {
    let odd = |c: char| c == '/' || c == ':' || c == '\0' || c.is_ascii_whitespace() || c == '\x0b';
    let plain = !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != ".." && !name.contains(odd);
    plain && name.split_once('%').is_none_or(|(_, rest)| rest.starts_with('d') && !rest.contains('%'))
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_follow_the_kernels_rules() {
        for name in ["eth0", "enp0s3", "a", "eth%d", "x%dy", "fifteen-letters", "lo.1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "eth%", "eth%s", "%d%d", "sixteen-letters-", "a\0"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
