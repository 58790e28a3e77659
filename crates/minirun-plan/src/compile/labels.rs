//! `process.apparmorProfile`, `process.selinuxLabel` and `linux.mountLabel`: what the security modules shall make of the
//! program and of the file systems that are mounted for it.

use std::ffi::{CStr, CString};

use super::Draft;
use super::mount_options::MountOptions;
use crate::spec::{Linux, LinuxNamespaceType, Process, Spec};
use crate::{FsOption, Op, Origin};

/// The label of keys that init makes, before it makes its session keyring.
pub(super) fn keys(draft: &mut Draft<'_>, process: Option<&Process>) {
    if let Some(label) = process.and_then(|process| given(&process.selinux_label))
        && !draft.request.no_new_keyring
    {
        attribute(draft, c"attr/keycreate", label, &Origin::of("process.selinuxLabel"));
    }
}

/// What the next execve(2) leads into. Written early, through the host's own /proc, as kernel parameters are: the
/// container's cannot be trusted (CVE-2019-16884, CVE-2025-52881).
pub(super) fn program(draft: &mut Draft<'_>, process: Option<&Process>) {
    let Some(process) = process else { return };
    if let Some(profile) = given(&process.apparmor_profile) {
        let value = format!("exec {profile}");
        attribute(draft, c"attr/apparmor/exec", &value, &Origin::of("process.apparmorProfile"));
    }
    if let Some(label) = given(&process.selinux_label) {
        attribute(draft, c"attr/exec", label, &Origin::of("process.selinuxLabel"));
    }
}

fn attribute(draft: &mut Draft<'_>, file: &'static CStr, value: &str, origin: &Origin) {
    let value = draft.c_string(value, origin);
    draft.step(Op::LsmAttribute { file, value }, origin.clone());
}

/// `linux.mountLabel`, for those who mount something new.
pub(super) fn mounts(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    let origin = Origin::of("linux.mountLabel");
    let Some(label) = given(&linux.mount_label) else { return };
    if !draft.facts.selinux {
        return draft.problem(&origin, "selinux is disabled or not supported");
    }
    // It stands between quotation marks where options are joined by commas, for it may contain one.
    if label.contains('"') {
        draft.problem(&origin, "must not contain a quotation mark");
    }
    let label = draft.c_string(label, &origin);
    // Their superblock is as old as the namespace, and takes no context any more. Those of the host keep their label.
    let mounted = spec.mounts.iter().any(|mount| mount.typ.as_deref() == Some("mqueue"));
    if mounted && linux.namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::Ipc) {
        draft.step(Op::LabelQueues(label.clone()), origin);
    }
    draft.mount_label = Some(label);
}

/// Gives a new file system the label, by its option `context=` or another that an annotation names.
pub(super) fn label_mount(draft: &Draft<'_>, typ: &str, options: &mut MountOptions) {
    let Some(label) = &draft.mount_label else { return };
    // Of the first two the policy labels each file; the third has its label. What a mount asks for itself is nearer to it.
    let option = draft.label_option;
    if matches!(typ, "proc" | "sysfs" | "mqueue") || option.to_str().is_ok_and(|name| options.find(name).is_some()) {
        return;
    }
    let value = if options.classic.is_some() { quoted(label) } else { label.clone() };
    options.filesystem.push(FsOption { key: option.to_owned(), value: Some(value), index: None });
}

/// The same for the options of an overlay.
pub(super) fn add_context(options: &mut CString, option: &CStr, label: &CStr) {
    let whole = [options.to_bytes(), b",", option.to_bytes(), b"=", quoted(label).to_bytes()].concat();
    // The parts are C strings, so there is no NUL inside.
    *options = CString::new(whole).unwrap_or_default();
}

fn quoted(label: &CStr) -> CString {
    CString::new([b"\"", label.to_bytes(), b"\""].concat()).unwrap_or_default()
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}
