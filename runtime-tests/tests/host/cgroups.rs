//! Where the container's cgroup is, and that it goes with the container. What it limits is tested in limits.rs.

use std::fs;
use std::path::{Path, PathBuf};

use runtime_tests::{Bundle, fails_on, may_fail_on};
use serde_json::json;

/// A bundle whose cgroup lies below one that is named after it.
fn placed(rest: &str) -> (Bundle, PathBuf) {
    let bundle = Bundle::base().probe("pause");
    let path = format!("/{}{rest}", bundle.id());
    let directory = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    (bundle.with(|config| config["linux"]["cgroupsPath"] = path.into()), directory)
}

#[test]
fn the_cgroup_is_where_it_is_configured() {
    let (bundle, directory) = placed("-at/deep/er");
    let container = bundle.create();
    assert_eq!(container.cgroup(), directory);
    let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap();
    assert_eq!(processes.trim(), container.pid().to_string());
}

#[test]
fn without_a_path_each_container_has_a_cgroup_of_its_own() {
    let [one, other] = [0, 1].map(|_| Bundle::base().probe("pause").create());
    assert_ne!(one.cgroup(), other.cgroup());
    assert_ne!(one.cgroup(), Path::new("/sys/fs/cgroup"));
}

#[test]
fn the_cgroup_goes_with_the_container() {
    let (bundle, directory) = placed("-gone");
    let container = bundle.create();
    assert!(directory.exists());
    container.call(&["delete", "-f"], &[]).success();
    assert!(!directory.exists());
}

#[test]
fn cgroups_made_inside_go_with_the_container() {
    let (bundle, directory) = placed("-nested");
    let container = bundle.create();
    fs::create_dir_all(directory.join("inner/most")).unwrap();
    fs::write(directory.join("inner/most/cgroup.procs"), container.pid().to_string()).unwrap();
    container.start();
    container.call(&["delete", "-f"], &[]).success();
    assert!(!directory.exists());
}

/// `podman run --cgroups=disabled`.
#[test]
fn none_is_made_where_none_is_wanted() {
    const DISABLED: &[&str] = &["--cgroup-manager", "disabled"];
    fails_on(&[("runc", "it has only --systemd-cgroup")], || {
        let (bundle, directory) = placed("-disabled");
        let container = bundle.globals(DISABLED).create();
        container.start();
        let of = |process: &str| fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
        assert_eq!(of(&container.pid().to_string()), of("self"));
        assert!(!directory.exists());
        // The calls that come later do not say so again.
        assert_eq!(container.exec(&[], &["/bin/echo", "here"]).success(), "here\n");
        assert_eq!(container.status(), "running");
        let message = container.call(&["pause"], &[]).failure();
        assert!(
            !container.bundle().runtime().is_minirun() || message.contains("--cgroup-manager disabled"),
            "{message}"
        );
        container.call(&["delete", "-f"], &[]).success();
        container.bundle().assert_nothing_left();
    });
    fails_on(&[("crun", "1.8.1 runs it without the limit")], || {
        let limit = |config: &mut serde_json::Value| config["linux"]["resources"] = json!({"pids": {"limit": 10}});
        let message = Bundle::base().globals(DISABLED).with(limit).refused();
        assert!(
            !runtime_tests::Runtime::from_env().is_minirun() || message.contains("--cgroup-manager disabled"),
            "{message}"
        );
    });
}

#[test]
fn a_path_that_climbs_stays_below_the_root() {
    for climb in ["../..", "/../../..", "a/../../../b"] {
        let bundle = Bundle::base();
        let path = format!("{climb}/{}", bundle.id());
        let bundle = bundle.with(|config| config["linux"]["cgroupsPath"] = path.into());
        // Refused, or taken as if the root were above itself: the mount point's neighbours stay untouched.
        let _ = bundle.run();
        assert!(!Path::new("/sys/fs").join(bundle.id()).exists() && !Path::new("/sys").join(bundle.id()).exists());
    }
}

#[test]
fn a_cgroup_with_processes_of_others_is_refused() {
    let (first, directory) = placed("-shared");
    let first = first.create();
    let path = format!("/{}", directory.strip_prefix("/sys/fs/cgroup").unwrap().display());
    let second = Bundle::base().with(|config| config["linux"]["cgroupsPath"] = path.into());
    may_fail_on(&[("crun", "joins it"), ("runc", "1.1 joins it with a warning")], || {
        drop(second.try_create().failure())
    });
    assert_eq!(first.status(), "created");
}

#[test]
fn a_file_of_a_controller_that_is_not_there_is_refused_by_name() {
    let unified = json!({"unified": {"nosuch.max": "1"}});
    let bundle = Bundle::base().with(|config| config["linux"]["resources"] = unified);
    let message = bundle.try_create().failure();
    fails_on(&[("crun", "1.8.1 refuses, but leaves the cgroup")], || bundle.assert_nothing_left());
    assert!(message.contains("nosuch"), "{message}");
}

#[test]
fn a_file_that_is_not_there_is_refused_by_name() {
    let unified = json!({"unified": {"cgroup.nosuch": "1"}});
    let bundle = Bundle::base().with(|config| config["linux"]["resources"] = unified);
    let message = bundle.try_create().failure();
    fails_on(&[("crun", "1.8.1 refuses, but leaves the cgroup")], || bundle.assert_nothing_left());
    assert!(message.contains("cgroup.nosuch"), "{message}");
}

#[test]
fn files_of_the_core_are_written() {
    let unified = json!({"unified": {"cgroup.max.depth": "7", "cgroup.max.descendants": "9"}});
    let container = Bundle::base().with(|config| config["linux"]["resources"] = unified).probe("pause").create();
    let read = |name| fs::read_to_string(container.cgroup().join(name)).unwrap();
    assert_eq!((read("cgroup.max.depth").trim(), read("cgroup.max.descendants").trim()), ("7", "9"));
}

#[test]
fn the_container_starts_inside_of_its_cgroup() {
    // A hook of the runtime's side sees init already placed, so that no moment is unlimited.
    let bundle = Bundle::base();
    let log = bundle.home().join("placed");
    let script =
        format!("pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); grep ^0:: /proc/$pid/cgroup > {}", log.display());
    let hook = json!([{"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]);
    let bundle = bundle.with(|config| config["hooks"]["createRuntime"] = hook);
    bundle.run().success();
    assert!(fs::read_to_string(log).unwrap().contains(bundle.id()));
}

/// A container in a user namespace that looks at its cgroup, mounted with this option or without.
fn owned(option: &[&str], script: &str) -> Bundle {
    let bundle = Bundle::base().user_namespace(100_000, 65_536).namespace("cgroup", Some(json!({"type": "cgroup"})));
    bundle.without_mount("/sys/fs/cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", option).sh(script)
}

#[test]
fn a_cgroup_that_the_container_may_write_is_its_users() {
    let own = "cd /sys/fs/cgroup; stat -c %u . cgroup.procs cgroup.subtree_control cgroup.threads cgroup.freeze";
    let bundle =
        owned(&[], &format!("{own}; mkdir inner && echo $$ >inner/cgroup.procs && grep ^0: /proc/self/cgroup"));
    let peers = [("runc", "1.1 changes the owner with its systemd driver only")];
    fails_on(&peers, || {
        // 65534 stands for who is not mapped: limits and the freezer are the runtime's.
        assert_eq!(bundle.run().success(), "0\n0\n0\n0\n65534\n0::/inner\n");
        bundle.assert_nothing_left();
    });
    let bundle = owned(&[], &format!("{own}; id -u")).with(|config| config["process"]["user"]["uid"] = 7.into());
    let peers = [peers[0], ("crun", "gives it to the container's root, whoever its user is")];
    fails_on(&peers, || assert_eq!(bundle.run().success(), "7\n7\n7\n7\n65534\n7\n"));
}

#[test]
fn a_cgroup_that_the_container_cannot_write_or_shares_a_view_of_is_not_its_users() {
    let own = "stat -c %u /sys/fs/cgroup/cgroup.procs";
    let peers = [("crun", "changes the owner whatever the mount is")];
    fails_on(&peers, || assert_eq!(owned(&["ro"], own).run().success(), "65534\n"));
    let shared = owned(&[], "stat -c %u /sys/fs/cgroup").namespace("cgroup", None);
    assert_eq!(shared.run().success(), "65534\n");
}

/// The mark by which the runtime knows its cgroup is out of the owner's reach.
#[test]
fn the_owner_of_a_cgroup_cannot_keep_it() {
    let container = owned(&[], "mkdir /sys/fs/cgroup/inner; echo made; sleep 1000").create();
    container.start();
    runtime_tests::wait_until("the inner cgroup", || container.output().contains("made"));
    let directory = container.cgroup();
    if container.bundle().runtime().is_minirun() {
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(&directory).unwrap()), 100_000);
        let path = std::ffi::CString::new(directory.to_str().unwrap()).unwrap();
        // SAFETY: both strings end in a zero and outlive the call.
        let answer = unsafe { libc::removexattr(path.as_ptr(), c"user.minirun".as_ptr()) };
        assert_eq!(answer, -1, "there is no mark that its owner could take away");
    }
    container.call(&["delete", "-f"], &[]).success();
    assert!(!directory.exists());
}
