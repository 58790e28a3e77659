//! `linux.seccomp`: the filter, and the privilege that loading it takes.
//!
//! It is loaded last, before nothing but execve: a profile is made for the program, and need not allow what init does.
//! Without `noNewPrivileges` that takes CAP_SYS_ADMIN until then, which a container seldom has. So init keeps it among its
//! permitted capabilities. The program does not get it: execve(2) makes the sets anew, from the bounding, the inheritable
//! and the ambient one (capabilities(7)), which are without it.

use minirun_seccomp::{Machine, Remark, compile};

use super::Draft;
use crate::spec::Spec;
use crate::{Op, Origin, SeccompFilter};

const PLACE: &str = "linux.seccomp";
const SYS_ADMIN: u64 = 1 << 21;

/// What remains to be loaded.
pub(super) struct Filter(SeccompFilter);

/// Compiles the filter, if there is one.
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

/// The capabilities that init keeps for the filter although the container does not have them.
pub(super) fn kept_capabilities(draft: &mut Draft<'_>, filter: Option<&Filter>, no_new_privileges: bool) -> u64 {
    if filter.is_none() || no_new_privileges {
        return 0;
    }
    if !draft.in_user_namespace() && draft.facts.bounding & SYS_ADMIN == 0 {
        let text = "without process.noNewPrivileges it takes CAP_SYS_ADMIN, which the runtime does not have";
        draft.problem(&Origin::of(PLACE), text);
    }
    SYS_ADMIN
}

/// Loads it: with these effective, permitted and inheritable capabilities, if it takes some.
pub(super) fn load(draft: &mut Draft<'_>, filter: Option<Filter>, privileges: Option<(u64, u64, u64)>) {
    if let Some(Filter(filter)) = filter {
        draft.step(Op::Seccomp { filter: Box::new(filter), privileges }, Origin::of(PLACE));
    }
}
