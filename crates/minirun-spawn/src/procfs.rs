//! A procfs of a pid namespace that init joins, for kernels before Linux 6.17: there it shows the namespace of the process
//! that opens it.
//!
//! So a process must enter that namespace, where others can trace it. It has no rights: it is in a user namespace of its
//! own, with an empty root, one descriptor and a filter of its calls. It opens a context of procfs, sends it out and ends. A mount of the context
//! requires the rights of init, which stays outside.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::{Child, Clone, Cloned};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::child::{arm_death_signal, enter_empty_root, make_unreadable};
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
const ARCHITECTURE: u64 = if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else if cfg!(target_arch = "riscv64") {
    0xc000_00f3
} else {
    0xc000_003e
};

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
        let Cloned { pid, .. } = sys::clone3(Clone::default(), |child| {
            let ended = serve(child, theirs.as_fd(), namespaces);
            // accepts: any error; the other side sees the end of the channel.
            i32::from(ended.is_err())
        })
        .in_call(Call::Clone)?;
        Ok(ProcfsMaker { pid, channel: ours })
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

fn serve(
    child: &mut Child,
    channel: BorrowedFd<'_>,
    namespaces: [Option<(BorrowedFd<'_>, libc::c_int)>; 2],
) -> Result<(), Fault> {
    arm_death_signal()?;
    let [first, second] = namespaces.map(|namespace| namespace.map(|(fd, _)| fd));
    child.close_all_but(0, [Some(channel), first, second]).in_call(Call::CloseRange)?;
    let mut ready = false;
    while sys::read(channel, &mut [0u8; 8]).in_call(Call::Read)? > 0 {
        if !ready {
            leave_everything(child, namespaces)?;
            child.close_all_but(0, [Some(channel)]).in_call(Call::CloseRange)?;
            sys::seccomp_set_filter(0, &FILTER).in_call(Call::Seccomp)?;
            ready = true;
        }
        let opener = child.clone3(Clone::default(), |_| {
            let sent = sys::fsopen(c"proc").and_then(|context| sys::send_fd(channel, context.as_fd(), b"proc"));
            // accepts: no error: the status tells of it.
            i32::from(sent.is_err())
        });
        if sys::wait(opener.in_call(Call::Clone)?.pid).in_call(Call::Wait)? != 0 {
            return Err(NOT_MADE);
        }
    }
    Ok(())
}

/// Gives up whatever its child in the pid namespace could be robbed of.
fn leave_everything(child: &mut Child, namespaces: [Option<(BorrowedFd<'_>, libc::c_int)>; 2]) -> Result<(), Fault> {
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
    child.wipe_environment();
    arm_death_signal()?;
    make_unreadable()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, ExitStatus};

    use super::*;

    const CALL: &str = "MINIRUN_TEST_FILTERED_CALL";

    /// Runs the test below again, in a process that makes this call under the filter.
    fn status_after(call: &str) -> ExitStatus {
        let this = ["--exact", "procfs::tests::the_filter_leaves_its_own_calls_alone"];
        Command::new(std::env::current_exe().unwrap()).args(this).env(CALL, call).status().unwrap()
    }

    #[test]
    fn the_filter_leaves_its_own_calls_alone() {
        let Ok(call) = std::env::var(CALL) else {
            assert_eq!(status_after("fsopen").code(), Some(7));
            assert_eq!(status_after("unshare").signal(), Some(libc::SIGSYS));
            assert_eq!(status_after("open").signal(), Some(libc::SIGSYS));
            return;
        };
        sys::set_no_new_privs().unwrap();
        sys::seccomp_set_filter(0, &FILTER).unwrap();
        let _answer = match call.as_str() {
            "fsopen" => sys::fsopen(c"proc").map(drop),
            "unshare" => sys::unshare(libc::CLONE_NEWNS),
            _ => sys::open(c"/", libc::O_PATH).map(drop),
        };
        sys::exit(7)
    }
}
