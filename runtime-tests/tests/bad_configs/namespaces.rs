//! `linux.namespaces`, and what belongs to new ones.

use serde_json::{Value, json};

use crate::{BOTH, Bad, CRUN, NONE, RUNC, bad};

pub fn rows() -> Vec<Bad> {
    let map =
        |inside: Value, outside: Value, size: Value| json!([{"containerID": inside, "hostID": outside, "size": size}]);
    let user = |uids: Option<Value>, gids: Option<Value>| {
        let mut linux = json!({"namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "user"}]});
        for (name, maps) in [("uidMappings", uids), ("gidMappings", gids)] {
            if let Some(maps) = maps {
                linux[name] = maps;
            }
        }
        linux
    };
    vec![
        bad("linux.namespaces[1].type", "/linux/namespaces", json!([{"type": "mount"}, {"type": "mount"}]), NONE),
        bad("linux.namespaces[1].type", "/linux/namespaces", json!([{"type": "mount"}, {"type": "nosuch"}]), NONE),
        bad("linux.namespaces[1].type", "/linux/namespaces", json!([{"type": "mount"}, {}]), NONE),
        bad("linux.namespaces[1].type", "/linux/namespaces", json!([{"type": "mount"}, {"type": "net"}]), NONE),
        bad("linux.namespaces[1].type", "/linux/namespaces", json!([{"type": "mount"}, {"type": "PID"}]), NONE),
        bad(
            "linux.namespaces[1].path",
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "network", "path": "proc/1/ns/net"}]),
            NONE,
        ),
        bad("linux.namespaces", "/linux/namespaces", json!("mount"), NONE),
        bad("linux.uidMappings", "/linux/uidMappings", map(json!(0), json!(0), json!(1)), BOTH),
        bad("linux.uidMappings[0].size", "/linux/uidMappings", map(json!(0), json!(1), json!("all")), CRUN),
        bad("linux.uidMappings[0].hostID", "/linux/uidMappings", map(json!(0), json!(-1), json!(1)), NONE),
        bad("linux.timeOffsets", "/linux/timeOffsets", json!({"monotonic": {"secs": 1}}), BOTH),
        bad("linux.netDevices[\"a/b\"]", "/linux/netDevices", json!({"a/b": {}}), BOTH),
        bad("linux.netDevices[\"a\"].name", "/linux/netDevices", json!({"a": {"name": "x%s"}}), BOTH),
        bad("linux.netDevices[\"b\"].name", "/linux/netDevices", json!({"a": {"name": "x"}, "b": {"name": "x"}}), BOTH),
        bad("linux.netDevices[\"a\"].name", "/linux/netDevices", json!({"a": {"name": 1}}), BOTH),
        bad("linux.namespaces", "/linux/namespaces", json!([]), NONE),
        bad("linux.namespaces", "/linux/namespaces", json!([{"type": "pid"}]), NONE),
        bad("linux.namespaces[1].type", "/linux/namespaces", json!([{"type": "mount"}, {"type": ""}]), NONE),
        bad(
            "linux.namespaces[1].path",
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "network", "path": "/a\0b"}]),
            NONE,
        ),
        bad(
            "linux.namespaces[1].path",
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "network", "path": "/nosuch"}, {"type": "uts"}]),
            NONE,
        ),
        bad(
            "linux.namespaces[1].path",
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "network", "path": "/proc/self/ns/ipc"}, {"type": "uts"}]),
            NONE,
        ),
        bad(
            "linux.namespaces[1].path",
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "network", "path": "/proc/self/exe"}, {"type": "uts"}]),
            NONE,
        ),
        bad(
            "linux.namespaces[1].type",
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "mount", "path": "/proc/1/ns/mnt"}]),
            NONE,
        ),
        bad("linux.uidMappings", "/linux", user(None, Some(json!([{"containerID": 0, "hostID": 1, "size": 1}]))), NONE),
        bad("linux.gidMappings", "/linux", user(Some(json!([{"containerID": 0, "hostID": 1, "size": 1}])), None), NONE),
        bad(
            "linux.uidMappings",
            "/linux",
            user(Some(json!([])), Some(json!([{"containerID": 0, "hostID": 1, "size": 1}]))),
            NONE,
        ),
        bad(
            "linux.uidMappings[0].size",
            "/linux",
            user(Some(map(json!(0), json!(0), json!(0))), Some(json!([{"containerID": 0, "hostID": 1, "size": 1}]))),
            NONE,
        ),
        bad(
            "linux.uidMappings[0].size",
            "/linux",
            user(
                Some(map(json!(1), json!(0), json!(4_294_967_295u64))),
                Some(json!([{"containerID": 0, "hostID": 1, "size": 1}])),
            ),
            NONE,
        ),
        bad(
            "linux.gidMappings[0].size",
            "/linux",
            user(
                Some(json!([{"containerID": 0, "hostID": 1, "size": 1}])),
                Some(map(json!(0), json!(4_294_967_295u64), json!(2))),
            ),
            NONE,
        ),
        bad(
            "linux.gidMappings[0].containerID",
            "/linux",
            user(Some(json!([{"containerID": 0, "hostID": 1, "size": 1}])), Some(json!([{"hostID": 1, "size": 1}]))),
            NONE,
        ),
        bad(
            "linux.gidMappings[0].hostID",
            "/linux",
            user(
                Some(json!([{"containerID": 0, "hostID": 1, "size": 1}])),
                Some(json!([{"containerID": 1, "size": 1}])),
            ),
            NONE,
        ),
        bad(
            "linux.gidMappings[0].size",
            "/linux",
            user(
                Some(json!([{"containerID": 0, "hostID": 1, "size": 1}])),
                Some(json!([{"containerID": 1, "hostID": 1}])),
            ),
            NONE,
        ),
        bad(
            "linux.uidMappings[1]",
            "/linux",
            user(
                Some(json!([{"containerID": 0, "hostID": 1, "size": 9}, {"containerID": 8, "hostID": 50, "size": 1}])),
                Some(json!([{"containerID": 0, "hostID": 1, "size": 1}])),
            ),
            NONE,
        ),
        bad(
            "linux.uidMappings[1]",
            "/linux",
            user(
                Some(json!([{"containerID": 0, "hostID": 1, "size": 9}, {"containerID": 9, "hostID": 1, "size": 1}])),
                Some(json!([{"containerID": 0, "hostID": 1, "size": 1}])),
            ),
            NONE,
        ),
        bad(
            "linux.timeOffsets[\"realtime\"]",
            "/linux",
            json!({"namespaces": [{"type": "mount"}, {"type": "time"}], "timeOffsets": {"realtime": {"secs": 1}}}),
            NONE,
        ),
        bad(
            "linux.timeOffsets[\"monotonic\"].nanosecs",
            "/linux",
            json!({"namespaces": [{"type": "mount"}, {"type": "time"}], "timeOffsets": {"monotonic": {"nanosecs": 1_000_000_000}}}),
            NONE,
        ),
        bad("linux.timeOffsets[\"boottime\"].secs", "/linux/timeOffsets", json!({"boottime": {"secs": "1"}}), RUNC),
        bad("linux.netDevices", "/linux", json!({"namespaces": [{"type": "mount"}], "netDevices": {"eth0": {}}}), NONE),
        bad("linux.netDevices[\"\"]", "/linux/netDevices", json!({"": {}}), RUNC),
        bad("linux.netDevices[\"a%d\"]", "/linux/netDevices", json!({"a%d": {}}), RUNC),
        bad("linux.netDevices[\"sixteen-letters-\"]", "/linux/netDevices", json!({"sixteen-letters-": {}}), RUNC),
        bad("linux.netDevices[\"nosuch0\"]", "/linux/netDevices", json!({"nosuch0": {}}), RUNC),
        bad("linux.netDevices[\"a\"].name", "/linux/netDevices", json!({"a": {"name": "x y"}}), RUNC),
        bad("linux.netDevices[\"a\"].name", "/linux/netDevices", json!({"a": {"name": "x\0"}}), RUNC),
        bad("linux.netDevices[\"a\"]", "/linux/netDevices", json!({"a": "b"}), RUNC),
    ]
}
