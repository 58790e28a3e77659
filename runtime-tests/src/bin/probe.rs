//! The probe inside the container: each verb reports one thing that a process can observe.
//!
//! The probe reports and does not judge: a refused system call is printed as `errno=NAME` and the exit status is
//! still 0, so that a test reads both outcomes in the same way. Facts are printed as `key=value` lines.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "probe/fingerprint.rs"]
mod fingerprint;
#[path = "probe/stalk.rs"]
mod stalk;

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use serde_json::{Map, Value};

/// What a verb prints, or the error number that it met.
type Report = io::Result<String>;

/// A verb: its name, its arguments, and its function.
struct Verb(&'static str, &'static str, fn(&[String]) -> Report);

const VERBS: &[Verb] = &[
    Verb("status", "", |_| status()),
    Verb("mounts", "", |_| fs::read_to_string("/proc/self/mountinfo")),
    Verb("limits", "", |_| limits()),
    Verb("namespaces", "", |_| namespaces()),
    Verb("names", "", |_| names()),
    Verb("cwd", "", |_| cwd()),
    Verb("env", "", |_| Ok(env())),
    Verb("umask", "", |_| umask()),
    Verb("fds", "", |_| fds()),
    Verb("nice", "", |_| Ok(nice())),
    Verb("scheduler", "", |_| scheduler()),
    Verb("memory-policy", "", |_| memory_policy()),
    Verb("oom", "", |_| Ok(format!("oom_score_adj={}", fs::read_to_string("/proc/self/oom_score_adj")?))),
    Verb("cpus", "", |_| cpus()),
    Verb("session", "", |_| Ok(session())),
    Verb("clocks", "", |_| Ok(clocks())),
    Verb("cgroup", "", |_| fs::read_to_string("/proc/self/cgroup")),
    Verb("tiocsti", "", |_| tiocsti()),
    Verb("terminal", "", |_| terminal()),
    Verb("snoop", "PATH", |words| snoop(words.first().map_or("", String::as_str))),
    Verb("stat", "PATH...", |paths| each(paths, stat)),
    Verb("label", "PATH...", |paths| each(paths, label)),
    Verb("read", "PATH...", |paths| each(paths, |path| fs::read_to_string(path))),
    Verb("open", "PATH...", |paths| each(paths, open)),
    Verb("write", "PATH [TEXT]", write),
    Verb("mkdir", "PATH...", |paths| each(paths, |path| fs::create_dir(path).map(|()| String::from("made=1")))),
    Verb("mknod", "PATH MAJOR MINOR", mknod),
    Verb("list", "PATH...", |paths| each(paths, list)),
    Verb("sysctl", "NAME", |names| each(names, sysctl)),
    Verb("fingerprint", "NAMESPACE...", fingerprint::fingerprint),
    Verb("call", "NUMBER [ARGUMENT...]", call),
    Verb("allocate", "MIB", allocate),
    Verb("forks", "COUNT", forks),
    Verb("spin", "MILLISECONDS", spin),
    Verb("write-direct", "PATH MIB", write_direct),
    Verb("exit", "STATUS", |words| std::process::exit(number(words, 0)? as i32)),
    Verb("die", "SIGNAL", die),
    Verb("pause", "", |_| pause()),
    Verb("signals", "", |_| signals()),
    Verb("notify", "TEXT...", notify),
    Verb("siblings", "", |_| siblings()),
    Verb("stalk", "DIRECTORY SECRET", stalk::stalk),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((verb, arguments)) = words.split_first() else { return help() };
    if verb == "all" {
        return println!("{}", all());
    }
    let Some(Verb(_, _, report)) = VERBS.iter().find(|known| known.0 == verb) else {
        help();
        std::process::exit(2);
    };
    println!("{}", text(report(arguments)).trim_end());
}

/// Sends each text to the socket that `NOTIFY_SOCKET` names, and keeps running.
fn notify(texts: &[String]) -> Report {
    let address = std::env::var_os("NOTIFY_SOCKET").ok_or_else(|| io::Error::other("NOTIFY_SOCKET is not set"))?;
    let socket = UnixDatagram::unbound()?;
    for text in texts {
        socket.send_to(text.as_bytes(), &address)?;
    }
    println!("sent to {}", address.display());
    pause()
}

fn help() {
    println!("all");
    for Verb(name, arguments, _) in VERBS {
        println!("{name} {arguments}");
    }
}

/// Returns the reports of every verb without arguments up to the first that changes something, as one JSON object.
fn all() -> Value {
    let object = |report: String| {
        let lines = report.lines().map(|line| line.split_once('='));
        match lines.collect::<Option<Vec<_>>>() {
            Some(facts) if !facts.is_empty() => {
                Value::Object(facts.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect())
            }
            _ => Value::String(report),
        }
    };
    let verbs = VERBS.iter().take_while(|verb| verb.0 != "tiocsti");
    Value::Object(verbs.map(|verb| (verb.0.to_owned(), object(text(verb.2(&[]))))).collect::<Map<_, _>>())
}

fn text(report: Report) -> String {
    report.unwrap_or_else(|error| match error.raw_os_error() {
        Some(number) => format!("errno={:?}", Errno::from_raw(number)),
        None => format!("error={error}"),
    })
}

/// Returns one report per path; with several paths, `path=` precedes each.
fn each(paths: &[String], report: impl Fn(&str) -> Report) -> Report {
    let [path] = paths else {
        let lines = paths.iter().map(|path| format!("path={path}\n{}\n", text(report(path)).trim_end()));
        return Ok(lines.collect());
    };
    report(path)
}

fn number(words: &[String], index: usize) -> io::Result<u64> {
    let word = words.get(index).ok_or_else(|| io::Error::other("a number is missing"))?;
    word.parse().map_err(|_| io::Error::other(format!("not a number: {word}")))
}

fn status() -> Report {
    let wanted = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"];
    let status = fs::read_to_string("/proc/self/status")?;
    let facts = status.lines().filter_map(|line| line.split_once(':'));
    let facts = facts.filter(|(key, _)| wanted.contains(key));
    let words = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(facts.map(|(key, value)| format!("{key}={}\n", words(value))).collect())
}

fn limits() -> Report {
    let kinds = [
        ("AS", libc::RLIMIT_AS),
        ("CORE", libc::RLIMIT_CORE),
        ("CPU", libc::RLIMIT_CPU),
        ("DATA", libc::RLIMIT_DATA),
        ("FSIZE", libc::RLIMIT_FSIZE),
        ("LOCKS", libc::RLIMIT_LOCKS),
        ("MEMLOCK", libc::RLIMIT_MEMLOCK),
        ("MSGQUEUE", libc::RLIMIT_MSGQUEUE),
        ("NICE", libc::RLIMIT_NICE),
        ("NOFILE", libc::RLIMIT_NOFILE),
        ("NPROC", libc::RLIMIT_NPROC),
        ("RSS", libc::RLIMIT_RSS),
        ("RTPRIO", libc::RLIMIT_RTPRIO),
        ("RTTIME", libc::RLIMIT_RTTIME),
        ("SIGPENDING", libc::RLIMIT_SIGPENDING),
        ("STACK", libc::RLIMIT_STACK),
    ];
    let mut report = String::new();
    for (name, kind) in kinds {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the kernel writes one rlimit to a place that outlives the call.
        Errno::result(unsafe { libc::getrlimit(kind, &raw mut limit) })?;
        let show =
            |value: libc::rlim_t| if value == libc::RLIM_INFINITY { "unlimited".to_owned() } else { value.to_string() };
        report += &format!("RLIMIT_{name}={} {}\n", show(limit.rlim_cur), show(limit.rlim_max));
    }
    Ok(report)
}

fn namespaces() -> Report {
    let mut report = String::new();
    for name in ["pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time"] {
        let link = fs::read_link(format!("/proc/self/ns/{name}"))?;
        report += &format!("{name}={}\n", link.display());
    }
    Ok(report)
}

fn names() -> Report {
    let read = |name| fs::read_to_string(format!("/proc/sys/kernel/{name}"));
    Ok(format!("hostname={}domainname={}", read("hostname")?, read("domainname")?))
}

fn cwd() -> Report {
    Ok(format!("cwd={}", std::env::current_dir()?.display()))
}

fn env() -> String {
    std::env::vars_os().map(|(key, value)| format!("{}={}\n", key.display(), value.display())).collect()
}

fn umask() -> Report {
    let status = fs::read_to_string("/proc/self/status")?;
    Ok(status
        .lines()
        .filter_map(|line| line.strip_prefix("Umask:"))
        .map(|mask| format!("umask={}", mask.trim()))
        .collect())
}

/// Returns the open descriptors with their targets, without the one that reads the directory.
fn fds() -> Report {
    let mut fds = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        let target = fs::read_link(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let own = target.as_os_str().as_bytes().starts_with(b"/proc/") && target.ends_with("fd");
        if !own {
            fds.push((name.parse::<u32>().unwrap_or(0), format!("{name}={}\n", target.display())));
        }
    }
    fds.sort();
    Ok(fds.into_iter().map(|(_, line)| line).collect())
}

fn nice() -> String {
    // SAFETY: these calls take and return plain numbers.
    let (nice, policy, io, persona) = unsafe {
        (
            libc::getpriority(libc::PRIO_PROCESS, 0),
            // musl does not implement it.
            libc::syscall(libc::SYS_sched_getscheduler, 0),
            libc::syscall(libc::SYS_ioprio_get, 1, 0),
            libc::personality(0xffff_ffff),
        )
    };
    format!("nice={nice}\npolicy={policy}\nioprio={io:#x}\npersonality={persona:#x}")
}

/// Returns the attributes of sched_getattr(2), by their names in the configuration.
fn scheduler() -> Report {
    let mut attr = [0_u32; 14];
    // SAFETY: the kernel writes at most as many bytes as it is told of, to a place that outlives the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, attr.as_mut_ptr(), size_of_val(&attr), 0) })?;
    let long = |at: usize| u64::from(attr[at]) | u64::from(attr[at + 1]) << 32;
    let (policy, flags, nice, priority) = (attr[1], long(2), attr[4] as i32, attr[5]);
    let times = format!("runtime={}\ndeadline={}\nperiod={}", long(6), long(8), long(10));
    Ok(format!("policy={policy}\nflags={flags:#x}\nnice={nice}\npriority={priority}\n{times}"))
}

/// Returns the mode and the first 64 nodes of get_mempolicy(2).
fn memory_policy() -> Report {
    let (mut mode, mut nodes) = (0_i32, [0_u64; 16]);
    // SAFETY: the kernel writes a number and at most 1024 bits to places that outlive the call.
    let answer = unsafe {
        libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, nodes.as_mut_ptr(), size_of_val(&nodes) * 8, 0, 0)
    };
    Errno::result(answer)?;
    Ok(format!("mode={mode:#x}\nnodes={:#x}", nodes[0]))
}

fn cpus() -> Report {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0))?;
    let cpus = (0..nix::sched::CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false));
    Ok(format!("cpus={}", cpus.map(|cpu| cpu.to_string()).collect::<Vec<_>>().join(",")))
}

fn session() -> String {
    // SAFETY: these calls take and return plain numbers.
    let (pid, group, session, terminal) =
        unsafe { (libc::getpid(), libc::getpgid(0), libc::getsid(0), libc::isatty(0)) };
    format!("pid={pid}\ngroup={group}\nsession={session}\nterminal={terminal}")
}

/// Returns the terminal on standard input: its device and that of the console, its size, and whether it controls this
/// process.
fn terminal() -> Report {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes one structure to a place that outlives the call.
    Errno::result(unsafe { libc::ioctl(0, libc::TIOCGWINSZ as _, &raw mut size) })?;
    let device = |path: &str| -> io::Result<String> {
        let data = fs::metadata(path)?;
        Ok(format!("{}:{} {}", libc::major(data.rdev()), libc::minor(data.rdev()), data.uid()))
    };
    // SAFETY: these calls take and return plain numbers.
    let (session, own) = unsafe { (libc::tcgetsid(0), libc::getsid(0)) };
    let controls = session == own && OpenOptions::new().read(true).open("/dev/tty").is_ok();
    let console = device("/dev/console").unwrap_or_default();
    let (rows, columns) = (size.ws_row, size.ws_col);
    let stdin = device("/proc/self/fd/0")?;
    let name = fs::read_link("/proc/self/fd/0")?;
    let name = name.display();
    Ok(format!("rows={rows}\ncolumns={columns}\nstdin={stdin}\nconsole={console}\ncontrols={controls}\nname={name}"))
}

/// Inspects every process that appears after this one, as fast as possible, until it is killed. Prints a line for each
/// pid, for each descriptor with a readable target, and for each root that contains `path`.
fn snoop(path: &str) -> Report {
    println!("ready");
    let mut known = std::collections::BTreeSet::new();
    let mut tell = |line: String| {
        if known.insert(line.clone()) {
            println!("{line}");
        }
    };
    let mut latest = std::process::id() + 1;
    loop {
        let first = latest;
        for pid in first..first + 32 {
            let process = format!("/proc/{pid}");
            if fs::symlink_metadata(&process).is_err() {
                continue;
            }
            latest = pid;
            tell(format!("pid={pid}"));
            for place in ["root", "cwd"] {
                if fs::symlink_metadata(format!("{process}/{place}/{path}")).is_ok() {
                    tell(format!("{place} of {pid} is the host's"));
                }
            }
            for entry in fs::read_dir(format!("{process}/fd")).into_iter().flatten().flatten() {
                if let Ok(target) = fs::read_link(entry.path()) {
                    tell(format!("fd={}", target.display()));
                }
            }
        }
        io::stdout().flush()?;
    }
}

fn clocks() -> String {
    let seconds = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes one timespec to a place that outlives the call.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        time.tv_sec
    };
    format!("monotonic={}\nboottime={}", seconds(libc::CLOCK_MONOTONIC), seconds(libc::CLOCK_BOOTTIME))
}

/// Tries to type a letter into the terminal on standard input.
fn tiocsti() -> Report {
    let letter = b'x';
    // SAFETY: the kernel reads one byte from a place that outlives the call.
    Errno::result(unsafe { libc::ioctl(0, libc::TIOCSTI as _, &raw const letter) })?;
    Ok("typed=1".into())
}

fn stat(path: &str) -> Report {
    let data = fs::symlink_metadata(path)?;
    let kind = match data.file_type() {
        kind if kind.is_dir() => "directory",
        kind if kind.is_symlink() => "link",
        kind if kind.is_char_device() => "char",
        kind if kind.is_block_device() => "block",
        kind if kind.is_fifo() => "fifo",
        kind if kind.is_socket() => "socket",
        _ => "file",
    };
    let target = fs::read_link(path).map(|target| format!("target={}\n", target.display())).unwrap_or_default();
    let (major, minor) = (libc::major(data.rdev()), libc::minor(data.rdev()));
    let mode = data.mode() & 0o7777;
    let owner = format!("uid={}\ngid={}\n", data.uid(), data.gid());
    Ok(format!("type={kind}\nmode={mode:04o}\nrdev={major}:{minor}\n{owner}size={}\n{target}", data.size()))
}

/// Returns the SELinux label of a file; links are not followed.
fn label(path: &str) -> Report {
    let (name, mut label) = (CString::new(path)?, [0u8; 256]);
    // SAFETY: both names end with a NUL byte, and the buffer outlives the call.
    let length = Errno::result(unsafe {
        libc::lgetxattr(name.as_ptr(), c"security.selinux".as_ptr(), label.as_mut_ptr().cast(), label.len())
    })?;
    let text = String::from_utf8_lossy(&label[..length as usize]);
    Ok(format!("label={}", text.trim_end_matches('\0')))
}

/// Opens for reading and, separately, for writing.
fn open(path: &str) -> Report {
    let attempt = |options: &OpenOptions| match options.open(path) {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{:?}", Errno::from_raw(error.raw_os_error().unwrap_or(0))),
    };
    let (read, write) = (attempt(OpenOptions::new().read(true)), attempt(OpenOptions::new().write(true)));
    Ok(format!("read={read}\nwrite={write}"))
}

fn write(words: &[String]) -> Report {
    let path = words.first().map_or("", String::as_str);
    let text = words.get(1).map_or("x", String::as_str);
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(format!("written={}", text.len()))
}

fn mknod(words: &[String]) -> Report {
    let path = CString::new(words.first().map_or("", String::as_str))?;
    let device = libc::makedev(number(words, 1)? as u32, number(words, 2)? as u32);
    // SAFETY: the path is a string with its final zero that outlives the call.
    Errno::result(unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, device) })?;
    Ok("made=1".into())
}

fn list(path: &str) -> Report {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned() + "\n");
    }
    names.sort();
    Ok(names.concat())
}

fn sysctl(name: &str) -> Report {
    Ok(format!("{name}={}", fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/")))?))
}

/// Makes any system call with plain numbers as arguments.
fn call(words: &[String]) -> Report {
    let mut numbers = [0; 7];
    for (index, slot) in numbers.iter_mut().enumerate().take(words.len()) {
        *slot = number(words, index)? as i64;
    }
    let [number, a, b, c, d, e, f] = numbers;
    // SAFETY: not proven in general; the tests name calls that take numbers only, or make the kernel refuse a
    // null pointer.
    let result = Errno::result(unsafe { libc::syscall(number, a, b, c, d, e, f) })?;
    Ok(format!("result={result}"))
}

/// Allocates memory and touches every page, one MiB at a time; the last line shows how far it got.
fn allocate(words: &[String]) -> Report {
    let mut held = Vec::new();
    for mib in 1..=number(words, 0)? {
        held.push(vec![mib as u8 | 1; 1 << 20]);
        std::hint::black_box(&held);
    }
    Ok(format!("allocated={}", held.len()))
}

/// Forks children that live until this process ends. Reports the number of children before the first refusal.
fn forks(words: &[String]) -> Report {
    let wanted = number(words, 0)?;
    let mut children = Vec::new();
    let mut refusal = String::new();
    while (children.len() as u64) < wanted {
        // SAFETY: this process has one thread, and the child only waits.
        match Errno::result(unsafe { libc::fork() }) {
            Ok(0) => loop {
                std::thread::park();
            },
            Ok(child) => children.push(child),
            Err(error) => {
                refusal = format!("errno={error:?}");
                break;
            }
        }
    }
    for child in &children {
        // SAFETY: a pid that fork returned and that was not waited for yet.
        unsafe { libc::kill(*child, libc::SIGKILL) };
    }
    Ok(format!("forked={}\n{refusal}", children.len()))
}

/// Computes for some wall time and reports the CPU time used.
fn spin(words: &[String]) -> Report {
    let end = Instant::now() + Duration::from_millis(number(words, 0)?);
    while Instant::now() < end {
        std::hint::black_box(0);
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec to a place that outlives the call.
    Errno::result(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) })?;
    // SAFETY: takes no arguments.
    let cpu = unsafe { libc::sched_getcpu() };
    Ok(format!("cpu_ms={}\ncpu={cpu}", time.tv_sec * 1000 + time.tv_nsec / 1_000_000))
}

/// Writes around the page cache and reports the time.
fn write_direct(words: &[String]) -> Report {
    let path = words.first().map_or("", String::as_str);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).custom_flags(libc::O_DIRECT).open(path)?;
    let aligned = std::alloc::Layout::from_size_align(1 << 20, 4096).map_err(io::Error::other)?;
    // SAFETY: the layout has a size; the slice covers exactly the allocation, which is zeroed and never freed.
    let block = unsafe {
        let start = std::alloc::alloc_zeroed(aligned);
        if start.is_null() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        std::slice::from_raw_parts(start, aligned.size())
    };
    let start = Instant::now();
    for _ in 0..number(words, 1)? {
        file.write_all(block)?;
    }
    file.sync_all()?;
    Ok(format!("write_ms={}\nfd={}", start.elapsed().as_millis(), file.as_raw_fd()))
}

/// Ends by a signal. The first process of a pid namespace cannot be killed from inside, so there a child does it.
fn die(words: &[String]) -> Report {
    let signal = number(words, 0)? as i32;
    // SAFETY: take plain numbers. The standard library's own handler must not get the signal.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    Ok(format!("survived={signal}"))
}

fn pause() -> Report {
    println!("ready");
    io::stdout().flush()?;
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Prints every signal that arrives and ends with status 7 on SIGTERM.
fn signals() -> Report {
    // The C library is bypassed, because it reserves some real-time signals.
    let (all, size) = (u64::MAX, size_of::<u64>());
    let none = std::ptr::null_mut::<u64>();
    // SAFETY: the kernel reads one set that outlives the call.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const all, none, size) };
    println!("ready");
    loop {
        io::stdout().flush()?;
        // SAFETY: the kernel reads one set that outlives the call, and writes nothing.
        let signal = unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const all, none, none, size) };
        let Ok(signal @ 1..) = i32::try_from(signal) else { continue };
        println!("signal={signal}");
        if signal == libc::SIGTERM {
            io::stdout().flush()?;
            std::process::exit(7);
        }
    }
}

/// Gives its parent two more children: one that has ended, and one that stays.
fn siblings() -> io::Result<String> {
    for stays in [false, true] {
        // SAFETY: there is one thread, and the child runs on a copy of this stack.
        match unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_PARENT, 0, 0, 0, 0) } {
            -1 => return Err(io::Error::last_os_error()),
            0 if stays => return pause(),
            0 => std::process::exit(0),
            _ => {}
        }
    }
    println!("siblings=2");
    std::thread::sleep(std::time::Duration::from_secs(3));
    Ok(String::new())
}
