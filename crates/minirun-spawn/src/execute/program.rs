//! The last steps: kernel parameters, the working directory, HOME, and the program.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

use minirun_sys as sys;
use minirun_sys::Errno;

use super::Executor;
use crate::wire::{Call, Fault, In, Kind, Record};

/// Writes a kernel parameter through the host's /proc: which namespace is meant is told from the writer, and the
/// container's own /proc could be something else (CVE-2025-52881).
pub(crate) fn sysctl(path: &CStr, value: &CStr) -> Result<(), Fault> {
    write_host_proc(c"/proc/sys", path, value)
}

/// Writes an attribute of this process that a security module reads; in the same way, so that no other file can be put in
/// its place.
pub(crate) fn lsm_attribute(file: &CStr, value: &CStr) -> Result<(), Fault> {
    write_host_proc(c"/proc/thread-self", file, value)
}

fn write_host_proc(directory: &CStr, path: &CStr, value: &CStr) -> Result<(), Fault> {
    let directory = sys::open(directory, libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)?;
    if sys::fstatfs(directory.as_fd()).in_call(Call::Statfs)?.magic != libc::PROC_SUPER_MAGIC as i64 {
        return Err(Fault::check("/proc of the host is not procfs"));
    }
    let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
    let file = sys::openat2(directory.as_fd(), path, libc::O_WRONLY, 0, how).in_call(Call::Openat2)?;
    sys::write(file.as_fd(), value.to_bytes()).map(drop).in_call(Call::Write)
}

impl Executor<'_> {
    pub(crate) fn enter_directory(&mut self, path: &CStr) -> Result<(), Fault> {
        match sys::chdir(path) {
            // Root may be locked out where the user is not: NFS with root_squash, FUSE.
            Err(Errno::EACCES) => {
                self.cwd_denied = true;
                Ok(())
            }
            Ok(()) => verify_working_directory(),
            Err(errno) => Err(errno).in_call(Call::Chdir),
        }
    }

    pub(crate) fn enter_directory_as_user(&mut self, path: &CStr) -> Result<(), Fault> {
        if !self.cwd_denied {
            return Ok(());
        }
        sys::chdir(path).in_call(Call::Chdir)?;
        verify_working_directory()
    }

    /// HOME as the container's /etc/passwd has it, or `/`.
    pub(crate) fn find_home(&mut self, uid: u32) -> Result<(), Fault> {
        let mut line = Line { bytes: [0; sys::Argv::SPARE], length: 0, too_long: false };
        let home = match self.open_file_in_root(c"etc/passwd", libc::O_RDONLY | libc::O_NONBLOCK) {
            Ok(passwd) => find_in_passwd(passwd.as_fd(), uid, &mut line)?,
            Err(fault) if [Errno::ENOENT, Errno::ENOTDIR, Errno::ELOOP, Errno::EACCES].iter().any(|e| fault.is(*e)) => {
                None
            }
            Err(fault) => return Err(fault),
        };
        if !self.opened.envp.append(b"HOME=", home.unwrap_or(b"/")) {
            return Err(Fault::check("the home directory's path in /etc/passwd is too long"));
        }
        Ok(())
    }

    /// The first candidate that can be executed. Several candidates mean a search along PATH, whose misses count nothing.
    pub(crate) fn find_program(&mut self, candidates: &[CString]) -> Result<(), Fault> {
        let name_has_slash = self.plan.payload.args.first().is_some_and(|name| name.to_bytes().contains(&b'/'));
        for (number, candidate) in candidates.iter().enumerate() {
            match check_program(candidate) {
                Ok(()) => {
                    self.program = number;
                    return Ok(());
                }
                Err(fault) if name_has_slash => return Err(fault),
                // accepts: any error of a candidate along PATH, as execvp(3) does; the program must be found in another.
                Err(_) => {}
            }
        }
        Err(Fault::check("executable file not found in $PATH"))
    }

    /// Once, because a filter need not allow it.
    pub(crate) fn reset_signals(&mut self) -> Result<(), Fault> {
        self.reset_actions()?;
        if !self.signals_unblocked {
            sys::unblock_signals().in_call(Call::Sigprocmask)?;
        }
        self.signals_unblocked = true;
        Ok(())
    }

    pub(crate) fn reset_actions(&mut self) -> Result<(), Fault> {
        if !self.actions_reset {
            sys::reset_actions(1..=64).in_call(Call::Sigaction)?;
        }
        self.actions_reset = true;
        Ok(())
    }

    /// Becomes the program.
    pub(crate) fn execute(&mut self) -> Result<(), Fault> {
        self.reset_signals()?;
        let candidates = self.plan.init.iter().find_map(|step| match &step.op {
            minirun_plan::Op::FindProgram(candidates) => candidates.get(self.program),
            _ => None,
        });
        let Some(path) = candidates else { return Err(Fault::check("no program was looked for")) };
        if self.filtered && !self.plan.hooks.start_container.is_empty() {
            Record::of(Kind::HooksDone).send(self.audience()).in_call(Call::Write)?;
        }
        let errno = sys::execve(path, &self.opened.argv, &self.opened.envp);
        self.detail.push(path.to_bytes());
        Err(Fault { call: Call::Execve, errno: errno as i32, text: "" })
    }
}

/// The kernel marks a directory that cannot be reached from the root (getcwd(2)); a working directory on the host would
/// be such a one (CVE-2024-21626).
fn verify_working_directory() -> Result<(), Fault> {
    let mut path = [0u8; libc::PATH_MAX as usize];
    sys::getcwd(&mut path).in_call(Call::Getcwd)?;
    if path[0] == b'/' {
        return Ok(());
    }
    Err(Fault::check(
        "current working directory is outside of container mount namespace root -- possible container breakout detected",
    ))
}

fn check_program(path: &CStr) -> Result<(), Fault> {
    let stat = sys::stat(path).in_call(Call::Stat)?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return Err(Fault::check("permission denied (it is a directory)"));
    }
    // Root may do everything but execute what nobody may.
    // accepts: any error, which is a refusal.
    if stat.st_mode & 0o111 == 0 || sys::faccess(path, libc::X_OK).is_err() {
        return Err(Fault::check("permission denied"));
    }
    Ok(())
}

/// One line of a file, as far as it fits.
struct Line {
    bytes: [u8; sys::Argv::SPARE],
    length: usize,
    too_long: bool,
}

/// Reads at most 1 MiB of a regular file, line by line, for the home directory of a user.
fn find_in_passwd<'l>(file: BorrowedFd<'_>, uid: u32, line: &'l mut Line) -> Result<Option<&'l [u8]>, Fault> {
    const MOST: usize = 1 << 20;
    if sys::fstat(file).in_call(Call::Stat)?.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Ok(None);
    }
    let mut buffer = [0u8; 4096];
    let mut total = 0;
    while total < MOST {
        let length = sys::read(file, &mut buffer).in_call(Call::Read)?;
        total += length;
        let end: &[u8] = if length == 0 { b"\n" } else { &buffer[..length] };
        for byte in end {
            if *byte != b'\n' {
                line.too_long |= line.length == line.bytes.len();
                if !line.too_long {
                    line.bytes[line.length] = *byte;
                    line.length += 1;
                }
                continue;
            }
            let complete = !line.too_long;
            if complete && home_of(&line.bytes[..line.length], uid).is_some() {
                return Ok(home_of(&line.bytes[..line.length], uid));
            }
            (line.length, line.too_long) = (0, false);
        }
        if length == 0 {
            break;
        }
    }
    Ok(None)
}

/// The sixth field of a line of /etc/passwd whose third field is this user (passwd(5)).
fn home_of(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|byte| *byte == b':');
    let number = fields.nth(2)?;
    let value = number.iter().try_fold(0u32, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    let home = fields.nth(2)?;
    (!number.is_empty() && value == uid && !home.is_empty()).then_some(home)
}

#[cfg(test)]
mod tests {
    use super::home_of;

    #[test]
    fn the_home_directory_is_the_sixth_field() {
        assert_eq!(home_of(b"root:x:0:0:root:/root:/bin/sh", 0), Some(&b"/root"[..]));
        assert_eq!(home_of(b"app:x:1000:1000::/home/app:", 1000), Some(&b"/home/app"[..]));
        for line in [&b"root:x:0:0:root:/root:/bin/sh"[..], b"a:x:-1:0::/a:", b"a:x:4294967297:0::/a:", b"a:x:1", b""] {
            assert_eq!(home_of(line, 1), None);
        }
    }
}
