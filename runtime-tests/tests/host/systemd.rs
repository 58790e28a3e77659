//! The systemd cgroup driver where there is no systemd, or one that does not answer. What it does with one that does is
//! tested on a machine that has one (tests/systemd.rs).

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use runtime_tests::{Bundle, Output, Running, fails_on};

/// Creates a container by systemd, whose directory in /run this call sees as the script makes it.
fn create_with(bundle: &Bundle, script: &str) -> Running {
    let create = bundle.command_for("create", &[]);
    let script = format!("mount -t tmpfs none /run; mkdir /run/systemd; {script}; exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", &script, "sh"]);
    command.arg(create.get_program()).args(create.get_args()).env_remove("DBUS_SYSTEM_BUS_ADDRESS");
    Running::start(&mut command, bundle.home())
}

fn refused(bundle: &Bundle, output: Output, words: &[&str]) {
    let message = output.failure();
    for words in words {
        assert!(message.contains(words), "no {words:?} in {message}");
    }
    bundle.assert_nothing_left();
}

const PEERS: [(&str, &str); 2] = [("runc", "it has other words"), ("crun", "it has --cgroup-manager, and other words")];

#[test]
fn without_systemd_the_sockets_that_were_tried_are_named() {
    fails_on(&PEERS, || {
        let bundle = Bundle::base().globals(&["--systemd-cgroup"]);
        let words = ["systemd cannot be reached: /run/systemd/private: ", "; /run/dbus/system_bus_socket: "];
        refused(&bundle, create_with(&bundle, "true").finish(), &words);
        refused(&bundle, create_with(&bundle, "touch /run/systemd/private").finish(), &words);
    });
}

/// Half a minute, and then an error that says so: the container's directory would stay locked for ever.
#[test]
fn a_systemd_that_does_not_answer_is_waited_for_half_a_minute() {
    fails_on(&PEERS, || {
        let bundle = Bundle::base().globals(&["--systemd-cgroup"]);
        let socket = bundle.home().join("silent");
        // Whoever connects is not even accepted.
        let _listener = UnixListener::bind(&socket).unwrap();
        let link = format!("ln -s {} /run/systemd/private", socket.display());
        let start = Instant::now();
        let mut call = create_with(&bundle, &link);
        while start.elapsed() < Duration::from_secs(40) && !call.has_ended() {
            std::thread::sleep(Duration::from_millis(50));
        }
        refused(&bundle, call.finish(), &["systemd did not answer on /run/systemd/private within 30 s"]);
        assert!(start.elapsed() > Duration::from_secs(29), "{:?}", start.elapsed());
    });
}

/// It accepts the connection and says nothing more; no one answers when the creation is undone.
#[test]
fn a_systemd_that_does_not_answer_any_more_is_not_waited_for_after_a_signal() {
    fails_on(&PEERS, || {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            let bundle = Bundle::base().globals(&["--systemd-cgroup"]);
            let socket = bundle.home().join("silent");
            let listener = UnixListener::bind(&socket).unwrap();
            let call = create_with(&bundle, &format!("ln -s {} /run/systemd/private", socket.display()));
            let (mut stream, _) = listener.accept().unwrap();
            drop(listener);
            stream.read_exact(&mut [0; "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n".len()]).unwrap();
            stream.write_all(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n").unwrap();
            // The first call, for a unit.
            stream.read_exact(&mut [0; 16]).unwrap();
            call.end_by(signal);
            bundle.assert_nothing_left();
        }
    });
}
