//! Sockets: what arrives at them and goes through them, and the network interface that a new namespace has.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use super::{check, check_fd, plain_fd, syscall};
use crate::Result;

/// accept4(2) with `SOCK_CLOEXEC`.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    let none = std::ptr::null::<u8>();
    // SAFETY: the kernel writes no address through null pointers, and answers with a new descriptor.
    unsafe { check_fd(syscall!(SYS_accept4, listener.as_raw_fd(), none, none, libc::SOCK_CLOEXEC)) }
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
    // SAFETY: the kernel reads the message, with one part and one control message of their sizes.
    check(unsafe { syscall!(SYS_sendmsg, socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) }).map(drop)
}

/// recvmsg(2) of a message with one descriptor, as [`send_fd`] sends it; none at the end of file, or without a descriptor.
pub fn receive_fd(socket: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
    /// As in [`send_fd`].
    #[repr(C)]
    struct Control {
        length: usize,
        level: libc::c_int,
        kind: libc::c_int,
        fd: libc::c_int,
        padding: u32,
    }
    let mut control = Control { length: 0, level: 0, kind: 0, fd: -1, padding: 0 };
    let mut text = [0u8; 16];
    let part = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw const part).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    // Without the padding there is room for one descriptor: the kernel closes others.
    message.msg_controllen = std::mem::offset_of!(Control, padding) as _;
    // SAFETY: the kernel writes the message, with one part and one control message of their sizes.
    check(unsafe { syscall!(SYS_recvmsg, socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) })?;
    let is_fd = control.length == std::mem::offset_of!(Control, padding)
        && (control.level, control.kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS);
    // SAFETY: the kernel has just made it for this process.
    Ok(is_fd.then(|| unsafe { OwnedFd::from_raw_fd(control.fd) }))
}

/// Brings a network interface up (`SIOCSIFFLAGS`, netdevice(7)).
pub fn bring_up(interface: &CStr) -> Result<()> {
    let socket = plain_fd!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)?;
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(interface.to_bytes()) {
        *place = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq.
    check(unsafe { syscall!(SYS_ioctl, socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }).map(drop)
}
