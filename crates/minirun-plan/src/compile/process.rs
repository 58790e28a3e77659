//! `process`: the ids, rights, limits and program of the container's process.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

use super::mounts::NOTIFY_DIRECTORY;
use super::{Draft, scheduling, seccomp};
use crate::spec::{Capabilities, Linux, PosixRlimitType, Process, Spec};
use crate::{Credentials, HostOp, HostStep, InRoot, Op, Origin};

/// Adds the step of `process.terminal`: a pseudo-terminal of the container's devpts, created when the devices exist, so
/// that every path leads to it. Only init gets a console.
pub(super) fn terminal(draft: &mut Draft<'_>, spec: &Spec, console: bool) {
    let Some(process) = spec.process.as_ref().filter(|process| process.terminal) else { return };
    let size = process.console_size.as_ref().map(|size| (size.height, size.width));
    let path = |path| InRoot::new(path).unwrap_or_default();
    let multiplexers = Box::new([path("dev/pts/ptmx"), path("dev/ptmx")]);
    // /dev/console is a mount.
    let console = console && draft.namespaces.has(libc::CLONE_NEWNS);
    let console = console.then(|| path("dev/console"));
    // A session's leader belongs to the pid namespace of the session.
    let controls = !draft.namespaces.enters_pid_namespace();
    let op = Op::Terminal { size, multiplexers, console, controls, uid: process.user.uid };
    draft.step(op, Origin::of("process.terminal"));
}

/// Creates `process.cwd` while the root is still writable.
pub(super) fn make_working_directory(draft: &mut Draft<'_>, spec: &Spec) {
    let Some(process) = &spec.process else { return };
    if let Some(path) = InRoot::new(&process.cwd).filter(|path| !path.path().is_empty()) {
        draft.step(Op::MakeDirectory(path), Origin::of("process.cwd"));
    }
}

/// Adds the steps from the last lookup as root to the program's first instruction. The order matters: limits and the
/// working directory while still root, groups before the user, the capabilities after it, no new privileges, and the
/// filter last. A `further` process is that of an exec.
pub(super) fn process(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux, further: bool) {
    let Some(process) = &spec.process else {
        return draft.problem(&Origin::of("process"), "process property must not be empty");
    };
    // From here on paths are resolved as in the container, and they may lead through /proc/self/fd.
    let keep = Origin::of(match draft.request.preserve_fds {
        0 => "default descriptors",
        count if count == draft.request.listen_fds => "LISTEN_FDS",
        _ => "--preserve-fds",
    });
    draft.step(Op::CloseDescriptors(3 + draft.request.preserve_fds), keep);
    home(draft, process);
    limits(draft, process);
    oom_score(draft, process);
    // With a deadline policy the kernel refuses to reduce the CPUs.
    scheduling::affinity(draft, process, further);
    scheduling::priorities(draft, process);
    scheduling::own_policies(draft, linux);
    let cwd = working_directory(draft, process);
    draft.step(Op::EnterDirectory(cwd.clone()), Origin::of("process.cwd"));
    umask(draft, process);
    let sets = capability_sets(draft, process.capabilities.as_ref());
    // Dropping from the bounding set requires CAP_SETPCAP, which the change of user or the sets may take away.
    let known = mask_up_to(draft.facts.last_capability);
    draft.step(Op::DropBounding(known & !sets.bounding), sets.origin.clone());
    if process.user.uid != 0 {
        draft.step(Op::OwnStreams(process.user.uid), Origin::of("process.user.uid"));
    }
    user(draft, process);
    draft.step(Op::EnterDirectoryAsUser(cwd), Origin::of("process.cwd"));
    let Sets { bounding, effective, permitted, inheritable, ambient, .. } = sets;
    let filter = seccomp::filter(draft, spec);
    let kept = seccomp::kept_capabilities(draft, filter.as_ref(), process.no_new_privileges);
    let with_kept = permitted | kept;
    draft.step(Op::Capabilities { effective, permitted: with_kept, inheritable, ambient }, sets.origin);
    if process.no_new_privileges {
        draft.step(Op::NoNewPrivileges, Origin::of("process.noNewPrivileges"));
    }
    verify(draft, process, bounding);
    program(draft, process);
    let filter = seccomp::load_early(draft, filter, (effective, permitted, inheritable), kept);
    if draft.namespaces.enters_pid_namespace() {
        draft.step(Op::EnterPidNamespace { terminal: process.terminal }, Origin::of("linux.namespaces (pid)"));
    }
    draft.step(Op::AwaitStart, Origin::of("start"));
    let privileges = (kept != 0).then_some((effective | kept, with_kept, inheritable));
    let hooked = !draft.hooks.start_container.is_empty();
    let after = (kept != 0 && hooked).then_some((effective, permitted, inheritable));
    seccomp::load(draft, filter, privileges, after);
    super::hooks::start_container(draft);
    draft.step(Op::Execute, Origin::of("process.args").index(0));
}

/// Adds the step that compares init's credentials with the requested ones, instead of trusting the results of the
/// calls.
fn verify(draft: &mut Draft<'_>, process: &Process, bounding: u64) {
    let steps = draft.init.iter().map(|step| &step.op);
    let (mut groups, mut sets) = (None, (0, 0, 0, 0));
    for op in steps {
        match op {
            Op::Groups(list) => groups = Some(list.clone()),
            Op::Capabilities { effective, permitted, inheritable, ambient } => {
                sets = (*effective, *permitted, *inheritable, *ambient);
            }
            _ => {}
        }
    }
    groups.iter_mut().for_each(|groups| groups.sort_unstable());
    let (effective, permitted, inheritable, ambient) = sets;
    let expected = Credentials {
        uid: process.user.uid,
        gid: process.user.gid,
        groups,
        last_capability: draft.facts.last_capability,
        bounding,
        effective,
        permitted,
        inheritable,
        ambient,
        no_new_privileges: process.no_new_privileges,
    };
    draft.step(Op::VerifyCredentials(Box::new(expected)), Origin::of("process"));
}

/// Returns `process.cwd`, cleaned like the directory that is created if it is missing.
fn working_directory(draft: &mut Draft<'_>, process: &Process) -> CString {
    let origin = Origin::of("process.cwd");
    match InRoot::new(&process.cwd) {
        _ if process.cwd.is_empty() => draft.problem(&origin, "Cwd property must not be empty"),
        _ if !process.cwd.starts_with('/') => draft.problem(&origin, "Cwd must be an absolute path"),
        Some(path) => return draft.c_string(&format!("/{}", path.path().to_string_lossy()), &origin),
        None => draft.problem(&origin, "must not contain a NUL byte"),
    }
    CString::default()
}

/// Adds the step that finds HOME, if the configuration omits it or leaves it empty.
fn home(draft: &mut Draft<'_>, process: &Process) {
    let set = |entry: &&String| entry.strip_prefix("HOME=").is_some_and(|home| !home.is_empty());
    if process.env.iter().flatten().rfind(|entry| entry.starts_with("HOME=")).filter(set).is_none() {
        draft.step(Op::FindHome(process.user.uid), Origin::of("default HOME"));
    }
}

fn umask(draft: &mut Draft<'_>, process: &Process) {
    let origin = Origin::of(if process.user.umask.is_some() { "process.user.umask" } else { "default umask" });
    // The specification leaves an absent umask to the runtime; runc and crun use 0022, and images rely on it.
    let mask = process.user.umask.unwrap_or(0o022);
    if mask > 0o777 {
        draft.problem(&origin, format!("invalid umask {mask:#o} (expected 0 to 0777)"));
    }
    draft.step(Op::Umask(mask), origin);
}

/// The limits with their names; the index of each is its number (asm-generic/resource.h).
const LIMITS: [(PosixRlimitType, &str); 16] = {
    use PosixRlimitType::*;
    [
        (RlimitCpu, "RLIMIT_CPU"),
        (RlimitFsize, "RLIMIT_FSIZE"),
        (RlimitData, "RLIMIT_DATA"),
        (RlimitStack, "RLIMIT_STACK"),
        (RlimitCore, "RLIMIT_CORE"),
        (RlimitRss, "RLIMIT_RSS"),
        (RlimitNproc, "RLIMIT_NPROC"),
        (RlimitNofile, "RLIMIT_NOFILE"),
        (RlimitMemlock, "RLIMIT_MEMLOCK"),
        (RlimitAs, "RLIMIT_AS"),
        (RlimitLocks, "RLIMIT_LOCKS"),
        (RlimitSigpending, "RLIMIT_SIGPENDING"),
        (RlimitMsgqueue, "RLIMIT_MSGQUEUE"),
        (RlimitNice, "RLIMIT_NICE"),
        (RlimitRtprio, "RLIMIT_RTPRIO"),
        (RlimitRttime, "RLIMIT_RTTIME"),
    ]
};

/// Returns the kernel's number of a limit.
fn resource_of(limit: PosixRlimitType) -> u32 {
    LIMITS.iter().position(|(known, _)| *known == limit).map_or(u32::MAX, |number| number as u32)
}

/// Returns the name of a limit in the configuration.
pub fn limit_name(resource: u32) -> &'static str {
    LIMITS.get(resource as usize).map_or("RLIMIT_?", |(_, name)| name)
}

fn limits(draft: &mut Draft<'_>, process: &Process) {
    let list = Origin::of("process.rlimits");
    let mut seen = 0u32;
    for (i, limit) in process.rlimits.iter().flatten().enumerate() {
        let origin = list.index(i);
        let resource = resource_of(limit.typ);
        // A number below 16: see LIMITS.
        let bit = 1u32.checked_shl(resource).unwrap_or(0);
        if seen & bit != 0 {
            draft.problem(&origin.field("type"), format!("duplicate limit {}", limit_name(resource)));
        }
        seen |= bit;
        if limit.soft > limit.hard {
            let text = format!("{} is more than the hard limit of {}", limit.soft, limit.hard);
            draft.problem(&origin.field("soft"), text);
        }
        if draft.in_user_namespace() {
            let op = HostOp::RaiseLimit { resource, hard: limit.hard };
            draft.host.push(HostStep { op, origin: origin.clone() });
        }
        draft.step(Op::Limit { resource, soft: limit.soft, hard: limit.hard }, origin);
    }
}

fn oom_score(draft: &mut Draft<'_>, process: &Process) {
    let Some(score) = process.oom_score_adj else { return };
    let origin = Origin::of("process.oomScoreAdj");
    if !(-1000..=1000).contains(&score) {
        draft.problem(&origin, format!("{score} is out of range (expected -1000 to 1000)"));
    }
    let op = HostOp::WriteProc { file: "oom_score_adj", value: score.to_string() };
    draft.host.push(HostStep { op, origin });
}

fn user(draft: &mut Draft<'_>, process: &Process) {
    let user = &process.user;
    let origin = Origin::of("process.user");
    for (name, id) in [("uid", user.uid), ("gid", user.gid)] {
        // setresuid(2) interprets this id as "do not change".
        if id == u32::MAX {
            draft.problem(&origin.field(name), format!("invalid id {id} (expected 0 to {})", u32::MAX - 1));
        }
    }
    for (i, gid) in user.additional_gids.iter().enumerate() {
        if *gid == u32::MAX {
            draft.problem(
                &origin.field("additionalGids").index(i),
                format!("invalid id {gid} (expected 0 to {})", u32::MAX - 1),
            );
        }
    }
    if draft.keeps_groups {
        if !user.additional_gids.is_empty() {
            let text = "ignored: the annotation run.oci.keep_original_groups keeps the caller's groups instead";
            draft.warn(&origin.field("additionalGids"), text);
        }
        return draft.step(Op::User { uid: user.uid, gid: user.gid }, origin);
    }
    let denied = match draft.in_user_namespace() && !draft.namespaces.is_new(libc::CLONE_NEWUSER) {
        true => draft.facts.joined_setgroups_denied,
        false => {
            let gives_up = |step: &HostStep| matches!(step.op, HostOp::WriteProc { file: "setgroups", .. });
            draft.facts.setgroups_denied || draft.host.iter().any(gives_up)
        }
    };
    if !denied {
        draft.step(Op::Groups(user.additional_gids.clone()), origin.field("additionalGids"));
    } else if !user.additional_gids.is_empty() {
        let text = "cannot set any additional groups in a rootless container: its user namespace denies setgroups(2)";
        draft.problem(&origin.field("additionalGids"), text);
    }
    draft.step(Op::User { uid: user.uid, gid: user.gid }, origin);
}

/// The five capability sets as masks.
struct Sets {
    bounding: u64,
    effective: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
    origin: Origin,
}

fn mask_up_to(last: u32) -> u64 {
    if last >= 63 { u64::MAX } else { (1 << (last + 1)) - 1 }
}

/// Returns the capability sets. Without a capabilities section all sets are empty, including the bounding set.
fn capability_sets(draft: &mut Draft<'_>, capabilities: Option<&Capabilities>) -> Sets {
    let origin = Origin::of(if capabilities.is_some() { "process.capabilities" } else { "default capabilities" });
    let none = Capabilities::default();
    let capabilities = capabilities.unwrap_or(&none);
    let (mut ignored, mut seen) = (Vec::new(), BTreeSet::new());
    // The creator of a user namespace has every capability in it (user_namespaces(7)).
    let available = match draft.in_user_namespace() {
        true => mask_up_to(draft.facts.last_capability),
        false => draft.facts.bounding,
    };
    let Capabilities { bounding, permitted, effective, inheritable, ambient } = capabilities;
    let [bounding, permitted, effective, inheritable, ambient] = [bounding, permitted, effective, inheritable, ambient]
        .map(|names| {
            names.iter().fold(0, |mask, name| match name.parse::<caps::Capability>() {
                Ok(capability) if capability.bitmask() & available != 0 => mask | capability.bitmask(),
                _ => {
                    if seen.insert(name.as_str()) {
                        ignored.push(name.as_str());
                    }
                    mask
                }
            })
        });
    if !ignored.is_empty() {
        draft.warn(&origin, format!("ignoring unknown or unavailable capabilities: [{}]", ignored.join(" ")));
    }
    if effective & !permitted != 0 {
        draft
            .problem(&origin.field("effective"), "must be a subset of permitted: capset(2) refuses other capabilities");
    }
    // The kernel raises an ambient capability only if it is permitted and inheritable (capabilities(7)). runc warns and
    // continues, and configurations of engines rely on that.
    let possible = ambient & permitted & inheritable;
    if possible != ambient {
        let text = "those that are not both permitted and inheritable are left out";
        draft.notes.push(format!("{}: {text}", origin.field("ambient")));
    }
    Sets { bounding, effective, permitted, inheritable, ambient: possible, origin }
}

/// Adds arguments, environment and the step that finds the program.
fn program(draft: &mut Draft<'_>, process: &Process) {
    let origin = Origin::of("process.args");
    let args = process.args.as_deref().unwrap_or(&[]);
    for (i, arg) in args.iter().enumerate() {
        let arg = draft.c_string(arg, &origin.index(i));
        draft.payload.args.push(arg);
    }
    environment(draft, process);
    socket_activation(draft);
    let first = origin.index(0);
    match args.first().map(String::as_str) {
        None => draft.problem(&origin, "args must not be empty"),
        Some("") => draft.problem(&first, "must not be empty"),
        Some(name) if name.contains('/') => {
            let candidate = draft.c_string(name, &first);
            draft.step(Op::FindProgram(vec![candidate]), first.clone());
        }
        Some(name) => {
            let candidates = candidates_of(draft, name);
            draft.step(Op::FindProgram(candidates), first);
        }
    }
}

/// Returns the paths that execvp(3) would try: one in each directory of the container's PATH.
fn candidates_of(draft: &Draft<'_>, name: &str) -> Vec<CString> {
    let path = draft.payload.env.iter().find_map(|entry| entry.to_str().ok()?.strip_prefix("PATH="));
    path.unwrap_or("")
        .split(':')
        .filter(|directory| !directory.is_empty())
        .filter_map(|directory| CString::new(format!("{directory}/{name}")).ok())
        .collect()
}

/// Sets the variables of socket activation. LISTEN_PID is 1, because the program is the first process of its pid
/// namespace, or is told so.
fn socket_activation(draft: &mut Draft<'_>) {
    if draft.request.listen_fds > 0 {
        set_variable(draft, "LISTEN_FDS", &draft.request.listen_fds.to_string());
        set_variable(draft, "LISTEN_PID", "1");
        if let Some(names) = draft.request.listen_names {
            set_variable(draft, "LISTEN_FDNAMES", names);
        }
    }
    // A mount makes the socket reachable.
    if draft.request.notify.is_some() && draft.namespaces.has(libc::CLONE_NEWNS) {
        set_variable(draft, "NOTIFY_SOCKET", &format!("{NOTIFY_DIRECTORY}/notify.sock"));
    }
}

/// Sets an environment variable that describes the caller's descriptors or socket; it overrides the configuration.
fn set_variable(draft: &mut Draft<'_>, name: &'static str, value: &str) {
    let entry = draft.c_string(&format!("{name}={value}"), &Origin::of(name));
    let begin = &entry.to_bytes()[..=name.len()];
    draft.payload.env.retain(|other| !other.to_bytes().starts_with(begin));
    draft.payload.env.push(entry);
}

/// Sets the environment without duplicates: the last value takes the place of the first, as in runc. An empty HOME
/// removes those before it.
fn environment(draft: &mut Draft<'_>, process: &Process) {
    let list = Origin::of("process.env");
    let mut variables: Vec<Option<CString>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, entry) in process.env.iter().flatten().enumerate() {
        let Some((name, _)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            draft.problem(&list.index(i), format!("invalid variable {entry:?} (expected NAME=VALUE)"));
            continue;
        };
        if entry == "HOME=" {
            if let Some(place) = places.remove(name) {
                variables[place] = None;
            }
            continue;
        }
        let value = match CString::new(entry.as_str()) {
            Ok(value) => value,
            Err(_nul) => draft.c_string(entry, &list.index(i)),
        };
        let place = *places.entry(name).or_insert(variables.len());
        if place == variables.len() {
            variables.push(Some(value));
        } else {
            variables[place] = Some(value);
        }
    }
    draft.payload.env = variables.into_iter().flatten().collect();
}
