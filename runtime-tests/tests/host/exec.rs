//! Further processes in a container: `exec`, by words and by file, and what such a process is and may.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use runtime_tests::{Bundle, Canary, Container, Receiver, Running, fails_on, may_fail_on, wait_until};
use serde_json::{Value, json};

fn started(bundle: Bundle) -> Container {
    let container = bundle.create();
    container.start();
    container
}

fn running() -> Container {
    started(Bundle::base().probe("pause"))
}

/// `exec` of the probe.
fn probe(container: &Container, options: &[&str], words: &str) -> runtime_tests::Output {
    let words: Vec<_> = ["/bin/probe"].into_iter().chain(words.split_whitespace()).collect();
    container.exec(options, &words)
}

/// `exec` of a process as the configuration describes one.
fn by_file(container: &Container, options: &[&str], process: &Value) -> runtime_tests::Output {
    let file = container.bundle().home().join("process.json");
    fs::write(&file, process.to_string()).unwrap();
    container.exec(&[&["-p", file.to_str().unwrap()], options].concat(), &[])
}

#[test]
fn the_status_is_the_processs() {
    let container = running();
    for status in [0, 1, 7, 127, 255] {
        assert_eq!(probe(&container, &[], &format!("exit {status}")).status, status);
    }
}

#[test]
fn the_status_is_128_and_the_signal() {
    let container = running();
    for signal in [2, 9, 11, 15] {
        assert_eq!(probe(&container, &[], &format!("die {signal}")).status, 128 + signal);
    }
}

#[test]
fn the_status_is_255_when_there_was_no_process() {
    let peers = [("crun", "1.8.1 answers 1, and takes words for user 0")];
    may_fail_on(&peers, || {
        let container = running();
        let known =
            [("crun", "1.8.1 answers 1, or 127 for what a shell would"), ("runc", "1.1 answers 1 to its parser")];
        for (options, words) in
            [(&[][..], "/nonexistent"), (&["--user", "nobody"], "/bin/true"), (&["--cwd", "relative"], "/bin/true")]
        {
            let output = container.exec(options, &[words]);
            may_fail_on(&known, || assert_eq!(output.status, 255, "{options:?} {words}: {output:?}"));
        }
        let output = container.bundle().call(&["exec", "nobody", "true"]);
        may_fail_on(&known, || assert_eq!(output.status, 255, "{output:?}"));
        assert!(output.stderr.contains("exist"), "{output:?}");
    });
}

#[test]
fn the_streams_are_the_callers() {
    let container = running();
    let output = container.exec(&[], &["sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    let mut command = container.bundle().command(&["exec", container.bundle().id(), "/bin/cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through\0the container").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"through\0the container");
}

#[test]
fn options_end_at_the_container() {
    let container = running();
    let words = ["sh", "-c", "echo $0 $*", "-t", "--user", "5", "-e", "--", "--no-such-option"];
    assert_eq!(container.exec(&[], &words).success(), "-t --user 5 -e -- --no-such-option\n");
}

#[test]
fn a_process_comes_from_a_file() {
    let process = json!({
        "args": ["/bin/sh", "-c", "echo $A $PATH; pwd; id -u; id -g; exit 3"],
        "env": ["A=b", "PATH=/bin"],
        "cwd": "/tmp",
        "user": {"uid": 1000, "gid": 1001},
    });
    let output = by_file(&running(), &[], &process);
    assert_eq!((output.status, output.stdout.as_str()), (3, "b /bin\n/tmp\n1000\n1001\n"), "{output:?}");
}

#[test]
fn what_a_file_says_nothing_of_is_as_in_the_container() {
    let rlimits = json!([{"type": "RLIMIT_NOFILE", "soft": 321, "hard": 321}]);
    let container =
        started(Bundle::base().probe("pause").with(|config| config["process"]["rlimits"] = rlimits.clone()));
    let process = json!({"cwd": "/", "args": ["/bin/sh", "-c", "ulimit -n"]});
    may_fail_on(&[("crun", "takes those of the caller")], || {
        assert_eq!(by_file(&container, &[], &process).success(), "321\n");
    });
}

#[test]
fn a_file_without_a_process_is_refused() {
    let container = running();
    for process in [json!({}), json!({"args": [], "cwd": "/"}), json!({"args": ["/bin/true"], "cwd": "x"}), json!([])] {
        let output = by_file(&container, &[], &process);
        assert!(output.status != 0, "{process}");
        assert!(!output.stderr.contains("panic"), "{process}: {output:?}");
    }
    container.exec(&["-p", "/nonexistent"], &[]).failure();
    assert_eq!(container.status(), "running");
}

#[test]
fn no_words_are_refused() {
    let message = running().exec(&[], &[]).failure();
    may_fail_on(&[("crun", "1.8.1 prints its usage"), ("runc", "1.1 says process args")], || {
        assert!(message.contains("exec args cannot be empty"), "{message}");
    });
}

#[test]
fn options_change_the_process() {
    let container = running();
    let rows: [(&[&str], &str, &str, &str); 10] = [
        (&["--cwd", "/tmp"], "cwd", "cwd", "/tmp"),
        (&["-e", "A=b"], "env", "A", "b"),
        (&["-e", "A=b", "-e", "A=c"], "env", "A", "c"),
        (&["--env=TERM=dumb"], "env", "TERM", "dumb"),
        (&["-u", "7:8"], "status", "Uid", "7 7 7 7"),
        (&["--user", "7:8"], "status", "Gid", "8 8 8 8"),
        (&["--user=9"], "status", "Uid", "9 9 9 9"),
        (&["-g", "5", "-g", "6"], "status", "Groups", "5 6"),
        (&["--cap", "CAP_SYS_TIME", "--cap", "CAP_CHOWN"], "status", "CapEff", "0000000022000421"),
        (&["--cap", "CAP_SYS_TIME"], "status", "CapBnd", "0000000022000420"),
    ];
    for (options, verb, key, value) in rows {
        let known = [("crun", "1.8.1 keeps the ambient set of the container only")];
        let output = probe(&container, options, verb);
        may_fail_on(&known, || assert_eq!(output.value(key), value, "{options:?}"));
    }
}

#[test]
fn new_privileges_are_given_up_on_demand() {
    let container =
        started(Bundle::base().with(|config| config["process"]["noNewPrivileges"] = false.into()).probe("pause"));
    assert_eq!(probe(&container, &[], "status").value("NoNewPrivs"), "0");
    assert_eq!(probe(&container, &["--no-new-privs"], "status").value("NoNewPrivs"), "1");
}

#[test]
fn the_inheritable_set_stays_empty() {
    let container = running();
    for options in [&[][..], &["--cap", "CAP_CHOWN"], &["--cap", "CAP_CHOWN", "--user", "1000"]] {
        let known = [("runc", "its own capabilities by --cap are inheritable before 1.1.2"), ("crun", "as runc")];
        let output = probe(&container, options, "status");
        let ambient = u64::from_str_radix(&output.clone().value("CapAmb"), 16).unwrap();
        let inheritable = u64::from_str_radix(&output.value("CapInh"), 16).unwrap();
        // The kernel wants what is ambient to be inheritable.
        may_fail_on(&known, || assert_eq!(inheritable, ambient, "{options:?}"));
    }
}

/// CVE-2026-30892: a loose parser makes others root.
#[test]
fn ids_are_plain_numbers() {
    let container = running();
    let ids = ["", "-1", "+1", "01", " 1", "1 ", "0x1", "1e3", "root", "4294967295", "4294967296", "0:"];
    let known = [("runc", "1.1 reads them by sscanf"), ("crun", "1.8.1 reads them by strtol")];
    for id in ids {
        for id in [id.to_owned(), format!("1:{id}")] {
            let output = container.exec(&["--user", &id], &["/bin/id"]);
            may_fail_on(&known, || assert_eq!(output.status, 255, "--user {id:?}: {output:?}"));
        }
        let output = container.exec(&["--additional-gids", id], &["/bin/id"]);
        may_fail_on(&known, || assert_eq!(output.status, 255, "--additional-gids {id:?}: {output:?}"));
    }
}

#[test]
fn a_user_may_use_its_streams() {
    let container = running();
    let id = container.bundle().id();
    let script = "echo out > /dev/stdout; echo err > /dev/stderr";
    let mut command = container.bundle().command(&["exec", "--user", "1000", id, "sh", "-c", script]);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]), "{output:?}");
}

#[test]
fn all_namespaces_are_inits() {
    let kinds = ["cgroup", "time"];
    let bundle = kinds.iter().fold(Bundle::base(), |bundle, kind| bundle.namespace(kind, Some(json!({"type": kind}))));
    let known = [("runc", "1.1 knows no time namespace"), ("crun", "1.8.1 knows no time namespace")];
    fails_on(&known, || {
        for bundle in [bundle, Bundle::base().user_namespace(200_000, 65_536), Bundle::base()] {
            let container = started(bundle.probe("pause"));
            let seen = probe(&container, &[], "namespaces").success();
            for name in ["pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time"] {
                let path = format!("/proc/{}/ns/{name}", container.pid());
                let wanted = fs::read_link(path).unwrap().display().to_string();
                assert!(seen.contains(&wanted), "{name} is not {wanted}: {seen}");
            }
        }
    });
}

#[test]
fn it_is_born_in_the_containers_cgroup_and_dies_with_it() {
    let container = running();
    let file = container.bundle().home().join("exec.pid");
    let options = ["-d", "--pid-file", file.to_str().unwrap()];
    assert_eq!(container.exec(&options, &["/bin/sleep", "1000"]).status, 0);
    let pid = fs::read_to_string(&file).unwrap();
    assert!(!pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()), "{pid:?}");
    let cgroup = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert_eq!(cgroup(&pid), cgroup(&container.pid().to_string()));
    wait_until("the program", || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default() == "sleep\n");
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
    assert!(!Path::new(&format!("/proc/{pid}/exe")).exists());
}

#[test]
fn detached_it_reports_a_program_that_is_missing() {
    let container = running();
    let file = container.bundle().home().join("exec.pid");
    let output = container.exec(&["-d", "--pid-file", file.to_str().unwrap()], &["/nonexistent"]);
    assert!(output.status != 0 && output.stderr.contains("/nonexistent"), "{output:?}");
}

#[test]
fn a_stopped_container_takes_no_process() {
    let container = Bundle::base().create();
    container.start();
    container.wait_for("stopped");
    let message = container.exec(&[], &["true"]).failure();
    fails_on(&[("crun", "has words of its own")], || {
        assert!(message.contains("cannot exec in a stopped container"), "{message}");
    });
}

#[test]
fn a_paused_container_takes_no_process() {
    let container = running();
    container.call(&["pause"], &[]).success();
    let message = container.exec(&[], &["true"]).failure();
    let words = "cannot exec in a paused container (use --ignore-paused to override)";
    fails_on(&[("crun", "has words of its own")], || assert!(message.contains(words), "{message}"));
    container.call(&["resume"], &[]).success();
    container.exec(&[], &["true"]).success();
}

#[test]
fn a_process_of_a_paused_container_waits_on_demand() {
    let container = running();
    container.call(&["pause"], &[]).success();
    let bundle = container.bundle();
    let mut command = bundle.command(&["exec", "--ignore-paused", bundle.id(), "echo", "at last"]);
    fails_on(&[("crun", "has no such option")], || {
        let mut call = Running::start(&mut command, bundle.home());
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!call.has_ended() && call.stdout().is_empty());
        // It must not keep the others from the container.
        assert_eq!(container.status(), "paused");
        container.call(&["resume"], &[]).success();
        assert_eq!(call.finish().success(), "at last\n");
    });
}

#[test]
fn a_paused_container_with_a_waiting_process_can_be_deleted() {
    let peers = [("crun", "1.8.1 does not come back")];
    may_fail_on(&peers, || {
        let container = running();
        container.call(&["pause"], &[]).success();
        let bundle = container.bundle();
        let mut command = bundle.command(&["exec", "--ignore-paused", bundle.id(), "true"]);
        fails_on(&[("crun", "has no such option")], || {
            let call = Running::start(&mut command, bundle.home());
            std::thread::sleep(std::time::Duration::from_millis(300));
            container.call(&["delete", "-f"], &[]).success();
            assert!(call.finish().status != 0);
            bundle.assert_nothing_left();
        });
    });
}

#[test]
fn a_created_container_takes_a_process() {
    let container = Bundle::base().probe("pause").create();
    assert_eq!(container.exec(&[], &["echo", "early"]).success(), "early\n");
    assert_eq!(container.status(), "created");
}

#[test]
fn it_works_in_a_user_namespace() {
    let container = started(Bundle::base().user_namespace(200_000, 65_536).probe("pause"));
    assert_eq!(probe(&container, &[], "status").value("Uid"), "0 0 0 0");
    let file = container.bundle().home().join("exec.pid");
    container.exec(&["-d", "-u", "3", "--pid-file", file.to_str().unwrap()], &["/bin/sleep", "1000"]).success();
    let status = fs::read_to_string(format!("/proc/{}/status", fs::read_to_string(file).unwrap())).unwrap();
    assert!(status.contains("\nUid:\t200003\t"), "{status}");
}

#[test]
fn it_works_on_an_overlay() {
    let own = [("runc", "mounts at / are refused or cover nothing"), ("crun", "as runc")];
    fails_on(&own, || {
        let bundle = Bundle::base().writable().with(|config| {
            let overlay = json!({"destination": "/", "type": "overlay", "options": ["lowerdir=rootfs"]});
            config["mounts"].as_array_mut().unwrap().insert(0, overlay);
        });
        let container = started(bundle.probe("pause"));
        container.exec(&[], &["sh", "-c", "echo made > /tmp/made"]).success();
        assert_eq!(container.exec(&[], &["cat", "/tmp/made"]).success(), "made\n");
        assert!(!container.bundle().rootfs().join("tmp/made").exists());
    });
}

#[test]
fn it_sees_the_containers_root_and_nothing_is_open() {
    let container = started(Bundle::base().writable().probe("pause"));
    fs::write(container.bundle().rootfs().join("mark"), "inside").unwrap();
    assert_eq!(container.exec(&[], &["cat", "/mark"]).success(), "inside");
    let fds = probe(&container, &[], "fds").success();
    assert_eq!(fds.lines().count(), 3, "{fds}");
    let fds = fs::read_dir(format!("/proc/{}/fd", container.pid())).unwrap().count();
    assert_eq!(fds, 3, "init was given nothing either");
}

#[test]
fn signals_are_passed_on() {
    let container = running();
    let bundle = container.bundle();
    let mut call = Running::start(&mut bundle.command(&["exec", bundle.id(), "/bin/probe", "signals"]), bundle.home());
    call.wait_for("ready");
    for signal in [libc::SIGHUP, libc::SIGUSR1, libc::SIGTERM] {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(call.pid()),
            nix::sys::signal::Signal::try_from(signal).unwrap(),
        )
        .unwrap();
        call.wait_for(&format!("signal={signal}\n"));
    }
    assert_eq!(call.finish().status, 7);
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    let container = running();
    let bundle = container.bundle();
    let call = |status: u32| {
        Running::start(
            &mut bundle.command(&["exec", bundle.id(), "/bin/probe", "exit", &status.to_string()]),
            bundle.home(),
        )
    };
    let calls: Vec<_> = (0..20).map(call).collect();
    for (status, call) in calls.into_iter().enumerate() {
        assert_eq!(call.finish().status, status as i32);
    }
    assert_eq!(container.status(), "running");
}

#[test]
fn a_process_that_runs_does_not_hold_up_the_others() {
    let container = running();
    let bundle = container.bundle();
    let script = ["exec", bundle.id(), "sh", "-c", "echo here; sleep 1000"];
    let mut call = Running::start(&mut bundle.command(&script), bundle.home());
    call.wait_for("here");
    assert_eq!(container.status(), "running");
    container.exec(&[], &["true"]).success();
    container.kill("KILL");
    assert_eq!(call.finish().status, 137);
}

#[test]
fn descriptors_are_preserved_on_demand() {
    let container = running();
    let message = container.exec(&["--preserve-fds", "90"], &["true"]);
    fails_on(&[("crun", "1.8.1 does not look")], || drop(message.failure()));
}

#[test]
fn a_cgroup_below_the_containers_can_be_chosen() {
    let peers = [("crun", "1.8.1 takes no such path"), ("runc", "wants a controller as well")];
    may_fail_on(&peers, || {
        let container = running();
        let inner = container.cgroup().join("inner");
        fs::create_dir(&inner).unwrap();
        let known = [("crun", "1.8.1 moves it too late"), ("runc", "wants a controller's name")];
        may_fail_on(&known, || {
            let file = container.bundle().home().join("exec.pid");
            let options = ["-d", "--cgroup", "inner", "--pid-file", file.to_str().unwrap()];
            container.exec(&options, &["/bin/sleep", "1000"]).success();
            assert_eq!(
                fs::read_to_string(inner.join("cgroup.procs")).unwrap().trim(),
                fs::read_to_string(&file).unwrap()
            );
        });
        for path in ["missing", "..", "../..", "inner/../.."] {
            container.exec(&["--cgroup", path], &["true"]).failure();
        }
        container.call(&["delete", "-f"], &[]).success();
        container.bundle().assert_nothing_left();
    });
}

/// Moves a container's init into a cgroup of this name inside its own, and says where a process of `exec` is then.
fn exec_after_moving(name: &str) -> String {
    let container = running();
    let inner = container.cgroup().join(name);
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("cgroup.procs"), container.pid().to_string()).unwrap();
    let file = container.bundle().home().join("exec.pid");
    container.exec(&["-d", "--pid-file", file.to_str().unwrap()], &["/bin/sleep", "1000"]).success();
    let pid = fs::read_to_string(file).unwrap();
    let place = fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).unwrap();
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
    place.trim().rsplit('/').next().unwrap().replace(container.bundle().id(), "ID")
}

/// A container that moves its init into a cgroup with other limits, or a frozen one, does not take `exec` with it.
#[test]
fn exec_goes_to_the_containers_cgroup_wherever_init_has_moved() {
    let place = exec_after_moving("inner");
    assert!(place.contains("ID"), "{place}");
}

/// A systemd is about to enable controllers in the cgroup above, which the kernel refuses beside processes.
#[test]
fn exec_goes_beside_an_init_that_is_a_systemd() {
    may_fail_on(&[("crun", "puts it above init"), ("runc", "puts it above init")], || {
        assert_eq!(exec_after_moving("init.scope"), "init.scope");
    });
}

#[test]
fn a_pidfd_is_sent() {
    let container = running();
    let receiver = Receiver::at(&container.bundle().home().join("pidfd"));
    let known = [("crun", "1.8.1 is older than this option"), ("runc", "1.1 is older than this option")];
    fails_on(&known, || {
        container.exec(&["-d", "--pidfd-socket", receiver.argument()], &["/bin/sleep", "1000"]).success();
        let (pidfd, payload) = receiver.take();
        assert_eq!(payload, "setns");
        let info = format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&pidfd));
        assert!(fs::read_to_string(info).unwrap().contains("\nPid:\t"));
    });
}

/// CVE-2016-9962, CVE-2024-21626: before it executes, the process is still the runtime, and inside already.
#[test]
fn the_container_sees_nothing_of_the_host_in_a_process_that_comes() {
    for mapped in [false, true] {
        let bundle = Bundle::base();
        let canary = Canary::new(bundle.home());
        let bundle = if mapped { bundle.user_namespace(200_000, 65_536) } else { bundle };
        let bundle = bundle.with(|config| {
            // In a user namespace of its own the container may hold every capability over its own processes.
            for set in ["bounding", "effective", "permitted"].iter().filter(|_| mapped) {
                config["process"]["capabilities"][*set] =
                    json!(["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]);
            }
            config["process"]["capabilities"]["ambient"] = json!([]);
            config["process"]["capabilities"]["bounding"].as_array_mut().unwrap().push("CAP_SYS_PTRACE".into());
        });
        let container = started(bundle.probe(&format!("snoop {}", canary.path().join("mark").display())));
        wait_until("ready", || container.output().contains("ready"));
        // On a machine with much to do most of them come and go unseen.
        wait_until("processes that were looked at", || {
            container.exec(&[], &["/bin/true"]).success();
            container.output().matches("pid=").count() > 20
        });
        let seen = container.output();
        // The caller's own streams are the program's.
        let streams = |target: &str| target == "/dev/null" || target.ends_with(".out") || target.ends_with(".err");
        let strange = |line: &&str| match line.strip_prefix("fd=") {
            Some(target) => !streams(target),
            None => line.contains("is the host's"),
        };
        let strange: Vec<_> = seen.lines().filter(strange).collect();
        assert!(strange.is_empty(), "mapped: {mapped}: {strange:?}");
    }
}

#[test]
fn the_root_is_the_containers_when_init_has_another() {
    let bundle = Bundle::base().with(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set].as_array_mut().unwrap().push("CAP_SYS_CHROOT".into());
        }
    });
    let jail = bundle.rootfs().join("mnt/jail");
    fs::create_dir_all(jail.join("bin")).unwrap();
    fs::copy(bundle.rootfs().join("bin/busybox"), jail.join("bin/busybox")).unwrap();
    let words = ["/bin/busybox", "chroot", "/mnt/jail", "/bin/busybox", "sleep", "1000"];
    let container = started(bundle.args(&words));
    let init = format!("/proc/{}/root", container.pid());
    wait_until("the chroot of init", || fs::read_dir(&init).is_ok_and(|entries| entries.count() == 1));
    assert_eq!(container.exec(&[], &["cat", "/etc/passwd"]).success().lines().count(), 2);
    assert_eq!(container.exec(&[], &["ls", "/mnt"]).success(), "jail\n");
}

#[test]
fn the_root_is_the_containers_without_pivot_root() {
    let hook = json!([{"path": "/bin/busybox", "args": ["true"]}]);
    for hooks in [json!({}), json!({"createRuntime": hook})] {
        let bundle = Bundle::base().probe("pause").with(|config| config["hooks"] = hooks.clone());
        let output = bundle.finish(&mut bundle.command_for("create", &["--no-pivot"]));
        assert_eq!(output.status, 0, "{output:?}");
        bundle.call(&["start", bundle.id()]).success();
        let listed = bundle.call(&["exec", bundle.id(), "ls", "/"]).success();
        let expected = ["bin", "dev", "etc", "home", "mnt", "proc", "root", "sys", "tmp"];
        assert_eq!(listed.lines().collect::<Vec<_>>(), expected, "{hooks}");
    }
}

#[test]
fn an_added_capability_is_ambient_if_it_is_inheritable() {
    let bundle = Bundle::base().probe("pause").with(|config| {
        config["process"]["capabilities"]["inheritable"] = json!(["CAP_KILL", "CAP_SYS_PTRACE"]);
        config["process"]["capabilities"]["ambient"] = json!([]);
        config["process"]["capabilities"]["bounding"].as_array_mut().unwrap().push("CAP_SYS_PTRACE".into());
    });
    let container = started(bundle);
    let ambient = |options: &[&str]| probe(&container, options, "status").value("CapAmb");
    let user = ["--user", "1000"];
    assert_eq!(ambient(&user), "0000000000000000");
    assert_eq!(ambient(&[&user[..], &["--cap", "CAP_SYS_PTRACE"]].concat()), "0000000000080000");
    // Not inheritable, so that the kernel would refuse it.
    may_fail_on(&[("runc", "1.1 ends with the kernel's refusal"), ("crun", "1.8.1 has not been asked")], || {
        assert_eq!(ambient(&[&user[..], &["--cap", "CAP_SYS_ADMIN"]].concat()), "0000000000000000");
    });
}
