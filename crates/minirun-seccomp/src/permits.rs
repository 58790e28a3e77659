//! Decides whether a program allows a call for all values of its unknown arguments.

use crate::action::ALLOW;
use crate::architecture::Architecture;
use crate::program::{AND, JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_OR_EQUAL, LOAD, RETURN};
use crate::{Filter, Machine};

/// A system call of the native architecture. Unknown arguments are `None`; omitted ones are unknown too.
#[derive(Debug, Clone, Copy)]
pub struct NativeCall<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its first arguments.
    pub arguments: &'a [Option<u64>],
}

impl Filter {
    /// Whether the filter certainly allows the call. A call whose answer depends on an unknown argument is not certain.
    pub fn permits(&self, call: NativeCall<'_>, machine: Machine) -> bool {
        let Some(native) = machine.architectures.first() else { return false };
        let number = machine.calls().find(|(name, known, _)| *name == native.name && *known == call.name);
        let Some((_, _, number)) = number else { return false };
        self.answer(native, number, call.arguments) == Some(ALLOW)
    }

    /// Returns the program's answer; none if it loads an unknown argument.
    fn answer(&self, native: &Architecture, number: u32, arguments: &[Option<u64>]) -> Option<u32> {
        let (mut at, mut held) = (0, 0);
        loop {
            let instruction = *self.program.get(at)?;
            let value = (instruction >> 32) as u32;
            let (yes, no) = ((instruction >> 16 & 0xff) as usize, (instruction >> 24 & 0xff) as usize);
            at += 1;
            let holds = match instruction as u16 {
                LOAD => {
                    held = loaded(native, number, arguments, value)?;
                    continue;
                }
                AND => {
                    held &= value;
                    continue;
                }
                JUMP => {
                    at += value as usize;
                    continue;
                }
                RETURN => return Some(value),
                JUMP_EQUAL => held == value,
                JUMP_GREATER => held > value,
                JUMP_GREATER_OR_EQUAL => held >= value,
                _ => return None,
            };
            at += if holds { yes } else { no };
        }
    }
}

/// Returns a word of `struct seccomp_data` on a little-endian machine: the number, the architecture, the instruction
/// pointer, or an argument.
fn loaded(native: &Architecture, number: u32, arguments: &[Option<u64>], offset: u32) -> Option<u32> {
    match offset {
        0 => Some(number),
        4 => Some(native.token),
        16.. => {
            let argument = (*arguments.get((offset as usize - 16) / 8)?)?;
            Some(if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 })
        }
        _ => None,
    }
}
