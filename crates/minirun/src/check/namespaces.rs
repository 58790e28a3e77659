//! Namespaces: each kind is made once.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::path::Path;

use minirun_plan::{IdMaps, Origin};
use minirun_sys as sys;
use minirun_sys::Errno;

use super::trial::{self, At as _, Failure, attempt, born_in};
use super::{Row, Verdict};
use crate::ids::granted;

/// What stands in `linux.namespaces`, the bit, the kernel's option, and whether every container needs it.
pub const KINDS: [(&str, i32, &str, bool); 8] = [
    ("mount", libc::CLONE_NEWNS, "", true),
    ("pid", libc::CLONE_NEWPID, "CONFIG_PID_NS", true),
    ("network", libc::CLONE_NEWNET, "CONFIG_NET_NS", true),
    ("ipc", libc::CLONE_NEWIPC, "CONFIG_IPC_NS", true),
    ("uts", libc::CLONE_NEWUTS, "CONFIG_UTS_NS", true),
    ("cgroup", libc::CLONE_NEWCGROUP, "CONFIG_CGROUPS", true),
    ("user", libc::CLONE_NEWUSER, "CONFIG_USER_NS", false),
    ("time", libc::CLONE_NEWTIME, "CONFIG_TIME_NS", false),
];

pub fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = KINDS.iter().map(|kind| one(*kind)).collect();
    rows.push(id_maps());
    rows.push(limits());
    rows
}

fn one((name, kind, option, essential): (&str, i32, &str, bool)) -> Row {
    let matters = format!("linux.namespaces, type {name:?}");
    let tried = if kind == libc::CLONE_NEWTIME { "unshare" } else { "clone3" };
    let advice = match make(kind, 0) {
        Err(failure) => advice(&failure, kind, option),
        Ok(()) => String::new(),
    };
    let row = Row::of_trials(&format!("namespaces.{name}"), tried, |beside| make(kind, beside), &matters, &advice);
    if essential { row.essential() } else { row }
}

/// Makes a namespace as the runtime would: a time namespace by unshare(2), since its clocks are set before it is entered.
fn make(kind: i32, beside: i32) -> trial::Answer {
    match kind {
        libc::CLONE_NEWTIME => attempt(born_in(beside), || sys::unshare(libc::CLONE_NEWTIME).at("unshare")),
        kind => attempt(born_in(kind | beside), || Ok(())),
    }
}

fn advice(failure: &Failure, kind: i32, option: &str) -> String {
    match failure.errno {
        Some(Errno::EPERM | Errno::EACCES) if kind == libc::CLONE_NEWUSER => restrictions()
            .first()
            .map_or("leave the chroot, or ask what restricts user namespaces here (LSM)".to_owned(), |(_, set)| {
                format!("as root: {set}")
            }),
        Some(Errno::EPERM) => "run as root: it requires CAP_SYS_ADMIN".to_owned(),
        Some(Errno::ENOSPC | Errno::EUSERS) => {
            "raise the limit in /proc/sys/user: sysctl -w user.max_user_namespaces=10000 and its kin".to_owned()
        }
        Some(Errno::EINVAL | Errno::ENOSYS) => format!("use a kernel of 5.14 or later with {option}"),
        _ => String::new(),
    }
}

/// More ids than one's own: an ordinary user maps what was granted, by newuidmap and newgidmap.
fn granted_maps() -> Row {
    let name = "namespaces.id-maps";
    let matters = "linux.uidMappings and linux.gidMappings of more than the caller's own id";
    let advice = "install newuidmap and newgidmap (package uidmap or shadow-utils); as root: usermod \
                  --add-subuids 100000-165535 --add-subgids 100000-165535 USER";
    let (Some((uid, uids)), Some((gid, gids))) = (granted("/etc/subuid"), granted("/etc/subgid")) else {
        return Row::limited(name, "one's own ids only: /etc/subuid and /etc/subgid grant no others", matters)
            .advice(advice);
    };
    let maps = (format!("0 {uid} {uids}\n"), format!("0 {gid} {gids}\n"));
    let birth = trial::Birth { namespaces: libc::CLONE_NEWUSER, maps: Some((&maps.0, &maps.1)), ..Default::default() };
    match attempt(birth, || Ok(())) {
        Ok(()) => Row::ok(name, format!("{uids} users and {gids} groups by newuidmap and newgidmap"), matters),
        Err(failure) => Row::limited(name, format!("one's own ids only: {failure}"), matters).advice(advice),
    }
}

/// The ids of others can be mapped by the privileged alone.
fn id_maps() -> Row {
    if !nix::unistd::geteuid().is_root() {
        return granted_maps();
    }
    let name = "namespaces.id-maps";
    let matters = "linux.uidMappings and linux.gidMappings of more than the caller's own id; mounts with mapped ids";
    let map = "0 100000 65536\n".to_owned();
    match minirun_spawn::map_namespace(&IdMaps {
        uids: map.clone(),
        gids: map,
        namespace: None,
        origin: Origin::of("id maps"),
    }) {
        Ok(_) => Row::ok(name, "wrote uid_map and gid_map of 65536 ids", matters),
        Err(error) => Row::missing(name, error.to_string(), matters)
            .advice("it requires CAP_SETUID and CAP_SETGID in the parent user namespace"),
    }
}

/// What may be switched off or counted: a number in /proc/sys, whether it restricts, and how to undo that.
const SWITCHES: [(&str, &str, &str); 3] = [
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
];

/// Those that restrict here: the fact, and the command.
fn restrictions() -> Vec<(String, &'static str)> {
    let found = SWITCHES.iter().filter_map(|(file, bad, set)| {
        let value = std::fs::read_to_string(Path::new("/proc/sys").join(file)).ok()?;
        (value.trim() == *bad).then(|| (format!("{} = {bad}", file.replace('/', ".")), *set))
    });
    found.collect()
}

fn limits() -> Row {
    let (name, matters) = ("namespaces.sysctls", "user namespaces made by others than root");
    let found = restrictions();
    if found.is_empty() {
        return Row::new(name, Verdict::Ok, "none restricts user namespaces", matters);
    }
    let (facts, commands): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    Row::limited(name, facts.join(", "), matters).advice(format!("as root: {}", commands.join("; ")))
}
