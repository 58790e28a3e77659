//! Tests of the compiler. Each row changes a small configuration, and states how the plan changes or why it is refused.
//!
//! The order of steps is not compared here; the golden plans show it.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

#[path = "compile/anchors.rs"]
mod anchors;
#[path = "compile/confinement.rs"]
mod confinement;
#[path = "compile/document.rs"]
mod document;
#[path = "plans/hosts.rs"]
mod hosts;
#[path = "compile/mounts.rs"]
mod mounts;
#[path = "compile/namespaces.rs"]
mod namespaces;
#[path = "compile/process.rs"]
mod process;
#[path = "compile/resources.rs"]
mod resources;

use std::path::Path;

use minirun_plan::{ExecRequest, HostFacts, Op, Plan, Request, RootPlace, RootSource, Spec, compile, compile_exec};
use serde_json::{Map, Value, json};

/// The configuration that the rows change.
fn base() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "env": ["PATH=/bin:/sbin", "HOME=/root"], "cwd": "/",
            "capabilities": {},
        },
        "root": {"path": "rootfs"},
        "mounts": [],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    })
}

/// Assigns each value at its pointer and creates missing objects; `/-` appends to a list.
fn apply(config: &mut Value, patch: &Value) {
    for (pointer, value) in patch.as_object().unwrap() {
        let (way, last) = pointer.rsplit_once('/').unwrap();
        let parent = way.split('/').skip(1).fold(&mut *config, |inner, key| match inner {
            Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            other => other.as_object_mut().unwrap().entry(key).or_insert_with(|| Map::new().into()),
        });
        match parent {
            Value::Array(list) if last == "-" => list.push(value.clone()),
            Value::Array(list) => list[last.parse::<usize>().unwrap()] = value.clone(),
            other => drop(other.as_object_mut().unwrap().insert(last.to_owned(), value.clone())),
        }
    }
}

fn request() -> Request<'static> {
    Request {
        id: "ID",
        bundle: Path::new("/bundle"),
        root: RootSource::Directory("/bundle/rootfs".into()),
        root_path: "/bundle/rootfs",
        no_pivot: false,
        no_new_keyring: false,
        preserve_fds: 0,
        listen_fds: 0,
        listen_names: None,
        links: Default::default(),
        notify: None,
        systemd: None,
    }
}

/// Returns the changed configuration.
fn spec(patch: &Value) -> Spec {
    let mut config = base();
    apply(&mut config, patch);
    serde_json::from_value(config).unwrap_or_else(|error| panic!("{patch}: {error}"))
}

fn plan(patch: &Value, facts: &HostFacts) -> Result<Plan, Vec<String>> {
    plan_for(&request(), patch, facts)
}

fn plan_for(request: &Request<'_>, patch: &Value, facts: &HostFacts) -> Result<Plan, Vec<String>> {
    compile(&spec(patch), facts, request).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// Returns a plan as `verb subject [origin]`, with its warnings and notes.
fn lines(plan: &Plan) -> Vec<String> {
    let lines = plan.lines().into_iter().map(|line| match line.subject.trim_end() {
        "" => format!("{} [{}]", line.verb, line.origin),
        subject => format!("{} {subject} [{}]", line.verb, line.origin),
    });
    let warnings = plan.warnings.iter().map(|warning| format!("warning: {warning}"));
    lines.chain(warnings).chain(plan.notes.iter().map(|note| format!("note: {note}"))).collect()
}

/// Compares the changes in the plan: removed lines with a minus first, then added lines.
#[track_caller]
fn check(patch: Value, facts: &HostFacts, expected: &[&str]) {
    let (mut before, mut after) = (lines(&plan(&json!({}), facts).unwrap()), Vec::new());
    let patched = plan(&patch, facts).unwrap_or_else(|problems| panic!("{patch}: {problems:#?}"));
    for line in lines(&patched) {
        match before.iter().position(|other| *other == line) {
            Some(place) => drop(before.remove(place)),
            None => after.push(line),
        }
    }
    let changes: Vec<_> = before.into_iter().map(|line| format!("- {line}")).chain(after).collect();
    assert_eq!(changes, expected, "{patch}");
}

/// Compares all problems of the patch.
#[track_caller]
fn refuse(patch: Value, expected: &[&str]) {
    refuse_on(&v2(), patch, expected);
}

#[track_caller]
fn refuse_on(facts: &HostFacts, patch: Value, expected: &[&str]) {
    let problems = plan(&patch, facts).err().unwrap_or_else(|| panic!("{patch}: accepted"));
    assert_eq!(problems, expected, "{patch}");
}

/// Returns a host with cgroup v2 only, and root as the runtime's user.
fn v2() -> HostFacts {
    hosts::host("v2")
}

/// A patch of the first mount.
fn mount(destination: &str, typ: &str, options: &[&str]) -> Value {
    json!({"/mounts/-": {"destination": destination, "type": typ, "source": "/src", "options": options}})
}

/// A patch of the namespaces.
fn namespaces(kinds: &[&str]) -> Value {
    json!({"/linux/namespaces": kinds.iter().map(|kind| json!({"type": kind})).collect::<Vec<_>>()})
}

fn refs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

/// The lines of a new namespace.
fn new_namespace(kind: &str) -> Vec<String> {
    let mut lines = vec![format!("new {kind} [linux.namespaces]")];
    lines.extend((kind == "network").then(|| "loopback-up [default loopback]".to_owned()));
    lines
}

/// Adds an assignment to a patch.
fn and(mut patch: Value, pointer: &str, value: Value) -> Value {
    patch[pointer] = value;
    patch
}

/// A new user namespace with maps of 1000 ids.
fn user_namespace() -> Value {
    let map = json!([{"containerID": 0, "hostID": 5000, "size": 1000}]);
    let patch = and(namespaces(&["mount", "pid", "user"]), "/linux/uidMappings", map.clone());
    and(patch, "/linux/gidMappings", map)
}

fn device(members: Value) -> Value {
    json!({"/linux/devices": [members]})
}

/// Returns the place where the plan mounts the root.
fn root_place(patch: &Value, request: &Request<'_>) -> Result<RootPlace, Vec<String>> {
    let plan = plan_for(request, patch, &v2())?;
    let mut places = plan.init.into_iter().filter_map(|step| match step.op {
        Op::BindRoot(_, place) | Op::OverlayStage { place, .. } | Op::OverlayRoot { place, .. } => Some(place),
        _ => None,
    });
    let first = places.next().unwrap();
    assert!(places.all(|place| place == first), "the root is in two places");
    Ok(first)
}

/// Returns the steps of a further process, with those of the parent.
fn exec(patch: &Value, facts: &HostFacts) -> Result<Vec<String>, Vec<String>> {
    let request = ExecRequest { id: "ID", bundle: Path::new("/bundle"), preserve_fds: 0, no_new_keyring: false };
    let plan = compile_exec(&spec(patch), facts, &request);
    let plan = plan.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let all = lines(&plan).into_iter();
    // The cgroup is the container's, so it is not compared.
    Ok(all.filter(|line| !line.starts_with("make ")).collect())
}
