//! The calls that are safe with every argument of the right type: they write no memory of this process, and read only strings.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// All of them. A number where a string belongs is an error of the kernel's (`EFAULT`), and harms no memory.
///
/// Not here: calls that act on memory or descriptors by number (`close`, `close_range`, `dup3`, `mmap`), calls with many
/// meanings (`ioctl`, `prctl`, `fcntl`, `bpf`), and those that copy the process (`clone`, `clone3`).
pub(crate) const CALLS: &[libc::c_long] = &[
    libc::SYS_chdir,
    libc::SYS_chroot,
    libc::SYS_exit_group,
    libc::SYS_faccessat2,
    libc::SYS_fchdir,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_ioprio_set,
    libc::SYS_kill,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_openat,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_pivot_root,
    libc::SYS_renameat2,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setsid,
    libc::SYS_socket,
    libc::SYS_symlinkat,
    libc::SYS_umask,
    libc::SYS_umount2,
    libc::SYS_unlinkat,
    libc::SYS_unshare,
];

/// Those of them that answer with a descriptor that they have made.
pub(crate) const MAKERS: &[libc::c_long] = &[
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_openat,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_socket,
];

/// Whether a call is in [`CALLS`].
pub(crate) const fn is_plain(number: libc::c_long) -> bool {
    contains(CALLS, number)
}

/// Whether a call is in [`MAKERS`].
pub(crate) const fn is_maker(number: libc::c_long) -> bool {
    contains(MAKERS, number)
}

const fn contains(list: &[libc::c_long], number: libc::c_long) -> bool {
    let mut i = 0;
    while i < list.len() {
        if list[i] == number {
            return true;
        }
        i += 1;
    }
    false
}

/// An argument of such a call: a number, a descriptor, or a string that lives until the call has returned.
pub(crate) trait Plain {
    /// The argument as the kernel gets it, a whole register.
    fn word(self) -> libc::c_long;
}

macro_rules! numbers {
    ($($number:ty)*) => {
        $(impl Plain for $number {
            fn word(self) -> libc::c_long {
                self as libc::c_long
            }
        })*
    };
}
numbers!(i32 u32 i64 u64 usize);

impl Plain for BorrowedFd<'_> {
    fn word(self) -> libc::c_long {
        self.as_raw_fd().into()
    }
}

impl Plain for &CStr {
    fn word(self) -> libc::c_long {
        self.as_ptr().expose_provenance() as libc::c_long
    }
}

/// The null pointer where a string can be left out.
impl Plain for Option<&CStr> {
    fn word(self) -> libc::c_long {
        self.map_or(0, Plain::word)
    }
}
