#![allow(clippy::unwrap_used)]

use super::*;
use crate::spec::DeviceAccess;
use crate::{Problems, compile::devices::device_filter};

fn knob(file: &str, value: &str) -> Knob {
    Knob { file: file.into(), value: value.into(), expect: Expect::Same, origin: Origin::of("x") }
}

/// Returns the properties of these knobs as text.
fn said(knobs: &[(&str, &str)]) -> String {
    let knobs: Vec<Knob> = knobs.iter().map(|(file, value)| knob(file, value)).collect();
    let text = |property: Property| format!("{}={}:{}", property.name, property.value.signature(), property.value);
    unit_properties(&knobs).into_iter().map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn knobs_become_properties() {
    let rows: [(&[(&str, &str)], &str); 29] = [
        (&[("memory.max", "4096")], "MemoryMax=t:4096"),
        (&[("memory.max", "max")], "MemoryMax=t:infinity"),
        (&[("memory.high", "50M")], "MemoryHigh=t:52428800"),
        (&[("memory.low", "1k"), ("memory.min", "0")], "MemoryLow=t:1024 MemoryMin=t:0"),
        (&[("memory.swap.max", "0")], "MemorySwapMax=t:0"),
        (&[("memory.high", "some")], ""),
        (&[("pids.max", "7")], "TasksMax=t:7"),
        (&[("cpu.weight", "59")], "CPUWeight=t:59"),
        (&[("cpu.idle", "1")], "CPUWeight=t:0"),
        (&[("cpu.idle", "0")], "CPUWeight=t:infinity"),
        (&[("cpu.idle", "0"), ("cpu.weight", "5")], "CPUWeight=t:5"),
        (&[("cpu.max", "20000 100000")], "CPUQuotaPeriodUSec=t:100000 CPUQuotaPerSecUSec=t:200000"),
        (&[("cpu.max", "20001 100000")], "CPUQuotaPeriodUSec=t:100000 CPUQuotaPerSecUSec=t:210000"),
        (&[("cpu.max", "1000 1000000")], "CPUQuotaPeriodUSec=t:1000000 CPUQuotaPerSecUSec=t:10000"),
        (&[("cpu.max", "17592186044415 1000")], "CPUQuotaPeriodUSec=t:1000 CPUQuotaPerSecUSec=t:17592186044420000"),
        (&[("cpu.max", "max 50000")], "CPUQuotaPeriodUSec=t:50000 CPUQuotaPerSecUSec=t:infinity"),
        (&[("cpu.max", "30000")], "CPUQuotaPeriodUSec=t:100000 CPUQuotaPerSecUSec=t:300000"),
        (&[("cpu.max", "x 0")], ""),
        (&[("cpu.max.burst", "5"), ("hugetlb.2MB.max", "0"), ("rdma.max", "a hca_handle=1")], ""),
        (&[("cpuset.cpus", "0-2,9")], "AllowedCPUs=ay:[7, 2]"),
        (&[("cpuset.mems", "")], "AllowedMemoryNodes=ay:[]"),
        (&[("cpuset.cpus", "0-99999999")], ""),
        (&[("io.weight", "default 200")], "IOWeight=t:200"),
        (&[("io.weight", "300")], "IOWeight=t:300"),
        (&[("io.bfq.weight", "default 100")], "IOWeight=t:100"),
        (&[("io.bfq.weight", "default 1000")], "IOWeight=t:10000"),
        (
            &[("io.bfq.weight", "8:0 10"), ("io.bfq.weight", "8:16 101")],
            "IODeviceWeight=a(st):[(\"/dev/block/8:0\", 10), (\"/dev/block/8:16\", 111)]",
        ),
        (
            &[("io.max", "8:0 rbps=1 wiops=max"), ("io.max", "8:16 rbps=2"), ("io.max", "8:0 rbps=3")],
            "IOReadBandwidthMax=a(st):[(\"/dev/block/8:16\", 2), (\"/dev/block/8:0\", 3)] \
             IOWriteIOPSMax=a(st):[(\"/dev/block/8:0\", infinity)]",
        ),
        (&[("memory.max", "1"), ("memory.max", "2")], "MemoryMax=t:2"),
    ];
    for (knobs, expected) in rows {
        assert_eq!(said(knobs), expected, "{knobs:?}");
    }
}

/// Setting the properties of a file's present content does not change it.
#[test]
fn file_contents_become_properties() {
    let knobs = knobs_of("io.max", "8:0 rbps=1 wbps=max\n8:16 riops=2\n", &Origin::default());
    assert_eq!(knobs.iter().map(|knob| &*knob.value).collect::<Vec<_>>(), ["8:0 rbps=1 wbps=max", "8:16 riops=2"]);
    assert_eq!(knobs_of("cpuset.cpus", "\n", &Origin::default()).len(), 1);
    assert_eq!(unit_properties(&knobs_of("cpuset.cpus", "\n", &Origin::default()))[0].value.to_string(), "[]");
}

#[test]
fn gvariant_texts_are_parsed() {
    for (text, signature, shown) in [
        ("true", "b", "true"),
        (" false ", "b", "false"),
        ("5", "i", "5"),
        ("-0x10", "i", "-16"),
        ("010", "i", "8"),
        ("1.5", "d", "1.5"),
        ("1e3", "d", "1000.0"),
        ("'a b'", "s", "\"a b\""),
        ("\"it's\"", "s", "\"it's\""),
        ("'it\\'s \\u00e4'", "s", "\"it's ä\""),
        ("uint64 5", "t", "5"),
        ("@t 5", "t", "5"),
        ("byte 0xff", "y", "255"),
        ("double 2", "d", "2.0"),
        ("int64 -5", "x", "-5"),
        ("['a', 'b']", "as", "[\"a\", \"b\"]"),
        ("@as []", "as", "[]"),
        ("[uint32 1, 2]", "au", "[1, 2]"),
        ("@a(st) [('/dev/a', 5)]", "a(st)", "[(\"/dev/a\", 5)]"),
        ("('a', 1, true)", "(sib)", "(\"a\", 1, true)"),
        ("(1,)", "(i)", "(1)"),
        ("[[1], @ai []]", "aai", "[[1], []]"),
    ] {
        let value = gvariant::parse(text).unwrap();
        assert_eq!((&*value.signature(), &*value.to_string()), (signature, shown), "{text}");
    }
    for (text, words) in [
        ("", "a value is missing"),
        ("infinite", "hint: quote strings"),
        ("'a", "unterminated string"),
        ("'\\ud800'", "is not a character"),
        ("'\\u0000'", "NUL"),
        ("5 6", "after the value"),
        ("[1, 'a']", "not of the type \"i\""),
        ("[]", "requires a type"),
        ("[1 2]", "comma"),
        ("5000000000", "uint64 5000000000"),
        ("uint32 -1", "out of range"),
        ("byte 256", "out of range"),
        ("uint32 'a'", "not of the type"),
        ("uint32 uint64 5", "not of the type"),
        ("@a{sv} []", "invalid type"),
        ("@(ss) ('a',)", "as many members"),
        ("()", "as many members"),
        ("@as 5", "not of the type"),
        ("{'a': 1}", "expected a value"),
        ("--5", "number"),
        (&"[".repeat(1000), "nested too deeply"),
        (&format!("@{}i []", "a".repeat(1000)), "invalid type"),
    ] {
        let error = gvariant::parse(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn annotations_set_properties() {
    for (name, text, expected) in [
        ("CollectMode2", "1", Err("invalid property name")),
        ("Ab", "1", Err("invalid property name")),
        ("PIDs", "[uint32 1]", Err("the runtime sets this property itself")),
        ("Slice", "'a.slice'", Err("the runtime sets this property itself")),
        ("TimeoutStopSec", "uint64 123", Ok("TimeoutStopUSec=t:123000000")),
        ("TimeoutStopSec", "1.5", Ok("TimeoutStopUSec=t:1500000")),
        ("TimeoutStopSec", "7", Ok("TimeoutStopUSec=t:7000000")),
        ("TimeoutStopSec", "-7", Err("invalid number of seconds -7")),
        ("TimeoutStopSec", "'7'", Err("invalid number of seconds")),
        ("TimeoutStopSec", "uint64 18446744073709551615", Err("invalid number of seconds")),
        ("TimeoutStopUSec", "uint64 5", Ok("TimeoutStopUSec=t:5")),
        ("CollectMode", "bad", Err("invalid gvariant text \"bad\"")),
        ("After", "['a.service']", Ok("After=as:[\"a.service\"]")),
    ] {
        let found = annotated(name, text);
        match (found, expected) {
            (Ok((name, value)), Ok(expected)) => {
                assert_eq!(format!("{name}={}:{value}", value.signature()), expected);
            }
            (Err(error), Err(words)) => assert!(error.contains(words), "{name} {text}: {error}"),
            (found, expected) => panic!("{name} {text}: {found:?}, not {expected:?}"),
        }
    }
}

/// Returns `DevicePolicy` and `DeviceAllow` of these rules and the defaults.
fn allowed(rules: serde_json::Value) -> (String, String) {
    let rules: Vec<DeviceAccess> = serde_json::from_value(rules).unwrap();
    let mut problems = Problems::new();
    let filter = device_filter(Some(&rules), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let [policy, allow] = devices(filter.as_ref()).map(|property| property.value.to_string());
    (policy, allow)
}

#[test]
fn device_rules_become_properties() {
    use serde_json::json;
    let (policy, defaults) = allowed(json!([{"allow": false, "access": "rwm"}]));
    assert_eq!(policy, "\"strict\"");
    assert_eq!(
        defaults,
        r#"[("char-*", "m"), ("block-*", "m"), ("/dev/char/1:3", "rwm"), ("/dev/char/1:8", "rwm"), "#.to_owned()
            + r#"("/dev/char/1:7", "rwm"), ("/dev/char/5:0", "rwm"), ("/dev/char/1:5", "rwm"), ("/dev/char/1:9", "rwm"), "#
            + r#"("char-136", "rwm"), ("/dev/char/5:2", "rwm"), ("/dev/char/10:200", "rwm")]"#
    );
    let deny_all = json!({"allow": false, "access": "rwm"});
    for (rules, first) in [
        // A device by its numbers, a whole driver, and a rule that systemd cannot express, which becomes wider.
        (
            json!([deny_all, {"allow": true, "type": "b", "major": 8, "minor": 0, "access": "r"}]),
            r#"("/dev/block/8:0", "r"), "#,
        ),
        (json!([deny_all, {"allow": true, "type": "c", "major": 195, "access": "rw"}]), r#"("char-195", "rw"), "#),
        (
            json!([deny_all, {"allow": true, "type": "b", "minor": 7, "access": "r"}]),
            r#"("block-*", "rm"), ("char-*", "m"), "#,
        ),
        // A device that is denied later is not listed, unless it is denied only in part.
        (json!([{"allow": true, "type": "b", "major": 8, "access": "rwm"}, deny_all]), r#"("char-*", "m"), "#),
        (
            json!([{"allow": true, "type": "b", "major": 8, "access": "rw"},
                   {"allow": false, "type": "b", "major": 8, "minor": 1, "access": "rw"}]),
            r#"("block-8", "rw"), "#,
        ),
    ] {
        let (_, found) = allowed(rules.clone());
        assert!(found.starts_with(&format!("[{first}")), "{rules}: {found}");
    }
    let everything = allowed(json!([{"allow": true, "access": "rwm"}]));
    assert_eq!(everything, ("\"auto\"".to_owned(), "[]".to_owned()));
}
