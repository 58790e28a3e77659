//! Assembles the filter of all architectures: a check of the architecture, a tree of comparisons of the call number,
//! and the conditions of calls that have some.

use crate::architecture::{Architecture, X32_BIT};
use crate::program::{JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_OR_EQUAL, Label, Writer};

/// Offsets in `struct seccomp_data` on a little-endian machine.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// The comparison of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Equal(u64),
    Greater(u64),
    GreaterOrEqual(u64),
    /// Equality after a mask.
    Masked(u64, u64),
}

/// A condition on an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) index: u32,
    pub(crate) test: Test,
    /// Whether it holds if the test succeeds, rather than if the test fails.
    pub(crate) holds: bool,
}

/// Conditions, and the answer if all of them hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) answer: u32,
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// The answer does not depend on arguments.
    Answer(u32),
    /// The answer of the first rule whose conditions hold, or else the default.
    Rules(Vec<Rule>),
}

/// The answers to the calls of one architecture.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) architecture: Architecture,
    /// Each answer applies from its number to the next. Neighbours differ.
    pub(crate) intervals: Vec<(u32, Leaf)>,
}

impl Table {
    /// Appends an answer from this number on.
    pub(crate) fn from(&mut self, number: u32, leaf: Leaf) {
        if self.intervals.last().is_some_and(|(last, _)| *last == number) {
            self.intervals.pop();
        }
        if self.intervals.last().is_none_or(|(_, last)| *last != leaf) {
            self.intervals.push((number, leaf));
        }
    }

    /// Returns the answer to a call, if it does not depend on its arguments.
    pub(crate) fn answer(&self, number: u32) -> Option<u32> {
        let after = self.intervals.partition_point(|(from, _)| *from <= number);
        match self.intervals.get(after.checked_sub(1)?)? {
            (_, Leaf::Answer(answer)) => Some(*answer),
            (_, Leaf::Rules(_)) => None,
        }
    }
}

/// Returns the program for these tables: `default` if no rule applies, `foreign` for architectures without a table.
/// None if it is too long for the kernel.
pub(crate) fn assemble(tables: &[Table], default: u32, foreign: u32) -> Option<Vec<u64>> {
    let mut writer = Writer::new();
    let mut entries: Vec<(u32, Label)> = Vec::new();
    // The native architecture comes first, so it is written last.
    for table in tables.iter().rev().filter(|table| table.architecture.base == 0) {
        let token = table.architecture.token;
        let second = tables.iter().find(|other| other.architecture.token == token && other.architecture.base != 0);
        let first = Branch::write(&mut writer, table, default);
        let entry = match second {
            Some(second) => {
                let above = Branch::write(&mut writer, second, default);
                writer.compare(JUMP_GREATER_OR_EQUAL, X32_BIT, above, first)
            }
            None => first,
        };
        entries.push((token, writer.load(NUMBER, entry)));
    }
    let mut next = writer.answer(foreign);
    for (token, entry) in entries {
        next = writer.compare(JUMP_EQUAL, token, entry, next);
    }
    writer.load(ARCHITECTURE, next);
    writer.finish()
}

/// Writes the answers of one table.
struct Branch<'t, 'w> {
    writer: &'w mut Writer,
    /// Whether arguments have 64 bits.
    wide: bool,
    default: u32,
    /// Rules that were written already: calls with the same rules share them.
    written: Vec<(&'t [Rule], Label)>,
}

impl<'t, 'w> Branch<'t, 'w> {
    fn write(writer: &'w mut Writer, table: &'t Table, default: u32) -> Label {
        let mut branch = Branch { writer, wide: table.architecture.wide, default, written: Vec::new() };
        branch.tree(&table.intervals)
    }

    fn tree(&mut self, intervals: &'t [(u32, Leaf)]) -> Label {
        match intervals {
            [] => self.writer.answer(self.default),
            [(_, leaf)] => self.leaf(leaf),
            // A single number between equal neighbours.
            [(_, below), (number, leaf), (next, above)] if below == above && *next == number + 1 => {
                let around = self.leaf(below);
                let leaf = self.leaf(leaf);
                self.writer.compare(JUMP_EQUAL, *number, leaf, around)
            }
            _ => {
                let (low, high) = intervals.split_at(intervals.len() / 2);
                let above = self.tree(high);
                let below = self.tree(low);
                self.writer.compare(JUMP_GREATER_OR_EQUAL, high[0].0, above, below)
            }
        }
    }

    fn leaf(&mut self, leaf: &'t Leaf) -> Label {
        let rules = match leaf {
            Leaf::Answer(answer) => return self.writer.answer(*answer),
            Leaf::Rules(rules) => rules.as_slice(),
        };
        if let Some((_, label)) = self.written.iter().find(|(other, _)| *other == rules) {
            return *label;
        }
        let default = self.writer.answer(self.default);
        let label = rules.iter().rev().fold(default, |otherwise, rule| {
            let answer = self.writer.answer(rule.answer);
            let conditions = rule.conditions.iter().rev();
            conditions.fold(answer, |yes, condition| check(self.writer, condition, self.wide, yes, otherwise))
        });
        self.written.push((rules, label));
        label
    }
}

fn check(writer: &mut Writer, condition: &Condition, wide: bool, yes: Label, no: Label) -> Label {
    let (yes, no) = if condition.holds { (yes, no) } else { (no, yes) };
    let (low, high) = (argument(condition.index), argument(condition.index) + 4);
    // Unlike "equal", the upper half alone can decide "greater".
    let (mask, value, greater) = match condition.test {
        Test::Equal(value) => (u64::MAX, value, None),
        Test::Masked(mask, value) => (mask, value & mask, None),
        Test::Greater(value) => (u64::MAX, value, Some(JUMP_GREATER)),
        Test::GreaterOrEqual(value) => (u64::MAX, value, Some(JUMP_GREATER_OR_EQUAL)),
    };
    let lower = writer.compare(greater.unwrap_or(JUMP_EQUAL), value as u32, yes, no);
    let lower = writer.mask(mask as u32, lower);
    let lower = writer.load(low, lower);
    if !wide || mask >> 32 == 0 {
        return lower;
    }
    let mut upper = writer.compare(JUMP_EQUAL, (value >> 32) as u32, lower, no);
    if greater.is_some() {
        upper = writer.compare(JUMP_GREATER, (value >> 32) as u32, yes, upper);
    }
    let upper = writer.mask((mask >> 32) as u32, upper);
    writer.load(high, upper)
}
