//! The work of the runtime beside an init that is being made.

use std::os::fd::{AsFd as _, BorrowedFd};

use minirun_cgroup::Cgroup;
use minirun_spawn::{Attendant, Init, Part, Watcher, Where};
use minirun_sys as sys;

use super::announce;
use crate::cgroup::{PIDS_MAX, write_knob};
use crate::error::{Error, Result};
use crate::hooks;
use crate::observer::Doing;
use crate::prepare::Prepared;
use crate::record::Record;
use crate::session::Session;
use crate::steps::Steps;
use crate::store::Entry;
use crate::unit::Placeholder;

/// Stands by while init is made.
pub(super) struct SpawnObserver<'a, 's> {
    pub session: &'a Session<'a>,
    pub entry: &'a Entry,
    pub record: &'a mut Record,
    pub prepared: &'a Prepared,
    /// The cgroup that systemd has made, and its first process.
    pub scope: Option<(&'a Cgroup, &'a Placeholder)>,
    /// Whether the container is made known before it is ready.
    pub announces_early: bool,
    /// The making of the process, until it is there.
    pub clone: Option<Doing<'a>>,
    pub steps: &'a mut Steps<'s>,
    /// The error that ended init; its words alone go through the spawn.
    pub failed: Option<Error>,
}

impl Watcher for SpawnObserver<'_, '_> {
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

impl Attendant for SpawnObserver<'_, '_> {
    fn born(&mut self, init: &Init) -> Result<(), String> {
        self.steps.pause();
        self.clone = None;
        let done = self.leave_to_init().and_then(|()| {
            if self.announces_early { announce(self.session, self.entry, self.record, init) } else { Ok(()) }
        });
        self.keep(done)
    }

    fn at_hooks(&mut self, init: &Init) -> Result<(), String> {
        let plan = &self.prepared.plan;
        // Init is not yet in a pid namespace that it joins, and hooks with the host's root shall not be seen there either.
        let pid = if plan.namespaces.enters_pid_namespace() { libc::CLONE_NEWPID as u64 } else { 0 };
        let container = Where::Container { init: init.pidfd.as_fd(), kinds: plan.namespaces.kinds() & !pid };
        let done = hooks::before_pivot(self.session, &plan.hooks, self.record, init.pid, container);
        self.keep(done)
    }
}

impl SpawnObserver<'_, '_> {
    /// Keeps an error, and returns its words.
    fn keep(&mut self, done: Result<()>) -> Result<(), String> {
        done.map_err(|error| {
            let words = error.to_string();
            self.failed = Some(error);
            words
        })
    }

    /// Ends the first process of the scope, and writes the limit that it stood in the way of.
    fn leave_to_init(&self) -> Result<()> {
        let Some((cgroup, placeholder)) = self.scope else { return Ok(()) };
        placeholder.end();
        let mut knobs = self.prepared.plan.cgroup.knobs.iter().filter(|knob| knob.file == PIDS_MAX);
        knobs.try_for_each(|knob| write_knob(self.session.observer, cgroup, knob))
    }
}
