//! A procfs of a pid namespace that init joins, for kernels before Linux 6.17: there it shows the namespace of the process
//! that opens it.
//!
//! So a process must enter that namespace, where others can trace it. It has no rights: it is in a user namespace of its
//! own, with an empty root, one descriptor and a filter of its calls. It opens a context of procfs, sends it out and ends. A mount of the context
//! requires the rights of init, which stays outside.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use minirun_sys as sys;
use minirun_sys::{Clone, Forked};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::execute::{arm_death_signal, enter_empty_root, make_unreadable};
use crate::wire::{Call, Fault, In};

const NOT_MADE: Fault = Fault::check(
    "a procfs of the joined pid namespace could not be made (before Linux 6.17 this requires user namespaces: see /proc/sys/user)",
);

/// The calls that are left to it: those who trace its child could have it make any, and no filter of a container applies to it.
const CALLS: [libc::c_long; 9] = [
    libc::SYS_read,
    libc::SYS_close,
    // A build with assertions asks whether a descriptor is open before it is closed.
    libc::SYS_fcntl,
    libc::SYS_clone3,
    libc::SYS_wait4,
    libc::SYS_fsopen,
    libc::SYS_sendmsg,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The native architecture (`AUDIT_ARCH_*`): another has other numbers.
const ARCHITECTURE: u64 = if cfg!(target_arch = "aarch64") { 0xc000_00b7 } else { 0xc000_003e };

/// Lets those calls through, and ends who makes another (seccomp(2)).
const FILTER: [u64; CALLS.len() + 6] = {
    const fn instruction(code: u64, (yes, no): (u64, u64), value: u64) -> u64 {
        code | yes << 16 | no << 24 | value << 32
    }
    const LOAD: u64 = 0x20;
    const JUMP_EQUAL: u64 = 0x15;
    const RETURN: u64 = 0x06;
    const END: u64 = instruction(RETURN, (0, 0), libc::SECCOMP_RET_KILL_PROCESS as u64);
    let mut program = [END; CALLS.len() + 6];
    program[0] = instruction(LOAD, (0, 0), 4);
    program[1] = instruction(JUMP_EQUAL, (1, 0), ARCHITECTURE);
    program[3] = instruction(LOAD, (0, 0), 0);
    let mut i = 0;
    while i < CALLS.len() {
        program[4 + i] = instruction(JUMP_EQUAL, ((CALLS.len() - i) as u64, 0), CALLS[i] as u64);
        i += 1;
    }
    program[CALLS.len() + 5] = instruction(RETURN, (0, 0), libc::SECCOMP_RET_ALLOW as u64);
    program
};

/// A process outside of the pid namespace that has one made in there when it is asked to.
#[derive(Debug)]
pub(crate) struct ProcfsMaker {
    pid: i32,
    channel: OwnedFd,
}

impl ProcfsMaker {
    /// Starts it: it enters these namespaces, in this order, when it is asked for the first time.
    pub(crate) fn start(namespaces: [Option<(BorrowedFd<'_>, libc::c_int)>; 2]) -> Result<ProcfsMaker, Fault> {
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (ours, theirs) = pair.in_call(Call::Socketpair)?;
        match sys::clone3(Clone::default()).in_call(Call::Clone)? {
            Forked::Parent { pid, .. } => Ok(ProcfsMaker { pid, channel: ours }),
            Forked::Child => {
                // Whoever waits sees the end of the channel.
                // accepts: any error; the other side sees the end of the channel.
                let _unheard = serve(theirs.as_fd(), namespaces);
                sys::exit(1)
            }
        }
    }

    /// A context of procfs, as fsopen(2) gives one.
    pub(crate) fn context(&self) -> Result<OwnedFd, Fault> {
        sys::write(self.channel.as_fd(), b"P").in_call(Call::Write)?;
        sys::receive_fd(self.channel.as_fd()).in_call(Call::Recvmsg)?.ok_or(NOT_MADE)
    }

    /// Ends it.
    pub(crate) fn end(self) -> Result<(), Fault> {
        drop(self.channel);
        sys::wait(self.pid).in_call(Call::Wait).map(drop)
    }
}

fn serve(channel: BorrowedFd<'_>, namespaces: [Option<(BorrowedFd<'_>, libc::c_int)>; 2]) -> Result<(), Fault> {
    arm_death_signal()?;
    let number = |namespace: Option<(BorrowedFd<'_>, _)>| namespace.map_or(-1, |(fd, _)| fd.as_raw_fd());
    close_all_but([channel.as_raw_fd(), number(namespaces[0]), number(namespaces[1])])?;
    let mut ready = false;
    while sys::read(channel, &mut [0u8; 8]).in_call(Call::Read)? > 0 {
        if !ready {
            leave_everything(namespaces)?;
            close_all_but([channel.as_raw_fd(), -1, -1])?;
            sys::seccomp_set_filter(0, &FILTER).in_call(Call::Seccomp)?;
            ready = true;
        }
        match sys::clone3(Clone::default()).in_call(Call::Clone)? {
            Forked::Child => {
                let sent = sys::fsopen(c"proc").and_then(|context| sys::send_fd(channel, context.as_fd(), b"proc"));
                // accepts: no error: the status tells of it.
                sys::exit(i32::from(sent.is_err()))
            }
            Forked::Parent { pid, .. } if sys::wait(pid).in_call(Call::Wait)? == 0 => {}
            Forked::Parent { .. } => return Err(NOT_MADE),
        }
    }
    sys::exit(0)
}

/// Gives up whatever its child in the pid namespace could be robbed of.
fn leave_everything(namespaces: [Option<(BorrowedFd<'_>, libc::c_int)>; 2]) -> Result<(), Fault> {
    // The namespaces that are joined, and those in which it would be root of something.
    const OWN: libc::c_int = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    make_unreadable()?;
    for (namespace, kind) in namespaces.into_iter().flatten() {
        sys::setns(namespace, kind).in_call(Call::Setns)?;
    }
    sys::unshare(OWN).in_call(Call::Unshare)?;
    enter_empty_root()?;
    sys::wipe_environment();
    arm_death_signal()?;
    make_unreadable()
}

/// Closes every descriptor but these; -1 stands for none.
fn close_all_but(mut kept: [RawFd; 3]) -> Result<(), Fault> {
    kept.sort_unstable();
    let mut first = 0;
    for fd in kept.into_iter().filter(|fd| *fd >= 0) {
        if fd > first {
            sys::close_range(first, fd - 1).in_call(Call::CloseRange)?;
        }
        first = fd + 1;
    }
    sys::close_range(first, RawFd::MAX).in_call(Call::CloseRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a call in a child under the filter, and returns the child's status word.
    fn status_after<T>(call: impl FnOnce() -> sys::Result<T>) -> i32 {
        match sys::clone3(Clone::default()).unwrap() {
            Forked::Child => {
                sys::set_no_new_privs().unwrap();
                sys::seccomp_set_filter(0, &FILTER).unwrap();
                let _answer = call();
                sys::exit(7)
            }
            Forked::Parent { pid, .. } => sys::wait(pid).unwrap(),
        }
    }

    #[test]
    fn the_filter_leaves_its_own_calls_alone() {
        assert_eq!(status_after(|| sys::fsopen(c"proc")), 7 << 8);
        assert_eq!(status_after(|| sys::unshare(libc::CLONE_NEWNS)) & 0x7f, libc::SIGSYS);
        assert_eq!(status_after(|| sys::open(c"/", libc::O_PATH)) & 0x7f, libc::SIGSYS);
    }
}
