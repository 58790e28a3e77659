//! Pseudo-terminals.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use super::{check, check_fd, syscall};
use crate::Result;

/// `TIOCSPTLCK`: lets the slave of a pseudo-terminal be opened (ioctl_tty(2)).
pub fn unlock_terminal(master: BorrowedFd<'_>) -> Result<()> {
    let locked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads an int.
    check(unsafe { syscall!(SYS_ioctl, master.as_raw_fd(), libc::TIOCSPTLCK, &raw const locked) }).map(drop)
}

/// `TIOCGPTPEER` (Linux 4.13): the slave of a pseudo-terminal, without looking up any path.
pub fn terminal_peer(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER reads flags, a number, and answers with a new descriptor.
    unsafe { check_fd(syscall!(SYS_ioctl, master.as_raw_fd(), libc::TIOCGPTPEER, flags)) }
}

/// `TIOCSCTTY`: makes it the controlling terminal of this session.
pub fn control_terminal(terminal: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: TIOCSCTTY reads a number.
    check(unsafe { syscall!(SYS_ioctl, terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(drop)
}

/// `TIOCSWINSZ`: (rows, columns).
pub fn set_window_size(terminal: BorrowedFd<'_>, (rows, columns): (u16, u16)) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize.
    check(unsafe { syscall!(SYS_ioctl, terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }).map(drop)
}

/// `TIOCGWINSZ`: (rows, columns).
pub fn window_size(terminal: BorrowedFd<'_>) -> Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a winsize.
    check(unsafe { syscall!(SYS_ioctl, terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) })?;
    Ok((size.ws_row, size.ws_col))
}
