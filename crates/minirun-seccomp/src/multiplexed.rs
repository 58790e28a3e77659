//! The calls behind `socketcall(2)` and `ipc(2)`, which x86 has in addition to separate calls, or instead of them.

use crate::syscalls::{Call, Numbers};

/// A call that is selected by the first argument of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Multiplexed {
    /// The call that multiplexes it.
    pub(crate) by: &'static str,
    /// The first argument that selects it.
    pub(crate) call: u32,
    /// The significant bits of the first argument: the others are a version in ipc(2).
    pub(crate) mask: u32,
}

impl Multiplexed {
    /// Returns the number of the multiplexing call.
    pub(crate) fn number(&self, numbers: Numbers) -> Option<u32> {
        numbers.of(Call::named(self.by)?)
    }
}

const fn socketcall(call: u32) -> Multiplexed {
    Multiplexed { by: "socketcall", call, mask: u32::MAX }
}

const fn ipc(call: u32) -> Multiplexed {
    Multiplexed { by: "ipc", call, mask: 0xffff }
}

/// The multiplexed calls, sorted by name. The numbers are those of linux/net.h and linux/ipc.h.
const CALLS: [(&str, Multiplexed); 32] = [
    ("accept", socketcall(5)),
    ("accept4", socketcall(18)),
    ("bind", socketcall(2)),
    ("connect", socketcall(3)),
    ("getpeername", socketcall(7)),
    ("getsockname", socketcall(6)),
    ("getsockopt", socketcall(15)),
    ("listen", socketcall(4)),
    ("msgctl", ipc(14)),
    ("msgget", ipc(13)),
    ("msgrcv", ipc(12)),
    ("msgsnd", ipc(11)),
    ("recv", socketcall(10)),
    ("recvfrom", socketcall(12)),
    ("recvmmsg", socketcall(19)),
    ("recvmsg", socketcall(17)),
    ("semctl", ipc(3)),
    ("semget", ipc(2)),
    ("semop", ipc(1)),
    ("semtimedop", ipc(4)),
    ("send", socketcall(9)),
    ("sendmmsg", socketcall(20)),
    ("sendmsg", socketcall(16)),
    ("sendto", socketcall(11)),
    ("setsockopt", socketcall(14)),
    ("shmat", ipc(21)),
    ("shmctl", ipc(24)),
    ("shmdt", ipc(22)),
    ("shmget", ipc(23)),
    ("shutdown", socketcall(13)),
    ("socket", socketcall(1)),
    ("socketpair", socketcall(8)),
];

/// Returns how a call is multiplexed, if it is.
pub(crate) fn find(name: &str) -> Option<Multiplexed> {
    CALLS.binary_search_by(|(known, _)| (*known).cmp(name)).ok().map(|found| CALLS[found].1)
}
