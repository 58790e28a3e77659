//! Random profiles, and calls that are likely to match their rules.

use minirun_seccomp::{Argument, Machine, OPERATORS, Profile, Syscall};

use crate::interpreter::Data;
use crate::meaning::is_multiplexed;
use crate::oracle::{ARCHITECTURES, Oracle, number_of, token};

const ACTIONS: [&str; 7] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
];
/// Values at which comparisons are likely to fail.
const VALUES: [u64; 12] =
    [0, 1, 2, 3, 40, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, (1 << 32) + 2, 1 << 63, u64::MAX];

/// xorshift64*.
pub struct Random {
    state: u64,
    /// Calls whose numbers libseccomp knows too.
    names: Vec<&'static str>,
}

impl Random {
    /// Returns the same generator every time, unless `SEED` is set. With some seeds (6) libseccomp 2.5.4 hangs when it
    /// adds a rule.
    pub fn seeded() -> Random {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x6d69_6e69_7275_6e21);
        println!("SEED={seed}");
        Random { state: seed, names: Vec::new() }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 32) as usize % end
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn value(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next(),
            _ => self.pick(&VALUES),
        }
    }

    fn action(&mut self) -> (String, Option<u32>) {
        // Most profiles are a list of allowed calls.
        let action = if self.chance(2) { "SCMP_ACT_ALLOW" } else { self.pick(&ACTIONS) };
        let numbered = matches!(action, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE");
        (action.to_owned(), (numbered && self.chance(2)).then_some(self.below(4) as u32))
    }

    pub fn profile(&mut self, oracle: &Oracle) -> Profile {
        if self.names.is_empty() {
            let strange = |name: &str| {
                let strange = |(architecture, call, _)| call == name && oracle.number(architecture, call).is_none();
                Machine::X86_64.calls().any(strange) && !is_multiplexed(name)
            };
            self.names = Machine::X86_64.calls().map(|(_, name, _)| name).filter(|name| !strange(name)).collect();
            // Names of the same calls on x86 must meet often.
            for name in ["socket", "connect", "shmat", "semop", "socketcall", "ipc", "read", "clone", "personality"] {
                self.names.extend([name; 8]);
            }
        }
        let (default_action, default_errno_ret) = match self.below(3) {
            0 => self.action(),
            _ => ("SCMP_ACT_ERRNO".to_owned(), None),
        };
        let architectures: Vec<String> =
            ARCHITECTURES.iter().filter(|_| self.chance(2)).map(|name| (*name).to_owned()).collect();
        let many = if self.chance(8) { 60 } else { 8 };
        let rules = 1 + self.below(many);
        let syscalls = (0..rules).map(|_| self.syscall()).collect();
        Profile {
            default_action: Some(default_action),
            default_errno_ret,
            architectures: Some(architectures),
            syscalls: Some(syscalls),
            ..Profile::default()
        }
    }

    fn syscall(&mut self) -> Syscall {
        let (action, errno_ret) = self.action();
        let most = if self.chance(4) { 60 } else { 3 };
        let names = (0..1 + self.below(most)).map(|_| {
            let at = self.below(self.names.len());
            self.names[at].to_owned()
        });
        let names = names.collect();
        let count = if self.chance(2) { 0 } else { 1 + self.below(3) };
        let args = (0..count).map(|_| Argument {
            index: if self.chance(3) { self.below(6) as u32 } else { self.below(2) as u32 },
            value: self.value(),
            value_two: self.value(),
            op: self.pick(&OPERATORS).to_owned(),
        });
        Syscall { names, action, errno_ret, args: Some(args.collect()) }
    }

    /// Returns a call, mostly one with a rule, with arguments near the values of rules.
    pub fn data(&mut self, profile: &Profile) -> Data {
        let rules = profile.syscalls.as_deref().unwrap();
        let rule = &rules[self.below(rules.len())];
        let architecture = self.pick(&ARCHITECTURES);
        let name = rule.names[self.below(rule.names.len())].as_str();
        let known = number_of(architecture, name);
        let mut number = match (known, self.below(8)) {
            (_, 0) => self.below(1 << 10) as u32,
            (_, 1) => self.pick(&[0, 0x3fff_ffff, 0x4000_0000, 0x4000_0400, u32::MAX]),
            (_, 2) if architecture == "SCMP_ARCH_X86" => self.pick(&[102, 117]),
            (Some(number), chance) => number.wrapping_add(u32::from(chance == 3)),
            (None, _) => self.below(500) as u32,
        };
        let token = if self.chance(40) { 0xc000_00b7 } else { token(architecture) };
        // x32 has the audit architecture of x86_64.
        let (architecture, x32) = if token == 0x4000_003e { (0xc000_003e, true) } else { (token, false) };
        number |= if x32 { 0x4000_0000 } else { 0 };
        let mut arguments = [0; 6];
        for (index, argument) in arguments.iter_mut().enumerate() {
            *argument = self.argument(rule, index as u32);
        }
        Data { number, architecture, arguments }
    }

    fn argument(&mut self, rule: &Syscall, index: u32) -> u64 {
        let tested = rule.args.iter().flatten().find(|argument| argument.index == index);
        let base = match (tested, self.below(8)) {
            (_, 0) => self.value(),
            (_, 1) => self.below(25) as u64,
            (Some(argument), 2) => argument.value_two & argument.value,
            (Some(argument), _) => argument.value,
            (None, _) => self.value(),
        };
        match self.below(8) {
            0 => base.wrapping_add(1),
            1 => base.wrapping_sub(1),
            2 => base ^ 1 << 32,
            3 => base & 0xffff_ffff,
            4 => base | 1 << 16,
            _ => base,
        }
    }
}
