//! Programs of the host that run beside a container: its hooks.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use minirun_plan::Hook;
use minirun_sys as sys;
use minirun_sys::{Argv, Clone, Cloned, Errno, Standard};
use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, shutdown, socketpair};

use crate::keeper;
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

/// How long a keeper may take to end its hook, in milliseconds. One that was stopped never does.
const GRACE: i32 = 1000;

/// A hook that runs: the leader of a session of its own, below its keeper.
#[derive(Debug)]
pub struct Running {
    /// The children that this process had before.
    others: Vec<i32>,
    /// Whether this process adopted orphans before.
    subreaper: bool,
    /// The keeper's pid.
    pub pid: i32,
    /// A descriptor of the keeper, which ends after the hook.
    pub pidfd: OwnedFd,
    /// Tells the hook's status; its closing ends the hook.
    lifeline: OwnedFd,
}

impl Running {
    /// Ends the hook with everything that it has started. The keeper is still to be waited for.
    pub fn end(&self) {
        // accepts: ENOTCONN; the keeper has ended.
        let _gone = shutdown(self.lifeline.as_raw_fd(), Shutdown::Both);
    }

    /// Waits for the keeper, which was told to end the hook or has ended. Where it does not end, or was killed, all that it
    /// has left is ended here: while a hook runs, this process adopts the keeper's orphans.
    ///
    /// # Errors
    /// A process of the hook cannot be ended, or does not end (`ETIME`).
    pub fn finish(&self) -> sys::Result<Option<i32>> {
        let stopped = !keeper::ends_within(self.pidfd.as_fd(), GRACE)?;
        if stopped {
            sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL)?;
        }
        keeper::await_end(self.pidfd.as_fd(), self.pid)?;
        let status = self.status();
        if status.is_none() {
            keeper::end_orphans(&self.others)?;
        }
        sys::set_child_subreaper(self.subreaper)?;
        Ok(if stopped { None } else { status })
    }

    /// The hook's status word (wait(2)), once the keeper has ended; none if that was killed.
    fn status(&self) -> Option<i32> {
        let mut bytes = [0u8; 4];
        // accepts: any error, which is told as an unknown end of the hook: a failure.
        let length = sys::read(self.lifeline.as_fd(), &mut bytes).ok()?;
        (length == bytes.len()).then(|| i32::from_ne_bytes(bytes))
    }
}

/// Starts a hook with these standard streams in this directory, the bundle; it dies with this process, and so does whatever it
/// has started.
///
/// # Errors
/// It could not be executed.
pub fn start_hook(
    hook: &Hook,
    place: Where<'_>,
    directory: &CStr,
    (stdin, output): (BorrowedFd<'_>, BorrowedFd<'_>),
) -> sys::Result<Running> {
    let (argv, envp) = (Argv::new(hook.args.clone()), Argv::new(hook.env.clone().unwrap_or_default()));
    let (others, subreaper) = (keeper::children()?, sys::get_child_subreaper()?);
    sys::set_child_subreaper(true)?;
    let pair = || socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
    let ((ours, theirs), (lifeline, keepers)) = (pair()?, pair()?);
    // What the keeper enters, for its child to be born there. An ordinary user has rights to the other namespaces only in
    // the container's user namespace, which the keeper need not leave again.
    let user = if nix::unistd::geteuid().is_root() { 0 } else { libc::CLONE_NEWUSER };
    let first = (libc::CLONE_NEWPID | user) as u64;
    let rest = match place {
        Where::Container { init, kinds } => Where::Container { init, kinds: kinds & !first },
        Where::Runtime => Where::Runtime,
    };
    // In either process: says why there is no hook.
    let fail = |errno: Errno| {
        let mut record = Record::of(Kind::Failed);
        record.errno = errno as i32;
        // accepts: any error; the end of file tells of it.
        let _unheard = record.send(theirs.as_fd());
        127
    };
    let become_hook = || become_hook(&hook.path, &argv, &envp, (rest, directory), (stdin, output));
    let Cloned { pid, pidfd } = sys::clone3(Clone::default(), |keeper| {
        sys::forbid_allocation();
        let mut start = || -> sys::Result<Cloned> {
            keeper::prepare()?;
            if let Where::Container { init, kinds } = place
                && kinds & first != 0
            {
                sys::setns(init, (kinds & first) as libc::c_int)?;
            }
            keeper.clone3(Clone::default(), |_| fail(become_hook()))
        };
        match start() {
            Ok(Cloned { pid, pidfd }) => {
                // accepts: any error; the lifeline's end of file tells of it.
                let _unheard = keeper::keep(keeper, pid, pidfd.as_fd(), keepers.as_fd());
                0
            }
            Err(errno) => fail(errno),
        }
    })?;
    drop((theirs, keepers));
    let mut bytes = [0u8; RECORD];
    match sys::read(ours.as_fd(), &mut bytes) {
        Ok(length @ 1..) => {
            sys::wait(pid)?;
            Err(Record::parse(&bytes[..length]).map_or(Errno::EPROTO, |record| Errno::from_raw(record.errno)))
        }
        // End of file: it has executed.
        _ => Ok(Running { others, subreaper, pid, pidfd, lifeline }),
    }
}

fn become_hook(
    path: &CStr,
    argv: &Argv,
    envp: &Argv,
    (place, directory): (Where<'_>, &CStr),
    (stdin, output): (BorrowedFd<'_>, BorrowedFd<'_>),
) -> Errno {
    let ready = || -> sys::Result<()> {
        sys::setsid()?;
        sys::die_with_parent()?;
        if let Where::Container { init, kinds } = place {
            sys::setns(init, kinds as libc::c_int)?;
        }
        match sys::chdir(directory) {
            Ok(()) => {}
            // The bundle may be gone by the time of poststop, and need not let the container's user in: that is no reason not to
            // run the hook.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => sys::chdir(c"/")?,
            Err(errno) => return Err(errno),
        }
        sys::become_standard(stdin, Standard::Input)?;
        sys::become_standard(output, Standard::Output)?;
        sys::become_standard(output, Standard::Error)?;
        sys::cloexec_from(3)?;
        sys::reset_signals()
    };
    match ready() {
        Ok(()) => sys::execve(path, argv, envp),
        Err(errno) => errno,
    }
}
