//! Id maps that take more than a write: by the helpers of an ordinary user, and of a user namespace that mounts are mapped by.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

use minirun_plan::{IdMaps, JoinedNamespace, Origin};
use minirun_sys as sys;
use minirun_sys::{Clone, Cloned};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::SpawnError;
use crate::error::Doing;
use crate::hint::clone_hint;
use crate::namespaces::open_namespace;
use crate::wire::GO;

/// Waits until a descriptor can be read, or returns early; [`crate::Watcher::waits`] is one. `EINTR` ends the wait.
pub type Wait<'a> = &'a mut dyn FnMut(BorrowedFd<'_>) -> sys::Result<()>;

/// Has `newuidmap` or `newgidmap`, found along PATH, map ids that the administrator has granted to this user (subuid(5)).
///
/// It has no time limit, because a name service can take long (nsswitch.conf(5)), but `wait` can end it.
///
/// # Errors
/// It is not there, or what it says, or `EINTR` of `wait`.
pub fn map_ids(pid: i32, program: &str, value: &str, origin: &Origin, wait: Wait<'_>) -> Result<(), SpawnError> {
    let doing = Doing::new(origin, format!("map the ids by {program}"));
    let mut command = Command::new(program);
    command.arg(pid.to_string()).args(value.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => doing.failed_io_with(
            "execve",
            &error,
            "an ordinary user maps no more than its own id without it; it comes with the package uidmap or shadow-utils",
        ),
        _ => doing.failed_io("execve", &error),
    })?;
    let ended = sys::pidfd_open(child.id() as i32).and_then(|pidfd| wait(pidfd.as_fd()));
    if let Err(errno) = ended {
        // accepts: EPERM; it is setuid, and ends by itself. It cannot map the ids of a process that has ended.
        if child.kill().is_ok() {
            // accepts: ECHILD; it was reaped already.
            let _reaped = child.wait();
        }
        return Err(doing.failed("poll", errno));
    }
    let status = child.wait().map_err(|error| doing.failed_io("wait4", &error))?;
    if status.success() {
        return Ok(());
    }
    let said = child.stderr.map_or(Ok(String::new()), |stderr| last_words(stderr.as_fd()));
    let said = said.map_err(|errno| doing.failed("read", errno))?;
    let said = said.trim().replace('\n', "; ");
    let said = said.strip_prefix(&format!("{program}: ")).unwrap_or(&said);
    let hint = match program {
        _ if said.contains("user name") => "its grants go by the names in /etc/passwd",
        _ if !said.contains("not allowed") => "it must be setuid root or have capabilities, on a mount without nosuid",
        "newuidmap" => "/etc/subuid must grant these users to the caller",
        _ => "/etc/subgid must grant these groups to the caller",
    };
    Err(doing.refused_with(if said.is_empty() { "it failed without a word" } else { said }, hint))
}

/// The text in a pipe, without waiting for more.
fn last_words(pipe: BorrowedFd<'_>) -> sys::Result<String> {
    let mut text = [0; 4096];
    let length = if sys::wait_readable(pipe, Some(0))? { sys::read(pipe, &mut text)? } else { 0 };
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

/// A user namespace with these maps and nobody in it, for mount_setattr(2).
///
/// # Errors
/// It cannot be made, or its maps cannot be written.
pub fn map_namespace(maps: &IdMaps) -> Result<OwnedFd, SpawnError> {
    if let Some(path) = &maps.namespace {
        let kind = libc::CLONE_NEWUSER as u64;
        return open_namespace(&JoinedNamespace { kind, path: path.clone(), origin: maps.origin.clone() });
    }
    let doing = Doing::new(&maps.origin, "make a user namespace to map ids by".to_owned());
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| doing.failed("socketpair", errno))?;
    let mut ours = Some(ours);
    let Cloned { pid, pidfd } = sys::clone3(Clone { flags: libc::CLONE_NEWUSER as u64, cgroup: None }, |_| {
        // Its own copy of the other end must go, or it would wait for itself.
        drop(ours.take());
        crate::wire::await_word(theirs.as_fd(), GO);
        0
    })
    .map_err(|errno| doing.failed_with("clone3", errno, clone_hint(errno)))?;
    drop(theirs);
    let write = |file: &str, value: &str| {
        let path = format!("/proc/{pid}/{file}");
        File::options().write(true).open(path).and_then(|mut open| open.write_all(value.as_bytes()))
    };
    let opened = write("uid_map", &maps.uids)
        .and_then(|()| write("gid_map", &maps.gids))
        .and_then(|()| File::open(format!("/proc/{pid}/ns/user")));
    // accepts: ESRCH; it has ended already.
    let _gone = sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
    // accepts: ECHILD; it was reaped already.
    let _reaped = waitpid(Pid::from_raw(pid), None);
    drop(ours);
    opened.map(OwnedFd::from).map_err(|error| doing.failed_io("write", &error))
}
