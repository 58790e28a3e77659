//! Faults that a runtime had once, and must not have again: one test for each.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime_tests::{Bundle, Canary, Container, Running, fails_on, is_excused, may_fail_on, wait_until};
use serde_json::json;

fn started(bundle: Bundle) -> Container {
    let container = bundle.create();
    container.start();
    container
}

/// Lines of the tests' own mount table that mention a bundle.
fn mounts_of(bundle: &Bundle) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().filter(|line| line.contains(bundle.id())).map(str::to_owned).collect()
}

/// A program by a name that goes through a descriptor of the runtime.
#[test]
fn no_program_is_found_through_a_descriptor() {
    let home = Bundle::base();
    let host = home.home().join("echo");
    fs::copy("/bin/busybox", &host).unwrap();
    fs::set_permissions(&host, fs::Permissions::from_mode(0o755)).unwrap();
    for number in 3..=12 {
        let climb = format!("/proc/self/fd/{number}{}{}", "/..".repeat(10), host.display());
        let by_link = Bundle::base();
        fs::remove_file(by_link.rootfs().join("bin/echo")).unwrap();
        symlink(&climb, by_link.rootfs().join("bin/echo")).unwrap();
        let by_script = Bundle::base();
        let script = by_script.rootfs().join("bin/script");
        fs::write(&script, format!("#!{climb} {}\n", Canary::MARK)).unwrap();
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
        let rows = [(by_link, "/bin/echo"), (Bundle::base(), climb.as_str()), (by_script, "/bin/script")];
        for (bundle, program) in rows {
            let bundle = bundle.args(&[program, Canary::MARK]);
            let output = bundle.run();
            assert!(output.status != 0 && !output.stdout.contains(Canary::MARK), "run {program}: {output:?}");
            let container = started(bundle.probe("pause"));
            let output = container.exec(&[], &[program, Canary::MARK]);
            assert!(output.status != 0 && !output.stdout.contains(Canary::MARK), "exec {program}: {output:?}");
        }
    }
}

/// The status is told from facts, which must be there when `create` returns, however the processes are scheduled.
#[test]
fn after_create_the_status_is_created() {
    for one_processor in [false, true] {
        let bundle = Bundle::base().probe("pause");
        bundle.write();
        for turn in 0..100 {
            let mut command = bundle.command_for("create", &[]);
            if one_processor {
                let mut set = CpuSet::new();
                set.set(0).unwrap();
                // SAFETY: between fork and exec the closure makes one system call on memory that it owns.
                unsafe { command.pre_exec(move || sched_setaffinity(Pid::from_raw(0), &set).map_err(Into::into)) };
            }
            bundle.finish(&mut command).success();
            let state = bundle.call(&["state", bundle.id()]).success();
            assert!(state.contains("\"created\""), "{turn}: {state}");
            bundle.call(&["delete", "-f", bundle.id()]).success();
        }
    }
}

/// A container that shares another's processes and users must not be looked into by it while it is being made.
#[test]
fn a_neighbour_sees_nothing_of_the_host_in_an_init_that_comes() {
    // The mappings of a namespace that is joined are there already; engines leave them out.
    let known = [
        ("runc", "1.1 wants the mappings of a joined user namespace once more"),
        ("crun", "1.8.1 shows the root of the one that comes"),
    ];
    may_fail_on(&known, neighbours_see_nothing);
}

fn neighbours_see_nothing() {
    let home = Bundle::base();
    let canary = Canary::new(home.home());
    let capable = |bundle: Bundle| {
        bundle.user_namespace(200_000, 65_536).with(|config| {
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = json!(["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]);
            }
            config["process"]["capabilities"]["ambient"] = json!([]);
        })
    };
    let spy = started(capable(Bundle::base()).probe(&format!("snoop {}", canary.path().join("mark").display())));
    wait_until("ready", || spy.output().contains("ready"));
    for _ in 0..30 {
        let bundle = capable(Bundle::base()).probe("exit 0").with(|config| {
            for field in ["uidMappings", "gidMappings"] {
                config["linux"].as_object_mut().unwrap().remove(field);
            }
        });
        let path = |name: &str| Some(json!({"type": name, "path": format!("/proc/{}/ns/{name}", spy.pid())}));
        let bundle = bundle.namespace("pid", path("pid")).namespace("user", path("user"));
        bundle.try_create().success();
        bundle.call(&["start", bundle.id()]).success();
        bundle.call(&["delete", "-f", bundle.id()]).success();
    }
    let seen = spy.output();
    assert!(seen.matches("pid=").count() > 10, "{seen}");
    assert!(!seen.contains("is the host's"), "{seen}");
    let streams = |target: &str| target == "/dev/null" || target.ends_with(".out") || target.ends_with(".err");
    let strange: Vec<_> =
        seen.lines().filter_map(|line| line.strip_prefix("fd=")).filter(|target| !streams(target)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn what_was_killed_anywhere_is_deleted_soon() {
    for verb in ["create", "run"] {
        for step in 0..30 {
            let bundle = Bundle::base().probe("pause");
            let call = Running::start(bundle.command_for(verb, &[]).stdin(Stdio::null()), bundle.home());
            std::thread::sleep(Duration::from_micros(step * 500));
            let _may_have_ended = kill(Pid::from_raw(call.pid()), Signal::SIGKILL);
            call.finish();
            let start = Instant::now();
            let known = [("runc", "cannot delete what it has not written down"), ("crun", "as runc")];
            may_fail_on(&known, || {
                bundle.call(&["delete", "-f", bundle.id()]).success();
                assert!(start.elapsed() < Duration::from_secs(5), "{verb} {step}: {:?}", start.elapsed());
                bundle.assert_nothing_left();
            });
        }
    }
}

#[test]
fn a_cgroup_that_was_removed_by_hand_is_no_hindrance() {
    let container = started(Bundle::base().probe("pause"));
    let cgroup = container.cgroup();
    container.kill("KILL");
    container.wait_for("stopped");
    wait_until("an empty cgroup", || fs::remove_dir(&cgroup).is_ok());
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();

    // And with the process still there, moved away.
    let container = started(Bundle::base().probe("pause"));
    let cgroup = container.cgroup();
    fs::write("/sys/fs/cgroup/cgroup.procs", container.pid().to_string()).unwrap();
    wait_until("an empty cgroup", || fs::remove_dir(&cgroup).is_ok());
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
}

#[test]
fn two_containers_do_not_share_a_cgroup() {
    let placed = |path: &str| Bundle::base().probe("pause").with(|config| config["linux"]["cgroupsPath"] = path.into());
    let first = Bundle::base();
    let path = format!("/{}-shared", first.id());
    let first = first.probe("pause").with(|config| config["linux"]["cgroupsPath"] = path.clone().into());
    let first = started(first);
    let known = [("crun", "shares it"), ("runc", "1.1 only warns")];
    may_fail_on(&known, || {
        let second = placed(&path);
        let message = second.try_create().failure();
        assert!(message.contains(&path) || message.contains("cgroup"), "{message}");
        second.call(&["delete", "-f", second.id()]).success();
        assert_eq!(first.status(), "running", "deleting the second has ended the first");
        first.kill("KILL");
        first.wait_for("stopped");
        second.try_create().failure();
        first.delete();
        let second = started(second);
        // The first one's identifier means nothing any more.
        first.bundle().call(&["delete", "-f", first.bundle().id()]).success();
        assert_eq!(second.status(), "running");
        second.call(&["delete", "-f"], &[]).success();
        first.bundle().assert_nothing_left();
    });
}

#[test]
fn real_time_signals_are_passed_on_and_an_ignored_sigchld_does_no_harm() {
    let bundle = Bundle::base().probe("signals");
    let mut command = bundle.command_for("run", &[]);
    // SAFETY: between fork and exec the closure makes one system call.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            Ok(())
        });
    }
    let mut call = Running::start(command.stdin(Stdio::null()), bundle.home());
    call.wait_for("ready");
    for signal in [libc::SIGRTMIN(), libc::SIGRTMIN() + 3, libc::SIGRTMAX(), libc::SIGTERM] {
        // SAFETY: takes plain numbers; the process is a child that nobody has waited for.
        assert_eq!(unsafe { libc::kill(call.pid(), signal) }, 0);
        call.wait_for(&format!("signal={signal}\n"));
    }
    // wait(2): where SIGCHLD is ignored there is nothing to wait for, so a runtime must reset it.
    let known = [("crun", "1.8.1 waits for ever where the caller ignores SIGCHLD")];
    may_fail_on(&known, || assert_eq!(call.finish().status, 7));
    if is_excused(&known) {
        bundle.call(&["delete", "-f", bundle.id()]);
    }
    bundle.assert_nothing_left();
}

#[test]
fn a_frozen_container_is_not_started_and_can_be_deleted() {
    // A start that cannot take place must not be reported as one, and must not keep the container from going.
    may_fail_on(&[("crun", "1.8.1 does not show a created container as paused, and starts it")], || {
        for by_hand in [false, true] {
            let container = Bundle::base().probe("pause").create();
            if by_hand {
                fs::write(container.cgroup().join("cgroup.freeze"), "1").unwrap();
                container.wait_for("paused");
            } else {
                container.call(&["pause"], &[]).success();
            }
            let start = Instant::now();
            container.call(&["start"], &[]).failure();
            container.call(&["delete", "-f"], &[]).success();
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
            container.bundle().assert_nothing_left();
        }
    });
}

#[test]
fn shared_propagation_leaves_the_callers_mounts_alone() {
    for propagation in ["shared", "rshared", "slave", "rslave", "private"] {
        let bundle =
            Bundle::base().probe("pause").with(|config| config["linux"]["rootfsPropagation"] = propagation.into());
        let none = None::<&str>;
        mount(Some(bundle.home()), bundle.home(), none, MsFlags::MS_BIND, none).unwrap();
        mount(none, bundle.home(), none, MsFlags::MS_SHARED, none).unwrap();
        let before = mounts_of(&bundle);
        assert_eq!(before.len(), 1);
        let output = bundle.try_create();
        assert_eq!(output.status, 0, "{propagation}: {output:?}");
        let known = [("runc", "1.1 shows the mounts to the caller"), ("crun", "as runc")];
        may_fail_on(&known, || assert_eq!(mounts_of(&bundle), before, "{propagation}: created"));
        bundle.call(&["start", bundle.id()]).success();
        may_fail_on(&known, || assert_eq!(mounts_of(&bundle), before, "{propagation}: started"));
        bundle.call(&["delete", "-f", bundle.id()]).success();
        may_fail_on(&known, || assert_eq!(mounts_of(&bundle), before, "{propagation}: deleted"));
        nix::mount::umount2(bundle.home(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

/// `run` with these options where every mount is shared with the caller, and what this script then prints.
fn run_among_shared_mounts(bundle: &Bundle, options: &[&str], script: &str) -> String {
    let call = bundle.command_for("run", options);
    let mut command = Command::new("unshare");
    let script = format!("mount --make-rshared /; cd \"$1\"; shift; \"$@\" >&2; {script}");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", &script, "sh"]);
    command.arg(bundle.home()).arg(call.get_program()).args(call.get_args());
    bundle.finish(&mut command).success()
}

#[test]
fn no_pivot_leaves_the_callers_views_of_the_kernel_alone() {
    let look = "grep -cE ' /(proc|sys)(/| )' /proc/self/mountinfo";
    let bundle = Bundle::base().probe("exit 0").with(|config| config["linux"]["rootfsPropagation"] = "rshared".into());
    let before = Command::new("sh").args(["-c", look]).output().unwrap();
    let known = [("runc", "wants a root that is a mount"), ("crun", "unmounts what it shares with the caller")];
    may_fail_on(&known, || {
        let after = run_among_shared_mounts(&bundle, &["--no-pivot"], look);
        assert_eq!(after, String::from_utf8(before.stdout).unwrap());
    });
}

/// The kernel lets a user namespace mount procfs only if a whole one is visible in the mount namespace already, and without
/// a pivot the host's are, wherever they are mounted. Another mount may cover them.
#[test]
fn no_pivot_leaves_no_procfs_that_lets_another_be_mounted() {
    for cover in ["", "mount -t tmpfs none $H/second;", "mount -t tmpfs none $H/third;"] {
        let bundle = Bundle::base().sh("/bin/busybox unshare -Umpr -f /bin/mount -t proc proc /mnt; echo status=$?");
        for directory in ["second", "third/proc"] {
            fs::create_dir_all(bundle.home().join(directory)).unwrap();
        }
        let call = bundle.command_for("run", &["--no-pivot"]);
        let script =
            format!("H=\"$1\"; shift; for d in second third/proc; do mount -t proc proc $H/$d; done; {cover} \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-euc", &script, "sh"]);
        let output = bundle.finish(command.arg(bundle.home()).arg(call.get_program()).args(call.get_args()));
        let known = [("runc", "1.1 takes the uppermost away"), ("crun", "1.8.1 takes /proc away alone")];
        may_fail_on(&known, || match cover.contains("third") {
            // One that a mount above it hides cannot be reached.
            true => assert!(output.failure().contains("--no-pivot: take-away")),
            false => assert_ne!(output.value("status"), "0"),
        });
    }
}

/// A new /proc where the visible one is masked, which the kernel refuses in a user namespace.
#[test]
fn a_new_proc_under_a_masked_one_is_refused_in_words() {
    let bundle = Bundle::base().user_namespace(100_000, 65536);
    let call = bundle.command_for("create", &[]);
    let script = "mount -t tmpfs none /proc/irq; \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", script, "sh"]);
    let output = bundle.finish(command.arg(call.get_program()).args(call.get_args()));
    let known = [("runc", "does not say why"), ("crun", "does not say why")];
    may_fail_on(&known, || {
        let message = output.failure();
        assert!(message.contains("mounts[0]: ") && message.contains("bind /proc instead"), "{message}");
    });
}

/// A volume as Kubernetes has them with `mountPropagation: Bidirectional`, on the mount at `/`.
#[test]
fn what_is_mounted_below_a_shared_volume_reaches_the_host() {
    let bundle = Bundle::base().writable();
    let volume = bundle.home().join("volume");
    fs::create_dir(&volume).unwrap();
    let bundle = bundle.mount("/mnt", "bind", volume.to_str().unwrap(), &["rbind", "rshared"]).with(|config| {
        config["linux"]["rootfsPropagation"] = "rshared".into();
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
        }
        config["process"]["capabilities"]["ambient"] = json!([]);
    });
    let bundle = bundle.sh("mount -t tmpfs inside /mnt");
    let look = format!("grep -c ' {} .* tmpfs inside ' /proc/self/mountinfo", volume.display());
    let known = [("runc", "wants a root that is a mount"), ("crun", "cuts it off")];
    may_fail_on(&known, || assert_eq!(run_among_shared_mounts(&bundle, &[], &look), "1\n"));
}

#[test]
fn a_user_may_open_its_streams_again() {
    let bundle = Bundle::base().with(|config| config["process"]["user"] = json!({"uid": 1000, "gid": 1000}));
    let bundle = bundle.sh("echo out > /dev/stdout; echo err > /dev/stderr");
    let mut command = bundle.command_for("run", &[]);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]), "{output:?}");
}

#[test]
fn nothing_is_bound_through_a_link_into_proc() {
    for target in ["/proc/self/attr/exec", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/1/environ"] {
        let bundle = Bundle::base().mount("/link", "bind", "rootfs/etc/passwd", &["bind"]);
        symlink(target, bundle.rootfs().join("link")).unwrap();
        let known = [("crun", "holds the configuration to be trusted"), ("runc", "1.1 follows some of them")];
        may_fail_on(&known, || {
            let message = bundle.refused();
            assert!(message.contains("/link") || message.contains("/proc"), "{target}: {message}");
        });
    }
}

#[test]
fn the_hosts_own_network_is_not_configured() {
    let own = std::process::id();
    for path in ["/proc/self/ns/net".to_owned(), format!("/proc/{own}/ns/net")] {
        let file = "/proc/sys/net/ipv4/ip_default_ttl";
        let before = fs::read(file).unwrap();
        let bundle = Bundle::base().namespace("network", Some(json!({"type": "network", "path": path})));
        let bundle = bundle.without_mount("/sys").with(|config| {
            config["linux"]["sysctl"] = json!({"net.ipv4.ip_default_ttl": "77"});
        });
        let output = bundle.try_create();
        let now = fs::read(file).unwrap();
        fs::write(file, &before).unwrap();
        may_fail_on(&[("crun", "writes it")], || {
            assert_eq!(now, before, "{path}: written on the host");
            assert!(output.status != 0 && output.stderr.contains("sysctl"), "{path}: {output:?}");
        });
    }
}

#[test]
fn descriptors_of_another_process_are_not_listened_on() {
    let pids = [None, Some("1"), Some(""), Some("x")];
    for pid in pids {
        let bundle = Bundle::base().sh("/bin/probe fds; echo LISTEN=$LISTEN_FDS$LISTEN_PID");
        let mut command = bundle.command_for("run", &[]);
        command.env("LISTEN_FDS", "3").env_remove("LISTEN_PID");
        if let Some(pid) = pid {
            command.env("LISTEN_PID", pid);
        }
        // sd_listen_fds(3): the variables count only for the process that LISTEN_PID names. The peers differ by value.
        may_fail_on(&[("runc", "counts some of them for itself"), ("crun", "counts them for itself")], || {
            let seen = bundle.finish(&mut command).success();
            assert!(seen.contains("LISTEN=\n") && !seen.contains("\n3="), "{pid:?}: {seen}");
        });
    }
}

#[test]
fn a_pid_file_is_never_written_through_a_link() {
    for name in [".pid.ID", ".pid", "pid", "pid.tmp"] {
        let bundle = Bundle::base().probe("pause");
        let canary = Canary::new(bundle.home());
        let directory = bundle.home().join("run");
        fs::create_dir(&directory).unwrap();
        symlink(canary.path().join("mark"), directory.join(name.replace("ID", bundle.id()))).unwrap();
        let file = directory.join("pid");
        let known =
            [("crun", "writes through the file's own name"), ("runc", "1.1 fails where its draft's name is taken")];
        may_fail_on(&known, || {
            bundle.finish(&mut bundle.command_for("create", &["--pid-file", file.to_str().unwrap()])).success();
            canary.assert_untouched();
            assert!(fs::symlink_metadata(&file).unwrap().is_file(), "{name}");
            assert!(!fs::read_to_string(&file).unwrap().is_empty());
        });
    }
}

#[test]
fn an_idmapped_bind_without_maps_uses_those_of_a_joined_user_namespace() {
    let known = [("runc", "1.1 is older than these mounts"), ("crun", "1.8.1 needs maps of the mount's own")];
    may_fail_on(&known, || {
        let owner = started(Bundle::base().user_namespace(200_000, 65_536).probe("pause"));
        let bundle = Bundle::base().user_namespace(200_000, 65_536);
        let namespace = format!("/proc/{}/ns/user", owner.pid());
        let source = bundle.home().join("data");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), "content").unwrap();
        let bundle = bundle.namespace("user", Some(json!({"type": "user", "path": namespace})));
        let bundle = bundle.mount("/mnt", "bind", source.to_str().unwrap(), &["bind", "idmap"]);
        let bundle = bundle.sh("stat -c owner=%u:%g /mnt/file");
        assert_eq!(bundle.run().value("owner"), "0:0");
        bundle.assert_nothing_left();
    });
}

#[test]
fn a_refused_clone3_is_told_with_what_refuses_it() {
    let bundle = Bundle::base();
    if !bundle.runtime().is_minirun() {
        return;
    }
    let log = bundle.home().join("messages");
    let mut command = bundle.command_for("create", &[]);
    command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let end = runtime_tests::errat(command, 1, nix::errno::Errno::ENOSYS, &[libc::SYS_clone3]);
    let message = fs::read_to_string(log).unwrap();
    assert!(end.status != 0 && message.contains("clone3: function not implemented"), "{message}");
    assert!(message.contains("a seccomp profile around the runtime refuses clone3"), "{message}");
    bundle.assert_nothing_left();
}

#[test]
fn an_idmapped_bind_works_or_names_the_file_system() {
    let map = json!([{"containerID": 0, "hostID": 200_000, "size": 65_536}]);
    let known = [("runc", "1.1 is older than these mounts"), ("crun", "1.8.1 has the option only")];
    may_fail_on(&known, || {
        for by_option in [false, true] {
            let bundle = Bundle::base().user_namespace(200_000, 65_536);
            let source = bundle.home().join("data");
            fs::create_dir(&source).unwrap();
            fs::write(source.join("file"), "content").unwrap();
            let options: &[&str] = if by_option { &["bind", "idmap"] } else { &["bind"] };
            let bundle = bundle.mount("/mnt", "bind", source.to_str().unwrap(), options).with(|config| {
                let mount = config["mounts"].as_array_mut().unwrap().last_mut().unwrap();
                if !by_option {
                    mount["uidMappings"] = map.clone();
                    mount["gidMappings"] = map.clone();
                }
            });
            let bundle = bundle.sh("stat -c owner=%u:%g /mnt/file; echo new > /mnt/made");
            let output = bundle.run();
            match output.status {
                0 => {
                    assert_eq!(output.value("owner"), "0:0");
                    use std::os::unix::fs::MetadataExt;
                    assert_eq!(fs::metadata(source.join("made")).unwrap().uid(), 0, "root's outside as well");
                }
                _ => assert!(output.stderr.contains("idmap") && output.stderr.contains("file system"), "{output:?}"),
            }
            bundle.assert_nothing_left();
        }
    });
}

fn with_overlay(bundle: Bundle) -> Bundle {
    bundle.writable().with(|config| {
        let overlay = json!({"destination": "/", "type": "overlay", "options": ["lowerdir=rootfs"]});
        config["mounts"].as_array_mut().unwrap().insert(0, overlay);
    })
}

const OWN: [(&str, &str); 2] = [("runc", "mounts at / are refused or cover nothing"), ("crun", "as runc")];

#[test]
fn an_overlay_leaves_no_mount_of_the_host() {
    fails_on(&OWN, || {
        let mounts = with_overlay(Bundle::base()).probe("mounts").run().success();
        let points: Vec<_> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        assert_eq!(points.iter().filter(|point| **point == "/").count(), 1, "{mounts}");
        let known = ["/", "/proc", "/dev", "/sys"];
        let strange = points.iter().filter(|point| {
            !known.iter().any(|top| point == &top || (*top != "/" && Path::new(point).starts_with(top)))
        });
        assert_eq!(strange.count(), 0, "{mounts}");
        let kinds: Vec<_> = mounts.lines().filter_map(|line| line.split(" - ").nth(1)?.split(' ').next()).collect();
        assert!(!kinds.iter().any(|kind| ["ext4", "xfs", "btrfs", "ext2", "ext3"].contains(kind)), "{mounts}");
    });
}

#[test]
fn a_read_only_dev_has_its_devices() {
    let bundle = Bundle::base().with(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        let dev = mounts.iter_mut().find(|mount| mount["destination"] == "/dev").unwrap();
        dev["options"] = json!(["nosuid", "mode=755", "size=65536k", "ro"]);
    });
    let seen = bundle
        .sh("/bin/probe open /dev/null /dev/zero /dev/ptmx; /bin/probe mkdir /dev/new /dev/shm/new")
        .run()
        .success();
    assert_eq!(seen.matches("write=ok").count(), 3, "{seen}");
    assert!(seen.contains("path=/dev/new\nerrno=EROFS") && seen.contains("path=/dev/shm/new\nmade=1"), "{seen}");
}

#[test]
fn two_roots_are_refused() {
    fails_on(&OWN, || {
        let message = with_overlay(with_overlay(Bundle::base())).refused();
        assert!(message.contains("mounts[1]"), "{message}");
        // Elsewhere in the list it would hide what was mounted before.
        let last = Bundle::base().writable().mount("/", "overlay", "overlay", &["lowerdir=rootfs"]);
        let output = last.probe("mounts").run();
        assert!(output.status != 0 || output.stdout.matches(" / / ").count() == 1, "{output:?}");
    });
}

#[test]
fn a_working_directory_climbs_out_of_what_is_missing() {
    for (cwd, wanted) in [("/nosuch/../tmp", "/tmp"), ("/nosuch/..", "/"), ("/tmp/..//./bin/", "/bin"), ("/../..", "/")]
    {
        let bundle = Bundle::base().with(|config| config["process"]["cwd"] = cwd.into()).probe("cwd");
        // The path is cleaned before anything of it is made, so that what is entered is what was made.
        let known =
            [("runc", "1.1 enters the path as it is written"), ("crun", "1.8.1 enters the path as it is written")];
        may_fail_on(&known, || {
            assert_eq!(bundle.run().value("cwd"), wanted, "{cwd}");
            assert!(!bundle.rootfs().join("nosuch").exists(), "{cwd}");
        });
    }
}

/// A hung call is the worst of answers, so every one that may wait for a container is tried on one that is frozen.
#[test]
fn calls_on_a_frozen_container_come_back() {
    let container = started(Bundle::base().probe("pause"));
    fs::write(container.cgroup().join("cgroup.freeze"), "1").unwrap();
    container.wait_for("paused");
    for words in [&["kill"][..], &["ps"], &["state"], &["start"], &["delete"], &["exec"], &["update"]] {
        let rest: &[&str] = if words == ["exec"] { &["true"] } else { &[] };
        let start = Instant::now();
        container.call(words, rest);
        assert!(start.elapsed() < Duration::from_secs(5), "{words:?}: {:?}", start.elapsed());
    }
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
}
