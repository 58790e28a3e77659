//! `linux.seccomp`: the filter, and the privilege that is required to load it.
//!
//! It is loaded last, immediately before execve: a profile is made for the program and need not allow init's calls. If
//! there are startContainer hooks, it is loaded before them, because their programs also come from the container.
//! Without `noNewPrivileges` that requires CAP_SYS_ADMIN until then, which a container seldom has, so init keeps it
//! among its permitted capabilities. The program does not get it: execve(2) computes the sets anew from the bounding,
//! inheritable and ambient sets (capabilities(7)), which lack it.

use minirun_seccomp::{Machine, NativeCall, Remark, compile};

use super::Draft;
use crate::spec::Spec;
use crate::{Op, Origin, SeccompFilter};

const PLACE: &str = "linux.seccomp";
const SYS_ADMIN: u64 = 1 << 21;
/// From asm-generic/ioctls.h. The type of libc's constant depends on the C library.
const TIOCSCTTY: u64 = 0x540e;

/// A compiled filter that is not loaded yet.
pub(super) struct Filter(SeccompFilter);

/// Compiles the filter, if the configuration has one.
pub(super) fn filter(draft: &mut Draft<'_>, spec: &Spec) -> Option<Filter> {
    let profile = spec.linux.as_ref()?.seccomp.as_ref()?;
    match compile(profile, Machine::native()) {
        Ok(compiled) => {
            draft.notes.extend(compiled.notes.iter().map(|note| format!("{}: {}", origin(note), note.text)));
            compiled.filter.map(Filter)
        }
        Err(problems) => {
            problems.iter().for_each(|problem| draft.problem(&origin(problem), problem.text.as_str()));
            None
        }
    }
}

fn origin(remark: &Remark) -> Origin {
    Origin::of(PLACE).field(&remark.place)
}

/// Returns the capabilities that init keeps to load the filter although the container does not have them.
pub(super) fn kept_capabilities(draft: &mut Draft<'_>, filter: Option<&Filter>, no_new_privileges: bool) -> u64 {
    if filter.is_none() || no_new_privileges {
        return 0;
    }
    if !draft.in_user_namespace() && draft.facts.bounding & SYS_ADMIN == 0 {
        let text = "without process.noNewPrivileges it requires CAP_SYS_ADMIN, which the runtime does not have";
        draft.problem(&Origin::of(PLACE), text);
    }
    SYS_ADMIN
}

/// The calls that init makes from [`Op::EnterPidNamespace`] to the program, after a filter that is loaded before that
/// step. Init gives up the capability, continues as a new process, and talks to its parent or to `start`. A call added
/// to those steps must be added here.
const REMAINING: [NativeCall<'_>; 14] = {
    const fn call<'a>(name: &'a str, arguments: &'a [Option<u64>]) -> NativeCall<'a> {
        NativeCall { name, arguments }
    }
    const PDEATHSIG: Option<u64> = Some(libc::PR_SET_PDEATHSIG as u64);
    [
        call("capset", &[]),
        call("clone", &[Some(libc::CLONE_PARENT as u64), Some(0), Some(0), Some(0), Some(0)]),
        call("exit_group", &[]),
        call("prctl", &[PDEATHSIG, Some(libc::SIGKILL as u64), Some(0), Some(0), Some(0)]),
        call("prctl", &[PDEATHSIG, Some(0), Some(0), Some(0), Some(0)]),
        call("setsid", &[]),
        call("ioctl", &[Some(0), Some(TIOCSCTTY), Some(0)]),
        call("read", &[]),
        call("write", &[]),
        call("close", &[]),
        call("rt_sigaction", &[]),
        call("rt_sigprocmask", &[]),
        call("accept4", &[]),
        call("execve", &[]),
    ]
};

/// Loads the filter before others can see the process, if it allows all remaining calls and notifies no one. Otherwise
/// a process that traces init could use a capability that the container does not have, in a process without a filter.
/// Returns the filter if it is still to be loaded.
pub(super) fn load_early(
    draft: &mut Draft<'_>,
    filter: Option<Filter>,
    sets: (u64, u64, u64),
    kept: u64,
) -> Option<Filter> {
    let Filter(filter) = filter?;
    let early = draft.namespaces.enters_pid_namespace() && draft.hooks.start_container.is_empty();
    let allowed = |call: &NativeCall<'_>| filter.permits(*call, Machine::native());
    if !early || filter.listener.is_some() || !REMAINING.iter().all(allowed) {
        return Some(Filter(filter));
    }
    let (effective, permitted, inheritable) = sets;
    let privileges = (kept != 0).then_some((effective | kept, permitted | kept, inheritable));
    let after = (kept != 0).then_some(sets);
    draft.step(Op::Seccomp { filter: Box::new(filter), privileges, after }, Origin::of(PLACE));
    None
}

/// Loads the filter, with these effective, permitted and inheritable capabilities if it requires some.
pub(super) fn load(
    draft: &mut Draft<'_>,
    filter: Option<Filter>,
    privileges: Option<(u64, u64, u64)>,
    after: Option<(u64, u64, u64)>,
) {
    if let Some(Filter(filter)) = filter {
        draft.step(Op::Seccomp { filter: Box::new(filter), privileges, after }, Origin::of(PLACE));
    }
}
