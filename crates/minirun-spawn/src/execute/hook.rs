//! A startContainer hook: a child of init, in the container, before init becomes the container's program.

use std::os::fd::{AsFd, BorrowedFd};

use minirun_sys as sys;
use minirun_sys::{Argv, Child, Clone, Cloned, Errno, Standard};

use super::Executor;
use crate::wire::{Call, Decimal, Fault, In};

impl Executor<'_> {
    /// Runs it and waits for it: the state on its standard input, its output where the container's goes.
    pub(crate) fn run_hook(&mut self, i: usize) -> Result<(), Fault> {
        let done = self.run_and_wait(i);
        if let Err(fault) = &done
            && self.filtered
            && fault.errno != 0
        {
            self.detail.push(super::seccomp::BLAME);
        }
        done
    }

    fn run_and_wait(&mut self, i: usize) -> Result<(), Fault> {
        let Some((hook, (argv, envp))) = self.plan.hooks.start_container.get(i).zip(self.opened.hooks.get(i)) else {
            return Err(Fault::check("there is no such hook"));
        };
        let Some(state) = &self.opened.state else { return Err(Fault::check("there is no state for the hook")) };
        sys::rewind(state.as_fd()).in_call(Call::Seek)?;
        // One without an environment has the program's, HOME included.
        let envp = envp.as_ref().unwrap_or(&self.opened.envp);
        let (state, signals_unblocked) = (state.as_fd(), self.signals_unblocked);
        let Cloned { pid, pidfd } = clone(self.child, || {
            // 127 is what a shell says of a program that cannot be executed.
            // accepts: any error; status 127 tells of it.
            let _failed = become_program(&hook.path, argv, envp, state, signals_unblocked);
            127
        })
        .in_call(Call::Clone)?;
        let milliseconds = hook.timeout.map(|seconds| i32::try_from(seconds.saturating_mul(1000)).unwrap_or(i32::MAX));
        loop {
            match sys::wait_readable(pidfd.as_fd(), milliseconds) {
                Ok(true) => break,
                Ok(false) => {
                    // The hook leads a process group of its own, which goes with it.
                    // accepts: ESRCH; nothing of it is left.
                    let _gone = sys::kill(-pid, libc::SIGKILL);
                    sys::wait(pid).in_call(Call::Wait)?;
                    self.detail.push(hook.path.to_bytes());
                    self.detail.push(b" ran past specified timeout of ");
                    self.detail.push(Decimal::of(hook.timeout.unwrap_or(0) as u32).digits());
                    self.detail.push(b".0s");
                    return Err(Fault::check("hook "));
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).in_call(Call::Poll),
            }
        }
        let status = sys::wait(pid).in_call(Call::Wait)?;
        if status == 0 {
            return Ok(());
        }
        let (word, number) = match libc::WIFSIGNALED(status) {
            true => (&b" was ended by signal "[..], libc::WTERMSIG(status)),
            false => (&b" failed: exit status "[..], libc::WEXITSTATUS(status)),
        };
        self.detail.push(hook.path.to_bytes());
        self.detail.push(word);
        self.detail.push(Decimal::of(number as u32).digits());
        Err(Fault::check("hook "))
    }
}

/// Filters cannot look into what clone3(2) is asked for, so many deny it, and C libraries go on with clone(2).
fn clone(child: &mut Child, work: impl Fn() -> i32) -> sys::Result<Cloned> {
    match child.clone3(Clone::default(), |_| work()) {
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EACCES) => child.clone(|_| work()),
        answer => answer,
    }
}

fn become_program(
    path: &std::ffi::CStr,
    argv: &Argv,
    envp: &Argv,
    stdin: BorrowedFd<'_>,
    signals_reset: bool,
) -> sys::Result<()> {
    sys::setsid()?;
    sys::die_with_parent()?;
    sys::become_standard(stdin, Standard::Input)?;
    sys::cloexec_from(3)?;
    if !signals_reset {
        sys::reset_signals()?;
    }
    Err(sys::execve(path, argv, envp))
}
