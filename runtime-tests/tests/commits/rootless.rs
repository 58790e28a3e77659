//! An ordinary user with granted ids, from an image to another one and back: files keep the owners that a container gave them.

use runtime_tests::{User, wait_until};

use crate::home::Home;

#[test]
fn what_another_id_of_a_container_has_written_is_its_own_again() {
    let home = Home::of_user();
    let write = "id -u >/tmp/who; mkdir -p /tmp/own; echo text >/tmp/own/file; chmod 600 /tmp/own/file";
    home.bundle("oci:img:base", "web", write, &["--user", "1000:1000"]);
    home.call(&["--cgroup-manager", "disabled", "run", "web/"]).success();
    // On the host it is the id that stands for this one, and nobody else's.
    let first = User::granted().0;
    let owners = home.sh("cat web/private/upper/tmp/who; stat -c '%u %g %a' web/private/upper/tmp/own/file; stat -c %u web/private/upper");
    assert_eq!(owners, format!("1000\n{0} {0} 600\n{1}\n", first + 999, User::id()));
    let differences = "C /tmp\nA /tmp/own\nA /tmp/own/file\nA /tmp/who\n";
    assert_eq!(home.call(&["diff", "web/"]).success(), differences);
    home.commit(&[], "web/", "oci:img:new");
    let listed = home.sh(&format!("tar --numeric-owner -tvf {}", home.layer("new").display()));
    assert!(
        listed.lines().any(|line| line.starts_with("-rw------- 1000/1000 ") && line.ends_with(" tmp/own/file")),
        "{listed}"
    );
    // The user of the bundle is that of the image that was made of it, and reads its file again.
    home.call(&[
        "bundle",
        "--store",
        "store",
        "--cmd=-c",
        "--cmd=cat /tmp/own/file; echo more >>/tmp/own/file",
        "oci:img:new",
        "again",
    ])
    .success();
    let said = home.call(&["--cgroup-manager", "disabled", "run", "again/"]).success();
    assert_eq!(said, "text\n");
    assert_eq!(home.call(&["diff", "again/"]).success(), "C /tmp\nC /tmp/own\nC /tmp/own/file\n");
    // Root of the host sees the same in the same image.
    home.sh("umoci unpack --image img:new unpacked; test $(stat -c %u:%g unpacked/rootfs/tmp/own/file) = 1000:1000");
    for name in ["web", "again"] {
        // The user cannot remove what belongs to others, but the store can, and nobody uses its layers then.
        home.sh(&format!("rm -rf {name}"));
    }
    home.call(&["image", "--store", "store", "prune"]).success();
    assert_eq!(home.sh("ls store/layers store/images store/bundles store/staging | grep -v :"), "\n\n\n");
    wait_until("the end of everything", || home.0.leaks().is_none());
    home.assert_clean();
}
