//! `NOTIFY_SOCKET`: who starts a container hears when it is ready, and nothing else.

use std::ffi::OsString;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use runtime_tests::{Bundle, Running, fails_on, patience, wait_until};

const CRUN: (&str, &str) = ("crun", "1.8.1 binds the socket itself into the container, which may then write anything");

const RUNC: (&str, &str) = ("runc", "1.1.5 ends without a barrier: a receiver that looks for the sender finds nobody");

/// What stands above the runtime: systemd, or an engine.
struct Above {
    socket: UnixDatagram,
    address: OsString,
}

impl Above {
    fn new(bundle: &Bundle) -> Above {
        let path = bundle.home().join("above.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(patience())).unwrap();
        Above { socket, address: path.into() }
    }

    fn next(&self) -> String {
        self.next_with_descriptor().0
    }

    fn next_with_descriptor(&self) -> (String, Option<OwnedFd>) {
        let mut bytes = [0u8; 4096];
        let mut control = nix::cmsg_space!([std::os::fd::RawFd; 1]);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags).unwrap();
        let fd = message.cmsgs().unwrap().find_map(|part| match part {
            // SAFETY: a descriptor that has just been received is owned by nobody else.
            ControlMessageOwned::ScmRights(fds) => fds.first().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }),
            _ => None,
        });
        let length = message.bytes;
        (String::from_utf8(bytes[..length].to_vec()).unwrap(), fd)
    }

    fn has_heard_nothing(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let nothing = self.socket.recv(&mut [0u8; 16]).is_err();
        self.socket.set_nonblocking(false).unwrap();
        nothing
    }

    /// Lets a command hear of this.
    fn hears(&self, mut command: Command) -> Command {
        command.env("NOTIFY_SOCKET", &self.address).stdin(Stdio::null());
        command
    }
}

#[test]
fn start_waits_for_readiness_and_for_the_barrier() {
    fails_on(&[CRUN, RUNC], || {
        let bundle = Bundle::base().probe("notify STATUS=warming EVIL=1 READY=1 STOPPING=1");
        let above = Above::new(&bundle);
        bundle.finish(&mut above.hears(bundle.command_for("create", &[]))).success();
        let mut start = Running::start(&mut above.hears(bundle.command(&["start", bundle.id()])), bundle.home());
        assert_eq!(above.next(), "READY=1\n");
        let pid = bundle.call(&["state", bundle.id()]).success();
        let pid: serde_json::Value = serde_json::from_str(&pid).unwrap();
        assert_eq!(above.next(), format!("MAINPID={}\n", pid["pid"]));
        let (text, barrier) = above.next_with_descriptor();
        assert_eq!(text, "BARRIER=1");
        std::thread::sleep(Duration::from_millis(100));
        assert!(!start.has_ended(), "start did not wait for the barrier");
        drop(barrier.unwrap());
        assert_eq!(start.finish().status, 0);
        assert!(above.has_heard_nothing());
        bundle.call(&["delete", "-f", bundle.id()]).success();
        bundle.assert_nothing_left();
    });
}

#[test]
fn others_may_act_on_the_container_while_start_waits() {
    let bundle = Bundle::base().probe("notify STATUS=never");
    let above = Above::new(&bundle);
    bundle.finish(&mut above.hears(bundle.command_for("create", &[]))).success();
    let mut start = Running::start(&mut above.hears(bundle.command(&["start", bundle.id()])), bundle.home());
    wait_until("the container runs", || bundle.call(&["state", bundle.id()]).success().contains("\"running\""));
    assert!(!start.has_ended());
    assert_eq!(bundle.call(&["exec", bundle.id(), "/bin/echo", "in"]).success(), "in\n");
    bundle.call(&["kill", bundle.id(), "KILL"]).success();
    // A container that ends before it is ready has started all the same.
    assert_eq!(start.finish().status, 0);
    assert!(above.has_heard_nothing());
    bundle.call(&["delete", bundle.id()]).success();
    bundle.assert_nothing_left();
}

#[test]
fn run_in_the_foreground_stands_for_the_container() {
    fails_on(&[CRUN, ("runc", "1.1.5 waits for readiness before it relays anything")], || {
        let bundle = Bundle::base().probe("notify READY=0 READY=1");
        let above = Above::new(&bundle);
        let running = Running::start(&mut above.hears(bundle.command_for("run", &[])), bundle.home());
        assert_eq!(above.next(), "READY=1\n");
        assert_eq!(above.next(), format!("MAINPID={}\n", running.pid()));
        bundle.call(&["kill", bundle.id(), "KILL"]).success();
        assert_eq!(running.finish().status, 137);
        bundle.assert_nothing_left();
    });
}

#[test]
fn run_detached_returns_when_the_container_is_ready() {
    fails_on(&[CRUN, RUNC], || {
        let bundle = Bundle::base().probe("notify READY=1");
        let above = Above::new(&bundle);
        let running = Running::start(&mut above.hears(bundle.command_for("run", &["--detach"])), bundle.home());
        assert_eq!(above.next(), "READY=1\n");
        assert!(above.next().starts_with("MAINPID="));
        drop(above.next_with_descriptor());
        assert_eq!(running.finish().status, 0);
        bundle.call(&["delete", "-f", bundle.id()]).success();
        bundle.assert_nothing_left();
    });
}

#[test]
fn the_container_sees_its_own_socket_only_and_may_not_replace_it() {
    fails_on(&[CRUN, ("runc", "1.1.5 does not notice that the container has ended without a word")], || {
        let script = "echo $NOTIFY_SOCKET; ls /run/notify; rm /run/notify/notify.sock 2>/dev/null || echo kept";
        let bundle = Bundle::base().sh(script).with(|config| {
            config["process"]["env"] = serde_json::json!(["PATH=/bin", "NOTIFY_SOCKET=/of/the/engine"]);
        });
        let above = Above::new(&bundle);
        let output = bundle.finish(&mut above.hears(bundle.command_for("run", &[])));
        assert_eq!(output.success(), "/run/notify/notify.sock\nnotify.sock\nkept\n");
        bundle.assert_nothing_left();
    });
}

#[test]
fn a_container_with_user_ids_of_its_own_can_say_it_too() {
    fails_on(&[CRUN], || {
        let bundle = Bundle::base().probe("notify READY=1").user_namespace(100_000, 65536).with(|config| {
            config["process"]["user"] = serde_json::json!({ "uid": 1000, "gid": 1000 });
        });
        let above = Above::new(&bundle);
        let running = Running::start(&mut above.hears(bundle.command_for("run", &[])), bundle.home());
        assert_eq!(above.next(), "READY=1\n");
        bundle.call(&["kill", bundle.id(), "KILL"]).success();
        running.finish();
    });
}

#[test]
fn an_abstract_socket_is_one_too() {
    fails_on(&[CRUN], || {
        let bundle = Bundle::base().probe("notify READY=1");
        let name = format!("minirun-test-{}", bundle.id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_read_timeout(Some(patience())).unwrap();
        let above = Above { socket, address: format!("@{name}").into() };
        let running = Running::start(&mut above.hears(bundle.command_for("run", &[])), bundle.home());
        assert_eq!(above.next(), "READY=1\n");
        bundle.call(&["kill", bundle.id(), "KILL"]).success();
        running.finish();
    });
}

#[test]
fn a_socket_where_nobody_listens_is_an_error_before_anything_runs() {
    fails_on(&[CRUN, ("runc", "1.1.5 finds out when the container runs already")], || {
        let bundle = Bundle::base().args(&["/bin/echo", "ran"]);
        for (address, why) in [
            ("/nonexistent.sock", "NOTIFY_SOCKET=/nonexistent.sock: no such file or directory"),
            ("vsock:2:1", "NOTIFY_SOCKET=vsock:2:1: only unix sockets are supported"),
        ] {
            let output = bundle.finish(bundle.command_for("run", &[]).env("NOTIFY_SOCKET", address));
            assert!(!output.stdout.contains("ran"), "{}", output.stdout);
            assert!(output.stderr.contains(why), "{}", output.stderr);
            assert_eq!(output.status, 1);
            bundle.assert_nothing_left();
        }
    });
}

/// Whoever does not read keeps neither signals nor the end of the container from being seen.
#[test]
fn a_caller_that_does_not_read_holds_nothing_up() {
    fails_on(&[CRUN, ("runc", "1.1.5 writes to it before it does anything else")], || {
        let bundle = Bundle::base().probe("notify READY=1");
        let above = Above::new(&bundle);
        let filler = UnixDatagram::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        while filler.send_to(b"full", &above.address).is_ok() {}
        let mut running = Running::start(&mut above.hears(bundle.command_for("run", &[])), bundle.home());
        running.wait_for("sent to");
        bundle.call(&["kill", bundle.id(), "KILL"]).success();
        assert_eq!(running.finish().status, 137);
        bundle.assert_nothing_left();
    });
}
