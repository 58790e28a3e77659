//! The root file system, and how it becomes `/`.

use std::ffi::CStr;
use std::path::Path;

use super::callers::{refuse_mounts, shares_callers_mounts};
use super::{Draft, RootSource, c_string, labels};
use crate::spec::{Linux, Spec};
use crate::{Op, Origin, RootPlace, Step};

/// Returns `linux.rootfsPropagation` as `MS_*` flags; none if it is absent or unknown.
pub(super) fn root_propagation(linux: &Linux) -> Option<u64> {
    let word = linux.rootfs_propagation.as_deref()?;
    let (recursive, kind) = match word.strip_prefix('r') {
        Some(kind) => (libc::MS_REC, kind),
        None => (0, word),
    };
    let flags = match kind {
        "shared" => libc::MS_SHARED,
        "slave" => libc::MS_SLAVE,
        "private" => libc::MS_PRIVATE,
        "unbindable" => libc::MS_UNBINDABLE,
        _ => return None,
    };
    Some(flags | recursive)
}

/// Detaches the new mount namespace from the host's and mounts the root file system.
pub(in crate::compile) fn root(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    if shares_callers_mounts(draft) {
        return refuse_mounts(draft, spec, linux);
    }
    let propagation = root_propagation(linux);
    let origin = Origin::of(if propagation.is_some() { "linux.rootfsPropagation" } else { "default propagation" });
    if let Some(word) = linux.rootfs_propagation.as_deref().filter(|word| !word.is_empty() && propagation.is_none()) {
        let text = format!("unknown propagation {word:?} (expected shared, slave, private or unbindable)");
        draft.problem(&Origin::of("linux.rootfsPropagation"), text);
    }
    // The root is mounted over `/`, so that mount must not be shared, or the host would see it. If the container's
    // mounts must reach the host, all other mounts stay connected.
    let flags = match propagation {
        Some(flags) if flags & libc::MS_SHARED != 0 => libc::MS_PRIVATE,
        Some(flags) if flags & libc::MS_UNBINDABLE == 0 => flags | libc::MS_REC,
        _ => libc::MS_SLAVE | libc::MS_REC,
    };
    draft.step(Op::Propagation(flags), origin.clone());
    let place = root_place(draft);
    if let (RootPlace::At(path), libc::MS_PRIVATE) = (&place, flags) {
        draft.step(Op::PrivateParent(path.clone()), origin);
    }
    match draft.request.root.clone() {
        RootSource::Directory(path) => {
            let origin = Origin::of("root.path");
            let source = draft.source(&path, true, &origin);
            draft.step(Op::BindRoot(source, place), origin);
        }
        RootSource::Overlay(steps) => {
            let label = draft.mount_label.clone();
            let label = label.as_deref().map(|label| (draft.label_option, label));
            draft.init.extend(steps.into_iter().map(|step| placed(step, &place, label)));
        }
    }
    draft.shares_mounts = propagation.is_some_and(|flags| flags & libc::MS_SHARED != 0);
}

/// Returns the place of the root: over `/`, unless a hook needs the root at its own path.
fn root_place(draft: &mut Draft<'_>) -> RootPlace {
    if !draft.hooks.before_pivot() {
        return RootPlace::OverSlash;
    }
    let origin = Origin::of("root.path");
    let path = draft.request.root_path.to_owned();
    if path.is_empty() {
        draft.problem(&origin, "hooks require a directory at which the root file system is mounted");
    }
    RootPlace::At(draft.c_string(&path, &origin))
}

fn placed(mut step: Step, at: &RootPlace, label: Option<(&CStr, &CStr)>) -> Step {
    if let Op::OverlayStage { place, .. } | Op::OverlayRoot { place, .. } = &mut step.op {
        *place = at.clone();
    }
    if let (Op::OverlayRoot { options, .. }, Some((option, label))) = (&mut step.op, label) {
        labels::add_context(options, option, label);
    }
    step
}

/// Adds the steps that make the mounted root the root directory.
pub(in crate::compile) fn change_root(draft: &mut Draft<'_>) {
    if shares_callers_mounts(draft) {
        if let RootSource::Directory(path) = draft.request.root.clone() {
            let origin = Origin::of("root.path");
            let path = draft.c_string(&path, &origin);
            draft.step(Op::Chroot(path), origin);
        }
        return;
    }
    match draft.request.no_pivot {
        false => draft.step(Op::PivotRoot, Origin::of("root.path")),
        // The host's /proc and /sys below cannot be unmounted there, because they are locked (mount_namespaces(7)).
        true if draft.in_user_namespace() => {
            draft
                .problem(&Origin::of("--no-pivot"), "not possible with a user namespace: the host's mounts would stay");
        }
        true => {
            take_views_away(draft);
            let over_slash = |step: &Step| matches!(step.op, Op::BindRoot(_, RootPlace::OverSlash));
            let elsewhere = !draft.init.iter().any(over_slash);
            draft.step(Op::ChangeRoot { elsewhere }, Origin::of("--no-pivot"));
        }
    }
}

/// Unmounts the host's procfs and sysfs. With `--no-pivot` the host's root stays below. The kernel would find the
/// host's procfs and sysfs there when the container mounts its own in a user namespace, and would allow a mount without
/// the masks (`mount_too_revealing`).
fn take_views_away(draft: &mut Draft<'_>) {
    let origin = Origin::of("--no-pivot");
    let under = |view: &Path| {
        Path::new(draft.request.root_path).parent().is_some() && view.starts_with(draft.request.root_path)
    };
    // If hooks need the root, it is mounted over its own path and covers them.
    let covered = draft.hooks.before_pivot();
    // The last mount comes first, because it lies on the others.
    let views = &draft.facts.kernel_views;
    for (i, view) in views.iter().enumerate().rev() {
        if views[i + 1..].contains(view) {
            // These mounts lie on each other and are unmounted together.
            continue;
        }
        if covered && under(view) {
            let text = format!("{} is mounted inside root.path (hint: unmount it)", view.display());
            draft.problems.add(&origin, text);
        }
        let path = c_string(&mut draft.problems, &view.to_string_lossy(), &origin);
        draft.init.push(Step { op: Op::TakeAway(path), origin: origin.clone() });
    }
}
