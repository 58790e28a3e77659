//! What engines rely on in the way a runtime is called: its words, its streams, its log and its probes.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use runtime_tests::{Bundle, fails_on};
use serde_json::Value;

#[test]
fn global_options_may_be_repeated_and_the_last_counts() {
    let bundle = Bundle::base();
    let elsewhere = bundle.home().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let root = bundle.state_root();
    let container = bundle.create();
    let mut command = container.bundle().runtime().command(&elsewhere);
    command.arg(format!("--root={}", root.display())).args(["state", container.bundle().id()]);
    assert!(container.bundle().finish(&mut command).success().contains("created"));
}

#[test]
fn a_long_option_may_have_one_dash() {
    fails_on(&[("crun", "its parser takes -no-new-keyring for a cluster of letters")], || {
        let bundle = Bundle::base();
        bundle.finish(&mut bundle.command_for("run", &["-no-new-keyring", "-no-pivot=false"])).success();
    });
}

#[test]
fn what_follows_the_id_of_exec_belongs_to_the_program() {
    let container = Bundle::base().args(&["/bin/sleep", "100"]).create();
    container.start();
    let words = ["/bin/echo", "-bundle", "--cwd", "-version", "--help"];
    assert_eq!(container.exec(&[], &words).success(), "-bundle --cwd -version --help\n");
}

#[test]
fn options_may_follow_the_arguments() {
    fails_on(&[("crun", "its options end at the first argument")], || {
        let bundle = Bundle::base().args(&["/bin/echo", "here"]);
        bundle.write();
        let path = bundle.path();
        assert_eq!(bundle.call(&["run", bundle.id(), "--bundle", path.to_str().unwrap()]).success(), "here\n");
    });
}

#[test]
fn repeated_values_are_not_split_at_commas() {
    let container = Bundle::base().args(&["/bin/sleep", "100"]).create();
    container.start();
    let seen = container.exec(&["--env", "A=1,B=2", "--env=C=3"], &["/bin/sh", "-c", "echo $A $C"]).success();
    assert_eq!(seen, "1,B=2 3\n");
}

#[test]
fn the_version_and_the_features_need_no_options_and_no_home() {
    let bundle = Bundle::base();
    let call = |word: &str| {
        let mut command = Command::new(bundle.runtime().command(Path::new("/")).get_program());
        bundle.finish(command.arg(word).env_clear())
    };
    let version = call("--version").success();
    let (name, _) = version.lines().next().unwrap().split_once(" version ").unwrap();
    assert!(["minirun", "runc", "crun"].contains(&name), "{version}");
    assert!(version.lines().any(|line| line.starts_with("spec: ")), "{version}");
    fails_on(&[("crun", "1.8 has no features")], || {
        serde_json::from_str::<Value>(&call("features").success()).unwrap();
    });
}

#[test]
fn documents_have_the_streams_for_themselves() {
    let container = Bundle::base().create();
    for words in [&["state", container.bundle().id()][..], &["list", "--format=json"]] {
        let output = container.bundle().call(words);
        assert_eq!(output.stderr, "");
        serde_json::from_str::<Value>(&output.success()).unwrap();
    }
}

#[test]
fn relative_paths_count_from_the_callers_directory() {
    fails_on(&[("crun", "its pid file counts from the bundle")], || {
        let bundle = Bundle::base();
        bundle.write();
        let here = bundle.home().join("here");
        fs::create_dir(&here).unwrap();
        let mut command = bundle.command(&["--log", "log", "create", "--bundle", "../bundle", "--pid-file", "pid"]);
        bundle.finish(command.arg(bundle.id()).current_dir(&here)).success();
        let pid = fs::read_to_string(here.join("pid")).unwrap();
        assert!(here.join("log").exists());
        // Digits without a newline: engines parse it untrimmed.
        assert!(pid.bytes().all(|byte| byte.is_ascii_digit()), "{pid:?}");
        assert!(!bundle.path().join("pid").exists());
    });
}

#[test]
fn checkpoints_are_denied_by_the_exit_status() {
    fails_on(&[("runc", "it has checkpoints")], || {
        Bundle::base().call(&["checkpoint", "--help"]).failure();
    });
}

#[test]
fn a_wrong_command_line_is_one_line_and_in_the_log() {
    let own = [("runc", "it prints its help as well"), ("crun", "it prints its help as well")];
    fails_on(&own, || {
        let bundle = Bundle::base();
        let log = bundle.home().join("log.json");
        let rows: [(&[_], &[_]); 5] = [
            (&[], &["state"]),
            (&[], &["strat", "c1"]),
            (&[], &["kill", "--signal", "c1"]),
            // As dockerd calls a runtime with `runtimeArgs`.
            (&["--nosuch"], &["state", "c1"]),
            (&["--log-level", "loud"], &["state", "c1"]),
        ];
        for (before, words) in rows {
            let mut command = bundle.command(before);
            command.args(["--log", log.to_str().unwrap(), "--log-format", "json"]);
            let message = bundle.finish(command.args(words)).failure();
            assert_eq!(message.lines().count(), 1, "{message}");
            let text = fs::read_to_string(&log).unwrap();
            let entry: Value = serde_json::from_str(text.lines().next_back().unwrap()).unwrap();
            assert_eq!(entry["level"], "error");
            assert_eq!(format!("minirun: error: {}\n", entry["msg"].as_str().unwrap()), message);
        }
    });
}

#[test]
fn the_level_decides_what_is_in_the_log() {
    fails_on(&[("runc", "it has no levels"), ("crun", "1.8 has no levels")], || {
        let bundle = Bundle::base();
        for (level, expected) in [("error", false), ("info", false), ("debug", true)] {
            let log = bundle.home().join(level);
            let mut command = bundle.command(&["--log", log.to_str().unwrap(), "--log-level", level, "run", "-b"]);
            bundle.write();
            bundle.finish(command.arg(bundle.path()).arg(bundle.id())).success();
            assert_eq!(fs::read_to_string(&log).unwrap().contains("level=debug"), expected, "{level}");
        }
    });
}

#[test]
fn the_cgroup_manager_is_one_of_three() {
    fails_on(&[("runc", "it has only --systemd-cgroup"), ("crun", "lists a directory that is not there")], || {
        let bundle = Bundle::base();
        bundle.call(&["--cgroup-manager", "cgroupfs", "list"]).failure();
        fs::create_dir(bundle.state_root()).unwrap();
        // A list needs none.
        for manager in ["cgroupfs", "systemd", "disabled"] {
            bundle.call(&["--cgroup-manager", manager, "list"]).success();
        }
        let message = bundle.call(&["--cgroup-manager", "nobody", "list"]).failure();
        assert!(message.contains("nobody"), "{message}");
    });
}

#[test]
fn a_log_may_have_its_kind_in_front() {
    fails_on(&[("runc", "it knows files alone")], || {
        let bundle = Bundle::base();
        let log = bundle.home().join("log");
        bundle.call(&[&format!("--log=file:{}", log.display()), "state", "nobody"]).failure();
        assert!(fs::read_to_string(log).unwrap().contains("nobody"));
    });
}

/// What a call that fails sends to a socket at `path`, in a mount namespace of its own.
fn sent_to(path: &'static str, log: &'static str) -> String {
    let bundle = Bundle::base();
    let mut command = bundle.command(&["--log", log, "state", "nobody"]);
    command.current_dir(bundle.home());
    let seen = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        let directory = Path::new(path).parent().unwrap();
        let top = if directory.starts_with("/dev") { Path::new("/dev") } else { Path::new("/run") };
        mount(Some("log"), top, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        fs::create_dir_all(directory).unwrap();
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let output = command.stdin(Stdio::piped()).output().unwrap();
        assert!(!output.status.success());
        let mut datagram = [0; 4096];
        let size = socket.recv(&mut datagram).unwrap();
        String::from_utf8_lossy(&datagram[..size]).into_owned()
    });
    let datagram = seen.join().unwrap();
    assert!(!bundle.home().join(log).exists());
    datagram
}

#[test]
fn a_log_may_go_to_syslog() {
    fails_on(&[("runc", "it knows files alone")], || {
        let seen = sent_to("/dev/log", "syslog:box");
        // LOG_USER and LOG_ERR.
        assert!(seen.starts_with("<11>") && seen.contains("box") && seen.contains("nobody"), "{seen}");
    });
}

#[test]
fn a_log_may_go_to_the_journal() {
    fails_on(&[("runc", "it knows files alone"), ("crun", "1.8 loses the name: ID=(null)")], || {
        let seen = sent_to("/run/systemd/journal/socket", "journald:box");
        assert!(seen.contains("ID=box\n") && seen.contains("PRIORITY=3\n"), "{seen}");
        assert!(seen.contains("MESSAGE") && seen.contains("nobody"), "{seen}");
    });
}

#[test]
fn a_log_that_is_not_there_is_an_error() {
    let bundle = Bundle::base();
    fs::create_dir(bundle.state_root()).unwrap();
    let message = bundle.call(&["--log", "/nonexistent/log", "list"]).failure();
    assert!(message.contains("/nonexistent/log"), "{message}");
}
