//! A classic BPF program that is written from its end to its beginning: every jump goes forward (bpf(4)), so its targets
//! are there before it is.

/// Operation codes (linux/bpf_common.h).
pub(crate) const LOAD: u16 = 0x20;
pub(crate) const AND: u16 = 0x54;
pub(crate) const JUMP: u16 = 0x05;
pub(crate) const JUMP_EQUAL: u16 = 0x15;
pub(crate) const JUMP_GREATER: u16 = 0x25;
pub(crate) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
pub(crate) const RETURN: u16 = 0x06;

/// The longest program that the kernel takes (`BPF_MAXINSNS`).
pub(crate) const MOST: usize = 4096;

/// An instruction that was written, by its distance from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// The instructions so far, last one first.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    code: Vec<u64>,
    /// The nearest place at which each answer is given.
    answers: Vec<(u32, Label)>,
}

/// An instruction as a number: see [`crate::Filter::program`].
fn instruction(operation: u16, yes: u8, no: u8, value: u32) -> u64 {
    u64::from(operation) | u64::from(yes) << 16 | u64::from(no) << 24 | u64::from(value) << 32
}

impl Writer {
    /// What a conditional jump can skip, less the two instructions that may have to be put in between.
    const REACH: usize = u8::MAX as usize - 2;

    pub(crate) fn new() -> Writer {
        Writer { code: Vec::with_capacity(1024), answers: Vec::new() }
    }

    fn push(&mut self, operation: u16, yes: u8, no: u8, value: u32) -> Label {
        self.code.push(instruction(operation, yes, no, value));
        Label(self.code.len() - 1)
    }

    /// How many instructions the next one would skip to get there.
    fn distance(&self, to: Label) -> usize {
        self.code.len() - 1 - to.0
    }

    /// Ends with this answer.
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

    /// The same place, within the reach of a conditional jump.
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

    /// Goes to one of two places.
    pub(crate) fn compare(&mut self, operation: u16, value: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.near(yes), self.near(no));
        let (yes, no) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.push(operation, yes, no, value)
    }

    /// Does something to the accumulator and goes on there.
    fn then(&mut self, operation: u16, value: u32, next: Label) -> Label {
        if self.distance(next) > 0 {
            let distance = self.distance(next) as u32;
            self.push(JUMP, 0, 0, distance);
        }
        self.push(operation, 0, 0, value)
    }

    /// Loads 32 bits of `struct seccomp_data`.
    pub(crate) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.then(LOAD, offset, next)
    }

    /// Keeps these bits of what was loaded.
    pub(crate) fn mask(&mut self, mask: u32, next: Label) -> Label {
        if mask == u32::MAX { next } else { self.then(AND, mask, next) }
    }

    /// The program, if it is not too long. What was written last comes first.
    pub(crate) fn finish(mut self) -> Option<Vec<u64>> {
        self.code.reverse();
        (self.code.len() <= MOST).then_some(self.code)
    }
}
