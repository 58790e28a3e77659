//! Makes a container up to its start. The container's lock is held meanwhile.

mod attendant;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::SystemTime;

use minirun_cgroup::{Cgroup, Place};
use minirun_plan::ResctrlPlan;
use minirun_spawn::resctrl::MadeGroups;
use minirun_spawn::{Extras, Gate, Init, SpawnError, spawn};
use minirun_sys as sys;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};

use crate::cgroup::{make_cgroup, make_groups};
use crate::console::{Console, arrive, connect_to};
use crate::delete::remove_traces;
use crate::error::{Context, Error, Kind, OnPath, Result, error};
use crate::hooks;
use crate::notify;
use crate::options::{Create, Stay};
use crate::pid_file;
use crate::prepare::{Prepared, prepare};
use crate::process::{Identity, boot_id};
use crate::record::{CgroupRecord, Record, ResctrlRecord, UnitRecord, VERSION};
use crate::runtime::{Container, Runtime};
use crate::session::Session;
use crate::status::Status;
use crate::steps::Steps;
use crate::store::{Entry, GATE, check_id};
use crate::unit::{self, Manager, Placeholder};
use attendant::SpawnObserver;

/// A container that waits for its start. Its init is a child of the process that made it.
#[derive(Debug)]
pub struct Created<'r> {
    container: Container<'r>,
    pid: i32,
    pidfd: OwnedFd,
}

impl<'r> Created<'r> {
    /// The container.
    pub fn container(&self) -> &Container<'r> {
        &self.container
    }

    /// The pid of its init in this process's pid namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// A descriptor of its init.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits until its init has ended. To be called once.
    ///
    /// # Errors
    /// Its status was taken already.
    pub fn wait(&self) -> Result<std::process::ExitStatus> {
        use std::os::unix::process::ExitStatusExt as _;
        Ok(std::process::ExitStatus::from_raw(sys::wait(self.pid).context("wait for the container")?))
    }
}

/// The process that starts a created container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starter {
    /// Another process, later ([`Container::start`]).
    Later,
    /// This process, as soon as it is ready.
    Myself(Stay),
}

/// A container that waits for its start, with everything that this process knows of it.
pub(crate) struct New {
    pub entry: Entry,
    pub record: Record,
    pub init: Init,
    /// Its cgroup, if it has one of its own.
    pub cgroup: Option<Cgroup>,
    /// The master of its terminal, if that is here.
    pub terminal: Option<OwnedFd>,
}

impl Runtime<'_> {
    /// Makes a container up to its start. On failure nothing of it is left.
    ///
    /// HUP, INT, QUIT and TERM meanwhile undo the creation, and are reported as [`crate::Kind::Interrupted`].
    ///
    /// # Errors
    /// There is a container of this id, its bundle cannot be run, a step failed, or this process has several threads or is
    /// not sealed.
    pub fn create(&self, options: &Create) -> Result<Created<'_>> {
        let session = Session::making(self.observer, self.signals_after)?;
        let made = make(self, &session, options, Starter::Later, |steps, new| {
            drop(steps);
            Ok(new)
        });
        let made = made.map_err(|error| session.explain(error))?;
        let Init { pid, pidfd, .. } = made.init;
        Ok(Created { container: self.container(&options.id)?, pid, pidfd })
    }
}

/// Makes a container up to its start, and hands it on together with the watcher of its steps.
pub(crate) fn make<'s, T>(
    runtime: &Runtime<'_>,
    session: &'s Session<'_>,
    options: &Create,
    starter: Starter,
    then: impl FnOnce(Steps<'s>, New) -> Result<T>,
) -> Result<T> {
    let Create { id, pid_file, console_socket, pidfd_socket, .. } = options;
    check_id(id)?;
    let notify = notify::directory(&runtime.store.place_of(id)?);
    let prepared = prepare(runtime, options, notify.as_deref())?;
    let terminal = prepared.bundle.spec.process.as_ref().is_some_and(|process| process.terminal);
    let stay = if let Starter::Myself(stay) = starter { stay } else { Stay::Detached };
    let (console, terminal) = Console::of(console_socket.as_deref(), terminal, stay)?.split();
    let pidfd_socket = pidfd_socket.as_deref().map(connect_to).transpose()?;
    let manager = unit::reach(&prepared.plan.cgroup, prepared.user_unit)?;
    // From here on a signal has everything undone.
    session.block_signals()?;
    let reserving = session.observer.doing("reserve", || format!("id {id}"), "");
    let entry = runtime.store.reserve(id)?;
    drop(reserving);
    let mut record = match first_record(id, &prepared, pid_file.clone()) {
        Ok(record) => record,
        Err(error) => return Err(error.and_undo(entry.remove())),
    };
    let mut steps = Steps::of(&prepared.plan, session);
    let work = Work { session, prepared: &prepared, starter };
    let made =
        work.carry_out(&entry, &mut record, (console, manager), &mut steps).and_then(|(init, cgroup)| {
            match work.complete(&entry, &mut record, &init, pidfd_socket, &mut steps) {
                Ok(()) => Ok((init, cgroup)),
                Err(error) => {
                    init.kill();
                    Err(match error.kind() {
                        Kind::Spawn(_) | Kind::Step(_) => explain(error, cgroup.as_ref()),
                        _ => error,
                    })
                }
            }
        });
    let made = made.and_then(|(init, cgroup)| Ok((init, cgroup, terminal.as_ref().map(arrive).transpose()?)));
    match made {
        Ok((init, cgroup, terminal)) => then(steps, New { entry, record, init, cgroup, terminal }),
        Err(error) => Err(error.and_undo(remove_traces(session, entry, &record, None))),
    }
}

fn first_record(id: &str, prepared: &Prepared, pid_file: Option<PathBuf>) -> Result<Record> {
    let spec = &prepared.bundle.spec;
    let unit = prepared.plan.cgroup.unit.as_ref();
    let unit = unit.map(|unit| UnitRecord { name: unit.name.clone(), user: prepared.user_unit });
    let cgroup = if prepared.plan.cgroup.is_none() {
        None
    } else {
        let (mount, path) = (prepared.cgroup_mount.clone(), prepared.plan.cgroup.path.clone());
        // What systemd makes it removes.
        let made = if unit.is_some() { None } else { Cgroup::first_missing(&mount, &path)? };
        let leaf = prepared.plan.cgroup.leaf.as_ref().map(|leaf| leaf.name.to_owned());
        let root = Place::of(&mount)?.root;
        Some(CgroupRecord { mount, root, path, made, leaf, inode: None })
    };
    Ok(Record {
        version: VERSION,
        id: id.to_owned(),
        bundle: prepared.bundle.dir.clone(),
        rootfs: spec.root.as_ref().map_or_else(PathBuf::new, |root| prepared.bundle.dir.join(&root.path)),
        created: humantime::format_rfc3339_nanos(SystemTime::now()).to_string(),
        owner: nix::unistd::getuid().as_raw(),
        boot_id: boot_id()?.to_owned(),
        mark: minirun_cgroup::random_token().context("getrandom")?,
        reconstructed: false,
        init: None,
        cgroup,
        resctrl: prepared.plan.resctrl.as_ref().map(first_groups).transpose()?,
        cgroup_denied: prepared.cgroup_denied.clone(),
        unit,
        pid_file,
        own_pid_namespace: prepared.plan.namespaces.is_new(libc::CLONE_NEWPID),
        no_new_keyring: prepared.no_new_keyring,
        hooks_after_create: !prepared.plan.hooks.poststart.is_empty() || !prepared.plan.hooks.poststop.is_empty(),
        annotations: spec.annotations.clone().unwrap_or_default(),
    })
}

/// Returns the record of the groups that a container will have in the resctrl file system.
fn first_groups(plan: &ResctrlPlan) -> Result<ResctrlRecord> {
    let MadeGroups { group: made, monitoring } = MadeGroups::foresee(plan)?;
    Ok(ResctrlRecord { mount: plan.mount.clone(), group: plan.group.clone(), made, monitoring })
}

/// The changes to the host.
struct Work<'a> {
    session: &'a Session<'a>,
    prepared: &'a Prepared,
    starter: Starter,
}

impl Work<'_> {
    /// Whether the container is made known while init works, rather than when that is ready. Where this process starts it
    /// itself, no one else can act on it in between, because the lock is held. Not while init is a process that will not
    /// stay.
    fn announces_early(&self) -> bool {
        matches!(self.starter, Starter::Myself(_)) && !self.prepared.plan.namespaces.enters_pid_namespace()
    }

    /// Everything that changes the host, in order. Each thing is in the record before it is there.
    fn carry_out(
        &self,
        entry: &Entry,
        record: &mut Record,
        (console, manager): (Option<OwnedFd>, Option<Manager>),
        steps: &mut Steps<'_>,
    ) -> Result<(Init, Option<Cgroup>)> {
        let Work { session, prepared, starter } = *self;
        let (observer, plan) = (session.observer, &prepared.plan);
        {
            let _record = observer.doing("record", || entry.path().display().to_string(), "");
            entry.keep_mark(&record.mark)?;
            entry.keep_config(&prepared.bundle.text)?;
            record.save(entry)?;
            if prepared.notify {
                notify::make_directory(entry)?;
            }
        }
        make_groups(observer, entry, record, prepared)?;
        let (cgroup, placeholder) = make_cgroup(session, entry, record, prepared, manager)?.unzip();
        let placeholder = placeholder.flatten();
        let mut held = cgroup.iter().flat_map(Cgroup::descriptors).chain([entry.fd()]).collect::<Vec<_>>();
        held.extend(placeholder.as_ref().map(Placeholder::word));
        let extras = Extras { console, not_inits: &held };
        let place = cgroup.as_ref().map(Cgroup::fd);
        let clone = observer.doing("clone", || plan.namespaces.to_string(), "linux.namespaces");
        let mut spawn_observer = SpawnObserver {
            session,
            entry,
            record,
            prepared,
            scope: cgroup.as_ref().zip(placeholder.as_ref()),
            announces_early: self.announces_early(),
            clone: Some(clone),
            steps,
            failed: None,
        };
        let init = match starter {
            Starter::Myself(_) => spawn(plan, place, Gate::Parent, extras, &mut spawn_observer),
            Starter::Later => {
                let gate = open_gate(entry)?;
                spawn(plan, place, Gate::Listener(gate.as_fd()), extras, &mut spawn_observer)
            }
        };
        let failed = spawn_observer.failed.take();
        drop(spawn_observer);
        let init = init.map_err(|error| match (error, failed) {
            (SpawnError::Attendant(_), Some(failed)) => explain(failed, cgroup.as_ref()),
            (error, _) => explain(error.into(), cgroup.as_ref()),
        })?;
        Ok((init, cgroup))
    }

    /// Completes a container that is ready: its record, the pidfd, the state for its hooks, and the commit.
    fn complete(
        &self,
        entry: &Entry,
        record: &mut Record,
        init: &Init,
        pidfd_socket: Option<OwnedFd>,
        steps: &mut Steps<'_>,
    ) -> Result<()> {
        if !self.announces_early() {
            announce(self.session, entry, record, init)?;
        }
        if let Some(socket) = pidfd_socket {
            sys::send_fd(socket.as_fd(), init.pidfd.as_fd(), b"standard").context("send the pidfd")?;
        }
        init.provide_state(&hooks::state_of(record, Status::Created, init.pid)?)?;
        // Where this process starts it, the start commits.
        if self.starter == Starter::Later { Ok(init.commit(steps)?) } else { Ok(()) }
    }
}

/// Makes the container known: its record, and its pid file.
fn announce(session: &Session<'_>, entry: &Entry, record: &mut Record, init: &Init) -> Result<()> {
    let _announce = session.observer.doing("record", || format!("pid {}", init.pid), "");
    record.init = Some(Identity::of(init.pid)?.context("container init ended before it was ready")?);
    record.save(entry)?;
    if let Some(path) = &record.pid_file {
        pid_file::write(path, &record.id, init.pid)?;
    }
    Ok(())
}

/// The error of an init that is not ready. One without memory to be born in dies before it can say so.
fn explain(error: Error, cgroup: Option<&Cgroup>) -> Error {
    // accepts: any error; the count only explains the failure at hand.
    let killed = || cgroup.is_some_and(|cgroup| cgroup.oom_kills().is_ok_and(|kills| kills > Some(0)));
    if matches!(error.kind(), Kind::Spawn(SpawnError::Died { .. })) && killed() {
        return error!("unable to start container process: container init was OOM-killed (memory limit too low?)");
    }
    error.context("unable to start container process")
}

/// The socket on which init waits for `start`. Its address goes through the directory's descriptor, so that the
/// directory's path may be longer than the 108 bytes of an address (unix(7)).
fn open_gate(entry: &Entry) -> Result<OwnedFd> {
    let gate = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).context("socket")?;
    let path = entry.short_path(GATE);
    bind(std::os::fd::AsRawFd::as_raw_fd(&gate), &UnixAddr::new(&path)?).on("bind", || entry.path().join(GATE))?;
    listen(&gate, Backlog::new(1)?).context("listen")?;
    Ok(gate)
}
