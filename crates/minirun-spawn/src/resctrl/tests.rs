//! Groups in a plain directory: which files are read and written, and what is said when they say otherwise. What the kernel
//! does with them takes a processor that has Intel RDT.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A directory like a mounted resctrl.
struct Root(PathBuf);

impl Root {
    fn new() -> Root {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("minirun-resctrl-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = Root(std::env::temp_dir().join(name));
        fs::create_dir_all(root.0.join("info/MB")).unwrap();
        root.put("info/MB/bandwidth_gran", "10\n");
        root.put("info/last_cmd_status", "ok\n");
        root
    }

    fn put(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    /// A group with these schemata.
    fn group(&self, name: &str, schemata: &str) {
        fs::create_dir_all(self.0.join(name).join("mon_groups")).unwrap();
        self.put(&format!("{name}/schemata"), schemata);
        self.put(&format!("{name}/tasks"), "");
    }

    fn plan(&self, kind: GroupKind, lines: &[(&str, bool)]) -> ResctrlPlan {
        let origin = Origin::of("linux.intelRdt.l3CacheSchema");
        let schema = |(line, compared): &(&str, bool)| Schema {
            line: (*line).to_owned(),
            compared: *compared,
            origin: origin.clone(),
        };
        ResctrlPlan {
            mount: self.0.clone(),
            group: self.0.join("g"),
            kind,
            schemata: lines.iter().map(schema).collect(),
            monitoring: None,
            origin: Origin::of("linux.intelRdt.closID"),
        }
    }

    fn monitored(&self, kind: GroupKind) -> ResctrlPlan {
        ResctrlPlan { monitoring: Some(self.0.join("g/mon_groups/ID")), ..self.plan(kind, &[]) }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _best_effort = fs::remove_dir_all(&self.0);
    }
}

fn make(plan: &ResctrlPlan) -> Result<MadeGroups, String> {
    let mut made = MadeGroups::foresee(plan).map_err(|error| error.to_string())?;
    made.make(plan).map_err(|error| error.to_string()).map(|()| made)
}

#[test]
fn a_group_of_ones_own_goes_with_the_container_and_no_other() {
    let root = Root::new();
    let made = make(&root.plan(GroupKind::Own, &[])).unwrap();
    assert_eq!(made, MadeGroups { group: Some(root.0.join("g")), monitoring: None });
    made.remove().unwrap();
    assert!(!root.0.join("g").exists());
    // What is gone already is as well.
    made.remove().unwrap();
    root.group("g", "");
    for kind in [GroupKind::Own, GroupKind::Shared, GroupKind::Existing] {
        let made = make(&root.plan(kind, &[])).unwrap();
        assert_eq!(made, MadeGroups::default(), "{kind:?}");
        made.remove().unwrap();
        assert!(root.0.join("g").exists());
    }
    fs::remove_dir_all(root.0.join("g")).unwrap();
    assert_eq!(make(&root.plan(GroupKind::Shared, &[])).unwrap(), MadeGroups::default());
    assert!(root.0.join("g").exists());
}

#[test]
fn a_group_without_a_schema_must_be_there() {
    let root = Root::new();
    let text = make(&root.plan(GroupKind::Existing, &[])).unwrap_err();
    let expected = format!(
        "linux.intelRdt.closID: join {}/g: there is no such group (without a schema the group must be there before the \
         container)",
        root.0.display()
    );
    assert_eq!(text, expected);
    assert!(!root.0.join("g").exists());
}

#[test]
fn a_shared_group_keeps_what_it_has() {
    let root = Root::new();
    root.group("g", "    MB:0=100;1=20\n    L3:0=00ff;1=0f\n");
    for line in ["L3:0=ff;1=f", "L3: 1=f", "L3:0=FF", "MB:0=100", "MB:1=15"] {
        make(&root.plan(GroupKind::Shared, &[(line, true)])).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    for line in ["L3:0=f", "L3:0=ff;2=f", "MB:0=10", "MB:1=25"] {
        let text = make(&root.plan(GroupKind::Shared, &[(line, true)])).unwrap_err();
        assert!(text.starts_with(&format!("linux.intelRdt.l3CacheSchema: compare {line:?} with ")), "{text}");
        assert!(text.contains("the group has \"") && text.ends_with("is shared, and keeps what it has)"), "{text}");
    }
    let text = make(&root.plan(GroupKind::Shared, &[("L2:0=f", true)])).unwrap_err();
    assert!(text.contains("the group has \"\""), "{text}");
    assert_eq!(root.read("g/schemata"), "    MB:0=100;1=20\n    L3:0=00ff;1=0f\n");
}

#[test]
fn schemata_are_written_one_by_one_and_read_back() {
    let root = Root::new();
    // A plain file keeps what is written over its beginning: the second line of each pair is what the kernel would keep.
    root.group("g", "");
    make(&root.plan(GroupKind::Own, &[("L3:0=ff;1=f", true), ("L3:0=0f;1=f", false)])).unwrap();
    assert_eq!(root.read("g/schemata"), "L3:0=0f;1=f\n");
    root.group("g", "\n\n\n\n\n\n\n\n\nL3:0=1\n");
    let text = make(&root.plan(GroupKind::Own, &[("MB:0=10", false)])).unwrap();
    assert_eq!(text, MadeGroups::default());
    // Nobody may leave a group behind that the next container would find with other schemata.
    fs::remove_dir_all(root.0.join("g")).unwrap();
    root.put("info/last_cmd_status", "Mask out of range\n");
    let text = make(&root.plan(GroupKind::Shared, &[("L3:0=ff", true)])).unwrap_err();
    let file = root.0.join("g/schemata");
    assert_eq!(
        text,
        format!(
            "linux.intelRdt.l3CacheSchema: write \"L3:0=ff\" to {}: open: no such file or directory; kernel: Mask out of range",
            file.display()
        )
    );
    assert!(!root.0.join("g").exists());
}

#[test]
fn a_monitoring_group_is_the_containers_alone() {
    let root = Root::new();
    root.group("g", "");
    let made = make(&root.monitored(GroupKind::Existing)).unwrap();
    assert!(root.0.join("g/mon_groups/ID").is_dir());
    let text = make(&root.monitored(GroupKind::Existing)).unwrap_err();
    assert!(text.starts_with("linux.intelRdt.enableMonitoring: make the monitoring group "), "{text}");
    assert!(text.ends_with("another container has a monitoring group of this name"), "{text}");
    // Somebody who was faster keeps it.
    let mut late = made.clone();
    late.make(&root.monitored(GroupKind::Existing)).unwrap_err();
    assert_eq!(late, MadeGroups::default());
    made.remove().unwrap();
    assert!(!root.0.join("g/mon_groups/ID").exists() && root.0.join("g").exists());
}

#[test]
fn joining_is_a_line_in_tasks() {
    let root = Root::new();
    let origin = Origin::of("linux.intelRdt");
    root.group("g", "");
    join(&origin, &root.0, &root.0.join("g"), 4711).unwrap();
    assert_eq!(root.read("g/tasks"), "4711\n");
    root.put("info/last_cmd_status", "No task 4711\n");
    let text = join(&origin, &root.0, &root.0.join("h"), 4711).unwrap_err().to_string();
    let file = root.0.join("h/tasks");
    let expected = format!("write 4711 to {}: open: no such file or directory; kernel: No task 4711", file.display());
    assert_eq!(text, format!("linux.intelRdt: {expected}"));
}

#[test]
fn a_change_holds_or_leaves_what_was() {
    let root = Root::new();
    root.group("g", "L3:0=ff\n");
    let schema =
        |line: &str| Schema { line: line.to_owned(), compared: false, origin: Origin::of("--l3-cache-schema") };
    let former = change(&root.0, &root.0.join("g"), &[schema("L3:0=0f")]).unwrap();
    assert_eq!(root.read("g/schemata"), "L3:0=0f\n");
    former.restore().unwrap();
    assert_eq!(root.read("g/schemata"), "L3:0=ff\n");
    let text = change(&root.0, &root.0.join("gone"), &[schema("L3:0=0f")]).unwrap_err().to_string();
    assert!(text.starts_with("--l3-cache-schema: read ") && text.ends_with("no such file or directory"), "{text}");
    // What the file cannot say back, here because it is no group.
    fs::remove_file(root.0.join("g/schemata")).unwrap();
    std::os::unix::fs::symlink("/dev/null", root.0.join("g/schemata")).unwrap();
    let text = change(&root.0, &root.0.join("g"), &[schema("L3:0=0f")]).unwrap_err().to_string();
    assert!(text.ends_with("the kernel made it \"\""), "{text}");
}
