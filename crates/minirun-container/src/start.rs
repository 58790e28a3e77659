//! Starts a created container: from another process, or from the one that makes it.

use std::os::fd::{AsFd as _, AsRawFd as _};

use minirun_plan::Hook;
use minirun_spawn::{StartError, Where, ask_to_start};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket};

use crate::agent::NotifyingProcess;
use crate::console::{Attended, Showing};
use crate::create::{New, Starter, make};
use crate::delete::{delete_same, remove_traces};
use crate::error::{Context, Operation, Result};
use crate::hooks;
use crate::notify::Notify;
use crate::options::{Orphans, Run, Stay};
use crate::record::Record;
use crate::runtime::{Container, Runtime};
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::status::Status;
use crate::steps::Steps;
use crate::store::{Entry, GATE};
use crate::wait::{Made, Running};

impl Container<'_> {
    /// Starts the program of a created container, and runs its poststart hooks.
    ///
    /// # Errors
    /// The container is not in the state `created`, its program cannot be executed, or a hook failed; after a failed hook the
    /// container is deleted.
    pub fn start(&self) -> Result<()> {
        let session = self.session();
        let entry = self.lock()?;
        let found = Snapshot::locked(&entry)?;
        if found.status != Status::Created {
            return Err(self.wrong_state(Operation::Start, found.status));
        }
        let notify = Notify::listen(&entry)?;
        let starting = session.observer.doing("start", || format!("container {}", self.id()), "");
        let gate = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).context("socket")?;
        let address = UnixAddr::new(&entry.short_path(GATE))?;
        nix::sys::socket::connect(gate.as_raw_fd(), &address).context("container init does not answer")?;
        let init = found.init.context("container init has ended")?;
        let pid = found.record.init.map_or(0, |init| init.pid);
        let (record, pidfd) = (&found.record, init.as_fd());
        let notifying = NotifyingProcess { entry: &entry, record, status: Status::Created, pid, pidfd };
        match ask_to_start(gate.as_fd(), &mut |number| notifying.notify(number)) {
            Ok(()) => {}
            // The life of a container whose hook fails ends here, with poststop (runtime-spec, "Lifecycle", steps 7, 12 and
            // 13).
            Err(error @ StartError::Hook(_)) => {
                let undone = remove_traces(&session, entry, &found.record, Some(init));
                return Err(crate::Error::from(error).and_undo(undone));
            }
            Err(error) => return Err(error.into()),
        }
        drop(starting);
        entry.remove_gate()?;
        let hooks = poststart_hooks(&entry, &found.record)?;
        // What comes may take long, and others, the hooks themselves among them, want to do something with the container.
        drop(entry);
        if let Err(error) = run_poststart(&session, &hooks, &found.record) {
            return Err(error.and_undo(delete_same(&session, self.store(), &found.record)));
        }
        notify.map_or(Ok(()), |notify| notify.wait(init.as_fd(), pid, session.observer))
    }
}

impl Runtime<'_> {
    /// Makes a container and starts it. On failure nothing of it is left.
    ///
    /// # Errors
    /// As [`Runtime::create`] and [`Container::start`].
    pub fn run(&self, options: &Run) -> Result<Running<'_>> {
        let session = Session::making(self.observer, self.signals_after)?;
        if options.orphans == Orphans::Adopt {
            session.adopt_orphans()?;
        }
        let started = make(self, &session, &options.create, Starter::Myself(options.stay), |steps, new| {
            start_new(self, &session, steps, new)
        });
        let (new, notify) = started.map_err(|error| session.explain(error))?;
        let Parts { record, init, cgroup, terminal } = new;
        let made = (options.stay == Stay::Foreground).then_some(Made {
            store: &self.store,
            record,
            cgroup,
            keep: options.keep,
        });
        Ok(Running { session, init, terminal, notify, container: made })
    }
}

/// A container that runs, without its lock.
struct Parts {
    record: Record,
    init: minirun_spawn::Init,
    cgroup: Option<minirun_cgroup::Cgroup>,
    terminal: Option<std::os::fd::OwnedFd>,
}

/// Starts a container that this process has made.
fn start_new(
    runtime: &Runtime<'_>,
    session: &Session<'_>,
    mut steps: Steps<'_>,
    new: New,
) -> Result<(Parts, Option<Notify>)> {
    let New { entry, record, init, cgroup, terminal } = new;
    let notify = match Notify::listen(&entry) {
        Ok(notify) => notify,
        Err(error) => {
            init.kill();
            return Err(error.and_undo(remove_traces(session, entry, &record, None)));
        }
    };
    let started = {
        let mut attended = terminal.as_ref().map(Attended::of);
        let (pid, pidfd) = (init.pid, init.pidfd.as_fd());
        let notifying = NotifyingProcess { entry: &entry, record: &record, status: Status::Created, pid, pidfd };
        // The program's output can wait until signals are passed on.
        let shown = attended.as_mut().filter(|_| init.has_hooks());
        let mut showing = Showing { session, steps: &mut steps, terminal: shown };
        let started = init.start(&mut showing, &mut |number| notifying.notify(number));
        // accepts: no error: it is returned below.
        if let (Err(_), Some(attended)) = (&started, &mut attended) {
            // What a hook has said of its failure stands in the terminal.
            attended.drain();
        }
        started.context("unable to start container process")
    };
    let hooks = match started.and_then(|()| poststart_hooks(&entry, &record)) {
        Ok(hooks) => hooks,
        Err(error) => {
            init.kill();
            return Err(error.and_undo(remove_traces(session, entry, &record, None)));
        }
    };
    // Others may kill or delete the container while its hooks and it run.
    drop(entry);
    if let Err(error) = run_poststart(session, &hooks, &record) {
        init.kill();
        return Err(error.and_undo(delete_same(session, &runtime.store, &record)));
    }
    steps.executed();
    Ok((Parts { record, init, cgroup, terminal }, notify))
}

/// The poststart hooks.
fn poststart_hooks(entry: &Entry, record: &Record) -> Result<Vec<Hook>> {
    if !record.hooks_after_create {
        return Ok(Vec::new());
    }
    Ok(hooks::of_config(&entry.read_config()?)?.poststart)
}

/// Runs the poststart hooks. A container whose hook fails is killed, as runc does.
fn run_poststart(session: &Session<'_>, poststart: &[Hook], record: &Record) -> Result<()> {
    let Some(init) = record.init else { return Ok(()) };
    let state = hooks::state_of(record, Status::Running, init.pid)?;
    let done = hooks::run_all(session, poststart, Where::Runtime, &record.bundle, &state);
    // accepts: no error: it is returned below.
    if done.is_err()
        && let Some(process) = init.open()?
    {
        process.signal(libc::SIGKILL).context("kill container init")?;
    }
    done
}
