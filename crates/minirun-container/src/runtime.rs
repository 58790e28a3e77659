//! The way in: a state directory, and the containers in it.

use std::path::{Path, PathBuf};

use minirun_cgroup::Stats;

use crate::error::{Error, Kind, Operation, Result};
use crate::observer::{Observer, Silent};
use crate::options::{Cgroups, SignalsAfter};
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::status::Status;
use crate::store::{Entry, Store, check_id};

/// The containers of one state directory.
#[derive(Debug)]
pub struct Runtime<'o> {
    pub(crate) store: Store,
    pub(crate) cgroups: Cgroups,
    pub(crate) signals_after: SignalsAfter,
    pub(crate) observer: &'o dyn Observer,
}

/// A container by its name. It is looked up by each operation, because others can make and delete it at any time.
#[derive(Debug)]
pub struct Container<'r> {
    runtime: &'r Runtime<'r>,
    id: String,
}

/// A container in a list.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its state, or why it cannot be told.
    pub snapshot: Result<Snapshot>,
}

impl Runtime<'static> {
    /// Opens the state directory at this path. It is made with the first container.
    ///
    /// # Errors
    /// It is `/`.
    pub fn open(root: impl Into<PathBuf>) -> Result<Runtime<'static>> {
        Ok(Runtime::at(Store::at(Some(root.into()))?))
    }

    /// Opens the default state directory: `/run/minirun`, or `$XDG_RUNTIME_DIR/minirun` of an ordinary user.
    ///
    /// # Errors
    /// The host cannot be looked at. That an ordinary user has no runtime directory is an error of the operations that need
    /// it.
    pub fn open_default() -> Result<Runtime<'static>> {
        Ok(Runtime::at(Store::at(None)?))
    }

    fn at(store: Store) -> Runtime<'static> {
        let (cgroups, signals_after) = (Cgroups::default(), SignalsAfter::default());
        Runtime { store, cgroups, signals_after, observer: &Silent }
    }
}

impl<'o> Runtime<'o> {
    /// The same containers; this observer hears of the work on them.
    pub fn observed_by<'n>(self, observer: &'n dyn Observer) -> Runtime<'n>
    where
        'o: 'n,
    {
        Runtime { store: self.store, cgroups: self.cgroups, signals_after: self.signals_after, observer }
    }

    /// The same containers; the cgroups of new ones are made in this way.
    pub fn with_cgroups(self, cgroups: Cgroups) -> Runtime<'o> {
        Runtime { cgroups, ..self }
    }

    /// The same containers; the signal mask of this process is so after an operation.
    pub fn with_signals_after(self, signals_after: SignalsAfter) -> Runtime<'o> {
        Runtime { signals_after, ..self }
    }

    /// The state directory; none if this user has none.
    pub fn root(&self) -> Option<&Path> {
        self.store.root()
    }

    /// Names a container.
    ///
    /// # Errors
    /// The id is not valid.
    pub fn container(&self, id: &str) -> Result<Container<'_>> {
        check_id(id)?;
        Ok(Container { runtime: self, id: id.to_owned() })
    }

    /// Returns the ids of all containers, sorted.
    ///
    /// # Errors
    /// The state directory cannot be read, or was named and does not exist.
    pub fn ids(&self) -> Result<Vec<String>> {
        self.store.ids()
    }

    /// Returns all containers with their states, sorted by id.
    ///
    /// # Errors
    /// As [`Runtime::ids`].
    pub fn list(&self) -> Result<Vec<Listed>> {
        let look = |id: String| {
            let snapshot = Snapshot::peek(&self.store, &id).transpose()?;
            Some(Listed { id, snapshot })
        };
        Ok(self.ids()?.into_iter().filter_map(look).collect())
    }
}

impl<'r> Container<'r> {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns its state.
    ///
    /// # Errors
    /// It does not exist, or its state cannot be told.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::peek(self.store(), &self.id)?.ok_or_else(|| self.not_found())
    }

    /// Returns its state and the configuration with which it was made, at a moment at which nothing else is done with it.
    ///
    /// # Errors
    /// As [`Container::snapshot`].
    pub fn snapshot_and_config(&self) -> Result<(Snapshot, Vec<u8>)> {
        let entry = self.lock()?;
        Ok((Snapshot::locked(&entry)?, entry.read_config()?))
    }

    /// Returns the pids of its processes. Without a cgroup or a pid namespace of its own that is its init alone.
    ///
    /// # Errors
    /// As [`Container::snapshot`].
    pub fn pids(&self) -> Result<Vec<i32>> {
        self.snapshot()?.record.pids()
    }

    /// Returns what the kernel counts for it.
    ///
    /// # Errors
    /// It does not run, or has no cgroup.
    pub fn stats(&self) -> Result<Stats> {
        let found = self.snapshot()?;
        if found.init.is_none() {
            return Err(self.wrong_state(Operation::Events, found.status));
        }
        found.record.need_cgroup("events")?.stats()?.ok_or_else(|| Error::text("the container's cgroup is gone"))
    }

    pub(crate) fn store(&self) -> &'r Store {
        &self.runtime.store
    }

    /// An operation on it that changes nothing in the calling process.
    pub(crate) fn session(&self) -> Session<'r> {
        Session::new(self.runtime.observer)
    }

    /// An operation on it that makes a process.
    pub(crate) fn making_session(&self) -> Result<Session<'r>> {
        Session::making(self.runtime.observer, self.runtime.signals_after)
    }

    /// Its directory, locked.
    pub(crate) fn lock(&self) -> Result<Entry> {
        self.store().find(&self.id)?.ok_or_else(|| self.not_found())
    }

    pub(crate) fn not_found(&self) -> Error {
        Kind::NotFound { id: self.id.clone() }.into()
    }

    /// The error of an operation that its status forbids.
    pub(crate) fn wrong_state(&self, operation: Operation, status: Status) -> Error {
        let id = self.id.clone();
        let runs = matches!(status, Status::Running | Status::Paused);
        let stopped = status == Status::Stopped || (status == Status::Creating && operation != Operation::Start);
        match operation {
            Operation::Delete | Operation::Resume => Kind::WrongState { operation, id, status },
            _ if stopped && !runs => Kind::NotRunning { operation, id, status },
            _ => Kind::WrongState { operation, id, status },
        }
        .into()
    }
}
