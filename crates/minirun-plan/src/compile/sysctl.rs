//! `linux.sysctl`: kernel parameters of the container's namespaces.

use super::Draft;
use crate::spec::{Linux, Spec};
use crate::{Op, Origin};

/// Parameters of the IPC namespace (ipc_namespaces(7)), in addition to `fs.mqueue`.
const IPC: [&str; 10] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
    "kernel/msg_next_id",
    "kernel/shm_next_id",
];

/// Adds one step per parameter. Parameters that would change the host are problems.
pub(super) fn sysctl(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    let list = Origin::of("linux.sysctl");
    for (key, value) in linux.sysctl.iter().flatten() {
        let origin = list.key(key);
        let Some(path) = path_of(key) else {
            draft.problem(&origin, "invalid kernel parameter name");
            continue;
        };
        if value.contains('\n') {
            draft.problem(&origin, "the value must be one line");
        }
        if let Err(reason) = allowed(draft, spec, &path) {
            draft.problem(&origin, reason);
            continue;
        }
        let value = draft.c_string(value, &origin);
        let path = draft.c_string(&path, &origin);
        draft.step(Op::Sysctl { path, value }, origin);
    }
}

/// Returns the parameter's path below /proc/sys. Both `.` and `/` can be the separator. The first one that occurs is,
/// and the other is then part of a name (sysctl.d(5)): `net.ipv4.conf.eth0/1.forwarding` is about the interface
/// `eth0.1`.
fn path_of(key: &str) -> Option<String> {
    let dots_separate = key.find(['.', '/']).is_none_or(|at| key.as_bytes()[at] == b'.');
    let path: String = match dots_separate {
        true => key
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        false => key.to_owned(),
    };
    let clean = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    (clean && path.contains('/') && !path.contains(['\0', '\n', ' '])).then_some(path)
}

/// Fails if this parameter must not be set in the container's namespaces. The rules are runc's.
fn allowed(draft: &Draft<'_>, spec: &Spec, path: &str) -> Result<(), String> {
    let needs = |kind: i32, name: &str| match draft.namespaces.has(kind) {
        true => Ok(()),
        false => {
            Err(format!("not allowed: it belongs to the {name} namespace, which the container shares with the host"))
        }
    };
    if IPC.contains(&path) || path.starts_with("fs/mqueue/") {
        return needs(libc::CLONE_NEWIPC, "ipc");
    }
    if path.starts_with("net/") {
        return needs(libc::CLONE_NEWNET, "network");
    }
    if path.starts_with("user/") && draft.namespaces.has(libc::CLONE_NEWUSER) {
        return Ok(());
    }
    match path {
        "kernel/domainname" => needs(libc::CLONE_NEWUTS, "uts"),
        "kernel/hostname" if spec.hostname.as_ref().is_some_and(|name| !name.is_empty()) => {
            Err("conflicts with hostname".to_owned())
        }
        "kernel/hostname" => needs(libc::CLONE_NEWUTS, "uts"),
        _ => Err("not allowed: it is not in a separate kernel namespace".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn dots_and_slashes_separate_names() {
        for (key, path) in [
            ("net.ipv4.ip_forward", Some("net/ipv4/ip_forward")),
            ("net/ipv4/ip_forward", Some("net/ipv4/ip_forward")),
            ("net.ipv4.conf.eth0/1.forwarding", Some("net/ipv4/conf/eth0.1/forwarding")),
            ("net/ipv4/conf/eth0.1/forwarding", Some("net/ipv4/conf/eth0.1/forwarding")),
            ("net..ipv4", None),
            ("net/../kernel/core_pattern", None),
            ("net.ipv4.ip_forward/../../x", None),
            ("kernel", None),
            ("", None),
            ("net.a\nb", None),
        ] {
            assert_eq!(path_of(key).as_deref(), path, "{key:?}");
        }
    }
}
