//! Faults at a chosen system call: `killat` kills the runtime there, `errat` makes the call fail, and `beside` runs a
//! closure at the same time.
//!
//! They run the tracer in a separate thread, because only the thread that attached a tracee may control it. The thread
//! waits with `__WNOTHREAD`, so that it never reaps the children of other tests. When it ends, the kernel releases its
//! remaining tracees: a container outlives the call that created it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::host;

/// How a traced call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traced {
    /// The exit status, or 128 plus the signal.
    pub status: i32,
    /// The number of matching system calls that were entered.
    pub calls: u64,
}

/// The fault at the chosen call.
#[derive(Clone, Copy)]
enum Fault<'f> {
    Kill,
    Error { errno: i32, calls: &'static [libc::c_long] },
    Beside(&'f (dyn Fn(u64) + Sync)),
}

/// Runs a command and kills its process at entry of the `at`-th system call of it or of its threads. With 0 it only
/// counts. Processes that it forks are not traced.
pub fn killat(command: Command, at: u64) -> Traced {
    in_a_thread(command, at, Fault::Kill)
}

/// Runs a command in which the `at`-th call out of `calls`, in it or in any of its descendants, fails with `errno`.
/// With 0 it only counts.
pub fn errat(command: Command, at: u64, errno: Errno, calls: &'static [libc::c_long]) -> Traced {
    in_a_thread(command, at, Fault::Error { errno: errno as i32, calls })
}

/// Runs a command and calls `then` with the number of each system call that the command or a descendant enters. The
/// process is stopped meanwhile.
pub fn beside(command: Command, then: impl Fn(u64) + Sync) -> Traced {
    in_a_thread(command, 0, Fault::Beside(&then))
}

fn in_a_thread(command: Command, at: u64, fault: Fault<'_>) -> Traced {
    std::thread::scope(|scope| scope.spawn(move || trace(command, at, fault)).join().expect("the tracer"))
}

/// Starts a command as a tracee of this thread, up to its first instruction.
#[allow(clippy::zombie_processes, reason = "the tracer waits for it")]
pub(crate) fn begin(command: &mut Command) -> Pid {
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    let child = command.spawn().expect("start the traced command");
    let front = Pid::from_raw(child.id() as i32);
    waitpid(front, Some(WaitPidFlag::__WALL)).expect("the stop after exec");
    front
}

fn trace(mut command: Command, at: u64, fault: Fault<'_>) -> Traced {
    let front = begin(&mut command);
    let _watch = Watchdog::over(front);
    let mut options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEEXEC;
    if !matches!(fault, Fault::Kill) {
        options |= Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK;
    }
    ptrace::setoptions(front, options).expect("set ptrace options");
    let _ = ptrace::syscall(front, None);
    let mut calls = 0;
    let mut failing = None;
    loop {
        // Errors of requests are ignored below: a tracee may die at any moment, and its end is reported here.
        let stop = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)).expect("wait for a tracee");
        match stop {
            WaitStatus::Exited(pid, status) if pid == front => return Traced { status, calls },
            WaitStatus::Signaled(pid, signal, _) if pid == front => {
                return Traced { status: 128 + signal as i32, calls };
            }
            WaitStatus::PtraceSyscall(pid) => {
                match syscall_stop(pid) {
                    Some(SyscallStop::Entry(number)) if matches(fault, number) => {
                        calls += 1;
                        if let Fault::Beside(then) = fault {
                            then(calls);
                        }
                        if calls == at {
                            match fault {
                                Fault::Kill => drop(kill(front, Signal::SIGKILL)),
                                Fault::Beside(_) => {}
                                Fault::Error { .. } => {
                                    set_registers(pid, |registers| registers.orig_rax = u64::MAX);
                                    failing = Some(pid);
                                }
                            }
                        }
                    }
                    Some(SyscallStop::Exit) if failing == Some(pid) => {
                        failing = None;
                        if let Fault::Error { errno, .. } = fault {
                            set_registers(pid, |registers| registers.rax = i64::from(-errno) as u64);
                        }
                    }
                    _ => {}
                }
                let _ = ptrace::syscall(pid, None);
            }
            // A new tracee begins with a stop that no process sent; passing it on would really stop the process.
            WaitStatus::Stopped(pid, Signal::SIGSTOP | Signal::SIGTRAP) => drop(ptrace::syscall(pid, None)),
            WaitStatus::Stopped(pid, signal) => drop(ptrace::syscall(pid, signal)),
            WaitStatus::PtraceEvent(pid, ..) => drop(ptrace::syscall(pid, None)),
            _ => {}
        }
    }
}

fn matches(fault: Fault<'_>, number: u64) -> bool {
    match fault {
        Fault::Kill | Fault::Beside(_) => true,
        Fault::Error { calls, .. } => calls.iter().any(|call| *call as u64 == number),
    }
}

pub(crate) enum SyscallStop {
    Entry(u64),
    Exit,
}

/// Returns whether a tracee is stopped at the entry or the exit of a system call. The kernel's answer is more reliable
/// than counting stops.
pub(crate) fn syscall_stop(pid: Pid) -> Option<SyscallStop> {
    const PTRACE_GET_SYSCALL_INFO: u32 = 0x420e;
    // `struct ptrace_syscall_info`: op, padding, arch, instruction and stack pointer, then the number at entry.
    let mut info = [0u64; 16];
    // SAFETY: the kernel writes at most the given size to a place that outlives the call.
    let written =
        unsafe { libc::ptrace(PTRACE_GET_SYSCALL_INFO as _, pid.as_raw(), size_of_val(&info), info.as_mut_ptr()) };
    match (written, info[0] & 0xff) {
        (1.., 1) => Some(SyscallStop::Entry(info[3])),
        (1.., 2) => Some(SyscallStop::Exit),
        _ => None,
    }
}

pub(crate) fn set_registers(pid: Pid, change: impl FnOnce(&mut libc::user_regs_struct)) {
    // SAFETY: a plain structure of numbers, for which zeroes are a value.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes and reads one structure that outlives both calls.
    unsafe {
        let place = &raw mut registers;
        if libc::ptrace(libc::PTRACE_GETREGS as _, pid.as_raw(), 0, place) == 0 {
            change(&mut registers);
            libc::ptrace(libc::PTRACE_SETREGS as _, pid.as_raw(), 0, place);
        }
    }
}

/// Kills a command that hangs, so that the tracer's wait returns.
pub(crate) struct Watchdog(std::sync::mpsc::Sender<()>);

impl Watchdog {
    pub(crate) fn over(pid: Pid) -> Self {
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            if ended.recv_timeout(host::patience()) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        Self(done)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
