//! Mounts: what each option does, as the container's own mountinfo shows it. What a test mounts on the host goes with
//! its bundle.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use runtime_tests::{Bundle, fails_on, is_excused};
use serde_json::json;

/// One line of mountinfo: the options of the mount, its propagation, and the type and options of the file system.
#[derive(Debug)]
struct Mount {
    options: String,
    propagation: String,
    kind: String,
    data: String,
}

/// The topmost mount at a target, seen by a container.
#[track_caller]
fn seen(bundle: Bundle, target: &str) -> Mount {
    let mountinfo = bundle.probe("mounts").run().success();
    parse(&mountinfo, target).unwrap_or_else(|| panic!("no mount at {target}:\n{mountinfo}"))
}

fn parse(mountinfo: &str, target: &str) -> Option<Mount> {
    let line = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some(target))?;
    let (mount, system) = line.split_once(" - ")?;
    let (mut fields, mut system) = (mount.split(' ').skip(5), system.split(' '));
    Some(Mount {
        options: fields.next()?.to_owned(),
        propagation: fields.collect::<Vec<_>>().join(" "),
        kind: system.next()?.to_owned(),
        data: system.nth(1)?.to_owned(),
    })
}

fn has(list: &str, option: &str) -> bool {
    list.split(',').any(|found| found == option)
}

/// A directory in the bundle to be mounted, with one file.
fn with_source(name: &str) -> Bundle {
    let bundle = Bundle::base();
    fs::create_dir(bundle.path().join(name)).unwrap();
    fs::write(bundle.path().join(name).join("file"), "content\n").unwrap();
    bundle
}

fn bound(options: &[&str]) -> Bundle {
    let bundle = with_source("data");
    let source = bundle.path().join("data").display().to_string();
    bundle.mount("/mnt", "bind", &source, options)
}

fn tmpfs(options: &[&str]) -> Bundle {
    Bundle::base().mount("/mnt", "tmpfs", "tmpfs", options)
}

/// What runc 1.1 and crun 1.8.1 are too old for.
const NEWER: [(&str, &str); 2] =
    [("runc", "1.1 is older than this option"), ("crun", "1.8.1 is older than this option")];

#[test]
fn a_directory_is_bound() {
    assert_eq!(bound(&["bind"]).args(&["/bin/cat", "/mnt/file"]).run().success(), "content\n");
}

#[test]
fn a_file_is_bound_on_a_target_that_is_made() {
    let bundle = with_source("data");
    let source = bundle.path().join("data/file").display().to_string();
    let bundle = bundle.mount("/etc/deep/er/file", "bind", &source, &["bind"]);
    assert_eq!(bundle.args(&["/bin/cat", "/etc/deep/er/file"]).run().success(), "content\n");
}

/// Links by name, and where they point.
type Links = [(&'static str, &'static str)];

/// A bundle with a file and a directory to be mounted, and links in its root that lead nowhere.
fn with_links(links: &Links) -> Bundle {
    let bundle = with_source("data");
    for (name, target) in links {
        symlink(target, bundle.rootfs().join(name)).unwrap();
    }
    bundle
}

#[test]
fn a_target_is_made_where_a_link_leads() {
    // The links, the mount point, and where it is.
    let rows: [(&Links, &str, &str); 8] = [
        (&[("etc/link", "../run/systemd/resolve/x")], "/etc/link", "/run/systemd/resolve/x"),
        (&[("link", "/made/app")], "/link", "/made/app"),
        (&[("link", "/made")], "/link/below/it", "/made/below/it"),
        (&[("etc/link", "../../../../made")], "/etc/link", "/made"),
        (&[("link", "one/x"), ("one", "/two"), ("two", "three")], "/link", "/three/x"),
        (&[("link", "one/../two/../three"), ("three", "four")], "/link", "/four"),
        (&[("link", "one/../etc/new")], "/link", "/etc/new"),
        (&[("link", ".//made/./here")], "/link", "/made/here"),
    ];
    for (links, target, real) in rows {
        for (kind, source, options) in
            [("tmpfs", "x", &[][..]), ("bind", "data", &["bind"]), ("bind", "data/file", &["bind"])]
        {
            let bundle = with_links(links).mount(target, kind, source, options);
            let mountinfo = bundle.probe("mounts").run().success();
            assert!(parse(&mountinfo, real).is_some(), "{target} {source}: no mount at {real}:\n{mountinfo}");
        }
    }
}

#[test]
fn a_target_behind_a_loop_of_links_is_refused() {
    for (links, target) in
        [(&[("link", "link")][..], "/link"), (&[("a", "b"), ("b", "a/x")], "/b/x"), (&[("a", "new/../a")], "/a")]
    {
        let message = with_links(links).mount(target, "bind", "data/file", &["bind"]).refused();
        assert!(message.contains("symbolic links"), "{target}: {message}");
    }
}

/// As many as the kernel follows, even if what the links lead through is made one by one.
#[test]
fn a_target_behind_forty_links_is_made() {
    for (count, enough) in [(40, true), (41, false)] {
        let bundle = with_links(&[]);
        for i in 0..count {
            symlink(format!("new{i}/../link{}", i + 1), bundle.rootfs().join(format!("link{i}"))).unwrap();
        }
        let bundle = bundle.mount("/link0", "bind", "data/file", &["bind"]);
        if enough {
            assert_eq!(bundle.args(&["/bin/cat", "/link40"]).run().success(), "content\n");
        } else {
            let message = bundle.refused();
            assert!(message.contains("symbolic links"), "{message}");
        }
    }
}

#[test]
fn a_relative_source_counts_from_the_bundle() {
    let bundle = with_source("data").mount("/mnt", "bind", "data", &["bind"]);
    assert_eq!(bundle.args(&["/bin/cat", "/mnt/file"]).run().success(), "content\n");
}

#[test]
fn a_bind_needs_no_type() {
    let bundle = with_source("data").mount("/mnt", "none", "data", &["rbind"]);
    assert_eq!(bundle.args(&["/bin/cat", "/mnt/file"]).run().success(), "content\n");
}

#[test]
fn a_plain_bind_leaves_out_what_is_mounted_below() {
    for (option, expected) in [("bind", "errno=ENOENT"), ("rbind", "below\n")] {
        let bundle = with_source("data").mount("/tmp", "tmpfs", "tmpfs", &[]);
        let below = bundle.path().join("data/below");
        fs::create_dir(&below).unwrap();
        nix::mount::mount(Some("tmpfs"), &below, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>).unwrap();
        fs::write(below.join("file"), "below\n").unwrap();
        let seen = bundle.mount("/mnt", "bind", "data", &[option]).probe("read /mnt/below/file").run().success();
        assert_eq!(seen.trim(), expected.trim(), "{option}");
    }
}

#[test]
fn flags_of_a_mount() {
    fails_on(&[("crun", "1.8.1 cannot take a flag back")], || {
        // The option, and whether mountinfo then shows the word.
        let rows = [
            (&["ro"][..], "ro", true),
            (&["rw"], "rw", true),
            (&["nosuid"], "nosuid", true),
            (&["nodev"], "nodev", true),
            (&["noexec"], "noexec", true),
            (&["noatime"], "noatime", true),
            (&["nodiratime"], "nodiratime", true),
            (&["relatime"], "relatime", true),
            (&["strictatime"], "relatime", false),
            (&["nosuid", "suid"], "nosuid", false),
            (&["nodev", "dev"], "nodev", false),
            (&["noexec", "exec"], "noexec", false),
            (&["ro", "rw"], "ro", false),
            (&["noatime", "atime"], "noatime", false),
            (&["nodiratime", "diratime"], "nodiratime", false),
        ];
        for (options, word, shown) in rows {
            for (kind, bundle) in [("tmpfs", tmpfs(options)), ("bind", bound(&[&["bind"], options].concat()))] {
                // A bind keeps its source's access-time flags unless others are named.
                if kind == "bind" && matches!(word, "noatime" | "nodiratime" | "relatime") && !shown {
                    continue;
                }
                let mount = seen(bundle, "/mnt");
                assert_eq!(has(&mount.options, word), shown, "{kind} {options:?}: {mount:?}");
            }
        }
    });
}

#[test]
fn flags_of_the_file_system() {
    let rows = [("sync", "sync", true), ("dirsync", "dirsync", true), ("async", "sync", false), ("mand", "mand", true)];
    for (option, word, shown) in rows {
        let mount = seen(tmpfs(&[option]), "/mnt");
        assert_eq!(has(&mount.data, word), shown, "{option}: {mount:?}");
    }
}

#[test]
fn options_that_show_nowhere_are_accepted() {
    for option in ["norelatime", "nostrictatime", "nomand"] {
        tmpfs(&[option]).run().success();
    }
    fails_on(&[("crun", "1.8.1 hands the words to the file system")], || {
        for option in ["nolazytime", "noiversion", "loud", "silent"] {
            tmpfs(&[option]).run().success();
        }
    });
    fails_on(&[("runc", "1.1 hands the word to the file system")], || drop(tmpfs(&["defaults"]).run().success()));
}

#[test]
fn lazytime_and_iversion_are_known() {
    assert!(has(&seen(tmpfs(&["lazytime"]), "/mnt").data, "lazytime"));
    // tmpfs keeps no version that could be shown.
    fails_on(&[("crun", "1.8.1 hands the word to the file system")], || drop(tmpfs(&["iversion"]).run().success()));
}

#[test]
fn unknown_options_go_to_the_file_system() {
    let mount = seen(tmpfs(&["size=64k", "mode=700", "uid=7"]), "/mnt");
    for option in ["size=64k", "mode=700", "uid=7"] {
        assert!(has(&mount.data, option), "{option}: {mount:?}");
    }
}

#[test]
fn an_option_that_the_file_system_refuses_fails_create() {
    let bundle = tmpfs(&["nosuchoption=1"]);
    let message = bundle.refused();
    assert!(message.contains("mnt"), "{message}");
}

#[test]
fn a_bind_with_data_is_refused() {
    let bundle = bound(&["bind", "size=64k"]);
    fails_on(&[("runc", "1.1 ignores the data"), ("crun", "1.8.1 ignores the data")], || drop(bundle.refused()));
}

#[test]
fn a_bind_keeps_the_flags_of_its_source() {
    let bundle = with_source("data");
    let source = bundle.path().join("data");
    let flags = nix::mount::MsFlags::MS_NOSUID | nix::mount::MsFlags::MS_NODEV;
    nix::mount::mount(Some("tmpfs"), &source, Some("tmpfs"), flags, None::<&str>).unwrap();
    let bundle = bundle.mount("/mnt", "bind", "data", &["bind", "ro"]);
    let mountinfo = bundle.probe("mounts").run().success();
    let mount = parse(&mountinfo, "/mnt").unwrap();
    // As root in the first user namespace runc clears what is not named; crun keeps it, and so does mount(8).
    assert!(has(&mount.options, "ro"), "{mount:?}");
}

#[test]
fn recursive_flags_reach_what_is_mounted_below() {
    fails_on(&[("crun", "1.8.1 hands the kernel access times without their mask")], || {
        let rows = [
            ("rro", "ro", true),
            ("rnosuid", "nosuid", true),
            ("rnodev", "nodev", true),
            ("rnoexec", "noexec", true),
            ("rnoatime", "noatime", true),
            ("rnodiratime", "nodiratime", true),
            ("rrelatime", "relatime", true),
            ("rstrictatime", "relatime", false),
            ("rrw", "ro", false),
            ("rsuid", "nosuid", false),
            ("rdev", "nodev", false),
            ("rexec", "noexec", false),
        ];
        for (option, word, shown) in rows {
            let bundle = with_source("data");
            let below = bundle.path().join("data/below");
            fs::create_dir(&below).unwrap();
            nix::mount::mount(Some("tmpfs"), &below, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>)
                .unwrap();
            let bundle = bundle.mount("/mnt", "bind", "data", &["rbind", option]).probe("mounts");
            let output = bundle.run();
            let mountinfo = output.success();
            for target in ["/mnt", "/mnt/below"] {
                let mount = parse(&mountinfo, target).unwrap();
                assert_eq!(has(&mount.options, word), shown, "{option} at {target}: {mount:?}");
            }
        }
    });
}

#[test]
fn links_are_not_followed_on_a_mount_without_them() {
    fails_on(&[("crun", "1.8.1 is older than this option")], || {
        assert!(has(&seen(tmpfs(&["nosymfollow"]), "/mnt").options, "nosymfollow"));
        assert!(!has(&seen(tmpfs(&["nosymfollow", "symfollow"]), "/mnt").options, "nosymfollow"));
        assert!(has(&seen(bound(&["rbind", "rnosymfollow"]), "/mnt").options, "nosymfollow"));
    });
}

#[test]
fn propagation_of_a_mount() {
    fails_on(&[("crun", "1.8.1 has made it private again")], || {
        let rows = [
            ("shared", "shared:"),
            ("rshared", "shared:"),
            ("unbindable", "unbindable"),
            ("runbindable", "unbindable"),
            ("private", ""),
            ("rprivate", ""),
        ];
        for (option, expected) in rows {
            for mount in [seen(bound(&["bind", option]), "/mnt"), seen(tmpfs(&[option]), "/mnt")] {
                assert_eq!(
                    mount.propagation.split_once(':').map_or(&*mount.propagation, |(kind, _)| kind),
                    expected.trim_end_matches(':'),
                    "{option}: {mount:?}"
                );
            }
        }
    });
}

#[test]
fn a_slave_of_a_shared_source_follows_it() {
    fails_on(&[("crun", "1.8.1 has made it private")], || {
        let bundle = with_source("data");
        let source = bundle.path().join("data");
        let mount =
            |what: &str, flags| nix::mount::mount(Some(what), &source, Some("tmpfs"), flags, None::<&str>).unwrap();
        mount("tmpfs", nix::mount::MsFlags::empty());
        mount("none", nix::mount::MsFlags::MS_SHARED);
        let container = bundle.mount("/mnt", "bind", "data", &["rbind", "rslave"]).probe("pause").create();
        let late = source.join("late");
        fs::create_dir(&late).unwrap();
        nix::mount::mount(Some("tmpfs"), &late, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>).unwrap();
        let mountinfo = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid())).unwrap();
        assert!(parse(&mountinfo, "/mnt").unwrap().propagation.starts_with("master:"), "{mountinfo}");
        assert!(parse(&mountinfo, "/mnt/late").is_some(), "{mountinfo}");
    });
}

#[test]
fn the_root_has_the_configured_propagation() {
    let kind = |option: &str| {
        let bundle = Bundle::base().with(|config| config["linux"]["rootfsPropagation"] = option.into());
        seen(bundle, "/").propagation.split(':').next().unwrap_or("").to_owned()
    };
    assert_eq!(kind("private"), "");
    fails_on(&[("runc", "1.1 sets it above the root only, which the pivot leaves behind")], || {
        assert_eq!(kind("shared"), "shared");
        assert_eq!(kind("unbindable"), "unbindable");
    });
}

#[test]
fn mounts_of_a_container_do_not_reach_the_host() {
    let bundle = Bundle::base().writable().with(|config| {
        config["linux"]["rootfsPropagation"] = "rshared".into();
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
        }
        config["process"]["capabilities"]["ambient"] = json!([]);
    });
    let bundle = bundle.sh("mount -t tmpfs tmpfs /tmp && echo mounted");
    assert_eq!(bundle.run().success(), "mounted\n");
    assert_eq!(bundle.leaks().mounts, Vec::<String>::new());
}

#[test]
fn mounts_are_made_in_order() {
    let bundle = tmpfs(&["size=64k"]).mount("/mnt/a", "tmpfs", "tmpfs", &["size=128k"]);
    let bundle = bundle.mount("/mnt/a/b", "bind", "rootfs/etc", &["bind"]);
    let mountinfo = bundle.sh("cat /mnt/a/b/passwd; probe mounts").run().success();
    assert!(mountinfo.starts_with("root:"), "{mountinfo}");
    assert!(has(&parse(&mountinfo, "/mnt/a").unwrap().data, "size=128k"));
}

#[test]
fn a_later_mount_covers_an_earlier() {
    let bundle = bound(&["bind"]).mount("/mnt", "tmpfs", "tmpfs", &[]);
    assert_eq!(bundle.probe("list /mnt").run().success().trim(), "");
}

#[test]
fn tmpcopyup_fills_a_tmpfs_from_what_it_covers() {
    let bundle = Bundle::base();
    let directory = bundle.rootfs().join("mnt");
    fs::write(directory.join("file"), "below\n").unwrap();
    fs::set_permissions(directory.join("file"), PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("file", directory.join("link")).unwrap();
    fs::create_dir(directory.join("sub")).unwrap();
    fs::write(directory.join("sub/deep"), "deep\n").unwrap();
    let bundle = bundle.mount("/mnt", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let seen = bundle.sh("cat /mnt/link /mnt/sub/deep; probe stat /mnt/file; probe write /mnt/new").run().success();
    assert!(seen.starts_with("below\ndeep\n") && seen.contains("mode=0640") && seen.ends_with("written=1\n"), "{seen}");
}

#[test]
fn a_tmpfs_takes_the_mode_of_what_it_covers() {
    let seen = Bundle::base().mount("/tmp", "tmpfs", "tmpfs", &[]).probe("stat /tmp").run();
    assert_eq!(seen.value("mode"), "1777");
}

#[test]
fn the_usual_file_systems_are_there() {
    for (target, kind) in [
        ("/proc", "proc"),
        ("/dev", "tmpfs"),
        ("/dev/pts", "devpts"),
        ("/dev/shm", "tmpfs"),
        ("/dev/mqueue", "mqueue"),
        ("/sys", "sysfs"),
        ("/sys/fs/cgroup", "cgroup2"),
    ] {
        assert_eq!(seen(Bundle::base(), target).kind, kind, "{target}");
    }
}

#[test]
fn a_cgroup_mount_is_read_only_when_asked() {
    let mount = seen(Bundle::base(), "/sys/fs/cgroup");
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(has(&mount.options, option), "{option}: {mount:?}");
    }
}

#[test]
fn a_cgroup_mount_shows_the_containers_own_cgroup() {
    let bundle = Bundle::base().namespace("cgroup", Some(json!({"type": "cgroup"})));
    let own = bundle.sh("cat /sys/fs/cgroup/cgroup.procs").run().success();
    assert!(own.lines().any(|pid| pid == "1"), "{own}");
}

#[test]
fn a_missing_source_is_named() {
    let message = Bundle::base().mount("/mnt", "bind", "/nonexistent/source", &["bind"]).refused();
    assert!(message.contains("/nonexistent/source"), "{message}");
}

#[test]
fn an_unknown_file_system_is_refused() {
    let message = Bundle::base().mount("/mnt", "nosuchfs", "none", &[]).refused();
    assert!(message.contains("mnt"), "{message}");
}

#[test]
fn a_destination_is_resolved_in_the_root() {
    let bundle = tmpfs(&["size=64k"]);
    std::os::unix::fs::symlink("/mnt/../../../../mnt", bundle.rootfs().join("link")).unwrap();
    let bundle = bundle.mount("/link/inner", "tmpfs", "tmpfs", &["size=32k"]);
    assert!(has(&seen(bundle, "/mnt/inner").data, "size=32k"));
}

#[test]
fn a_destination_that_ends_in_a_link_covers_its_target() {
    let bundle = with_source("data");
    std::os::unix::fs::symlink("mnt", bundle.rootfs().join("link")).unwrap();
    let bundle = bundle.mount("/link", "bind", "data", &["bind"]);
    assert_eq!(bundle.args(&["/bin/cat", "/mnt/file"]).run().success(), "content\n");
}

#[test]
fn a_remount_changes_flags_alone() {
    let bundle = tmpfs(&["size=64k"]).mount("/mnt", "tmpfs", "tmpfs", &["remount", "ro", "nosuid"]);
    let mount = seen(bundle, "/mnt");
    assert!(has(&mount.options, "ro"), "{mount:?}");
}

#[test]
fn an_id_mapped_mount_shifts_the_owners() {
    // tmpfs and ext4 can be mapped; the mapping is the mount's own, the container has no user namespace.
    fails_on(&[("runc", "1.1 is older than id-mapped mounts")], || {
        let bundle = bound(&["bind"]).with(|config| {
            let mount = config["mounts"].as_array_mut().unwrap().last_mut().unwrap();
            let map = json!([{"containerID": 0, "hostID": 5000, "size": 10}]);
            mount["uidMappings"] = map.clone();
            mount["gidMappings"] = map;
        });
        let seen = bundle.probe("stat /mnt/file").run();
        assert_eq!(seen.value("uid"), "5000");
    });
}

#[test]
fn a_mapping_of_users_without_one_of_groups_is_refused() {
    fails_on(&NEWER, || {
        let bundle = bound(&["bind"]).with(|config| {
            let mount = config["mounts"].as_array_mut().unwrap().last_mut().unwrap();
            mount["uidMappings"] = json!([{"containerID": 0, "hostID": 5000, "size": 10}]);
        });
        drop(bundle.refused());
    });
}

/// A file system of FUSE that uid 1000 has mounted, and nobody serves; it goes with the value.
struct Fuse {
    _device: std::fs::File,
    at: std::path::PathBuf,
}

impl Fuse {
    fn at(path: std::path::PathBuf) -> Fuse {
        use std::os::fd::AsRawFd;
        std::fs::create_dir(&path).unwrap();
        let device = std::fs::File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let options = format!("fd={},rootmode=40000,user_id=1000,group_id=1000", device.as_raw_fd());
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("test"), &path, Some("fuse"), flags, Some(options.as_str())).unwrap();
        Fuse { _device: device, at: path }
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        // The harness has asserted what matters.
        let _ = nix::mount::umount2(&self.at, nix::mount::MntFlags::MNT_DETACH);
        let _ = std::fs::remove_dir(&self.at);
    }
}

/// Root is nobody special there, and "permission denied" alone tells root nothing.
#[test]
fn a_source_on_fuse_that_keeps_root_out_is_explained() {
    fails_on(&[("runc", "shows the error alone"), ("crun", "shows the error alone")], || {
        let bundle = Bundle::base();
        // Not in the bundle, where a mount counts as left behind.
        let fuse = Fuse::at(std::env::temp_dir().join(format!("fuse-of-{}", std::process::id())));
        let source = fuse.at.join("data").display().to_string();
        let bundle = bundle.mount("/data", "bind", &source, &["bind"]);
        let hint = "(it is on a FUSE file system, which lets in only the user who mounted it unless it has the option \
                    allow_other)";
        let message = bundle.refused();
        assert!(message.contains("mounts[7]") && message.contains("permission denied"), "{message}");
        assert!(message.contains(hint), "{message}");
        let bundle = bundle.user_namespace(200_000, 1000);
        assert!(bundle.refused().contains(hint));
        let bundle = bundle.with(|config| config["root"]["path"] = source.into());
        let message = bundle.refused();
        assert!(message.contains("root.path: ") && message.contains(hint), "{message}");
        let check = bundle.call(&["check", bundle.path().to_str().unwrap()]);
        assert!(check.status == 1 && check.stdout.contains("allow_other"), "{}{}", check.stdout, check.stderr);
    });
}

/// The root file system is mounted where the bundle has it, so a source in it has what was mounted there before.
#[test]
fn a_source_in_the_root_has_the_mounts_made_before_it() {
    for in_user_namespace in [false, true] {
        for (source, destination, seen) in [
            ("rootfs/a", "/b", "tmpfs"),
            ("link/a", "/b", "tmpfs"),
            ("rootfs/a/new", "/a/c", "tmpfs"),
            ("rootfs/x", "/b", ""),
        ] {
            let bundle = Bundle::base().mount("/a", "tmpfs", "none", &["mode=755"]);
            for directory in ["a/new", "b", "x"] {
                fs::create_dir_all(bundle.rootfs().join(directory)).unwrap();
            }
            symlink("rootfs", bundle.path().join("link")).unwrap();
            // Made in the tmpfs, for the third.
            let bundle = bundle.mount("/a/new", "tmpfs", "none", &[]);
            let source = bundle.path().join(source);
            let bundle = bundle.mount(destination, "bind", source.to_str().unwrap(), &["rbind"]);
            let bundle = if in_user_namespace { bundle.user_namespace(100_000, 65536) } else { bundle };
            let kind = bundle.sh(&format!("/bin/stat -f -c %T {destination}")).run().success();
            let shown = (kind.trim() == "tmpfs") == (seen == "tmpfs");
            let excused = in_user_namespace && is_excused(&[("runc", "1.1 has the parent open it")]);
            assert!(shown || excused, "{} {in_user_namespace}: {kind}", source.display());
        }
    }
}
