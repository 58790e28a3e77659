//! System calls by name.

mod table;

use table::NAMES;

/// The number of a call that the architecture does not have.
const NONE: u32 = u32::MAX;

/// The call numbers of one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers(&'static [u32; NAMES.len()]);

#[cfg(any(feature = "every-machine", target_arch = "x86_64"))]
pub(crate) mod x86 {
    use super::{Numbers, table};

    pub(crate) const X86_64: Numbers = Numbers(&table::X86_64);
    pub(crate) const X86: Numbers = Numbers(&table::X86);
    pub(crate) const X32: Numbers = Numbers(&table::X32);
}

#[cfg(any(feature = "every-machine", target_arch = "aarch64"))]
pub(crate) mod arm {
    use super::{Numbers, table};

    pub(crate) const AARCH64: Numbers = Numbers(&table::AARCH64);
    pub(crate) const ARM: Numbers = Numbers(&table::ARM);
}

#[cfg(any(feature = "every-machine", target_arch = "riscv64"))]
pub(crate) const RISCV64: Numbers = Numbers(&table::RISCV64);

/// A call of at least one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call(u16);

impl Numbers {
    /// Returns the number of a call, if the architecture has it.
    pub(crate) fn of(&self, call: Call) -> Option<u32> {
        Some(self.0[call.0 as usize]).filter(|number| *number != NONE)
    }
}

impl Call {
    /// Returns the call with this name in the kernel's headers.
    pub(crate) fn named(name: &str) -> Option<Call> {
        let mut slot = hash(name.as_bytes()) as usize % SLOTS;
        while INDEX[slot] != EMPTY {
            if NAMES[INDEX[slot] as usize] == name {
                return Some(Call(INDEX[slot]));
            }
            slot = (slot + 1) % SLOTS;
        }
        None
    }
}

/// Returns the names and numbers of all calls of an architecture, for tests.
pub(crate) fn all(numbers: Numbers) -> impl Iterator<Item = (&'static str, u32)> {
    NAMES.iter().zip(numbers.0).filter(|(_, number)| **number != NONE).map(|(name, number)| (*name, *number))
}

/// At least twice the number of names, so that searches are short.
const SLOTS: usize = 2048;
const EMPTY: u16 = u16::MAX;

/// A hash table with open addressing, computed at compile time, because a profile names hundreds of calls.
static INDEX: [u16; SLOTS] = {
    assert!(NAMES.len() * 2 < SLOTS, "the table of names has grown: double SLOTS");
    let mut index = [EMPTY; SLOTS];
    let mut i = 0;
    while i < NAMES.len() {
        let mut slot = hash(NAMES[i].as_bytes()) as usize % SLOTS;
        while index[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = i as u16;
        i += 1;
    }
    index
};

/// Returns the FNV-1a hash.
const fn hash(bytes: &[u8]) -> u32 {
    let (mut hash, mut i) = (0x811c_9dc5u32, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}
