//! Programs of the host that run beside a container: its hooks.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_plan::Hook;
use minirun_sys as sys;
use minirun_sys::{Argv, Clone, Errno, Forked};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

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
    let mut bytes = [0u8; RECORD];
    match sys::read(ours.as_fd(), &mut bytes) {
        Ok(length @ 1..) => {
            sys::wait(pid)?;
            Err(Record::parse(&bytes[..length]).map_or(Errno::EPROTO, |record| Errno::from_raw(record.errno)))
        }
        // End of file: it has executed.
        _ => Ok(Running { pid, pidfd }),
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
