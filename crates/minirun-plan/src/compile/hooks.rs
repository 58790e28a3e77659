//! `hooks`: programs that run at six points of a container's life.

use std::ffi::CString;

use super::Draft;
use crate::plan::{Hook, Hooks};
use crate::spec::Spec;
use crate::{Op, Origin};

/// Checks and converts the six lists.
pub(super) fn hooks(draft: &mut Draft<'_>, spec: &Spec) {
    let Some(given) = &spec.hooks else { return };
    #[allow(deprecated, reason = "the specification keeps prestart, and engines use it")]
    let prestart = given.prestart();
    draft.hooks = Hooks {
        prestart: list(draft, prestart, "hooks.prestart"),
        create_runtime: list(draft, given.create_runtime(), "hooks.createRuntime"),
        create_container: list(draft, given.create_container(), "hooks.createContainer"),
        start_container: list(draft, given.start_container(), "hooks.startContainer"),
        poststart: list(draft, given.poststart(), "hooks.poststart"),
        poststop: list(draft, given.poststop(), "hooks.poststop"),
    };
}

/// The point at which the parent runs the first three lists: everything is mounted, nothing is hidden yet.
pub(super) fn await_hooks(draft: &mut Draft<'_>) {
    if draft.hooks.before_pivot() {
        draft.step(Op::AwaitHooks, Origin::of("hooks"));
    }
}

/// The hooks that init runs itself, right before its program.
pub(super) fn start_container(draft: &mut Draft<'_>) {
    for i in 0..draft.hooks.start_container.len() {
        let origin = draft.hooks.start_container[i].origin.clone();
        draft.step(Op::RunHook(i), origin);
    }
}

fn list(draft: &mut Draft<'_>, hooks: &Option<Vec<oci_spec::runtime::Hook>>, place: &'static str) -> Vec<Hook> {
    let list = Origin::of(place);
    hooks.iter().flatten().enumerate().map(|(i, hook)| one(draft, hook, list.index(i))).collect()
}

fn one(draft: &mut Draft<'_>, hook: &oci_spec::runtime::Hook, origin: Origin) -> Hook {
    let path = hook.path().to_string_lossy().into_owned();
    if !hook.path().is_absolute() {
        draft.problem(&origin.field("path"), format!("{path:?} must be an absolute path"));
    }
    let timeout = hook.timeout();
    if let Some(seconds) = timeout.filter(|seconds| *seconds <= 0) {
        draft.problem(&origin.field("timeout"), format!("{seconds} is not a number of seconds above 0"));
    }
    let mut strings = |texts: &[String], name: &str| -> Vec<CString> {
        let list = origin.field(name);
        texts.iter().enumerate().map(|(i, text)| draft.c_string(text, &list.index(i))).collect()
    };
    let args = strings(hook.args().as_deref().unwrap_or(&[]), "args");
    let env = strings(hook.env().as_deref().unwrap_or(&[]), "env");
    let path = draft.c_string(&path, &origin.field("path"));
    let args = if args.is_empty() { vec![path.clone()] } else { args };
    Hook { path, args, env, timeout: timeout.map(|seconds| seconds.unsigned_abs()), origin }
}
