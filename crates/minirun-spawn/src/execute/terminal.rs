//! The container's terminal: a pseudo-terminal of its own devpts.

use std::os::fd::{AsFd, BorrowedFd};

use minirun_plan::InRoot;
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Executor;
use crate::wire::{Call, Fault, In};

/// The first major number of pseudo-terminal slaves; there are eight (Documentation/admin-guide/devices.txt).
const SLAVE_MAJORS: std::ops::RangeInclusive<u32> = 136..=143;

impl Executor<'_> {
    /// Opens a pair, sends the master away, and makes the slave the standard streams and the controlling terminal.
    pub(crate) fn terminal(
        &mut self,
        size: Option<(u16, u16)>,
        [first, second]: &[InRoot; 2],
        console: Option<&InRoot>,
        controls: bool,
        uid: u32,
    ) -> Result<(), Fault> {
        let Some(receiver) = &self.opened.console else {
            return Err(Fault::check("no one is listening on the console socket"));
        };
        let flags = libc::O_RDWR | libc::O_NOCTTY;
        let master = match self.open_file(first, flags) {
            Err(fault) if fault.is(Errno::ENOENT) => self.open_file(second, flags)?,
            answer => answer?,
        };
        sys::unlock_terminal(master.as_fd()).in_call(Call::Ioctl)?;
        let slave = sys::terminal_peer(master.as_fd()).in_call(Call::Ioctl)?;
        let stat = sys::fstat(slave.as_fd()).in_call(Call::Stat)?;
        let is_slave =
            stat.st_mode & libc::S_IFMT == libc::S_IFCHR && SLAVE_MAJORS.contains(&libc::major(stat.st_rdev));
        if !is_slave {
            return Err(Fault::check("/dev/ptmx in the container does not make pseudo-terminals"));
        }
        if let Some(size) = size {
            sys::set_window_size(slave.as_fd(), size).in_call(Call::Ioctl)?;
        }
        sys::send_fd(receiver.as_fd(), master.as_fd(), b"/dev/ptmx").in_call(Call::Sendmsg)?;
        self.opened.console = None;
        if let Some(console) = console {
            self.show_console(console, slave.as_fd(), stat.st_rdev)?;
        }
        if uid != 0 {
            sys::fchown(slave.as_fd(), uid, stat.st_gid).in_call(Call::Fchown)?;
        }
        for stream in sys::Standard::ALL {
            sys::become_standard(slave.as_fd(), stream).in_call(Call::Dup)?;
        }
        if controls { sys::control_terminal(slave.as_fd()).in_call(Call::Ioctl) } else { Ok(()) }
    }

    /// The slave at /dev/console, by its inode and not by its name (CVE-2025-52565).
    fn show_console(&self, console: &InRoot, slave: BorrowedFd<'_>, device: u64) -> Result<(), Fault> {
        let dev = self.open_parent(console)?;
        let inside = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW;
        match sys::openat2(dev.as_fd(), console.name(), flags, 0o620, inside) {
            Ok(_) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno).in_call(Call::Openat2),
        }
        let open = || {
            let flags = libc::O_PATH | libc::O_NOFOLLOW;
            sys::openat2(dev.as_fd(), console.name(), flags, 0, inside).in_call(Call::Openat2)
        };
        let clone = libc::OPEN_TREE_CLONE | libc::AT_EMPTY_PATH as libc::c_uint;
        let tree = sys::open_tree(slave, c"", clone).in_call(Call::OpenTree)?;
        sys::move_mount(tree.as_fd(), open()?.as_fd()).in_call(Call::MoveMount)?;
        let shown = sys::fstat(open()?.as_fd()).in_call(Call::Stat)?;
        if shown.st_rdev == device { Ok(()) } else { Err(Fault::check("/dev/console is not the terminal")) }
    }
}
