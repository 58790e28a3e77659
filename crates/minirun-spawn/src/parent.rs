//! The parent's half of making a container: what it opens, what it does to the newborn, and what it waits for.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use minirun_plan::{Handle, HostStep, JoinedNamespace, Op, Plan};
use minirun_sys as sys;
use minirun_sys::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::channel::{Channel, UNKNOWN};
use crate::clone::{clone_init, not_entered, open_namespace, open_namespaces};
use crate::error::{Doing, SpawnError, StartError, hint_for_source};
use crate::execute::{Container, Opened};
use crate::host::{MYSELF, host_step};
use crate::idmap::map_namespace;
use crate::net_device::{Moved, return_devices};
use crate::node::make_node;
use crate::watcher::{Part, Watcher};
use crate::wire::{COMMIT, GO, Kind, Record, START};

/// Where init waits for the word to start.
#[derive(Debug, Clone, Copy)]
pub enum Gate<'a> {
    /// A listening socket, for whoever connects to it later.
    Listener(BorrowedFd<'a>),
    /// The channel to its parent, which starts it itself.
    Parent,
}

/// Who has something to do at certain moments of init's making. An error ends init.
pub trait Attendant: Watcher {
    /// Init is at work; what is done now is done beside it.
    ///
    /// # Errors
    /// In words.
    fn born(&mut self, init: &Init) -> Result<(), String>;

    /// The root is mounted and not yet `/`: the hooks that want to see it so are to run.
    ///
    /// # Errors
    /// In words.
    fn at_hooks(&mut self, init: &Init) -> Result<(), String>;
}

/// For a process without such moments.
struct Unattended<'a>(&'a mut dyn Watcher);

impl Watcher for Unattended<'_> {
    fn watches(&self) -> bool {
        self.0.watches()
    }

    fn begins(&mut self, part: Part, former: Option<(u64, u64)>) {
        self.0.begins(part, former);
    }

    fn waits(&mut self, channel: BorrowedFd<'_>) -> sys::Result<()> {
        self.0.waits(channel)
    }
}

impl Attendant for Unattended<'_> {
    fn born(&mut self, _: &Init) -> Result<(), String> {
        Ok(())
    }

    fn at_hooks(&mut self, _: &Init) -> Result<(), String> {
        Ok(())
    }
}

/// What goes along with the making of init.
#[derive(Debug, Default)]
pub struct Extras<'a> {
    /// A socket that takes the master of the container's terminal, if it has one (`SCM_RIGHTS`, unix(7)).
    pub console: Option<OwnedFd>,
    /// What init must not keep: a lock would stay locked, a directory of the host could be reached through it.
    pub not_inits: &'a [BorrowedFd<'a>],
}

/// A container's init that has done everything up to the start.
#[derive(Debug)]
pub struct Init {
    /// Its pid in the runtime's pid namespace.
    pub pid: i32,
    /// A descriptor that refers to it whatever becomes of its pid.
    pub pidfd: OwnedFd,
    channel: Channel<OwnedFd>,
    /// The first process, which has cloned this one and ends, until it is reaped: not immediately, because that would take
    /// as long as all the rest.
    former: Cell<Option<i32>>,
    /// What startContainer hooks read; none without such hooks.
    state: Option<OwnedFd>,
}

/// Makes init and waits until everything up to the start is done. It dies with this process until [`Init::commit`].
///
/// The caller must be single-threaded, and have opened `cgroup` as a cgroup2 directory; without one init stays in the
/// caller's.
///
/// # Errors
/// The step that failed, with its place in the configuration. Nothing is left behind then but the cgroup.
///
/// `attendant` is told when init is born, and when the plan's hooks are to run.
pub fn spawn(
    plan: &Plan,
    cgroup: Option<BorrowedFd<'_>>,
    gate: Gate<'_>,
    extras: Extras<'_>,
    attendant: &mut dyn Attendant,
) -> Result<Init, SpawnError> {
    give_birth(plan, cgroup, gate, (None, extras), attendant)
}

/// Makes a further process in a running container, in the same way: it waits for [`Init::start`].
///
/// # Errors
/// As [`spawn`].
pub fn spawn_into(
    plan: &Plan,
    container: Container,
    cgroup: Option<BorrowedFd<'_>>,
    extras: Extras<'_>,
    watcher: &mut dyn Watcher,
) -> Result<Init, SpawnError> {
    give_birth(plan, cgroup, Gate::Parent, (Some(container), extras), &mut Unattended(watcher))
}

fn give_birth(
    plan: &Plan,
    cgroup: Option<BorrowedFd<'_>>,
    gate: Gate<'_>,
    (container, extras): (Option<Container>, Extras<'_>),
    attendant: &mut dyn Attendant,
) -> Result<Init, SpawnError> {
    let mut count = 0..;
    let mut next = || Part::Host(count.next().unwrap_or(0));
    let mut idmaps = Vec::with_capacity(plan.idmaps.len());
    for maps in &plan.idmaps {
        attendant.begins(next(), None);
        idmaps.push(map_namespace(maps)?);
    }
    let namespaces = open_namespaces(plan)?;
    refuse_own_namespaces(plan, &namespaces)?;
    let mut handles = Vec::with_capacity(plan.handles.len());
    for handle in &plan.handles {
        attendant.begins(next(), None);
        handles.push(open_handle(handle, &idmaps)?);
    }
    let mut opened = Opened {
        namespaces,
        handles,
        mounts: std::iter::repeat_with(|| None).take(plan.mounts).collect(),
        idmaps,
        container,
        not_inits: extras.not_inits.iter().map(|fd| fd.as_raw_fd()).collect(),
        console: extras.console,
        watched: attendant.watches(),
        hooks: hook_vectors(plan),
        state: None,
        procfs: None,
        argv: sys::Argv::new(plan.payload.args.clone()),
        envp: sys::Argv::new(plan.payload.env.clone()),
    };
    let state = if plan.hooks.start_container.is_empty() { None } else { Some(state_file()?) };
    if let Some(state) = &state {
        let copy = state.try_clone().map_err(|error| Doing::internal("keep its state").failed_io("fcntl", &error))?;
        opened.state = Some(copy);
    }
    let kind = SockType::SeqPacket;
    let (ours, theirs) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| Doing::internal("make a channel to init").failed("socketpair", errno))?;
    opened.not_inits.push(ours.as_raw_fd());
    if !plan.rootless {
        become_unreadable()?;
    }
    let mut moved = Vec::new();
    for step in &plan.before_birth {
        attendant.begins(next(), None);
        host_step(plan, step, MYSELF, (&mut moved, &mut |fd| attendant.waits(fd)))?;
    }
    let born = clone_init(plan, &mut opened, cgroup, (&ours, theirs), gate)?;
    let mut init =
        Init { pid: born.pid, pidfd: born.pidfd, channel: Channel::new(ours), former: Cell::new(None), state };
    match init.raise(plan, attendant, &mut moved) {
        Ok(()) => Ok(init),
        Err(error) => {
            init.kill();
            Err(match return_devices(moved) {
                Ok(()) => error,
                Err(undo) => SpawnError::NotUndone { cause: Box::new(error), undo: Box::new(undo) },
            })
        }
    }
}

/// Init is a copy of this process, and must not be readable for those in a joined pid namespace, not even before its first
/// instruction. Where this process is not root of the host it has to write /proc/PID of a readable init, and joins nothing
/// that belongs to somebody else.
fn become_unreadable() -> Result<(), SpawnError> {
    let done = sys::set_dumpable(false);
    done.map_err(|errno| Doing::internal("become unreadable").failed("prctl", errno))
}

impl Init {
    /// From the clone to the record that says "created".
    fn raise(&mut self, plan: &Plan, attendant: &mut dyn Attendant, moved: &mut Vec<Moved>) -> Result<(), SpawnError> {
        if plan.namespaces.entered_by_init() {
            self.await_namespaces(plan, attendant)?;
        }
        let late = |step: &HostStep| plan.namespaces.enters_pid_namespace() && !step.op.is_inherited();
        let done = self.do_host_steps(plan, attendant, moved, |step| !late(step));
        done.map_err(|error| self.cause_of(plan, error))?;
        self.send(GO)?;
        let done = attendant.born(self).map_err(SpawnError::Attendant);
        done.map_err(|error| self.cause_of(plan, error))?;
        loop {
            let Some((record, sender)) = self.receive(attendant)? else {
                return Err(SpawnError::Died { status: self.reap() });
            };
            if self.is_succeeded_by(sender)? {
                let done = self.do_host_steps(plan, attendant, moved, late);
                done.map_err(|error| self.cause_of(plan, error))?;
            }
            match record.kind {
                Kind::Hello => {}
                Kind::Created => return Ok(()),
                Kind::AtHooks => {
                    attendant.at_hooks(self).map_err(|text| self.hooks_failed(plan, text))?;
                    self.send(GO)?;
                }
                _ => return Err(SpawnError::of_record(plan, &record)),
            }
        }
    }

    /// The cause of a failure of this process: that of init if init has ended, because what is done to a process that has
    /// ended fails for that reason.
    fn cause_of(&self, plan: &Plan, error: SpawnError) -> SpawnError {
        loop {
            match self.channel.receive_arrived() {
                Ok(Some((record, _))) if record.kind == Kind::Failed => return SpawnError::of_record(plan, &record),
                Ok(Some(_)) => {}
                Ok(None) | Err(Errno::ECONNRESET) => return SpawnError::Died { status: self.reap() },
                // accepts: EAGAIN, init is at work; and any other error, because the first failure is reported.
                Err(_) => return error,
            }
        }
    }

    /// A hook can fail because init has ended, or init can have been ended by it.
    fn hooks_failed(&self, plan: &Plan, text: String) -> SpawnError {
        match self.cause_of(plan, SpawnError::Attendant(text.clone())) {
            SpawnError::Attendant(text) => SpawnError::Attendant(text),
            end => SpawnError::Attendant(format!("{text}; and: {end}")),
        }
    }

    fn do_host_steps(
        &self,
        plan: &Plan,
        attendant: &mut dyn Attendant,
        moved: &mut Vec<Moved>,
        now: impl Fn(&HostStep) -> bool,
    ) -> Result<(), SpawnError> {
        let before = plan.idmaps.len() + plan.handles.len() + plan.before_birth.len();
        for (i, step) in plan.host.iter().enumerate().filter(|(_, step)| now(step)) {
            attendant.begins(Part::Host(before + i), None);
            host_step(plan, step, self.pid, (&mut *moved, &mut |fd| attendant.waits(fd)))?;
        }
        Ok(())
    }

    /// Waits until init is in the namespaces that it enters itself.
    fn await_namespaces(&mut self, plan: &Plan, attendant: &mut dyn Attendant) -> Result<(), SpawnError> {
        match self.receive(attendant)? {
            Some((Record { kind: Kind::Hello, .. }, sender)) => self.is_succeeded_by(sender).map(drop),
            other => Err(not_entered(plan, other.as_ref().map(|(record, _)| record))),
        }
    }

    /// Whether init has cloned its successor, which sent this message. The kernel names the sender, but a process in there
    /// with CAP_SYS_ADMIN can name another one; so only a child of this process is accepted.
    fn is_succeeded_by(&mut self, sender: i32) -> Result<bool, SpawnError> {
        if sender == self.pid || sender == UNKNOWN {
            return Ok(false);
        }
        let doing = Doing::internal("find the process in the pid namespace");
        // Init changes once. A process that traces it can add children to this one (`CLONE_PARENT`), and have them answer.
        let former = self.former.take();
        self.former.set(former);
        if former.is_some() {
            return Err(doing.refused("a second process has answered in its place"));
        }
        let pidfd = sys::pidfd_open(sender).map_err(|errno| doing.failed("pidfd_open", errno))?;
        if !sys::is_child(pidfd.as_fd()).map_err(|errno| doing.failed("waitid", errno))? {
            return Err(doing.refused("another process has answered in its place"));
        }
        self.former = Cell::new(Some(self.pid));
        (self.pid, self.pidfd) = (sender, pidfd);
        Ok(true)
    }

    /// The state that startContainer hooks get on their standard input. Before [`Init::commit`].
    ///
    /// # Errors
    /// It could not be written.
    pub fn provide_state(&self, json: &[u8]) -> Result<(), SpawnError> {
        let Some(state) = &self.state else { return Ok(()) };
        match sys::write(state.as_fd(), json) {
            Ok(_) => Ok(()),
            Err(errno) => Err(Doing::internal("write the state for its hooks").failed("write", errno)),
        }
    }

    /// Whether startContainer hooks run in the container before its program.
    pub fn has_hooks(&self) -> bool {
        self.state.is_some()
    }

    /// Tells init that the record is safe: from here on it outlives this process. For [`Gate::Listener`].
    ///
    /// # Errors
    /// Init died meanwhile.
    pub fn commit(&self, watcher: &mut dyn Watcher) -> Result<(), SpawnError> {
        self.send(COMMIT)?;
        self.reap_former();
        match self.receive(watcher)? {
            Some((Record { kind: Kind::Kept, .. }, _)) => Ok(()),
            Some((record, _)) => Err(SpawnError::Attendant(StartError::of_record(&record).to_string())),
            None => Err(SpawnError::Died { status: self.reap() }),
        }
    }

    /// Starts the program and waits until it runs. For [`Gate::Parent`], after the record is safe: it commits as well.
    /// `notify` as with [`ask_to_start`].
    ///
    /// # Errors
    /// Why it could not be executed.
    pub fn start(&self, watcher: &mut dyn Watcher, hand_over: HandOver<'_>) -> Result<(), StartError> {
        self.channel.send(START).map_err(StartError::Unreachable)?;
        self.reap_former();
        await_execution(&self.channel, || self.channel.receive_news(watcher), hand_over)
    }

    /// Ends init, and waits until it has ended.
    pub fn kill(&self) {
        // It may have ended by itself, which is as well.
        // accepts: ESRCH; it has ended by itself.
        let _gone = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        self.reap();
        self.reap_former();
    }

    fn reap_former(&self) {
        if let Some(pid) = self.former.take() {
            // It could not be waited for if somebody else had, and then it is gone.
            // accepts: ECHILD; somebody else has waited for it.
            let _gone = sys::wait(pid);
        }
    }

    /// Waits for init to end: its exit status, or the signal that ended it.
    fn reap(&self) -> Option<WaitStatus> {
        loop {
            match waitpid(Pid::from_raw(self.pid), None) {
                Err(Errno::EINTR) => {}
                // accepts: ECHILD; then its end is known and its status is not.
                answer => return answer.ok(),
            }
        }
    }

    fn send(&self, word: u8) -> Result<(), SpawnError> {
        self.channel.send(word).map_err(|errno| Doing::internal("write to init").failed("write", errno))
    }

    /// The next record of init; none when it has ended.
    fn receive(&self, watcher: &mut (impl Watcher + ?Sized)) -> Result<Option<(Record, i32)>, SpawnError> {
        match self.channel.receive_news(watcher) {
            Err(Errno::ECONNRESET) => Ok(None),
            answer => answer.map_err(|errno| Doing::internal("read from init").failed("read", errno)),
        }
    }
}

/// Hands the listener of a seccomp filter to whoever answers its notifications, given its number among init's descriptors.
/// An error in words ends init.
pub type HandOver<'a> = &'a mut dyn FnMut(RawFd) -> Result<(), String>;

/// End of file means that the program runs, or that init died; which of them, its state tells.
fn await_execution(
    channel: &Channel<impl AsFd>,
    mut next: impl FnMut() -> sys::Result<Option<(Record, i32)>>,
    hand_over: HandOver<'_>,
) -> Result<(), StartError> {
    let mut in_hooks = false;
    loop {
        match next().map_err(StartError::Unreachable)? {
            None if in_hooks => {
                let text =
                    "hooks.startContainer: container init ended while they ran (linux.seccomp might have ended it)";
                return Err(StartError::Hook(text.to_owned()));
            }
            None => return Ok(()),
            Some((Record { kind: Kind::Hooks, .. }, _)) => in_hooks = true,
            Some((Record { kind: Kind::HooksDone, .. }, _)) => in_hooks = false,
            Some((Record { kind: Kind::Listener, step, .. }, _)) => {
                hand_over(step as RawFd).map_err(StartError::Step)?;
                channel.send(GO).map_err(StartError::Unreachable)?;
            }
            Some((record, _)) => return Err(StartError::of_record(&record)),
        }
    }
}

/// Asks an init behind a gate's socket to start, and waits until its program runs. `notify` is called if the container has a
/// seccomp filter that notifies.
///
/// # Errors
/// Why it could not be executed, or that nobody listens any more.
pub fn ask_to_start(connection: BorrowedFd<'_>, hand_over: HandOver<'_>) -> Result<(), StartError> {
    let channel = Channel::new(connection);
    channel.send(START).map_err(StartError::Unreachable)?;
    // Steps are reported to init's parent, which is gone.
    await_execution(&channel, || channel.receive(), hand_over)
}

/// The vectors of the startContainer hooks. One without an environment gets the container's, as with runc.
fn hook_vectors(plan: &Plan) -> Vec<(sys::Argv, Option<sys::Argv>)> {
    let vectors = |hook: &minirun_plan::Hook| (sys::Argv::new(hook.args.clone()), hook.env.clone().map(sys::Argv::new));
    plan.hooks.start_container.iter().map(vectors).collect()
}

fn state_file() -> Result<OwnedFd, SpawnError> {
    memfd_create(c"state", MFdFlags::MFD_CLOEXEC)
        .map_err(|errno| Doing::internal("make a file for its state").failed("memfd_create", errno))
}

/// Joining the runtime's own namespace by its path would let the container change what is the host's: its root, its
/// network parameters.
fn refuse_own_namespaces(plan: &Plan, opened: &[OwnedFd]) -> Result<(), SpawnError> {
    plan.namespaces.join.iter().zip(opened).try_for_each(|(joined, fd)| refuse_own_namespace(plan, joined, fd.as_fd()))
}

fn refuse_own_namespace(plan: &Plan, joined: &JoinedNamespace, fd: BorrowedFd<'_>) -> Result<(), SpawnError> {
    let network = |op: &Op| matches!(op, Op::Sysctl { path, .. } if path.to_bytes().starts_with(b"net/"));
    let (file, why) = match joined.kind as libc::c_int {
        libc::CLONE_NEWNS => ("mnt", "it is the runtime's own, whose root would be changed"),
        libc::CLONE_NEWNET if plan.init.iter().any(|step| network(&step.op)) => {
            ("net", "it is the runtime's own, whose parameters linux.sysctl would change")
        }
        _ => return Ok(()),
    };
    let doing = Doing::new(&joined.origin, format!("join namespace {}", joined.path.display()));
    let inode = |fd: BorrowedFd<'_>| sys::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    let own = File::open(format!("/proc/self/ns/{file}")).map_err(|error| doing.failed_io("open", &error))?;
    let same = inode(fd).and_then(|joined| Ok(joined == inode(own.as_fd())?));
    if same.map_err(|errno| doing.failed("fstat", errno))? { Err(doing.refused(why)) } else { Ok(()) }
}

/// Is what a plan wants to join there, of the right type, and not the runtime's own where that is refused?
///
/// # Errors
/// It is not.
pub fn check_namespace(plan: &Plan, joined: &JoinedNamespace) -> Result<(), SpawnError> {
    refuse_own_namespace(plan, joined, open_namespace(joined)?.as_fd())
}

/// Opens a source that init may not reach, or only after it was cut off from the host's propagation, as most are.
fn open_handle(handle: &Handle, idmaps: &[OwnedFd]) -> Result<OwnedFd, SpawnError> {
    if let Some(node) = &handle.node {
        return make_node(handle, node);
    }
    let doing = Doing::new(&handle.origin, format!("open {}", handle.path.to_string_lossy()));
    let recursive = if handle.recursive { libc::AT_RECURSIVE as libc::c_uint } else { 0 };
    let tree =
        sys::open_tree(sys::working_directory(), &handle.path, libc::OPEN_TREE_CLONE | recursive).map_err(|errno| {
            match errno {
                Errno::ENOENT => doing.failed_with("open_tree", errno, "the source must exist"),
                Errno::EACCES => {
                    let path = Path::new(OsStr::from_bytes(handle.path.to_bytes()));
                    doing.failed_with("open_tree", errno, hint_for_source(path, errno))
                }
                errno => doing.failed("open_tree", errno),
            }
        })?;
    if !handle.connected {
        let cut_off = sys::MountAttr { propagation: libc::MS_SLAVE, ..Default::default() };
        sys::mount_setattr(tree.as_fd(), true, cut_off, None).map_err(|errno| doing.failed("mount_setattr", errno))?;
    }
    if let Some((i, all)) = handle.idmap {
        let attr = sys::MountAttr { set: libc::MOUNT_ATTR_IDMAP as u64, ..Default::default() };
        sys::mount_setattr(tree.as_fd(), all, attr, Some(idmaps[i].as_fd())).map_err(|errno| match errno {
            Errno::EINVAL => doing.failed_with("mount_setattr", errno, "this file system might not support mapped ids"),
            errno => doing.failed("mount_setattr", errno),
        })?;
    }
    Ok(tree)
}
