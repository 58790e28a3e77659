//! Architectures: their names in a profile, and how a filter distinguishes their calls.

use crate::syscalls::Numbers;

/// The architectures of a profile. Those whose programs the kernel cannot run are ignored.
pub const ARCHITECTURES: [&str; 23] = [
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
];

/// The bit in the numbers of x32's calls, which share the audit architecture of x86_64.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// The calls of an architecture as a filter sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Architecture {
    /// Its name in a profile.
    pub(crate) name: &'static str,
    /// `AUDIT_ARCH_*`.
    pub(crate) token: u32,
    /// The number added to those of its calls.
    pub(crate) base: u32,
    /// Whether arguments have 64 bits.
    pub(crate) wide: bool,
    /// Whether it has `socketcall` and `ipc`, which multiplex many calls.
    pub(crate) multiplexes: bool,
    /// The numbers of its calls.
    pub(crate) numbers: Numbers,
}

/// A machine: the architectures whose programs its kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The architectures, with the native one first.
    pub(crate) architectures: &'static [Architecture],
}

impl Machine {
    /// Returns the machine for which this is compiled.
    pub fn native() -> Machine {
        #[cfg(target_arch = "x86_64")]
        return Machine::X86_64;
        #[cfg(target_arch = "aarch64")]
        return Machine::AARCH64;
        #[cfg(target_arch = "riscv64")]
        return Machine::RISCV64;
    }

    /// x86_64, with x86 and x32.
    #[cfg(any(feature = "every-machine", target_arch = "x86_64"))]
    pub const X86_64: Machine = {
        use crate::syscalls::x86::{X32, X86, X86_64};
        let (name, token) = ("SCMP_ARCH_X86_64", 0xc000_003e);
        let native = Architecture { name, token, base: 0, wide: true, multiplexes: false, numbers: X86_64 };
        let x32 = Architecture { name: "SCMP_ARCH_X32", base: X32_BIT, wide: false, numbers: X32, ..native };
        let (name, token) = ("SCMP_ARCH_X86", 0x4000_0003);
        let x86 = Architecture { name, token, base: 0, wide: false, multiplexes: true, numbers: X86 };
        Machine { architectures: &[native, x32, x86] }
    };

    /// aarch64, with arm.
    #[cfg(any(feature = "every-machine", target_arch = "aarch64"))]
    pub const AARCH64: Machine = {
        use crate::syscalls::arm::{AARCH64, ARM};
        let (name, token) = ("SCMP_ARCH_AARCH64", 0xc000_00b7);
        let native = Architecture { name, token, base: 0, wide: true, multiplexes: false, numbers: AARCH64 };
        let (name, token) = ("SCMP_ARCH_ARM", 0x4000_0028);
        let arm = Architecture { name, token, base: 0, wide: false, multiplexes: false, numbers: ARM };
        Machine { architectures: &[native, arm] }
    };

    /// riscv64.
    #[cfg(any(feature = "every-machine", target_arch = "riscv64"))]
    pub const RISCV64: Machine = {
        let (name, token, numbers) = ("SCMP_ARCH_RISCV64", 0xc000_00f3, crate::syscalls::RISCV64);
        let native = Architecture { name, token, base: 0, wide: true, multiplexes: false, numbers };
        Machine { architectures: &[native] }
    };

    /// Returns every call with a number of every architecture of this machine: the architecture's name in a profile,
    /// the call's name, and its number as a filter sees it.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, &'static str, u32)> {
        self.architectures.iter().flat_map(|architecture| {
            let Architecture { name, base, numbers, .. } = *architecture;
            crate::syscalls::all(numbers).map(move |(call, number)| (name, call, number | base))
        })
    }
}
