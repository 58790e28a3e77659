//! Commits of containers that run: they stand still meanwhile, and go on whatever becomes of the commit.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use runtime_tests::wait_until;

use crate::home::{CHANGES, Home};

impl Home {
    fn status(&self) -> String {
        let state: serde_json::Value = serde_json::from_str(&self.call(&["state", self.0.id()]).success()).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }
}

#[test]
fn what_is_in_memory_becomes_the_same_image() {
    let home = Home::new();
    home.start("mem", CHANGES, &["--upper-size", "1m"]);
    home.commit(&[], home.0.id(), "oci:img:memory");
    assert_eq!(home.status(), "running");
    home.call(&["delete", "-f", home.0.id()]).success();
    home.start("web", CHANGES, &[]);
    home.commit(&[], "web/", "oci:img:disk");
    assert_eq!(home.status(), "running");
    let tree = |tag: &str, bundle: &str| -> Vec<String> {
        home.bundle(&format!("oci:img:{tag}"), bundle, "true", &[]);
        // Everything but the times, which are those of two containers.
        let line = |line: &str| line.split(" 1").next().unwrap().to_owned();
        home.shown(bundle).lines().map(line).collect()
    };
    assert_eq!(tree("memory", "one"), tree("disk", "two"));
}

#[test]
fn a_container_that_stood_still_still_does() {
    let home = Home::new();
    home.start("web", CHANGES, &[]);
    home.call(&["pause", home.0.id()]).success();
    home.commit(&[], home.0.id(), "oci:img:new");
    assert_eq!(home.status(), "paused");
    home.call(&["resume", home.0.id()]).success();
}

#[test]
fn a_commit_that_is_killed_leaves_a_running_container_and_no_image() {
    let home = Home::new();
    home.start("web", "dd if=/dev/urandom of=/large bs=1M count=64 2>/dev/null", &[]);
    for to in ["oci:img:new", "oci:fresh", "docker-archive:new.tar"] {
        let mut commit = home.command(&["commit", home.0.id(), to]).spawn().unwrap();
        wait_until("a frozen container", || {
            assert!(commit.try_wait().unwrap().is_none(), "the commit was over before it could be killed");
            home.status() == "paused"
        });
        commit.kill().unwrap();
        commit.wait().unwrap();
        wait_until("a running container", || home.status() == "running");
    }
    assert_eq!(home.sh("umoci list --layout img; ls"), format!("base\n{}", home.sh("ls")));
    assert!(!home.path("fresh").exists() && !home.path("new.tar").exists());
    // The next one also removes what is left.
    for to in ["oci:img:new", "oci:fresh", "docker-archive:new.tar"] {
        home.call(&["commit", "--compress", "none", home.0.id(), to]).success();
    }
    home.assert_clean();
}

/// A bundle's container must be frozen, so it must be known whether it has one.
#[test]
fn a_state_directory_that_cannot_be_trusted_is_an_error_for_a_bundle() {
    let home = Home::new();
    home.start("web", CHANGES, &[]);
    let set_mode = |mode| fs::set_permissions(home.0.state_root(), fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o777);
    for words in [&["diff", "web/"][..], &["commit", "web/", "oci:img:new"]] {
        let message = home.call(words).failure();
        assert!(message.contains("state directory"), "{message}");
    }
    set_mode(0o700);
    home.assert_clean();
}
