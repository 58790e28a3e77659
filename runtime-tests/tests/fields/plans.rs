//! What each member of the configuration makes of the plan, on a host that has everything.

#[path = "plans/linux.rs"]
mod linux;
#[path = "plans/process.rs"]
mod process;
#[path = "plans/resources.rs"]
mod resources;
#[path = "plans/seccomp.rs"]
mod seccomp;
#[path = "plans/top.rs"]
mod top;

use std::path::Path;

use minirun_plan::spec::{Spec, read};
use minirun_plan::{HostFacts, Request, RootSource, compile};
use serde_json::{Map, Value, json};

use crate::schema::{Kind, members};

/// Members, what the configuration gets with them, and what that does: the lines that the plan has more, a warning, or what
/// it is refused for. Nothing is done for what says how the rest is to be read, or is so anyway.
pub struct Row {
    members: &'static [&'static str],
    patch: Value,
    outcome: &'static [&'static str],
}

pub fn row(members: &'static [&'static str], patch: Value, outcome: &'static [&'static str]) -> Row {
    Row { members, patch, outcome }
}

fn table() -> Vec<Row> {
    [top::rows(), process::rows(), linux::rows(), resources::rows(), seccomp::rows()].into_iter().flatten().collect()
}

pub fn base() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "env": ["PATH=/bin", "HOME=/root"], "cwd": "/",
            "capabilities": {},
        },
        "root": {"path": "rootfs"},
        "mounts": [],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "network"}, {"type": "time"}],
        },
    })
}

/// A host with every controller, every capability, and a scheduler that knows weights.
pub fn facts() -> HostFacts {
    HostFacts {
        cgroup_mount: Some("/sys/fs/cgroup".into()),
        controllers: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"].map(str::to_owned).to_vec(),
        bfq: true,
        huge_page_sizes: vec!["2MB".to_owned()],
        page_size: 4096,
        last_capability: 40,
        bounding: (1 << 41) - 1,
        initial_user_namespace: true,
        ..HostFacts::default()
    }
}

/// Assigns each value at its pointer; missing objects are made.
fn apply(config: &mut Value, patch: &Value) {
    for (pointer, value) in patch.as_object().unwrap() {
        let (way, last) = pointer.rsplit_once('/').unwrap();
        let parent = way.split('/').skip(1).fold(&mut *config, |inner, key| {
            inner.as_object_mut().unwrap().entry(key).or_insert_with(|| Map::new().into())
        });
        parent[last] = value.clone();
    }
}

/// The plan as lines, with the warnings among them; of a refused configuration the problems.
fn lines(patch: &Value) -> Vec<String> {
    let mut config = base();
    apply(&mut config, patch);
    let spec: Spec = read(config.to_string().as_bytes()).unwrap_or_else(|error| panic!("{patch}: {error}"));
    let request = Request {
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
    };
    match compile(&spec, &facts(), &request) {
        Ok(plan) => {
            let line = |line: &minirun_plan::Line| {
                // How long the program is depends on the machine.
                let subject = match line.subject.split_once(" instructions for ") {
                    Some((_, rest)) => rest.split_once(", ").unwrap().1,
                    None => &line.subject,
                };
                format!("{} {} {subject} [{}]", line.part, line.verb, line.origin).replace("  ", " ")
            };
            let warnings = plan.warnings.iter().map(|text| format!("warning: {text}"));
            plan.lines().iter().map(line).chain(warnings).collect()
        }
        Err(problems) => problems.iter().map(|problem| format!("refused: {problem}")).collect(),
    }
}

#[test]
fn each_member_does_what_its_row_says() {
    let without = lines(&json!({}));
    assert!(!without.iter().any(|line| line.starts_with("refused")), "{without:#?}");
    let mut faults = Vec::new();
    for Row { members, patch, outcome } in table() {
        let mut found = lines(&patch);
        found.retain(|line| !without.contains(line));
        if found != outcome {
            faults.push(json!({"members": members, "patch": patch, "found": found}).to_string());
        }
    }
    assert!(faults.is_empty(), "{} rows:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn no_member_is_without_a_row() {
    let (rows, members) = (table(), members());
    let missing: Vec<_> = members
        .iter()
        .filter(|member| !matches!(member.kind, Kind::Object(_) | Kind::Map | Kind::List))
        .filter(|member| !rows.iter().any(|row| row.members.contains(&member.path.as_str())))
        .map(|member| &member.path)
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    for named in rows.iter().flat_map(|row| row.members) {
        assert!(members.iter().any(|member| member.path == *named), "{named} is no member");
    }
}
