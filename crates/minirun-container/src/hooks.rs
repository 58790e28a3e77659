//! Hooks: programs that an engine wants to run at certain points of a container's life.
//!
//! A hook leads a session of its own, and has a keeper that ends it, with all that it has started, when it takes too long
//! or the runtime dies. It reads the container's state from a file in memory, so that the runtime does not wait for one that
//! does not read, and writes to a pipe that is read until the hook has ended, not until the pipe is closed: a grandchild may
//! keep it open.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use minirun_plan::{Hook, Hooks, Problems, compile_hooks};
use minirun_spawn::{Running, Where, start_hook};
use minirun_sys as sys;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::Serialize;

use crate::SPEC_VERSION;
use crate::error::{Context, Error, HookEnd, Kind, Result, bail};
use crate::record::Record;
use crate::seal;
use crate::session::Session;
use crate::status::Status;

/// How much of a hook's output is kept for its error: the end, in bytes.
const TAIL: usize = 4096;

/// The state that a hook reads on its standard input (runtime-spec, "State").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State<'a> {
    oci_version: &'static str,
    id: &'a str,
    status: Status,
    pid: i32,
    bundle: &'a std::path::Path,
    rootfs: &'a std::path::Path,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    annotations: &'a std::collections::BTreeMap<String, String>,
}

impl State<'_> {
    /// The state of a container of this status, whose init has this pid.
    pub fn of(record: &Record, status: Status, pid: i32) -> State<'_> {
        let Record { id, bundle, rootfs, annotations, .. } = record;
        State { oci_version: SPEC_VERSION, id, status, pid, bundle, rootfs, annotations }
    }
}

/// The state of a container for its hooks.
pub fn state_of(record: &Record, status: Status, pid: i32) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&State::of(record, status, pid))?)
}

/// The hooks that run before the root is changed: two lists in the runtime's namespaces, one in the container's.
pub fn before_pivot(
    session: &Session<'_>,
    hooks: &Hooks,
    record: &Record,
    pid: i32,
    container: Where<'_>,
) -> Result<()> {
    let state = state_of(record, Status::Creating, pid)?;
    run_all(session, &hooks.prestart, Where::Runtime, &record.bundle, &state)?;
    run_all(session, &hooks.create_runtime, Where::Runtime, &record.bundle, &state)?;
    run_all(session, &hooks.create_container, container, &record.bundle, &state)
}

/// Runs hooks one after the other in the bundle; the first that fails ends it.
pub fn run_all(session: &Session<'_>, hooks: &[Hook], place: Where<'_>, bundle: &Path, state: &[u8]) -> Result<()> {
    hooks.iter().try_for_each(|hook| run(session, hook, place, bundle, state).with_context(|| hook.origin.to_string()))
}

/// Runs hooks one after the other; one that fails is only warned about (runtime-spec, "poststop").
pub fn run_and_warn(session: &Session<'_>, hooks: &[Hook], bundle: &Path, state: &[u8]) {
    for hook in hooks {
        if let Err(error) = run(session, hook, Where::Runtime, bundle, state) {
            session.observer.warn(&format!("{}: {error}", hook.origin));
        }
    }
}

/// The environment of this process, which hooks without one of their own inherit.
fn own_environment() -> Vec<CString> {
    let entry = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        // What came by execve has no NUL in it.
        CString::new(name.into_vec()).ok()
    };
    std::env::vars_os().filter(|(name, _)| name != seal::BEGAN).filter_map(entry).collect()
}

fn run(session: &Session<'_>, hook: &Hook, place: Where<'_>, bundle: &Path, state: &[u8]) -> Result<()> {
    let path = hook.path.to_string_lossy();
    let _running = session.observer.doing("hook", || path.clone().into_owned(), hook.origin.as_str());
    let input = file_of(state)?;
    let (output, write_end) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("pipe2")?;
    nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("fcntl")?;
    let with_environment = Hook { env: Some(hook.env.clone().unwrap_or_else(own_environment)), ..hook.clone() };
    let failed = |end, output| {
        let (origin, path) = (hook.origin.clone(), path.clone().into_owned());
        Error::from(Kind::Hook { origin, path, end, output })
    };
    let directory = CString::new(bundle.as_os_str().as_bytes()).context("the bundle's path")?;
    let running = start_hook(&with_environment, place, &directory, (input.as_fd(), write_end.as_fd()))
        .map_err(|errno| failed(HookEnd::NotRun(errno), String::new()))?;
    drop(write_end);
    let mut tail = Vec::new();
    let deadline = hook.timeout.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let ended = watch(session, &running, &output, deadline, &mut tail);
    // Whatever it has started ends with it, also after a failure to watch it.
    if !matches!(ended, Ok(Watched::Ended)) {
        running.end();
    }
    let status = running.finish().context("wait for the hook")?;
    drain(&output, &mut tail);
    let end = match (ended?, status) {
        (Watched::TimeIsUp, _) => HookEnd::Timeout(hook.timeout.unwrap_or(0)),
        (Watched::Ended, Some(0)) => return Ok(()),
        (Watched::Ended, Some(status)) if libc::WIFSIGNALED(status) => HookEnd::Signal(libc::WTERMSIG(status)),
        (Watched::Ended, Some(status)) => HookEnd::Status(libc::WEXITSTATUS(status)),
        (Watched::Ended, None) => HookEnd::Unwatched,
    };
    Err(failed(end, String::from_utf8_lossy(&tail).trim().to_owned()))
}

/// A file in memory with this content, to be read from its beginning.
fn file_of(content: &[u8]) -> Result<OwnedFd> {
    let file = memfd_create(c"state", MFdFlags::MFD_CLOEXEC).context("memfd_create")?;
    sys::write(file.as_fd(), content).context("write the state")?;
    sys::rewind(file.as_fd()).context("rewind the state")?;
    Ok(file)
}

/// Why a hook is no longer watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    Ended,
    TimeIsUp,
}

/// Reads the hook's output until the hook ends, or until the deadline.
fn watch(
    session: &Session<'_>,
    running: &Running,
    output: &OwnedFd,
    deadline: Option<Instant>,
    tail: &mut Vec<u8>,
) -> Result<Watched> {
    let mut open = true;
    let interruptions = session.interruptions().context("signalfd")?;
    loop {
        let left = match deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(Watched::TimeIsUp);
                }
                // Rounded up, so that the last wait does not spin.
                PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        let mut list = vec![PollFd::new(running.pidfd.as_fd(), PollFlags::POLLIN)];
        let asked = interruptions.unwrap_or(running.pidfd.as_fd());
        list.push(PollFd::new(asked, PollFlags::POLLIN));
        if open {
            list.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut list, left) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("poll"),
        }
        if list[0].any() == Some(true) {
            return Ok(Watched::Ended);
        }
        // Without it the hook stands in its place, which may end while the kernel looks from one to the other.
        if let Some(signals) = interruptions
            && list[1].any() == Some(true)
            && session.take_interruption(signals).context("read a signal")?
        {
            bail!("interrupted by a signal");
        }
        if list.get(2).and_then(PollFd::any) == Some(true) {
            open = drain(output, tail);
        }
    }
}

/// Takes what is there now: false at the end of file.
fn drain(output: &OwnedFd, tail: &mut Vec<u8>) -> bool {
    // As much as a pipe holds: a writer that never stops must not keep the deadline from being looked at.
    let mut buffer = [0u8; 65536];
    match sys::read(output.as_fd(), &mut buffer) {
        Ok(0) => false,
        Ok(length) => {
            tail.extend_from_slice(&buffer[..length]);
            let surplus = tail.len().saturating_sub(TAIL);
            tail.drain(..surplus);
            true
        }
        Err(sys::Errno::EINTR | sys::Errno::EAGAIN) => true,
        // accepts: any other error, which ends what is known of its output; the hook itself is watched by its pidfd.
        Err(_) => false,
    }
}

/// The hooks of a kept configuration, for the points of life at which there is no plan.
pub fn of_config(text: &[u8]) -> Result<Hooks> {
    #[derive(serde::Deserialize)]
    struct Part {
        hooks: Option<minirun_plan::spec::Hooks>,
    }
    let part: Part = serde_json::from_slice(text).context("the container's config.json")?;
    let mut problems = Problems::new();
    let hooks = part.hooks.map(|given| compile_hooks(&given, &mut problems)).unwrap_or_default();
    if problems.is_empty() { Ok(hooks) } else { Err(problems.into()) }
}
