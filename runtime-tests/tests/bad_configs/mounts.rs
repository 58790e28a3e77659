//! `mounts`.

use serde_json::{Value, json};

use crate::{Bad, CRUN, NONE, bad};

pub fn rows() -> Vec<Bad> {
    let mount = |destination: &str| json!([{"destination": destination, "type": "tmpfs", "source": "tmpfs"}]);
    let overlay = |options: Value| json!({"destination": "/", "type": "overlay", "options": options});
    vec![
        bad("mounts", "/mounts", json!({}), NONE),
        bad("mounts[0].destination", "/mounts", json!([{"type": "tmpfs", "source": "tmpfs"}]), NONE),
        bad("mounts[0].destination", "/mounts", mount(""), NONE),
        bad("mounts[0].source", "/mounts", json!([{"destination": "/mnt", "type": "bind", "options": ["bind"]}]), NONE),
        bad("mounts[0].options", "/mounts", json!([{"destination": "/mnt", "type": "tmpfs", "options": "ro"}]), CRUN),
        bad(
            "mounts[0]",
            "/mounts",
            json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind"],
                    "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]),
            NONE,
        ),
        bad("mounts[0].destination", "/mounts", mount("a\0b"), NONE),
        bad("mounts[0].destination", "/mounts", mount("/"), NONE),
        bad("mounts[0].destination", "/mounts", mount("/proc/self"), NONE),
        bad("mounts[0].destination", "/mounts", mount("/mnt/../proc/1"), NONE),
        bad(
            "mounts[0].destination",
            "/mounts",
            json!([{"destination": "/proc", "type": "bind", "source": "/tmp", "options": ["bind"]}]),
            NONE,
        ),
        bad("mounts[0].type", "/mounts", json!([{"destination": "/mnt"}]), NONE),
        bad("mounts[0].type", "/mounts", json!([{"destination": "/mnt", "type": "", "source": "x"}]), NONE),
        bad("mounts[0].type", "/mounts", json!([{"destination": "/mnt", "type": "tmp\0fs"}]), NONE),
        bad("mounts[0]", "/mounts", json!([{"destination": "/mnt", "type": "nosuchfs"}]), NONE),
        bad("mounts[0].source", "/mounts", json!([{"destination": "/mnt", "type": "tmpfs", "source": "a\0b"}]), NONE),
        bad("mounts[0].source", "/mounts", json!([{"destination": "/mnt", "type": "bind", "source": "a\0b"}]), NONE),
        bad("mounts[0].source", "/mounts", json!([{"destination": "/mnt", "type": "bind", "source": ""}]), NONE),
        bad("mounts[0]", "/mounts", json!([{"destination": "/mnt", "type": "bind", "source": "/nosuch"}]), NONE),
        bad(
            "mounts[0].options[1]",
            "/mounts",
            json!([{"destination": "/mnt", "type": "tmpfs", "options": ["ro", "a\0b"]}]),
            NONE,
        ),
        bad(
            "mounts[0].options[1]",
            "/mounts",
            json!([{"destination": "/mnt", "type": "tmpfs", "options": ["ro", 7]}]),
            NONE,
        ),
        bad(
            "mounts[0].options[1]",
            "/mounts",
            json!([{"destination": "/mnt", "type": "tmpfs", "options": ["ro", "nosuch=1"]}]),
            NONE,
        ),
        bad(
            "mounts[0].options[0]",
            "/mounts",
            json!([{"destination": "/mnt", "type": "tmpfs", "options": ["size=much"]}]),
            NONE,
        ),
        bad(
            "mounts[0].options[1]",
            "/mounts",
            json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind", "size=1"]}]),
            NONE,
        ),
        bad(
            "mounts[0].options",
            "/mounts",
            json!([{"destination": "/mnt", "type": "tmpfs", "options": ["copy-symlink"]}]),
            CRUN,
        ),
        bad(
            "mounts[0].options",
            "/mounts",
            json!([{"destination": "/mnt", "type": "tmpfs", "options": ["remount", "tmpcopyup"]}]),
            NONE,
        ),
        bad(
            "mounts[0].options",
            "/mounts",
            json!([{"destination": "/mnt", "type": "proc", "options": ["tmpcopyup"]}]),
            NONE,
        ),
        bad(
            "mounts[0].options",
            "/mounts",
            json!([{"destination": "/mnt", "type": "cgroup", "options": ["nsdelegate"]}]),
            NONE,
        ),
        bad("mounts[0]", "/mounts", json!([{"destination": "/mnt", "type": "tmpfs", "options": ["idmap"]}]), NONE),
        bad(
            "mounts[0]",
            "/mounts",
            json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["idmap"]}]),
            NONE,
        ),
        bad(
            "mounts[0]",
            "/mounts",
            json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind"], "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]),
            NONE,
        ),
        bad(
            "mounts[0].uidMappings",
            "/mounts",
            json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind"], "uidMappings": [], "gidMappings": []}]),
            NONE,
        ),
        bad(
            "mounts[0].uidMappings[0].hostID",
            "/mounts",
            json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind"], "uidMappings": [{"containerID": 0, "size": 1}], "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]),
            NONE,
        ),
        bad(
            "mounts[0].uidMappings[0].containerID",
            "/mounts",
            json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind"], "uidMappings": [{"hostID": 0, "size": 1}], "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]),
            NONE,
        ),
        bad(
            "mounts[0].gidMappings[0].size",
            "/mounts",
            json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind"], "gidMappings": [{"containerID": 0, "hostID": 1}], "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]),
            NONE,
        ),
        bad(
            "mounts[0].gidMappings[0].size",
            "/mounts",
            json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind"], "gidMappings": [{"containerID": 0, "hostID": 1, "size": 0}], "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]),
            NONE,
        ),
        bad(
            "mounts[1]",
            "/mounts",
            json!([overlay(json!(["lowerdir=rootfs"])), overlay(json!(["lowerdir=rootfs"]))]),
            NONE,
        ),
        bad("mounts[0].options", "/mounts", json!([overlay(json!([]))]), NONE),
        bad("mounts[0].options[0]", "/mounts", json!([overlay(json!(["lowerdir=nosuch"]))]), NONE),
        bad("mounts[0].options[1]", "/mounts", json!([overlay(json!(["lowerdir=rootfs", "nosuch"]))]), NONE),
    ]
}
