//! Networks: bridges with names and published ports, by netavark and aardvark-dns, and a user's ways to the outside.

use super::{Caller, ROOT, USER};
use crate::machine;

const SERVER: &str = "box sh -c 'echo page >/srv/index.html; exec httpd -f -h /srv'";

/// A shell's loop that ends when the page is there.
fn fetch(how: &str) -> String {
    format!("until {how} 2>/dev/null | grep page; do sleep 1; done")
}

#[test]
#[ignore = "long"]
fn containers_of_root_find_each_other_by_name() {
    // Docker, where it has been started, drops what is forwarded and not its own; this chain it leaves to others.
    machine::says(
        "iptables --wait --new-chain DOCKER-USER 2>/dev/null
         for end in --source --destination; do iptables --wait --insert DOCKER-USER $end 10.89.0.0/16 --jump ACCEPT; done",
    );
    a_bridge(ROOT, 8021);
}

#[test]
#[ignore = "long"]
fn containers_of_a_user_find_each_other_by_name() {
    a_bridge(USER, 8022);
}

fn a_bridge(podman: Caller, port: u16) {
    let by_name = fetch("wget -T 20 -q -O - http://$name/");
    let [by_port, by_address] =
        ["127.0.0.1", "10.1.1.1"].map(|host| fetch(&format!("curl --silent --max-time 20 http://{host}:{port}/")));
    let seen = podman.says(&format!(
        "podman network create named >/dev/null
         podman run --detach --name serves --network named --network-alias www --publish {port}:80 {SERVER} >/dev/null
         podman run --rm --network named box sh -c 'for name in serves www; do {by_name}; done'
         {by_port}; {by_address}; podman port serves
         podman run --rm --network container:serves box ls /sys/class/net
         podman rm --force --time 0 serves; podman network rm named"
    ));
    let published = format!("80/tcp -> 0.0.0.0:{port}");
    let wanted = ["page", "page", "page", "page", &published, "eth0", "lo", "serves", "named"];
    assert_eq!(seen.lines().collect::<Vec<_>>(), wanted, "{podman:?}");
}

/// Each brings traffic in by a published port, and out to what listens on the host.
#[test]
#[ignore = "long"]
fn programs_in_place_of_a_users_network() {
    for (network, host, port) in
        [("pasta", "host.containers.internal", 8023), ("slirp4netns:allow_host_loopback=true", "10.0.2.2", 8024)]
    {
        let inwards = fetch(&format!("curl --silent --max-time 20 http://127.0.0.1:{port}/"));
        let outwards = fetch(&format!("wget -T 20 -q -O - http://{host}:1{port}/"));
        let seen = USER.says(&format!(
            "mkdir -p pages; echo page of the host >pages/index.html; busybox httpd -p 1{port} -h pages
             podman run --detach --name beside --network {network} --publish {port}:80 {SERVER} >/dev/null
             {inwards}; podman exec beside sh -c '{outwards}'
             podman rm --force --time 0 beside; pkill --full '^busybox httpd -p 1{port}'"
        ));
        assert_eq!(seen, "page\npage of the host\nbeside", "{network}");
    }
}
