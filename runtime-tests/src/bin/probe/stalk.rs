//! An attacker that waits for new processes of its pid namespace: it detects a runtime that enters the namespace while
//! it still holds anything of the host.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;

use super::Report;

/// The number of pids before the newest that are still attacked.
const BEHIND: i32 = 3;
/// The time to attack one process before the next.
const MOMENT: Duration = Duration::from_millis(3);
/// A path from any directory to the root.
const CLIMB: &str = "../../../../../../../../../../../..";

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Attacks each new process until SIGTERM. `words` are the path of a host directory with the file `mark`, and a secret
/// of the runtime's environment spelt backwards, so that it occurs nowhere else. Prints each kind of success once as
/// `KIND=DETAIL`, and at the end the number of processes seen.
pub(super) fn stalk(words: &[String]) -> Report {
    let [directory, secret] = words else { return Err(io::Error::other("DIRECTORY SECRET expected")) };
    extern "C" fn stop(_: libc::c_int) {
        STOPPED.store(true, Ordering::Relaxed);
    }
    // SAFETY: the handler only stores to an atomic.
    unsafe { libc::signal(libc::SIGTERM, stop as *const () as libc::sighandler_t) };
    let secret = &secret.chars().rev().collect::<String>();
    let mut stalker = Stalker { directory, secret, successes: BTreeSet::new(), seen: BTreeSet::new() };
    let mut next = std::process::id() as i32 + 1;
    println!("ready");
    io::stdout().flush()?;
    while !STOPPED.load(Ordering::Relaxed) {
        let newest = newest_pid()?;
        let first = next.max(newest - BEHIND);
        // The next pid is tried before it exists, so that no time is lost once it does.
        for pid in first..=newest.max(first - 1) + 1 {
            let patience = Instant::now() + MOMENT;
            while stalker.attack(pid) {
                next = pid + 1;
                if Instant::now() > patience {
                    break;
                }
            }
        }
    }
    println!("seen={}", stalker.seen.len());
    Ok("stopped=1".into())
}

/// Returns the last assigned pid of this pid namespace (proc_loadavg(5)).
fn newest_pid() -> io::Result<i32> {
    let text = fs::read_to_string("/proc/loadavg")?;
    text.split_whitespace().last().and_then(|word| word.parse().ok()).ok_or_else(|| io::Error::other("no pid"))
}

struct Stalker<'a> {
    directory: &'a str,
    secret: &'a str,
    successes: BTreeSet<String>,
    seen: BTreeSet<i32>,
}

impl Stalker<'_> {
    /// Makes one attempt of each kind on a process. Returns false if there is no process.
    fn attack(&mut self, pid: i32) -> bool {
        let process = format!("/proc/{pid}");
        // The most promising attempt comes first, because there is little time.
        self.reach(&format!("{process}/root"), "root");
        let Ok(status) = fs::read_to_string(format!("{process}/status")) else { return false };
        self.seen.insert(pid);
        self.judge(&status);
        self.reach(&format!("{process}/cwd/{CLIMB}"), "cwd");
        self.look_at_descriptors(pid);
        self.look_at_program(&process);
        self.read_memory(&process);
        self.trace(pid);
        true
    }

    fn success(&mut self, text: String) {
        if self.successes.insert(text.clone()) {
            println!("{text}");
            let _closed = io::stdout().flush();
        }
    }

    /// If the host's directory is below this one, reads its file and creates another.
    fn reach(&mut self, root: &str, kind: &str) {
        if let Ok(mark) = fs::read_to_string(format!("{root}{}/mark", self.directory)) {
            self.success(format!("read-by-{kind}={mark}"));
        }
        if fs::write(format!("{root}{}/made-by-{kind}", self.directory), "x").is_ok() {
            self.success(format!("made-by-{kind}=1"));
        }
    }

    /// Reports the capabilities of each process, and whether a filter confines it.
    fn judge(&mut self, status: &str) {
        let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("").trim();
        if value("State:").starts_with('Z') || value("State:").starts_with('X') {
            return;
        }
        for key in ["CapPrm", "CapEff", "CapBnd"] {
            let set = value(&format!("{key}:")).to_owned();
            self.success(format!("{key}={set}"));
        }
        self.success(format!("Seccomp={}", value("Seccomp:")));
    }

    fn look_at_descriptors(&mut self, pid: i32) {
        for number in 0..24 {
            self.reach(&format!("/proc/{pid}/fd/{number}/{CLIMB}"), "fd");
        }
        // SAFETY: takes numbers and gives out a new descriptor.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if pidfd < 0 {
            return;
        }
        // SAFETY: the kernel has just made it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd as i32) };
        for number in 3..24 {
            // SAFETY: takes numbers and gives out a new descriptor.
            let stolen = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) };
            if stolen < 0 {
                continue;
            }
            // SAFETY: the kernel has just made it.
            let stolen = unsafe { OwnedFd::from_raw_fd(stolen as i32) };
            self.reach(&format!("/proc/self/fd/{}/{CLIMB}", stolen.as_raw_fd()), "stolen-fd");
            if let Ok(link) = fs::read_link(format!("/proc/self/fd/{}", stolen.as_raw_fd())) {
                // Only the type is reported, without its number.
                let link = link.to_string_lossy();
                let kind = link.split(|c: char| c == '[' || c.is_ascii_digit()).next().unwrap_or("");
                self.success(format!("stolen={kind}"));
            }
        }
    }

    fn look_at_program(&mut self, process: &str) {
        let exe = format!("{process}/exe");
        let link = fs::read_link(&exe).unwrap_or_default();
        if OpenOptions::new().write(true).open(&exe).is_ok() {
            self.success(format!("writable-exe={}", link.display()));
        }
    }

    /// Searches the secret in the environment and memory of the process.
    fn read_memory(&mut self, process: &str) {
        let secret = self.secret.as_bytes();
        let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        if fs::read(format!("{process}/environ")).is_ok_and(|environ| holds(&environ)) {
            self.success("secret-in=environ".into());
        }
        let Ok(maps) = fs::read_to_string(format!("{process}/maps")) else { return };
        let Ok(memory) = File::open(format!("{process}/mem")) else { return };
        for line in maps.lines().filter(|line| line.contains("rw-p")) {
            let Some((begin, end)) = line.split(' ').next().and_then(|range| range.split_once('-')) else { continue };
            let address = |text| u64::from_str_radix(text, 16).unwrap_or(0);
            let (begin, end) = (address(begin), address(end));
            let mut bytes = vec![0; (end - begin).min(1 << 21) as usize];
            let length = memory.read_at(&mut bytes, begin).unwrap_or(0);
            if holds(&bytes[..length]) {
                self.success("secret-in=memory".into());
            }
        }
    }

    /// Traces it for a moment without running any code in it: being able to is not a finding.
    fn trace(&mut self, pid: i32) {
        let pid = Pid::from_raw(pid);
        if ptrace::seize(pid, ptrace::Options::empty()).is_err() {
            return;
        }
        self.success("traced=1".into());
        if ptrace::interrupt(pid).is_ok() {
            let _ended = nix::sys::wait::waitpid(pid, None);
        }
        let _ended: Result<(), Errno> = ptrace::detach(pid, None);
    }
}
