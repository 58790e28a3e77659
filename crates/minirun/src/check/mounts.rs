//! Mounts: the calls that make them, the file systems that every container has, overlays, and mapped ids.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use minirun_overlay::{Call, Directories, Marks, MountError, Stage, configure_stage, features};
use minirun_plan::{IdMaps, Origin};
use minirun_sys as sys;
use minirun_sys::{Errno, MountAttr};

use super::trial::{self, At as _, Failure, Fault, attempt, born_in};
use super::{IN_USER_NAMESPACE, Row};
use minirun_container::Runtime;

const MOUNT: i32 = libc::CLONE_NEWNS;
const USER: i32 = libc::CLONE_NEWUSER;
const KERNEL: &str = "use a kernel of 5.14 or later; in a container of another runtime ask for its seccomp profile and \
                      for CAP_SYS_ADMIN";

/// The file systems that every container mounts, with the namespace that each shows and the kernel's option.
const FILE_SYSTEMS: [(&CStr, &str, i32, &str); 5] = [
    (c"proc", "mounts.proc", libc::CLONE_NEWPID, "CONFIG_PROC_FS"),
    (c"sysfs", "mounts.sysfs", libc::CLONE_NEWNET, "CONFIG_SYSFS"),
    (c"tmpfs", "mounts.tmpfs", 0, "CONFIG_TMPFS"),
    (c"devpts", "mounts.devpts", 0, "CONFIG_UNIX98_PTYS"),
    (c"mqueue", "mounts.mqueue", libc::CLONE_NEWIPC, "CONFIG_POSIX_MQUEUE"),
];

pub fn rows(runtime: &Runtime<'_>, bundle: Option<&Path>) -> Vec<Row> {
    let trial = |name, tried, work: fn() -> Result<(), Fault>, matters| {
        Row::of_trials(name, tried, |beside| in_mount_namespace(beside, work), matters, KERNEL).essential()
    };
    let mut rows = vec![
        Row::of_trial("mounts.openat2", "RESOLVE_IN_ROOT", openat2(), "every path inside a container", KERNEL)
            .essential(),
        trial("mounts.detached", "open_tree, move_mount", attach_a_copy, "root.path and mounts"),
        trial("mounts.attributes", "mount_setattr", || set_read_only(false), "mounts[].options, root.readonly"),
        trial("mounts.recursive", "mount_setattr AT_RECURSIVE", || set_read_only(true), "rro and its family"),
        trial("mounts.pivot-root", "pivot_root", pivot, "root.path"),
        devices(),
    ];
    rows.extend(FILE_SYSTEMS.iter().map(|entry| file_system(*entry)));
    rows.extend(overlays());
    rows.extend(mapped_ids(runtime, bundle));
    rows
}

/// The overlay of a root, with the options that the runtime gives it.
fn overlays() -> [Row; 2] {
    let advice = "modprobe overlay, or a kernel with CONFIG_OVERLAY_FS";
    let matters = "a mount of type \"overlay\" at /";
    let plain = in_mount_namespace(0, || overlay(Marks::Trusted));
    let user = in_mount_namespace(USER, || overlay(Marks::User));
    let in_user = "a kernel of 5.11 or later with CONFIG_OVERLAY_FS, and user namespaces";
    let plain = match plain {
        Err(failure) if !nix::unistd::geteuid().is_root() && user.is_ok() => {
            let seen = format!("{failure}; it works in a new user namespace");
            Row::limited("mounts.overlay", seen, matters).advice(IN_USER_NAMESPACE)
        }
        plain => Row::of_trial("mounts.overlay", "mounted one", plain, matters, advice),
    };
    [
        plain,
        Row::of_trial(
            "mounts.overlay-userxattr",
            "mounted one",
            user,
            &format!("{matters} in a user namespace"),
            in_user,
        ),
    ]
}

/// In a mount namespace of its own that is cut off from the host's.
fn in_mount_namespace(beside: i32, work: impl FnOnce() -> Result<(), Fault>) -> trial::Answer {
    attempt(born_in(MOUNT | beside), || {
        cut_off()?;
        work()
    })
}

/// Nothing that is mounted from now on is seen outside.
fn cut_off() -> Result<(), Fault> {
    let root = sys::open(c"/", libc::O_PATH | libc::O_DIRECTORY).at("open")?;
    let attr = MountAttr { propagation: libc::MS_PRIVATE, ..Default::default() };
    sys::mount_setattr(root.as_fd(), true, attr, None).at("mount_setattr")
}

fn openat2() -> trial::Answer {
    let how = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let opened = sys::openat2(sys::working_directory(), c"..", libc::O_PATH, 0, how);
    opened.map(drop).map_err(|errno| Failure::of("openat2", errno))
}

/// With all that is beneath: in a user namespace the host's mounts stay together (mount_namespaces(7)).
fn copy_of_root() -> Result<OwnedFd, Fault> {
    let flags = libc::OPEN_TREE_CLONE | libc::AT_RECURSIVE as libc::c_uint;
    sys::open_tree(sys::working_directory(), c"/", flags).at("open_tree")
}

fn attach(mount: &OwnedFd) -> Result<(), Fault> {
    let target = sys::open(c"/", libc::O_PATH | libc::O_DIRECTORY).at("open")?;
    sys::move_mount(mount.as_fd(), target.as_fd()).at("move_mount")
}

fn attach_a_copy() -> Result<(), Fault> {
    attach(&copy_of_root()?)
}

fn set_read_only(recursive: bool) -> Result<(), Fault> {
    let copy = copy_of_root()?;
    let attr = MountAttr { set: libc::MOUNT_ATTR_RDONLY as u64, ..Default::default() };
    sys::mount_setattr(copy.as_fd(), recursive, attr, None).at("mount_setattr")
}

fn pivot() -> Result<(), Fault> {
    let copy = copy_of_root()?;
    attach(&copy)?;
    sys::fchdir(copy.as_fd()).at("fchdir")?;
    sys::pivot_root_here().at("pivot_root")
}

/// A file system of which nothing is to be seen: it is made, and never attached.
fn detached(filesystem: &CStr) -> Result<OwnedFd, Fault> {
    let context = sys::fsopen(filesystem).at("fsopen")?;
    if let Err(errno) = sys::fsconfig_create(context.as_fd()) {
        return Err(Fault::explained("fsconfig", errno, context.as_fd()));
    }
    sys::fsmount(context.as_fd(), 0).at("fsmount")
}

fn file_system((filesystem, name, kind, option): (&CStr, &str, i32, &str)) -> Row {
    let matters = format!("mounts of type {:?}", filesystem.to_string_lossy());
    let made = |beside| attempt(born_in(MOUNT | kind | beside), || detached(filesystem).map(drop));
    let advice = format!(
        "run as root on a kernel with {option}; in a container of another runtime a masked /proc or /sys keeps new ones \
         from being mounted"
    );
    Row::of_trials(name, "made one", made, &matters, &advice).essential()
}

/// Nodes, on a file system of their own: what refuses them is a missing capability, or a filter of devices.
fn devices() -> Row {
    let (name, matters) = ("mounts.device-nodes", "default devices and linux.devices, outside of user namespaces");
    let made = in_mount_namespace(0, || {
        let tmpfs = detached(c"tmpfs")?;
        sys::mknodat(tmpfs.as_fd(), c"null", libc::S_IFCHR | 0o666, libc::makedev(1, 3)).at("mknodat")?;
        sys::openat2(tmpfs.as_fd(), c"null", libc::O_RDWR, 0, 0).map(drop).at("openat2")
    });
    let advice = "run as root with CAP_MKNOD; in a user namespace the host's nodes are mounted instead";
    match made {
        Err(failure) if !nix::unistd::geteuid().is_root() => {
            Row::limited(name, format!("{failure}; the host's are mounted"), matters).advice(advice)
        }
        made => Row::of_trial(name, "made and opened one", made, matters, advice).essential(),
    }
}

fn overlay(marks: Marks) -> Result<(), Fault> {
    let tmpfs = detached(c"tmpfs")?;
    for name in [c"lower", c"stage"] {
        sys::mkdirat(tmpfs.as_fd(), name, 0o755).at("mkdirat")?;
    }
    attach(&tmpfs)?;
    let open = |name| sys::openat2(tmpfs.as_fd(), name, libc::O_PATH | libc::O_DIRECTORY, 0, 0).at("openat2");
    sys::fchdir(tmpfs.as_fd()).at("fchdir")?;
    let fault = |error: MountError| match error {
        MountError::Failed(Call::Mount, errno) => Fault::of("mount of overlay", errno),
        MountError::Failed(_, errno) => Fault::of("the directories of an overlay", errno),
        _ => Fault::of("the options of an overlay", sys::Errno::E2BIG),
    };
    let mut directories = Directories::default();
    directories.add_lower(c"lower").map_err(fault)?;
    let context = configure_stage(c"").map_err(fault)?;
    sys::fsconfig_create(context.as_fd()).at("fsconfig")?;
    let stage = Stage::prepare(sys::fsmount(context.as_fd(), 0).at("fsmount")?).map_err(fault)?;
    sys::move_mount(stage.mount(), open(c"stage")?.as_fd()).at("move_mount")?;
    directories.mount(&stage, features(marks)).map(drop).map_err(fault)
}

/// Where mapped ids are wanted: the bundle or working directory, whose files are bind-mounted, and the state directory.
fn mapped_ids(runtime: &Runtime<'_>, bundle: Option<&Path>) -> Vec<Row> {
    let state = super::files::existing(&super::files::state_directory(runtime).unwrap_or_else(|| "/run".into()));
    let bundle = bundle.map_or_else(|| ".".into(), Path::to_owned);
    let places = [("mounts.idmap-bundle", bundle), ("mounts.idmap-state", state)];
    places.into_iter().map(|(name, path)| mapped_id(name, &path)).collect()
}

fn mapped_id(name: &str, path: &Path) -> Row {
    let matters = "mounts[].uidMappings and gidMappings, options idmap and ridmap";
    let place = super::files::describe(path);
    let map = "0 100000 65536\n".to_owned();
    let maps = IdMaps { uids: map.clone(), gids: map, namespace: None, origin: Origin::of("id maps") };
    match map_ids_of(path, false, &maps) {
        Ok(()) => Row::ok(name, place, matters),
        Err(failure) => Row::missing(name, format!("{place}: {failure}"), matters)
            .advice("as root keep the files on a file system with mapped ids: ext4, xfs, btrfs; tmpfs since Linux 6.3"),
    }
}

/// Maps the ids of a detached copy of the mount at `path`.
pub fn map_ids_of(path: &Path, recursive: bool, maps: &IdMaps) -> trial::Answer {
    let userns = minirun_spawn::map_namespace(maps).map_err(|_| Failure::of("make a map of ids", Errno::EPERM))?;
    let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    let below = if recursive { libc::AT_RECURSIVE as libc::c_uint } else { 0 };
    let tree = sys::open_tree(sys::working_directory(), &path, libc::OPEN_TREE_CLONE | below)
        .map_err(|errno| Failure::of("open_tree", errno))?;
    let attr = MountAttr { set: libc::MOUNT_ATTR_IDMAP as u64, ..Default::default() };
    sys::mount_setattr(tree.as_fd(), recursive, attr, Some(userns.as_fd()))
        .map_err(|errno| Failure::of("mount_setattr", errno))
}
