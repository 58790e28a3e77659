//! The birth of init: which namespaces the parent enters for it, and by whom it is cloned.

use std::ffi::CString;
use std::fs::File;
use std::io::{IoSliceMut, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use minirun_plan::{HostOp, JoinedNamespace, Op, Origin, Plan};
use minirun_sys as sys;
use minirun_sys::{Clone, Errno, Forked};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt};

use crate::SpawnError;
use crate::error::Doing;
use crate::execute::{Opened, init, make_unreadable};
use crate::host::OOM_SCORE_HINT;
use crate::parent::Gate;
use crate::wire::{Call, Fault, In, Kind, RECORD, Record};

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

/// Opens the namespaces to be joined, and checks that each is what the configuration says it is.
pub(crate) fn open_namespaces(plan: &Plan) -> Result<Vec<OwnedFd>, SpawnError> {
    plan.namespaces.join.iter().map(open_namespace).collect()
}

pub(crate) fn open_namespace(joined: &JoinedNamespace) -> Result<OwnedFd, SpawnError> {
    let doing = Doing::new(&joined.origin, format!("open namespace {}", joined.path.display()));
    let path = CString::new(joined.path.as_os_str().as_encoded_bytes()).unwrap_or_default();
    let fd = sys::open(&path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY)
        .map_err(|errno| doing.failed("open", errno))?;
    match sys::namespace_kind(fd.as_fd()) {
        Ok(kind) if kind as u64 == joined.kind => Ok(fd),
        Ok(_) => Err(doing.refused("it is a namespace of another type")),
        Err(Errno::ENOTTY | Errno::EINVAL) => Err(doing.refused("it is not a namespace")),
        Err(errno) => Err(doing.failed("ioctl", errno)),
    }
}

/// The namespaces to return to after the clone: dropping it does not return, because that can fail.
struct Detour {
    back: Vec<(OwnedFd, libc::c_int)>,
}

impl Detour {
    /// Enters what init shall be born in.
    fn take(plan: &Plan, opened: &Opened) -> Result<Detour, SpawnError> {
        let mut detour = Detour { back: Vec::new() };
        if plan.namespaces.by_go_between {
            return Ok(detour);
        }
        match detour.enter(plan, opened) {
            Ok(()) => Ok(detour),
            Err(error) => {
                // The first failure is the one to tell of.
                let _second = detour.go_back();
                Err(error)
            }
        }
    }

    fn enter(&mut self, plan: &Plan, opened: &Opened) -> Result<(), SpawnError> {
        if let Some(container) = &opened.container
            && plan.namespaces.entered & libc::CLONE_NEWPID as u64 != 0
        {
            let doing = Doing::new(&Origin::of("linux.namespaces"), "enter the container's pid namespace".to_owned());
            self.remember("pid_for_children", libc::CLONE_NEWPID).map_err(|errno| doing.failed("open", errno))?;
            sys::setns(container.init.as_fd(), libc::CLONE_NEWPID).map_err(|errno| doing.failed("setns", errno))?;
        }
        for (kind, name) in LEAVABLE {
            let Some(i) = plan.namespaces.join.iter().position(|joined| joined.kind == kind as u64) else { continue };
            if init_enters(plan, i) {
                continue;
            }
            let joined = &plan.namespaces.join[i];
            let doing = Doing::new(&joined.origin, format!("enter namespace {}", joined.path.display()));
            self.remember(name, kind).map_err(|errno| doing.failed("open", errno))?;
            sys::setns(opened.namespaces[i].as_fd(), kind).map_err(|errno| doing.failed("setns", errno))?;
        }
        if plan.namespaces.is_new(libc::CLONE_NEWTIME) {
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

/// What init enters itself nobody else has to.
fn init_enters(plan: &Plan, joined: usize) -> bool {
    plan.init.iter().any(|step| step.op == Op::Join(joined))
}

/// Clones init into its namespaces and its cgroup. In the child this does not return.
pub(crate) fn bear(
    plan: &Plan,
    opened: &mut Opened,
    cgroup: Option<BorrowedFd<'_>>,
    (ours, theirs): (&OwnedFd, OwnedFd),
    gate: Gate<'_>,
) -> Result<Born, SpawnError> {
    let detour = Detour::take(plan, opened)?;
    let born = match plan.namespaces.is_joined(libc::CLONE_NEWUSER) || plan.namespaces.by_go_between {
        true => bear_through_a_go_between(plan, opened, cgroup, (ours, theirs), gate),
        false => bear_directly(plan, opened, cgroup, theirs.as_fd(), gate),
    };
    if let Err(error) = detour.go_back() {
        // It would end by itself, once it finds that nobody speaks to it.
        if let Ok(born) = born {
            let _gone = sys::pidfd_send_signal(born.pidfd.as_fd(), libc::SIGKILL);
            let _reaped = sys::wait(born.pid);
        }
        return Err(error);
    }
    born
}

fn new_flags(plan: &Plan) -> u64 {
    plan.namespaces.new & !(libc::CLONE_NEWTIME as u64)
}

fn bear_directly(
    plan: &Plan,
    opened: &mut Opened,
    cgroup: Option<BorrowedFd<'_>>,
    channel: BorrowedFd<'_>,
    gate: Gate<'_>,
) -> Result<Born, SpawnError> {
    match sys::clone3(Clone { flags: new_flags(plan), cgroup }) {
        Ok(Forked::Child) => init(plan, opened, channel, gate),
        Ok(Forked::Parent { pid, pidfd }) => Ok(Born { pid, pidfd }),
        Err(errno) => Err(clone_failed(plan, errno)),
    }
}

fn clone_failed(plan: &Plan, errno: Errno) -> SpawnError {
    let doing = Doing::new(&Origin::of("linux.namespaces"), "make the container's init".to_owned());
    match errno {
        Errno::EAGAIN => {
            doing.failed_with("clone3", errno, "a limit on processes is reached: pids.max or RLIMIT_NPROC")
        }
        Errno::EPERM if plan.namespaces.is_new(libc::CLONE_NEWUSER) => {
            doing.failed_with("clone3", errno, "user namespaces may be switched off, or the caller is in a chroot")
        }
        Errno::EPERM => doing.failed_with("clone3", errno, "new namespaces take CAP_SYS_ADMIN: run as root"),
        Errno::EACCES => {
            let hint = "an ordinary user needs a delegated cgroup above both its own cgroup and the container's";
            doing.failed_with("clone3", errno, hint)
        }
        Errno::ENOSPC => doing.failed_with("clone3", errno, "a limit in /proc/sys/user is reached"),
        errno => doing.failed("clone3", errno),
    }
}

/// New namespaces shall belong to the joined user namespace, but whoever enters one cannot return; nor can root of a user
/// namespace return to what belongs to the host. So a child enters them, makes init there as its sibling, and ends.
fn bear_through_a_go_between(
    plan: &Plan,
    opened: &mut Opened,
    cgroup: Option<BorrowedFd<'_>>,
    (ours, theirs): (&OwnedFd, OwnedFd),
    gate: Gate<'_>,
) -> Result<Born, SpawnError> {
    let user = plan.namespaces.join.iter().find(|joined| joined.kind == libc::CLONE_NEWUSER as u64);
    let origin = user.map_or(Origin::of("linux.namespaces"), |joined| joined.origin.clone());
    let place = if user.is_some() { "the user namespace" } else { "its namespaces" };
    let doing = Doing::new(&origin, format!("make the container's init in {place}"));
    setsockopt(ours, sockopt::PassCred, &true).map_err(|errno| doing.failed("setsockopt", errno))?;
    let go_between = match sys::clone3(Clone { flags: 0, cgroup }) {
        Ok(Forked::Child) => {
            sys::forbid_allocation();
            let mut record = Record::of(Kind::Failed);
            let fault = go_between(plan, opened, &mut record).err().or_else(|| {
                let flags = new_flags(plan) | libc::CLONE_PARENT as u64;
                match sys::clone3(Clone { flags, cgroup: None }) {
                    Ok(Forked::Child) => init(plan, opened, theirs.as_fd(), gate),
                    Ok(Forked::Parent { .. }) => None,
                    Err(errno) => Err::<(), _>(errno).in_call(Call::Clone).err(),
                }
            });
            let Some(fault) = fault else { sys::exit(0) };
            (record.call, record.errno) = (fault.call as u32, fault.errno);
            let _unheard = record.send(theirs.as_fd());
            sys::exit(1)
        }
        Ok(Forked::Parent { pid, .. }) => pid,
        Err(errno) => return Err(clone_failed(plan, errno)),
    };
    // Its end of file shall be seen when nobody else has it.
    drop(theirs);
    let hello = hello_from(ours);
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(go_between), None)
        .map_err(|errno| doing.failed("waitpid", errno))?;
    match hello.map_err(|errno| doing.failed("recvmsg", errno))? {
        Some((Record { kind: Kind::Hello, .. }, sender)) => {
            let pid = sender.pid();
            let pidfd = sys::pidfd_open(pid).map_err(|errno| doing.failed("pidfd_open", errno))?;
            Ok(Born { pid, pidfd })
        }
        Some((record, _)) => {
            let errno = Errno::from_raw(record.errno);
            match plan.host.get((record.option as usize).wrapping_sub(1)) {
                Some(step) => Err(Doing::new(&step.origin, "write oom_score_adj".to_owned()).failed_with(
                    Call::name_of(record.call),
                    errno,
                    OOM_SCORE_HINT,
                )),
                None => Err(doing.failed(Call::name_of(record.call), errno)),
            }
        }
        None => Err(doing.refused("it ended before it was ready")),
    }
}

/// What the go-between does before init is born: it enters the user namespace, and by the rights that it has there what the
/// parent could not.
fn go_between(plan: &Plan, opened: &Opened, record: &mut Record) -> Result<(), Fault> {
    if plan.namespaces.leave_groups {
        sys::setgroups(&[]).in_call(Call::Setgroups)?;
    }
    if plan.namespaces.by_go_between {
        write_oom_score(plan, record)?;
        make_time_namespace(plan)?;
        // In its namespaces there may be those who would trace init or read its descriptors.
        make_unreadable()?;
    }
    for (joined, fd) in plan.namespaces.join.iter().zip(&opened.namespaces) {
        if joined.kind == libc::CLONE_NEWUSER as u64 {
            sys::setns(fd.as_fd(), libc::CLONE_NEWUSER).in_call(Call::Setns)?;
        }
    }
    if !plan.namespaces.by_go_between {
        return Ok(());
    }
    if let Some(container) = &opened.container {
        let kinds = plan.namespaces.entered as libc::c_int & (libc::CLONE_NEWUSER | libc::CLONE_NEWPID);
        sys::setns(container.init.as_fd(), kinds).in_call(Call::Setns)?;
    }
    for (i, joined) in plan.namespaces.join.iter().enumerate() {
        let kind = joined.kind as libc::c_int;
        if LEAVABLE.iter().any(|(leavable, _)| *leavable == kind) && !init_enters(plan, i) {
            sys::setns(opened.namespaces[i].as_fd(), kind).in_call(Call::Setns)?;
        }
    }
    Ok(())
}

/// A new time namespace is for the children of who makes it, as with the parent.
fn make_time_namespace(plan: &Plan) -> Result<(), Fault> {
    if !plan.namespaces.is_new(libc::CLONE_NEWTIME) {
        return Ok(());
    }
    sys::unshare(libc::CLONE_NEWTIME).in_call(Call::Unshare)?;
    let Some(offsets) = &plan.namespaces.time_offsets else { return Ok(()) };
    let file = sys::open(c"/proc/self/timens_offsets", libc::O_WRONLY).in_call(Call::Open)?;
    sys::write(file.as_fd(), offsets.as_bytes()).map(drop).in_call(Call::Write)
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

/// The first message on the channel, with its sender: the kernel translates the pid into the receiver's namespace.
pub(crate) fn hello_from(channel: &OwnedFd) -> sys::Result<Option<(Record, UnixCredentials)>> {
    let mut bytes = [0u8; RECORD];
    let mut control = nix::cmsg_space!(UnixCredentials);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<()>(channel.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let sender = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::ScmCredentials(sender) => Some(sender),
        _ => None,
    });
    Ok(sender.and_then(|sender| Record::parse(&bytes).map(|record| (record, sender))))
}
