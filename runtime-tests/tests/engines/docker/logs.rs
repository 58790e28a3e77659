//! Log drivers.

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::{Named, docker, fs, inspect, says, wait_until};

#[test]
#[ignore = "long"]
fn json_files_are_rotated() {
    let _docker = docker();
    let _named = Named(&["rotates"]);
    says("docker run --name rotates --log-opt max-size=2k --log-opt max-file=2 box seq 200");
    let path = inspect("rotates", ".LogPath");
    wait_until("a second file", || fs::exists(format!("{path}.1")).unwrap());
    assert!(fs::metadata(&path).unwrap().len() <= 2048);
    assert_eq!(says("docker logs --tail 1 rotates"), "200");
}

#[test]
#[ignore = "long"]
fn syslog_gets_lines() {
    let _docker = docker();
    let _ = fs::remove_file("/run/engines/syslog");
    let socket = UnixDatagram::bind("/run/engines/syslog").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
    says(
        "docker run --rm --log-driver syslog --log-opt syslog-address=unixgram:///run/engines/syslog --log-opt tag=tagged box echo line-of-syslog",
    );
    let mut line = [0; 1024];
    let length = socket.recv(&mut line).unwrap();
    let line = String::from_utf8_lossy(&line[..length]).into_owned();
    assert!(line.contains("tagged") && line.contains("line-of-syslog"), "{line}");
}

#[test]
#[ignore = "long"]
fn fluentd_gets_records() {
    let _docker = docker();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reader = std::thread::spawn(move || {
        let (mut seen, mut buffer) = (String::new(), [0; 1024]);
        // dockerd tries the address before it makes the container.
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                seen += &String::from_utf8_lossy(&buffer[..length]);
                if seen.contains("line-of-fluentd") {
                    return seen;
                }
            }
        }
        seen
    });
    says(&format!("docker run --rm --log-driver fluentd --log-opt fluentd-address={address} box echo line-of-fluentd"));
    let seen = reader.join().unwrap();
    assert!(seen.contains("container_id"), "{seen}");
}
