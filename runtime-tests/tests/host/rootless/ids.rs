//! Ids that were granted to the user, groups, and user namespaces that are joined.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use runtime_tests::{User, fails_on};
use serde_json::{Value, json};

use super::{CRUN, RUNC, mine};

#[test]
fn state_is_kept_in_the_users_runtime_directory() {
    let bundle = mine().probe("pause");
    bundle.write();
    let command = |words: &[&str]| {
        let mut command = bundle.runtime().bare();
        command.args(words).current_dir(bundle.path());
        bundle.user().unwrap().takes(&mut command);
        bundle.finish(&mut command)
    };
    command(&["create", bundle.id()]).success();
    let directory = bundle.user().unwrap().runtime_directory().join(bundle.runtime().name());
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert!(directory.join(bundle.id()).is_dir());
    fails_on(&[(CRUN, "1.8.1 leaves it to be cleaned away")], || assert_eq!(mode(&directory), 0o1700));
    assert_eq!(fs::metadata(&directory).unwrap().uid(), User::id());
    assert!(command(&["list"]).success().contains(bundle.id()));
    command(&["delete", "-f", bundle.id()]).success();
    assert!(!directory.join(bundle.id()).exists());
}

#[test]
fn a_user_without_a_runtime_directory_is_told() {
    let bundle = mine();
    let mut command = bundle.runtime().bare();
    command.arg("list");
    bundle.user().unwrap().takes(&mut command);
    command.env_remove("XDG_RUNTIME_DIR");
    fails_on(&[(RUNC, "1.1 looks into root's directory"), (CRUN, "1.8.1 looks into root's directory")], || {
        let message = bundle.finish(&mut command).failure();
        assert!(message.contains("XDG_RUNTIME_DIR is not set"), "{message}");
    });
}

#[test]
fn the_template_runs_as_it_is() {
    let bundle = mine();
    let mut spec = bundle.runtime().bare();
    spec.args(["spec", "--rootless"]).current_dir(bundle.path());
    bundle.user().unwrap().takes(&mut spec);
    bundle.finish(&mut spec).success();
    let path = bundle.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(["/bin/id", "-u"]);
    fs::write(&path, config.to_string()).unwrap();
    let mut run = bundle.command(&["run", "--bundle"]);
    let output = bundle.finish(run.arg(bundle.path()).arg(bundle.id()));
    assert_eq!(output.success(), "0\n");
    bundle.assert_nothing_left();
}
