//! Known attacks on container runtimes, in the forms that need no race: the root file system and the values that come
//! from an image are hostile, and nothing on the host may be read or changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use runtime_tests::{Bundle, Canary, fails_on, may_fail_on};
use serde_json::json;

/// Links that lead out of the root file system when the host resolves them.
fn links(canary: &Path) -> Vec<String> {
    let climb = "../".repeat(12);
    vec![canary.display().to_string(), format!("{climb}{}", canary.display()), "/nonexistent/dangling".into()]
}

/// Replaces a file of the root by a link.
fn plant(bundle: &Bundle, name: &str, target: &str) {
    let path = bundle.rootfs().join(name);
    let _ = fs::remove_dir_all(&path);
    let _ = fs::remove_file(&path);
    symlink(target, path).unwrap();
}

/// CVE-2024-21626: a working directory that is a leaked descriptor of the runtime.
#[test]
fn a_working_directory_by_descriptor_stays_inside() {
    let canary_home = Bundle::base();
    let canary = Canary::new(canary_home.home());
    for process in ["self", "1", "thread-self"] {
        for number in 3..12 {
            let cwd = format!("/proc/{process}/fd/{number}");
            let climb = format!("../../../../../../../{}/mark", canary.path().display());
            let bundle = Bundle::base().with(|config| config["process"]["cwd"] = cwd.clone().into());
            let output = bundle.sh(&format!("cat {climb} {number}; pwd")).run();
            assert!(!output.stdout.contains(Canary::MARK), "{cwd}: {output:?}");
            assert!(output.status != 0 || output.stdout == "/\n", "{cwd}: {output:?}");
        }
    }
}

/// CVE-2024-21626, second form: the image names the descriptor by a link.
#[test]
fn a_working_directory_by_a_link_to_a_descriptor_stays_inside() {
    for number in 3..12 {
        let bundle = Bundle::base().with(|config| config["process"]["cwd"] = "/escape".into());
        symlink(format!("/proc/self/fd/{number}"), bundle.rootfs().join("escape")).unwrap();
        let output = bundle.sh("cat ../../../../../../../etc/hostname; pwd").run();
        let host = fs::read_to_string("/etc/hostname").unwrap_or_default();
        assert!(host.trim().is_empty() || !output.stdout.contains(host.trim()), "{number}: {output:?}");
    }
}

/// CVE-2024-21626, third form: the program itself is reached through a descriptor.
#[test]
fn a_program_by_descriptor_is_not_the_hosts() {
    for number in 3..12 {
        let output = Bundle::base().args(&[&format!("/proc/self/fd/{number}/bin/sh"), "-c", "cat /etc/hostname"]).run();
        assert!(output.status != 0, "{number}: {output:?}");
    }
}

/// CVE-2019-16884: a mount over proc makes the runtime write labels into a fake file.
#[test]
fn mounts_over_proc_are_refused() {
    for destination in ["/proc/self", "/proc/self/attr", "/proc/sys", "/proc/1", "/proc/self/attr/exec"] {
        let bundle = Bundle::base().mount(destination, "tmpfs", "tmpfs", &[]);
        let known = [("crun", "holds the configuration to be trusted"), ("runc", "1.1 looks one level deep only")];
        may_fail_on(&known, || {
            let output = bundle.try_create();
            assert!(output.status != 0 && output.stderr.contains("/proc"), "{destination}: {output:?}");
        });
    }
}

#[test]
fn a_directory_bound_over_proc_is_refused() {
    let bundle = Bundle::base().without_mount("/proc").mount("/proc", "bind", "rootfs/etc", &["bind"]);
    let known = [("crun", "accepts it"), ("runc", "1.1 accepts it for its callers that bind the host's own")];
    may_fail_on(&known, || drop(bundle.refused()));
}

/// What LXCFS provides is allowed.
#[test]
fn the_files_of_lxcfs_are_accepted_over_proc() {
    for name in ["cpuinfo", "meminfo", "stat", "uptime", "loadavg", "swaps", "diskstats"] {
        let bundle = Bundle::base().mount(&format!("/proc/{name}"), "bind", "rootfs/etc/passwd", &["bind"]);
        let seen = bundle.args(&["/bin/cat", &format!("/proc/{name}")]).run().success();
        assert!(seen.starts_with("root:"), "{name}: {seen}");
    }
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2025-54867: the image's proc or sys is a link.
#[test]
fn proc_and_sys_that_are_links_are_refused() {
    for name in ["proc", "sys"] {
        for target in ["elsewhere", "/elsewhere", "chain", ".", "/nonexistent"] {
            let bundle = Bundle::base();
            fs::create_dir(bundle.rootfs().join("elsewhere")).unwrap();
            symlink("elsewhere", bundle.rootfs().join("chain")).unwrap();
            plant(&bundle, name, target);
            let message = bundle.refused();
            assert!(message.contains(name), "{name} -> {target}: {message}");
        }
    }
}

/// CVE-2022-0811: a parameter's name that smuggles in another path.
#[test]
fn sysctl_names_do_not_reach_other_files() {
    let before = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    let names = [
        "net/../kernel/core_pattern",
        "net.../kernel/core_pattern",
        "net/ipv4/../../kernel/core_pattern",
        "net..ipv4.ip_forward",
        "/kernel/core_pattern",
        ".kernel.core_pattern",
        "",
        "net.",
        "kernel.core_pattern",
    ];
    for name in names {
        let bundle = Bundle::base().with(|config| config["linux"]["sysctl"] = json!({name: "|/x"}));
        bundle.refused();
    }
    assert_eq!(fs::read("/proc/sys/kernel/core_pattern").unwrap(), before);
}

#[test]
fn sysctl_values_are_one_line() {
    for value in ["1\n2", "1\0"] {
        let bundle = Bundle::base().with(|config| config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": value}));
        may_fail_on(&[("crun", "writes any value"), ("runc", "writes any value")], || drop(bundle.refused()));
    }
}

/// CVE-2021-30465 and CVE-2024-45310 without the race: destinations through links of the image.
#[test]
fn destinations_through_links_stay_inside() {
    let home = Bundle::base();
    let canary = Canary::new(home.home());
    for target in links(canary.path()) {
        for (destination, kind) in [("/link/a/b", "tmpfs"), ("/link", "tmpfs"), ("/link/directory", "tmpfs")] {
            let bundle = Bundle::base().writable().mount(destination, kind, "tmpfs", &[]);
            plant(&bundle, "link", &target);
            // Either answer is safe: made inside of the root, or refused.
            let _ = bundle.run();
            canary.assert_untouched();
        }
    }
}

/// Links that lead nowhere inside of the root are made there, and would lead somewhere on the host.
#[test]
fn what_is_made_for_a_link_is_made_inside() {
    let home = Bundle::base();
    let canary = Canary::new(home.home());
    let new = canary.path().join("directory/new").display().to_string();
    let climb = "../".repeat(12);
    let targets = [new.clone(), format!("{climb}{new}"), format!("none/{climb}{new}"), format!("chain{new}")];
    for target in targets {
        for (kind, source, options) in
            [("tmpfs", "x", &[][..]), ("bind", "rootfs/etc", &["bind"]), ("bind", "rootfs/etc/passwd", &["bind"])]
        {
            let bundle = Bundle::base().mount("/link", kind, source, options);
            plant(&bundle, "link", &target);
            plant(&bundle, "chain", &climb);
            bundle.run().success();
            canary.assert_untouched();
            assert!(bundle.rootfs().join(new.trim_start_matches('/')).exists(), "{target}");
        }
    }
}

/// The same while another process exchanges the links.
#[test]
fn what_is_made_for_a_link_that_changes_is_made_inside() {
    let home = Bundle::base();
    let canary = Canary::new(home.home());
    let new = canary.path().join("directory/new").display().to_string();
    let targets = [new.clone(), format!("{}{new}", "../".repeat(12)), "b/../a/x".into(), "/none".into()];
    for (destination, source) in [("/a/b/c", "rootfs/etc"), ("/a", "rootfs/etc/passwd")] {
        let bundle = Bundle::base().mount(destination, "bind", source, &["bind"]);
        let (place, done) = (bundle.rootfs().join("a"), std::sync::atomic::AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for target in targets.iter().cycle() {
                    let _ = fs::remove_file(&place).or_else(|_| fs::remove_dir_all(&place));
                    let _ = symlink(target, &place);
                    if done.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                }
            });
            for _ in 0..30 {
                // Either answer is safe.
                let _ = bundle.run();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        canary.assert_untouched();
    }
}

#[test]
fn destinations_that_climb_stay_inside() {
    let home = Bundle::base();
    let canary = Canary::new(home.home());
    let climb = format!("/{}{}", "../".repeat(12), canary.path().join("directory").display());
    let _ = Bundle::base().writable().mount(&climb, "tmpfs", "tmpfs", &[]).run();
    canary.assert_untouched();
}

/// CVE-2026-41579 and CVE-2026-47766: without a mount on it, the image's dev may be a link.
#[test]
fn a_dev_that_is_a_link_stays_inside() {
    let home = Bundle::base();
    let canary = Canary::new(home.home());
    let known = [("runc", "1.1 replaces ptmx on the host"), ("crun", "1.8.1 makes devices on the host")];
    may_fail_on(&known, || {
        for target in links(canary.path()) {
            let bundle = Bundle::base().writable().without_mount("/dev");
            plant(&bundle, "dev", &target);
            let _ = bundle.run();
            canary.assert_untouched();
        }
    });
}

#[test]
fn links_below_dev_stay_inside() {
    let home = Bundle::base();
    let canary = Canary::new(home.home());
    for name in ["pts", "shm", "mqueue", "null", "ptmx", "stdin", "fd", "console", "core"] {
        for target in
            links(canary.path()).into_iter().chain([canary.path().join("directory/new").display().to_string()])
        {
            let bundle = Bundle::base().writable();
            let bundle = bundle.with(|config| {
                config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/dev");
            });
            plant(&bundle, &format!("dev/{name}"), &target);
            let _ = bundle.run();
            canary.assert_untouched();
        }
    }
}

/// CVE-2025-31133 without the race: masking must not bind whatever the image calls its null device.
#[test]
fn masking_uses_a_true_null_device() {
    let bundle = Bundle::base().writable().without_mount("/dev");
    let bundle = bundle.with(|config| config["linux"]["maskedPaths"] = json!(["/proc/keys"]));
    plant(&bundle, "dev/null", "/etc/passwd");
    let output = bundle.probe("stat /proc/keys").run();
    let known = [("runc", "1.1 is older than the fix"), ("crun", "1.8.1 is older than the fix")];
    fails_on(&known, || assert!(output.status != 0 || output.stdout.contains("rdev=1:3\n"), "{output:?}"));
}

/// CVE-2025-24965 and its kin: the runtime makes the working directory through a link of the image.
#[test]
fn a_working_directory_behind_a_link_is_made_inside() {
    let home = Bundle::base();
    let canary = Canary::new(home.home());
    for target in links(canary.path()) {
        let bundle = Bundle::base().writable().with(|config| config["process"]["cwd"] = "/a/b/c".into());
        plant(&bundle, "a", &target);
        let _ = bundle.run();
        canary.assert_untouched();
    }
}

/// CVE-2022-29162: the inheritable set must not be filled by default.
#[test]
fn the_inheritable_set_is_empty_unless_configured() {
    let bundle = Bundle::base().with(|config| config["process"]["capabilities"]["ambient"] = json!([]));
    assert_eq!(bundle.probe("status").run().value("CapInh"), "0000000000000000");
}

/// A user id is a number below 2^32 - 1, which means "unchanged" to the kernel and so root.
#[test]
fn user_ids_out_of_range_are_refused() {
    for id in [json!(4_294_967_295u64), json!(4_294_967_296u64), json!(-1), json!("0"), json!(1.5)] {
        for field in ["uid", "gid"] {
            let bundle = Bundle::base().with(|config| config["process"]["user"][field] = id.clone());
            let output = bundle.probe("status").run();
            let root = output.status == 0 && output.stdout.contains("Uid=0 0 0 0\nGid=0 0 0 0\n");
            let known = [("crun", "1.8.1 wraps, and reads words as 0"), ("runc", "1.1 takes 4294967295 for unchanged")];
            may_fail_on(&known, || assert!(!root, "{field} {id} became root"));
        }
    }
}

/// CVE-2017-5226: typing into the caller's terminal.
#[test]
fn the_callers_terminal_cannot_be_typed_into() {
    // No terminal is inherited here, so the session is what shows the protection.
    let seen = Bundle::base().probe("session").run();
    assert_eq!(seen.value("session"), "1");
    assert_ne!(Bundle::base().probe("tiocsti").run().stdout.trim(), "typed=1");
}

/// The identifier becomes a directory and a cgroup.
#[test]
fn identifiers_that_are_paths_are_refused() {
    let long = "x".repeat(1025);
    // crun 1.8.1's `delete -f ..` removes the directory above the state directory.
    fails_on(&[("crun", "refuses only a few of them")], || {
        for id in ["", ".", "..", "../x", "a/b", "/x", "a\nb", "a b", "ü", "a:b", "a%b", &long] {
            let bundle = Bundle::base();
            let canary = Canary::new(bundle.home());
            bundle.write();
            for verb in ["create", "state", "start", "kill", "delete"] {
                let mut command = bundle.command(&[verb]);
                if verb == "create" {
                    command.arg("--bundle").arg(bundle.path());
                }
                let output = bundle.finish(command.args(["--", id]));
                assert!(output.status != 0, "{verb} {id:?}: {output:?}");
            }
            let _ = bundle.finish(bundle.command(&["delete", "-f", "--"]).arg(id));
            canary.assert_untouched();
            let made = fs::read_dir(bundle.state_root()).into_iter().flatten().count();
            assert_eq!(made, 0, "{id:?} left something in the state directory");
        }
    });
}

#[test]
fn usual_identifiers_are_accepted() {
    for id in ["a", "A.b_c+d-e", "0"] {
        let bundle = Bundle::base();
        bundle.write();
        let unique = format!("{id}{}", bundle.id());
        let mut command = bundle.command(&["run", "--bundle"]);
        bundle.finish(command.arg(bundle.path()).arg(unique)).success();
    }
}

/// A state file that was cut off, at every length.
#[test]
fn a_damaged_state_can_always_be_deleted() {
    let bundle = Bundle::base().probe("pause");
    bundle.try_create().success();
    let directory = bundle.state_root().join(bundle.id());
    let file = ["state.json", "status", "state", "record"].map(|name| directory.join(name));
    let Some(file) = file.into_iter().find(|path| path.is_file()) else {
        panic!("no state file among {:?}", fs::read_dir(&directory).unwrap().flatten().collect::<Vec<_>>());
    };
    let whole = fs::read(&file).unwrap();
    let known =
        [("runc", "1.1 cannot delete what it cannot read"), ("crun", "1.8.1 cannot delete what it cannot read")];
    may_fail_on(&known, || {
        for length in (0..whole.len()).step_by(whole.len() / 20 + 1) {
            fs::write(&file, &whole[..length]).unwrap();
            for verb in [&["state"][..], &["kill"], &["list"]] {
                let words: Vec<_> = verb.iter().copied().chain((verb != ["list"]).then_some(bundle.id())).collect();
                let output = bundle.call(&words);
                assert!(output.status < 128 && !output.stderr.contains("panicked"), "{verb:?} at {length}: {output:?}");
            }
        }
        bundle.call(&["delete", "-f", bundle.id()]).success();
        bundle.assert_nothing_left();
    });
}

/// CVE-2016-9962, CVE-2024-21626: nothing of the host is open in the container's first process.
#[test]
fn the_waiting_init_shows_nothing_of_the_host() {
    let container = Bundle::base().probe("pause").create();
    container.start();
    let fds = fs::read_dir(format!("/proc/{}/fd", container.pid())).unwrap().count();
    assert_eq!(fds, 3);
}

/// CVE-2019-5736: the runtime's own binary is not writable from inside.
#[test]
fn the_runtimes_binary_cannot_be_opened_for_writing() {
    let container = Bundle::base().probe("pause").create();
    // Before start the process is still the runtime; its /proc/PID/exe is what a container would attack.
    let exe = format!("/proc/{}/exe", container.pid());
    let error = fs::OpenOptions::new().write(true).open(exe).unwrap_err();
    // While the process lives, ETXTBSY hides the better reason.
    let refused = [libc::EROFS, libc::EPERM, libc::ETXTBSY].contains(&error.raw_os_error().unwrap());
    assert!(refused, "{error}");
    let target = fs::read_link(format!("/proc/{}/exe", container.pid())).unwrap().display().to_string();
    let name = container.bundle().runtime().name();
    assert!(!target.ends_with(&format!("/{name}")), "the host's file itself is executed: {target}");
}

/// Annotations come from images and must not change what is isolated.
#[test]
fn annotations_change_nothing() {
    let plain = Bundle::base().probe("status").run().success();
    let annotations = json!({
        "run.oci.keep_original_groups": "1",
        "run.oci.seccomp.bpf_data": "x",
        "org.systemd.property.TasksMax": "1",
        "io.podman.annotations.seccomp": "unconfined",
        "org.criu.config": "/etc/passwd",
    });
    let bundle = Bundle::base().with(|config| config["annotations"] = annotations).probe("status");
    assert_eq!(bundle.run().success(), plain);
}
