//! Processes: how they are watched, executed, and limited.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::ffi::CString;
use std::os::fd::AsFd as _;

use minirun_plan::limit_name;
use minirun_sys as sys;
use minirun_sys::{Argv, Errno};

use super::Row;
use super::trial::{At as _, Failure, attempt, attempt_as_child, born_in};

pub fn rows() -> Vec<Row> {
    let kernel = "use a kernel of 5.14 or later; in a container of another runtime ask for its seccomp profile";
    let close = attempt_as_child(born_in(0), |child| {
        // The report goes over a pipe, so nothing that is open is closed for good.
        sys::cloexec_from(3).at("close_range")?;
        child.close_all_but(1 << 20, []).at("close_range")
    });
    vec![
        Row::of_trial("processes.pidfd", "opened and signalled one", pidfd(), "start, kill, exec and hooks", kernel)
            .essential(),
        Row::of_trial("processes.close-range", "close_range", close, "descriptors of the host stay out", kernel)
            .essential(),
        sealed(),
        keyring(),
        hard_limits(),
        oom_score(),
    ]
}

fn pidfd() -> super::trial::Answer {
    let own = sys::pidfd_open(std::process::id() as i32).map_err(|errno| Failure::of("pidfd_open", errno))?;
    sys::pidfd_send_signal(own.as_fd(), 0).map_err(|errno| Failure::of("pidfd_send_signal", errno))
}

/// The runtime's own binary, executed from a mount that nobody can write to.
fn sealed() -> Row {
    let (name, matters) = ("processes.sealed-binary", "the runtime's binary stays out of a container's reach (seal)");
    let argv = Argv::new(vec![c"minirun".to_owned(), c"--version".to_owned()]);
    let environment = Argv::new(Vec::new());
    let executed = attempt(born_in(0), || {
        let null = sys::open(c"/dev/null", libc::O_WRONLY).at("open /dev/null")?;
        sys::become_standard(null.as_fd(), sys::Standard::Output).at("dup3")?;
        let copy = minirun_container::seal::read_only_mount().at("open_tree and mount_setattr")?;
        Err(sys::execveat(copy.as_fd(), &argv, Some(&environment))).at("execveat")
    });
    match executed {
        Ok(()) => Row::ok(name, "executed a read-only copy of the mount", matters),
        // What the runtime does then as well.
        Err(failure) if failure.is(Errno::EPERM) || failure.is(Errno::EINVAL) => {
            match minirun_container::seal::copy_in_memory() {
                Ok(_) => Row::limited(name, format!("{failure}; a sealed copy in memory is used instead"), matters)
                    .advice("run as root: it saves the copy"),
                Err(error) => Row::missing(name, format!("{failure}; {error}"), matters)
                    .advice("a kernel with CONFIG_MEMFD_CREATE")
                    .essential(),
            }
        }
        Err(failure) => Row::missing(name, failure.to_string(), matters)
            .advice("put the binary on a file system that lets it be executed")
            .essential(),
    }
}

fn keyring() -> Row {
    let (name, matters) = ("processes.keyring", "a session keyring of the container's own; --no-new-keyring");
    match attempt(born_in(0), || sys::join_session_keyring(c"_ses.minirun-check").map(drop).at("keyctl")) {
        Ok(()) => Row::ok(name, "joined a new one", matters),
        Err(failure) if failure.is(Errno::ENOSYS) => Row::ok(name, "the kernel has none, and so none to hide", matters),
        Err(failure) => Row::missing(name, failure.to_string(), matters)
            .advice("run with --no-new-keyring; or raise sysctl kernel.keys.maxkeys, or allow keyctl by seccomp")
            .essential(),
    }
}

/// Hard limits of the caller's that are finite: containers can have more only if they can be raised.
fn hard_limits() -> Row {
    let (name, matters) = ("processes.rlimits", "process.rlimits above the caller's own hard limits");
    let mut finite = Vec::new();
    for resource in 0..16 {
        match sys::prlimit(0, resource, None) {
            Ok((_, u64::MAX)) | Err(_) => {}
            Ok((_, hard)) => finite.push((resource, hard)),
        }
    }
    let stuck: Vec<String> = finite
        .iter()
        .filter(|(resource, hard)| raise(*resource, hard + 1).is_err())
        .map(|(resource, hard)| format!("{} {hard}", limit_name(*resource)))
        .collect();
    if stuck.is_empty() {
        return Row::ok(name, "every hard limit can be raised", matters);
    }
    Row::limited(name, format!("cannot be raised: {}", stuck.join(", ")), matters)
        .advice("keep to these limits, or run with CAP_SYS_RESOURCE; RLIMIT_NOFILE ends at sysctl fs.nr_open")
}

/// Whether a hard limit can be set to this.
pub fn raise(resource: u32, hard: u64) -> super::trial::Answer {
    attempt(born_in(0), || {
        let (soft, now) = sys::prlimit(0, resource, None).at("prlimit64")?;
        if hard <= now {
            return Ok(());
        }
        sys::prlimit(0, resource, Some((soft, hard))).map(drop).at("prlimit64")
    })
}

/// Whether the score can be set to this.
pub fn score(value: &str) -> super::trial::Answer {
    attempt(born_in(0), || {
        let file = sys::open(c"/proc/self/oom_score_adj", libc::O_WRONLY).at("open /proc/self/oom_score_adj")?;
        sys::write(file.as_fd(), value.as_bytes()).map(drop).at("write /proc/self/oom_score_adj")
    })
}

fn oom_score() -> Row {
    let (name, matters) = ("processes.oom-score", "process.oomScoreAdj below the caller's own");
    match score("-1000") {
        Ok(()) => Row::ok(name, "lowered it", matters),
        Err(failure) => Row::limited(name, format!("cannot be lowered: {failure}"), matters)
            .advice("keep process.oomScoreAdj at the caller's own or above, or run with CAP_SYS_RESOURCE"),
    }
}

/// Executes nothing: can the file behind this path be executed, as far as the host's permissions tell?
pub fn executable(path: &std::ffi::CStr) -> Result<(), String> {
    let stat = sys::stat(path).map_err(sys::errno_text)?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return Err("is a directory".to_owned());
    }
    if stat.st_mode & 0o111 == 0 {
        return Err("is not executable".to_owned());
    }
    sys::faccess(path, libc::X_OK).map_err(sys::errno_text)
}

/// A program of the host, along PATH.
pub fn on_path(program: &str) -> Option<CString> {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    let found = path.split(':').filter_map(|directory| CString::new(format!("{directory}/{program}")).ok());
    found.into_iter().find(|path| executable(path).is_ok())
}
