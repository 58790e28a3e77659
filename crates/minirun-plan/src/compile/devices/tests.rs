//! Compares the compiled program with the rules, with a small interpreter of the instructions that the compiler emits.

use super::program::{self, AND, EXIT, JUMP_ANY_BIT, JUMP_EQUAL, JUMP_UNEQUAL, LOAD_HALF, LOAD_WORD, SET};
use super::*;

/// Returns the verdict of the rules by definition: that of the last rule about the access, and a denial without one.
fn by_rules(rules: &[DeviceRule], kind: u8, access: u8, major: u32, minor: u32) -> bool {
    [MKNOD, READ, WRITE].into_iter().filter(|bit| access & bit != 0).all(|bit| {
        let device = DeviceRule { allow: true, kinds: kind, major: Some(major), minor: Some(minor), access: bit };
        rules.iter().rev().find(|rule| meet(rule, &device)).is_some_and(|rule| rule.allow)
    })
}

/// Whether both rules share a device and an access.
fn meet(rule: &DeviceRule, other: &DeviceRule) -> bool {
    let same = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
    rule.kinds & other.kinds != 0
        && rule.access & other.access != 0
        && same(rule.major, other.major)
        && same(rule.minor, other.minor)
}

/// Whether a rule covers every device of the other.
fn covers(rule: &DeviceRule, other: &DeviceRule) -> bool {
    rule.kinds & other.kinds == other.kinds
        && (rule.major.is_none() || rule.major == other.major)
        && (rule.minor.is_none() || rule.minor == other.minor)
}

/// Returns the verdict of the program. Panics on an instruction or a jump that the compiler does not emit.
fn by_program(program: &[u64], kind: u8, access: u8, major: u32, minor: u32) -> bool {
    let mut context = Vec::new();
    for word in [(access as u32) << 16 | kind as u32, major, minor] {
        context.extend(word.to_le_bytes());
    }
    let mut registers = [0u64; 11];
    let mut at = 0;
    loop {
        let [operation, names, o0, o1, v0, v1, v2, v3] = program[at].to_le_bytes();
        let (to, from) = ((names & 15) as usize, (names >> 4) as usize);
        let (offset, value) = (u16::from_le_bytes([o0, o1]) as usize, u32::from_le_bytes([v0, v1, v2, v3]));
        at += 1;
        let jump = match operation {
            LOAD_HALF | LOAD_WORD => {
                assert_eq!(from, 1);
                let size = if operation == LOAD_HALF { 2 } else { 4 };
                let mut bytes = [0; 8];
                bytes[..size].copy_from_slice(&context[offset..offset + size]);
                registers[to] = u64::from_le_bytes(bytes);
                false
            }
            SET => {
                registers[to] = value as u64;
                false
            }
            AND => {
                registers[to] &= value as u64;
                false
            }
            EXIT => return registers[0] != 0,
            JUMP_EQUAL => registers[to] as u32 == value,
            JUMP_UNEQUAL => registers[to] as u32 != value,
            JUMP_ANY_BIT => registers[to] as u32 & value != 0,
            other => panic!("operation {other:#x}"),
        };
        if jump {
            at += offset;
        }
    }
}

/// Whether each instruction is reachable and none runs over the end, as the verifier demands.
fn all_reachable(program: &[u64]) -> bool {
    let mut reachable = vec![false; program.len()];
    reachable[0] = true;
    for at in 0..program.len() {
        let [operation, _, o0, o1, ..] = program[at].to_le_bytes();
        if reachable[at] && operation != EXIT {
            reachable[at + 1] = true;
            if matches!(operation, JUMP_EQUAL | JUMP_UNEQUAL | JUMP_ANY_BIT) {
                reachable[at + 1 + u16::from_le_bytes([o0, o1]) as usize] = true;
            }
        }
    }
    reachable.into_iter().all(|reached| reached)
}

const NUMBERS: [u32; 12] = [0, 1, 2, 3, 5, 8, 10, 136, 137, 200, 0x7fff_ffff, u32::MAX];

fn differ(rules: &[DeviceRule]) {
    let program = program::assemble(rules);
    if let Some(program) = &program {
        assert!(all_reachable(program), "unreachable code for {}", list(rules));
    }
    for kind in [BLOCK, CHAR] {
        for access in 1..=ANY_ACCESS {
            for (major, minor) in NUMBERS.iter().flat_map(|major| NUMBERS.map(|minor| (*major, minor))) {
                let answer = program.as_ref().is_none_or(|p| by_program(p, kind, access, major, minor));
                let right = by_rules(rules, kind, access, major, minor);
                assert_eq!(answer, right, "kind {kind} access {access} {major}:{minor} for {}", list(rules));
            }
        }
    }
}

fn list(rules: &[DeviceRule]) -> String {
    rules.iter().map(|rule| format!("{rule}; ")).collect()
}

fn compile(json: &str) -> (Option<DeviceFilter>, String) {
    let rules: Vec<crate::spec::DeviceAccess> = serde_json::from_str(json).unwrap();
    let mut problems = Problems::new();
    let filter = device_filter(Some(&rules), &mut problems);
    (filter, problems.to_string())
}

/// Returns up to eight rules, determined by the seed (xorshift64); every other seed has only rules about all accesses.
fn some_rules(seed: u64) -> Vec<DeviceRule> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut below = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n) as usize
    };
    (0..below(9))
        .map(|_| DeviceRule {
            allow: below(2) == 1,
            kinds: [BLOCK, CHAR, ANY_KIND][below(3)],
            major: [None, Some(1), Some(5), Some(136), Some(u32::MAX)][below(5)],
            minor: [None, None, Some(3), Some(8), Some(0x7fff_ffff)][below(5)],
            access: if seed.is_multiple_of(2) { 1 + below(7) as u8 } else { ANY_ACCESS },
        })
        .collect()
}

#[test]
fn sets_agree_with_their_elements() {
    for seed in 0..2000 {
        let rules = some_rules(seed);
        let Some((rule, others)) = rules.split_last() else { continue };
        let (mut wider, mut meeting) = (Wider::default(), sets::Meeting::default());
        others.iter().for_each(|other| (wider.add(other), meeting.add(other)).0);
        let covering = || others.iter().filter(|other| covers(other, rule));
        assert_eq!(wider.cover(rule), covering().any(|other| other.access & rule.access == rule.access));
        assert_eq!(wider.access_over(rule), covering().fold(0, |all, other| all | other.access), "{}", list(&rules));
        assert_eq!(meeting.meet(rule), others.iter().any(|other| meet(other, rule)), "{}", list(&rules));
    }
}

#[test]
fn programs_agree_with_rules() {
    for round in 0..600 {
        let mut rules = some_rules(round);
        if round % 3 == 0 {
            rules.extend(DEFAULTS);
        }
        differ(&rules);
    }
}

#[test]
fn the_default_program_is_short() {
    let filter = DeviceFilter::default();
    assert_eq!(device_filter(None, &mut Problems::new()), Some(filter.clone()));
    differ(&filter.rules);
    assert_eq!(filter.program.len(), 23);

    // The rules that Docker writes into every configuration.
    let (filter, problems) = compile(
        r#"[{"allow":false,"access":"rwm"},
            {"allow":true,"type":"c","major":1,"minor":5,"access":"rwm"},
            {"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},
            {"allow":true,"type":"c","major":1,"minor":9,"access":"rwm"},
            {"allow":true,"type":"c","major":1,"minor":8,"access":"rwm"},
            {"allow":true,"type":"c","major":5,"minor":0,"access":"rwm"},
            {"allow":true,"type":"c","major":5,"minor":1,"access":"rwm"},
            {"allow":false,"type":"c","major":10,"minor":229,"access":"rwm"}]"#,
    );
    let filter = filter.unwrap();
    assert_eq!(problems, "");
    differ(&filter.rules);
    // /dev/fuse can be created, like any node, but not opened: that denial matches the default.
    assert!(!by_program(&filter.program, CHAR, READ, 10, 229));
    assert_eq!(filter.program.len(), 24);
}

#[test]
fn rules_that_allow_everything_need_no_program() {
    for json in [
        r#"[{"allow":true,"access":"rwm"}]"#,
        r#"[{"allow":true,"type":"a","major":-1,"minor":-1,"access":"mwr"}]"#,
        r#"[{"allow":false,"access":"rwm"},{"allow":true,"access":"rwm"}]"#,
        r#"[{"allow":true,"type":"c","access":"rwm"},{"allow":true,"type":"b","access":"rw"}]"#,
        r#"[{"allow":false,"type":"c","major":4,"access":"rwm"},{"allow":true,"access":"rw"}]"#,
    ] {
        assert_eq!(compile(json), (None, String::new()), "{json}");
    }
    // If the defaults override a denial completely, nothing is denied.
    assert_eq!(
        compile(r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":3,"access":"rw"}]"#).0,
        None
    );
    let (filter, _) = compile(r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"b","major":8,"access":"rw"}]"#);
    assert_eq!(filter.map(|filter| filter.program.len() < 20), Some(true));
}

#[test]
fn each_access_is_decided_separately() {
    let (filter, _) = compile(
        r#"[{"allow":true,"type":"b","major":8,"access":"rw"},
            {"allow":false,"type":"b","major":8,"minor":1,"access":"w"}]"#,
    );
    let program = filter.unwrap().program;
    assert!(by_program(&program, BLOCK, READ | WRITE, 8, 0));
    assert!(by_program(&program, BLOCK, READ, 8, 1));
    assert!(by_program(&program, BLOCK, MKNOD, 8, 1));
    assert!(!by_program(&program, BLOCK, WRITE, 8, 1));
    assert!(!by_program(&program, BLOCK, READ | WRITE, 8, 1));
}

#[test]
fn bad_rules_are_refused() {
    let at = "linux.resources.devices[1]";
    for (rule, problem) in [
        (r#"{"allow":false}"#, ".access: device access cannot be empty (expected r, w or m)"),
        (r#"{"allow":false,"access":""}"#, ".access: device access cannot be empty (expected r, w or m)"),
        (
            r#"{"allow":true,"access":"rx"}"#,
            r#".access: invalid device access "rx" (expected a combination of r, w and m)"#,
        ),
        (r#"{"allow":true,"access":"r","major":-2}"#, ".major: invalid device number -2 (-1 means all)"),
        (
            r#"{"allow":true,"access":"r","minor":4294967296}"#,
            ".minor: invalid device number 4294967296 (-1 means all)",
        ),
        (r#"{"allow":true,"access":"r","type":"p"}"#, r#".type: invalid cgroup device type "p" (expected a, b or c)"#),
    ] {
        assert_eq!(compile(&format!(r#"[{{"allow":true,"access":"r"}},{rule}]"#)).1, format!("{at}{problem}"));
    }
}

#[test]
fn rules_are_shown_as_in_cgroup_v1() {
    let filter = DeviceFilter::default();
    assert!(list(&filter.rules).starts_with("allow c *:* m; allow b *:* m; allow c 1:3 rwm; "));
}
