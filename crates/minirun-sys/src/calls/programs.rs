//! Executing a program: the vectors that it is given, and the calls that end in it.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use super::{check_one_thread, syscall};
use crate::Errno;

/// A vector that `execve` takes: pointers into strings that are kept beside them, made before `clone3`.
#[derive(Debug)]
pub struct Argv {
    pointers: Vec<*const libc::c_char>,
    /// Owns what the pointers refer to; moving the vector does not move the strings' heap blocks.
    _strings: Vec<std::ffi::CString>,
    /// Room for one more string, which becomes known only after `clone3`.
    spare: Vec<u8>,
}

impl Argv {
    /// Bytes of the late string, its NUL included.
    pub const SPARE: usize = 1024;

    /// A NULL-terminated vector of these strings.
    pub fn new(strings: Vec<std::ffi::CString>) -> Argv {
        let mut pointers: Vec<*const libc::c_char> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.extend([std::ptr::null(), std::ptr::null()]);
        Argv { pointers, _strings: strings, spare: vec![0; Argv::SPARE] }
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
    // SAFETY: the vectors end with a null pointer, and keep their strings.
    unsafe { syscall!(SYS_execve, path.as_ptr(), argv.pointers.as_ptr(), envp.pointers.as_ptr()) };
    Errno::last()
}

/// execveat(2) of the file that `file` refers to; without `envp` with this process's environment. Returns only the reason why
/// it failed: `EINVAL` also if other threads could change that environment.
pub fn execveat(file: BorrowedFd<'_>, argv: &Argv, envp: Option<&Argv>) -> Errno {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    let envp = match (envp, check_one_thread()) {
        (Some(envp), _) => envp.pointers.as_ptr(),
        // SAFETY: there is one thread.
        (None, Ok(())) => unsafe { environ },
        (None, Err(errno)) => return errno,
    };
    let (path, argv) = (c"".as_ptr(), argv.pointers.as_ptr());
    // SAFETY: the vectors end with a null pointer, and keep their strings (environ(7)).
    unsafe { syscall!(SYS_execveat, file.as_raw_fd(), path, argv, envp, libc::AT_EMPTY_PATH) };
    Errno::last()
}
