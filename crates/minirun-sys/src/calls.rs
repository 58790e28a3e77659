//! One wrapper per system call, in the order in which a container meets them. Each names the kernel that first had it
//! where that is newer than 5.0.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::{Errno, Result};

/// Turns the C convention (-1 and `errno`) into a result.
pub(crate) fn check(answer: libc::c_long) -> Result<libc::c_long> {
    if answer < 0 { Err(Errno::last()) } else { Ok(answer) }
}

/// As [`check`], for calls that answer with a new descriptor.
fn check_fd(answer: libc::c_long) -> Result<OwnedFd> {
    // SAFETY: a non-negative answer of these calls is a new descriptor that nobody else owns.
    check(answer).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Calls the kernel. Every pointer among the arguments comes from a reference that outlives the call.
macro_rules! syscall {
    ($number:ident $(, $arg:expr)* $(,)?) => {
        // SAFETY: the wrapper around this line passes valid pointers with the sizes that the call expects.
        unsafe { libc::syscall(libc::$number $(, $arg)*) }
    };
}
pub(crate) use syscall;

// ---------------------------------------------------------------------------------------------- processes

/// What [`clone3`] is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clone<'fd> {
    /// `CLONE_NEW*` and `CLONE_PARENT` bits, as in clone(2).
    pub flags: u64,
    /// The cgroup the child is born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'fd>>,
}

/// Which side of a [`clone3`] this process is.
#[derive(Debug)]
pub enum Forked {
    /// The child.
    Child,
    /// The parent, with the child's pid and a descriptor of it.
    Parent {
        /// The child's pid, in the parent's pid namespace.
        pid: i32,
        /// A descriptor that refers to the child whatever becomes of its pid.
        pidfd: OwnedFd,
    },
}

/// clone3(2) in the manner of fork: the child shares nothing and runs on a copy of the parent's stack.
///
/// The caller must be single-threaded: the child goes on with whatever locks were held.
pub fn clone3(ask: Clone<'_>) -> Result<Forked> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: RawFd = -1;
    let mut args = libc::clone_args {
        flags: ask.flags | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: if ask.flags & libc::CLONE_PARENT as u64 == 0 { libc::SIGCHLD as u64 } else { 0 },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(cgroup) = ask.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    match check(syscall!(SYS_clone3, &raw mut args, size_of::<libc::clone_args>()))? {
        0 => Ok(Forked::Child),
        // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor for the parent.
        pid => Ok(Forked::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// setns(2): moves this process into the namespace that `namespace` refers to; `kind` is its `CLONE_NEW*` bit.
pub fn setns(namespace: BorrowedFd<'_>, kind: libc::c_int) -> Result<()> {
    check(syscall!(SYS_setns, namespace.as_raw_fd(), kind)).map(drop)
}

/// unshare(2).
pub fn unshare(flags: libc::c_int) -> Result<()> {
    check(syscall!(SYS_unshare, flags)).map(drop)
}

/// The `CLONE_NEW*` bit of the namespace that a descriptor refers to (`NS_GET_NSTYPE`, ioctl_ns(2)).
pub fn namespace_kind(namespace: BorrowedFd<'_>) -> Result<libc::c_int> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    check(syscall!(SYS_ioctl, namespace.as_raw_fd(), NS_GET_NSTYPE)).map(|kind| kind as libc::c_int)
}

/// The namespace that a pid or user namespace is in (`NS_GET_PARENT`, ioctl_ns(2)); EPERM for one that the caller is in or
/// below.
pub fn namespace_parent(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    const NS_GET_PARENT: libc::c_ulong = 0xb702;
    check_fd(syscall!(SYS_ioctl, namespace.as_raw_fd(), NS_GET_PARENT))
}

/// pidfd_open(2), Linux 5.3.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    check_fd(syscall!(SYS_pidfd_open, pid, 0))
}

/// pidfd_send_signal(2), Linux 5.1. Signal 0 asks whether the process is there.
pub fn pidfd_send_signal(process: BorrowedFd<'_>, signal: i32) -> Result<()> {
    check(syscall!(SYS_pidfd_send_signal, process.as_raw_fd(), signal, std::ptr::null::<u8>(), 0)).map(drop)
}

/// prctl(2) with plain numbers.
pub fn prctl(option: libc::c_int, arg2: u64, arg3: u64) -> Result<i32> {
    check(syscall!(SYS_prctl, option, arg2, arg3, 0u64, 0u64)).map(|answer| answer as i32)
}

/// `prctl(PR_SET_NAME)`: the name that `ps` shows, at most 15 bytes.
pub fn set_name(name: &CStr) -> Result<()> {
    check(syscall!(SYS_prctl, libc::PR_SET_NAME, name.as_ptr(), 0u64, 0u64, 0u64)).map(drop)
}

/// setsid(2).
pub fn setsid() -> Result<()> {
    check(syscall!(SYS_setsid)).map(drop)
}

/// Makes every signal deliverable and its action the default, as a program may expect them after `execve`.
pub fn reset_signals() -> Result<()> {
    // SAFETY: an all-zero kernel sigaction is SIG_DFL with no flags and no mask; 64 signals are 8 bytes of mask.
    unsafe {
        let default = [0u8; 64];
        for signal in 1..=64 {
            if signal != libc::SIGKILL && signal != libc::SIGSTOP {
                check(libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, std::ptr::null::<u8>(), 8))?;
            }
        }
        let none = 0u64;
        check(libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, std::ptr::null::<u8>(), 8))
            .map(drop)
    }
}

/// Unblocks these signals, and ends the process when one of them comes, with the status that a shell gives to such an end. For an init, to
/// which a signal without a handler does nothing (pid_namespaces(7)). It lasts until `execve`.
pub fn end_on(signals: &[i32]) -> Result<()> {
    extern "C" fn end(signal: libc::c_int) {
        exit(128 + signal)
    }
    for signal in signals {
        // SAFETY: an all-zero sigaction is a valid one, and the handler does nothing but end the process.
        let answer = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = end as *const () as usize;
            libc::sigaction(*signal, &raw const action, std::ptr::null_mut())
        };
        check(answer.into())?;
    }
    let these = signals.iter().fold(0u64, |mask, signal| mask | 1 << (signal - 1));
    check(syscall!(SYS_rt_sigprocmask, libc::SIG_UNBLOCK, &raw const these, std::ptr::null::<u8>(), 8)).map(drop)
}

/// Blocks every signal, those included that a C library keeps for itself and leaves out of its full set.
pub fn block_signals() -> Result<()> {
    let all = u64::MAX;
    check(syscall!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, std::ptr::null::<u8>(), 8)).map(drop)
}

/// signalfd4(2) for every signal; it does not block.
pub fn signal_fd() -> Result<OwnedFd> {
    signal_fd_of(u64::MAX)
}

/// The same for some signals: bit 0 stands for signal 1.
pub fn signal_fd_of(mask: u64) -> Result<OwnedFd> {
    check_fd(syscall!(SYS_signalfd4, -1, &raw const mask, 8, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))
}

/// The number of the next signal of a [`signal_fd`]; none when there is none now.
pub fn read_signal(fd: BorrowedFd<'_>) -> Result<Option<i32>> {
    // struct signalfd_siginfo: 128 bytes, the number first.
    let mut info = [0u8; 128];
    match read(fd, &mut info) {
        Ok(_) => Ok(Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]]))),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// exit_group(2): ends the process without running anything else.
pub fn exit(status: i32) -> ! {
    let _never = syscall!(SYS_exit_group, status);
    // Unless a seccomp filter denies it: a fault ends the process as well, where the C library would ask for ever.
    std::process::abort()
}

/// Nanoseconds of `CLOCK_REALTIME`: the one clock that a time namespace does not shift, so that the times of two processes
/// can be compared (time_namespaces(7)).
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Writes a line to standard error and exits with status 125. For the allocator, which has no other voice.
pub(crate) fn die(message: &[u8]) -> ! {
    let _best_effort = write(BorrowedFd::STDERR, message);
    exit(125)
}

/// A constant descriptor that is open in every sane process.
trait Standard {
    const STDERR: BorrowedFd<'static>;
}

impl Standard for BorrowedFd<'_> {
    // SAFETY: descriptor 2 is never closed by this program; were it closed by the caller, writes fail with EBADF.
    const STDERR: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(2) };
}

/// `AT_FDCWD`, for calls that take a descriptor to start from.
pub fn working_directory() -> BorrowedFd<'static> {
    // SAFETY: the value stands for the working directory and is no descriptor that could be closed; only -1 is forbidden.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
}

/// Takes ownership of a descriptor that arrived as a number, in a control message.
///
/// # Errors
/// Nothing is open under that number.
pub fn own_fd(number: RawFd) -> Result<OwnedFd> {
    check(syscall!(SYS_fcntl, number, libc::F_GETFD))?;
    // SAFETY: it is open, and the kernel made it for this process when the message was received.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Borrows a descriptor that was inherited by number: standard streams, `--preserve-fds`.
pub fn inherited_fd(number: RawFd) -> BorrowedFd<'static> {
    assert!(number >= 0, "descriptor numbers are not negative");
    // SAFETY: the number is not negative; if nothing is open there, calls on it fail with EBADF.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Anonymous private memory for the allocator, as an address.
pub(crate) fn map_memory(size: usize) -> Option<usize> {
    // SAFETY: a new anonymous mapping touches no existing memory.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    (start != libc::MAP_FAILED).then_some(start as usize)
}

/// Gives back a whole mapping of [`map_memory`].
///
/// # Safety
/// Nothing in it is used any more.
pub(crate) unsafe fn unmap_memory(start: usize, size: usize) {
    // SAFETY: the caller has promised that it is nobody's.
    unsafe { libc::munmap(start as *mut libc::c_void, size) };
}

// ---------------------------------------------------------------------------------------------- plain input and output

/// read(2).
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    check(syscall!(SYS_read, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())).map(|n| n as usize)
}

/// write(2).
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    check(syscall!(SYS_write, fd.as_raw_fd(), bytes.as_ptr(), bytes.len())).map(|n| n as usize)
}

/// accept4(2) with `SOCK_CLOEXEC`.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    check_fd(syscall!(
        SYS_accept4,
        listener.as_raw_fd(),
        std::ptr::null::<u8>(),
        std::ptr::null::<u8>(),
        libc::SOCK_CLOEXEC
    ))
}

/// close_range(2), Linux 5.9: closes these descriptors, both ends included, whoever believes to own them. For a child that
/// never returns to their owners.
pub fn close_range(first: RawFd, last: RawFd) -> Result<()> {
    if first > last {
        return Ok(());
    }
    check(syscall!(SYS_close_range, first, last, 0)).map(drop)
}

/// close_range(2) with `CLOSE_RANGE_CLOEXEC` (Linux 5.11): every descriptor from `first` on closes at `execve`.
pub fn cloexec_from(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    check(syscall!(SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC)).map(drop)
}

/// Takes `FD_CLOEXEC` off a descriptor.
pub fn keep_on_exec(fd: BorrowedFd<'_>) -> Result<()> {
    check(syscall!(SYS_fcntl, fd.as_raw_fd(), libc::F_SETFD, 0)).map(drop)
}

/// close(2) in a child that never returns to the owner of the descriptor: what is the parent's alone, such as a lock.
pub fn abandon(fd: BorrowedFd<'_>) {
    // An error would mean that it is closed already.
    let _closed = syscall!(SYS_close, fd.as_raw_fd());
}

/// Brings a network interface up (`SIOCSIFFLAGS`, netdevice(7)).
pub fn bring_up(interface: &CStr) -> Result<()> {
    let socket = check_fd(syscall!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?;
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(interface.to_bytes()) {
        *place = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    check(syscall!(SYS_ioctl, socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)).map(drop)
}

/// dup3(2): makes `number` another name of a descriptor, one that stays open at `execve`. For the standard streams.
pub fn become_fd(fd: BorrowedFd<'_>, number: RawFd) -> Result<()> {
    if fd.as_raw_fd() == number {
        return keep_on_exec(fd);
    }
    check(syscall!(SYS_dup3, fd.as_raw_fd(), number, 0)).map(drop)
}

/// lseek(2) to the beginning.
pub fn rewind(fd: BorrowedFd<'_>) -> Result<()> {
    check(syscall!(SYS_lseek, fd.as_raw_fd(), 0, libc::SEEK_SET)).map(drop)
}

/// poll(2) of one descriptor for reading: false when so many milliseconds passed; none waits for ever.
pub fn wait_readable(fd: BorrowedFd<'_>, milliseconds: Option<i32>) -> Result<bool> {
    let mut list = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    check(syscall!(SYS_poll, &raw mut list, 1, milliseconds.unwrap_or(-1))).map(|ready| ready > 0)
}

/// kill(2); a negative number stands for a process group.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    check(syscall!(SYS_kill, pid, signal)).map(drop)
}

/// wait4(2) for one child: the status word as the wait macros take it.
pub fn wait(pid: i32) -> Result<i32> {
    let mut status = 0;
    loop {
        match check(syscall!(SYS_wait4, pid, &raw mut status, 0, std::ptr::null::<u8>())) {
            Err(Errno::EINTR) => {}
            answer => return answer.map(|_| status),
        }
    }
}

/// wait4(2) with `WNOHANG` for any child: its pid and status word; none when no child has ended.
pub fn reap_any() -> Result<Option<(i32, i32)>> {
    let mut status = 0;
    let pid = check(syscall!(SYS_wait4, -1, &raw mut status, libc::WNOHANG, std::ptr::null::<u8>()))?;
    Ok((pid != 0).then_some((pid as i32, status)))
}

/// Makes the end of a child leave something to wait for, also where the caller had SIGCHLD ignored (wait(2)).
pub fn default_sigchld() -> Result<()> {
    let default = [0u8; 64];
    check(syscall!(SYS_rt_sigaction, libc::SIGCHLD, &raw const default, std::ptr::null::<u8>(), 8)).map(drop)
}

/// fsetxattr(2) with `XATTR_CREATE`: an attribute that is there already is `EEXIST`.
pub fn create_xattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    let flags = libc::XATTR_CREATE;
    check(syscall!(SYS_fsetxattr, fd.as_raw_fd(), name.as_ptr(), value.as_ptr(), value.len(), flags)).map(drop)
}

/// fsetxattr(2): an attribute that is there already is replaced.
pub fn set_xattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    check(syscall!(SYS_fsetxattr, fd.as_raw_fd(), name.as_ptr(), value.as_ptr(), value.len(), 0)).map(drop)
}

/// fgetxattr(2): how many bytes of the attribute were put into `buffer`.
pub fn get_xattr(fd: BorrowedFd<'_>, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    check(syscall!(SYS_fgetxattr, fd.as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr(), buffer.len())).map(|n| n as usize)
}

/// flistxattr(2): how many bytes of names, each with its NUL, were put into `buffer`; ERANGE if it is too short for them.
pub fn list_xattr(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    check(syscall!(SYS_flistxattr, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())).map(|n| n as usize)
}

// ---------------------------------------------------------------------------------------------- terminals and sockets

/// `TIOCSPTLCK`: lets the slave of a pseudo-terminal be opened (ioctl_tty(2)).
pub fn unlock_terminal(master: BorrowedFd<'_>) -> Result<()> {
    let locked: libc::c_int = 0;
    check(syscall!(SYS_ioctl, master.as_raw_fd(), libc::TIOCSPTLCK, &raw const locked)).map(drop)
}

/// `TIOCGPTPEER` (Linux 4.13): the slave of a pseudo-terminal, without looking up any path.
pub fn terminal_peer(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    check_fd(syscall!(SYS_ioctl, master.as_raw_fd(), libc::TIOCGPTPEER, flags))
}

/// `TIOCSCTTY`: makes it the controlling terminal of this session.
pub fn control_terminal(terminal: BorrowedFd<'_>) -> Result<()> {
    check(syscall!(SYS_ioctl, terminal.as_raw_fd(), libc::TIOCSCTTY, 0)).map(drop)
}

/// `TIOCSWINSZ`: (rows, columns).
pub fn set_window_size(terminal: BorrowedFd<'_>, (rows, columns): (u16, u16)) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    check(syscall!(SYS_ioctl, terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size)).map(drop)
}

/// `TIOCGWINSZ`: (rows, columns).
pub fn window_size(terminal: BorrowedFd<'_>) -> Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    check(syscall!(SYS_ioctl, terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size))?;
    Ok((size.ws_row, size.ws_col))
}

/// sendmsg(2) of one descriptor (`SCM_RIGHTS`, unix(7)) with a text beside it.
pub fn send_fd(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>, text: &[u8]) -> Result<()> {
    /// A control message of one descriptor, as cmsg(3) lays it out on 64-bit machines.
    #[repr(C)]
    struct Control {
        length: usize,
        level: libc::c_int,
        kind: libc::c_int,
        fd: libc::c_int,
        padding: u32,
    }
    let length = std::mem::offset_of!(Control, padding);
    let control = Control { length, level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, fd: fd.as_raw_fd(), padding: 0 };
    let part = libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() };
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw const part).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = (&raw const control).cast_mut().cast();
    message.msg_controllen = size_of::<Control>() as _;
    check(syscall!(SYS_sendmsg, socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)).map(drop)
}

// ---------------------------------------------------------------------------------------------- paths

/// openat2(2), Linux 5.6. `flags` gets `O_CLOEXEC`; `mode` counts with `O_CREAT` alone.
pub fn openat2(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int, mode: u32, resolve: u64) -> Result<OwnedFd> {
    // SAFETY: all-zero is a valid open_how; the struct has no padding that matters to the kernel.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.mode = if flags & libc::O_CREAT != 0 { mode as u64 } else { 0 };
    how.resolve = resolve;
    // A rename elsewhere makes the kernel unsure of a `..` (EAGAIN); somebody who renames all the time shall not win.
    const ATTEMPTS: usize = 128;
    let mut answer = Err(Errno::EAGAIN);
    for _ in 0..ATTEMPTS {
        let size = size_of::<libc::open_how>();
        answer = check_fd(syscall!(SYS_openat2, at.as_raw_fd(), path.as_ptr(), &raw const how, size));
        if !matches!(answer, Err(Errno::EAGAIN)) {
            break;
        }
    }
    answer
}

/// openat(2) from the working directory, with `O_CLOEXEC`.
pub fn open(path: &CStr, flags: libc::c_int) -> Result<OwnedFd> {
    check_fd(syscall!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, 0))
}

/// mkdirat(2).
pub fn mkdirat(at: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    check(syscall!(SYS_mkdirat, at.as_raw_fd(), name.as_ptr(), mode)).map(drop)
}

/// mknodat(2).
pub fn mknodat(at: BorrowedFd<'_>, name: &CStr, mode: u32, device: u64) -> Result<()> {
    check(syscall!(SYS_mknodat, at.as_raw_fd(), name.as_ptr(), mode, device)).map(drop)
}

/// symlinkat(2).
pub fn symlinkat(target: &CStr, at: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    check(syscall!(SYS_symlinkat, target.as_ptr(), at.as_raw_fd(), name.as_ptr())).map(drop)
}

/// renameat2(2) with `RENAME_NOREPLACE`: what has the new name already stays (`EEXIST`).
pub fn rename_to_new(at: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, new: &CStr) -> Result<()> {
    let flags = libc::RENAME_NOREPLACE;
    check(syscall!(SYS_renameat2, at.as_raw_fd(), name.as_ptr(), to.as_raw_fd(), new.as_ptr(), flags)).map(drop)
}

/// unlinkat(2) of a file.
pub fn unlinkat(at: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    check(syscall!(SYS_unlinkat, at.as_raw_fd(), name.as_ptr(), 0)).map(drop)
}

/// readlinkat(2): how many bytes of the link's text were put into `buffer`.
pub fn readlinkat(at: BorrowedFd<'_>, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    check(syscall!(SYS_readlinkat, at.as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr(), buffer.len()))
        .map(|n| n as usize)
}

/// fchownat(2) of the entry itself, never of what a link points to.
pub fn fchownat(at: BorrowedFd<'_>, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    check(syscall!(SYS_fchownat, at.as_raw_fd(), name.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW)).map(drop)
}

/// fchown(2).
pub fn fchown(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    check(syscall!(SYS_fchown, fd.as_raw_fd(), uid, gid)).map(drop)
}

/// fchmod(2).
pub fn fchmod(fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    check(syscall!(SYS_fchmod, fd.as_raw_fd(), mode)).map(drop)
}

/// fstat(2) through an empty path, so that it works on `O_PATH` descriptors.
pub fn fstat(fd: BorrowedFd<'_>) -> Result<libc::stat> {
    // SAFETY: all-zero is a valid stat, which the kernel overwrites.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    check(syscall!(SYS_newfstatat, fd.as_raw_fd(), c"".as_ptr(), &raw mut stat, libc::AT_EMPTY_PATH))?;
    Ok(stat)
}

/// What is known of the file system behind a descriptor.
#[derive(Debug, Clone, Copy)]
pub struct FileSystem {
    /// `f_type`: `PROC_SUPER_MAGIC` and so on.
    pub magic: i64,
    /// `ST_*` bits: of the mount as well as of the superblock.
    pub flags: u64,
}

/// fstatfs(2).
pub fn fstatfs(fd: BorrowedFd<'_>) -> Result<FileSystem> {
    // On 64-bit machines struct statfs is longs throughout, f_fsid counting as one; libc hides f_flags on some targets.
    let mut fields = [0i64; 15];
    check(syscall!(SYS_fstatfs, fd.as_raw_fd(), fields.as_mut_ptr()))?;
    Ok(FileSystem { magic: fields[0], flags: fields[10] as u64 })
}

/// getdents64(2): how many bytes of directory entries were put into `buffer`.
pub fn getdents(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    check(syscall!(SYS_getdents64, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())).map(|n| n as usize)
}

/// getcwd(2): how many bytes of the working directory's path, its NUL included, were put into `buffer`.
pub fn getcwd(buffer: &mut [u8]) -> Result<usize> {
    check(syscall!(SYS_getcwd, buffer.as_mut_ptr(), buffer.len())).map(|n| n as usize)
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    check(syscall!(SYS_chdir, path.as_ptr())).map(drop)
}

/// fchdir(2).
pub fn fchdir(directory: BorrowedFd<'_>) -> Result<()> {
    check(syscall!(SYS_fchdir, directory.as_raw_fd())).map(drop)
}

/// chroot(2).
pub fn chroot(path: &CStr) -> Result<()> {
    check(syscall!(SYS_chroot, path.as_ptr())).map(drop)
}

/// umask(2).
pub fn umask(mask: u32) {
    // SAFETY: umask cannot fail and touches no memory.
    unsafe { libc::umask(mask as libc::mode_t) };
}

/// faccessat2(2), Linux 5.8, with `AT_EACCESS`: may the present credentials do `mode` with this path?
pub fn faccess(path: &CStr, mode: libc::c_int) -> Result<()> {
    check(syscall!(SYS_faccessat2, libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS)).map(drop)
}

/// stat(2), links followed.
pub fn stat(path: &CStr) -> Result<libc::stat> {
    // SAFETY: all-zero is a valid stat, which the kernel overwrites.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    check(syscall!(SYS_newfstatat, libc::AT_FDCWD, path.as_ptr(), &raw mut stat, 0))?;
    Ok(stat)
}

// ---------------------------------------------------------------------------------------------- mounts

/// open_tree(2), Linux 5.2. With `OPEN_TREE_CLONE` the answer is a detached copy of the mount at `path`.
pub fn open_tree(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_uint) -> Result<OwnedFd> {
    check_fd(syscall!(SYS_open_tree, at.as_raw_fd(), path.as_ptr(), flags | libc::OPEN_TREE_CLOEXEC))
}

/// move_mount(2), Linux 5.2: attaches the detached mount `mount` onto what `target` refers to.
pub fn move_mount(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    const EMPTY_PATHS: libc::c_uint = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    check(syscall!(SYS_move_mount, mount.as_raw_fd(), c"".as_ptr(), target.as_raw_fd(), c"".as_ptr(), EMPTY_PATHS))
        .map(drop)
}

/// fsopen(2), Linux 5.2.
pub fn fsopen(filesystem: &CStr) -> Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    check_fd(syscall!(SYS_fsopen, filesystem.as_ptr(), FSOPEN_CLOEXEC))
}

/// fspick(2), Linux 5.2: the superblock beneath a mount, for reconfiguring it.
pub fn fspick(mount: BorrowedFd<'_>) -> Result<OwnedFd> {
    const FSPICK_CLOEXEC: libc::c_uint = 1;
    const FSPICK_EMPTY_PATH: libc::c_uint = 8;
    check_fd(syscall!(SYS_fspick, mount.as_raw_fd(), c"".as_ptr(), FSPICK_CLOEXEC | FSPICK_EMPTY_PATH))
}

/// fsconfig(2), Linux 5.2: `FSCONFIG_SET_STRING` with a value, `FSCONFIG_SET_FLAG` without.
pub fn fsconfig_set(context: BorrowedFd<'_>, key: &CStr, value: Option<&CStr>) -> Result<()> {
    const SET_FLAG: libc::c_uint = 0;
    const SET_STRING: libc::c_uint = 1;
    let (command, value) = match value {
        Some(value) => (SET_STRING, value.as_ptr()),
        None => (SET_FLAG, std::ptr::null()),
    };
    check(syscall!(SYS_fsconfig, context.as_raw_fd(), command, key.as_ptr(), value, 0)).map(drop)
}

/// fsconfig(2) with `FSCONFIG_CMD_CREATE`: makes the superblock.
pub fn fsconfig_create(context: BorrowedFd<'_>) -> Result<()> {
    const CMD_CREATE: libc::c_uint = 6;
    check(syscall!(SYS_fsconfig, context.as_raw_fd(), CMD_CREATE, 0usize, 0usize, 0)).map(drop)
}

/// fsconfig(2) with `FSCONFIG_CMD_RECONFIGURE`: the superblock's half of a remount.
pub fn fsconfig_reconfigure(context: BorrowedFd<'_>) -> Result<()> {
    const CMD_RECONFIGURE: libc::c_uint = 7;
    check(syscall!(SYS_fsconfig, context.as_raw_fd(), CMD_RECONFIGURE, 0usize, 0usize, 0)).map(drop)
}

/// fsmount(2), Linux 5.2: a detached mount of the superblock, with `MOUNT_ATTR_*` bits.
pub fn fsmount(context: BorrowedFd<'_>, attributes: u64) -> Result<OwnedFd> {
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    check_fd(syscall!(SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes as libc::c_uint))
}

/// What [`mount_setattr`] changes of a mount (`struct mount_attr`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountAttr {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`; 0 leaves the propagation alone.
    pub propagation: u64,
}

/// mount_setattr(2), Linux 5.12, on what `mount` refers to, with everything beneath it when `recursive`.
/// `userns` goes with `MOUNT_ATTR_IDMAP` in `attr.set`.
pub fn mount_setattr(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attr: MountAttr,
    userns: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: attr.set,
        attr_clr: attr.clear,
        propagation: attr.propagation,
        userns_fd: userns.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    check(syscall!(
        SYS_mount_setattr,
        mount.as_raw_fd(),
        c"".as_ptr(),
        flags,
        &raw const attr,
        size_of::<libc::mount_attr>()
    ))
    .map(drop)
}

/// mount(2). For what the newer calls cannot say: superblock flags that fsconfig(2) lacks, overlayfs before Linux 6.5.
pub fn mount(source: &CStr, target: &CStr, filesystem: &CStr, flags: u64, data: &CStr) -> Result<()> {
    check(syscall!(SYS_mount, source.as_ptr(), target.as_ptr(), filesystem.as_ptr(), flags, data.as_ptr())).map(drop)
}

/// umount2(2) with `MNT_DETACH`.
pub fn detach(path: &CStr) -> Result<()> {
    check(syscall!(SYS_umount2, path.as_ptr(), libc::MNT_DETACH)).map(drop)
}

/// `pivot_root(".", ".")`: the working directory becomes the root, with the old root mounted over it (pivot_root(2)).
pub fn pivot_root_here() -> Result<()> {
    check(syscall!(SYS_pivot_root, c".".as_ptr(), c".".as_ptr())).map(drop)
}

// ---------------------------------------------------------------------------------------------- identity and limits

/// sethostname(2).
pub fn sethostname(name: &CStr) -> Result<()> {
    check(syscall!(SYS_sethostname, name.as_ptr(), name.to_bytes().len())).map(drop)
}

/// setdomainname(2).
pub fn setdomainname(name: &CStr) -> Result<()> {
    check(syscall!(SYS_setdomainname, name.as_ptr(), name.to_bytes().len())).map(drop)
}

/// prlimit(2): sets a limit of `pid`, where 0 means this process, and answers with the former (soft, hard).
pub fn prlimit(pid: i32, resource: u32, new: Option<(u64, u64)>) -> Result<(u64, u64)> {
    let new = new.map(|(soft, hard)| [soft, hard]);
    let pointer = new.as_ref().map_or(std::ptr::null(), |limits| limits.as_ptr());
    let mut old = [0u64; 2];
    check(syscall!(SYS_prlimit64, pid, resource, pointer, old.as_mut_ptr()))?;
    Ok((old[0], old[1]))
}

/// setgroups(2).
pub fn setgroups(groups: &[u32]) -> Result<()> {
    check(syscall!(SYS_setgroups, groups.len(), groups.as_ptr())).map(drop)
}

/// setresgid(2), the three of them alike.
pub fn setgid(gid: u32) -> Result<()> {
    check(syscall!(SYS_setresgid, gid, gid, gid)).map(drop)
}

/// setresuid(2), the three of them alike.
pub fn setuid(uid: u32) -> Result<()> {
    check(syscall!(SYS_setresuid, uid, uid, uid)).map(drop)
}

/// capset(2): the effective, permitted and inheritable sets of this process, each a mask by capability number.
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let data = [
        effective as u32,
        permitted as u32,
        inheritable as u32,
        (effective >> 32) as u32,
        (permitted >> 32) as u32,
        (inheritable >> 32) as u32,
    ];
    check(syscall!(SYS_capset, header.as_ptr(), data.as_ptr())).map(drop)
}

/// capget(2): the (effective, permitted, inheritable) sets of this process.
pub fn capget() -> Result<(u64, u64, u64)> {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = [VERSION_3, 0];
    let mut data = [0u32; 6];
    check(syscall!(SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()))?;
    let join = |low: usize| data[low] as u64 | (data[low + 3] as u64) << 32;
    Ok((join(0), join(1), join(2)))
}

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING)`: a new session keyring of that name; answers with its serial number.
pub fn join_session_keyring(name: &CStr) -> Result<i64> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    check(syscall!(SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()))
}

/// `keyctl(KEYCTL_SETPERM)`.
pub fn set_key_permissions(serial: i64, permissions: u32) -> Result<()> {
    const SETPERM: libc::c_int = 5;
    check(syscall!(SYS_keyctl, SETPERM, serial, permissions)).map(drop)
}

/// seccomp(2) with `SECCOMP_SET_MODE_FILTER` and these `SECCOMP_FILTER_FLAG_*` bits, for this thread and its children. A
/// program is made of `struct sock_filter`, one per element. The answer is a listener, if the flags ask for one.
pub fn seccomp_set_filter(flags: u32, program: &[u64]) -> Result<Option<OwnedFd>> {
    const SET_MODE_FILTER: libc::c_uint = 1;
    const NEW_LISTENER: u32 = 1 << 3;
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut().cast() };
    let answer = syscall!(SYS_seccomp, SET_MODE_FILTER, flags, &raw const program);
    if flags & NEW_LISTENER != 0 { check_fd(answer).map(Some) } else { check(answer).map(|_| None) }
}

/// pidfd_getfd(2), Linux 5.6: a copy of another process's descriptor.
pub fn pidfd_getfd(process: BorrowedFd<'_>, number: RawFd) -> Result<OwnedFd> {
    check_fd(syscall!(SYS_pidfd_getfd, process.as_raw_fd(), number, 0))
}

// ---------------------------------------------------------------------------------------------- programs

/// A vector that `execve` takes: pointers into strings that are kept beside them, made before `clone3`.
#[derive(Debug)]
pub struct Argv {
    pointers: Vec<*const libc::c_char>,
    /// Owns what the pointers refer to; moving the vector does not move the strings' heap blocks.
    _strings: Vec<std::ffi::CString>,
    /// Room for one more string, which becomes known only after `clone3`.
    spare: Box<[u8; Argv::SPARE]>,
}

impl Argv {
    /// Bytes of the late string, its NUL included.
    pub const SPARE: usize = 1024;

    /// A NULL-terminated vector of these strings.
    pub fn new(strings: Vec<std::ffi::CString>) -> Argv {
        let mut pointers: Vec<*const libc::c_char> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.extend([std::ptr::null(), std::ptr::null()]);
        Argv { pointers, _strings: strings, spare: Box::new([0; Argv::SPARE]) }
    }

    /// Appends one late string, made of two parts; a second call replaces the first's. False when it does not fit.
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> bool {
        let length = name.len() + value.len();
        if length >= Argv::SPARE {
            return false;
        }
        self.spare[..name.len()].copy_from_slice(name);
        self.spare[name.len()..length].copy_from_slice(value);
        self.spare[length] = 0;
        let last = self.pointers.len() - 2;
        self.pointers[last] = self.spare.as_ptr().cast();
        true
    }
}

/// execve(2). Returns only the reason why it failed.
pub fn execve(path: &CStr, argv: &Argv, envp: &Argv) -> Errno {
    syscall!(SYS_execve, path.as_ptr(), argv.pointers.as_ptr(), envp.pointers.as_ptr());
    Errno::last()
}

/// execveat(2) of the file that `file` refers to. Returns only the reason why it failed.
pub fn execveat(file: BorrowedFd<'_>, argv: &Argv, envp: &Argv) -> Errno {
    syscall!(
        SYS_execveat,
        file.as_raw_fd(),
        c"".as_ptr(),
        argv.pointers.as_ptr(),
        envp.pointers.as_ptr(),
        libc::AT_EMPTY_PATH
    );
    Errno::last()
}

/// The instruction format of classic and extended BPF differs; this is one extended one, as the kernel's header has it.
pub type BpfInstruction = u64;

/// `BPF_PROG_LOAD` of a `BPF_PROG_TYPE_CGROUP_DEVICE` program (bpf(2)).
pub fn bpf_load_device_filter(program: &[BpfInstruction]) -> Result<OwnedFd> {
    const PROG_LOAD: libc::c_int = 5;
    const CGROUP_DEVICE: u32 = 15;
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
    }
    let load = Load {
        kind: CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: *b"minirun_devices\0",
    };
    check_fd(syscall!(SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()))
}

/// `BPF_PROG_ATTACH` of a device filter to a cgroup, beside those that are there (`BPF_F_ALLOW_MULTI`).
pub fn bpf_attach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    const PROG_ATTACH: libc::c_int = 8;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let attach = [cgroup.as_raw_fd() as u32, program.as_raw_fd() as u32, CGROUP_DEVICE, ALLOW_MULTI, 0];
    check(syscall!(SYS_bpf, PROG_ATTACH, attach.as_ptr(), size_of_val(&attach))).map(drop)
}
