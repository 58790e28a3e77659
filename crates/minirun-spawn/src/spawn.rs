//! Makes init: opens what it needs, clones it, and brings it up to the start.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use minirun_plan::Plan;
use minirun_sys as sys;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::attendant::{Attendant, Unattended};
use crate::bring_up::BringUp;
use crate::clone::clone_init;
use crate::error::{Doing, SpawnError};
use crate::gate::Gate;
use crate::handle::open_handle;
use crate::host::{MYSELF, host_step};
use crate::idmap::map_namespace;
use crate::init::Init;
use crate::namespaces::{open_namespaces, refuse_own_namespaces};
use crate::net_device::return_devices;
use crate::opened::{Container, Opened};
use crate::watcher::{Part, Watcher};

/// What goes along with the making of init.
#[derive(Debug, Default)]
pub struct Extras<'a> {
    /// A socket that takes the master of the container's terminal, if it has one (`SCM_RIGHTS`, unix(7)).
    pub console: Option<OwnedFd>,
    /// What init must not keep: a lock would stay locked, a directory of the host could be reached through it.
    pub not_inits: &'a [BorrowedFd<'a>],
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
    make_init(plan, cgroup, gate, (None, extras), attendant)
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
    make_init(plan, cgroup, Gate::Parent, (Some(container), extras), &mut Unattended(watcher))
}

fn make_init(
    plan: &Plan,
    cgroup: Option<BorrowedFd<'_>>,
    gate: Gate<'_>,
    (container, extras): (Option<Container>, Extras<'_>),
    attendant: &mut dyn Attendant,
) -> Result<Init, SpawnError> {
    let mut opened = open_all(plan, (container, extras), attendant)?;
    let state = give_state_file(plan, &mut opened)?;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| Doing::internal("make a channel to init").failed("socketpair", errno))?;
    opened.not_inits.push(ours.as_raw_fd());
    if !plan.rootless {
        become_unreadable()?;
    }
    let mut moved = Vec::new();
    let before = plan.idmaps.len() + plan.handles.len();
    for (i, step) in plan.before_birth.iter().enumerate() {
        attendant.begins(Part::Host(before + i), None);
        host_step(plan, step, MYSELF, (&mut moved, &mut |fd| attendant.waits(fd)))?;
    }
    let born = clone_init(plan, &mut opened, cgroup, (&ours, theirs), gate)?;
    let mut init = Init::new(born.pid, born.pidfd, ours, state);
    let error = match (BringUp { plan, attendant, moved: &mut moved }).run(&mut init) {
        Ok(()) => return Ok(init),
        Err(error) => error,
    };
    init.kill();
    Err(match return_devices(moved) {
        Ok(()) => error,
        Err(undo) => SpawnError::NotUndone { cause: Box::new(error), undo: Box::new(undo) },
    })
}

/// Opens everything that init cannot open itself.
fn open_all(
    plan: &Plan,
    (container, extras): (Option<Container>, Extras<'_>),
    attendant: &mut dyn Attendant,
) -> Result<Opened, SpawnError> {
    let mut idmaps = Vec::with_capacity(plan.idmaps.len());
    for (i, maps) in plan.idmaps.iter().enumerate() {
        attendant.begins(Part::Host(i), None);
        idmaps.push(map_namespace(maps)?);
    }
    let namespaces = open_namespaces(plan)?;
    refuse_own_namespaces(plan, &namespaces)?;
    let mut handles = Vec::with_capacity(plan.handles.len());
    for (i, handle) in plan.handles.iter().enumerate() {
        attendant.begins(Part::Host(idmaps.len() + i), None);
        handles.push(open_handle(handle, &idmaps)?);
    }
    Ok(Opened {
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
    })
}

/// Init is a copy of this process, and must not be readable for those in a joined pid namespace, not even before its first
/// instruction. Where this process is not root of the host it has to write /proc/PID of a readable init, and joins nothing
/// that belongs to another user.
fn become_unreadable() -> Result<(), SpawnError> {
    let done = sys::set_dumpable(false);
    done.map_err(|errno| Doing::internal("become unreadable").failed("prctl", errno))
}

/// The vectors of the startContainer hooks. One without an environment gets the container's, as with runc.
fn hook_vectors(plan: &Plan) -> Vec<(sys::Argv, Option<sys::Argv>)> {
    let vectors = |hook: &minirun_plan::Hook| (sys::Argv::new(hook.args.clone()), hook.env.clone().map(sys::Argv::new));
    plan.hooks.start_container.iter().map(vectors).collect()
}

/// Makes the file for the state that startContainer hooks read, if there are such hooks, and gives init a copy of it.
fn give_state_file(plan: &Plan, opened: &mut Opened) -> Result<Option<OwnedFd>, SpawnError> {
    if plan.hooks.start_container.is_empty() {
        return Ok(None);
    }
    let state = memfd_create(c"state", MFdFlags::MFD_CLOEXEC)
        .map_err(|errno| Doing::internal("make a file for its state").failed("memfd_create", errno))?;
    let copy = state.try_clone().map_err(|error| Doing::internal("keep its state").failed_io("fcntl", &error))?;
    opened.state = Some(copy);
    Ok(Some(state))
}
