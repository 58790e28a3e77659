//! Tests of the problems and notes of profiles, and of the shape of programs.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use serde_json::{Value, json};

use crate::{Compiled, Machine, NEW_LISTENER, NativeCall, compile};

fn compiled(profile: Value) -> Result<Compiled, Vec<String>> {
    let profile = serde_json::from_value(profile).unwrap();
    let text = |problems: Vec<crate::Remark>| problems.iter().map(|p| format!("{}: {}", p.place, p.text)).collect();
    compile(&profile, Machine::X86_64).map_err(text)
}

fn listing(profile: Value) -> Vec<String> {
    compiled(profile).unwrap().filter.unwrap().listing()
}

/// Returns the only problem of a profile.
fn problem(profile: Value) -> String {
    let problems = compiled(profile).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].clone()
}

fn with_rule(rule: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
}

fn with_argument(argument: Value) -> Value {
    with_rule(json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [argument]}))
}

#[test]
fn a_profile_of_one_rule_is_a_short_program() {
    let program = listing(with_rule(json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95})));
    let expected = [
        "ld [4]",
        "jeq #0xc000003e, 2, 8",
        "ld [0]",
        "jge #0x54, 6, 4",
        "jge #0x53, 5, 9",
        "ret errno 95",
        "jge #0x40000000, 7, 9",
        "jge #0xffffffff, 9, 8",
        "ret kill-thread",
        "ret allow",
    ];
    assert_eq!(program, expected);
}

#[test]
fn the_upper_half_of_an_argument_matters_only_with_64_bits() {
    let profile = |architectures: Value| {
        let args = json!([{"index": 1, "value": 0x2_0000_0001u64, "op": "SCMP_CMP_EQ"}]);
        let rule = json!({"names": ["read"], "action": "SCMP_ACT_TRAP", "args": args});
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures, "syscalls": [rule]})
    };
    let loads = |program: Vec<String>, offset: &str| program.iter().filter(|line| *line == offset).count();
    assert_eq!(loads(listing(profile(json!([]))), "ld [28]"), 1);
    assert_eq!(loads(listing(profile(json!(["SCMP_ARCH_X86", "SCMP_ARCH_X32"]))), "ld [28]"), 1);
    assert_eq!(loads(listing(profile(json!(["SCMP_ARCH_X86", "SCMP_ARCH_X32"]))), "ld [24]"), 3);
}

#[test]
fn a_profile_like_dockers_is_a_program_of_moderate_length() {
    let text = include_str!("../../../rootfs-fixtures/seccomp/default.json");
    let Compiled { filter, notes } = compile(&serde_json::from_str(text).unwrap(), Machine::X86_64).unwrap();
    let filter = filter.unwrap();
    assert!((300..600).contains(&filter.program.len()), "{} instructions", filter.program.len());
    assert_eq!(filter.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    assert_eq!(notes, [], "every name is known");
}

#[test]
fn a_profile_without_default_action_and_rules_has_no_filter() {
    assert_eq!(compiled(json!({})).unwrap().filter, None);
    assert_eq!(
        problem(json!({"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]})),
        "defaultAction: must be given"
    );
}

#[test]
fn problems_name_their_place() {
    for (profile, expected) in [
        (json!({"defaultAction": "ALLOW"}), "defaultAction: unknown action \"ALLOW\""),
        (
            json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
            "defaultAction: SCMP_ACT_NOTIFY cannot be used as default action",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}),
            "defaultErrnoRet: SCMP_ACT_ALLOW does not support an error number",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}),
            "defaultErrnoRet: 4096 is out of range (expected 0 to 4095) for SCMP_ACT_ERRNO",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_ARM", "PDP11"]}),
            "architectures[1]: unknown architecture \"PDP11\"",
        ),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["FAST"]}), "flags[0]: unknown flag \"FAST\""),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}),
            "listenerMetadata: must not be given without a listenerPath",
        ),
        (with_rule(json!({"names": [], "action": "SCMP_ACT_LOG"})), "syscalls[0].names: must not be empty"),
        (with_rule(json!({"names": [""], "action": "SCMP_ACT_LOG"})), "syscalls[0].names[0]: must not be empty"),
        (with_rule(json!({"names": ["read"], "action": ""})), "syscalls[0].action: unknown action \"\""),
        (
            with_rule(json!({"names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 65536})),
            "syscalls[0].errnoRet: 65536 is out of range (expected 0 to 65535) for SCMP_ACT_TRACE",
        ),
        (
            with_argument(json!({"index": 6, "value": 0, "op": "SCMP_CMP_EQ"})),
            "syscalls[0].args[0].index: 6 is out of range (expected 0 to 5)",
        ),
        (
            with_argument(json!({"index": 0, "value": 0, "op": "LIKE"})),
            "syscalls[0].args[0].op: unknown operator \"LIKE\"",
        ),
    ] {
        assert_eq!(problem(profile), expected);
    }
}

#[test]
fn a_listener_requires_a_path_and_write() {
    let profile = |default: &str, names: &[&str]| {
        let rule = json!({"names": names, "action": "SCMP_ACT_NOTIFY"});
        json!({"defaultAction": default, "listenerPath": "/agent", "listenerMetadata": "m", "syscalls": [rule]})
    };
    let filter = compiled(profile("SCMP_ACT_ALLOW", &["mkdir"])).unwrap().filter.unwrap();
    assert_eq!(filter.flags, NEW_LISTENER | 1 << 2);
    assert_eq!(filter.listener.unwrap().metadata, "m");
    let write = "SCMP_ACT_NOTIFY cannot be used for the write syscall";
    assert_eq!(problem(profile("SCMP_ACT_ALLOW", &["write"])), format!("syscalls[0].action: {write}"));
    let denied = "syscalls: read and write must be allowed, to send the descriptor of SCMP_ACT_NOTIFY";
    assert_eq!(problem(profile("SCMP_ACT_ERRNO", &["mkdir"])), denied);
    let mut nowhere = profile("SCMP_ACT_ALLOW", &["mkdir"]);
    nowhere["listenerPath"] = Value::Null;
    nowhere["listenerMetadata"] = Value::Null;
    assert_eq!(problem(nowhere), "listenerPath: must be given, since SCMP_ACT_NOTIFY is used");
}

#[test]
fn flags_come_from_the_profile() {
    let flags = |profile: Value| compiled(profile).unwrap().filter.unwrap().flags;
    assert_eq!(flags(json!({"defaultAction": "SCMP_ACT_ALLOW"})), 1 << 2, "without a list, runc's");
    assert_eq!(flags(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": []})), 0);
    let all = crate::FLAGS.map(|(name, _)| name);
    // One thread needs no TSYNC, and WAIT_KILLABLE_RECV has no effect without an agent.
    assert_eq!(flags(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": all})), 1 << 1 | 1 << 2);
}

#[test]
fn ignored_parts_are_noted() {
    let rule = json!({"names": ["no_such_call", "read"], "action": "SCMP_ACT_ERRNO"});
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"], "syscalls": [rule]});
    let notes: Vec<_> = compiled(profile).unwrap().notes.into_iter().map(|note| note.text).collect();
    assert_eq!(
        notes,
        ["SCMP_ARCH_S390X is ignored: none of its programs runs here", "ignoring unknown system calls: no_such_call"]
    );
}

#[test]
fn a_call_is_permitted_if_no_unknown_argument_decides() {
    let args = json!([{"index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]);
    let filter = compiled(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read", "exit_group"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": args},
        {"names": ["write"], "action": "SCMP_ACT_LOG"},
    ]}));
    let filter = filter.unwrap().filter.unwrap();
    let permits = |name, arguments: &[Option<u64>]| filter.permits(NativeCall { name, arguments }, Machine::X86_64);
    assert!(permits("read", &[]) && permits("exit_group", &[Some(1)]));
    assert!(permits("clone", &[Some(0x8000)]));
    for refused in [&[Some(0x1000_0000)][..], &[None], &[]] {
        assert!(!permits("clone", refused), "{refused:?}");
    }
    // These calls are logged, fail, and do not exist.
    assert!(!permits("write", &[]) && !permits("mkdir", &[]) && !permits("nosuch", &[]));
}
