//! Configurations that must be refused: each with a message that names the field, and without leaving anything. That every
//! member refuses other types than its own is asserted for all of them in the suite of fields.
//!
//! Other runtimes accept some rows and carry them out, as root: no row may do harm then. So there is none here that names
//! `cgroup.procs`, which could move the host's processes into a cgroup that is killed in the end, or `cgroup.freeze`; the
//! compiler's own tests have those.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

#[path = "bad_configs/devices.rs"]
mod devices;
#[path = "bad_configs/hooks.rs"]
mod hooks;
#[path = "bad_configs/mounts.rs"]
mod mounts;
#[path = "bad_configs/namespaces.rs"]
mod namespaces;
#[path = "bad_configs/process.rs"]
mod process;
#[path = "bad_configs/resources.rs"]
mod resources;
#[path = "bad_configs/seccomp.rs"]
mod seccomp;
#[path = "bad_configs/top.rs"]
mod top;

use runtime_tests::{Bundle, Runtime};
use serde_json::{Value, json};

/// A change that makes the base configuration wrong.
struct Bad {
    /// The place that the message must name.
    field: &'static str,
    /// A JSON pointer to what is changed; its parent exists.
    pointer: &'static str,
    value: Value,
    /// The runtimes that accept it. All of the rows are errors by the specification or can only be a mistake.
    accepted_by: &'static [&'static str],
}

const BOTH: &[&str] = &["runc", "crun"];
const RUNC: &[&str] = &["runc"];
const CRUN: &[&str] = &["crun"];
const NONE: &[&str] = &[];

fn bad(field: &'static str, pointer: &'static str, value: Value, accepted_by: &'static [&'static str]) -> Bad {
    Bad { field, pointer, value, accepted_by }
}

/// Stands for the absence of a value, which JSON has no word for.
fn absent() -> Value {
    json!({"absent": "this property is removed"})
}

/// All rows, section by section.
fn table() -> Vec<Bad> {
    let sections = [
        top::rows(),
        process::rows(),
        mounts::rows(),
        namespaces::rows(),
        devices::rows(),
        seccomp::rows(),
        resources::rows(),
        hooks::rows(),
    ];
    sections.into_iter().flatten().collect()
}

fn apply(config: &mut Value, bad: &Bad) {
    let (parent, key) = bad.pointer.rsplit_once('/').unwrap();
    let parent = config.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match bad.value == absent() {
        true => drop(parent.remove(key)),
        false => drop(parent.insert(key.to_owned(), bad.value.clone())),
    }
}

/// Is one of the problems in this message at exactly this place?
fn names(message: &str, place: &str) -> bool {
    message.match_indices(place).any(|(start, _)| {
        let (before, after) = (&message[..start], &message[start + place.len()..]);
        after.starts_with(": ") && (before.is_empty() || before.ends_with([' ', '\n']))
    })
}

/// What is wrong with how the runtime treats one row, or nothing.
fn verdict(bad: &Bad, runtime: &Runtime) -> Option<String> {
    let bundle = Bundle::base().with(|config| apply(config, bad));
    let output = bundle.try_create();
    let message = output.stderr.trim();
    // runc and crun do not say where; only a few of their messages have the name of a field. What they leave is
    // counted by the suite of faults.
    if !runtime.is_minirun() {
        return (output.status == 0).then(|| "accepted".to_owned());
    }
    let leaks = bundle.leaks();
    if output.status == 0 {
        return Some("accepted".into());
    }
    if !names(message, bad.field) {
        return Some(format!("the message does not name the field: {message}"));
    }
    if message.contains("panicked") || output.status != 1 {
        return Some(format!("status {}: {message}", output.status));
    }
    (!leaks.is_none()).then(|| format!("left behind: {leaks:?}"))
}

#[test]
fn each_is_refused_by_the_name_of_its_field() {
    let runtime = Runtime::from_env();
    let mut faults = Vec::new();
    for bad in table() {
        let excused = bad.accepted_by.contains(&runtime.name());
        match (verdict(&bad, &runtime), excused) {
            (Some(fault), false) => faults.push(format!("{} = {}: {fault}", bad.field, bad.value)),
            (None, true) => faults.push(format!("{} = {}: refused, the note is out of date", bad.field, bad.value)),
            _ => {}
        }
    }
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), table().len(), faults.join("\n"));
}

#[test]
fn the_message_names_the_value() {
    let runtime = Runtime::from_env();
    let bundle = Bundle::base().with(|config| config["linux"]["namespaces"][1]["type"] = "nosuchtype".into());
    let message = bundle.try_create().failure();
    assert!(!runtime.is_minirun() || message.contains("nosuchtype"), "{message}");
}

#[test]
fn several_problems_are_all_reported() {
    let bundle = Bundle::base().with(|config| {
        config["process"]["cwd"] = "tmp".into();
        config["process"]["rlimits"][0]["type"] = "RLIMIT_NOSUCH".into();
        config["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "mount"}]);
        config["linux"]["maskedPaths"] = json!(["/"]);
    });
    let message = bundle.try_create().failure();
    for field in ["process.cwd", "process.rlimits[0]", "linux.namespaces[1]", "linux.maskedPaths[0]"] {
        // runc and crun stop at the first.
        assert!(!bundle.runtime().is_minirun() || message.contains(field), "{field}: {message}");
    }
}

#[test]
fn a_truncated_file_is_refused_at_any_length() {
    let bundle = Bundle::base();
    bundle.write();
    let file = bundle.path().join("config.json");
    let whole = std::fs::read(&file).unwrap();
    for length in (0..whole.len() - 1).step_by(whole.len() / 40 + 1) {
        std::fs::write(&file, &whole[..length]).unwrap();
        let output = bundle.finish(bundle.command(&["create", "-b"]).arg(bundle.path()).arg(bundle.id()));
        assert!((1..128).contains(&output.status) && !output.stderr.contains("panicked"), "{length}: {output:?}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn what_is_no_configuration_is_refused() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let texts: [&[u8]; 8] = [b"", b"null", b"[]", b"7", b"\"text\"", b"{}", b"\xff\xfe{}", nested.as_bytes()];
    for text in texts {
        let bundle = Bundle::base();
        std::fs::write(bundle.path().join("config.json"), text).unwrap();
        let output = bundle.finish(bundle.command(&["create", "-b"]).arg(bundle.path()).arg(bundle.id()));
        let shown = String::from_utf8_lossy(&text[..text.len().min(20)]).into_owned();
        assert!((1..128).contains(&output.status) && !output.stderr.contains("panicked"), "{shown}: {output:?}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn a_property_that_is_given_twice_is_refused() {
    // The second would silently win: which of the two was meant is not known.
    let bundle = Bundle::base();
    bundle.write();
    let file = bundle.path().join("config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"cwd\": \"/\"", "\"cwd\": \"/\", \"cwd\": \"/tmp\"", 1)).unwrap();
    let output = bundle.finish(bundle.command(&["create", "-b"]).arg(bundle.path()).arg(bundle.id()));
    // Go's and yajl's decoders take the last.
    assert!(!bundle.runtime().is_minirun() || output.status == 1, "{output:?}");
}
