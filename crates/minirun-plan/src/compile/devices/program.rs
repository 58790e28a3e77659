//! Compiles device rules into a short eBPF program.
//!
//! The program keeps the set of requested accesses that are still undecided, and evaluates the rules from last to
//! first. An allowing rule that matches removes its accesses from the set; when the set is empty, the request is
//! allowed. A denying rule that matches denies the request if one of its accesses is still in the set. At the end the
//! default decides. If a rule covers every access that can still be in the set, both cases become one jump.

use std::collections::BTreeMap;

use super::sets::{Meeting, Wider};
use super::{ANY_ACCESS, ANY_KIND, BLOCK, CHAR, DeviceRule};

/// The maximum length of a program without privileges, in instructions (`BPF_MAXINSNS`).
pub(super) const MAX_INSTRUCTIONS: usize = 4096;

/// Returns the program for these rules, given in the order in which they apply; none if it would allow everything.
pub(super) fn assemble(rules: &[DeviceRule]) -> Option<Vec<u64>> {
    let (rules, default) = reduce(rules);
    let mut program = Program::new();
    for run in rules.chunk_by(|a, b| a.allow == b.allow) {
        if let Some(verdict) = program.run(run) {
            return program.finish(verdict);
        }
    }
    program.finish(default)
}

/// Returns the rules in the order of evaluation (last first) without redundant ones, and the default verdict.
fn reduce(rules: &[DeviceRule]) -> (Vec<DeviceRule>, bool) {
    let about_all =
        |rule: &DeviceRule| (rule.kinds, rule.major, rule.minor, rule.access) == (ANY_KIND, None, None, ANY_ACCESS);
    let mut default = false;
    let (mut reachable, mut sooner) = (Vec::new(), Wider::default());
    for rule in rules.iter().rev() {
        if about_all(rule) {
            default = rule.allow;
            break;
        }
        if !sooner.cover(rule) {
            sooner.add(rule);
            reachable.push(*rule);
        }
    }
    // A rule with the default's verdict is necessary only if a rule after it has the opposite verdict.
    let (mut needed, mut opposite) = (Vec::new(), Meeting::default());
    for rule in reachable.into_iter().rev() {
        if rule.allow != default {
            opposite.add(&rule);
            needed.push(rule);
        } else if opposite.meet(&rule) {
            needed.push(rule);
        }
    }
    needed.reverse();
    (needed, default)
}

/// Sorts consecutive rules with the same verdict from wide to narrow, and merges rules about equal devices. Their order
/// does not matter. A wider rule comes before each rule that it covers.
fn sorted(run: &[DeviceRule]) -> Vec<DeviceRule> {
    let mut devices: BTreeMap<(Option<u32>, Option<u32>), (u8, u8)> = BTreeMap::new();
    for rule in run {
        let (block, char) = devices.entry((rule.major, rule.minor)).or_default();
        *block |= if rule.kinds & BLOCK != 0 { rule.access } else { 0 };
        *char |= if rule.kinds & CHAR != 0 { rule.access } else { 0 };
    }
    let pick = |kinds: u8| {
        devices.iter().filter_map(move |(&(major, minor), &(block, char))| {
            let access = match kinds {
                ANY_KIND if block == char => block,
                CHAR if block != char => char,
                BLOCK if block != char => block,
                _ => 0,
            };
            (access != 0).then_some(DeviceRule { allow: run[0].allow, kinds, major, minor, access })
        })
    };
    pick(ANY_KIND).chain(pick(CHAR)).chain(pick(BLOCK)).collect()
}

/// Registers: the kernel passes the context in r1; the others are chosen here.
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Operation codes of the instruction set (RFC 9669).
pub(super) const LOAD_HALF: u8 = 0x69;
pub(super) const LOAD_WORD: u8 = 0x61;
pub(super) const SET: u8 = 0xb7;
pub(super) const AND: u8 = 0x54;
pub(super) const EXIT: u8 = 0x95;
/// Jumps that compare 32 bits (Linux 5.1), so that no constant is sign-extended.
pub(super) const JUMP_EQUAL: u8 = 0x16;
pub(super) const JUMP_UNEQUAL: u8 = 0x56;
pub(super) const JUMP_ANY_BIT: u8 = 0x46;

/// A program under construction. Every jump is conditional and goes forward, so every instruction is reachable; the
/// verifier refuses unreachable ones.
struct Program {
    code: Vec<u64>,
    /// Jumps to a verdict whose targets are not set yet.
    verdicts: Vec<(usize, bool)>,
    /// The accesses that can still be undecided at this point, of block and of character devices.
    open: [u8; 2],
}

impl Program {
    fn new() -> Program {
        let mut program = Program { code: Vec::new(), verdicts: Vec::new(), open: [ANY_ACCESS; 2] };
        // struct bpf_cgroup_dev_ctx: the low half of the first word is the type, the high half the access.
        program.push(LOAD_HALF, KIND, CONTEXT, 0, 0);
        program.push(LOAD_HALF, ACCESS, CONTEXT, 2, 0);
        program.push(LOAD_WORD, MAJOR, CONTEXT, 4, 0);
        program.push(LOAD_WORD, MINOR, CONTEXT, 8, 0);
        program
    }

    /// Writes rules with one verdict. Returns the verdict if nothing can be undecided after them.
    fn run(&mut self, run: &[DeviceRule]) -> Option<bool> {
        let (mut kept, mut before) = (Vec::new(), Wider::default());
        for rule in sorted(run) {
            let open = self.open_for(rule.kinds) & !before.access_over(&rule);
            if rule.access & open != 0 {
                before.add(&rule);
                kept.push((rule, open & !rule.access == 0));
            }
        }
        for (rule, decides_all) in &kept {
            if rule.major.is_none() && rule.minor.is_none() {
                if *decides_all && rule.kinds == ANY_KIND {
                    return Some(rule.allow);
                }
                self.close(rule);
            }
        }
        for of_kind in kept.chunk_by(|a, b| a.0.kinds == b.0.kinds) {
            self.kind(of_kind);
        }
        None
    }

    fn open_for(&self, kinds: u8) -> u8 {
        [BLOCK, CHAR]
            .iter()
            .zip(self.open)
            .fold(0, |all, (kind, open)| if kinds & kind != 0 { all | open } else { all })
    }

    fn close(&mut self, rule: &DeviceRule) {
        for (kind, open) in [BLOCK, CHAR].iter().zip(&mut self.open) {
            if rule.kinds & kind != 0 {
                *open &= !rule.access;
            }
        }
    }

    /// Writes rules of one device type. The flag is set if a rule decides all accesses that can be undecided.
    fn kind(&mut self, rules: &[(DeviceRule, bool)]) {
        let (first, decides_all) = rules[0];
        let for_every_kind = first.kinds == ANY_KIND;
        if !for_every_kind && decides_all && first.major.is_none() && first.minor.is_none() {
            return self.jump_to(JUMP_EQUAL, KIND, first.kinds as u32, first.allow);
        }
        let skip = (!for_every_kind).then(|| self.jump(JUMP_UNEQUAL, KIND, first.kinds as u32));
        for of_major in rules.chunk_by(|a, b| a.0.major == b.0.major) {
            self.major(of_major);
        }
        self.target_here(skip);
    }

    /// Writes rules of one device type and one major number.
    fn major(&mut self, rules: &[(DeviceRule, bool)]) {
        let (first, decides_all) = rules[0];
        if let (Some(major), None, true) = (first.major, first.minor, decides_all) {
            return self.jump_to(JUMP_EQUAL, MAJOR, major, first.allow);
        }
        let skip = first.major.map(|major| self.jump(JUMP_UNEQUAL, MAJOR, major));
        for (rule, decides_all) in rules {
            match rule.minor {
                Some(minor) if *decides_all => self.jump_to(JUMP_EQUAL, MINOR, minor, rule.allow),
                minor => {
                    let skip = minor.map(|minor| self.jump(JUMP_UNEQUAL, MINOR, minor));
                    self.part(rule);
                    self.target_here(skip);
                }
            }
        }
        self.target_here(skip);
    }

    /// Writes the code for a matching rule that leaves other accesses undecided.
    fn part(&mut self, rule: &DeviceRule) {
        if rule.allow {
            self.push(AND, ACCESS, 0, 0, (ANY_ACCESS & !rule.access) as u32);
            self.jump_to(JUMP_EQUAL, ACCESS, 0, true);
        } else {
            self.jump_to(JUMP_ANY_BIT, ACCESS, rule.access as u32, false);
        }
    }

    /// Writes the verdicts. The default is first, because execution reaches it without a jump. Returns none if no path
    /// leads to a denial.
    fn finish(mut self, default: bool) -> Option<Vec<u64>> {
        let verdicts = std::mem::take(&mut self.verdicts);
        if default && verdicts.iter().all(|(_, verdict)| *verdict) {
            return None;
        }
        for to_verdict in [default, !default] {
            let jumps: Vec<usize> = verdicts.iter().filter(|(_, v)| *v == to_verdict).map(|(at, _)| *at).collect();
            if to_verdict == default || !jumps.is_empty() {
                jumps.into_iter().for_each(|at| self.target_here(Some(at)));
                self.push(SET, 0, 0, 0, to_verdict as u32);
                self.push(EXIT, 0, 0, 0, 0);
            }
        }
        Some(self.code)
    }

    fn push(&mut self, operation: u8, to: u8, from: u8, offset: u16, value: u32) {
        let registers = to | from << 4;
        self.code.push(u64::from_le_bytes({
            let ([o0, o1], [v0, v1, v2, v3]) = (offset.to_le_bytes(), value.to_le_bytes());
            [operation, registers, o0, o1, v0, v1, v2, v3]
        }));
    }

    /// Writes a jump whose target is set later, and returns its position.
    fn jump(&mut self, operation: u8, register: u8, value: u32) -> usize {
        self.push(operation, register, 0, 0, value);
        self.code.len() - 1
    }

    fn jump_to(&mut self, operation: u8, register: u8, value: u32, verdict: bool) {
        let at = self.jump(operation, register, value);
        self.verdicts.push((at, verdict));
    }

    /// Sets the target of a jump to the next instruction. A jump that exceeds 16 bits is in a program that exceeds the
    /// maximum length, which is refused.
    fn target_here(&mut self, jump: Option<usize>) {
        if let Some(at) = jump {
            let distance = (self.code.len() - at - 1) as u16;
            self.code[at] |= (distance as u64) << 16;
        }
    }
}
