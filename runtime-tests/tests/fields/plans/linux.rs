//! `linux`, without its resources. Seen from inside: host/namespaces.rs, host/devices.rs, host/net_devices.rs, host/paths.rs.

use serde_json::json;

use super::{Row, row};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            &["linux.namespaces[0].type"],
            json!({"/linux/namespaces": [{"type": "mount"}, {"type": "ipc"}]}),
            &["namespace new ipc [linux.namespaces]"],
        ),
        row(
            &["linux.namespaces[0].path"],
            json!({"/linux/namespaces": [{"type": "mount", "path": "/run/ns/mnt"}]}),
            &[
                "namespace join mount /run/ns/mnt [linux.namespaces[0].path]",
                "init join mount /run/ns/mnt [linux.namespaces[0].path]",
            ],
        ),
        row(
            &[
                "linux.uidMappings[0].containerID",
                "linux.uidMappings[0].hostID",
                "linux.uidMappings[0].size",
                "linux.gidMappings[0].containerID",
                "linux.gidMappings[0].hostID",
                "linux.gidMappings[0].size",
            ],
            json!({"/linux/namespaces": [{"type": "mount"}, {"type": "user"}], "/linux/uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}], "/linux/gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]}),
            &[
                "namespace new user [linux.namespaces]",
                "host open /bundle/rootfs [root.path]",
                "host open /dev/null [default devices]",
                "host open /dev/zero [default devices]",
                "host open /dev/full [default devices]",
                "host open /dev/random [default devices]",
                "host open /dev/urandom [default devices]",
                "host open /dev/tty [default devices]",
                "host uid_map 0 100000 65536 [linux.uidMappings]",
                "host gid_map 0 100000 65536 [linux.gidMappings]",
                "init become-root [linux.namespaces (user)]",
                "init bind-device /dev/null [default devices]",
                "init bind-device /dev/zero [default devices]",
                "init bind-device /dev/full [default devices]",
                "init bind-device /dev/random [default devices]",
                "init bind-device /dev/urandom [default devices]",
                "init bind-device /dev/tty [default devices]",
            ],
        ),
        row(
            &["linux.timeOffsets[\"KEY\"].secs"],
            json!({"/linux/timeOffsets": {"monotonic": {"secs": 7}}}),
            &["namespace clocks monotonic 7 0 [linux.timeOffsets]"],
        ),
        row(
            &["linux.timeOffsets[\"KEY\"].nanosecs"],
            json!({"/linux/timeOffsets": {"boottime": {"secs": -1, "nanosecs": 5}}}),
            &["namespace clocks boottime -1 5 [linux.timeOffsets]"],
        ),
        row(
            &["linux.devices[0].type"],
            json!({"/linux/devices": [{"type": "b", "path": "/dev/x", "major": 1, "minor": 3}]}),
            &["init device /dev/x b 1:3 mode 0666 owner 0:0 [linux.devices[0]]"],
        ),
        row(
            &["linux.devices[0].path"],
            json!({"/linux/devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 3}]}),
            &["init device /dev/x c 1:3 mode 0666 owner 0:0 [linux.devices[0]]"],
        ),
        row(
            &["linux.devices[0].major"],
            json!({"/linux/devices": [{"type": "c", "path": "/dev/x", "major": 4, "minor": 3}]}),
            &["init device /dev/x c 4:3 mode 0666 owner 0:0 [linux.devices[0]]"],
        ),
        row(
            &["linux.devices[0].minor"],
            json!({"/linux/devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 5}]}),
            &["init device /dev/x c 1:5 mode 0666 owner 0:0 [linux.devices[0]]"],
        ),
        row(
            &["linux.devices[0].fileMode"],
            json!({"/linux/devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 3, "fileMode": 384}]}),
            &["init device /dev/x c 1:3 mode 0600 owner 0:0 [linux.devices[0]]"],
        ),
        row(
            &["linux.devices[0].uid"],
            json!({"/linux/devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 3, "uid": 7}]}),
            &["init device /dev/x c 1:3 mode 0666 owner 7:0 [linux.devices[0]]"],
        ),
        row(
            &["linux.devices[0].gid"],
            json!({"/linux/devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 3, "gid": 8}]}),
            &["init device /dev/x c 1:3 mode 0666 owner 0:8 [linux.devices[0]]"],
        ),
        row(
            &["linux.netDevices[\"KEY\"].name"],
            json!({"/linux/netDevices": {"KEY": {"name": "eth0"}}}),
            &["host net-device KEY as eth0 [linux.netDevices[\"KEY\"]]"],
        ),
        row(&["linux.cgroupsPath"], json!({"/linux/cgroupsPath": "/a/b"}), &["cgroup make /a/b [linux.cgroupsPath]"]),
        row(
            &["linux.intelRdt.closID"],
            json!({"/linux/intelRdt": {"closID": "g"}}),
            &[
                "refused: linux.intelRdt: this host has no Intel RDT: the kernel has no resctrl file system for its processor",
            ],
        ),
        row(
            &["linux.intelRdt.schemata[0]"],
            json!({"/linux/intelRdt": {"schemata": ["L3:0=f"]}}),
            &[
                "refused: linux.intelRdt: this host has no Intel RDT: the kernel has no resctrl file system for its processor",
            ],
        ),
        row(
            &["linux.intelRdt.l3CacheSchema"],
            json!({"/linux/intelRdt": {"l3CacheSchema": "L3:0=f"}}),
            &[
                "refused: linux.intelRdt: this host has no Intel RDT: the kernel has no resctrl file system for its processor",
            ],
        ),
        row(
            &["linux.intelRdt.memBwSchema"],
            json!({"/linux/intelRdt": {"memBwSchema": "MB:0=10"}}),
            &[
                "refused: linux.intelRdt: this host has no Intel RDT: the kernel has no resctrl file system for its processor",
            ],
        ),
        row(
            &["linux.intelRdt.enableMonitoring"],
            json!({"/linux/intelRdt": {"enableMonitoring": true}}),
            &[
                "refused: linux.intelRdt: this host has no Intel RDT: the kernel has no resctrl file system for its processor",
            ],
        ),
        row(
            &["linux.memoryPolicy.mode"],
            json!({"/linux/memoryPolicy": {"mode": "MPOL_LOCAL"}}),
            &["init memory-policy MPOL_LOCAL [linux.memoryPolicy]"],
        ),
        row(
            &["linux.memoryPolicy.nodes"],
            json!({"/linux/memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": []}}),
            &["init memory-policy MPOL_BIND 0 [linux.memoryPolicy]"],
        ),
        row(
            &["linux.memoryPolicy.flags[0]"],
            json!({"/linux/memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}}),
            &["init memory-policy MPOL_BIND 0 MPOL_F_STATIC_NODES [linux.memoryPolicy]"],
        ),
        row(
            &["linux.sysctl[\"KEY\"]"],
            json!({"/linux/sysctl": {"net.ipv4.ip_forward": "1"}}),
            &["init sysctl net/ipv4/ip_forward = 1 [linux.sysctl[\"net.ipv4.ip_forward\"]]"],
        ),
        row(
            &["linux.rootfsPropagation"],
            json!({"/linux/rootfsPropagation": "rprivate"}),
            &[
                "init propagation / rprivate [linux.rootfsPropagation]",
                "init root-propagation / rprivate [linux.rootfsPropagation]",
            ],
        ),
        row(
            &["linux.maskedPaths[0]"],
            json!({"/linux/maskedPaths": ["/proc/keys"]}),
            &["init mask /proc/keys [linux.maskedPaths[0]]"],
        ),
        row(
            &["linux.readonlyPaths[0]"],
            json!({"/linux/readonlyPaths": ["/proc/bus"]}),
            &["init read-only /proc/bus [linux.readonlyPaths[0]]"],
        ),
        row(
            &["linux.mountLabel"],
            json!({"/linux/mountLabel": "system_u:object_r:t:s0:c1,c2"}),
            &["refused: linux.mountLabel: selinux is disabled or not supported"],
        ),
        row(
            &["linux.personality.domain"],
            json!({"/linux/personality": {"domain": "LINUX32"}}),
            &["init personality LINUX32 [linux.personality]"],
        ),
        row(
            &["linux.personality.flags[0]"],
            json!({"/linux/personality": {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}}),
            &["refused: linux.personality.flags[0]: \"ADDR_NO_RANDOMIZE\" is not supported: there are no flags"],
        ),
    ]
}
