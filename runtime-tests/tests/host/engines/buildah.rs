//! Buildah: it adopts the container's process, waits for it itself, and asks for the state meanwhile.

use std::process::Stdio;

use runtime_tests::engine::{adopted, as_monitor, pid_in};
use runtime_tests::{Bundle, Receiver, Terminal, may_fail_on};

use super::{Engine, quiet};

const CREATE: [&str; 5] = ["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/pid"];

fn buildah(bundle: Bundle) -> Engine {
    Engine::new(bundle, &["--root", "ROOT"])
}

#[test]
fn a_whole_life() {
    as_monitor(|| {
        let buildah = buildah(Bundle::base().sh("sleep 0.3; exit 7"));
        let output = buildah.call(&[&CREATE[..], &["ID"]].concat());
        output.success();
        quiet(buildah.call(&["start", "ID"]));
        let init = pid_in(buildah.file("pid"));
        // Between `start` and the end it accepts no status but these two.
        loop {
            match buildah.status().as_str() {
                "running" => std::thread::sleep(std::time::Duration::from_millis(10)),
                "stopped" => break,
                other => panic!("container status unexpectedly changed to {other}"),
            }
        }
        // Stopped, though the process is there until it is waited for.
        assert_eq!(adopted(init), 7);
        quiet(buildah.call(&["delete", "ID"]));
        buildah.bundle.assert_nothing_left();
    });
}

/// After `start` it wants to see `running` or `stopped`, however soon it asks.
#[test]
fn a_started_container_is_never_created() {
    as_monitor(|| {
        for _ in 0..20 {
            let buildah = buildah(Bundle::base());
            buildah.call(&[&CREATE[..], &["ID"]].concat()).success();
            quiet(buildah.call(&["start", "ID"]));
            let status = buildah.status();
            may_fail_on(&[("runc", "removes its fifo a moment later")], || {
                assert!(["running", "stopped"].contains(&status.as_str()), "{status}");
            });
            assert_eq!(adopted(pid_in(buildah.file("pid"))), 0);
            quiet(buildah.call(&["delete", "ID"]));
        }
    });
}

/// `buildah run --terminal`, and a person who gives up: `kill` without a signal.
#[test]
fn a_terminal_and_a_kill_without_a_signal() {
    as_monitor(|| {
        let bundle = Bundle::base().with(|config| config["process"]["terminal"] = true.into()).probe("signals");
        let buildah = buildah(bundle);
        let socket = Receiver::at(&buildah.bundle.home().join("console"));
        let mut create = buildah.command(&[&CREATE[..], &["--console-socket", socket.argument(), "ID"]].concat());
        let mut create = create.stdout(Stdio::null()).spawn().unwrap();
        let mut terminal = Terminal::of(socket.take().0);
        assert!(create.wait().unwrap().success());
        quiet(buildah.call(&["start", "ID"]));
        terminal.wait_for("ready");
        quiet(buildah.call(&["kill", "ID"]));
        terminal.wait_for("signal=15");
        assert_eq!(adopted(pid_in(buildah.file("pid"))), 7);
        quiet(buildah.call(&["delete", "ID"]));
        buildah.bundle.assert_nothing_left();
    });
}
