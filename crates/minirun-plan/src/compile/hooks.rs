//! `hooks`: programs that run at six points of a container's life.

use std::ffi::CString;

use super::{Draft, c_string};
use crate::plan::{Hook, Hooks};
use crate::spec::{self, Spec};
use crate::{Op, Origin, Problems};

/// Checks and converts the six lists of a configuration.
pub(super) fn hooks(draft: &mut Draft<'_>, spec: &Spec) {
    if let Some(given) = &spec.hooks {
        draft.hooks = compile_hooks(given, &mut draft.problems);
    }
}

/// Checks and converts the six lists. It is also used without a plan, for the hooks after `create`.
pub fn compile_hooks(given: &spec::Hooks, problems: &mut Problems) -> Hooks {
    #[allow(deprecated, reason = "the specification keeps prestart, and engines use it")]
    let prestart = given.prestart();
    Hooks {
        prestart: list(problems, prestart, "hooks.prestart"),
        create_runtime: list(problems, given.create_runtime(), "hooks.createRuntime"),
        create_container: list(problems, given.create_container(), "hooks.createContainer"),
        start_container: list(problems, given.start_container(), "hooks.startContainer"),
        poststart: list(problems, given.poststart(), "hooks.poststart"),
        poststop: list(problems, given.poststop(), "hooks.poststop"),
    }
}

/// Adds the step at which the parent runs the first three lists: everything is mounted, and nothing is masked yet.
pub(super) fn await_hooks(draft: &mut Draft<'_>) {
    if draft.hooks.before_pivot() {
        let alone = match draft.facts.euid {
            // In a shared user namespace, other processes cannot see init from their own pid namespaces.
            0 => draft.namespaces.is_new(libc::CLONE_NEWUSER) || draft.namespaces.is_new(libc::CLONE_NEWPID),
            _ => draft.namespaces.is_new(libc::CLONE_NEWUSER),
        };
        let readable = draft.facts.rootless() && alone;
        draft.step(Op::AwaitHooks { readable }, Origin::of("hooks"));
    }
}

/// Adds the hooks that init runs itself, immediately before its program.
pub(super) fn start_container(draft: &mut Draft<'_>) {
    for i in 0..draft.hooks.start_container.len() {
        let origin = draft.hooks.start_container[i].origin.clone();
        draft.step(Op::RunHook(i), origin);
    }
}

fn list(problems: &mut Problems, hooks: &Option<Vec<oci_spec::runtime::Hook>>, place: &'static str) -> Vec<Hook> {
    let list = Origin::of(place);
    hooks.iter().flatten().enumerate().map(|(i, hook)| one(problems, hook, list.index(i))).collect()
}

fn one(problems: &mut Problems, hook: &oci_spec::runtime::Hook, origin: Origin) -> Hook {
    let path = hook.path().to_string_lossy().into_owned();
    if !hook.path().is_absolute() {
        problems.add(&origin.field("path"), format!("{path:?} must be an absolute path"));
    }
    let timeout = hook.timeout();
    if let Some(seconds) = timeout.filter(|seconds| *seconds <= 0) {
        problems.add(&origin.field("timeout"), format!("invalid timeout {seconds} (expected more than 0 seconds)"));
    }
    let mut strings = |texts: &[String], name: &str| -> Vec<CString> {
        let list = origin.field(name);
        texts.iter().enumerate().map(|(i, text)| c_string(problems, text, &list.index(i))).collect()
    };
    let args = strings(hook.args().as_deref().unwrap_or(&[]), "args");
    let env = hook.env().as_deref().map(|env| strings(env, "env"));
    let path = c_string(problems, &path, &origin.field("path"));
    let args = if args.is_empty() { vec![path.clone()] } else { args };
    Hook { path, args, env, timeout: timeout.map(|seconds| seconds.unsigned_abs()), origin }
}
