//! The mounts from which paths of a plan are looked up, and the mounts that are verified at the end.

use minirun_plan::{InRoot, MountPoint, Op, Plan};
use serde_json::{Value, json};

use super::{plan, v2};

/// Returns a patch with these mounts; those without a type are bind mounts.
fn mounts(list: &[(&str, &str)]) -> Value {
    let mounts: Vec<_> = list
        .iter()
        .map(|(destination, kind)| match *kind {
            "" => json!({"destination": destination, "source": "/src", "options": ["bind"]}),
            kind => json!({"destination": destination, "type": kind, "source": "none"}),
        })
        .collect();
    json!({"/mounts": mounts})
}

fn compiled(list: &[(&str, &str)], more: &Value) -> Plan {
    let mut patch = mounts(list);
    patch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    plan(&patch, &v2()).unwrap_or_else(|problems| panic!("{list:?}: {problems:#?}"))
}

/// Returns, for each mount of a plan, its path from the mount below which it lies, the number of that mount, and
/// whether it is kept.
fn started(plan: &Plan) -> Vec<(String, Option<usize>, bool)> {
    let points = plan.init.iter().filter_map(|step| match &step.op {
        Op::Mount { point, .. } | Op::Bind { point, .. } => Some(point),
        _ => None,
    });
    points.map(|MountPoint { target, keep, .. }| (rest(target), target.mount(), *keep)).collect()
}

fn rest(path: &InRoot) -> String {
    path.below_mount().to_str().unwrap().to_owned()
}

/// Returns, for each masked and read-only path, its path from the mount below which it lies, and the numbers of both
/// mounts.
fn viewed(plan: &Plan) -> Vec<(String, Option<usize>, Option<usize>)> {
    let views = plan.init.iter().filter_map(|step| match &step.op {
        Op::MaskedPath { path, number, .. } | Op::ReadonlyPath { path, number } => Some((path, number)),
        _ => None,
    });
    views.map(|(path, number)| (rest(path), path.mount(), *number)).collect()
}

fn verified(plan: &Plan) -> Vec<(String, usize)> {
    let verified = plan.init.iter().filter_map(|step| match &step.op {
        Op::VerifyMount { path, number } => Some((rest(path), *number)),
        _ => None,
    });
    verified.collect()
}

#[test]
fn a_path_is_looked_up_from_the_mount_above_it() {
    let plan = compiled(&[("/a/b", "tmpfs"), ("/a/b/c/d", "tmpfs"), ("/a/bc", "tmpfs"), ("/a/b/c/d", "")], &json!({}));
    let expected = [("a/b", None, true), ("c/d", Some(0), false), ("a/bc", None, false), ("c/d", Some(0), false)];
    assert_eq!(started(&plan), expected.map(|(path, mount, keep)| (path.to_owned(), mount, keep)));
    assert_eq!(plan.mounts, 4);
}

#[test]
fn a_later_mount_covers_mounts_below_its_mount_point() {
    let masked = json!({"/linux/maskedPaths": ["/a/b/x", "/a/b"]});
    let plan = compiled(&[("/a/b", "tmpfs"), ("/a", "tmpfs")], &masked);
    let expected = [("b/x", Some(1), None), ("b", Some(1), None)];
    assert_eq!(viewed(&plan), expected.map(|(path, mount, number)| (path.to_owned(), mount, number)));
    assert_eq!(verified(&plan), [("a".to_owned(), 1)]);
}

#[test]
fn kernel_views_and_mounts_below_masks_are_verified() {
    let list = [("/proc", "proc"), ("/dev", "tmpfs"), ("/sys", ""), ("/data", ""), ("/other", "tmpfs")];
    let views =
        json!({"/linux/maskedPaths": ["/proc/keys", "/data/secret", "/etc/x"], "/linux/readonlyPaths": ["/dev"]});
    let plan = compiled(&list, &views);
    let expected = [("proc", 0), ("dev", 1), ("sys", 2), ("data", 3)];
    assert_eq!(verified(&plan), expected.map(|(path, number)| (path.to_owned(), number)));
    let expected = [("dev", None, Some(1)), ("keys", Some(0), None), ("secret", Some(3), None), ("etc/x", None, None)];
    assert_eq!(viewed(&plan), expected.map(|(path, mount, number)| (path.to_owned(), mount, number)));
    assert_eq!(started(&plan).iter().map(|(_, _, keep)| *keep).collect::<Vec<_>>(), [true, true, true, true, false]);
}

/// A mask over a mount point covers the mount, and is verified itself.
#[test]
fn a_masked_mount_point_is_not_verified() {
    let plan = compiled(&[("/proc", "proc"), ("/sys", "sysfs")], &json!({"/linux/maskedPaths": ["/sys"]}));
    assert_eq!(verified(&plan), [("proc".to_owned(), 0)]);
    assert_eq!(viewed(&plan), [("sys".to_owned(), None, Some(1))]);
}
