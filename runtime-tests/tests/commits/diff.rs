//! `minirun diff`: what `docker diff` would say.

use crate::home::{CHANGES, DIFFERENCES, Home};

#[test]
fn changes_are_told_as_docker_tells_them() {
    let home = Home::new();
    home.changed("web");
    assert_eq!(home.call(&["diff", "web/"]).success(), DIFFERENCES);
    // What was only looked at, or opened for writing, is no change.
    home.bundle("oci:img:base", "same", "cat /keep >/dev/null; : >>/keep; ls -l /dir", &[]);
    home.call(&["run", "same/"]).success();
    assert_eq!(home.call(&["diff", "same/"]).success(), "");
}

#[test]
fn a_running_container_is_found_by_its_id_and_by_its_bundle() {
    let home = Home::new();
    home.start("web", CHANGES, &[]);
    assert_eq!(home.call(&["diff", home.0.id()]).success(), DIFFERENCES);
    assert_eq!(home.call(&["diff", "web/"]).success(), DIFFERENCES);
}

#[test]
fn changes_in_memory_are_seen_as_long_as_the_container_is_there() {
    let home = Home::new();
    home.start("web", CHANGES, &["--upper-size", "1m"]);
    assert_eq!(home.call(&["diff", home.0.id()]).success(), DIFFERENCES);
    assert_eq!(home.call(&["diff", "web/"]).success(), DIFFERENCES);
    home.call(&["kill", home.0.id(), "KILL"]).success();
    runtime_tests::wait_until("its end", || home.call(&["state", home.0.id()]).stdout.contains("stopped"));
    let said = home.call(&["diff", home.0.id()]).failure();
    assert!(said.contains("in memory, and has ended"), "{said}");
    let said = home.call(&["diff", "web/"]).failure();
    assert!(said.contains("has no running container"), "{said}");
}

#[test]
fn absences_by_attribute_are_absences() {
    let home = Home::new();
    home.bundle("oci:img:base", "web", "true", &[]);
    home.sh("mkdir web/private/upper/old; : >web/private/upper/old/x; setfattr -n trusted.overlay.opaque -v x web/private/upper/old
        setfattr -n trusted.overlay.whiteout -v y web/private/upper/old/x; chmod --reference=bundle/rootfs/old web/private/upper/old");
    assert_eq!(home.call(&["diff", "web/"]).success(), "C /old\nD /old/x\n");
    home.commit(&[], "web/", "oci:img:new");
    assert!(home.sh(&format!("tar -tf {}", home.layer("new").display())).contains("old/.wh.x"));
}

#[test]
fn a_root_without_layers_has_no_changes() {
    let home = Home::new();
    home.0.write();
    let said = home.call(&["diff", "bundle/"]).failure();
    assert!(said.contains("not an overlay of layers"), "{said}");
    let said = home.call(&["diff", "bundle"]).failure();
    assert!(said.contains("bundle/ is the bundle"), "{said}");
}

#[test]
fn an_ordinary_user_sees_changes_of_all_ids() {
    let home = Home::of_user();
    let changes = "chown 7:8 /keep; chmod 0 /gone; mkdir -m 700 /private; echo x >/private/file; chown 9 /private";
    home.bundle("oci:img:base", "web", changes, &[]);
    home.call(&["--cgroup-manager", "disabled", "run", "web/"]).success();
    let differences = "C /gone\nC /keep\nA /private\nA /private/file\n";
    assert_eq!(home.call(&["diff", "web/"]).success(), differences);
    home.start("mem", changes, &["--upper-size", "1m"]);
    assert_eq!(home.call(&["diff", home.0.id()]).success(), differences);
}
