//! `minirun run`: a container from its creation to its end, in the foreground.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use minirun_spawn::Init;
use minirun_sys as sys;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::cli::Call;
use crate::terminal;
use crate::lifecycle::{Created, Starter, after_start, make, remove_traces, store};

/// Carries out `minirun run`.
pub fn run(call: &Call) -> Result<ExitCode> {
    let argument = &call.args[0];
    // A slash makes no id, so it makes a bundle.
    let (id, bundle) = match argument.contains('/') {
        true => (made_up_id(), PathBuf::from(argument)),
        false => (argument.clone(), call.path("bundle").unwrap_or_else(|| PathBuf::from("."))),
    };
    let detached = call.has("detach");
    // Before the clone, so that no signal is lost; init makes them deliverable again for its program.
    let waiting = if detached { None } else { Some(block_signals()?) };
    if !detached && !call.has("no-subreaper") {
        sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0).context("become a subreaper")?;
    }
    let (entry, container) = make(call, &id, &bundle, Starter::Myself { detached })?;
    if let Err(error) = container.init.start() {
        container.init.kill();
        remove_traces(entry, &container.record, None)?;
        return Err(anyhow::Error::new(error).context("unable to start container process"));
    }
    if let Err(error) = after_start(&entry, &container.record) {
        container.init.kill();
        remove_traces(entry, &container.record, None)?;
        return Err(error);
    }
    let Some(signals) = waiting else { return Ok(ExitCode::SUCCESS) };
    // Others may kill or delete the container while it runs.
    drop(entry);
    let status = wait_for(&container.init, &signals, container.terminal.as_ref())?;
    report_oom(&container, status);
    if !call.has("keep")
        && let Some(entry) = store(call)?.find(&id)?
    {
        remove_traces(entry, &container.record, None)?;
    }
    Ok(ExitCode::from(status_code(status)))
}

/// An id that no other container has: time and pid never repeat together.
fn made_up_id() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("run-{:x}-{:x}", std::process::id(), now.as_micros() & 0xfff_ffff_ffff)
}

pub fn block_signals() -> Result<SigSet> {
    let signals = SigSet::all();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&signals), None).context("block signals")?;
    Ok(signals)
}

/// Stays until the container's init has ended: between the terminals if there are some, passing signals on.
pub fn wait_for(init: &Init, signals: &SigSet, terminal: Option<&OwnedFd>) -> Result<WaitStatus> {
    if let Some(receiver) = terminal {
        return terminal::attend(init, signals, receiver);
    }
    // Not sigwait(3): a number beyond the standard signals would be an error there.
    let signals = SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC).context("signalfd")?;
    loop {
        if let Some(status) = reap(init)? {
            return Ok(status);
        }
        match signals.read_signal() {
            Ok(Some(info)) => pass_on(init, info.ssi_signo as i32),
            Ok(None) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("wait for a signal"),
        }
    }
}

/// Passes a signal on. SIGCHLD is for this process, and SIGURG is what Go's runtime sends itself, engines' included.
pub fn pass_on(init: &Init, signal: i32) {
    if signal == libc::SIGCHLD || signal == libc::SIGURG {
        return;
    }
    match sys::pidfd_send_signal(init.pidfd.as_fd(), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => log::warn!("could not pass signal {signal} on: {}", errno.desc()),
    }
}

/// Takes every child that has ended: init's status if it is among them.
pub fn reap(init: &Init) -> Result<Option<WaitStatus>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(status) if status.pid().map(|pid| pid.as_raw()) == Some(init.pid) => return Ok(Some(status)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("wait for the container"),
        }
    }
}

/// The status of a shell: the process's own, or 128 and the signal that ended it.
pub fn status_code(status: WaitStatus) -> u8 {
    match status {
        WaitStatus::Exited(_, code) => code as u8,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as u8,
        _ => 1,
    }
}

/// A container that ended for want of memory looks like one that was killed, so it is said.
fn report_oom(container: &Created, status: WaitStatus) {
    let killed = matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _));
    if let Ok(Some(kills @ 1..)) = container.cgroup.oom_kills() {
        let limit = container.cgroup.read("memory.max").ok().flatten().unwrap_or_default();
        let who = if killed { "container init was OOM-killed" } else { "processes of the container were OOM-killed" };
        log::error!("{who}: memory.max of {} bytes was reached ({kills} kills)", limit.trim_end());
    }
}
