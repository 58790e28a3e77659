//! Processes that do the work on a store. minirun has no threads, and an ordinary user can give files to other users only in a
//! user namespace.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use minirun_sys as sys;
use minirun_sys::{Child, Clone, Cloned, Errno};
use nix::fcntl::OFlag;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Doing as _, ErrorKind, ImageError, Result};
use crate::marks::Marks;

/// Writes the id maps of the process with this pid, which is in a new user namespace.
pub type Map = Box<dyn Fn(i32) -> std::result::Result<(), String>>;

/// Makes processes that may give files to whom they like.
pub struct Workers {
    map: Option<Map>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.map.is_some() { "Workers in user namespaces" } else { "Workers" })
    }
}

/// A process at work.
#[derive(Debug)]
pub(crate) struct Worker {
    pid: i32,
    pidfd: OwnedFd,
}

impl Workers {
    /// Workers with the rights of the caller, who is root.
    pub fn of_root() -> Workers {
        Workers { map: None }
    }

    /// Workers in new user namespaces, as their root. `map` has ids mapped in them: 0 to the caller's own.
    pub fn mapped(map: Map) -> Workers {
        Workers { map: Some(map) }
    }

    /// Where their layers have overlayfs's marks.
    pub fn marks(&self) -> Marks {
        if self.map.is_some() || !in_first_namespace() { Marks::User } else { Marks::Trusted }
    }

    /// Has this done in a new process, waits for it, and returns its error.
    pub(crate) fn run(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let (mut said, teller) = std::io::pipe().doing(|| "pipe2")?;
        let worker = self.start(move |_| {
            work().inspect_err(|error| {
                // accepts: EPIPE; the reader has ended.
                let _lost = serde_json::to_writer(&teller, error);
            })
        })?;
        let mut text = Vec::new();
        let heard = said.read_to_end(&mut text);
        if worker.wait() {
            return Ok(());
        }
        match heard {
            Ok(length) if length > 0 => Err(crate::document::parse(&text, "the error of a process")?),
            _ => Err(ImageError::new("the process that worked on the store has died").with_kind(ErrorKind::Worker)),
        }
    }

    /// Has this done, and gives its answer, which must be short: the pipe that it goes through must have room for it.
    pub(crate) fn ask<T: Serialize + DeserializeOwned>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let (mut heard, teller) = std::io::pipe().doing(|| "pipe2")?;
        let said = &teller;
        self.run(move || {
            let answer = serde_json::to_vec(&work()?).doing(|| "answer")?;
            (&mut &*said).write_all(&answer).doing(|| "answer")
        })?;
        drop(teller);
        let mut answer = Vec::new();
        heard.read_to_end(&mut answer).doing(|| "read the answer")?;
        crate::document::parse(&answer, "answer")
    }

    /// Starts a process that does this and ends. It dies with the caller.
    pub(crate) fn start(&self, work: impl FnOnce(&mut Child) -> Result<()>) -> Result<Worker> {
        let (gate, opener) = nix::unistd::pipe2(OFlag::O_CLOEXEC).doing(|| "pipe2")?;
        let flags = if self.map.is_some() { libc::CLONE_NEWUSER as u64 } else { 0 };
        let cloned = sys::clone3(Clone { flags, cgroup: None }, |child| {
            // Its own copy must go, or it would wait for itself.
            child.abandon(&[opener.as_raw_fd()]);
            let done = settle(&gate, self.map.is_some())
                .map_err(|errno| ImageError::of("settle", errno))
                .and_then(|()| work(child));
            // accepts: no error: the status tells of it.
            i32::from(done.is_err())
        });
        let Cloned { pid, pidfd } = cloned.doing(|| "make a process to unpack in")?;
        let worker = Worker { pid, pidfd };
        if let Some(map) = &self.map
            && let Err(error) = map(pid)
        {
            worker.end();
            return Err(ImageError::new(error));
        }
        // accepts: EPIPE; its end is seen below.
        let _gone = sys::write(opener.as_fd(), &[0]);
        Ok(worker)
    }
}

impl Worker {
    /// Waits for its end; true if it did its work.
    pub(crate) fn wait(self) -> bool {
        loop {
            match sys::wait(self.pid) {
                Err(Errno::EINTR) => {}
                answer => return answer == Ok(0),
            }
        }
    }

    /// Kills it.
    pub(crate) fn end(self) {
        // accepts: ESRCH; it has ended already.
        let _gone = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        self.wait();
    }
}

/// In the new process: waits for its ids, takes them, and sees to it that it does not outlive its parent.
fn settle(gate: &OwnedFd, mapped: bool) -> sys::Result<()> {
    if sys::read(gate.as_fd(), &mut [0])? == 0 {
        // The parent is gone.
        return Err(Errno::ESRCH);
    }
    if mapped {
        // Where setgroups is denied the groups stay.
        // accepts: EPERM; where setgroups(2) is denied the groups stay.
        let _denied = sys::setgroups(&[]);
        sys::setgid(0)?;
        sys::setuid(0)?;
    }
    sys::die_with_parent()?;
    // accepts: no error: the former mask.
    let _former = sys::umask(0);
    Ok(())
}

/// Whether ids are those of the host. Then root may use `trusted.*` attributes.
// accepts: any error; then the marks are `user.*` attributes, which every namespace can write.
fn in_first_namespace() -> bool {
    // accepts: as above.
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| {
        let mut numbers = map.split_whitespace();
        numbers.next() == Some("0") && numbers.next() == Some("0") && numbers.next() == Some("4294967295")
    })
}
