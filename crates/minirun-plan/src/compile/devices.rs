//! Device rules of `linux.resources.devices`, and the eBPF filter that the kernel runs for each access.
//!
//! Rules apply in order, and the last matching one decides, *separately for read, write and mknod*. Opening a device
//! for reading and writing is allowed if the last rule about reading and the last rule about writing both allow it.
//! Cgroup v1 has these semantics, and the specification refers to them. runc refuses rule sets in which the accesses
//! are decided by different rules; minirun supports them. An access that no rule matches is denied.

mod program;
mod sets;

use std::fmt;

pub(crate) use sets::Wider;

use crate::spec::{DeviceAccess, LinuxDeviceType};
use crate::{Origin, Problems};

/// Device types, as bits with the kernel's values (`BPF_DEVCG_DEV_*`).
pub(crate) const BLOCK: u8 = 1;
pub(crate) const CHAR: u8 = 2;
const ANY_KIND: u8 = BLOCK | CHAR;

/// Kinds of access, as bits with the kernel's values (`BPF_DEVCG_ACC_*`).
pub(crate) const MKNOD: u8 = 1;
pub(crate) const READ: u8 = 2;
pub(crate) const WRITE: u8 = 4;
const ANY_ACCESS: u8 = MKNOD | READ | WRITE;

/// A parsed device rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceRule {
    /// Whether the rule allows the access; if not, it denies it.
    pub allow: bool,
    /// Block devices (1), character devices (2) or both (3).
    pub kinds: u8,
    /// The major number; none means all.
    pub major: Option<u32>,
    /// The minor number; none means all.
    pub minor: Option<u32>,
    /// The sum of mknod (1), read (2) and write (4).
    pub access: u8,
}

/// The device rules of a container, and the program that implements them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFilter {
    /// The rules in the order in which they apply: the configuration's, then the defaults.
    pub rules: Vec<DeviceRule>,
    /// A `BPF_PROG_TYPE_CGROUP_DEVICE` program; each element is one instruction as a little-endian kernel stores it.
    pub program: Vec<u64>,
}

/// The accesses that every container has, whatever its configuration: runc's list, which engines rely on.
///
/// Creating nodes is harmless as long as they cannot be opened. 136:* are the pseudo-terminals, 5:2 is `ptmx`. 10:200
/// is `/dev/net/tun`: runc 1.2.0 dropped it, VPN containers broke, and 1.2.1 restored it.
const DEFAULTS: [DeviceRule; 11] = [
    allow(CHAR, None, None, MKNOD),
    allow(BLOCK, None, None, MKNOD),
    allow(CHAR, Some(1), Some(3), ANY_ACCESS),
    allow(CHAR, Some(1), Some(8), ANY_ACCESS),
    allow(CHAR, Some(1), Some(7), ANY_ACCESS),
    allow(CHAR, Some(5), Some(0), ANY_ACCESS),
    allow(CHAR, Some(1), Some(5), ANY_ACCESS),
    allow(CHAR, Some(1), Some(9), ANY_ACCESS),
    allow(CHAR, Some(136), None, ANY_ACCESS),
    allow(CHAR, Some(5), Some(2), ANY_ACCESS),
    allow(CHAR, Some(10), Some(200), ANY_ACCESS),
];

const fn allow(kinds: u8, major: Option<u32>, minor: Option<u32>, access: u8) -> DeviceRule {
    DeviceRule { allow: true, kinds, major, minor, access }
}

impl DeviceRule {
    /// Returns the letters of this access: `rwm`.
    pub(crate) fn letters(access: u8) -> String {
        let letters = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')].into_iter();
        letters.filter(|(bit, _)| access & bit != 0).map(|(_, letter)| letter).collect()
    }
}

/// The filter of a container without rules: the defaults only.
impl Default for DeviceFilter {
    fn default() -> DeviceFilter {
        DeviceFilter { rules: DEFAULTS.to_vec(), program: program::assemble(&DEFAULTS).unwrap_or_default() }
    }
}

/// Formats a rule like cgroup v1's `devices.list`, with the verdict first: `allow c 1:3 rwm`.
impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        f.write_str(if self.allow { "allow " } else { "deny " })?;
        f.write_str(match self.kinds {
            BLOCK => "b",
            CHAR => "c",
            _ => "a",
        })?;
        write!(f, " {}:{} ", number(self.major), number(self.minor))?;
        f.write_str(&DeviceRule::letters(self.access))
    }
}

/// Returns the filter for `linux.resources.devices` and the defaults; none if every access is allowed.
pub(crate) fn device_filter(rules: Option<&[DeviceAccess]>, problems: &mut Problems) -> Option<DeviceFilter> {
    let list = Origin::of("linux.resources.devices");
    let mut parsed = Vec::new();
    for (i, rule) in rules.unwrap_or_default().iter().enumerate() {
        parsed.extend(parse(rule, || list.index(i), problems));
    }
    parsed.extend(DEFAULTS);
    let program = program::assemble(&parsed)?;
    if program.len() > program::MAX_INSTRUCTIONS {
        problems.add(&list, format!("{} rules make a longer program than the kernel accepts", parsed.len()));
        return None;
    }
    Some(DeviceFilter { rules: parsed, program })
}

fn parse(rule: &DeviceAccess, origin: impl Fn() -> Origin, problems: &mut Problems) -> Option<DeviceRule> {
    let kinds = match rule.typ.unwrap_or_default() {
        LinuxDeviceType::A => Some(ANY_KIND),
        LinuxDeviceType::B => Some(BLOCK),
        LinuxDeviceType::C => Some(CHAR),
        other => {
            let text = format!("invalid cgroup device type {:?} (expected a, b or c)", other.as_str());
            problems.add(&origin().field("type"), text);
            None
        }
    };
    let major = number(rule.major, || origin().field("major"), problems);
    let minor = number(rule.minor, || origin().field("minor"), problems);
    let access = access(rule.access.as_deref().unwrap_or(""), || origin().field("access"), problems);
    Some(DeviceRule { allow: rule.allow, kinds: kinds?, major: major?, minor: minor?, access: access? })
}

/// Returns a device number; absent and -1 mean all.
fn number(value: Option<i64>, origin: impl Fn() -> Origin, problems: &mut Problems) -> Option<Option<u32>> {
    match value {
        None | Some(-1) => Some(None),
        Some(value) => match u32::try_from(value) {
            Ok(number) => Some(Some(number)),
            Err(_) => {
                problems.add(&origin(), format!("invalid device number {value} (-1 means all)"));
                None
            }
        },
    }
}

fn access(letters: &str, origin: impl Fn() -> Origin, problems: &mut Problems) -> Option<u8> {
    let mut access = 0;
    for letter in letters.chars() {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            _ => {
                problems.add(
                    &origin(),
                    format!("invalid device access {letters:?} (expected a combination of r, w and m)"),
                );
                return None;
            }
        };
    }
    if access == 0 {
        // An empty access is ambiguous: nothing or everything. runc refuses it too.
        problems.add(&origin(), "device access cannot be empty (expected r, w or m)");
        return None;
    }
    Some(access)
}

#[cfg(test)]
mod tests;
