//! SELinux: labels of processes and of mounts, where a policy knows them. Runs in a virtual machine that was booted with
//! SELinux, and loads the policy that was made for it (tests/selinux/policy.cil).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Once;

use runtime_tests::{Bundle, Runtime};
use serde_json::{Value, json};

const PROCESS: &str = "system_u:system_r:container_t:s0:c1,c2";
const FILES: &str = "system_u:object_r:container_file_t:s0:c1,c2";
/// Of files that the policy labels by their file system.
const OF_HOST: &str = "system_u:object_r:host_file_t:s0";
/// Of another container.
const OTHERS: &str = "system_u:object_r:container_file_t:s0:c0";

/// Loads the policy once, and has it enforced.
fn enforce() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| {
        let files = Path::new("/sys/fs/selinux");
        assert!(files.exists(), "the kernel has no SELinux, or was booted without it: run this by make test-selinux");
        if !files.join("load").exists() {
            let done = std::process::Command::new("mount").args(["-t", "selinuxfs", "none"]).arg(files).status();
            assert!(done.unwrap().success(), "mount selinuxfs");
        }
        let policy = fs::read(std::env::var_os("MINIRUN_SELINUX_POLICY").expect("MINIRUN_SELINUX_POLICY")).unwrap();
        // In one write, as the kernel wants it.
        let mut load = fs::OpenOptions::new().write(true).open(files.join("load")).unwrap();
        assert_eq!(load.write(&policy).unwrap(), policy.len());
        fs::write(files.join("enforce"), "1").unwrap();
    });
}

/// A bundle with both labels.
fn labelled() -> Bundle {
    enforce();
    Bundle::base().with(|config| {
        config["process"]["selinuxLabel"] = PROCESS.into();
        config["linux"]["mountLabel"] = FILES.into();
    })
}

/// The label of a path as a process of the container sees it.
#[track_caller]
fn label_of(bundle: Bundle, path: &str) -> String {
    let said = bundle.probe(&format!("label {path}")).run().success();
    said.trim().strip_prefix("label=").unwrap_or_else(|| panic!("{path}: {said}")).to_owned()
}

#[test]
fn a_process_runs_under_its_label() {
    let own = ["/bin/cat", "/proc/self/attr/current"];
    assert_eq!(labelled().args(&own).run().success().trim_end_matches('\0'), PROCESS);
    let container = labelled().args(&["sleep", "1000"]).create();
    container.start();
    assert_eq!(container.exec(&[], &own).success().trim_end_matches('\0'), PROCESS);
    let other = "system_u:system_r:container_t:s0:c0";
    assert_eq!(container.exec(&["--process-label", other], &own).success().trim_end_matches('\0'), other);
}

#[test]
fn what_is_mounted_anew_has_the_mount_label() {
    for path in ["/dev", "/dev/null", "/dev/shm", "/dev/pts", "/dev/pts/ptmx", "/dev/mqueue"] {
        assert_eq!(label_of(labelled(), path), FILES, "{path}");
    }
    let masked = labelled().with(|config| config["linux"]["maskedPaths"] = json!(["/proc/bus", "/proc/fs"]));
    assert_eq!(label_of(masked, "/proc/fs"), FILES);
    let classic = labelled().mount("/m", "tmpfs", "tmpfs", &["iversion", "size=64k"]);
    assert_eq!(label_of(classic, "/m"), FILES);
    let own = labelled().mount("/m", "tmpfs", "tmpfs", &[&format!("context={OTHERS}")]);
    assert_eq!(label_of(own, "/m"), OTHERS);
    // What the container makes there has it too.
    let shown = labelled().sh("echo > /dev/shm/file && /bin/probe label /dev/shm/file").run().success();
    assert_eq!(shown.trim(), format!("label={FILES}"));
}

#[test]
fn an_overlay_root_has_the_mount_label() {
    let upper = labelled().path().with_file_name("changes");
    for writable in
        [&[][..], &[format!("upperdir={}/upper", upper.display()), format!("workdir={}/work", upper.display())]]
    {
        writable.iter().for_each(|option| fs::create_dir_all(option.split_once('=').unwrap().1).unwrap());
        let bundle = labelled().writable();
        let lower = format!("lowerdir={}", bundle.rootfs().display());
        let options: Vec<&str> = [lower.as_str()].into_iter().chain(writable.iter().map(String::as_str)).collect();
        let bundle = bundle.mount("/", "overlay", "overlay", &options).with(|config| {
            config.as_object_mut().unwrap().remove("root");
            // The root comes first.
            config["mounts"].as_array_mut().unwrap().rotate_right(1);
        });
        let bundle = bundle.sh("echo > /file && /bin/probe label / /bin/probe /file");
        let said = bundle.run().success();
        assert_eq!(said.matches(&format!("label={FILES}\n")).count(), 3, "{said}");
    }
}

#[test]
fn what_has_a_superblock_already_keeps_the_label_of_the_policy() {
    for path in ["/proc", "/sys", "/sys/fs/cgroup"] {
        assert_eq!(label_of(labelled(), path), OF_HOST, "{path}");
    }
    // A bind mount is of files that are there.
    let bundle = labelled();
    let source = bundle.path().join("shared");
    fs::create_dir(&source).unwrap();
    let bundle = bundle.mount("/m", "bind", &source.to_string_lossy(), &["bind"]);
    assert_eq!(label_of(bundle, "/m"), OF_HOST);
}

#[test]
fn labels_hold_in_a_user_namespace() {
    let bundle = || labelled().user_namespace(100_000, 65536);
    assert_eq!(label_of(bundle(), "/dev/shm"), FILES);
    assert_eq!(label_of(bundle(), "/dev/mqueue"), FILES);
}

/// The policy lets no container read what another's label is on.
#[test]
fn the_label_is_what_the_policy_goes_by() {
    let reading = |label: &str| {
        let options = format!("context={label}");
        let script = "echo secret > /m/file; cat /m/file";
        labelled().mount("/m", "tmpfs", "tmpfs", &[&options]).sh(script).run()
    };
    assert_eq!(reading(FILES).success(), "secret\n");
    assert!(reading(OTHERS).failure().contains("ermission denied"));
}

#[test]
fn a_label_that_the_policy_does_not_know_is_refused() {
    enforce();
    let unknown = |config: &mut Value| config["linux"]["mountLabel"] = "no:such:label".into();
    let message = Bundle::base().with(unknown).refused();
    let minirun = Runtime::from_env().is_minirun();
    let expected = "linux.mountLabel: label-queues no:such:label: fsetxattr: invalid argument (the policy of selinux must \
                    know this label)";
    assert!(!minirun || message.contains(expected), "{message}");
    let message = Bundle::base().without_mount("/dev/mqueue").with(unknown).refused();
    assert!(!minirun || message.contains("fsconfig: invalid argument of option context"), "{message}");
    assert!(!minirun || message.contains("the policy of selinux must know linux.mountLabel"), "{message}");
    let process = Bundle::base().with(|config| config["process"]["selinuxLabel"] = "no:such:label".into());
    let message = process.refused();
    assert!(!minirun || message.contains("its policy does not know this label"), "{message}");
}
