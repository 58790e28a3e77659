//! Programs of the host that run beside a container: its hooks.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_plan::Hook;
use minirun_sys as sys;
use minirun_sys::{Argv, Clone, Errno, Forked};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};

use crate::clone::hello_from;
use crate::wire::{Kind, RECORD, Record};

/// Where a hook runs.
#[derive(Debug, Clone, Copy)]
pub enum Where<'a> {
    /// In the runtime's own namespaces.
    Runtime,
    /// In these namespaces (`CLONE_NEW*` bits) of a container's init, whose root is still the host's.
    Container {
        /// The container's init.
        init: BorrowedFd<'a>,
        /// Which of its namespaces.
        kinds: u64,
    },
}

/// A hook that runs: the leader of a session of its own.
#[derive(Debug)]
pub struct Running {
    /// Its pid.
    pub pid: i32,
    /// A descriptor of it.
    pub pidfd: OwnedFd,
}

/// Starts a hook with these standard streams; it dies with this process.
///
/// # Errors
/// It could not be executed.
pub fn start_hook(
    hook: &Hook,
    place: Where<'_>,
    stdin: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
) -> sys::Result<Running> {
    let (argv, envp) = (Argv::new(hook.args.clone()), Argv::new(hook.env.clone()));
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    if let Where::Container { init, kinds } = place
        && kinds & libc::CLONE_NEWUSER as u64 != 0
        && !nix::unistd::geteuid().is_root()
    {
        let user_and_pid = kinds as libc::c_int & (libc::CLONE_NEWUSER | libc::CLONE_NEWPID);
        let rest = Where::Container { init, kinds: kinds & !(user_and_pid as u64) };
        return start_through_a_go_between((init, user_and_pid), (ours, theirs), || {
            let errno = become_hook(&hook.path, &argv, &envp, rest, stdin, output);
            errno.err().map_or(0, |errno| errno as i32)
        });
    }
    let back = match place {
        Where::Container { init, kinds } if kinds & libc::CLONE_NEWPID as u64 != 0 => {
            let own = sys::open(c"/proc/self/ns/pid_for_children", libc::O_RDONLY)?;
            sys::setns(init, libc::CLONE_NEWPID)?;
            Some(own)
        }
        _ => None,
    };
    let forked = sys::clone3(Clone::default());
    if let Ok(Forked::Child) = forked {
        sys::forbid_allocation();
        let errno = become_hook(&hook.path, &argv, &envp, place, stdin, output);
        let mut record = Record::of(Kind::Failed);
        record.errno = errno.err().map_or(0, |errno| errno as i32);
        let _unheard = record.send(theirs.as_fd());
        sys::exit(127)
    }
    if let Some(own) = back {
        sys::setns(own.as_fd(), libc::CLONE_NEWPID)?;
    }
    drop(theirs);
    let Forked::Parent { pid, pidfd } = forked? else { sys::exit(127) };
    await_execution(ours, Running { pid, pidfd })
}

/// An ordinary user has rights to a container's namespaces only in its user namespace, which nobody can leave again: a
/// child enters it, makes the hook as its sibling, and ends.
fn start_through_a_go_between(
    (init, kinds): (BorrowedFd<'_>, libc::c_int),
    (ours, theirs): (OwnedFd, OwnedFd),
    hook: impl FnOnce() -> i32,
) -> sys::Result<Running> {
    setsockopt(&ours, sockopt::PassCred, &true)?;
    let go_between = match sys::clone3(Clone::default())? {
        Forked::Child => {
            sys::forbid_allocation();
            let sibling = Clone { flags: libc::CLONE_PARENT as u64, cgroup: None };
            let mut record = Record::of(Kind::Failed);
            record.errno = match sys::setns(init, kinds).and_then(|()| sys::clone3(sibling)) {
                Ok(Forked::Parent { .. }) => sys::exit(0),
                Ok(Forked::Child) if Record::of(Kind::Hello).send(theirs.as_fd()).is_err() => sys::exit(127),
                Ok(Forked::Child) => hook(),
                Err(errno) => errno as i32,
            };
            let _unheard = record.send(theirs.as_fd());
            sys::exit(127)
        }
        Forked::Parent { pid, .. } => pid,
    };
    drop(theirs);
    let hello = hello_from(&ours);
    sys::wait(go_between)?;
    match hello? {
        Some((Record { kind: Kind::Hello, .. }, sender)) => {
            let pidfd = sys::pidfd_open(sender.pid())?;
            await_execution(ours, Running { pid: sender.pid(), pidfd })
        }
        Some((record, _)) => Err(Errno::from_raw(record.errno)),
        None => Err(Errno::ECHILD),
    }
}

/// End of file: it has executed.
fn await_execution(channel: OwnedFd, running: Running) -> sys::Result<Running> {
    let mut bytes = [0u8; RECORD];
    match sys::read(channel.as_fd(), &mut bytes) {
        Ok(length @ 1..) => {
            sys::wait(running.pid)?;
            Err(Record::parse(&bytes[..length]).map_or(Errno::EPROTO, |record| Errno::from_raw(record.errno)))
        }
        _ => Ok(running),
    }
}

fn become_hook(
    path: &CStr,
    argv: &Argv,
    envp: &Argv,
    place: Where<'_>,
    stdin: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
) -> sys::Result<()> {
    sys::setsid()?;
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0)?;
    if let Where::Container { init, kinds } = place {
        sys::setns(init, kinds as libc::c_int & !libc::CLONE_NEWPID)?;
    }
    sys::become_fd(stdin, 0)?;
    sys::become_fd(output, 1)?;
    sys::become_fd(output, 2)?;
    sys::cloexec_from(3)?;
    sys::reset_signals()?;
    Err(sys::execve(path, argv, envp))
}
