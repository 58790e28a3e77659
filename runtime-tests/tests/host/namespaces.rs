//! Namespaces that are new, left out, or joined by their path.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime_tests::{Bundle, fails_on, may_fail_on};
use serde_json::json;

/// The type in the configuration, its file under `/proc/PID/ns`, and its flag.
const KINDS: [(&str, &str, CloneFlags); 6] = [
    ("pid", "pid", CloneFlags::CLONE_NEWPID),
    ("network", "net", CloneFlags::CLONE_NEWNET),
    ("ipc", "ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", "uts", CloneFlags::CLONE_NEWUTS),
    ("cgroup", "cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("time", "time", CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)),
];

/// Too old for time namespaces.
const NO_TIME: [(&str, &str); 2] = [("runc", "1.1 knows no time namespace"), ("crun", "1.8.1 knows no time namespace")];

/// What the peers leave behind when a path cannot be joined.
const LEFT: [(&str, &str); 2] =
    [("crun", "1.8.1 refuses, but leaves the cgroup"), ("runc", "1.1 refuses, and often leaves the cgroup")];

fn host(file: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{file}")).unwrap().display().to_string()
}

/// Runs the rows of `KINDS`, the last under the excuse of old runtimes.
fn each_kind(test: impl Fn(&str, &str, CloneFlags)) {
    KINDS[..5].iter().for_each(|(kind, file, flag)| test(kind, file, *flag));
    let (kind, file, flag) = KINDS[5];
    fails_on(&NO_TIME, || test(kind, file, flag));
}

#[test]
fn a_listed_namespace_is_new() {
    each_kind(|kind, file, _| {
        let bundle = Bundle::base().namespace(kind, Some(json!({"type": kind}))).probe("namespaces");
        assert_ne!(bundle.run().value(file), host(file), "{kind}");
    });
}

#[test]
fn an_absent_namespace_is_the_callers() {
    for (kind, file, _) in KINDS {
        let bundle = Bundle::base().namespace(kind, None).with(|config| {
            // A name needs a uts namespace of its own, and the mounts their own of the others.
            config.as_object_mut().unwrap().remove("hostname");
        });
        let bundle = bundle.without_mount("/dev/mqueue").without_mount("/sys").probe("namespaces");
        assert_eq!(bundle.run().value(file), host(file), "{kind}");
    }
}

#[test]
fn the_mount_namespace_is_new() {
    assert_ne!(Bundle::base().probe("namespaces").run().value("mnt"), host("mnt"));
}

#[test]
fn a_namespace_with_a_path_is_joined() {
    each_kind(|kind, file, flag| {
        let holder = Holder::of(flag);
        let path = holder.path(file);
        let wanted = fs::read_link(&path).unwrap().display().to_string();
        let bundle = Bundle::base().namespace(kind, Some(json!({"type": kind, "path": path})));
        let bundle =
            bundle.without_mount("/sys").with(|config| drop(config.as_object_mut().unwrap().remove("hostname")));
        assert_eq!(bundle.probe("namespaces").run().value(file), wanted, "{kind}");
    });
}

#[test]
fn a_path_of_the_wrong_type_is_refused() {
    let holder = Holder::of(CloneFlags::CLONE_NEWIPC);
    may_fail_on(&LEFT, || {
        drop(
            Bundle::base().namespace("network", Some(json!({"type": "network", "path": holder.path("ipc")}))).refused(),
        );
    });
}

#[test]
fn a_path_that_is_missing_or_no_namespace_is_refused() {
    for path in ["/nonexistent/ns", "/etc/passwd"] {
        let bundle = Bundle::base().namespace("network", Some(json!({"type": "network", "path": path})));
        may_fail_on(&LEFT, || drop(bundle.refused()));
    }
}

#[test]
fn containers_share_what_they_join() {
    let first = Bundle::base().probe("pause").create();
    let entry =
        |kind: &str, file: &str| Some(json!({"type": kind, "path": format!("/proc/{}/ns/{file}", first.pid())}));
    let second = Bundle::base().namespace("network", entry("network", "net")).namespace("ipc", entry("ipc", "ipc"));
    let seen = second.namespace("pid", entry("pid", "pid")).without_mount("/sys").probe("namespaces").run().success();
    for file in ["net", "ipc", "pid"] {
        let link = fs::read_link(format!("/proc/{}/ns/{file}", first.pid())).unwrap();
        assert!(seen.contains(&format!("{file}={}", link.display())), "{seen}");
    }
}

/// Also on a kernel whose procfs cannot be told which one it shows: there the first fsconfig(2) for it fails.
#[test]
fn proc_shows_a_joined_pid_namespace() {
    let first = Bundle::base().probe("pause").create();
    let path = format!("/proc/{}/ns/pid", first.pid());
    let run = |failing: u64| {
        let bundle = Bundle::base().namespace("pid", Some(json!({"type": "pid", "path": path})));
        let bundle = bundle.sh("read self rest < /proc/self/stat; echo $self $$");
        let output = bundle.home().join("shown");
        let mut command = bundle.command_for("run", &[]);
        command.stdout(fs::File::create(&output).unwrap()).stderr(Stdio::null());
        let call = runtime_tests::errat(command, failing, nix::errno::Errno::EINVAL, &[libc::SYS_fsconfig]);
        let shown = fs::read_to_string(output).unwrap();
        if call.status == 0 {
            let (of_proc, own) = shown.trim().split_once(' ').unwrap();
            assert_eq!(of_proc, own);
        }
        call.status == 0 && call.calls >= failing
    };
    assert!(run(0));
    fails_on(&[("runc", "is not there outside of it"), ("crun", "is not there outside of it")], || {
        assert!((1..20).any(run));
    });
}

#[test]
fn the_end_of_a_container_in_a_joined_pid_namespace_leaves_the_other() {
    let first = Bundle::base().probe("pause").create();
    first.start();
    let path = format!("/proc/{}/ns/pid", first.pid());
    let second = Bundle::base().namespace("pid", Some(json!({"type": "pid", "path": path}))).probe("pause").create();
    second.start();
    second.call(&["delete", "-f"], &[]).success();
    second.bundle().assert_nothing_left();
    assert_eq!(first.status(), "running");
}

#[test]
fn the_program_is_the_first_process_of_a_new_pid_namespace() {
    assert_eq!(Bundle::base().probe("session").run().value("pid"), "1");
}

#[test]
fn a_new_network_namespace_has_its_loopback_up() {
    // Not a duty of the specification; runc and crun do it and images count on it.
    let flags = Bundle::base().args(&["/bin/cat", "/sys/class/net/lo/flags"]).run().success();
    assert_eq!(flags.trim(), "0x9");
}

#[test]
fn a_new_cgroup_namespace_has_the_containers_cgroup_as_its_root() {
    let bundle = Bundle::base().namespace("cgroup", Some(json!({"type": "cgroup"}))).probe("cgroup");
    assert!(bundle.run().success().lines().any(|line| line == "0::/"));
}

#[test]
fn time_offsets_are_applied() {
    fails_on(&NO_TIME, || {
        let bundle = Bundle::base().namespace("time", Some(json!({"type": "time"}))).probe("clocks");
        let bundle = bundle.with(|config| config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000}}));
        assert!(bundle.run().value("boottime").parse::<u64>().unwrap() > 1_000_000);
    });
}

#[test]
fn time_offsets_without_the_namespace_are_refused() {
    fails_on(&NO_TIME, || {
        let offsets = json!({"boottime": {"secs": 100}});
        drop(Bundle::base().with(|config| config["linux"]["timeOffsets"] = offsets).refused());
    });
}

/// A process that holds namespaces open for others to join.
struct Holder {
    shell: Child,
    child: String,
}

impl Holder {
    fn of(namespaces: CloneFlags) -> Self {
        // Pid and time namespaces count for children only.
        let mut command = Command::new("/bin/busybox");
        command.args(["sh", "-c", "busybox sleep 1000 & wait"]).stdin(Stdio::null()).stdout(Stdio::null());
        // SAFETY: between fork and exec the closure makes one system call.
        unsafe { command.pre_exec(move || nix::sched::unshare(namespaces).map_err(Into::into)) };
        let shell = command.env("PATH", "/bin:/usr/bin").spawn().unwrap();
        let mut child = None;
        runtime_tests::wait_until("the holder's child", || {
            child = sleeping_child(shell.id());
            child.is_some()
        });
        Self { shell, child: child.unwrap() }
    }

    fn path(&self, file: &str) -> String {
        format!("/proc/{}/ns/{file}", self.child)
    }
}

/// The child of a process once it is past its exec, so that it is what it will stay.
fn sleeping_child(parent: u32) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let child = children.split_whitespace().next()?.to_owned();
    let arguments = fs::read(format!("/proc/{child}/cmdline")).ok()?;
    arguments.ends_with(b"sleep\x001000\0").then_some(child)
}

impl Drop for Holder {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.parse().unwrap());
        let _ = kill(pid, Signal::SIGKILL);
        let _ = self.shell.wait();
    }
}

#[test]
fn a_pipe_in_place_of_a_namespace_is_refused_at_once() {
    let bundle = Bundle::base();
    let pipe = bundle.home().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let bundle = bundle.namespace("uts", Some(json!({"type": "uts", "path": pipe})));
    may_fail_on(&[("runc", "waits for a writer"), ("crun", "waits for a writer")], || {
        assert!(bundle.refused().contains("it is not a namespace"));
    });
}

/// The caller's mounts as they are now.
fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// The specification: a type that is not listed is inherited.
#[test]
fn without_a_mount_namespace_the_container_is_in_the_callers() {
    let before = mounts();
    for bundle in [Bundle::base(), Bundle::base().user_namespace(200_000, 65_536)] {
        let container = bundle.in_callers_mounts().args(&["/bin/sleep", "1000"]).create();
        container.start();
        let process = |file: &str| fs::read_link(format!("/proc/{}/{file}", container.pid())).unwrap();
        assert_eq!(process("ns/mnt").display().to_string(), host("mnt"));
        assert_eq!(process("root"), container.bundle().rootfs());
        assert!(container.exec(&[], &["/bin/cat", "/etc/passwd"]).success().lines().count() > 0);
        container.call(&["delete", "-f"], &[]).success();
        container.bundle().assert_nothing_left();
    }
    assert_eq!(mounts(), before);
}

#[test]
fn without_a_mount_namespace_the_root_may_be_the_hosts() {
    let device = |path: &str| fs::symlink_metadata(path).map(|found| std::os::unix::fs::MetadataExt::ino(&found)).ok();
    let seen = || ["/dev/ptmx", "/dev/null", "/dev/core", "/dev/fd"].map(device);
    let before = (mounts(), seen());
    let bundle = Bundle::base().in_callers_mounts().with(|config| config["root"]["path"] = "/".into());
    fails_on(&[("crun", "1.8.1 makes links in it")], || {
        assert_eq!(bundle.args(&["/bin/busybox", "echo", "there"]).run().success(), "there\n");
        assert_eq!((mounts(), seen()), before);
    });
}

#[test]
fn without_a_mount_namespace_what_would_change_mounts_is_refused_by_name() {
    // The peers change the mounts of the host, so they are not asked.
    if !runtime_tests::Runtime::from_env().is_minirun() {
        return;
    }
    let before = mounts();
    let proc = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    for (pointer, value, place) in [
        ("/mounts", proc, "mounts[0]"),
        ("/linux/maskedPaths", json!(["/etc"]), "linux.maskedPaths"),
        ("/linux/readonlyPaths", json!(["/etc"]), "linux.readonlyPaths"),
        ("/root/readonly", json!(true), "root.readonly"),
        ("/linux/rootfsPropagation", json!("private"), "linux.rootfsPropagation"),
        ("/linux/devices", json!([{"type": "c", "path": "/dev/made", "major": 1, "minor": 3}]), "linux.devices"),
    ] {
        let bundle = Bundle::base().in_callers_mounts().with(|config| {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            config.pointer_mut(parent).unwrap()[name] = value;
        });
        let message = bundle.refused();
        assert!(message.contains(&format!("{place}: requires a mount namespace")), "{message}");
        assert!(!bundle.rootfs().join("dev/made").exists(), "{place}");
    }
    assert_eq!(mounts(), before);
}
