//! The root: its overlay, its propagation, the change to it.

use nix::errno::Errno;
use serde_json::json;

use crate::Call::{After, Create, Traced};
use crate::prepare::{CAP_SYS_CHROOT, hook, layers, same, set, without, without_mounts};
use crate::{Row, row};

pub const ROWS: &[Row] = &[
    row(
        "Propagation",
        Traced("create", Errno::EINVAL, &[libc::SYS_mount_setattr]),
        same,
        "default propagation: propagation / rslave: mount_setattr: invalid argument",
    ),
    row(
        "PrivateParent",
        Traced("create", Errno::ENOMEM, &[libc::SYS_mount_setattr]),
        |bundle| set(hook(bundle, "createRuntime", "exit 0"), "/linux/rootfsPropagation", json!("shared")),
        "linux.rootfsPropagation: private-parent BUNDLE/rootfs: mount_setattr: out of memory",
    ),
    row(
        "BindRoot",
        Traced("create", Errno::ENOMEM, &[libc::SYS_open_tree]),
        same,
        "root.path: root BUNDLE/rootfs: open_tree: out of memory",
    ),
    row(
        "OverlayStage",
        Traced("create", Errno::ENOMEM, &[libc::SYS_fsopen]),
        |bundle| layers(bundle, &["lowerdir=rootfs"]),
        "mounts[7]: overlay-stage /: fsopen: out of memory",
    ),
    row(
        "OverlayLower",
        Create,
        |bundle| layers(bundle, &["lowerdir=nosuch:rootfs"]),
        "mounts[7].options[0]: lower BUNDLE/nosuch: open: no such file or directory (the layer must be a directory \
         that exists)",
    ),
    row(
        "OverlayLower",
        Create,
        |bundle| layers(bundle, &["lowerdir=rootfs/etc/passwd"]),
        "mounts[7].options[0]: lower BUNDLE/rootfs/etc/passwd: open: not a directory (the layer must be a directory \
         that exists)",
    ),
    row(
        "OverlayUpper",
        Create,
        |bundle| layers(bundle, &["lowerdir=rootfs", "upperdir=nosuch", "workdir=work"]),
        "mounts[7].options[1]: upper BUNDLE/nosuch: open: no such file or directory (the layer must be a directory \
         that exists)",
    ),
    row(
        "OverlayWork",
        Create,
        |bundle| layers(bundle, &["lowerdir=rootfs", "upperdir=upper", "workdir=nosuch"]),
        "mounts[7].options[2]: work BUNDLE/nosuch: open: no such file or directory (the layer must be a directory \
         that exists)",
    ),
    row(
        "OverlayRoot",
        Create,
        |bundle| layers(bundle, &["lowerdir=rootfs", "upperdir=/sys", "workdir=work"]),
        "mounts[7]: overlay / index=off,metacopy=off,redirect_dir=nofollow,xino=auto: mount: invalid argument \
         (upper and work directory must be on one file system that can hold them; the kernel's log says more)",
    ),
    row(
        "PivotRoot",
        Traced("create", Errno::EINVAL, &[libc::SYS_pivot_root]),
        same,
        "root.path: pivot-root: pivot_root: invalid argument (the caller's root is an initial ramdisk or a chroot: \
         use --no-pivot)",
    ),
    row(
        "TakeAway",
        After(|| Ok(()), &["--no-pivot"]),
        |bundle| hook(bundle, "createContainer", "/bin/busybox umount -l /sys"),
        "--no-pivot: take-away /sys: another mount above it hides it",
    ),
    row(
        "ChangeRoot",
        After(|| without(CAP_SYS_CHROOT), &["--no-pivot"]),
        same,
        "--no-pivot: change-root /: chroot: operation not permitted",
    ),
    row(
        "Chroot",
        After(|| without(CAP_SYS_CHROOT), &[]),
        without_mounts,
        "root.path: chroot BUNDLE/rootfs: chroot: operation not permitted",
    ),
];
