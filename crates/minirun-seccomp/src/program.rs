//! Writes a classic BPF program from its end to its beginning. Every jump goes forward (bpf(4)), so its targets exist
//! before it.

/// Operation codes (linux/bpf_common.h).
pub(crate) const LOAD: u16 = 0x20;
pub(crate) const AND: u16 = 0x54;
pub(crate) const JUMP: u16 = 0x05;
pub(crate) const JUMP_EQUAL: u16 = 0x15;
pub(crate) const JUMP_GREATER: u16 = 0x25;
pub(crate) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
pub(crate) const RETURN: u16 = 0x06;

/// The maximum length of a program in the kernel (`BPF_MAXINSNS`).
pub(crate) const MAX_INSTRUCTIONS: usize = 4096;

/// A written instruction, by its distance from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// The instructions so far, last one first.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    code: Vec<u64>,
    /// The nearest instruction that returns each answer.
    answers: Vec<(u32, Label)>,
}

/// Returns an instruction as a number: see [`crate::Filter::program`].
fn instruction(operation: u16, yes: u8, no: u8, value: u32) -> u64 {
    u64::from(operation) | u64::from(yes) << 16 | u64::from(no) << 24 | u64::from(value) << 32
}

impl Writer {
    /// The instructions that a conditional jump can skip, minus the two that may have to be inserted.
    const REACH: usize = u8::MAX as usize - 2;

    pub(crate) fn new() -> Writer {
        Writer { code: Vec::with_capacity(1024), answers: Vec::new() }
    }

    fn push(&mut self, operation: u16, yes: u8, no: u8, value: u32) -> Label {
        self.code.push(instruction(operation, yes, no, value));
        Label(self.code.len() - 1)
    }

    /// Returns how many instructions the next one would have to skip to reach a label.
    fn distance(&self, to: Label) -> usize {
        self.code.len() - 1 - to.0
    }

    /// Writes a return of this answer.
    pub(crate) fn answer(&mut self, answer: u32) -> Label {
        let known = self.answers.iter().position(|(other, _)| *other == answer);
        if let Some(known) = known
            && self.distance(self.answers[known].1) <= Self::REACH
        {
            return self.answers[known].1;
        }
        let label = self.push(RETURN, 0, 0, answer);
        match known {
            Some(known) => self.answers[known].1 = label,
            None => self.answers.push((answer, label)),
        }
        label
    }

    /// Returns a label within the reach of a conditional jump that leads to the same place.
    fn near(&mut self, to: Label) -> Label {
        if self.distance(to) <= Self::REACH {
            return to;
        }
        let target = self.code[to.0];
        if target as u16 == RETURN {
            return self.answer((target >> 32) as u32);
        }
        let distance = self.distance(to) as u32;
        self.push(JUMP, 0, 0, distance)
    }

    /// Writes a comparison that jumps to one of two places.
    pub(crate) fn compare(&mut self, operation: u16, value: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.near(yes), self.near(no));
        let (yes, no) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.push(operation, yes, no, value)
    }

    /// Writes an operation on the accumulator that continues at `next`.
    fn then(&mut self, operation: u16, value: u32, next: Label) -> Label {
        if self.distance(next) > 0 {
            let distance = self.distance(next) as u32;
            self.push(JUMP, 0, 0, distance);
        }
        self.push(operation, 0, 0, value)
    }

    /// Writes a load of 32 bits of `struct seccomp_data`.
    pub(crate) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.then(LOAD, offset, next)
    }

    /// Writes a mask of the loaded value.
    pub(crate) fn mask(&mut self, mask: u32, next: Label) -> Label {
        if mask == u32::MAX { next } else { self.then(AND, mask, next) }
    }

    /// Returns the program, with the last written instruction first; none if it is too long.
    pub(crate) fn finish(mut self) -> Option<Vec<u64>> {
        self.code.reverse();
        (self.code.len() <= MAX_INSTRUCTIONS).then_some(self.code)
    }
}
