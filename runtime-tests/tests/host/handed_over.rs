//! What a caller is given besides an exit status: pidfds, its streams back, orphans.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use runtime_tests::engine::{adopted, all_adopted, as_monitor, pid_in, pipe};
use runtime_tests::{Bundle, Receiver, Running, fails_on, may_fail_on};
use serde_json::{Value, json};

#[test]
fn a_pidfd_of_init_is_sent() {
    let known = [("crun", "1.8.1 is older than this option"), ("runc", "1.1 is older than this option")];
    for verb in ["create", "run"] {
        let bundle = Bundle::base().probe("pause");
        let receiver = Receiver::at(&bundle.home().join("pidfd"));
        fails_on(&known, || {
            let options = ["--pidfd-socket", receiver.argument(), "--detach"];
            let options = if verb == "run" { &options[..] } else { &options[..2] };
            bundle.finish(&mut bundle.command_for(verb, options)).success();
            let (pidfd, payload) = receiver.take();
            assert_eq!(payload, "standard");
            let info = format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&pidfd));
            let info = fs::read_to_string(info).unwrap();
            let state: Value = serde_json::from_str(&bundle.call(&["state", bundle.id()]).success()).unwrap();
            assert!(info.contains(&format!("\nPid:\t{}\n", state["pid"])), "{info}");
        });
    }
}

/// A bundle with a user who is not root.
fn with_user() -> Bundle {
    Bundle::base().with(|config| config["process"]["user"] = json!({"uid": 1234, "gid": 1234}))
}

/// Pipes are given to the user, who could not open them again otherwise; files and the null device are not.
#[test]
fn streams_belong_to_the_user_unless_they_outlast_the_container() {
    let bundle = with_user();
    let (path, file) = (bundle.home().join("fifo"), bundle.home().join("file"));
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let fifo = File::options().read(true).write(true).open(&path).unwrap();
    let owner = |path: &str| fs::metadata(path).unwrap().uid();
    let null = owner("/dev/null");
    let mut command = bundle.command_for("run", &[]);
    command.stdin(Stdio::null()).stdout(fifo).stderr(File::create(&file).unwrap());
    assert!(command.status().unwrap().success());
    assert_eq!(owner("/dev/null"), null);
    may_fail_on(&[("runc", "1.1 stands between, and passes on what is written")], || {
        assert_eq!(owner(path.to_str().unwrap()), 1234);
    });
    may_fail_on(&[("runc", "1.1 gives files away for good"), ("crun", "gives files away for good")], || {
        assert_eq!(owner(file.to_str().unwrap()), 0);
    });
}

/// A stream that cannot be given away is used as it is.
#[test]
fn a_stream_that_cannot_be_given_away_is_no_error() {
    for source in ["/proc/self/mounts", "/sys/kernel/notes"] {
        let bundle = with_user().sh("echo fine");
        let mut command = bundle.command_for("run", &[]);
        command.stdin(File::open(source).unwrap());
        assert_eq!(Running::start(&mut command, bundle.home()).finish().success(), "fine\n", "{source}");
    }
}

/// The parent of an orphan that a container in the host's pid namespace has while its init goes on; the call's pid.
fn parent_of_an_orphan(options: &[&str]) -> (i32, i32) {
    let script = "(sleep 1000 & echo orphan=$!); exec sleep 1000";
    let bundle = Bundle::base().namespace("pid", None).sh(script);
    let mut run = Running::start(bundle.command_for("run", options).stdin(Stdio::null()), bundle.home());
    run.wait_for("\n");
    let orphan = run.stdout().trim().replace("orphan=", "");
    let mut parent = String::new();
    runtime_tests::wait_until("the end of the orphan's parent", || {
        let status = fs::read_to_string(format!("/proc/{orphan}/status")).unwrap();
        parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().to_owned();
        fs::read_to_string(format!("/proc/{parent}/cmdline")).unwrap_or_default().find("orphan=").is_none()
    });
    bundle.call(&["delete", "-f", bundle.id()]).success();
    let call = run.pid();
    run.finish();
    (parent.parse().unwrap(), call)
}

#[test]
fn run_adopts_orphans_unless_it_shall_not() {
    as_monitor(|| {
        may_fail_on(&[("crun", "1.8.1 adopts none, and leaves the call before its orphans")], || {
            let (parent, call) = parent_of_an_orphan(&[]);
            assert_eq!(parent, call);
            let (parent, _) = parent_of_an_orphan(&["--no-subreaper"]);
            assert_eq!(parent, std::process::id() as i32);
            all_adopted();
        });
    });
}

/// What `exec` starts belongs to whoever adopts it, with its status, also when its container ends first.
#[test]
fn a_further_process_is_adopted_with_its_status() {
    as_monitor(|| {
        let bundle = Bundle::base().probe("pause");
        bundle.try_create().success();
        bundle.call(&["start", bundle.id()]).success();
        let file = bundle.home().join("exec.pid");
        for (script, status) in [("exit 5", 5), ("kill -9 $$", 137), ("exec sleep 1000", 137)] {
            let option = format!("--pid-file={}", file.display());
            bundle.call(&["exec", "-d", &option, bundle.id(), "sh", "-c", script]).success();
            if script.contains("sleep") {
                bundle.call(&["kill", bundle.id(), "KILL"]).success();
            }
            // The first process of a pid namespace is not gone before this one was waited for.
            assert_eq!(adopted(pid_in(&file)), status, "{script}");
        }
        bundle.call(&["delete", "-f", bundle.id()]).success();
        all_adopted();
        bundle.assert_nothing_left();
    });
}

/// No end of a pipe stays with anybody once the container is gone.
#[test]
fn the_streams_are_closed_with_the_container() {
    let bundle = Bundle::base().sh("sleep 1000 & sleep 1000");
    let (read, write) = pipe();
    let mut command = bundle.command_for("create", &[]);
    assert!(command.stdout(write.try_clone().unwrap()).stderr(write).status().unwrap().success());
    drop(command);
    bundle.call(&["start", bundle.id()]).success();
    bundle.call(&["delete", "-f", bundle.id()]).success();
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut File::from(read), &mut rest).unwrap();
    assert_eq!(rest, b"");
}
