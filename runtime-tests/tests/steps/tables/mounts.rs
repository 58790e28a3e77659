//! Mounts, of every kind.

use serde_json::json;

use crate::Call::Create;
use crate::prepare::link;
use crate::{Row, row};

pub const ROWS: &[Row] = &[
    row(
        "Mount",
        Create,
        |bundle| bundle.mount("/mnt", "nosuchfs", "x", &[]),
        "mounts[7]: mount /mnt nosuchfs: fsopen: no such device (this kernel has no such file system)",
    ),
    row(
        "Mount",
        Create,
        |bundle| bundle.mount("/mnt", "tmpfs", "x", &["mode=700", "size=many"]),
        "mounts[7].options[1]: mount /mnt tmpfs mode=700 size=many: fsconfig: invalid argument of option size; \
         kernel: tmpfs: Bad value for 'size'",
    ),
    row(
        "Mount",
        Create,
        |bundle| bundle.mount("/mnt", "tmpfs", "x", &["nosuchoption"]),
        "mounts[7].options[0]: mount /mnt tmpfs nosuchoption: fsconfig: invalid argument of option nosuchoption; \
         kernel: tmpfs: Unknown parameter 'nosuchoption'",
    ),
    row(
        "Mount",
        Create,
        |bundle| bundle.mount("/etc/passwd/x", "tmpfs", "x", &[]),
        "mounts[7]: mount /etc/passwd/x tmpfs: openat2: not a directory (the mount point is not a directory, or a \
         parent is not)",
    ),
    row(
        "Mount",
        Create,
        |bundle| link(bundle, "link", "mnt").mount("/link", "sysfs", "x", &[]),
        "mounts[7]: mount /link sysfs: openat2: not a directory (it must be mounted on ordinary directory, not on a link)",
    ),
    row(
        "ClassicMount",
        Create,
        |bundle| bundle.mount("/mnt", "tmpfs", "x", &["silent", "size=many"]),
        "mounts[7]: mount /mnt tmpfs flags 0x8000 size=many: mount: invalid argument",
    ),
    row(
        "Bind",
        Create,
        |bundle| bundle.mount("/mnt", "bind", "/nosuch", &["rbind"]),
        "mounts[7]: bind /mnt from /nosuch recursive: open_tree: no such file or directory (the source must exist)",
    ),
    row(
        "Bind",
        Create,
        |bundle| bundle.mount("/mnt", "bind", "/etc/passwd", &["bind"]),
        "mounts[7]: bind /mnt from /etc/passwd: not a directory: the source is a file, the mount point a directory",
    ),
    row(
        "Bind",
        Create,
        |bundle| link(bundle, "link", "link").mount("/link", "bind", "/etc/passwd", &["bind"]),
        "mounts[7]: bind /link from /etc/passwd: openat2: too many symbolic links encountered",
    ),
    row(
        "Bind",
        Create,
        |bundle| {
            bundle.mount("/mnt", "bind", "/proc", &["bind"]).with(|config| {
                let map = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
                config["mounts"][7]["uidMappings"] = map.clone();
                config["mounts"][7]["gidMappings"] = map;
            })
        },
        "mounts[7]: bind /mnt from /proc idmap: mount_setattr: invalid argument (this file system might not support mapped ids)",
    ),
    row(
        "MountCgroup",
        Create,
        |bundle| {
            let bundle = bundle.namespace("cgroup", Some(json!({"type": "cgroup"})));
            bundle.mount("/etc/passwd", "cgroup", "x", &[])
        },
        "mounts[7]: mount /etc/passwd cgroup2: openat2: not a directory (the mount point is not a directory, or a \
         parent is not)",
    ),
    row(
        "Remount",
        Create,
        |bundle| bundle.mount("/nosuch", "none", "x", &["remount", "nosuid"]),
        "mounts[7]: remount /nosuch nosuid: openat2: no such file or directory",
    ),
    row(
        "Remount",
        Create,
        |bundle| bundle.mount("/etc", "none", "x", &["remount", "nosuid"]),
        "mounts[7]: remount /etc nosuid: fspick: invalid argument (nothing is mounted there)",
    ),
    row(
        "Remount",
        Create,
        |bundle| bundle.mount("/dev/shm", "none", "x", &["remount", "size=many"]),
        "mounts[7].options[1]: remount /dev/shm size=many: fsconfig: invalid argument of option size; kernel: \
         tmpfs: Bad value for 'size'…",
    ),
];
