//! An interpreter of the classic BPF instructions that seccomp uses (bpf(4), linux/filter.h), for the tests of the
//! compiler.

/// The input of a filter: `struct seccomp_data` without the instruction pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    pub number: u32,
    pub architecture: u32,
    pub arguments: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.architecture,
            16.. if offset < 64 && offset.is_multiple_of(4) => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
            }
            _ => panic!("load of byte {offset}"),
        }
    }
}

/// Returns the answer of a program. Panics on instructions that the kernel would refuse.
pub fn ask(program: &[u64], data: &Data) -> u32 {
    let (mut at, mut a) = (0usize, 0u32);
    loop {
        let instruction = program[at];
        let (yes, no) = ((instruction >> 16 & 0xff) as usize, (instruction >> 24 & 0xff) as usize);
        let value = (instruction >> 32) as u32;
        at += 1;
        let holds = match instruction as u16 {
            0x20 => {
                a = data.word(value);
                continue;
            }
            0x54 => {
                a &= value;
                continue;
            }
            0x05 => {
                at += value as usize;
                continue;
            }
            0x06 => return value,
            0x15 => a == value,
            0x25 => a > value,
            0x35 => a >= value,
            0x45 => a & value != 0,
            other => panic!("operation {other:#x} at {}", at - 1),
        };
        at += if holds { yes } else { no };
    }
}
