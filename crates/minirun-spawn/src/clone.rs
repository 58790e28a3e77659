//! The birth of init: which namespaces the parent enters for it, and by whom it is cloned.

use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_plan::{HostOp, Op, Origin, Plan};
use minirun_sys as sys;
use minirun_sys::{Child, Clone, Cloned, Errno};
use nix::sys::socket::{setsockopt, sockopt};

use crate::SpawnError;
use crate::child::{make_time_namespace, make_unreadable, open_clocks};
use crate::error::Doing;
use crate::execute::init;
use crate::gate::Gate;
use crate::hint::{LIMIT_ON_PROCESSES, clone_hint};
use crate::host::OOM_SCORE_HINT;
use crate::opened::Opened;
use crate::procfs::ProcfsMaker;
use crate::wire::{Call, Fault, In, Kind, Record};

/// Namespaces that the parent may enter and leave again.
const LEAVABLE: [(libc::c_int, &str); 5] = [
    (libc::CLONE_NEWPID, "pid_for_children"),
    (libc::CLONE_NEWNET, "net"),
    (libc::CLONE_NEWIPC, "ipc"),
    (libc::CLONE_NEWUTS, "uts"),
    (libc::CLONE_NEWCGROUP, "cgroup"),
];

/// A process that has just been cloned.
pub(crate) struct Born {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// The namespaces to return to after the clone: dropping it does not return, because that can fail.
struct Detour {
    back: Vec<(OwnedFd, libc::c_int)>,
}

impl Detour {
    /// Enters what init shall be born in.
    fn take(plan: &Plan, opened: &Opened) -> Result<Detour, SpawnError> {
        let mut detour = Detour { back: Vec::new() };
        if plan.namespaces.by_go_between || opened.container.is_some() {
            return Ok(detour);
        }
        match detour.enter(plan, opened) {
            Ok(()) => Ok(detour),
            Err(error) => {
                // The first failure is the one to tell of.
                // accepts: any error; the first failure is reported, and the runtime ends.
                let _second = detour.go_back();
                Err(error)
            }
        }
    }

    fn enter(&mut self, plan: &Plan, opened: &Opened) -> Result<(), SpawnError> {
        for (kind, name) in LEAVABLE {
            let Some(i) = plan.namespaces.join.iter().position(|joined| joined.kind == kind as u64) else { continue };
            // Init must not be seen there before it has let go of the host.
            if init_enters(plan, i) || kind == libc::CLONE_NEWPID {
                continue;
            }
            let joined = &plan.namespaces.join[i];
            let doing = Doing::new(&joined.origin, format!("enter namespace {}", joined.path.display()));
            self.remember(name, kind).map_err(|errno| doing.failed("open", errno))?;
            sys::setns(opened.namespaces[i].as_fd(), kind).map_err(|errno| doing.failed("setns", errno))?;
        }
        if plan.namespaces.parent_makes_time() {
            // Offsets can be set only while nobody is in the namespace (time_namespaces(7)), so the parent makes it for
            // its children.
            let doing = Doing::new(&Origin::of("linux.timeOffsets"), "make a time namespace".to_owned());
            self.remember("time", libc::CLONE_NEWTIME).map_err(|errno| doing.failed("open", errno))?;
            sys::unshare(libc::CLONE_NEWTIME).map_err(|errno| doing.failed("unshare", errno))?;
            if let Some(offsets) = &plan.namespaces.time_offsets {
                File::options()
                    .write(true)
                    .open("/proc/self/timens_offsets")
                    .and_then(|mut file| file.write_all(offsets.as_bytes()))
                    .map_err(|error| doing.failed_io("write /proc/self/timens_offsets", &error))?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, name: &str, kind: libc::c_int) -> sys::Result<()> {
        let path = CString::new(format!("/proc/self/ns/{name}")).unwrap_or_default();
        self.back.push((sys::open(&path, libc::O_RDONLY)?, kind));
        Ok(())
    }

    fn go_back(self) -> Result<(), SpawnError> {
        for (own, kind) in self.back.iter().rev() {
            let doing = Doing::new(&Origin::of("linux.namespaces"), "return to the runtime's namespace".to_owned());
            sys::setns(own.as_fd(), *kind).map_err(|errno| doing.failed("setns", errno))?;
        }
        Ok(())
    }
}

/// Whether init enters this namespace itself.
fn init_enters(plan: &Plan, joined: usize) -> bool {
    plan.init.iter().any(|step| step.op == Op::Join(joined))
}

/// Clones the container's first process into its cgroup and, where it can be born there, into its namespaces. In the child
/// this does not return.
pub(crate) fn clone_init(
    plan: &Plan,
    opened: &mut Opened,
    cgroup: Option<BorrowedFd<'_>>,
    (ours, theirs): (&OwnedFd, OwnedFd),
    gate: Gate<'_>,
) -> Result<Born, SpawnError> {
    if plan.namespaces.change_process() {
        let doing = Doing::internal("learn its pid");
        setsockopt(ours, sockopt::PassCred, &true).map_err(|errno| doing.failed("setsockopt", errno))?;
    }
    let detour = Detour::take(plan, opened)?;
    let flags = if plan.namespaces.entered_by_init() { 0 } else { new_flags(plan) };
    let born = sys::clone3(Clone { flags, cgroup }, |child| {
        sys::forbid_allocation();
        if plan.namespaces.entered_by_init() {
            enter_namespaces(child, plan, opened, theirs.as_fd());
        }
        init(child, plan, opened, theirs.as_fd(), gate)
    })
    .map(|Cloned { pid, pidfd }| Born { pid, pidfd })
    .map_err(|errno| clone_failed(plan, errno));
    if let Err(error) = detour.go_back() {
        // It would end by itself, once it finds that nobody speaks to it.
        // accepts: its error; the first failure is reported.
        if let Ok(born) = born {
            // accepts: ESRCH; it has ended already.
            let _gone = sys::pidfd_send_signal(born.pidfd.as_fd(), libc::SIGKILL);
            // accepts: ECHILD; it was reaped already.
            let _reaped = sys::wait(born.pid);
        }
        return Err(error);
    }
    born
}

fn new_flags(plan: &Plan) -> u64 {
    plan.namespaces.new & !(libc::CLONE_NEWTIME as u64)
}

fn clone_failed(plan: &Plan, errno: Errno) -> SpawnError {
    let doing = Doing::new(&Origin::of("linux.namespaces"), "make the container's init".to_owned());
    match errno {
        Errno::EAGAIN => doing.failed_with("clone3", errno, LIMIT_ON_PROCESSES),
        Errno::EPERM if plan.namespaces.is_new(libc::CLONE_NEWUSER) => {
            doing.failed_with("clone3", errno, "user namespaces might be disabled, or the caller is in a chroot")
        }
        Errno::EPERM => doing.failed_with("clone3", errno, "new namespaces require CAP_SYS_ADMIN: run as root"),
        Errno::EACCES => {
            let hint = "an ordinary user needs a delegated cgroup above both its own cgroup and the container's";
            doing.failed_with("clone3", errno, hint)
        }
        Errno::ENOSPC => doing.failed_with("clone3", errno, "a limit in /proc/sys/user is reached"),
        errno => doing.failed_with("clone3", errno, clone_hint(errno)),
    }
}

/// The failure of the first process in the namespaces that it enters itself.
pub(crate) fn not_entered(plan: &Plan, record: Option<&Record>) -> SpawnError {
    let user = plan.namespaces.join.iter().find(|joined| joined.kind == libc::CLONE_NEWUSER as u64);
    let origin = user.map_or(Origin::of("linux.namespaces"), |joined| joined.origin.clone());
    let place = if user.is_some() { "the user namespace" } else { "its namespaces" };
    let doing = Doing::new(&origin, format!("make the container's init in {place}"));
    let Some(record) = record else { return doing.refused("it ended before it was ready") };
    let (call, errno) = (Call::name_of(record.call), Errno::from_raw(record.errno));
    match plan.host.get((record.option as usize).wrapping_sub(1)) {
        Some(step) => {
            Doing::new(&step.origin, "write oom_score_adj".to_owned()).failed_with(call, errno, OOM_SCORE_HINT)
        }
        None => doing.failed(call, errno),
    }
}

/// Enters the namespaces that the parent cannot enter for init, and ends with a message where that fails.
fn enter_namespaces(child: &mut Child, plan: &Plan, opened: &mut Opened, channel: BorrowedFd<'_>) {
    let mut record = Record::of(Kind::Failed);
    if let Err(fault) = try_to_enter(child, plan, opened, &mut record) {
        (record.call, record.errno) = (fault.call as u32, fault.errno);
        // accepts: any error; the parent sees the end of file.
        let _unheard = record.send(channel);
        sys::exit(1);
    }
}

/// New namespaces must belong to the joined user namespace, but a process that has entered one cannot return; nor can root
/// of a user namespace return to namespaces of the host. So a child enters them, and clones init there as its sibling. If a
/// pid namespace is joined, this process is init until [`Op::EnterPidNamespace`], and makes the new namespaces itself.
fn try_to_enter(child: &mut Child, plan: &Plan, opened: &mut Opened, record: &mut Record) -> Result<(), Fault> {
    let namespaces = &plan.namespaces;
    opened.procfs = start_procfs_maker(plan, opened)?;
    let opened = &*opened;
    let enter = |kind: libc::c_int| match namespaces.join.iter().position(|joined| joined.kind == kind as u64) {
        Some(i) if !init_enters(plan, i) => sys::setns(opened.namespaces[i].as_fd(), kind).in_call(Call::Setns),
        _ => Ok(()),
    };
    if namespaces.leave_groups {
        sys::setgroups(&[]).in_call(Call::Setgroups)?;
    }
    if namespaces.by_go_between {
        write_oom_score(plan, record)?;
        if namespaces.parent_makes_time() {
            make_time_namespace(plan, open_clocks(plan)?)?;
        }
        // In its namespaces there may be those who would trace init or read its descriptors.
        make_unreadable()?;
        enter(libc::CLONE_NEWUSER)?;
        LEAVABLE.iter().try_for_each(|(kind, _)| enter(*kind))?;
    } else {
        // By the rights of the host's root, which end in the user namespace.
        enter(libc::CLONE_NEWPID)?;
        enter(libc::CLONE_NEWUSER)?;
    }
    if namespaces.enters_pid_namespace() {
        return sys::unshare(new_flags(plan) as libc::c_int).in_call(Call::Unshare);
    }
    child.become_sibling(new_flags(plan)).in_call(Call::Clone)
}

/// Before the pid namespace is entered, because every child is born there afterwards.
fn start_procfs_maker(plan: &Plan, opened: &Opened) -> Result<Option<ProcfsMaker>, Fault> {
    if !plan.init.iter().any(|step| matches!(step.op, Op::Mount { pid_namespace: Some(_), .. })) {
        return Ok(None);
    }
    let joined = |kind: libc::c_int| {
        let i = plan.namespaces.join.iter().position(|joined| joined.kind == kind as u64)?;
        Some((opened.namespaces[i].as_fd(), kind))
    };
    let user = if plan.namespaces.by_go_between { joined(libc::CLONE_NEWUSER) } else { None };
    ProcfsMaker::start([user, joined(libc::CLONE_NEWPID)]).map(Some)
}

/// The score is inherited. `record` is told which step of the parent's this is.
fn write_oom_score(plan: &Plan, record: &mut Record) -> Result<(), Fault> {
    for (i, step) in plan.host.iter().enumerate() {
        if let HostOp::WriteProc { file: "oom_score_adj", value } = &step.op {
            record.option = i as u32 + 1;
            let file = sys::open(c"/proc/self/oom_score_adj", libc::O_WRONLY).in_call(Call::Open)?;
            sys::write(file.as_fd(), value.as_bytes()).in_call(Call::Write)?;
            record.option = 0;
        }
    }
    Ok(())
}
