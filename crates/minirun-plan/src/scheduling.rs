//! The scheduling of a process in the kernel's numbers: scheduler, I/O priority, CPUs and memory nodes.

use std::fmt;

/// The policies of sched(7) that a configuration may name, each with its number (linux/sched.h).
pub(crate) const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

/// The flags of sched_setattr(2) with their bits (linux/sched.h).
pub(crate) const SCHEDULER_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// The classes of ioprio_set(2) with their numbers (linux/ioprio.h).
pub(crate) const IO_CLASSES: [(&str, u32); 3] =
    [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];

/// The modes of set_mempolicy(2) with their numbers (linux/mempolicy.h).
pub(crate) const MEMORY_MODES: [(&str, u32); 7] = [
    ("MPOL_DEFAULT", 0),
    ("MPOL_PREFERRED", 1),
    ("MPOL_BIND", 2),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];

/// The flags of set_mempolicy(2), which go with its mode (linux/mempolicy.h).
pub(crate) const MEMORY_FLAGS: [(&str, u32); 3] =
    [("MPOL_F_NUMA_BALANCING", 1 << 13), ("MPOL_F_RELATIVE_NODES", 1 << 14), ("MPOL_F_STATIC_NODES", 1 << 15)];

/// The execution domains with their numbers (linux/personality.h).
pub(crate) const DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 8)];

/// A policy with its parameters, for sched_setattr(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// `SCHED_*` number.
    pub policy: u32,
    /// `SCHED_FLAG_*` bits.
    pub flags: u64,
    /// The nice value, −20 to 19.
    pub nice: i32,
    /// The real-time priority: 1 to 99 for real-time policies, else 0.
    pub priority: u32,
    /// The run time in nanoseconds that a deadline task gets in each period.
    pub runtime: u64,
    /// The deadline in nanoseconds after the period's begin.
    pub deadline: u64,
    /// The period in nanoseconds.
    pub period: u64,
}

/// A class and level, for ioprio_set(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_*` number.
    pub class: u32,
    /// The level: 0, the highest, to 7.
    pub level: u32,
}

impl IoPriority {
    /// Returns the class and level in the kernel's packed form.
    pub fn packed(self) -> u32 {
        self.class << 13 | self.level
    }
}

/// A memory policy, for set_mempolicy(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `MPOL_*` number with `MPOL_F_*` bits.
    pub mode: u32,
    /// Memory nodes.
    pub nodes: NumberSet,
}

/// A set of CPUs or memory nodes, as a bit mask in 64-bit words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NumberSet(Vec<u64>);

impl NumberSet {
    /// More than any kernel supports: 8192 CPUs, 1024 memory nodes.
    const MAX: u32 = 8192;

    /// Parses the list format of cpuset(7): `0-3,7`. Returns none if the text is not a list, or has a number above the
    /// maximum.
    pub(crate) fn parse(list: &str) -> Option<NumberSet> {
        let number = |text: &str| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<u32>().ok()).flatten().filter(|number| *number < NumberSet::MAX)
        };
        let mut words = Vec::new();
        for part in list.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            words.resize(words.len().max(last as usize / 64 + 1), 0);
            (first..=last).for_each(|number| words[number as usize / 64] |= 1 << (number % 64));
        }
        Some(NumberSet(words))
    }

    /// Returns the set of all numbers up to the maximum.
    pub(crate) fn all() -> NumberSet {
        NumberSet(vec![u64::MAX; NumberSet::MAX as usize / 64])
    }

    /// Returns the mask, lowest numbers first.
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word & 1 << (number % 64) != 0)
    }
}

/// Formats the set as a list with ranges.
impl fmt::Display for NumberSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == NumberSet::all() {
            return f.write_str("all");
        }
        let mut glue = "";
        for first in (0..NumberSet::MAX).filter(|number| self.has(*number) && (*number == 0 || !self.has(number - 1))) {
            let last = (first..).take_while(|number| self.has(*number)).last().unwrap_or(first);
            write!(f, "{glue}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            glue = ",";
        }
        Ok(())
    }
}

/// Returns the name of a number.
pub(crate) fn name_of<T: PartialEq>(table: &[(&'static str, T)], number: &T) -> &'static str {
    table.iter().find(|(_, known)| known == number).map_or("?", |(name, _)| name)
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", name_of(&POLICIES, &self.policy))?;
        let numbers = [
            ("nice", i64::from(self.nice)),
            ("priority", i64::from(self.priority)),
            ("runtime", self.runtime as i64),
            ("deadline", self.deadline as i64),
            ("period", self.period as i64),
        ];
        numbers.iter().filter(|(_, value)| *value != 0).try_for_each(|(name, value)| write!(f, " {name} {value}"))?;
        let flags = SCHEDULER_FLAGS.iter().filter(|(_, bit)| self.flags & bit != 0);
        flags.into_iter().try_for_each(|(name, _)| write!(f, " {name}"))
    }
}

impl fmt::Display for IoPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", name_of(&IO_CLASSES, &self.class), self.level)
    }
}

impl fmt::Display for MemoryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = MEMORY_FLAGS.iter().fold(0, |all, (_, bit)| all | bit);
        write!(f, "{}", name_of(&MEMORY_MODES, &(self.mode & !all)))?;
        if !self.nodes.is_empty() {
            write!(f, " {}", self.nodes)?;
        }
        let flags = MEMORY_FLAGS.iter().filter(|(_, bit)| self.mode & bit != 0);
        flags.into_iter().try_for_each(|(name, _)| write!(f, " {name}"))
    }
}

/// Returns the name of an execution domain.
pub(crate) fn domain_name(number: u32) -> &'static str {
    name_of(&DOMAINS, &number)
}

#[cfg(test)]
mod tests {
    use super::NumberSet;

    #[test]
    fn lists_become_masks_and_back() {
        for (list, words, shown) in [
            ("0", &[1][..], "0"),
            ("0-3,7", &[0x8f], "0-3,7"),
            ("7,0-3,2", &[0x8f], "0-3,7"),
            ("63-64", &[1 << 63, 1], "63-64"),
            ("130", &[0, 0, 4], "130"),
        ] {
            let set = NumberSet::parse(list).unwrap();
            assert_eq!((set.words(), set.to_string().as_str()), (words, shown));
        }
        for list in ["", "x", "-1", "1-", "3-1", "0,,1", " 0", "+1", "8192", "0-4294967296"] {
            assert_eq!(NumberSet::parse(list), None, "{list}");
        }
        assert_eq!(NumberSet::all().to_string(), "all");
        assert_eq!(NumberSet::parse("0-8191"), Some(NumberSet::all()));
    }
}
