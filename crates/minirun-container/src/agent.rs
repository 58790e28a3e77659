//! The seccomp agent: the process that decides about the calls of which a profile notifies it.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::path::Path;

use minirun_sys as sys;
use serde::{Deserialize, Serialize};

use crate::SPEC_VERSION;
use crate::console::connect_to;
use crate::error::{Context, OnPath, Result, bail};
use crate::hooks::State;
use crate::record::Record;
use crate::status::Status;
use crate::store::Entry;

/// The message that goes with the listener (runtime-spec, "The Container Process State").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'static str,
    /// The names of the descriptors that come with it.
    fds: [&'static str; 1],
    /// Of the process with the filter.
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: State<'a>,
}

/// The part of a kept configuration that names the agent.
#[derive(Deserialize)]
struct Spec {
    linux: Linux,
}

#[derive(Deserialize)]
struct Linux {
    seccomp: Seccomp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp {
    listener_path: String,
    #[serde(default)]
    listener_metadata: Option<String>,
}

/// A process that has loaded its filter and waits for the agent.
pub struct NotifyingProcess<'a> {
    /// Its container, and the status of that.
    pub entry: &'a Entry,
    pub record: &'a Record,
    pub status: Status,
    /// The process: the container's init, or one of an `exec`.
    pub pid: i32,
    pub pidfd: BorrowedFd<'a>,
}

impl NotifyingProcess<'_> {
    /// Sends the listener, which has this number in the process, to the agent.
    pub fn notify(&self, number: i32) -> Result<(), String> {
        self.send(number).map_err(|error| format!("linux.seccomp.listenerPath: {error}"))
    }

    fn send(&self, number: i32) -> Result<()> {
        let text = self.entry.read_config()?;
        let Spec { linux: Linux { seccomp } } = serde_json::from_slice(&text).context("the container's config.json")?;
        let listener = sys::pidfd_getfd(self.pidfd, number).context("take over the listener: pidfd_getfd")?;
        if !is_listener(listener.as_fd())? {
            bail!("what the process has sent is not the listener of a seccomp filter");
        }
        let init = self.record.init.map_or(self.pid, |init| init.pid);
        let state = serde_json::to_vec(&ContainerProcessState {
            oci_version: SPEC_VERSION,
            fds: ["seccompFd"],
            pid: self.pid,
            metadata: seccomp.listener_metadata.as_deref().unwrap_or_default(),
            state: State::of(self.record, self.status, init),
        })?;
        let path = &seccomp.listener_path;
        // One state for a connection, which ends with it.
        let agent = connect_to(path.as_ref())?;
        sys::send_fd(agent.as_fd(), listener.as_fd(), &state).with_context(|| format!("send to {path}"))
    }
}

/// Those who trace the process may name any of its descriptors, and an agent makes calls on what it gets.
fn is_listener(fd: BorrowedFd<'_>) -> Result<bool> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let target = std::fs::read_link(&link).on("read", || &link)?;
    Ok(target == Path::new("anon_inode:seccomp notify"))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    #[test]
    fn other_descriptors_are_no_listeners() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for fd in [socket.as_fd(), file.as_fd()] {
            assert!(!super::is_listener(fd).unwrap());
        }
    }
}
