//! The words of `mounts[].options`: the attribute, flag, propagation or file system option that each one means.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::OnceLock;

use crate::{Attributes, FsOption};

// From linux/mount.h. The libc crate defines them for some targets only, and with other types.
pub(super) const RDONLY: u64 = 0x01;
pub(super) const NOSUID: u64 = 0x02;
pub(super) const NODEV: u64 = 0x04;
pub(super) const NOEXEC: u64 = 0x08;
const ATIME: u64 = 0x70;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x20_0000;

/// The effect of one option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Sets and clears attributes of the mount.
    Attribute {
        set: u64,
        clear: u64,
    },
    /// A superblock flag that fsconfig(2) sets by this name.
    Superblock,
    /// A superblock flag that only mount(2) can set, or clear if zero.
    Classic {
        set: u64,
        clear: u64,
    },
    /// Changes the propagation.
    Propagation(u64),
    Bind {
        recursive: bool,
    },
    Remount,
    CopyUp,
    CopyLink,
    Idmap {
        recursive: bool,
    },
    /// No effect: it is the default.
    Nothing,
}

/// The specification's options. Attributes also exist with the prefix `r`.
const WORDS: &[(&str, Meaning)] = {
    use Meaning::*;
    const REC: u64 = libc::MS_REC;
    &[
        ("ro", Attribute { set: RDONLY, clear: 0 }),
        ("rw", Attribute { set: 0, clear: RDONLY }),
        ("nosuid", Attribute { set: NOSUID, clear: 0 }),
        ("suid", Attribute { set: 0, clear: NOSUID }),
        ("nodev", Attribute { set: NODEV, clear: 0 }),
        ("dev", Attribute { set: 0, clear: NODEV }),
        ("noexec", Attribute { set: NOEXEC, clear: 0 }),
        ("exec", Attribute { set: 0, clear: NOEXEC }),
        ("nodiratime", Attribute { set: NODIRATIME, clear: 0 }),
        ("diratime", Attribute { set: 0, clear: NODIRATIME }),
        ("noatime", Attribute { set: NOATIME, clear: ATIME }),
        ("strictatime", Attribute { set: STRICTATIME, clear: ATIME }),
        // The atime modes exclude each other, and without one of them a mount is relatime (mount_setattr(2)).
        ("relatime", Attribute { set: 0, clear: ATIME }),
        ("atime", Attribute { set: 0, clear: ATIME }),
        ("norelatime", Attribute { set: 0, clear: ATIME }),
        ("nostrictatime", Attribute { set: 0, clear: ATIME }),
        ("nosymfollow", Attribute { set: NOSYMFOLLOW, clear: 0 }),
        ("symfollow", Attribute { set: 0, clear: NOSYMFOLLOW }),
        ("sync", Superblock),
        ("async", Superblock),
        ("dirsync", Superblock),
        ("lazytime", Superblock),
        ("nolazytime", Superblock),
        ("mand", Superblock),
        ("nomand", Superblock),
        ("iversion", Classic { set: libc::MS_I_VERSION, clear: 0 }),
        ("noiversion", Classic { set: 0, clear: libc::MS_I_VERSION }),
        ("silent", Classic { set: libc::MS_SILENT, clear: 0 }),
        ("loud", Classic { set: 0, clear: libc::MS_SILENT }),
        ("private", Propagation(libc::MS_PRIVATE)),
        ("rprivate", Propagation(libc::MS_PRIVATE | REC)),
        ("shared", Propagation(libc::MS_SHARED)),
        ("rshared", Propagation(libc::MS_SHARED | REC)),
        ("slave", Propagation(libc::MS_SLAVE)),
        ("rslave", Propagation(libc::MS_SLAVE | REC)),
        ("unbindable", Propagation(libc::MS_UNBINDABLE)),
        ("runbindable", Propagation(libc::MS_UNBINDABLE | REC)),
        ("bind", Bind { recursive: false }),
        ("rbind", Bind { recursive: true }),
        ("remount", Remount),
        ("tmpcopyup", CopyUp),
        // From crun: a source that is a symbolic link is copied, not followed.
        ("copy-symlink", CopyLink),
        ("idmap", Idmap { recursive: false }),
        ("ridmap", Idmap { recursive: true }),
        ("defaults", Nothing),
    ]
};

/// The options of one mount, sorted by their effect.
#[derive(Debug, Default)]
pub(super) struct MountOptions {
    pub(super) attributes: Attributes,
    pub(super) recursive: Attributes,
    /// `MS_*` flags for mount(2), if an option requires it.
    pub(super) classic: Option<u64>,
    pub(super) propagation: Vec<u64>,
    /// `bind` or `rbind`; true for `rbind`.
    pub(super) bind: Option<bool>,
    pub(super) remount: bool,
    pub(super) copy_up: bool,
    /// `copy-symlink`.
    pub(super) copy_link: bool,
    /// `idmap` or `ridmap`; true for `ridmap`.
    pub(super) idmap: Option<bool>,
    /// Options of the file system itself, and flags of its superblock.
    pub(super) filesystem: Vec<FsOption>,
}

impl MountOptions {
    /// Sorts the options; later ones override earlier ones. Returns none if an option contains a NUL.
    pub(super) fn parse(words: &[String]) -> Option<MountOptions> {
        let mut options = MountOptions::default();
        for (index, word) in words.iter().enumerate() {
            match meaning_of(word) {
                Some((Meaning::Attribute { set, clear }, recursive)) => {
                    let attributes = if recursive { &mut options.recursive } else { &mut options.attributes };
                    attributes.add(Attributes { set, clear });
                }
                Some((Meaning::Superblock, _)) => {
                    options.filesystem.push(FsOption {
                        key: CString::new(word.as_str()).ok()?,
                        value: None,
                        index: Some(index),
                    });
                }
                Some((Meaning::Classic { set, clear }, _)) => {
                    let flags = options.classic.unwrap_or(0) & !clear | set;
                    options.classic = (flags != 0).then_some(flags);
                }
                Some((Meaning::Propagation(flags), _)) => options.propagation.push(flags),
                Some((Meaning::Bind { recursive }, _)) => options.bind = Some(recursive || options.bind == Some(true)),
                Some((Meaning::Remount, _)) => options.remount = true,
                Some((Meaning::CopyUp, _)) => options.copy_up = true,
                Some((Meaning::CopyLink, _)) => options.copy_link = true,
                Some((Meaning::Idmap { recursive }, _)) => options.idmap = Some(recursive),
                Some((Meaning::Nothing, _)) => {}
                None => options.filesystem.push(filesystem_option(word, index)?),
            }
        }
        Some(options)
    }

    /// Returns the options that are neither attributes nor superblock flags.
    pub(super) fn data(&self) -> impl Iterator<Item = &FsOption> {
        self.filesystem
            .iter()
            .filter(|option| option.value.is_some() || option.key.to_str().is_ok_and(|key| meaning_of(key).is_none()))
    }

    /// Whether there are such options.
    pub(super) fn has_data(&self) -> bool {
        self.data().next().is_some()
    }

    /// Returns the option of this name.
    pub(super) fn find(&self, key: &str) -> Option<&FsOption> {
        self.filesystem.iter().find(|option| option.key.to_bytes() == key.as_bytes())
    }
}

/// Whether a mount with these options is a bind mount, whatever its type.
pub(super) fn make_bind(words: &[String]) -> bool {
    words.iter().any(|word| matches!(meaning_of(word), Some((Meaning::Bind { .. }, _))))
}

/// Returns the meaning of an option, and whether it is the recursive form of an attribute.
fn meaning_of(word: &str) -> Option<(Meaning, bool)> {
    // None of these options has a value.
    if word.contains('=') {
        return None;
    }
    if word.is_empty() {
        // Podman sends an empty option in place of one that it removed.
        return Some((Meaning::Nothing, false));
    }
    static TABLE: OnceLock<HashMap<&str, Meaning>> = OnceLock::new();
    let table = TABLE.get_or_init(|| WORDS.iter().copied().collect());
    let look_up = |word: &str| table.get(word).copied();
    if let Some(meaning) = look_up(word) {
        return Some((meaning, false));
    }
    match word.strip_prefix('r').and_then(look_up) {
        Some(meaning @ Meaning::Attribute { .. }) => Some((meaning, true)),
        _ => None,
    }
}

/// The options of a root of layers, sorted.
#[derive(Debug, Default)]
pub(super) struct RootOptions<'a> {
    pub(super) attributes: Attributes,
    /// The numbers of those that make the mount read-only.
    pub(super) read_only: Vec<usize>,
    /// Those of the overlay itself, with their numbers.
    pub(super) overlay: Vec<(usize, &'a str)>,
}

/// Sorts the options of a root of layers. Only attributes of the mount are options that every mount has: its superblock is
/// made by mount(2), and its propagation is `linux.rootfsPropagation`.
pub(super) fn root_options(words: &[String]) -> RootOptions<'_> {
    let mut options = RootOptions::default();
    let mut recursive = Attributes::default();
    for (index, word) in words.iter().enumerate() {
        match meaning_of(word) {
            Some((Meaning::Attribute { set, .. }, _)) if set & RDONLY != 0 => options.read_only.push(index),
            // The root has no mounts below it yet.
            Some((Meaning::Attribute { set, clear }, true)) => recursive.add(Attributes { set, clear }),
            Some((Meaning::Attribute { set, clear }, false)) => options.attributes.add(Attributes { set, clear }),
            Some((Meaning::Nothing, _)) => {}
            _ => options.overlay.push((index, word)),
        }
    }
    options.attributes.add(recursive);
    options
}

fn filesystem_option(word: &str, index: usize) -> Option<FsOption> {
    let (key, value) = match word.split_once('=') {
        Some((key, value)) => (key, Some(CString::new(value).ok()?)),
        None => (word, None),
    };
    Some(FsOption { key: CString::new(key).ok()?, value, index: Some(index) })
}

/// Returns the options of the table with their recursive forms, sorted.
pub(crate) fn known_words() -> Vec<String> {
    let mut words = Vec::new();
    for (word, meaning) in WORDS {
        words.push((*word).to_owned());
        if matches!(meaning, Meaning::Attribute { .. }) {
            words.push(format!("r{word}"));
        }
    }
    words.sort();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> MountOptions {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        MountOptions::parse(&words).unwrap()
    }

    #[test]
    fn later_options_override_earlier_ones() {
        assert_eq!(parse(&["ro", "rw"]).attributes, Attributes { set: 0, clear: RDONLY });
        assert_eq!(parse(&["noatime", "strictatime"]).attributes, Attributes { set: STRICTATIME, clear: ATIME });
        assert_eq!(parse(&["rbind", "bind"]).bind, Some(true));
        assert_eq!(parse(&["silent", "loud"]).classic, None);
    }

    #[test]
    fn recursive_attributes_are_separate() {
        let options = parse(&["rro", "nosuid"]);
        assert_eq!(options.recursive, Attributes { set: RDONLY, clear: 0 });
        assert_eq!(options.attributes, Attributes { set: NOSUID, clear: 0 });
    }

    #[test]
    fn unknown_options_belong_to_the_file_system() {
        let options = parse(&["size=64k", "newinstance", "sync", "rsize=1"]);
        let keys: Vec<_> = options.filesystem.iter().map(|option| option.key.to_str().unwrap()).collect();
        assert_eq!(keys, ["size", "newinstance", "sync", "rsize"]);
        assert!(options.has_data());
        assert!(!parse(&["sync", "ro"]).has_data());
    }
}
