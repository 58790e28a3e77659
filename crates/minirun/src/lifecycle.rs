//! The first half of a container's life: create and start. Every command holds the container's lock while it works.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::SystemTime;

use crate::report::describe;
use anyhow::{Context, Result, anyhow, bail};
use minirun_cgroup::{Cgroup, Place};
use minirun_plan::{Hook, Knob, ResctrlPlan};
use minirun_spawn::resctrl::MadeGroups;
use minirun_spawn::{Attendant, Extras, Gate, Init, Part, SpawnError, StartError, Watcher, ask_to_start, spawn};
use minirun_sys as sys;
use minirun_systemd::Manager;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};

use crate::agent::Filtered;
use crate::container::{CgroupRecord, Found, Record, ResctrlRecord, Status, UnitRecord};
use crate::hooks;
use crate::notify::{self, Notify};
use crate::options::{CreateOptions, Runtime};
use crate::pid_file;
use crate::plan::{Ready, prepare};
use crate::process::{Identity, boot_id};
use crate::removal::{add_undo, mark_of, remove_traces};
use crate::run;
use crate::seal;
use crate::store::{Entry, GATE, Store};
use crate::terminal::{Console, arrive, connect_to};
use crate::trace::{self, doing};
use crate::unit::{self, Placeholder};

/// The limit of which the scope's first process takes a part.
const PIDS_MAX: &str = "pids.max";

/// The store of this runtime's containers.
pub fn store(runtime: &Runtime) -> Result<Store> {
    Store::at(runtime.root.clone())
}

/// Who says that a created container may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starter {
    /// `minirun start`, later.
    Command,
    /// This process, at once.
    Myself {
        /// Does it end then, rather than stay in the foreground?
        detached: bool,
    },
}

/// A container that waits for its start.
pub struct Created {
    pub record: Record,
    pub init: Init,
    /// Its cgroup, if it has one of its own.
    pub cgroup: Option<Cgroup>,
    /// The master of its terminal, if that is here.
    pub terminal: Option<OwnedFd>,
    /// Watches the steps that are still to come.
    pub steps: trace::Steps,
}

/// `minirun create`.
pub fn create(runtime: &Runtime, options: CreateOptions) -> Result<()> {
    make(runtime, options, Starter::Command).map(drop)
}

/// Makes a container up to its start. On failure nothing of it is left.
pub fn make(runtime: &Runtime, options: CreateOptions, starter: Starter) -> Result<(Entry, Created)> {
    let CreateOptions { id, plan, pid_file, console_socket, pidfd_socket } = options;
    let id = id.as_str();
    let store = store(runtime)?;
    crate::store::check_id(id)?;
    seal::seal()?;
    let notify = notify::directory(&store.place_of(id));
    let ready = prepare(runtime, id, &plan, notify.as_deref())?;
    let terminal = ready.bundle.spec.process.as_ref().is_some_and(|process| process.terminal);
    let console = Console::of(console_socket, terminal, starter != Starter::Myself { detached: false })?;
    let (console, terminal) = console.split();
    let pidfd_socket = pidfd_socket.map(connect_to).transpose()?;
    let manager = unit::reach(&ready.plan.cgroup, ready.user_unit)?;
    // From here on a signal has everything undone.
    run::block_signals()?;
    let reserving = doing("reserve", || format!("id {id}"), "");
    let entry = store.reserve(id)?;
    drop(reserving);
    let mut record = match first_record(id, &ready, pid_file) {
        Ok(record) => record,
        Err(error) => return Err(add_undo(error, entry.remove())),
    };
    let mut steps = trace::Steps::of(&ready.plan);
    let made =
        carry_out(&entry, &mut record, &ready, (starter, console, manager), &mut steps).and_then(|(init, cgroup)| {
            let announced = announces_early(starter, &ready);
            match complete(&entry, &mut record, &init, (starter, announced, pidfd_socket), &mut steps) {
                Ok(()) => Ok((init, cgroup)),
                Err(error) => {
                    init.kill();
                    Err(match error.downcast() {
                        Ok(died) => explain(died, cgroup.as_ref()),
                        // accepts: no error: it is another one, which is returned.
                        Err(other) => other,
                    })
                }
            }
        });
    let made = made.and_then(|(init, cgroup)| Ok((init, cgroup, terminal.as_ref().map(arrive).transpose()?)));
    match made {
        Ok((init, cgroup, terminal)) => Ok((entry, Created { record, init, cgroup, terminal, steps })),
        Err(error) => Err(add_undo(error, remove_traces(entry, &record, None))),
    }
}

fn first_record(id: &str, ready: &Ready, pid_file: Option<PathBuf>) -> Result<Record> {
    let spec = &ready.bundle.spec;
    let unit = ready.plan.cgroup.unit.as_ref();
    let unit = unit.map(|unit| UnitRecord { name: unit.name.clone(), user: ready.user_unit });
    let cgroup = match ready.plan.cgroup.is_none() {
        true => None,
        false => {
            let (mount, path) = (ready.cgroup_mount.clone(), ready.plan.cgroup.path.clone());
            // What systemd makes it removes.
            let made = if unit.is_some() { None } else { Cgroup::first_missing(&mount, &path)? };
            let leaf = ready.plan.cgroup.leaf.as_ref().map(|leaf| leaf.name.to_owned());
            let root = Place::of(&mount)?.root;
            Some(CgroupRecord { mount, root, path, made, leaf, inode: None })
        }
    };
    Ok(Record {
        version: 1,
        id: id.to_owned(),
        bundle: ready.bundle.dir.clone(),
        rootfs: spec.root.as_ref().map_or_else(PathBuf::new, |root| ready.bundle.dir.join(&root.path)),
        created: humantime::format_rfc3339_nanos(SystemTime::now()).to_string(),
        owner: nix::unistd::getuid().as_raw(),
        boot_id: boot_id()?.to_owned(),
        mark: minirun_cgroup::random_token().context("getrandom")?,
        reconstructed: false,
        init: None,
        cgroup,
        resctrl: ready.plan.resctrl.as_ref().map(first_groups).transpose()?,
        cgroup_denied: ready.cgroup_denied.clone(),
        unit,
        pid_file,
        own_pid_namespace: ready.plan.namespaces.is_new(libc::CLONE_NEWPID),
        no_new_keyring: ready.no_new_keyring,
        hooks_after_create: !ready.plan.hooks.poststart.is_empty() || !ready.plan.hooks.poststop.is_empty(),
        annotations: spec.annotations.clone().unwrap_or_default(),
    })
}

/// What a container will have in the resctrl file system.
fn first_groups(plan: &ResctrlPlan) -> Result<ResctrlRecord> {
    let MadeGroups { group: made, monitoring } = MadeGroups::foresee(plan)?;
    Ok(ResctrlRecord { mount: plan.mount.clone(), group: plan.group.clone(), made, monitoring })
}

/// Everything that changes the host, in order. Each thing is in the record before it is there.
fn carry_out(
    entry: &Entry,
    record: &mut Record,
    ready: &Ready,
    (starter, console, manager): (Starter, Option<OwnedFd>, Option<Manager>),
    steps: &mut trace::Steps,
) -> Result<(Init, Option<Cgroup>)> {
    {
        let _record = doing("record", || entry.path().display().to_string(), "");
        entry.keep_mark(&record.mark)?;
        entry.keep_config(&ready.bundle.text)?;
        record.save(entry)?;
        if ready.notify {
            notify::make_directory(entry)?;
        }
    }
    make_groups(entry, record, ready)?;
    let (cgroup, placeholder) = make_cgroup(entry, record, ready, manager)?.unzip();
    let placeholder = placeholder.flatten();
    let mut held = cgroup.iter().flat_map(Cgroup::descriptors).chain([entry.fd()]).collect::<Vec<_>>();
    held.extend(placeholder.as_ref().map(Placeholder::word));
    let extras = Extras { console, not_inits: &held };
    let place = cgroup.as_ref().map(Cgroup::fd);
    // Not while init is a process that will not stay.
    let announce_early = announces_early(starter, ready);
    let clone = doing("clone", || ready.plan.namespaces.to_string(), "linux.namespaces");
    let scope = cgroup.as_ref().zip(placeholder.as_ref());
    let mut midwife = Midwife { entry, record, ready, scope, announce_early, clone: Some(clone), steps };
    let init = match starter {
        Starter::Myself { .. } => spawn(&ready.plan, place, Gate::Parent, extras, &mut midwife),
        Starter::Command => {
            let gate = open_gate(entry)?;
            spawn(&ready.plan, place, Gate::Listener(gate.as_fd()), extras, &mut midwife)
        }
    };
    let init = init.map_err(|error| explain(error, cgroup.as_ref()))?;
    Ok((init, cgroup))
}

/// The container's cgroup with its limits, if it gets one; and what is in it where systemd has made it.
fn make_cgroup(
    entry: &Entry,
    record: &mut Record,
    ready: &Ready,
    manager: Option<Manager>,
) -> Result<Option<(Cgroup, Option<Placeholder>)>> {
    let (plan, mark) = (&ready.plan.cgroup, mark_of(entry, record));
    let Some(known) = &mut record.cgroup else { return Ok(None) };
    let (cgroup, placeholder) = {
        let _make = doing("cgroup", || plan.path.display().to_string(), plan.origin.as_str());
        let (mut cgroup, mut placeholder) = match plan.unit.as_ref().zip(manager) {
            None => (Cgroup::create(&ready.cgroup_mount, plan)?, None),
            Some((unit, manager)) => {
                let (cgroup, placeholder) = unit::start(manager, unit, &mark, (&ready.cgroup_mount, plan))?;
                (cgroup, Some(placeholder))
            }
        };
        known.inode = cgroup.claim(&mark)?;
        if let Some(leaf) = &plan.leaf {
            cgroup.make_leaf(leaf.name)?;
            // A cgroup that has processes hands down no controllers, and a scope without one is at its end.
            placeholder = placeholder.map(|former| former.moved_to(&cgroup)).transpose()?;
            cgroup.hand_down(plan)?;
        }
        (cgroup, placeholder)
    };
    for knob in &plan.knobs {
        if placeholder.is_some() && knob.file == PIDS_MAX {
            // The placeholder counts as well, so the limit has to wait for its end.
            cgroup.write(PIDS_MAX, "max")?;
            continue;
        }
        write_knob(&cgroup, knob)?;
    }
    if let Some(filter) = &plan.devices {
        let _attach = doing("device filter", || format!("{} rules", filter.rules.len()), "linux.resources.devices");
        cgroup.attach_devices(filter)?;
    }
    if let Some(owner) = &plan.owner {
        let _give = doing("owner", || owner.uid.to_string(), owner.origin.as_str());
        cgroup.delegate(owner)?;
    }
    Ok(Some((cgroup, placeholder)))
}

fn write_knob(cgroup: &Cgroup, knob: &Knob) -> Result<()> {
    let _write = doing(&knob.file, || knob.value.clone(), knob.origin.as_str());
    Ok(cgroup.apply(std::slice::from_ref(knob))?)
}

/// The container's groups in the resctrl file system, if it gets some.
fn make_groups(entry: &Entry, record: &mut Record, ready: &Ready) -> Result<()> {
    let (Some(plan), Some(known)) = (&ready.plan.resctrl, &mut record.resctrl) else { return Ok(()) };
    let _make = doing("resctrl", || plan.group.display().to_string(), plan.origin.as_str());
    let foreseen = known.made();
    let mut made = foreseen.clone();
    let answer = made.make(plan);
    if made != foreseen {
        // Somebody else was faster: it is not the container's to remove.
        (known.made, known.monitoring) = (made.group, made.monitoring);
        record.save(entry)?;
    }
    Ok(answer?)
}

/// Stands by while init is made.
struct Midwife<'a> {
    entry: &'a Entry,
    record: &'a mut Record,
    ready: &'a Ready,
    /// The cgroup that systemd has made, and who is in it before init.
    scope: Option<(&'a Cgroup, &'a Placeholder)>,
    /// May the container be known before it is ready? Where this process starts it itself, nobody else can act on it in
    /// between, for it holds the lock.
    announce_early: bool,
    /// The making of the process, until it is there.
    clone: Option<trace::Doing>,
    steps: &'a mut trace::Steps,
}

impl Watcher for Midwife<'_> {
    fn watches(&self) -> bool {
        self.steps.watches()
    }

    fn begins(&mut self, part: Part, former: Option<(u64, u64)>) {
        self.steps.begins(part, former);
    }

    fn waits(&mut self, channel: BorrowedFd<'_>) -> sys::Result<()> {
        self.steps.waits(channel)
    }
}

impl Attendant for Midwife<'_> {
    fn born(&mut self, init: &Init) -> Result<(), String> {
        self.steps.pause();
        self.clone = None;
        self.leave_to_init().map_err(|error| describe(&error))?;
        if !self.announce_early {
            return Ok(());
        }
        announce(self.entry, self.record, init).map_err(|error| describe(&error))
    }

    fn at_hooks(&mut self, init: &Init) -> Result<(), String> {
        let plan = &self.ready.plan;
        // Init is not yet in a pid namespace that it joins, and hooks with the host's root shall not be seen there either.
        let pid = if plan.namespaces.enters_pid_namespace() { libc::CLONE_NEWPID as u64 } else { 0 };
        let kinds = plan.namespaces.kinds() & !pid;
        hooks::before_pivot(&plan.hooks, self.record, init.pid, init.pidfd.as_fd(), kinds)
            .map_err(|error| describe(&error))
    }
}

impl Midwife<'_> {
    /// Ends what was in the cgroup before init, and writes the limit that it stood in the way of.
    fn leave_to_init(&self) -> Result<()> {
        let Some((cgroup, placeholder)) = self.scope else { return Ok(()) };
        placeholder.end();
        self.ready
            .plan
            .cgroup
            .knobs
            .iter()
            .filter(|knob| knob.file == PIDS_MAX)
            .try_for_each(|knob| write_knob(cgroup, knob))
    }
}

/// Whether the container is made known while init works, rather than when that is ready.
fn announces_early(starter: Starter, ready: &Ready) -> bool {
    matches!(starter, Starter::Myself { .. }) && !ready.plan.namespaces.enters_pid_namespace()
}

/// Makes the container known: its record, and its pid file.
fn announce(entry: &Entry, record: &mut Record, init: &Init) -> Result<()> {
    let _announce = doing("record", || format!("pid {}", init.pid), "");
    record.init = Some(Identity::of(init.pid)?.context("container init ended before it was ready")?);
    record.save(entry)?;
    if let Some(path) = &record.pid_file {
        pid_file::write(path, &record.id, init.pid)?;
    }
    Ok(())
}

/// What only a container that is ready gets.
fn complete(
    entry: &Entry,
    record: &mut Record,
    init: &Init,
    (starter, announced, pidfd_socket): (Starter, bool, Option<OwnedFd>),
    steps: &mut trace::Steps,
) -> Result<()> {
    if !announced {
        announce(entry, record, init)?;
    }
    if let Some(socket) = pidfd_socket {
        sys::send_fd(socket.as_fd(), init.pidfd.as_fd(), b"standard").context("send the pidfd")?;
    }
    init.provide_state(&hooks::state_of(record, Status::Created, init.pid)?)?;
    // Where this process starts it, the start commits.
    if starter == Starter::Command { Ok(init.commit(steps)?) } else { Ok(()) }
}

/// A container without memory to be born in dies before it can say so.
fn explain(error: SpawnError, cgroup: Option<&Cgroup>) -> anyhow::Error {
    // accepts: any error; the count only explains the failure at hand.
    let killed = || cgroup.is_some_and(|cgroup| cgroup.oom_kills().is_ok_and(|kills| kills > Some(0)));
    let starved = matches!(error, SpawnError::Died { .. }) && killed();
    if starved {
        return anyhow!("unable to start container process: container init was OOM-killed (memory limit too low?)");
    }
    anyhow::Error::new(error).context("unable to start container process")
}

/// The socket on which init waits for `start`. Its address goes through the directory's descriptor, so that the
/// directory's path may be longer than the 108 bytes of an address (unix(7)).
fn open_gate(entry: &Entry) -> Result<OwnedFd> {
    let gate = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).context("socket")?;
    let path = entry.short_path(GATE);
    bind(std::os::fd::AsRawFd::as_raw_fd(&gate), &UnixAddr::new(&path)?)
        .with_context(|| format!("bind {}", entry.path().join(GATE).display()))?;
    listen(&gate, Backlog::new(1)?).context("listen")?;
    Ok(gate)
}

/// `minirun start`.
pub fn start(runtime: &Runtime, id: &str) -> Result<()> {
    let entry = find(runtime, id)?;
    let found = Found::locked(&entry)?;
    match found.status {
        Status::Created => {}
        Status::Stopped => bail!("cannot start a container that has stopped"),
        Status::Running => bail!("cannot start an already running container"),
        other => bail!("cannot start a container in the {other} state"),
    }
    let notify = Notify::listen(&entry)?;
    let starting = doing("start", || format!("container {id}"), "");
    let gate = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).context("socket")?;
    let address = UnixAddr::new(&entry.short_path(GATE))?;
    nix::sys::socket::connect(std::os::fd::AsRawFd::as_raw_fd(&gate), &address)
        .context("container init does not answer")?;
    let init = found.init.context("container init has ended")?;
    let pid = found.record.init.map_or(0, |init| init.pid);
    let filtered = Filtered { entry: &entry, record: &found.record, status: Status::Created, pid, pidfd: init.as_fd() };
    match ask_to_start(gate.as_fd(), &mut |number| filtered.notify(number)) {
        Ok(()) => {}
        // The life of a container whose hook fails ends here, with poststop (runtime-spec, "Lifecycle", steps 7, 12 and 13).
        Err(error @ StartError::Hook(_)) => {
            return Err(add_undo(error.into(), remove_traces(entry, &found.record, Some(init))));
        }
        Err(error) => return Err(error.into()),
    }
    drop(starting);
    entry.remove_gate()?;
    let hooks = hooks_after_start(&entry, &found.record)?;
    // What comes may take long, and others, the hooks themselves among them, want to do something with the container.
    drop(entry);
    if let Err(error) = after_start(&hooks, &found.record) {
        return Err(add_undo(error, delete_same(&store(runtime)?, &found.record)));
    }
    notify.map_or(Ok(()), |notify| notify.wait(init.as_fd(), pid))
}

/// Deletes this container, unless it was deleted meanwhile, and perhaps another was made under its id.
pub fn delete_same(store: &Store, record: &Record) -> Result<()> {
    // Asked twice, as with masks: one wrong ENOENT would leave everything behind with status 0.
    let entry = store.find(&record.id)?.map_or_else(|| store.find(&record.id), |entry| Ok(Some(entry)))?;
    let Some(entry) = entry else { return Ok(()) };
    let now = match entry.read_record()? {
        Some(text) => Record::parse(&text)?,
        // The mark says as well whose directory this is.
        None if entry.read_mark()?.as_ref() == Some(&record.mark) => record.clone(),
        None => return Ok(()),
    };
    if now.init == record.init { remove_traces(entry, &now, None) } else { Ok(()) }
}

/// The poststart hooks.
pub fn hooks_after_start(entry: &Entry, record: &Record) -> Result<Vec<Hook>> {
    let hooks = record.hooks_after_create.then(|| entry.read_config().and_then(|text| hooks::of_config(&text)));
    Ok(hooks.transpose()?.unwrap_or_default().poststart)
}

/// Carries the poststart hooks out. A container whose hook fails is killed, as runc does.
pub fn after_start(poststart: &[Hook], record: &Record) -> Result<()> {
    let Some(init) = record.init else { return Ok(()) };
    let state = hooks::state_of(record, Status::Running, init.pid)?;
    let done = hooks::run_all(poststart, minirun_spawn::Where::Runtime, &record.bundle, &state);
    // accepts: no error: it is returned below.
    if done.is_err()
        && let Some(process) = init.open()?
    {
        process.signal(libc::SIGKILL).context("kill container init")?;
    }
    done
}

/// The container of this id, locked.
pub fn find(runtime: &Runtime, id: &str) -> Result<Entry> {
    store(runtime)?.find(id)?.with_context(|| format!("container does not exist: {id}"))
}
