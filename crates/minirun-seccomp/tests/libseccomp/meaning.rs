//! The meaning of a profile, implemented rule by rule from the documentation of the crate, without its code.

use minirun_seccomp::{Argument, Profile, Syscall};

use crate::interpreter::Data;
use crate::oracle::{ARCHITECTURES, answer, name_of, number_of};

/// The answer to one call, and its properties.
pub struct Case {
    pub answer: u32,
    /// Whether rules with conditions hold and have different answers.
    pub overlap: bool,
    /// Whether a rule about it compares with a mask without bits.
    pub empty_mask: bool,
    /// Whether several rules with conditions are about it, one of them with an order.
    pub merged: bool,
    /// Whether it is a call behind socketcall or ipc.
    pub multiplexed: bool,
}

/// The calls behind socketcall and ipc, by their first arguments (linux/net.h, linux/ipc.h).
const SOCKETCALL: [&str; 21] = [
    "",
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];
const IPC: [&str; 25] = [
    "",
    "semop",
    "semget",
    "semctl",
    "semtimedop",
    "",
    "",
    "",
    "",
    "",
    "",
    "msgsnd",
    "msgrcv",
    "msgget",
    "msgctl",
    "",
    "",
    "",
    "",
    "",
    "",
    "shmat",
    "shmdt",
    "shmget",
    "shmctl",
];

/// Whether this is a call behind socketcall or ipc.
pub fn is_multiplexed(name: &str) -> bool {
    SOCKETCALL.contains(&name) || IPC.contains(&name)
}

/// Returns the number of the call that multiplexes a call.
pub fn behind(architecture: &str, name: &str) -> Option<u32> {
    match name {
        _ if architecture != "SCMP_ARCH_X86" => None,
        name if SOCKETCALL.contains(&name) => number_of(architecture, "socketcall"),
        name if IPC.contains(&name) => number_of(architecture, "ipc"),
        _ => None,
    }
}

/// Returns the newest call that a profile names, for each architecture.
pub fn newest(profile: &Profile) -> [Option<u32>; 3] {
    ARCHITECTURES.map(|architecture| {
        let names = profile.syscalls.iter().flatten().flat_map(|rule| &rule.names);
        let number = |name: &String| number_of(architecture, name).max(behind(architecture, name));
        names.filter_map(number).max()
    })
}

impl Case {
    fn plain(answer: u32) -> Case {
        Case { answer, overlap: false, empty_mask: false, merged: false, multiplexed: false }
    }

    pub fn of(profile: &Profile, newest: [Option<u32>; 3], data: &Data) -> Case {
        const KILL_THREAD: u32 = 0;
        let default = answer(profile.default_action.as_deref().unwrap(), profile.default_errno_ret);
        let listed = |name: &str| profile.architectures.iter().flatten().any(|listed| listed == name);
        let architecture = match data.architecture {
            0xc000_003e if data.number < 0x4000_0000 => "SCMP_ARCH_X86_64",
            0xc000_003e if listed("SCMP_ARCH_X32") => "SCMP_ARCH_X32",
            0xc000_003e if data.number == u32::MAX => return Case::plain(default),
            0x4000_0003 if listed("SCMP_ARCH_X86") => "SCMP_ARCH_X86",
            _ => return Case::plain(KILL_THREAD),
        };
        let rules: Vec<&Syscall> = profile.syscalls.iter().flatten().collect();
        let newest = ARCHITECTURES.iter().position(|name| *name == architecture).and_then(|at| newest[at]);
        let permissive = matches!(default >> 16, 0x7fff | 0x7ffc | 0x7ff0);
        if newest.is_some_and(|newest| data.number > newest) && !permissive {
            return Case::plain(0x0005_0026);
        }
        let Some(name) = name_of(architecture, data.number) else {
            return Case::plain(default);
        };
        let wide = architecture == "SCMP_ARCH_X86_64";
        let rules = |name: &str| -> Vec<&Syscall> {
            let about = |rule: &&&Syscall| rule.names.iter().any(|other| other == name);
            let said = |rule: &&&Syscall| answer(&rule.action, rule.errno_ret) != default;
            rules.iter().filter(about).filter(said).copied().collect()
        };
        let own = rules(name);
        let bits = |argument: &Argument| if wide { argument.value } else { argument.value & 0xffff_ffff };
        let arguments = || own.iter().filter_map(|rule| rule.args.as_ref()).flatten();
        let ordered = arguments().any(|argument| matches!(&argument.op[9..], "LT" | "LE" | "GE" | "GT"));
        let several = own.len() > 1 || own.iter().any(|rule| twice(rule));
        let merged = ordered && several;
        let empty_mask = arguments().any(|argument| argument.op == "SCMP_CMP_MASKED_EQ" && bits(argument) == 0);
        if let Some(always) = own.iter().find(|rule| unconditional(rule)) {
            return Case { empty_mask, ..Case::plain(answer(&always.action, always.errno_ret)) };
        }
        let mut answers =
            own.iter().filter(|rule| holds(rule, data, wide)).map(|rule| answer(&rule.action, rule.errno_ret));
        let first = answers.next();
        let overlap = answers.any(|other| Some(other) != first);
        let behind = match (architecture, name) {
            ("SCMP_ARCH_X86", "socketcall") => SOCKETCALL.get(data.arguments[0] as u32 as usize),
            ("SCMP_ARCH_X86", "ipc") => IPC.get(data.arguments[0] as usize & 0xffff),
            _ => return Case { answer: first.unwrap_or(default), overlap, empty_mask, merged, multiplexed: false },
        };
        let behind = rules(behind.filter(|name| !name.is_empty()).unwrap_or(&"none"));
        let answer = first.unwrap_or_else(|| match behind.iter().find(|rule| unconditional(rule)) {
            Some(always) => answer(&always.action, always.errno_ret),
            None => strictest(default, &behind),
        });
        Case { answer, overlap, empty_mask, merged, multiplexed: true }
    }
}

fn unconditional(rule: &Syscall) -> bool {
    rule.args.as_ref().is_none_or(Vec::is_empty)
}

fn strictest(default: u32, rules: &[&Syscall]) -> u32 {
    // From the strictest to the laxest, in the order of seccomp(2).
    const ORDER: [u32; 8] = [0x8000, 0x0000, 0x0003, 0x0005, 0x7fc0, 0x7ff0, 0x7ffc, 0x7fff];
    let rank = |answer: u32| ORDER.iter().position(|action| *action == answer >> 16).unwrap();
    let mut strictest = default;
    for rule in rules {
        let answer = answer(&rule.action, rule.errno_ret);
        if rank(answer) < rank(strictest) {
            strictest = answer;
        }
    }
    strictest
}

/// Whether two of its conditions are about the same argument.
fn twice(rule: &Syscall) -> bool {
    let arguments = rule.args.as_deref().unwrap_or_default();
    arguments.iter().enumerate().any(|(i, one)| arguments[..i].iter().any(|other| other.index == one.index))
}

fn holds(rule: &Syscall, data: &Data, wide: bool) -> bool {
    let arguments = rule.args.as_deref().unwrap();
    let each = |argument: &Argument| compare(argument, data, wide);
    if twice(rule) { arguments.iter().any(each) } else { arguments.iter().all(each) }
}

fn compare(argument: &Argument, data: &Data, wide: bool) -> bool {
    let cut = |value: u64| if wide { value } else { value & 0xffff_ffff };
    let (given, value, two) =
        (cut(data.arguments[argument.index as usize]), cut(argument.value), cut(argument.value_two));
    match argument.op.as_str() {
        "SCMP_CMP_NE" => given != value,
        "SCMP_CMP_LT" => given < value,
        "SCMP_CMP_LE" => given <= value,
        "SCMP_CMP_EQ" => given == value,
        "SCMP_CMP_GE" => given >= value,
        "SCMP_CMP_GT" => given > value,
        "SCMP_CMP_MASKED_EQ" => given & value == two & value,
        other => panic!("operator {other}"),
    }
}
