//! Every kind of step fails once, and the message says where in the configuration, what, which call and why.
//!
//! Wherever the kernel can be made to refuse, it does so by itself; what never fails otherwise is failed by a tracer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use libc::c_long;
use minirun_plan::{HostOp, Op};
use nix::errno::Errno;
use runtime_tests::{Bundle, Runtime, User, errat};
use serde_json::{Value, json};

/// Lists the variants of an enum by name; a variant that is added there must be added here, or this does not compile.
macro_rules! kinds {
    ($list:ident of $kind:ident: $($name:ident)*) => {
        const $list: &[&str] = &[$(stringify!($name)),*];

        const _: fn(&$kind) = |kind| match kind {
            $($kind::$name { .. } => {})*
        };
    };
}

kinds! { OPS of Op:
    Join EnterContainer BecomeRoot SessionKeyring Hostname Domainname LoopbackUp Propagation PrivateParent BindRoot
    OverlayStage OverlayLower OverlayUpper OverlayWork OverlayRoot Mount ClassicMount Bind MountCgroup Remount Device
    AwaitHooks RunHook BindDevice Symlink PivotRoot ChangeRoot Sysctl Terminal MaskedPath ReadonlyPath RootPropagation
    ReadonlyRoot Limit MakeDirectory EnterDirectory EnterDirectoryAsUser Umask FindHome DropBounding Groups User
    Capabilities NoNewPrivileges FindProgram AwaitStart CloseDescriptors OwnStreams Seccomp Execute MemoryPolicy
    Personality LsmAttribute LabelQueues
}

kinds! { HOST_OPS of HostOp: WriteProc MapIds RaiseLimit Scheduler IoPriority Affinity NetDevice JoinResctrl }

/// umask(2) takes any mask.
const CANNOT_FAIL: &[&str] = &["Umask"];

/// Without SELinux and without Intel RDT nobody gets that far: see tests/selinux.rs, and resctrl/tests.rs of minirun-spawn.
const FAIL_ELSEWHERE: &[&str] = &["LabelQueues", "JoinResctrl"];

/// How the failing call is made.
#[derive(Clone, Copy)]
enum Call {
    Create,
    /// `run`, for what fails when the program is started.
    Run,
    /// `create` with these options, by a process that did this to itself first.
    After(fn() -> io::Result<()>, &'static [&'static str]),
    /// A call in which one of these system calls fails: that which makes the message appear. Before `exec` there is a
    /// container that runs.
    Traced(&'static str, Errno, &'static [c_long]),
}

use Call::{After, Create, Run, Traced};

/// A step that fails: its kind, what makes it fail, and the message. `BUNDLE` stands for the bundle's directory, `ID`
/// for the container's id, `…` for any text.
struct Row {
    kind: &'static str,
    call: Call,
    prepare: fn(Bundle) -> Bundle,
    message: &'static str,
}

const fn row(kind: &'static str, call: Call, prepare: fn(Bundle) -> Bundle, message: &'static str) -> Row {
    Row { kind, call, prepare, message }
}

fn same(bundle: Bundle) -> Bundle {
    bundle
}

/// With a value at a pointer whose parent is there.
fn set(bundle: Bundle, pointer: &str, value: Value) -> Bundle {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    bundle.with(|config| config.pointer_mut(parent).unwrap()[key] = value)
}

/// Joins a namespace, which becomes the last of the list.
fn joined(bundle: Bundle, kind: &str, path: &str) -> Bundle {
    bundle.namespace(kind, Some(json!({"type": kind, "path": path})))
}

/// In a new user namespace of few ids.
fn few_ids(bundle: Bundle) -> Bundle {
    bundle.user_namespace(100_000, 10)
}

/// The root is an overlay: a mount at the end of the list.
fn layers(bundle: Bundle, options: &[&str]) -> Bundle {
    for name in ["upper", "work"] {
        fs::create_dir(bundle.path().join(name)).unwrap();
    }
    bundle.mount("/", "overlay", "overlay", options)
}

/// With a link in the root file system.
fn link(bundle: Bundle, name: &str, target: &str) -> Bundle {
    let _absent = fs::remove_file(bundle.rootfs().join(name));
    symlink(target, bundle.rootfs().join(name)).unwrap();
    bundle
}

/// With one listed device, a character device.
fn device(bundle: Bundle, path: &str, minor: u32) -> Bundle {
    set(bundle, "/linux/devices", json!([{"type": "c", "path": path, "major": 1, "minor": minor}]))
}

/// Runs an executable file of this content.
fn program(bundle: Bundle, text: &str) -> Bundle {
    let file = bundle.rootfs().join("bin/program");
    fs::write(&file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    bundle.args(&["program"])
}

/// Works in a directory that is nobody's of the user namespace, as an ordinary user.
fn locked_out(bundle: Bundle) -> Bundle {
    let bundle = few_ids(bundle);
    let directory = bundle.rootfs().join("locked");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&directory, Some(3000), Some(3000)).unwrap();
    set(set(bundle, "/process/cwd", json!("/locked")), "/process/user/uid", json!(5))
}

/// With hooks of one kind: shell scripts, in the container or on the host.
fn hook(bundle: Bundle, list: &str, script: &str) -> Bundle {
    bundle.with(|config| config["hooks"][list] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]))
}

/// With a terminal, for a `run` in the foreground.
fn terminal(bundle: Bundle) -> Bundle {
    set(bundle, "/process/terminal", json!(true))
}

/// A container that runs until it is killed.
fn sleeping(bundle: Bundle) -> Bundle {
    bundle.args(&["sleep", "1000"])
}

fn prctl(option: i32, argument: u64) -> io::Result<()> {
    // SAFETY: takes plain numbers.
    Ok(Errno::result(unsafe { libc::prctl(option, argument, 0, 0, 0) }).map(drop)?)
}

// From linux/capability.h and linux/securebits.h; libc has them not.
const CAP_SETPCAP: u64 = 8;
const CAP_SYS_CHROOT: u64 = 18;
const CAP_SYS_NICE: u64 = 23;
const CAP_SYS_RESOURCE: u64 = 24;
const SECBIT_NO_CAP_AMBIENT_RAISE: u64 = 1 << 6;

/// The program that this process becomes does not get the capability, as root either.
fn without(capability: u64) -> io::Result<()> {
    prctl(libc::PR_CAPBSET_DROP, capability)
}

fn with_a_hard_limit() -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: 10, rlim_max: 10 };
    // SAFETY: the kernel reads a structure that outlives the call.
    Errno::result(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) })?;
    without(CAP_SYS_RESOURCE)
}

const NAMESPACES: &[Row] = &[
    row(
        "Join",
        Create,
        |bundle| joined(few_ids(bundle), "time", "/proc/self/ns/time"),
        "linux.namespaces[6].path: join time /proc/self/ns/time: setns: operation not permitted",
    ),
    row(
        "BecomeRoot",
        Create,
        |bundle| set(few_ids(bundle), "/linux/gidMappings/0/containerID", json!(1)),
        "linux.namespaces (user): become-root: setresgid: invalid argument (the id is not mapped in the user namespace)",
    ),
    row(
        "SessionKeyring",
        Traced("create", Errno::EDQUOT, &[libc::SYS_keyctl]),
        same,
        "default session keyring: keyring _ses.ID: keyctl: quota exceeded",
    ),
    row(
        "Hostname",
        Traced("create", Errno::EPERM, &[libc::SYS_sethostname]),
        same,
        "hostname: runc: sethostname: operation not permitted",
    ),
    row(
        "Domainname",
        Traced("create", Errno::EPERM, &[libc::SYS_setdomainname]),
        |bundle| bundle.with(|config| config["domainname"] = "example.org".into()),
        "domainname: example.org: setdomainname: operation not permitted",
    ),
    row(
        "EnterContainer",
        Traced("exec", Errno::EPERM, &[libc::SYS_setns]),
        sleeping,
        "linux.namespaces: enter-container mount uts ipc pid network: setns: operation not permitted",
    ),
    row(
        "EnterContainer",
        Traced("exec", Errno::EACCES, &[libc::SYS_chroot]),
        sleeping,
        "linux.namespaces: enter-container mount uts ipc pid network: chroot: permission denied",
    ),
    row(
        "LoopbackUp",
        Traced("create", Errno::EPERM, &[libc::SYS_ioctl]),
        same,
        "default loopback: loopback-up: ioctl: operation not permitted",
    ),
    // In a kernel with AppArmor the profile is not loaded.
    row(
        "LsmAttribute",
        Create,
        |bundle| set(bundle, "/process/apparmorProfile", json!("nosuch")),
        "process.apparmorProfile: lsm-attribute attr/apparmor/exec = exec nosuch: …: no such file or directory (…)",
    ),
    row(
        "LsmAttribute",
        Create,
        |bundle| set(bundle, "/process/selinuxLabel", json!("no:such:label")),
        "process.selinuxLabel: lsm-attribute attr/keycreate = no:such:label: write: invalid argument (selinux is \
         disabled or not supported, or its policy does not know this label)",
    ),
    row(
        "Sysctl",
        Create,
        |bundle| set(bundle, "/linux/sysctl", json!({"net.ipv4.nosuch": "1"})),
        "linux.sysctl[\"net.ipv4.nosuch\"]: sysctl net/ipv4/nosuch = 1: openat2: no such file or directory \
         (this kernel has no such parameter)",
    ),
    row(
        "Sysctl",
        Create,
        |bundle| set(bundle, "/linux/sysctl", json!({"net.ipv4.ip_forward": "many"})),
        "linux.sysctl[\"net.ipv4.ip_forward\"]: sysctl net/ipv4/ip_forward = many: write: invalid argument",
    ),
];

const ROOT: &[Row] = &[
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
        "ChangeRoot",
        After(|| without(CAP_SYS_CHROOT), &["--no-pivot"]),
        same,
        "--no-pivot: change-root /: chroot: operation not permitted",
    ),
];

const MOUNTS: &[Row] = &[
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
        "mounts[7]: mount /link sysfs: openat2: not a directory (the mount point must be a real directory, not a link)",
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
        |bundle| link(bundle, "link", "nowhere").mount("/link", "bind", "/etc/passwd", &["bind"]),
        "mounts[7]: bind /link from /etc/passwd: a dangling symbolic link is in the way",
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
        "mounts[7]: bind /mnt from /proc idmap: mount_setattr: invalid argument (this file system may not support \
         mapped ids)",
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

const NODES_AND_VIEWS: &[Row] = &[
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
        Create,
        |bundle| device(few_ids(bundle), "/dev/null", 5),
        "linux.devices[0]: bind-device /dev/null: the host has another node at that path",
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

const PROCESS: &[Row] = &[
    row(
        "Terminal",
        Run,
        |bundle| terminal(bundle).without_mount("/dev/pts"),
        "process.terminal: terminal /dev/console owner 0: openat2: no such file or directory…",
    ),
    row(
        "Terminal",
        Traced("run", Errno::EIO, &[libc::SYS_ioctl]),
        terminal,
        "process.terminal: terminal /dev/console owner 0: ioctl: I/O error",
    ),
    row(
        "Terminal",
        Traced("exec --tty", Errno::EIO, &[libc::SYS_ioctl]),
        sleeping,
        "process.terminal: terminal owner 0: ioctl: I/O error",
    ),
    row(
        "OwnStreams",
        Traced("create", Errno::EIO, &[libc::SYS_fchown, libc::SYS_fchownat]),
        |bundle| set(bundle, "/process/user/uid", json!(1000)),
        "process.user.uid: own-streams user 1000: fchown…: I/O error",
    ),
    row(
        "Limit",
        After(with_a_hard_limit, &[]),
        |bundle| set(bundle, "/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 11}])),
        "process.rlimits[0]: limit RLIMIT_CORE 0 11: prlimit64: operation not permitted (raising a hard limit takes \
         CAP_SYS_RESOURCE)",
    ),
    // More than /proc/sys/fs/nr_open, which nobody may.
    row(
        "Limit",
        Create,
        |bundle| set(bundle, "/process/rlimits/0/hard", json!(1_u64 << 40)),
        "process.rlimits[0]: limit RLIMIT_NOFILE 1024 1099511627776: prlimit64: operation not permitted (raising a \
         hard limit takes CAP_SYS_RESOURCE, and it cannot be more than /proc/sys/fs/nr_open)",
    ),
    row(
        "MakeDirectory",
        Create,
        |bundle| set(bundle, "/process/cwd", json!("/etc/passwd/x")),
        "process.cwd: make-directory /etc/passwd/x: openat2: not a directory",
    ),
    row(
        "EnterDirectory",
        Traced("create", Errno::EIO, &[libc::SYS_chdir]),
        |bundle| set(bundle, "/process/cwd", json!("/tmp")),
        "process.cwd: chdir to cwd (\"/tmp\") set in config.json failed: I/O error",
    ),
    row(
        "EnterDirectoryAsUser",
        Create,
        locked_out,
        "process.cwd: chdir to cwd (\"/locked\") set in config.json failed: permission denied",
    ),
    // The memory of init itself: its first page cannot be read.
    row(
        "FindHome",
        Create,
        |bundle| link(bundle, "etc/passwd", "/proc/self/mem"),
        "default HOME: find-home of user 0 in /etc/passwd: read: I/O error",
    ),
    row(
        "DropBounding",
        After(|| without(CAP_SETPCAP), &[]),
        same,
        "process.capabilities: drop-bounding: prctl: operation not permitted of capability … (it takes CAP_SETPCAP)",
    ),
    row(
        "Groups",
        Create,
        |bundle| set(few_ids(bundle), "/process/user/additionalGids", json!([20])),
        "process.user.additionalGids: groups 20: setgroups: invalid argument (the id is not mapped in the user \
         namespace)",
    ),
    row(
        "User",
        Create,
        |bundle| set(few_ids(bundle), "/process/user/uid", json!(20)),
        "process.user: user 20:0: setresuid: invalid argument (the id is not mapped in the user namespace)",
    ),
    row(
        "User",
        Create,
        |bundle| set(few_ids(bundle), "/process/user/gid", json!(20)),
        "process.user: user 0:20: setresgid: invalid argument (the id is not mapped in the user namespace)",
    ),
    row(
        "Capabilities",
        After(|| prctl(libc::PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE), &[]),
        |bundle| {
            let bundle = set(bundle, "/process/capabilities/inheritable", json!(["CAP_KILL"]));
            set(bundle, "/process/capabilities/ambient", json!(["CAP_KILL"]))
        },
        "process.capabilities: capabilities effective CAP_KILL …; inheritable CAP_KILL; ambient CAP_KILL: prctl: \
         operation not permitted",
    ),
    // No kernel has so many nodes.
    row(
        "MemoryPolicy",
        Create,
        |bundle| set(bundle, "/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0,8000"})),
        "linux.memoryPolicy: memory-policy MPOL_BIND 0,8000: set_mempolicy: invalid argument (its nodes must have \
         memory and be in the cgroup's cpuset, and this kernel must know mode and flags)",
    ),
    row(
        "Personality",
        Traced("create", Errno::EINVAL, &[libc::SYS_personality]),
        |bundle| set(bundle, "/linux/personality", json!({"domain": "LINUX32"})),
        "linux.personality: personality LINUX32: personality: invalid argument",
    ),
    row(
        "NoNewPrivileges",
        Traced("create", Errno::EINVAL, &[libc::SYS_prctl]),
        same,
        "process.noNewPrivileges: no-new-privileges: prctl: invalid argument",
    ),
];

const HOOKS: &[Row] = &[
    row(
        "AwaitHooks",
        Create,
        |bundle| hook(bundle, "createRuntime", "echo no network >&2; exit 4"),
        "hooks.createRuntime[0]: hook /bin/sh failed: exit status 4, output: no network",
    ),
    row(
        "AwaitHooks",
        Create,
        |bundle| hook(bundle, "createContainer", "kill -9 $$"),
        "hooks.createContainer[0]: hook /bin/sh was ended by signal 9",
    ),
    row(
        "AwaitHooks",
        Create,
        |bundle| bundle.with(|config| config["hooks"]["prestart"] = json!([{"path": "/nosuch"}])),
        "hooks.prestart[0]: run hook /nosuch: no such file or directory",
    ),
    row(
        "RunHook",
        Run,
        |bundle| hook(bundle, "startContainer", "exit 3"),
        "hooks.startContainer[0]: …hook /bin/sh failed: exit status 3",
    ),
    row(
        "RunHook",
        Run,
        |bundle| hook(bundle, "startContainer", "kill -9 $$"),
        "hooks.startContainer[0]: …hook /bin/sh … signal 9",
    ),
    row(
        "RunHook",
        Run,
        |bundle| {
            let bundle = hook(bundle, "startContainer", "sleep 1000");
            set(bundle, "/hooks/startContainer/0/timeout", json!(1))
        },
        "hooks.startContainer[0]: …hook /bin/sh ran past specified timeout…",
    ),
    row(
        "RunHook",
        Run,
        |bundle| bundle.with(|config| config["hooks"]["startContainer"] = json!([{"path": "/nosuch"}])),
        "hooks.startContainer[0]: …hook /nosuch…",
    ),
];

const PROGRAM: &[Row] = &[
    row(
        "FindProgram",
        Create,
        |bundle| bundle.args(&["nosuch"]),
        "process.args[0]: exec: \"nosuch\": executable file not found in $PATH",
    ),
    row(
        "FindProgram",
        Create,
        |bundle| bundle.args(&["/nosuch"]),
        "process.args[0]: exec: \"/nosuch\": stat /nosuch: no such file or directory",
    ),
    row(
        "FindProgram",
        Create,
        |bundle| bundle.args(&["/etc"]),
        "process.args[0]: exec: \"/etc\": permission denied (it is a directory)",
    ),
    row(
        "FindProgram",
        Create,
        |bundle| bundle.args(&["/etc/passwd"]),
        "process.args[0]: exec: \"/etc/passwd\": permission denied",
    ),
    row("AwaitStart", Traced("run", Errno::ENOMEM, &[libc::SYS_prctl]), same, "…prctl: out of memory"),
    row(
        "CloseDescriptors",
        Traced("create", Errno::ENOMEM, &[libc::SYS_close_range]),
        same,
        "default descriptors: close-descriptors from 3: close_range: out of memory",
    ),
    row(
        "Seccomp",
        Traced("run", Errno::EACCES, &[libc::SYS_seccomp]),
        |bundle| set(bundle, "/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"})),
        "linux.seccomp: seccomp: seccomp: permission denied (without noNewPrivileges it takes CAP_SYS_ADMIN)",
    ),
    row(
        "Execute",
        Run,
        |bundle| program(bundle, "#!/nosuch\n"),
        "exec /bin/program: no such file or directory (its interpreter or dynamic loader is missing in the container)",
    ),
    row(
        "Execute",
        Run,
        |bundle| program(bundle, "\x7f\n"),
        "exec /bin/program: exec format error (built for another architecture, or a script without a #! line)",
    ),
];

/// What the parent does, what it opens for init, and how init begins: none of these are steps of init.
const PARENT: &[Row] = &[
    row(
        "WriteProc",
        Create,
        |bundle| {
            let one = |id| json!({"containerID": id, "hostID": 1000 + id, "size": 1});
            set(few_ids(bundle), "/linux/uidMappings", (0..400).map(one).collect())
        },
        "linux.uidMappings: write \"0 1000 1\\n1 1001 1\\n… to /proc/…/uid_map: write: invalid argument (the kernel \
         takes 340 lines of ids that the caller has)",
    ),
    row(
        "WriteProc",
        After(|| without(CAP_SYS_RESOURCE), &[]),
        |bundle| set(bundle, "/process/oomScoreAdj", json!(-1000)),
        "process.oomScoreAdj: write \"-1000\" to /proc/…/oom_score_adj: write: permission denied (lowering it takes \
         CAP_SYS_RESOURCE)",
    ),
    row(
        "MapIds",
        Create,
        |bundle| {
            let (first, count) = User::granted();
            let map = json!([{"containerID": 0, "hostID": first, "size": count}]);
            set(bundle.of_user(User::with_ids().but_only(1)), "/linux/uidMappings", map)
        },
        "linux.uidMappings: map the ids by newuidmap: uid range [0-65536) -> [5000000-5065536) not allowed \
         (/etc/subuid must grant these users to the caller)",
    ),
    row(
        "RaiseLimit",
        Create,
        |bundle| set(few_ids(bundle), "/process/rlimits/0/hard", json!(1_u64 << 40)),
        "process.rlimits[0]: raise the hard limit to 1099511627776: prlimit64: operation not permitted (raising a \
         hard limit takes CAP_SYS_RESOURCE)",
    ),
    row(
        "Scheduler",
        After(|| without(CAP_SYS_NICE), &[]),
        |bundle| set(bundle, "/process/scheduler", json!({"policy": "SCHED_FIFO", "priority": 10})),
        "process.scheduler: set scheduler SCHED_FIFO priority 10: sched_setattr: operation not permitted (it takes \
         CAP_SYS_NICE)",
    ),
    // A policy that the specification has and Linux has not.
    row(
        "Scheduler",
        Create,
        |bundle| set(bundle, "/process/scheduler", json!({"policy": "SCHED_ISO"})),
        "process.scheduler: set scheduler SCHED_ISO: sched_setattr: invalid argument",
    ),
    row(
        "IoPriority",
        Traced("create", Errno::EPERM, &[libc::SYS_ioprio_set]),
        |bundle| set(bundle, "/process/ioPriority", json!({"class": "IOPRIO_CLASS_RT", "priority": 0})),
        "process.ioPriority: set I/O priority IOPRIO_CLASS_RT 0: ioprio_set: operation not permitted \
         (IOPRIO_CLASS_RT takes CAP_SYS_NICE)",
    ),
    row(
        "Affinity",
        Traced("exec", Errno::EPERM, &[libc::SYS_sched_setaffinity]),
        |bundle| set(sleeping(bundle), "/process/execCPUAffinity", json!({"initial": "0", "final": "0-1"})),
        "process.execCPUAffinity.initial: run on CPUs 0: sched_setaffinity: operation not permitted",
    ),
    row(
        "Affinity",
        Traced("exec", Errno::EINVAL, &[libc::SYS_sched_setaffinity]),
        |bundle| set(sleeping(bundle), "/process/execCPUAffinity", json!({"initial": "0", "final": "0-1"})),
        "process.execCPUAffinity.final: run on CPUs 0-1: sched_setaffinity: invalid argument (none of them is online \
         and in the cgroup's cpuset)",
    ),
    row(
        "NetDevice",
        Create,
        |bundle| set(bundle, "/linux/netDevices", json!({"nosuch0": {"name": "eth%d"}})),
        "linux.netDevices[\"nosuch0\"]: move network device nosuch0 into the container as eth%d: RTM_GETLINK: no such \
         device",
    ),
    row(
        "session",
        Traced("create", Errno::EPERM, &[libc::SYS_setsid]),
        same,
        "container init: get ready: setsid: operation not permitted",
    ),
    row(
        "namespace",
        Create,
        |bundle| joined(bundle, "network", "/nosuch"),
        "linux.namespaces[4].path: open namespace /nosuch: open: no such file or directory",
    ),
    row(
        "namespace",
        Create,
        |bundle| joined(bundle, "network", "/proc/self/ns/uts"),
        "linux.namespaces[4].path: open namespace /proc/self/ns/uts: it is a namespace of another type",
    ),
    row(
        "namespace",
        Create,
        |bundle| joined(bundle, "network", "/dev/null"),
        "linux.namespaces[4].path: open namespace /dev/null: it is not a namespace",
    ),
    row(
        "namespace",
        Create,
        |bundle| joined(bundle, "mount", "/proc/self/ns/mnt"),
        "linux.namespaces[4].path: join namespace /proc/self/ns/mnt: it is the runtime's own, whose root would be \
         changed",
    ),
    row(
        "handle",
        Create,
        |bundle| few_ids(bundle).mount("/mnt", "bind", "/nosuch", &["bind"]),
        "mounts[7].source: open /nosuch: open_tree: no such file or directory (the source must exist)",
    ),
];

/// What precedes every message of a step: engines look for runc's words.
const PREFIX: &str = "unable to start container process: ";

/// Is the message as expected? The parts between `…` come one after the other.
fn matches(message: &str, expected: &str) -> bool {
    let message = message.strip_prefix("minirun: ").map(|text| text.strip_prefix("exec failed: ").unwrap_or(text));
    let Some(mut rest) = message.and_then(|text| text.strip_prefix(PREFIX)) else { return false };
    let Some((parts, last)) = expected.rsplit_once('…') else { return rest == expected };
    for (i, part) in parts.split('…').enumerate() {
        match rest.split_once(part) {
            Some((before, after)) if i > 0 || before.is_empty() => rest = after,
            _ => return false,
        }
    }
    rest.ends_with(last)
}

/// Makes the call that must fail and leave nothing; its message.
fn message_of(row: &Row) -> String {
    let bundle = (row.prepare)(Bundle::base());
    let shown =
        |text: String| text.trim().replace(bundle.path().to_str().unwrap(), "BUNDLE").replace(bundle.id(), "ID");
    let message = match row.call {
        Create => shown(bundle.try_create().failure()),
        Run => shown(bundle.run().failure()),
        After(change, options) => {
            let mut command = bundle.command_for("create", options);
            // SAFETY: between fork and exec the changes make system calls only.
            unsafe { command.pre_exec(change) };
            shown(bundle.finish(&mut command).failure())
        }
        Traced(verb, errno, calls) => {
            let found = traced(&bundle, verb, errno, calls).find(|text| matches(&shown(text.clone()), row.message));
            if verb.starts_with("exec") {
                let state = bundle.call(&["state", bundle.id()]).success();
                assert!(state.contains("\"running\""), "{verb} has harmed the container: {state}");
                bundle.call(&["delete", "-f", bundle.id()]).success();
            }
            found.map_or_else(|| format!("no failure of {calls:?} in {verb} gives this message"), shown)
        }
    };
    bundle.assert_nothing_left();
    message
}

/// The messages when each of these system calls fails, the last of them first: steps come late in a call.
fn traced(bundle: &Bundle, verb: &'static str, errno: Errno, calls: &'static [c_long]) -> impl Iterator<Item = String> {
    let log = bundle.home().join("traced");
    let words: Vec<_> = verb.split(' ').chain([bundle.id(), "/bin/true"]).collect();
    let inside = words[0] == "exec";
    if inside {
        bundle.try_create().success();
        bundle.call(&["start", bundle.id()]).success();
    }
    let run = move |at| {
        let mut command = if inside { bundle.command(&words) } else { bundle.command_for(verb, &[]) };
        // A pipe, which is made for one reader.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let end = errat(command, at, errno, calls);
        // Some calls do no harm when they fail, and then there is a container.
        if end.status == 0 && verb == "create" {
            bundle.call(&["delete", "-f", bundle.id()]).success();
        }
        (end.calls, fs::read_to_string(&log).unwrap())
    };
    let (count, _) = run(0);
    (1..=count).rev().map(move |at| run(at).1)
}

#[track_caller]
fn check(rows: &[Row]) {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let wrong = rows.iter().filter_map(|row| {
        let message = message_of(row);
        (!matches(&message, row.message)).then(|| format!("{}: {}\n   is {message}\n", row.kind, row.message))
    });
    let wrong: String = wrong.collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_kind_has_a_row() {
    let tables = [NAMESPACES, ROOT, MOUNTS, NODES_AND_VIEWS, PROCESS, HOOKS, PROGRAM, PARENT];
    for kind in OPS.iter().chain(HOST_OPS) {
        let has_row = tables.iter().any(|rows| rows.iter().any(|row| row.kind == *kind));
        let without = CANNOT_FAIL.contains(kind) || FAIL_ELSEWHERE.contains(kind);
        assert!(has_row != without, "{kind} has no row, or is said not to fail");
    }
}

#[test]
fn namespaces_fail_in_words() {
    check(NAMESPACES);
}

#[test]
fn the_root_fails_in_words() {
    check(ROOT);
}

#[test]
fn mounts_fail_in_words() {
    check(MOUNTS);
}

#[test]
fn nodes_and_views_fail_in_words() {
    check(NODES_AND_VIEWS);
}

#[test]
fn the_process_fails_in_words() {
    check(PROCESS);
}

#[test]
fn hooks_fail_in_words() {
    check(HOOKS);
}

#[test]
fn the_program_fails_in_words() {
    check(PROGRAM);
}

#[test]
fn the_parent_fails_in_words() {
    check(PARENT);
}
