//! Sets of device rules that are asked about one more rule, in a time that does not depend on their size: thousands of
//! rules are compiled as fast as each is read.

use std::collections::BTreeMap;

use super::{ANY_KIND, DeviceRule};

/// The numbers of a rule: none means every one.
type Number = Option<u32>;

/// Rules by the devices that they are about.
#[derive(Debug, Default)]
pub(crate) struct Wider {
    /// For kinds, major and minor: the accesses of the rules about exactly these, one bit for each of the eight sets.
    rules: BTreeMap<(u8, Number, Number), u8>,
}

impl Wider {
    pub(crate) fn add(&mut self, rule: &DeviceRule) {
        *self.rules.entry((rule.kinds, rule.major, rule.minor)).or_default() |= 1 << rule.access;
    }

    /// Whether one of the rules covers this one's devices and all of its accesses.
    pub(crate) fn cover(&self, rule: &DeviceRule) -> bool {
        self.covering(rule).any(|access| access & rule.access == rule.access)
    }

    /// Returns the accesses, added up, of the rules that cover this one's devices.
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

/// The numbers of all rules that may cover this one's. Of a rule about every major or minor some are the same.
fn wider(rule: &DeviceRule) -> impl Iterator<Item = (Number, Number)> + use<> {
    let (major, minor) = (rule.major, rule.minor);
    [(None, None), (None, minor), (major, None), (major, minor)].into_iter()
}

/// Rules by what a further rule could have in common with them.
#[derive(Debug, Default)]
pub(super) struct Meeting {
    /// For the numbers of a rule, and for these with one or both left out: a bit for each pair of a kind and an access.
    rules: BTreeMap<(Place, Number, Number), u8>,
}

/// Which of the numbers a key is made of.
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

    /// Whether there is a device and an access that one of the rules and this one are about.
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

/// A bit for each kind with each access.
fn pairs(rule: &DeviceRule) -> u8 {
    let of_kind = |kind: u8, shift: u8| if rule.kinds & kind != 0 { rule.access << shift } else { 0 };
    of_kind(super::BLOCK, 0) | of_kind(super::CHAR, 3)
}
