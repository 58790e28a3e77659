//! Formats values of a plan: texts, capability masks, attributes and options of mounts.

use std::ffi::CStr;
use std::fmt::{self, Write as _};

use crate::{Attributes, FsOption, Hook, InRoot, MountPoint, RootPlace, Source};

pub(super) fn hook_subject(hook: &Hook) -> String {
    let timeout = hook.timeout.map_or(String::new(), |seconds| format!(" (at most {seconds} s)"));
    format!("{}{timeout}", show(&hook.path))
}

/// Joins the lines of a file in /proc into one.
pub(super) fn one_line(lines: &str) -> String {
    lines.trim_end().replace('\n', ", ")
}

/// Returns a C string with everything escaped that is not plain text.
pub(super) fn show(text: &CStr) -> String {
    let mut shown = String::new();
    push_shown(&mut shown, text);
    shown
}

/// Appends a C string, escaped as by [`show`]. Almost all strings are plain.
fn push_shown(out: &mut String, text: &CStr) {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\');
    match text.to_str() {
        Ok(text) if text.as_bytes().iter().all(plain) => out.push_str(text),
        _ => out.extend(text.to_string_lossy().escape_debug()),
    }
}

pub(super) fn handle(source: &Source) -> &'static str {
    match source {
        Source::Handle(..) => " (opened by the parent)",
        Source::Inside(..) => " (in the root)",
        Source::Path(_) => "",
    }
}

pub(super) fn limit(value: u64) -> String {
    if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() }
}

pub(super) fn capabilities(mask: u64) -> String {
    if mask == 0 {
        return "none".to_owned();
    }
    let mut text = String::new();
    for bit in (0..64).filter(|bit| mask & 1 << bit != 0) {
        if !text.is_empty() {
            text.push(' ');
        }
        let name = caps::all().into_iter().find(|capability| capability.bitmask() == 1 << bit);
        let _infallible = match name {
            Some(name) => write!(text, "{name}"),
            None => write!(text, "{bit}"),
        };
    }
    text
}

pub(super) fn propagation(flags: u64) -> String {
    let kind = match flags & !libc::MS_REC {
        libc::MS_SHARED => "shared",
        libc::MS_SLAVE => "slave",
        libc::MS_PRIVATE => "private",
        _ => "unbindable",
    };
    format!("{}{kind}", if flags & libc::MS_REC != 0 { "r" } else { "" })
}

/// Returns the options; those that an attribute implies are shown with the attributes.
pub(super) fn fs_options(options: &[FsOption]) -> String {
    options.iter().filter(|option| option.index.is_some() || option.value.is_some()).fold(
        String::new(),
        |mut text, option| {
            text.push(' ');
            push_shown(&mut text, &option.key);
            if let Some(value) = &option.value {
                text.push('=');
                push_shown(&mut text, value);
            }
            text
        },
    )
}

/// Returns attributes as mount options, with a prefix for the recursive ones.
pub(super) fn words(attributes: &Attributes, prefix: &str) -> String {
    const WORDS: [(u64, &str, &str); 6] = [
        (0x01, "ro", "rw"),
        (0x02, "nosuid", "suid"),
        (0x04, "nodev", "dev"),
        (0x08, "noexec", "exec"),
        (0x80, "nodiratime", "diratime"),
        (0x20_0000, "nosymfollow", "symfollow"),
    ];
    let mut text = String::new();
    let mut add = |word: &str| {
        text.push(' ');
        text.push_str(prefix);
        text.push_str(word);
    };
    for (bit, set, clear) in WORDS {
        if attributes.set & bit != 0 {
            add(set);
        } else if attributes.clear & bit != 0 {
            add(clear);
        }
    }
    match (attributes.set & 0x70, attributes.clear & 0x70) {
        (0x10, _) => add("noatime"),
        (0x20, _) => add("strictatime"),
        (_, 0x70) => add("relatime"),
        _ => {}
    }
    text
}

impl fmt::Display for InRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", show(self.path()))
    }
}

impl fmt::Display for RootPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RootPlace::OverSlash => f.write_str("/"),
            RootPlace::At(path) => f.write_str(&show(path)),
        }
    }
}

impl fmt::Display for MountPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.target, words(&self.attributes, ""), words(&self.recursive, "r"))?;
        self.propagation.iter().try_for_each(|flags| write!(f, " {}", propagation(*flags)))
    }
}
