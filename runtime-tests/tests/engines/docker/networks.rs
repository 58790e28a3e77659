//! Networks of every kind that Docker has on one host.

use super::{Named, docker, says, sh, wait_until};

/// Removes networks of these names, when their containers have gone.
struct Networks(&'static str);

impl Drop for Networks {
    fn drop(&mut self) {
        sh(&format!("docker network rm {}", self.0));
    }
}

const SERVER: &str = "box sh -c 'echo page >/srv/index.html; exec httpd -f -h /srv'";

#[track_caller]
fn fetches(from: &str, host: &str) {
    wait_until(&format!("{from} to reach {host}"), || {
        sh(&format!("docker exec {from} wget -T 20 -q -O - http://{host}/")).stdout == "page\n"
    });
}

#[test]
#[ignore = "long"]
fn containers_find_each_other_by_name() {
    let _docker = docker();
    let _networks = Networks("named other");
    let _named = Named(&["serves", "asks", "links"]);
    says("docker network create named && docker network create other");
    says(&format!("docker run -d --name serves --network named --network-alias www {SERVER}"));
    says("docker run -d --name asks --network named box sleep 1000");
    fetches("asks", "serves");
    fetches("asks", "www");
    says("docker network disconnect named asks && docker network connect other asks");
    assert_ne!(sh("docker exec asks wget -T 5 -q -O - http://serves/").status, 0);
    says("docker network connect --alias again other serves");
    fetches("asks", "again");
}

#[test]
#[ignore = "long"]
fn ports_are_published() {
    let _docker = docker();
    let _named = Named(&["publishes", "links"]);
    says(&format!("docker run -d --name publishes -p 8012:80 --expose 81 -P {SERVER}"));
    for host in ["127.0.0.1", "10.1.1.1"] {
        wait_until(host, || sh(&format!("curl -s http://{host}:8012/")).stdout == "page\n");
    }
    assert_eq!(says("docker port publishes | grep -c ^81/tcp"), "2");
    says("docker run -d --name links --link publishes:linked box sleep 1000");
    fetches("links", "linked");
}

#[test]
#[ignore = "long"]
fn networks_of_others_and_none() {
    let _docker = docker();
    let _named = Named(&["owns", "shares"]);
    assert_eq!(says("docker run --rm --network none box ls /sys/class/net"), "lo");
    assert!(says("docker run --rm --network host box ls /sys/class/net").contains("dummy0"));
    says(&format!("docker run -d --name owns --ipc shareable {SERVER}"));
    says("docker run -d --name shares --network container:owns box sleep 1000");
    fetches("shares", "127.0.0.1");
    says("docker run --rm --pid container:owns --ipc container:owns box pidof httpd");
}

#[test]
#[ignore = "long"]
fn macvlan_has_an_address_of_its_own() {
    let _docker = docker();
    let _networks = Networks("beside");
    let _named = Named(&["beside-a", "beside-b"]);
    says("docker network create -d macvlan --subnet 10.1.1.0/24 --gateway 10.1.1.2 -o parent=dummy0 beside");
    says(&format!("docker run -d --name beside-a --network beside --ip 10.1.1.11 {SERVER}"));
    says("docker run -d --name beside-b --network beside --ip 10.1.1.12 box sleep 1000");
    fetches("beside-b", "10.1.1.11");
}
