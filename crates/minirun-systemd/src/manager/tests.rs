//! Tests of the client with another implementation of D-Bus at the other end of a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use minirun_plan::Origin;
use rustbus::message_builder::{MarshalledMessage, MessageBuilder};
use rustbus::wire::marshal::marshal;
use rustbus::wire::unmarshal::{unmarshal_dynamic_header, unmarshal_header};

use super::*;

/// A peer that accepts one connection and handles it with a closure.
struct Peer {
    address: Address,
    directory: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    fn new(name: &str, answers: impl FnOnce(UnixStream) + Send + 'static) -> Peer {
        let directory = std::env::temp_dir().join(format!("minirun-systemd-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let thread = Some(spawn(move || answers(listener.accept().unwrap().0)));
        Peer { address: Address { path, is_abstract: false, is_bus: false }, directory, thread }
    }

    fn connect(&self) -> std::result::Result<Manager, Cause> {
        Manager::at(
            std::slice::from_ref(&self.address),
            Instant::now() + Duration::from_secs(20),
            (Duration::ZERO, None),
            None,
        )
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            assert!(std::thread::panicking(), "the peer failed");
        }
    }
}

fn authenticate(stream: &mut UnixStream) {
    let mut greeting = [0; crate::connection::GREETING.len()];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, crate::connection::GREETING);
    stream.write_all(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n").unwrap();
}

/// Returns the method of the next call, and its serial number.
fn receive(stream: &mut UnixStream) -> (String, u32) {
    let mut bytes = vec![0; crate::message::PROLOGUE];
    stream.read_exact(&mut bytes).unwrap();
    let length = crate::message::length(bytes.first_chunk().unwrap()).unwrap();
    bytes.resize(length, 0);
    stream.read_exact(&mut bytes[crate::message::PROLOGUE..]).unwrap();
    let (start, header) = unmarshal_header(&bytes, 0).unwrap();
    let (_, fields) = unmarshal_dynamic_header(&header, &bytes, start).unwrap();
    (fields.member.unwrap(), header.serial)
}

fn send(stream: &mut UnixStream, message: &MarshalledMessage) {
    let mut bytes = Vec::new();
    marshal(message, 9, &mut bytes).unwrap();
    if message.typ == rustbus::message_builder::MessageType::Error {
        // The peer cannot write the name of an error (field 4), so it is sent as the interface (field 2).
        let at = bytes.windows(4).position(|field| field == [2, 1, b's', 0]).unwrap();
        bytes[at] = 4;
    }
    bytes.extend(message.get_buf());
    // The message is sent in two pieces, as a socket can deliver it.
    let (first, second) = bytes.split_at(bytes.len() / 2);
    stream.write_all(first).unwrap();
    stream.write_all(second).unwrap();
}

fn reply(stream: &mut UnixStream, serial: u32, text: Option<&str>) {
    let mut message = MarshalledMessage::new();
    message.typ = rustbus::message_builder::MessageType::Reply;
    message.dynheader.response_serial = Some(serial);
    if let Some(text) = text {
        let path = rustbus::wire::ObjectPath::new(text).unwrap();
        message.body.push_param(path).unwrap();
    }
    send(stream, &message);
}

fn removed(stream: &mut UnixStream, job: &str, unit: &str, result: &str) {
    let mut message = MessageBuilder::new().signal(MANAGER, "JobRemoved", MANAGER_PATH).build();
    let job = rustbus::wire::ObjectPath::new(job).unwrap();
    message.body.push_param4(1u32, job, unit, result).unwrap();
    send(stream, &message);
}

fn refuse(stream: &mut UnixStream, serial: u32, name: &str, text: &str) {
    let mut message = MarshalledMessage::new();
    message.typ = rustbus::message_builder::MessageType::Error;
    message.dynheader.response_serial = Some(serial);
    message.dynheader.interface = Some(name.to_owned());
    message.body.push_param(text).unwrap();
    send(stream, &message);
}

fn property() -> Vec<Property> {
    vec![Property { name: "TasksMax".into(), value: Value::Uint64(5), origin: Origin::default() }]
}

#[test]
fn a_unit_has_started_when_its_job_is_done() {
    let peer = Peer::new("start", |mut stream| {
        authenticate(&mut stream);
        let (method, serial) = receive(&mut stream);
        assert_eq!(method, "StartTransientUnit");
        removed(&mut stream, "/job/1", "b.scope", "failed");
        // The end of this job, and of another one, can arrive before the answer.
        removed(&mut stream, "/job/2", "a.scope", "canceled");
        removed(&mut stream, "/job/3", "a.scope", "done");
        reply(&mut stream, serial + 7, Some("/job/2"));
        reply(&mut stream, serial, Some("/job/3"));
        let (method, serial) = receive(&mut stream);
        assert_eq!(method, "StartTransientUnit");
        reply(&mut stream, serial, Some("/job/4"));
        removed(&mut stream, "/job/4", "a.scope", "failed");
    });
    let mut manager = peer.connect().unwrap();
    manager.start("a.scope", &property()).unwrap();
    let error = manager.start("a.scope", &property()).unwrap_err();
    assert_eq!(error.to_string(), "start unit a.scope: systemd's job ended with \"failed\"");
}

#[test]
fn a_missing_unit_counts_as_stopped() {
    let peer = Peer::new("stop", |mut stream| {
        authenticate(&mut stream);
        for name in ["NoSuchUnit", "AccessDenied"] {
            let (method, serial) = receive(&mut stream);
            assert_eq!(method, "StopUnit");
            refuse(&mut stream, serial, &format!("org.freedesktop.systemd1.{name}"), "Words.");
        }
        let (method, serial) = receive(&mut stream);
        assert_eq!(method, "GetUnit");
        refuse(&mut stream, serial, "org.freedesktop.systemd1.NoSuchUnit", "");
    });
    let mut manager = peer.connect().unwrap();
    manager.stop("a.scope").unwrap();
    assert_eq!(manager.stop("a.scope").unwrap_err().to_string(), "stop unit a.scope: systemd refuses: Words");
    assert_eq!(manager.scope("a.scope"), Ok(None));
}

#[test]
fn a_peer_that_closes_or_sends_invalid_data_is_an_error() {
    type Talk = fn(&mut UnixStream);
    let rows: [(&str, Talk, &str); 6] = [
        ("leaves", |stream| stream.shutdown(std::net::Shutdown::Write).unwrap(), "broke: it was closed"),
        ("rejects", |stream| stream.write_all(b"REJECTED EXTERNAL\r\n").unwrap(), "REJECTED"),
        ("babbles", |stream| drop(stream.write_all(&[b'x'; 3000])), "authentication has no end"),
        ("order", |stream| stream.write_all(b"OK 0\r\nxxxxxxxxxxxxxxxx").unwrap(), "byte order"),
        ("version", |stream| stream.write_all(b"OK 0\r\nl\x04\x00\x02xxxxxxxxxxxx").unwrap(), "version"),
        ("length", |stream| stream.write_all(b"OK 0\r\nl\x04\x00\x01\xff\xff\xff\xffxxxxxxxx").unwrap(), "too long"),
    ];
    for (name, talk, words) in rows {
        let peer = Peer::new(name, move |mut stream| {
            let mut greeting = [0; crate::connection::GREETING.len()];
            stream.read_exact(&mut greeting).unwrap();
            talk(&mut stream);
            // What is sent is read, or the other end would hear of that rather than of the words.
            let _ = stream.read(&mut [0; 4096]);
        });
        let failed = |cause| Error::new("ask", cause);
        let outcome = peer.connect().map_err(failed).and_then(|mut manager| manager.start("a.scope", &[]));
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains(words), "{name}: {text}");
    }
}

/// systemd re-executes itself: for a moment no socket accepts.
#[test]
fn connect_waits_for_a_restart() {
    let peer = Peer::new("restart", |mut stream| {
        let mut greeting = [0; crate::connection::GREETING.len()];
        stream.read_exact(&mut greeting).unwrap();
    });
    let path = peer.address.path.clone();
    let again = spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        std::fs::remove_file(&path).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        authenticate(&mut UnixListener::bind(&path).unwrap().accept().unwrap().0);
    });
    let soon = Instant::now() + Duration::from_secs(20);
    Manager::at(std::slice::from_ref(&peer.address), soon, (Duration::from_secs(20), None), None).unwrap();
    again.join().unwrap();
}

/// systemd re-executes itself during a request: the request is repeated.
#[test]
fn a_request_interrupted_by_a_restart_is_repeated() {
    let directory = std::env::temp_dir().join(format!("minirun-systemd-{}-again", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let peer = spawn(move || {
        for last in [false, true] {
            let mut stream = listener.accept().unwrap().0;
            authenticate(&mut stream);
            let (method, serial) = receive(&mut stream);
            assert_eq!(method, "StartTransientUnit");
            if last {
                reply(&mut stream, serial, Some("/job/1"));
                removed(&mut stream, "/job/1", "a.scope", "done");
            }
        }
    });
    let address = Address { path, is_abstract: false, is_bus: false };
    let mut manager =
        Manager::at(&[address], Instant::now() + Duration::from_secs(20), (Duration::ZERO, None), None).unwrap();
    manager.start("a.scope", &property()).unwrap();
    peer.join().unwrap();
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn unreachable_and_silent_sockets_are_errors() {
    let addresses =
        ["/nowhere/a", "/dev/null"].map(|path| Address { path: path.into(), is_abstract: false, is_bus: false });
    let soon = || Instant::now() + Duration::from_millis(50);
    let cause = Manager::at(&addresses, soon(), (Duration::ZERO, None), None).unwrap_err();
    let text = Error::new("ask systemd", cause).to_string();
    assert!(text.contains("/nowhere/a: no such file or directory; /dev/null: "), "{text}");

    let directory = std::env::temp_dir().join(format!("minirun-systemd-{}-silent", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("socket");
    // The connection succeeds, but is never read.
    let _listener = UnixListener::bind(&path).unwrap();
    let address = Address { path: path.clone(), is_abstract: false, is_bus: false };
    let cause = Manager::at(&[address], soon(), (Duration::ZERO, None), None).unwrap_err();
    assert_eq!(cause, Cause::Silent(path, PATIENCE));
    std::fs::remove_dir_all(directory).unwrap();
}

/// A signal that asks the program to end makes such a descriptor readable.
#[test]
fn every_wait_can_be_interrupted() {
    let (interruptions, mut signal) = std::io::pipe().unwrap();
    let peer = Peer::new("interrupted", move |mut stream| {
        authenticate(&mut stream);
        receive(&mut stream);
        signal.write_all(b"x").unwrap();
        // No answer until the other side has gone.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let mut manager = peer.connect().unwrap();
    manager.interrupted_by(Rc::new(interruptions.into()));
    let start = Instant::now();
    let error = manager.start("x.scope", &[]).unwrap_err();
    assert_eq!(error.cause, Cause::Interrupted);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(manager);
}
