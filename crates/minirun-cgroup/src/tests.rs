//! Tests with the real kernel, in a mount namespace that shows only cgroup2. They require root: without it they do
//! nothing on a developer's machine and fail in CI.

use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use minirun_plan::{CgroupPlan, DeviceFilter, Expect, Knob, Origin};

use super::*;

const MOUNT: &str = "/sys/fs/cgroup";

/// Whether only cgroup2 is mounted. If not, runs the test of this name again where that is the case.
fn in_view(test: &str) -> bool {
    const VIEW: &str = "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
    if std::env::var_os("MINIRUN_CGROUP_VIEW").is_some() {
        return true;
    }
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        assert!(std::env::var_os("CI").is_none(), "these tests require root");
        return false;
    }
    let test = format!("tests::{test}");
    let status = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", VIEW, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env("MINIRUN_CGROUP_VIEW", "1")
        .status();
    assert!(status.unwrap().success(), "{test} failed in its view");
    false
}

fn plan(path: &str) -> CgroupPlan {
    CgroupPlan { path: format!("/minirun-test-{}{path}", std::process::id()).into(), ..CgroupPlan::default() }
}

fn knob(file: &str, value: &str, expect: Expect) -> Knob {
    Knob { file: file.to_owned(), value: value.to_owned(), expect, origin: Origin::of("the test") }
}

fn create(plan: &CgroupPlan) -> Result<Cgroup> {
    Cgroup::create(Path::new(MOUNT), plan)
}

/// Starts a sleeping process in this cgroup.
fn sleeper(cgroup: &Cgroup) -> Child {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    files::write_file(cgroup.dir.as_fd(), "cgroup.procs", &child.id().to_string()).unwrap();
    child
}

#[test]
fn directories_are_created_and_removed() {
    if !in_view("directories_are_created_and_removed") {
        return;
    }
    let plan = plan("/a/b");
    let top = PathBuf::from(format!("minirun-test-{}", std::process::id()));
    let cgroup = create(&plan).unwrap();
    assert_eq!(cgroup.made(), Some(top.as_path()));
    assert_eq!(cgroup.read("cgroup.procs").unwrap().as_deref(), Some(""));
    assert_eq!(cgroup.read("no.such.file").unwrap(), None);
    assert!(!cgroup.populated().unwrap());

    // An existing empty cgroup is used, and its parents are not this container's.
    let again = create(&plan).unwrap();
    assert_eq!(again.made(), None);

    // Cgroups created inside are removed too, and those created above, but not those in use by others.
    std::fs::create_dir_all(cgroup.path().join("x/y")).unwrap();
    let sibling = create(&CgroupPlan { path: plan.path.with_file_name("c"), ..plan.clone() }).unwrap();
    cgroup.remove(cgroup.made()).unwrap();
    assert!(!cgroup.path().exists() && sibling.path().exists());
    assert_eq!(Cgroup::open(Path::new(MOUNT), &plan.path).unwrap().map(|gone| gone.path()), None);

    // All operations succeed on a removed cgroup.
    again.remove(None).unwrap();
    again.kill().unwrap();
    assert!(again.wait_empty(Instant::now()).unwrap());
    assert_eq!((again.pids().unwrap(), again.oom_kills().unwrap()), (vec![], None));
    sibling.remove(cgroup.made()).unwrap();
    assert!(!Path::new(MOUNT).join(top).exists());

    for path in ["/../x", "a/../../b", "", "/", "/."] {
        let plan = CgroupPlan { path: path.into(), ..CgroupPlan::default() };
        assert!(create(&plan).is_err(), "{path}");
    }
}

#[test]
fn limits_hold_or_are_refused() {
    if !in_view("limits_hold_or_are_refused") {
        return;
    }
    let before = std::fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").unwrap();
    let mut plan = plan("/a/b");
    plan.controllers = vec!["hugetlb".to_owned()];
    let cgroup = create(&plan).unwrap();
    cgroup.apply(&[knob("hugetlb.2MB.max", "5000000", Expect::Rounded(2 << 20))]).unwrap();
    assert_eq!(cgroup.read("hugetlb.2MB.max").unwrap().as_deref(), Some("4194304\n"));
    cgroup.apply(&[knob("memory.swap.max", "0", Expect::SameOrAbsent)]).unwrap();

    let file = |name: &str| format!("{}/{name}", cgroup.path().display());
    for (knob, message) in [
        (
            knob("hugetlb.2MB.max", "5000000", Expect::Same),
            format!("the test: write \"5000000\" to {}: it then reads \"4194304\"", file("hugetlb.2MB.max")),
        ),
        (
            knob("hugetlb.2MB.max", "many", Expect::Same),
            format!("the test: write \"many\" to {}: invalid argument", file("hugetlb.2MB.max")),
        ),
        (
            knob("hugetlb.3MB.max", "1", Expect::Same),
            format!(
                "the test: write \"1\" to {}: no such file or directory (hint: this kernel has no such file)",
                file("hugetlb.3MB.max")
            ),
        ),
    ] {
        assert_eq!(cgroup.apply(&[knob]).unwrap_err().to_string(), message);
    }

    // The second one finds the controllers enabled.
    let mut sibling = plan.clone();
    sibling.path.set_file_name("c");
    create(&sibling).unwrap().remove(None).unwrap();
    // A cgroup with processes cannot delegate controllers.
    let outer = Cgroup { dir: files::open_dir(cgroup.root.as_fd(), &cgroup.path).unwrap(), ..create(&plan).unwrap() };
    let mut child = sleeper(&outer);
    let mut inner = plan.clone();
    inner.path.push("inner");
    inner.knobs.push(knob("hugetlb.2MB.max", "0", Expect::Same));
    let error = create(&inner).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the test: write \"+hugetlb\" to {}: device or resource busy \
             (hint: a cgroup with processes cannot delegate controllers; move the processes to a child)",
            file("cgroup.subtree_control")
        )
    );
    child.kill().unwrap();
    child.wait().unwrap();

    inner.controllers.push("nonsense".to_owned());
    let text = create(&inner).unwrap_err().to_string();
    assert!(text.ends_with("the nonsense controller is not available in this cgroup"), "{text}");
    assert!(!Path::new(&file("inner")).exists());

    cgroup.remove(cgroup.made()).unwrap();
    if !before.contains("hugetlb") {
        std::fs::write("/sys/fs/cgroup/cgroup.subtree_control", "-hugetlb").unwrap();
    }
}

#[test]
fn processes_are_frozen_and_killed() {
    if !in_view("processes_are_frozen_and_killed") {
        return;
    }
    let plan = plan("");
    let cgroup = create(&plan).unwrap();
    std::fs::create_dir(cgroup.path().join("inside")).unwrap();
    let inside = Cgroup::open(Path::new(MOUNT), &plan.path.join("inside")).unwrap().unwrap();
    let mut child = sleeper(&inside);

    assert!(cgroup.populated().unwrap());
    assert_eq!(cgroup.pids().unwrap(), [child.id() as i32]);
    let error = create(&plan).unwrap_err().to_string();
    assert!(error.ends_with("container's cgroup is not empty: 1 process(es) found"), "{error}");
    assert!(!cgroup.wait_empty(Instant::now() + Duration::from_millis(5)).unwrap());

    cgroup.freeze().unwrap();
    assert!(cgroup.read("cgroup.events").unwrap().unwrap().contains("frozen 1"));
    cgroup.thaw().unwrap();
    cgroup.freeze().unwrap();

    // A kill reaches frozen processes, and the removal waits for their end.
    cgroup.kill().unwrap();
    let start = Instant::now();
    assert!(cgroup.wait_empty(start + Duration::from_secs(5)).unwrap());
    cgroup.remove(cgroup.made()).unwrap();
    assert!(!cgroup.path().exists() && start.elapsed() < Duration::from_secs(1));
    child.wait().unwrap();
}

#[test]
fn devices_are_filtered() {
    if !in_view("devices_are_filtered") {
        return;
    }
    let cgroup = create(&plan("")).unwrap();
    cgroup.attach_devices(&DeviceFilter::default()).unwrap();
    let script = format!(
        "echo $$ > {}/cgroup.procs; : < /dev/null || exit 1; : > /dev/null || exit 2; : < /dev/urandom || exit 3; \
         if (: < /dev/kmsg) 2> /dev/null; then exit 4; fi; mknod $1 c 1 11 || exit 5; rm $1",
        cgroup.path().display()
    );
    let node = std::env::temp_dir().join(format!("minirun-test-node-{}", std::process::id()));
    let status = Command::new("sh").args(["-c", &script, "sh"]).arg(node).status().unwrap();
    cgroup.wait_empty(Instant::now() + Duration::from_secs(1)).unwrap();
    cgroup.remove(cgroup.made()).unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn concurrent_creations_succeed() {
    if !in_view("concurrent_creations_succeed") {
        return;
    }
    // Each removes the parent if possible, while the others create cgroups in it.
    let threads: Vec<_> = (0..4)
        .map(|i| {
            std::thread::spawn(move || {
                for _ in 0..200 {
                    let plan = plan(&format!("/shared/{i}"));
                    let cgroup = create(&plan).unwrap();
                    let top = format!("minirun-test-{}", std::process::id());
                    cgroup.remove(Some(Path::new(&top))).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(!Path::new(MOUNT).join(format!("minirun-test-{}", std::process::id())).exists());
}

#[test]
fn statistics_match_the_files() {
    if !in_view("statistics_match_the_files") {
        return;
    }
    let cgroup = create(&plan("")).unwrap();
    let mut child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
    cgroup.write("cgroup.procs", &child.id().to_string()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let stats = loop {
        let stats = cgroup.stats().unwrap().unwrap();
        if stats.cpu.usage_usec > 10_000 {
            break stats;
        }
        assert!(Instant::now() < deadline, "{stats:?}");
        std::thread::sleep(Duration::from_millis(5));
    };
    let has = |file: &str| cgroup.path().join(file).exists();
    assert_eq!(stats.memory.is_some(), has("memory.current"));
    assert_eq!(stats.cpuset.is_some(), has("cpuset.cpus.effective"));
    assert_eq!(stats.pids.is_some(), has("pids.current"));
    assert_eq!(stats.io.is_some(), has("io.stat"));
    assert_eq!(stats.hugetlb.contains_key("2MB"), has("hugetlb.2MB.current"));
    assert_eq!(cgroup.watch_oom().unwrap().is_some(), has("memory.events"));

    cgroup.kill().unwrap();
    child.wait().unwrap();
    cgroup.remove(cgroup.made()).unwrap();
    assert_eq!(cgroup.stats().unwrap(), None);
    assert!(cgroup.watch_oom().unwrap().is_none());
}
