//! Devices, links, and what is masked or read-only.

use std::fs;

use nix::errno::Errno;
use serde_json::json;

use crate::Call::{Create, Traced};
use crate::prepare::{device, few_ids, hook, link, same, set};
use crate::{Row, row};

pub const ROWS: &[Row] = &[
    row(
        "Device",
        Create,
        |bundle| device(bundle, "/etc/passwd", 3),
        "linux.devices[0]: device /etc/passwd c 1:3 mode 0666 owner 0:0: something else is there already",
    ),
    row(
        "Device",
        Create,
        |bundle| device(bundle, "/proc/x", 3),
        "linux.devices[0]: device /proc/x c 1:3 mode 0666 owner 0:0: mknodat: no such file or directory",
    ),
    row(
        "BindDevice",
        Traced("create", Errno::EPERM, &[libc::SYS_move_mount]),
        few_ids,
        "default devices: bind-device /dev/null: move_mount: operation not permitted",
    ),
    row(
        "Symlink",
        Create,
        |bundle| {
            fs::create_dir(bundle.rootfs().join("dev/ptmx")).unwrap();
            bundle.without_mount("/dev")
        },
        "default links: symlink /dev/ptmx to pts/ptmx: unlinkat: is a directory",
    ),
    row(
        "MaskedPath",
        Create,
        |bundle| device(bundle, "/dev/null", 5),
        "linux.maskedPaths[3]: mask /proc/keys: /dev/null in the container is not the null device",
    ),
    row(
        "ReadonlyPath",
        Create,
        |bundle| set(link(bundle, "loop", "loop"), "/linux/readonlyPaths", json!(["/proc/sys", "/loop"])),
        "linux.readonlyPaths[1]: read-only /loop: openat2: too many symbolic links encountered",
    ),
    row(
        "VerifyMount",
        Create,
        |bundle| {
            let script = format!("/bin/busybox mount -t tmpfs none {}/proc", bundle.rootfs().display());
            hook(bundle, "createContainer", &script)
        },
        "mounts[0]: verify /proc: it is not the mount that was made: the root file system changed meanwhile",
    ),
    row(
        "RootPropagation",
        Traced("create", Errno::ENOMEM, &[libc::SYS_mount_setattr]),
        |bundle| set(bundle, "/linux/rootfsPropagation", json!("private")),
        "linux.rootfsPropagation: root-propagation / private: mount_setattr: out of memory",
    ),
    row(
        "ReadonlyRoot",
        Traced("create", Errno::ENOMEM, &[libc::SYS_mount_setattr]),
        same,
        "root.readonly: read-only-root /: mount_setattr: out of memory",
    ),
];
