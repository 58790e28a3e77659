//! Injects an error at a chosen system call of a command or of the processes that it forks, up to the program of the
//! container.
//!
//! The points of [`survey`] count the calls of each process separately, because the calls of two processes interleave
//! differently each time.

use std::collections::HashMap;
use std::fmt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::trace::{SyscallStop, Watchdog, begin, set_registers, syscall_stop};

/// One system call of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The process: 0 is the command itself, 1 its first child, in the order of their creation.
    pub process: usize,
    /// The number of its call, counted from 1.
    pub call: u64,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} of process {}", self.call, self.process)
    }
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Injected {
    /// The exit status, or 128 plus the signal.
    pub status: i32,
    /// The number of calls of each process before it executed another program.
    pub calls: Vec<u64>,
    /// The system call that failed, if the command got that far.
    pub failed: Option<i64>,
    /// Whether the command reached the call at which [`outlive`] holds it.
    pub held: bool,
}

/// The action of the tracer.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    At(Point, Errno),
    Late(Late),
}

/// A fault in which the first child of a command fails before the command continues.
#[derive(Debug, Clone, Copy)]
pub struct Late {
    /// The system call of the child that fails the first time.
    pub failing: libc::c_long,
    /// The error of that call.
    pub errno: Errno,
    /// The call of the command that is delayed until the child has ended, counted from 1 since the child was created.
    pub call: u64,
}

/// Runs a command whose first child fails, and holds the command at one of its calls until the child has ended.
pub fn outlive(command: Command, late: Late) -> Injected {
    run(command, Fault::Late(late))
}

/// Runs a command to its end and returns all points at which a call of it can fail.
pub fn survey(command: Command) -> (Injected, Vec<Point>) {
    let whole = run(command, Fault::None);
    let points = whole.calls.iter().enumerate();
    let points = points.flat_map(|(process, calls)| (1..=*calls).map(move |call| Point { process, call })).collect();
    (whole, points)
}

/// Runs a command whose call at `point` is not made and fails with `errno`; `Errno::UnknownErrno` stands for a call that
/// is not made and succeeds with 0.
pub fn inject(command: Command, point: Point, errno: Errno) -> Injected {
    run(command, Fault::At(point, errno))
}

fn run(command: Command, fault: Fault) -> Injected {
    std::thread::spawn(move || Tracer::default().run(command, fault)).join().expect("the tracer")
}

#[derive(Default)]
struct Tracer {
    /// The number of each process.
    processes: HashMap<Pid, usize>,
    calls: Vec<u64>,
    /// The process whose call is made to fail, between the call's entry and its exit.
    failing: Option<(Pid, Errno)>,
    failed: Option<i64>,
    first_child: Option<Pid>,
    /// The number of calls of the command since its first child was created.
    since_birth: u64,
    child_ended: bool,
    held: bool,
    /// Whether the command waits for its child's end.
    waiting: bool,
}

impl Tracer {
    #[allow(clippy::zombie_processes, reason = "the loop waits for it, as a tracer must")]
    fn run(mut self, mut command: Command, fault: Fault) -> Injected {
        let front = begin(&mut command);
        let _watch = Watchdog::over(front);
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC;
        ptrace::setoptions(front, options).expect("set ptrace options");
        self.number_of(front);
        let _ = ptrace::syscall(front, None);
        loop {
            // Errors of requests are ignored: a tracee may die at any moment, and its end is reported here.
            let stop = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)).expect("wait for a tracee");
            match stop {
                WaitStatus::Exited(pid, status) if pid == front => return self.ended(status),
                WaitStatus::Signaled(pid, signal, _) if pid == front => return self.ended(128 + signal as i32),
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                    self.child_ended |= self.first_child == Some(pid);
                    if self.child_ended && std::mem::take(&mut self.waiting) {
                        let _ = ptrace::syscall(front, None);
                    }
                }
                WaitStatus::PtraceSyscall(pid) => {
                    self.at_syscall(pid, fault);
                    if !(self.waiting && pid == front) {
                        let _ = ptrace::syscall(pid, None);
                    }
                }
                // This is the container's program, or a hook.
                WaitStatus::PtraceEvent(pid, _, event) if event == Event::PTRACE_EVENT_EXEC as i32 && pid != front => {
                    let _ = ptrace::detach(pid, None);
                }
                WaitStatus::PtraceEvent(pid, _, event) => {
                    if event != Event::PTRACE_EVENT_EXEC as i32
                        && let Ok(child) = ptrace::getevent(pid)
                    {
                        self.number_of(Pid::from_raw(child as i32));
                    }
                    let _ = ptrace::syscall(pid, None);
                }
                // A new tracee begins with a stop that no process sent; passing it on would really stop the process.
                WaitStatus::Stopped(pid, Signal::SIGSTOP | Signal::SIGTRAP) => drop(ptrace::syscall(pid, None)),
                WaitStatus::Stopped(pid, signal) => drop(ptrace::syscall(pid, signal)),
                _ => {}
            }
        }
    }

    fn ended(self, status: i32) -> Injected {
        Injected { status, calls: self.calls, failed: self.failed, held: self.held }
    }

    fn number_of(&mut self, pid: Pid) -> usize {
        let next = self.processes.len();
        let number = *self.processes.entry(pid).or_insert(next);
        self.calls.resize(self.processes.len(), 0);
        if number == 1 {
            self.first_child = Some(pid);
        }
        number
    }

    fn at_syscall(&mut self, pid: Pid, fault: Fault) {
        match syscall_stop(pid) {
            Some(SyscallStop::Entry(call)) if !never_fails(call as i64) => {
                let process = self.number_of(pid);
                self.calls[process] += 1;
                let here = Point { process, call: self.calls[process] };
                match fault {
                    Fault::At(point, errno) if point == here => self.fail(pid, call, errno),
                    Fault::Late(late) if process == 1 && self.failed.is_none() && call as i64 == late.failing => {
                        self.fail(pid, call, late.errno);
                    }
                    Fault::Late(late) if process == 0 && self.first_child.is_some() => {
                        self.since_birth += 1;
                        if self.since_birth == late.call {
                            (self.held, self.waiting) = (true, !self.child_ended);
                        }
                    }
                    _ => {}
                }
            }
            Some(SyscallStop::Exit) => {
                if let Some((_, errno)) = self.failing.take_if(|(failing, _)| *failing == pid) {
                    set_registers(pid, |registers| registers.rax = i64::from(-(errno as i32)) as u64);
                }
            }
            _ => {}
        }
    }

    /// Makes the current call of a process fail.
    fn fail(&mut self, pid: Pid, call: u64, errno: Errno) {
        set_registers(pid, |registers| registers.orig_rax = u64::MAX);
        (self.failing, self.failed) = (Some((pid, errno)), Some(call as i64));
    }
}

/// Whether a call never returns to its caller.
fn never_fails(call: i64) -> bool {
    [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn].contains(&call)
}
