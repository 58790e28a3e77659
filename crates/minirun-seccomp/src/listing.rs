//! Prints a program.

use crate::Filter;
use crate::action::show;
use crate::program::{AND, JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_OR_EQUAL, LOAD, RETURN};

impl Filter {
    /// Returns the program in the notation of bpf_asm (Documentation/networking/filter.rst), one line for each
    /// instruction; jumps name the number of their target.
    pub fn listing(&self) -> Vec<String> {
        self.program.iter().enumerate().map(|(at, instruction)| line(at, *instruction)).collect()
    }
}

fn line(at: usize, instruction: u64) -> String {
    let value = (instruction >> 32) as u32;
    let yes = at + 1 + (instruction >> 16 & 0xff) as usize;
    let no = at + 1 + (instruction >> 24 & 0xff) as usize;
    let jump = |name: &str| format!("{name} #{value:#x}, {yes}, {no}");
    match instruction as u16 {
        LOAD => format!("ld [{value}]"),
        AND => format!("and #{value:#x}"),
        JUMP => format!("ja {}", at + 1 + value as usize),
        JUMP_EQUAL => jump("jeq"),
        JUMP_GREATER => jump("jgt"),
        JUMP_GREATER_OR_EQUAL => jump("jge"),
        RETURN => format!("ret {}", show(value)),
        _ => format!("{instruction:#x}"),
    }
}
