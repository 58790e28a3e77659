//! `delete -f` succeeds only if nothing of the container is left, also where what it needs to know has moved or is hidden.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use runtime_tests::{Bundle, Container, Output, Runtime, may_fail_on, wait_until};

const RUNC: (&str, &str) = ("runc", "1.1 leaves the processes that outlive the first one");
const CRUN: (&str, &str) = ("crun", "1.8.1 keeps no mark");

/// A container in the host's pid namespace: its second process outlives the first, and is found by its cgroup alone.
fn two_processes() -> Container {
    let container = Bundle::base().namespace("pid", None).sh("sleep 1000 & echo ready; exec /bin/probe pause").create();
    container.start();
    wait_until("the second process", || container.output().contains("ready"));
    container
}

/// `delete -f` with this state directory.
fn delete_at(bundle: &Bundle, root: &Path) -> Output {
    let mut command = bundle.runtime().command(root);
    bundle.finish(command.args(["delete", "-f", bundle.id()]).current_dir(bundle.home()))
}

/// `delete -f` after a shell script in a mount namespace of its own. The script sees the bundle's home as `$HOME`.
fn delete_in_view(bundle: &Bundle, options: &[&str], script: &str) -> Output {
    let mut command = Command::new("unshare");
    command.args(options).args([
        "-m",
        "--propagation",
        "private",
        "sh",
        "-euc",
        &format!("{script}; exec \"$@\""),
        "sh",
    ]);
    let delete = bundle.command(&["delete", "-f", bundle.id()]);
    command.arg(delete.get_program()).args(delete.get_args()).env("HOME", bundle.home());
    bundle.finish(&mut command)
}

#[test]
fn every_spelling_of_the_state_directory_finds_the_container() {
    may_fail_on(&[RUNC], || {
        let spell: [fn(&Path) -> PathBuf; 6] = [
            |root| PathBuf::from(root.file_name().unwrap()),
            |root| root.join("."),
            |root| PathBuf::from(format!("{}//", root.display())),
            |root| root.join("../state"),
            |root| {
                let link = root.with_file_name("link");
                symlink(root, &link).unwrap();
                link
            },
            |root| {
                let renamed = root.with_file_name("renamed");
                fs::rename(root, &renamed).unwrap();
                renamed
            },
        ];
        for spell in spell {
            let container = two_processes();
            let bundle = container.bundle();
            let root = spell(&bundle.state_root());
            delete_at(bundle, &root).success();
            bundle.assert_nothing_left();
            assert!(!root.join(bundle.id()).exists(), "{}", root.display());
        }
    });
}

/// The same for a container whose record cannot be read.
#[test]
fn a_damaged_record_in_a_renamed_state_directory_hides_no_process() {
    may_fail_on(&[RUNC, CRUN], || {
        let container = two_processes();
        let bundle = container.bundle();
        let renamed = bundle.home().join("renamed");
        fs::rename(bundle.state_root(), &renamed).unwrap();
        let record = ["state.json", "status"].map(|name| renamed.join(bundle.id()).join(name));
        fs::write(record.iter().find(|path| path.exists()).unwrap(), "{").unwrap();
        delete_at(bundle, &renamed).success();
        bundle.assert_nothing_left();
    });
}

#[test]
fn a_container_is_found_where_cgroup2_is_mounted_elsewhere() {
    may_fail_on(&[RUNC, CRUN], || {
        let container = two_processes();
        let bundle = container.bundle();
        let script =
            "mkdir $HOME/cgroups; mount --bind /sys/fs/cgroup $HOME/cgroups; mount -t tmpfs none /sys/fs/cgroup";
        delete_in_view(bundle, &[], script).success();
        bundle.assert_nothing_left();
    });
}

#[test]
fn a_hidden_cgroup2_is_an_error_while_processes_may_live() {
    may_fail_on(&[RUNC, CRUN], || {
        for script in ["mount -t tmpfs none /sys/fs/cgroup", "umount -l /sys/fs/cgroup"] {
            let container = two_processes();
            let bundle = container.bundle();
            let message = delete_in_view(bundle, &[], script).failure();
            assert!(!bundle.runtime().is_minirun() || message.contains("cgroup2 is no longer mounted"), "{message}");
            assert!(bundle.state_root().join(bundle.id()).exists(), "the record was lost");
            bundle.call(&["delete", "-f", bundle.id()]).success();
            bundle.assert_nothing_left();
        }
    });
}

/// There the container's cgroup is not at its path, and another may be.
#[test]
fn another_cgroup_namespace_is_an_error_while_processes_may_live() {
    may_fail_on(&[RUNC, CRUN], || {
        let container = two_processes();
        let bundle = container.bundle();
        let home = Path::new("/sys/fs/cgroup").join(format!("namespace-{}", bundle.id()));
        fs::create_dir(&home).unwrap();
        let script = format!(
            "echo $$ >{0}/cgroup.procs; exec unshare -C sh -euc 'umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec \"$@\"' sh \"$@\"",
            home.display()
        );
        let message = delete_in_view(bundle, &[], &script).failure();
        assert!(!bundle.runtime().is_minirun() || message.contains("another part of the hierarchy"), "{message}");
        bundle.call(&["delete", "-f", bundle.id()]).success();
        fs::remove_dir(home).unwrap();
        bundle.assert_nothing_left();
    });
}

/// A process can be alive although another /proc does not show it.
#[test]
fn a_hidden_proc_is_an_error_while_processes_may_live() {
    may_fail_on(&[RUNC, CRUN], || {
        let hide =
            "mkdir $HOME/proc; mount -t tmpfs none $HOME/proc; mkdir -p $HOME/proc/self $HOME/proc/sys/kernel/random";
        let copy = "for file in self/uid_map self/mountinfo sys/kernel/random/boot_id; do cat /proc/$file >$HOME/proc/$file; done";
        let partial = format!("{hide}; {copy}; mount --bind $HOME/proc /proc");
        for script in ["mount -t tmpfs none /proc", &partial] {
            let container = Bundle::base().globals(&["--cgroup-manager", "disabled"]).probe("pause").create();
            container.start();
            let bundle = container.bundle();
            delete_in_view(bundle, &[], script).failure();
            assert!(bundle.state_root().join(bundle.id()).exists(), "the record was lost");
            bundle.call(&["delete", "-f", bundle.id()]).success();
            bundle.assert_nothing_left();
        }
    });
}

/// An extended attribute of a cgroup; none removes it.
fn set_mark(cgroup: &Path, value: Option<&[u8]>) {
    let path = CString::new(cgroup.to_str().unwrap()).unwrap();
    let name = c"trusted.minirun";
    // SAFETY: the strings end in a zero, and all of it outlives the calls.
    let answer = unsafe {
        match value {
            Some(value) => libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0),
            None => libc::removexattr(path.as_ptr(), name.as_ptr()),
        }
    };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn processes_behind_the_mark_of_another_are_an_error() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let container = two_processes();
    let (bundle, cgroup) = (container.bundle(), container.cgroup());
    set_mark(&cgroup, Some(b"0123456789abcdef0123456789abcdef /elsewhere/other"));
    let message = container.call(&["delete", "-f"], &[]).failure();
    assert!(message.contains("it belongs to the container \"/elsewhere/other\""), "{message}");
    assert!(bundle.state_root().join(bundle.id()).exists());
    // The first process is gone, so nothing tells any more whose the others are.
    set_mark(&cgroup, None);
    let message = container.call(&["delete", "-f"], &[]).failure();
    assert!(message.contains("not marked"), "{message}");
    empty(&cgroup);
    container.call(&["delete", "-f"], &[]).success();
    fs::remove_dir(&cgroup).or_else(|error| if cgroup.exists() { Err(error) } else { Ok(()) }).unwrap();
    bundle.assert_nothing_left();
}

#[test]
fn a_cgroup_that_lost_its_mark_is_known_by_the_first_process() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let container = two_processes();
    set_mark(&container.cgroup(), None);
    assert_eq!(container.status(), "running");
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
}

/// Kills all that is in a cgroup, and waits for its end.
fn empty(cgroup: &Path) {
    fs::write(cgroup.join("cgroup.kill"), "1").unwrap();
    let events = || fs::read_to_string(cgroup.join("cgroup.events")).unwrap();
    wait_until("an empty cgroup", || events().contains("populated 0"));
}

/// Processes of others in the container's former cgroup get no signal.
#[test]
fn the_commands_leave_the_cgroup_of_another_alone() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let container = two_processes();
    let cgroup = container.cgroup();
    set_mark(&cgroup, Some(b"0123456789abcdef0123456789abcdef /elsewhere/other"));
    for words in [&["pause"][..], &["ps"], &["kill", "--all"], &["update", "--pids-limit", "5"], &["state"]] {
        let message = container.call(words, &[]).failure();
        assert!(message.contains("it belongs to the container"), "{words:?}: {message}");
    }
    empty(&cgroup);
    container.call(&["delete", "-f"], &[]).success();
    fs::remove_dir(&cgroup).unwrap();
}

/// A read-only mount answers every rmdir with EROFS, also where nothing is.
#[test]
fn a_run_that_failed_for_a_read_only_cgroup2_leaves_nothing() {
    let bundle = Bundle::base();
    let run = bundle.command_for("run", &[]);
    let mut command = Command::new("unshare");
    command.args([
        "-m",
        "--propagation",
        "private",
        "sh",
        "-euc",
        "mount -o remount,ro,bind /sys/fs/cgroup; exec \"$@\"",
        "sh",
    ]);
    let message = bundle.finish(command.arg(run.get_program()).args(run.get_args())).failure();
    assert!(!bundle.runtime().is_minirun() || !message.contains("undoing"), "{message}");
    bundle.assert_nothing_left();
}
