//! What confines a container besides namespaces and cgroups: capabilities, seccomp, and the kernel's security modules.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::path::Path;

use minirun_plan::known;
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Row;
use minirun_container::facts;

pub fn rows() -> Vec<Row> {
    vec![capabilities(), seccomp(), apparmor(), selinux()]
}

/// The capabilities that the caller has not: no container can be given these.
fn capabilities() -> Row {
    let (name, matters) = ("confinement.capabilities", "process.capabilities: what the caller has not is left out");
    let (facts, effective) = match (facts::of_privileges(), sys::capget()) {
        (Ok(facts), Ok((effective, ..))) => (facts, effective),
        (Err(error), _) => return Row::missing(name, error.to_string(), matters),
        (_, Err(errno)) => return Row::missing(name, format!("capget: {errno:?}"), matters),
    };
    let missing = names_of(missing_of(facts.bounding & effective, facts.last_capability));
    match missing.len() {
        0 => Row::ok(name, "all that the kernel knows", matters),
        count if count as u32 > facts.last_capability => Row::limited(name, "none: an ordinary user", matters)
            .advice("run as root; in a user namespace all are available"),
        _ => Row::limited(name, format!("without {}", missing.join(" ")), matters)
            .advice("run as root with its full bounding set; in a container of another runtime add these to it"),
    }
}

fn missing_of(had: u64, last: u32) -> u64 {
    let known = if last >= 63 { u64::MAX } else { (1 << (last + 1)) - 1 };
    known & !had
}

/// The names of a mask; a number without a name is newer than this program.
fn names_of(mask: u64) -> Vec<String> {
    let names = known::capabilities();
    let name = |bit: usize| names.get(bit).cloned().unwrap_or_else(|| format!("capability {bit}"));
    (0..64).filter(|bit| mask & 1 << bit != 0).map(name).collect()
}

/// A filter at address 0 is an error of the kernel's own (EFAULT) only if it takes filters (seccomp(2)).
fn seccomp() -> Row {
    let (name, matters) = ("confinement.seccomp", "linux.seccomp");
    match sys::probe_seccomp() {
        Err(Errno::EFAULT) => {
            let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
            let actions = actions.split_whitespace().collect::<Vec<_>>().join(" ");
            let seen = if actions.is_empty() { "filters".to_owned() } else { format!("filters: {actions}") };
            if actions.is_empty() || actions.contains("user_notif") {
                return Row::ok(name, seen, matters);
            }
            Row::limited(name, format!("{seen}; no user_notif"), matters).advice("use a kernel of 5.0 or later")
        }
        // Before the address is looked at: without the privilege (EACCES) the kernel has filters all the same.
        Err(Errno::EACCES) => Row::ok(name, "filters, for processes without new privileges", matters),
        Err(errno) => {
            Row::missing(name, format!("prctl: {errno:?}"), matters).advice("a kernel with CONFIG_SECCOMP_FILTER")
        }
        Ok(()) => Row::missing(name, "prctl accepts an invalid filter", matters),
    }
}

fn apparmor() -> Row {
    let (name, matters) = ("confinement.apparmor", "process.apparmorProfile");
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if !enabled.starts_with('Y') {
        return Row::missing(name, "not enabled in this kernel", matters)
            .advice("leave the field out, or boot with lsm=…,apparmor on a kernel with CONFIG_SECURITY_APPARMOR");
    }
    if !Path::new("/sys/kernel/security/apparmor").exists() {
        return Row::limited(name, "enabled; securityfs is not mounted", matters)
            .advice("mount -t securityfs securityfs /sys/kernel/security");
    }
    Row::ok(name, "enabled", matters)
}

fn selinux() -> Row {
    let (name, matters) = ("confinement.selinux", "process.selinuxLabel and linux.mountLabel");
    match std::fs::read_to_string("/sys/fs/selinux/enforce") {
        Ok(mode) if mode.trim() == "1" => Row::ok(name, "enforcing", matters),
        Ok(_) => Row::ok(name, "permissive", matters),
        Err(_) => Row::missing(name, "not enabled, or selinuxfs is not mounted", matters)
            .advice("leave the fields out, or boot with a kernel and a policy of SELinux"),
    }
}
