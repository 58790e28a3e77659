//! `process.apparmorProfile`, `process.selinuxLabel` and `linux.mountLabel`: the labels that security modules apply to
//! the program and to the file systems mounted for it.

use std::ffi::{CStr, CString};

use super::Draft;
use super::mount_options::MountOptions;
use crate::spec::{Linux, LinuxNamespaceType, Process, Spec};
use crate::{FsOption, Op, Origin};

/// Sets the label of keys that init creates, before it creates its session keyring.
pub(super) fn keys(draft: &mut Draft<'_>, process: Option<&Process>) {
    if let Some(label) = process.and_then(|process| given(&process.selinux_label))
        && !draft.request.no_new_keyring
    {
        attribute(draft, c"attr/keycreate", label, &Origin::of("process.selinuxLabel"));
    }
}

/// Sets the label for the next execve(2). It is written early through the host's /proc, like kernel parameters, because
/// the container's /proc cannot be trusted (CVE-2019-16884, CVE-2025-52881).
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

/// Reads `linux.mountLabel`, which applies to every new file system.
pub(super) fn mounts(draft: &mut Draft<'_>, spec: &Spec, linux: &Linux) {
    let origin = Origin::of("linux.mountLabel");
    let Some(label) = given(&linux.mount_label) else { return };
    if !draft.facts.selinux {
        return draft.problem(&origin, "selinux is disabled or not supported");
    }
    // Options are joined by commas, which a label can contain, so the label is quoted there.
    if label.contains('"') {
        draft.problem(&origin, "must not contain a quotation mark");
    }
    let label = draft.c_string(label, &origin);
    // Their superblock was created with the namespace and no longer accepts a context. Those of the host keep their
    // label.
    let mounted = spec.mounts.iter().any(|mount| mount.typ.as_deref() == Some("mqueue"));
    if mounted && linux.namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::Ipc) {
        draft.step(Op::LabelQueues(label.clone()), origin);
    }
    draft.mount_label = Some(label);
}

/// Adds the label to a new file system, with the option `context=` or another that an annotation names.
pub(super) fn label_mount(draft: &Draft<'_>, typ: &str, options: &mut MountOptions) {
    let Some(label) = &draft.mount_label else { return };
    // In proc and sysfs the policy labels each file, and mqueue is labelled already. A label option of the mount itself
    // takes precedence.
    let option = draft.label_option;
    if matches!(typ, "proc" | "sysfs" | "mqueue") || option.to_str().is_ok_and(|name| options.find(name).is_some()) {
        return;
    }
    let value = if options.classic.is_some() { quoted(label) } else { label.clone() };
    options.filesystem.push(FsOption { key: option.to_owned(), value: Some(value), index: None });
}

/// Adds the label to the options of an overlay.
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
