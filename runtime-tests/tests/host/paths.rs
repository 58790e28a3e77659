//! Masked and read-only paths, and the read-only root.

use runtime_tests::{Bundle, fails_on};
use serde_json::json;

#[test]
fn a_masked_file_reads_as_nothing() {
    let bundle = Bundle::base().with(|config| config["linux"]["maskedPaths"] = json!(["/proc/keys", "/etc/passwd"]));
    let seen = bundle.probe("stat /proc/keys /etc/passwd").run().success();
    assert_eq!(seen.matches("rdev=1:3\n").count(), 2, "{seen}");
    let bundle = Bundle::base().with(|config| config["linux"]["maskedPaths"] = json!(["/etc/passwd"]));
    assert_eq!(bundle.args(&["/bin/cat", "/etc/passwd"]).run().success(), "");
}

#[test]
fn a_masked_directory_is_empty_and_read_only() {
    let bundle =
        Bundle::base().writable().with(|config| config["linux"]["maskedPaths"] = json!(["/etc", "/sys/kernel"]));
    let seen = bundle.sh("ls -A /etc /sys/kernel; probe write /etc/new; probe write /sys/kernel/new").run().success();
    assert_eq!(seen, "/etc:\n\n/sys/kernel:\nerrno=EROFS\nerrno=EROFS\n");
}

#[test]
fn the_default_masks_hold() {
    let seen = Bundle::base().probe("stat /proc/kcore /proc/keys /proc/timer_list").run().success();
    for part in seen.split("path=").skip(1) {
        assert!(
            part.contains("errno=ENOENT") || part.contains("rdev=1:3\n") || part.contains("type=directory"),
            "{part}"
        );
    }
}

#[test]
fn masks_that_are_missing_or_repeated_do_no_harm() {
    let paths = json!(["/proc/no/such", "/nonexistent", "/proc/keys", "/proc/keys", "/proc/acpi"]);
    Bundle::base().with(|config| config["linux"]["maskedPaths"] = paths).run().success();
}

#[test]
fn a_masked_link_hides_its_target() {
    let bundle = Bundle::base();
    std::os::unix::fs::symlink("/etc/passwd", bundle.rootfs().join("link")).unwrap();
    let bundle = bundle.with(|config| config["linux"]["maskedPaths"] = json!(["/link"]));
    assert_eq!(bundle.args(&["/bin/cat", "/link"]).run().success(), "");
}

#[test]
fn a_path_behind_a_link_that_leads_nowhere_is_not_made() {
    let bundle = Bundle::base().writable();
    std::os::unix::fs::symlink("/gone", bundle.rootfs().join("link")).unwrap();
    let bundle = bundle.with(|config| {
        config["linux"]["maskedPaths"] = json!(["/link", "/link/x"]);
        config["linux"]["readonlyPaths"] = json!(["/link", "/link/x"]);
    });
    assert_eq!(bundle.probe("stat /gone").run().value("errno"), "ENOENT");
}

#[test]
fn read_only_paths_are_read_only() {
    let paths = json!(["/proc/sys", "/tmp", "/etc/passwd", "/nonexistent"]);
    let bundle = Bundle::base().writable().with(|config| config["linux"]["readonlyPaths"] = paths);
    let script =
        "probe write /proc/sys/kernel/hostname; probe write /tmp/new; probe write /etc/passwd; probe write /etc/new";
    assert_eq!(bundle.sh(script).run().success(), "errno=EROFS\nerrno=EROFS\nerrno=EROFS\nwritten=1\n");
}

#[test]
fn read_only_paths_keep_the_mounts_below_and_their_flags() {
    let bundle = Bundle::base().mount("/mnt", "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec"]);
    let bundle = bundle.with(|config| config["linux"]["readonlyPaths"] = json!(["/mnt"]));
    let seen = bundle.probe("mounts").run().success();
    let line = seen.lines().rfind(|line| line.contains(" /mnt ")).unwrap();
    fails_on(&[("crun", "1.8.1 forgets the other flags")], || {
        for flag in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(line.split(' ').nth(5).unwrap().split(',').any(|found| found == flag), "{flag}: {line}");
        }
    });
}

#[test]
fn a_read_only_root_is_read_only() {
    assert_eq!(Bundle::base().probe("write /new").run().value("errno"), "EROFS");
    assert_eq!(Bundle::base().writable().probe("write /new").run().value("written"), "1");
}

#[test]
fn a_read_only_root_leaves_the_mounts_writable() {
    assert_eq!(Bundle::base().probe("write /dev/shm/new").run().value("written"), "1");
}

#[test]
fn the_root_may_be_absolute() {
    let bundle = Bundle::base();
    let path = bundle.rootfs().display().to_string();
    bundle.with(|config| config["root"]["path"] = path.into()).run().success();
}

#[test]
fn a_missing_root_is_refused_by_name() {
    let message = Bundle::base().with(|config| config["root"]["path"] = "nosuch".into()).refused();
    assert!(message.contains("nosuch"), "{message}");
}

#[test]
fn a_root_that_is_a_file_is_refused() {
    let bundle = Bundle::base().with(|config| config["root"]["path"] = "file".into());
    std::fs::write(bundle.path().join("file"), "").unwrap();
    bundle.refused();
}

#[test]
fn the_host_is_not_visible() {
    let bundle = Bundle::base();
    let outside = bundle.home().display().to_string();
    let seen = bundle.probe(&format!("stat {outside}")).run();
    assert_eq!(seen.value("errno"), "ENOENT");
}

#[test]
fn the_old_root_is_gone() {
    let seen = Bundle::base().probe("mounts").run().success();
    let targets: Vec<_> = seen.lines().map(|line| line.split(' ').nth(4).unwrap()).collect();
    assert_eq!(targets.iter().filter(|target| **target == "/").count(), 1, "{seen}");
    let own = ["/", "/proc", "/dev", "/sys"];
    let known = |target: &&str| own.iter().any(|prefix| target == prefix || target.starts_with(&format!("{prefix}/")));
    assert!(targets.iter().all(known), "{seen}");
}

/// The specification wants absolute paths, but runc and crun count others from the root.
#[test]
fn relative_paths_count_from_the_root() {
    let bundle = Bundle::base().writable().with(|config| {
        config["linux"]["maskedPaths"] = json!(["etc/passwd"]);
        config["linux"]["readonlyPaths"] = json!(["tmp", "./proc/sys"]);
        config["linux"]["devices"] = json!([{"path": "dev/fuse", "type": "c", "major": 10, "minor": 229}]);
    });
    let script = "cat /etc/passwd; probe write /tmp/new; probe write /proc/sys/kernel/hostname; probe stat /dev/fuse";
    let seen = bundle.sh(script).run().success();
    assert!(seen.starts_with("errno=EROFS\nerrno=EROFS\n") && seen.contains("rdev=10:229\n"), "{seen}");
}

/// `root.path` may be a link: it is resolved once, when the bundle is read.
#[test]
fn a_root_that_is_a_link_is_resolved_once() {
    fails_on(&[("runc", "refuses a link")], || {
        let bundle = Bundle::base().probe("names");
        std::os::unix::fs::symlink("rootfs", bundle.path().join("link")).unwrap();
        bundle.with(|config| config["root"]["path"] = "link".into()).run().success();

        let bundle = Bundle::base();
        std::os::unix::fs::symlink("nowhere", bundle.path().join("link")).unwrap();
        let bundle = bundle.with(|config| config["root"]["path"] = "link".into());
        let message = bundle.refused();
        fails_on(&[("crun", "names no link")], || {
            let link = bundle.path().join("link");
            let wanted = format!("root.path: {} is a symbolic link that leads nowhere", link.display());
            assert!(message.contains(&wanted), "{message}");
        });
    });
}
