//! Sets of device rules with lookups in constant time, so that thousands of rules compile as fast as they are read.

use std::collections::BTreeMap;

use super::{ANY_KIND, DeviceRule};

/// A major or minor number of a rule; none means all.
type Number = Option<u32>;

/// Rules by their devices, to find those that cover another rule.
#[derive(Debug, Default)]
pub(crate) struct Wider {
    /// For each combination of types, major and minor: the accesses of the rules about exactly these, one bit for each
    /// of the eight sets.
    rules: BTreeMap<(u8, Number, Number), u8>,
}

impl Wider {
    pub(crate) fn add(&mut self, rule: &DeviceRule) {
        *self.rules.entry((rule.kinds, rule.major, rule.minor)).or_default() |= 1 << rule.access;
    }

    /// Whether a rule covers this one's devices and all of its accesses.
    pub(crate) fn cover(&self, rule: &DeviceRule) -> bool {
        self.covering(rule).any(|access| access & rule.access == rule.access)
    }

    /// Returns the union of the accesses of the rules that cover this one's devices.
    pub(crate) fn access_over(&self, rule: &DeviceRule) -> u8 {
        self.covering(rule).fold(0, |all, access| all | access)
    }

    fn covering(&self, rule: &DeviceRule) -> impl Iterator<Item = u8> {
        let kinds = (1..=ANY_KIND).filter(move |kinds| kinds & rule.kinds == rule.kinds);
        let patterns = kinds.flat_map(move |kinds| wider(rule).map(move |(major, minor)| (kinds, major, minor)));
        let known = patterns.filter_map(|pattern| self.rules.get(&pattern).copied());
        known.flat_map(|sets| (0..8).filter(move |access| sets & 1 << access != 0))
    }
}

/// Returns the numbers of all rules that can cover this one. They repeat if this rule is about all majors or minors.
fn wider(rule: &DeviceRule) -> impl Iterator<Item = (Number, Number)> + use<> {
    let (major, minor) = (rule.major, rule.minor);
    [(None, None), (None, minor), (major, None), (major, minor)].into_iter()
}

/// Rules by their devices, to find those that overlap another rule.
#[derive(Debug, Default)]
pub(super) struct Meeting {
    /// For the numbers of a rule, and for the numbers with one or both left out: a bit for each pair of a type and an
    /// access.
    rules: BTreeMap<(Place, Number, Number), u8>,
}

/// The numbers that a key contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Both,
    Major,
    Minor,
    Neither,
}

impl Meeting {
    pub(super) fn add(&mut self, rule: &DeviceRule) {
        let (major, minor) = (rule.major, rule.minor);
        let keys = [
            (Place::Both, major, minor),
            (Place::Major, major, None),
            (Place::Minor, None, minor),
            (Place::Neither, None, None),
        ];
        for key in keys {
            *self.rules.entry(key).or_default() |= pairs(rule);
        }
    }

    /// Whether one of the rules shares a device and an access with this one.
    pub(super) fn meet(&self, rule: &DeviceRule) -> bool {
        let has =
            |place, major, minor| self.rules.get(&(place, major, minor)).is_some_and(|had| had & pairs(rule) != 0);
        match (rule.major, rule.minor) {
            (Some(_), Some(_)) => wider(rule).any(|(major, minor)| has(Place::Both, major, minor)),
            (major @ Some(_), None) => has(Place::Major, None, None) || has(Place::Major, major, None),
            (None, minor @ Some(_)) => has(Place::Minor, None, None) || has(Place::Minor, None, minor),
            (None, None) => has(Place::Neither, None, None),
        }
    }
}

/// Returns a bit for each pair of a type and an access.
fn pairs(rule: &DeviceRule) -> u8 {
    let of_kind = |kind: u8, shift: u8| if rule.kinds & kind != 0 { rule.access << shift } else { 0 };
    of_kind(super::BLOCK, 0) | of_kind(super::CHAR, 3)
}
