//! An attacker that lies in wait for new processes of its pid namespace: a runtime that enters it before it has let go of
//! the host is caught here.

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

/// So many pids that are not the newest are still looked at.
const BEHIND: i32 = 3;
/// How long one process is attacked before the next.
const MOMENT: Duration = Duration::from_millis(3);
/// Leads from any directory to the root.
const CLIMB: &str = "../../../../../../../../../../../..";

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Attacks each process that appears, until SIGTERM: `words` are the path of a directory of the host with the file `mark`,
/// and a secret of the runtime's environment spelt backwards, so that it stands nowhere else. Each success is printed once as `KIND=DETAIL`, and at the end the number of
/// processes seen.
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
        // The next one is tried before it is there, so that no time is lost once it is.
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

/// The last pid that was given out in this pid namespace (proc_loadavg(5)).
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
    /// One attempt of each kind on a process; false when there is none.
    fn attack(&mut self, pid: i32) -> bool {
        let process = format!("/proc/{pid}");
        // The most promising first: the moment is short.
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

    /// Is the host's directory below this one? Then its file is read, and one is made.
    fn reach(&mut self, root: &str, kind: &str) {
        if let Ok(mark) = fs::read_to_string(format!("{root}{}/mark", self.directory)) {
            self.success(format!("read-by-{kind}={mark}"));
        }
        if fs::write(format!("{root}{}/made-by-{kind}", self.directory), "x").is_ok() {
            self.success(format!("made-by-{kind}=1"));
        }
    }

    /// The capabilities of each process, and whether a filter confines it.
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
                // What kind of thing it is, without its number.
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

    /// Looks for the secret in what the process has to itself.
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

    /// Stops it for a moment, and calls nothing in its name: that it can be done is the attacker's right.
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
