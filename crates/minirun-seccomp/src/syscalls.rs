//! System calls by name.

mod table;

use table::NAMES;

/// Stands for no number: the architecture has no such call.
const NONE: u32 = u32::MAX;

/// The numbers of one architecture.
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

/// A call that some architecture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call(u16);

impl Numbers {
    /// The number of a call, if there is one.
    pub(crate) fn of(&self, call: Call) -> Option<u32> {
        Some(self.0[call.0 as usize]).filter(|number| *number != NONE)
    }
}

impl Call {
    /// The call of this name, as the kernel's headers have it.
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

/// The numbers of all calls of an architecture that is known by its table, for tests.
pub(crate) fn all(numbers: Numbers) -> impl Iterator<Item = (&'static str, u32)> {
    NAMES.iter().zip(numbers.0).filter(|(_, number)| **number != NONE).map(|(name, number)| (*name, *number))
}

/// At least twice as many as there are names, so that a search is short.
const SLOTS: usize = 2048;
const EMPTY: u16 = u16::MAX;

/// A hash table with open addressing, made when this is compiled: a profile names hundreds of calls.
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

/// FNV-1a.
const fn hash(bytes: &[u8]) -> u32 {
    let (mut hash, mut i) = (0x811c_9dc5u32, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}
