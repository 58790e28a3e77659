//! A trial: calls of the kernel in a child process, which takes with it what they made.
//!
//! The child is a copy of this process and allocates nothing. It tells of a failure over a pipe, which closes at its end or
//! when it executes another program.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::errno_text;
use minirun_sys::{Child, Clone, Errno};
use nix::fcntl::OFlag;

use super::signals::await_readable;

/// How many bytes of the kernel's own message are kept.
const DETAIL: usize = 88;

/// A call that failed in the child.
pub struct Fault {
    call: &'static str,
    errno: Errno,
    detail: [u8; DETAIL],
    length: usize,
    /// Of several pieces of work, the one that failed.
    item: u32,
}

impl Fault {
    pub fn of(call: &'static str, errno: Errno) -> Fault {
        Fault { call, errno, detail: [0; DETAIL], length: 0, item: 0 }
    }

    /// With what the kernel has left in the context of a file system (fsopen(2)).
    pub fn explained(call: &'static str, errno: Errno, context: BorrowedFd<'_>) -> Fault {
        let mut fault = Fault::of(call, errno);
        fault.length = sys::read(context, &mut fault.detail).unwrap_or(0);
        fault
    }
}

/// Names the call that an error comes from.
pub trait At<T> {
    fn at(self, call: &'static str) -> Result<T, Fault>;
}

impl<T> At<T> for sys::Result<T> {
    fn at(self, call: &'static str) -> Result<T, Fault> {
        self.map_err(|errno| Fault::of(call, errno))
    }
}

/// Why a trial failed, for a person.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The call, or what happened to the child.
    pub call: String,
    pub errno: Option<Errno>,
    detail: String,
    /// Of several pieces of work, the one that failed.
    item: usize,
}

impl Failure {
    pub fn of(call: &str, errno: Errno) -> Failure {
        Failure { call: call.to_owned(), errno: Some(errno), detail: String::new(), item: 0 }
    }

    pub fn is(&self, errno: Errno) -> bool {
        self.errno == Some(errno)
    }
}

/// `clone3: EPERM, operation not permitted`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.call)?;
        if let Some(errno) = self.errno {
            write!(f, ": {errno:?}, {}", errno_text(errno))?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, " (kernel: {})", self.detail) }
    }
}

pub type Answer = Result<(), Failure>;

/// What the child shall be born with.
#[derive(Clone, Copy, Default)]
pub struct Birth<'a> {
    /// `CLONE_NEW*` bits.
    pub namespaces: i32,
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Maps of a new user namespace, for `uid_map` and `gid_map`, written by the helpers of an ordinary user; without them
    /// the caller is mapped to root.
    pub maps: Option<(&'a str, &'a str)>,
    /// Namespaces to enter, each with its `CLONE_NEW*` bit.
    pub joined: &'a [(OwnedFd, i32)],
}

/// Namespaces alone.
pub fn born_in(namespaces: i32) -> Birth<'static> {
    Birth { namespaces, ..Birth::default() }
}

/// Does this in a child. In a new or joined user namespace the child becomes its root first.
pub fn attempt(birth: Birth<'_>, work: impl FnOnce() -> Result<(), Fault>) -> Answer {
    attempt_as_child(birth, |_| work())
}

/// As [`attempt`], for work that only a child can do.
pub fn attempt_as_child(birth: Birth<'_>, work: impl FnOnce(&mut Child) -> Result<(), Fault>) -> Answer {
    let own = Maps::of_caller();
    let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|errno| Failure::of("pipe2", errno));
    let ((ours, theirs), (gate, opener)) = (pipe()?, pipe()?);
    let ask = Clone { flags: birth.namespaces as u64, cgroup: birth.cgroup };
    let cloned = sys::clone3(ask, |child| {
        sys::forbid_allocation();
        // Its own copy must go, or it would wait for itself.
        child.abandon(&[opener.as_raw_fd()]);
        let _end_of_file = sys::read(gate.as_fd(), &mut [0]);
        match settle(birth, &own).and_then(|()| work(child)) {
            Ok(()) => 0,
            Err(fault) => tell(theirs.as_fd(), &fault),
        }
    });
    let pid = cloned.map_err(|errno| Failure::of("clone3", errno))?.pid;
    drop(theirs);
    let mapped = birth.maps.map_or(Ok(()), |maps| write_maps(pid, maps));
    drop(opener);
    hear(&ours, pid).and_then(|()| mapped.clone()).map_err(|failure| mapped.err().unwrap_or(failure))
}

/// Tries each item, and returns the failures with their index. One child tries all until one fails, because new namespaces
/// cost more than most trials.
pub fn attempt_all<T>(birth: Birth<'_>, all: &[T], work: impl Fn(&T) -> Result<(), Fault>) -> Vec<(usize, Failure)> {
    let (mut failures, mut start) = (Vec::new(), 0);
    while start < all.len() {
        let rest = &all[start..];
        let answer = attempt(birth, || {
            rest.iter()
                .enumerate()
                .try_for_each(|(i, thing)| work(thing).map_err(|fault| Fault { item: i as u32, ..fault }))
        });
        let Err(failure) = answer else { break };
        let at = start + failure.item;
        failures.push((at, failure));
        start = at + 1;
    }
    failures
}

fn write_maps(pid: i32, (uids, gids): (&str, &str)) -> Answer {
    for (file, helper, value) in [("uid_map", "newuidmap", uids), ("gid_map", "newgidmap", gids)] {
        if !nix::unistd::geteuid().is_root() {
            let mapped =
                minirun_spawn::map_ids(pid, helper, value, &minirun_plan::Origin::of(file), &mut await_readable);
            mapped.map_err(|error| Failure { call: error.to_string(), errno: None, detail: String::new(), item: 0 })?;
            continue;
        }
        std::fs::write(format!("/proc/{pid}/{file}"), value).map_err(|error| {
            Failure::of(&format!("write {file}"), Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
        })?;
    }
    Ok(())
}

/// The child gets where it shall be.
fn settle(birth: Birth<'_>, own: &Maps) -> Result<(), Fault> {
    for (namespace, kind) in birth.joined {
        sys::setns(namespace.as_fd(), *kind).at("setns")?;
    }
    let user = libc::CLONE_NEWUSER;
    if birth.namespaces & user != 0 && birth.maps.is_none() {
        own.write()?;
    }
    if birth.namespaces & user != 0 || birth.joined.iter().any(|(_, kind)| *kind == user) {
        sys::setgid(0).at("setresgid")?;
        sys::setuid(0).at("setresuid")?;
    }
    Ok(())
}

fn tell(pipe: BorrowedFd<'_>, fault: &Fault) -> ! {
    let mut message = [0u8; 256];
    let call = fault.call.as_bytes();
    let call = &call[..call.len().min(64)];
    (message[0], message[1]) = (fault.errno as i32 as u8, call.len() as u8);
    message[2..6].copy_from_slice(&fault.item.to_ne_bytes());
    let end = 6 + call.len();
    message[6..end].copy_from_slice(call);
    message[end..end + fault.length].copy_from_slice(&fault.detail[..fault.length]);
    let _unheard = sys::write(pipe, &message[..end + fault.length]);
    sys::exit(1)
}

fn hear(pipe: &OwnedFd, pid: i32) -> Answer {
    let mut message = [0u8; 256];
    // A file system's server, for example, can keep it from its end.
    if let Err(errno) = await_readable(pipe.as_fd()) {
        sys::kill(pid, libc::SIGKILL).map_err(|errno| Failure::of("kill", errno))?;
        sys::wait(pid).map_err(|errno| Failure::of("wait4", errno))?;
        return Err(Failure::of("poll", errno));
    }
    let length = loop {
        match sys::read(pipe.as_fd(), &mut message) {
            Err(Errno::EINTR) => {}
            answer => break answer.unwrap_or(0),
        }
    };
    let status = sys::wait(pid).map_err(|errno| Failure::of("wait4", errno))?;
    let [errno, call, i0, i1, i2, i3, rest @ ..] = &message[..length] else {
        let call = format!(
            "it ended with status {}",
            crate::run::status_code(std::os::unix::process::ExitStatusExt::from_raw(status))
        );
        return if status == 0 { Ok(()) } else { Err(Failure { call, errno: None, detail: String::new(), item: 0 }) };
    };
    let (call, detail) = rest.split_at(usize::from(*call).min(rest.len()));
    let detail = String::from_utf8_lossy(detail);
    // A message begins with its severity: "e tmpfs: Bad value for 'size'".
    let detail = detail.lines().next().and_then(|line| line.get(2..)).unwrap_or("").to_owned();
    let call = String::from_utf8_lossy(call).into_owned();
    let item = u32::from_ne_bytes([*i0, *i1, *i2, *i3]) as usize;
    Err(Failure { call, errno: Some(Errno::from_raw(i32::from(*errno))), detail, item })
}

/// Maps of the caller's own user and group to root, which everybody may write (user_namespaces(7)).
struct Maps {
    uids: String,
    gids: String,
}

impl Maps {
    fn of_caller() -> Maps {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        Maps { uids: format!("0 {uid} 1"), gids: format!("0 {gid} 1") }
    }

    fn write(&self) -> Result<(), Fault> {
        let files = [
            (c"/proc/self/setgroups", "deny", "write /proc/self/setgroups"),
            (c"/proc/self/uid_map", self.uids.as_str(), "write /proc/self/uid_map"),
            (c"/proc/self/gid_map", self.gids.as_str(), "write /proc/self/gid_map"),
        ];
        for (path, value, call) in files {
            let file = sys::open(path, libc::O_WRONLY).at(call)?;
            sys::write(file.as_fd(), value.as_bytes()).at(call)?;
        }
        Ok(())
    }
}
