//! Everything of the confinement that a process can observe, in lines that are equal for equal confinement: without
//! pids, inode numbers and mount ids.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use nix::errno::Errno;

use super::{Report, limits, nice, text, umask};

/// Paths that configurations mask or make read-only.
const PATHS: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/interrupts",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/hostname",
    "/sys/firmware",
    "/mnt/masked",
    "/mnt/masked-file",
    "/mnt/readonly",
    "/mnt/readonly-file",
    "/etc/passwd",
    "/",
];

/// Devices by type, major and minor number; the default rules allow the first two.
const DEVICES: &[(&str, libc::mode_t, u32, u32)] = &[
    ("null", libc::S_IFCHR, 1, 3),
    ("zero", libc::S_IFCHR, 1, 5),
    ("mem", libc::S_IFCHR, 1, 1),
    ("kmsg", libc::S_IFCHR, 1, 11),
    ("tun", libc::S_IFCHR, 10, 200),
    ("loop0", libc::S_IFBLK, 7, 0),
];

const CGROUP_FILES: &[&str] = &[
    "memory.max",
    "memory.high",
    "memory.low",
    "memory.swap.max",
    "pids.max",
    "cpu.max",
    "cpu.weight",
    "cpuset.cpus",
    "cgroup.freeze",
];

/// Returns the fingerprint. `host` are the host's namespaces, as the links below /proc/self/ns show them.
pub(super) fn fingerprint(host: &[String]) -> Report {
    let mut report = String::new();
    let parts: [(&str, Report); 12] = [
        ("status", status()),
        ("limits", limits()),
        ("namespaces", namespaces(host)),
        ("mounts", mounts()),
        ("paths", Ok(PATHS.iter().map(|path| format!("{path}: {}\n", view(path))).collect())),
        ("nodes", nodes()),
        ("devices", Ok(DEVICES.iter().map(device).collect())),
        ("cgroup", cgroup()),
        ("parameters", Ok(parameters())),
        ("process", Ok(format!("{}\n{}", nice(), text(umask())))),
        ("descriptors", descriptors()),
        ("calls", Ok(calls())),
    ];
    for (name, part) in parts {
        report += &text(part).lines().map(|line| format!("{name}: {line}\n")).collect::<String>();
    }
    Ok(report)
}

fn status() -> Report {
    const VARYING: &[&str] = &["Pid", "PPid", "Tgid", "Ngid", "NSpid", "NStgid", "NSpgid", "NSsid", "FDSize", "SigQ"];
    let status = fs::read_to_string("/proc/self/status")?;
    let wanted = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        let varies =
            VARYING.contains(&name) || name.contains("ctxt") || name.starts_with("Vm") || name.starts_with("Rss");
        !varies && !name.starts_with("Mems") && !name.starts_with("x86") && !name.starts_with("Huge")
    };
    Ok(status.lines().filter(wanted).map(|line| format!("{line}\n")).collect())
}

fn namespaces(host: &[String]) -> Report {
    let mut report = String::new();
    for name in ["pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time"] {
        let link = fs::read_link(format!("/proc/self/ns/{name}"))?.display().to_string();
        report += &format!("{name}={}\n", if host.contains(&link) { "the host's" } else { "its own" });
    }
    for file in ["uid_map", "gid_map", "setgroups", "timens_offsets", "cgroup", "oom_score_adj", "attr/current"] {
        let shown = text(fs::read_to_string(format!("/proc/self/{file}")));
        report += &format!("{file}={}\n", shown.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let interfaces = fs::read_to_string("/proc/net/dev")?;
    let names: Vec<_> =
        interfaces.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
    Ok(report + &format!("interfaces={names:?}\n"))
}

/// Returns the lines of mountinfo without ids, device numbers and peer group numbers.
fn mounts() -> Report {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let line = |line: &str| {
        let fields = line.split(' ').skip(3).map(|field| match field.split_once(':') {
            Some((kind @ ("shared" | "master" | "propagate_from"), _)) => kind,
            _ => field,
        });
        fields.collect::<Vec<_>>().join(" ") + "\n"
    };
    Ok(mountinfo.lines().map(line).collect())
}

/// Returns what could be read and written at a path, without doing so.
fn view(path: &str) -> String {
    let data = match fs::symlink_metadata(path) {
        Ok(data) if data.is_symlink() => return "a link".to_owned(),
        Ok(data) => data,
        Err(error) => return failure(&error),
    };
    let (major, minor) = (libc::major(data.rdev()), libc::minor(data.rdev()));
    let kind = format!("mode={:o} rdev={major}:{minor} owner={}:{}", data.mode(), data.uid(), data.gid());
    if data.is_dir() {
        let names = fs::read_dir(path).map(|entries| usize::from(entries.count() > 0));
        let writable = match nix::sys::statvfs::statvfs(path) {
            Ok(found) => format!("{:?}", found.flags()),
            Err(errno) => format!("{errno:?}"),
        };
        return format!("{kind} read={} flags={writable}", shown(&names));
    }
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_NONBLOCK);
    let read = options.read(true).open(path).and_then(|mut file| file.read(&mut [0; 16]));
    let write = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).map(|_| 0);
    format!("{kind} read={} write={}", shown(&read.map(|length| length.min(1))), shown(&write))
}

fn shown(result: &io::Result<usize>) -> String {
    result.as_ref().map_or_else(failure, usize::to_string)
}

fn failure(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| format!("{:?}", Errno::from_raw(number)))
}

fn nodes() -> Report {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/dev")? {
        let path = entry?.path();
        let link = fs::read_link(&path).map(|target| format!(" -> {}", target.display())).unwrap_or_default();
        lines.push(format!("{}: {}{link}\n", path.display(), view(&path.to_string_lossy())));
    }
    lines.sort();
    Ok(lines.concat())
}

/// Creates a device in /tmp and opens it.
fn device(&(name, kind, major, minor): &(&str, libc::mode_t, u32, u32)) -> String {
    let path = format!("/tmp/{name}");
    let Ok(path_c) = CString::new(path.as_str()) else { return String::new() };
    // SAFETY: the path is a string with its final zero that outlives the call.
    let made = Errno::result(unsafe { libc::mknod(path_c.as_ptr(), kind | 0o666, libc::makedev(major, minor)) });
    let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path).map(|_| 0);
    let _absent = fs::remove_file(&path);
    format!("{name}: made={made:?} opened={}\n", shown(&opened))
}

fn cgroup() -> Report {
    let file = |name: &&str| {
        let value = text(fs::read_to_string(format!("/sys/fs/cgroup/{name}")));
        format!("{name}={}\n", value.trim())
    };
    Ok(CGROUP_FILES.iter().map(file).collect())
}

fn parameters() -> String {
    let names = ["kernel/hostname", "kernel/domainname", "kernel/msgmax", "kernel/shmmax", "net/ipv4/ip_forward"];
    let value = |name: &&str| format!("{name}={}\n", text(fs::read_to_string(format!("/proc/sys/{name}"))).trim());
    names.iter().map(value).collect()
}

fn descriptors() -> Report {
    let mut numbers = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        // The descriptor that reads the directory is closed by then.
        if fs::metadata(&path).is_ok() {
            numbers.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    numbers.sort();
    Ok(format!("{numbers:?}"))
}

/// Returns the results of system calls: about the session keyring, calls that the tests' profiles deny, and signals.
fn calls() -> String {
    const KEYCTL_DESCRIBE: i64 = 6;
    const SESSION_KEYRING: i64 = -3;
    let mut description = [0_u8; 128];
    // SAFETY: the kernel writes at most the given size to a place that outlives the call; the others take numbers.
    let (length, denied, killed_with_parent) = unsafe {
        let mut signal = 0_i32;
        (
            libc::syscall(
                libc::SYS_keyctl,
                KEYCTL_DESCRIBE,
                SESSION_KEYRING,
                description.as_mut_ptr(),
                description.len(),
            ),
            Errno::result(libc::syscall(libc::SYS_getcpu, 0, 0, 0)),
            Errno::result(libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal)).map(|_| signal),
        )
    };
    let session = match Errno::result(length) {
        Ok(length) => String::from_utf8_lossy(&description[..(length as usize).min(128)]).into_owned(),
        Err(errno) => format!("{errno:?}"),
    };
    // SAFETY: these calls take and return plain numbers.
    let (dumpable, securebits) = unsafe { (libc::prctl(libc::PR_GET_DUMPABLE), libc::prctl(libc::PR_GET_SECUREBITS)) };
    format!(
        "session={session}\ngetcpu={denied:?}\ndeath signal={killed_with_parent:?}\n\
         dumpable={dumpable}\nsecurebits={securebits}\n"
    )
}
