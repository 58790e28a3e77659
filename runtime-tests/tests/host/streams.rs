//! What passes between the caller and the program: standard streams, descriptors, signals, the pid file.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime_tests::{Bundle, Running, fails_on, may_fail_on};

#[test]
fn the_streams_are_the_callers() {
    let output = Bundle::base().sh("echo out; echo err >&2").run();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn standard_input_reaches_the_program() {
    let bundle = Bundle::base().args(&["/bin/cat"]);
    let mut command = bundle.command_for("run", &[]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through\0the container").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"through\0the container");
}

#[test]
fn a_closed_standard_input_does_no_harm() {
    let bundle = Bundle::base().sh("echo fine");
    let mut command = bundle.command_for("run", &[]);
    // SAFETY: between fork and exec the closure makes one system call.
    unsafe { command.pre_exec(|| nix::unistd::close(0).map_err(Into::into)) };
    let output = bundle.finish(&mut command);
    fails_on(&[("crun", "1.8.1 wants to own every stream: fchown fails")], || assert_eq!(output.success(), "fine\n"));
}

#[test]
fn the_pid_file_holds_digits_only() {
    let bundle = Bundle::base().probe("pause");
    let file = bundle.home().join("pid");
    bundle.finish(&mut bundle.command_for("create", &["--pid-file", file.to_str().unwrap()])).success();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()), "{text:?}");
    let state = bundle.call(&["state", bundle.id()]).success();
    assert!(state.contains(&text), "{state} does not hold {text}");
}

#[test]
fn a_relative_pid_file_counts_from_the_caller() {
    let bundle = Bundle::base().probe("pause");
    bundle.finish(bundle.command_for("create", &["--pid-file=pid"]).current_dir(bundle.home())).success();
    fails_on(&[("crun", "1.8.1 has changed to the bundle before it opens the file")], || {
        assert!(bundle.home().join("pid").exists());
    });
}

#[test]
fn run_forwards_signals() {
    let bundle = Bundle::base().probe("signals");
    let mut running = bundle.run_in_background();
    running.wait_for("ready");
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGCONT] {
        kill(Pid::from_raw(running.pid()), signal).unwrap();
        running.wait_for(&format!("signal={}\n", signal as i32));
    }
    kill(Pid::from_raw(running.pid()), Signal::SIGTERM).unwrap();
    assert_eq!(running.finish().status, 7);
}

#[test]
fn only_the_streams_are_open() {
    let fds = Bundle::base().probe("fds").run().success();
    assert_eq!(numbers(&fds), [0, 1, 2], "{fds}");
}

#[test]
fn descriptors_of_the_caller_do_not_leak() {
    let fds = with_descriptors(&[3, 4, 9], &[]).success();
    assert_eq!(numbers(&fds), [0, 1, 2], "{fds}");
}

#[test]
fn preserved_descriptors_are_passed() {
    let fds = with_descriptors(&[3, 4, 5], &["--preserve-fds", "2"]).success();
    assert_eq!(numbers(&fds), [0, 1, 2, 3, 4], "{fds}");
    assert!(fds.contains("passwd"), "they are the caller's: {fds}");
}

#[test]
fn a_preserved_descriptor_that_is_not_open_is_an_error() {
    fails_on(&[("crun", "1.8.1 does not look")], || {
        let message = with_descriptors(&[3], &["--preserve-fds=90"]).failure();
        assert!(message.contains("unable to stat preserved-fd") && message.contains("(of 90)"), "{message}");
    });
}

#[test]
fn sockets_of_an_activating_caller_are_passed() {
    let script = "/bin/probe fds; echo LISTEN_FDS=$LISTEN_FDS LISTEN_PID=$LISTEN_PID; echo NAMES=$LISTEN_FDNAMES";
    let bundle = Bundle::base().sh(script);
    let file = std::fs::File::open(bundle.rootfs().join("etc/passwd")).unwrap();
    let call = bundle.command_for("run", &[]);
    // The variables count only for the process that they name, so the shell becomes the runtime.
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=web; exec \"$@\"", "sh"])
        .arg(call.get_program());
    place(command.args(call.get_args()).stdin(Stdio::null()), &file, &[3]);
    let output = bundle.finish(&mut command).success();
    assert!(output.contains("\n3="), "{output}");
    fails_on(&[("crun", "1.8.1 passes the descriptors without the variable")], || {
        assert!(output.contains("LISTEN_FDS=1 LISTEN_PID=1"), "{output}");
    });
    let older = "of this age passes the descriptors without their names";
    may_fail_on(&[("runc", older), ("crun", older)], || assert!(output.contains("NAMES=web\n"), "{output}"));
}

#[test]
fn a_program_that_keeps_the_output_open_does_not_hold_up_create() {
    // The call comes back while the container's process still has the caller's streams.
    let container = Bundle::base().probe("pause").create();
    container.start();
    assert_eq!(container.status(), "running");
}

#[test]
fn an_ignored_signal_is_not_ignored_in_the_container() {
    let bundle = Bundle::base()
        .sh("/bin/cat /proc/self/status | while read k v; do case $k in SigIgn:|SigBlk:) echo $k$v;; esac; done");
    let mut command = bundle.command_for("run", &[]);
    // SAFETY: between fork and exec the closure makes plain system calls.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGUSR1, libc::SIG_IGN);
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            Ok(())
        });
    }
    let seen = bundle.finish(&mut command).success();
    let masks = seen.lines().map(|line| line.split(':').nth(1).unwrap());
    for mask in masks {
        assert_eq!(u64::from_str_radix(mask, 16).unwrap() & (1 << 9 | 1 << 12), 0, "{seen}");
    }
}

#[test]
fn errors_also_go_to_the_log_as_json() {
    let bundle = Bundle::base().args(&["/nonexistent"]);
    bundle.write();
    let log = bundle.home().join("log.json");
    let mut command = bundle.command(&["--log", log.to_str().unwrap(), "--log-format=json", "create", "-b"]);
    bundle.finish(command.arg(bundle.path()).arg(bundle.id())).failure();
    let text = std::fs::read_to_string(&log).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error");
    assert!(last["msg"].as_str().unwrap().contains("/nonexistent"));
    assert!(last["time"].as_str().unwrap().contains('T'));
}

/// Runs `probe fds` with files at the given descriptors of the runtime.
fn with_descriptors(numbers: &[i32], options: &[&str]) -> runtime_tests::Output {
    let bundle = Bundle::base().probe("fds");
    let file = std::fs::File::open(bundle.rootfs().join("etc/passwd")).unwrap();
    let mut command = bundle.command_for("run", options);
    place(&mut command, &file, numbers);
    Running::start(&mut command, bundle.home()).finish()
}

/// Puts a file at the given descriptors of a command, and closes those between.
fn place(command: &mut Command, file: &std::fs::File, numbers: &[i32]) {
    let (source, numbers) = (file.as_raw_fd(), numbers.to_vec());
    // SAFETY: between fork and exec the closure makes plain system calls on numbers and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            let source = libc::fcntl(source, libc::F_DUPFD_CLOEXEC, 100);
            for number in 3..10 {
                match numbers.contains(&number) {
                    true => libc::dup2(source, number),
                    // Not closed: the standard library's own descriptor may be among them.
                    false => libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC),
                };
            }
            Ok(())
        });
    }
}

fn numbers(fds: &str) -> Vec<u32> {
    fds.lines().filter_map(|line| line.split('=').next()?.parse().ok()).collect()
}
