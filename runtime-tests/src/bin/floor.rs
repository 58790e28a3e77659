//! The floor: the minimum kernel work of `run` with the default bundle, as a yardstick for the benchmark.
//!
//! `floor [--any-device] CGROUP ROOTFS PROGRAM [ARG...]` makes the cgroup, does what the configuration of
//! `minirun spec` asks for, in as few system calls as that takes, and removes the cgroup. It reads no configuration,
//! keeps no state and checks nothing but errors. With `--any-device` there is no device filter.

#![cfg_attr(not(test), no_main)]
#![cfg_attr(test, allow(dead_code, reason = "nothing here can be tested apart from the kernel"))]

use std::ffi::{CStr, c_char, c_int, c_ulong};
use std::ptr::null;

const NODES: [(&CStr, u32, u32); 6] = [
    (c"dev/null", 1, 3),
    (c"dev/zero", 1, 5),
    (c"dev/full", 1, 7),
    (c"dev/random", 1, 8),
    (c"dev/urandom", 1, 9),
    (c"dev/tty", 5, 0),
];
const LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"dev/fd"),
    (c"/proc/self/fd/0", c"dev/stdin"),
    (c"/proc/self/fd/1", c"dev/stdout"),
    (c"/proc/self/fd/2", c"dev/stderr"),
    (c"pts/ptmx", c"dev/ptmx"),
];
const READ_ONLY: [&CStr; 5] = [c"proc/bus", c"proc/fs", c"proc/irq", c"proc/sys", c"proc/sysrq-trigger"];
const MASKED: [&CStr; 10] = [
    c"proc/acpi",
    c"proc/asound",
    c"proc/kcore",
    c"proc/keys",
    c"proc/latency_stats",
    c"proc/timer_list",
    c"proc/timer_stats",
    c"proc/sched_debug",
    c"proc/scsi",
    c"sys/firmware",
];
/// `CAP_KILL`, `CAP_NET_BIND_SERVICE`, `CAP_AUDIT_WRITE`.
const CAPABILITIES: u32 = 1 << 5 | 1 << 10 | 1 << 29;
const ENVIRONMENT: [&CStr; 2] = [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", c"TERM=xterm"];

/// The entry point is C's, so that the start-up code of Rust's standard library is not part of the floor.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: the C library passes argc strings and a null pointer after them.
    let argument = |i: c_int| unsafe { CStr::from_ptr(*argv.add(i as usize)) };
    let any_device = argc > 1 && argument(1) == c"--any-device";
    let first = 1 + any_device as c_int;
    if argc < first + 3 {
        eprintln!("usage: floor [--any-device] CGROUP ROOTFS PROGRAM [ARG...]");
        return 2;
    }
    let (cgroup, root) = (argument(first), argument(first + 1));
    // SAFETY: three arguments follow `first` at least, and the last pointer is null.
    let program = unsafe { argv.add(first as usize + 2) };
    run(cgroup, root, program, !any_device)
}

/// Exits with the name of the failed operation unless its result is zero or more.
fn must(operation: &str, answer: impl Into<i64>) -> i64 {
    let answer = answer.into();
    if answer < 0 {
        eprintln!("floor: {operation}: {}", std::io::Error::last_os_error());
        // SAFETY: ends the process.
        unsafe { libc::_exit(125) }
    }
    answer
}

fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn run(cgroup: &CStr, root: &CStr, program: *const *const c_char, filter: bool) -> c_int {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    // SAFETY: every pointer is to a value that outlives the call, with its size; the child of clone3 has a copy of all
    // memory and no other thread to wait for.
    unsafe {
        must("mkdir", libc::mkdir(cgroup.as_ptr(), 0o755));
        let directory = must("open", libc::open(cgroup.as_ptr(), libc::O_DIRECTORY | libc::O_CLOEXEC));
        if filter {
            filter_devices(directory as u32);
        }
        let mut clone: libc::clone_args = std::mem::zeroed();
        clone.flags = CLONE_INTO_CGROUP
            | (libc::CLONE_NEWNS
                | libc::CLONE_NEWPID
                | libc::CLONE_NEWNET
                | libc::CLONE_NEWIPC
                | libc::CLONE_NEWUTS
                | libc::CLONE_NEWCGROUP) as u64;
        clone.exit_signal = libc::SIGCHLD as u64;
        clone.cgroup = directory as u64;
        let pid = must("clone3", libc::syscall(libc::SYS_clone3, &raw mut clone, size_of_val(&clone)));
        if pid == 0 {
            become_container(root, program);
        }
        let mut status = 0;
        must("waitpid", libc::waitpid(pid as i32, &raw mut status, 0));
        while libc::rmdir(cgroup.as_ptr()) < 0 {
            // The last process may not have left the cgroup completely.
            must("rmdir", if errno() == libc::EBUSY { 0 } else { -1 });
        }
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
    }
}

/// One instruction of eBPF (RFC 9669).
const fn instruction(code: u8, to: u8, from: u8, offset: i16, number: i32) -> u64 {
    u64::from_ne_bytes([
        code,
        from << 4 | to,
        offset.to_ne_bytes()[0],
        offset.to_ne_bytes()[1],
        number.to_ne_bytes()[0],
        number.to_ne_bytes()[1],
        number.to_ne_bytes()[2],
        number.to_ne_bytes()[3],
    ])
}

/// Allows mknod of every device, and the use of the default devices.
fn filter_devices(cgroup: u32) {
    const LOAD_HALF: u8 = 0x69;
    const LOAD_WORD: u8 = 0x61;
    const EQUAL: u8 = 0x15;
    const UNEQUAL: u8 = 0x55;
    const SHIFT: u8 = 0x67;
    const OR: u8 = 0x4f;
    const SET: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    const DENY: i16 = 16;
    const ALLOW: i16 = 18;
    // r1 is struct bpf_cgroup_dev_ctx: kind and access in the halves of the first word, then major and minor.
    // A jump counts from the instruction after it. A device becomes one number: major << 20 | minor.
    let code = [
        instruction(LOAD_HALF, 2, 1, 2, 0),
        instruction(EQUAL, 2, 0, ALLOW - 2, 1),
        instruction(LOAD_HALF, 2, 1, 0, 0),
        instruction(UNEQUAL, 2, 0, DENY - 4, 2),
        instruction(LOAD_WORD, 2, 1, 4, 0),
        instruction(EQUAL, 2, 0, ALLOW - 6, 136),
        instruction(LOAD_WORD, 3, 1, 8, 0),
        instruction(SHIFT, 2, 0, 0, 20),
        instruction(OR, 2, 3, 0, 0),
        instruction(EQUAL, 2, 0, ALLOW - 10, 1 << 20 | 3),
        instruction(EQUAL, 2, 0, ALLOW - 11, 1 << 20 | 5),
        instruction(EQUAL, 2, 0, ALLOW - 12, 1 << 20 | 7),
        instruction(EQUAL, 2, 0, ALLOW - 13, 1 << 20 | 8),
        instruction(EQUAL, 2, 0, ALLOW - 14, 1 << 20 | 9),
        instruction(EQUAL, 2, 0, ALLOW - 15, 5 << 20),
        instruction(EQUAL, 2, 0, ALLOW - 16, 5 << 20 | 2),
        instruction(SET, 0, 0, 0, 0),
        instruction(EXIT, 0, 0, 0, 0),
        instruction(SET, 0, 0, 0, 1),
        instruction(EXIT, 0, 0, 0, 0),
    ];

    /// The parts of `union bpf_attr` that bpf(2) documents for loading a program.
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        code: *const u64,
        license: *const c_char,
    }
    const BPF_PROG_LOAD: c_int = 5;
    const BPF_PROG_ATTACH: c_int = 8;
    const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    const BPF_CGROUP_DEVICE: u32 = 6;
    const BPF_F_ALLOW_MULTI: u32 = 2;
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: code.len() as u32,
        code: code.as_ptr(),
        license: c"Apache-2.0".as_ptr(),
    };
    // SAFETY: the program and its attributes outlive the calls; sizes are theirs.
    unsafe {
        let program = must("bpf load", libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<Load>()));
        let attach = [cgroup, program as u32, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI];
        must("bpf attach", libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attach, size_of_val(&attach)));
    }
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: c_ulong, data: &CStr) -> c_int {
    // SAFETY: five values, of which four are strings; the kernel ignores the ones that the flags make meaningless.
    unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) }
}

/// Sets up the container in the child: its file system from the working directory, then its privileges, then its
/// program.
fn become_container(root: &CStr, program: *const *const c_char) -> ! {
    use libc::{MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC, MS_RELATIME, MS_REMOUNT, MS_STRICTATIME};
    const CLOSED: c_ulong = MS_NOSUID | MS_NOEXEC | MS_NODEV;

    // SAFETY: every pointer is to a string or a value that outlives the call.
    unsafe {
        libc::umask(0);
        must("sethostname", libc::sethostname(c"minirun".as_ptr(), 7));
        must("propagation", mount(c"", c"/", c"", MS_REC | libc::MS_SLAVE, c""));
        must("bind root", mount(root, root, c"", MS_BIND | MS_REC, c""));
        must("chdir", libc::chdir(root.as_ptr()));

        must("proc", mount(c"proc", c"proc", c"proc", 0, c""));
        must("dev", mount(c"tmpfs", c"dev", c"tmpfs", MS_NOSUID | MS_STRICTATIME, c"mode=755,size=65536k"));
        for point in [c"dev/pts", c"dev/shm", c"dev/mqueue"] {
            must("mkdir", libc::mkdir(point.as_ptr(), 0o755));
        }
        let options = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
        must("pts", mount(c"devpts", c"dev/pts", c"devpts", MS_NOSUID | MS_NOEXEC, options));
        must("shm", mount(c"shm", c"dev/shm", c"tmpfs", CLOSED, c"mode=1777,size=65536k"));
        must("mqueue", mount(c"mqueue", c"dev/mqueue", c"mqueue", CLOSED, c""));
        must("sys", mount(c"sysfs", c"sys", c"sysfs", CLOSED | MS_RDONLY, c""));
        let flags = CLOSED | MS_RELATIME | MS_RDONLY;
        must("cgroup", mount(c"cgroup", c"sys/fs/cgroup", c"cgroup2", flags, c""));

        for (path, major, minor) in NODES {
            let device = libc::makedev(major, minor);
            must("mknod", libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, device));
        }
        for (target, path) in LINKS {
            must("symlink", libc::symlink(target.as_ptr(), path.as_ptr()));
        }
        // A missing path is not an error, here and below.
        for path in READ_ONLY {
            if mount(path, path, c"", MS_BIND | MS_REC, c"") == 0 {
                must("read-only path", mount(c"", path, c"", MS_REMOUNT | MS_BIND | MS_RDONLY, c""));
            }
        }
        // Directories cannot be covered with a file (ENOTDIR); all of them share one empty tmpfs.
        let mut empty: Option<&CStr> = None;
        for path in MASKED {
            if mount(c"dev/null", path, c"", MS_BIND, c"") < 0 && errno() == libc::ENOTDIR {
                must(
                    "masked path",
                    match empty {
                        Some(empty) => mount(empty, path, c"", MS_BIND, c""),
                        None => mount(c"tmpfs", path, c"tmpfs", MS_RDONLY, c""),
                    },
                );
                empty = empty.or(Some(path));
            }
        }
        must("read-only root", mount(c"", c".", c"", MS_REMOUNT | MS_BIND | MS_RDONLY, c""));
        must("pivot_root", libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()));
        must("umount", libc::umount2(c".".as_ptr(), libc::MNT_DETACH));
        must("chdir", libc::chdir(c"/".as_ptr()));

        libc::umask(0o022);
        let files = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
        must("setrlimit", libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files));
        for capability in 0..64 {
            // The kernel refuses numbers beyond its newest capability.
            let kept = capability < 32 && CAPABILITIES & 1 << capability != 0;
            if !kept && libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 {
                break;
            }
        }
        must("setgroups", libc::syscall(libc::SYS_setgroups, 0, null::<u32>()));
        const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;
        let header = [LINUX_CAPABILITY_VERSION_3, 0];
        // Effective, permitted, inheritable, for the first 32 capabilities and for the others.
        let sets = [CAPABILITIES, CAPABILITIES, 0, 0, 0, 0];
        must("capset", libc::syscall(libc::SYS_capset, &raw const header, &raw const sets));
        must("no_new_privs", libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));

        let environment = [ENVIRONMENT[0].as_ptr(), ENVIRONMENT[1].as_ptr(), null()];
        must("execve", libc::execve(*program, program, environment.as_ptr()));
        libc::_exit(125)
    }
}
