//! `process.apparmorProfile` and `process.selinuxLabel`: what the security modules shall make of the program.

use std::ffi::CStr;

use super::Draft;
use crate::spec::Process;
use crate::{Op, Origin};

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

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}
