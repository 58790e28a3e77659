//! A procfs of a pid namespace that init joins, for kernels before Linux 6.17: there it shows the namespace of the process
//! that opens it.
//!
//! So a process must enter that namespace, where others can trace it. It has no rights: it is in a user namespace of its
//! own, with an empty root and one descriptor. It opens a context of procfs, sends it out and ends. A mount of the context
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
