//! systemd's manager object: the methods that a runtime calls (org.freedesktop.systemd1(5)).

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use minirun_plan::{Property, Value};

use crate::address::{Address, candidates};
use crate::connection::{Connection, Interruptions, PATIENCE, is_interrupted};
use crate::error::Cause;
use crate::message::{ERROR, Message, Method, RETURN, SIGNAL};
use crate::wire::Writer;
use crate::{Error, Result};

const NAME: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SCOPE: &str = "org.freedesktop.systemd1.Scope";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// The job mode that replaces a conflicting job of the unit.
const REPLACE: &str = "replace";

/// How long systemd may be unreachable, as while it re-executes itself (`systemctl daemon-reexec`).
const RESTART: Duration = Duration::from_secs(10);

/// A connection to an instance of systemd.
#[derive(Debug)]
pub struct Manager {
    connection: Connection,
    /// The sockets for reconnecting.
    candidates: Vec<Address>,
    /// The ended jobs. The path of the awaited job is known only from the answer, and its end can arrive before.
    ended: Vec<Job>,
    /// The unit whose jobs are recorded.
    unit: String,
    /// Ends every wait, also after another connection was made.
    interruptions: Option<Interruptions>,
}

/// A job that has ended.
#[derive(Debug)]
struct Job {
    path: String,
    result: String,
}

/// The properties of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `Description`: the container that owns it.
    pub description: String,
    /// `ControlGroup`: the path of its cgroup from the root of the hierarchy; empty if it has none at present.
    pub cgroup: String,
}

impl Manager {
    /// Connects to the system's instance, or to this user's.
    ///
    /// # Errors
    ///
    /// Fails if no socket accepts, or systemd does not answer.
    pub fn connect(user: bool) -> Result<Manager> {
        let deadline = Instant::now() + PATIENCE;
        let failed = |cause| Error::new(if user { "ask the user's systemd" } else { "ask systemd" }, cause);
        let candidates = candidates(user, |name| std::env::var_os(name).filter(|value| !value.is_empty()));
        Manager::at(&candidates, deadline, (RESTART, None), None).map_err(failed)
    }

    /// Connects, once more and again where systemd goes away meanwhile, or has gone away for this cause; for so long at
    /// most.
    fn at(
        candidates: &[Address],
        deadline: Instant,
        (restart, gone): (Duration, Option<Cause>),
        interruptions: Option<&Interruptions>,
    ) -> std::result::Result<Manager, Cause> {
        let start = Instant::now();
        let mut first = gone;
        loop {
            let cause = match Manager::try_at(candidates, deadline, interruptions) {
                Ok(manager) => return Ok(manager),
                Err(cause) => cause,
            };
            let restarts = first.is_some() || is_restart(&cause);
            let cause = first.take().unwrap_or(cause);
            if !restarts || start.elapsed() >= restart {
                return Err(cause);
            }
            first = Some(cause);
            if is_interrupted(interruptions, Duration::from_millis(50)) {
                return Err(Cause::Interrupted);
            }
        }
    }

    fn try_at(
        candidates: &[Address],
        deadline: Instant,
        interruptions: Option<&Interruptions>,
    ) -> std::result::Result<Manager, Cause> {
        let (connection, is_bus) = Connection::open(candidates, deadline, interruptions)?;
        let candidates = candidates.to_vec();
        let interruptions = interruptions.cloned();
        let mut manager = Manager { connection, candidates, ended: Vec::new(), unit: String::new(), interruptions };
        if is_bus {
            manager.greet(deadline)?;
        }
        Ok(manager)
    }

    /// Ends every wait with [`Cause::Interrupted`] from the moment at which this can be read.
    pub fn interrupted_by(&mut self, interruptions: Rc<OwnedFd>) {
        self.connection.interrupted_by(interruptions.clone());
        self.interruptions = Some(interruptions);
    }

    /// Does something that may be done twice: once more where systemd goes away meanwhile.
    fn twice<T>(
        &mut self,
        deadline: Instant,
        act: impl Fn(&mut Manager) -> std::result::Result<T, Cause>,
    ) -> std::result::Result<T, Cause> {
        match act(self) {
            Err(cause) if is_restart(&cause) => {
                *self = Manager::at(&self.candidates, deadline, (RESTART, Some(cause)), self.interruptions.as_ref())?;
                act(self)
            }
            answer => answer,
        }
    }

    /// Greets a bus, which gives every client a name, and signals only to subscribers. systemd sends its signals to the
    /// bus only while a client has subscribed.
    fn greet(&mut self, deadline: Instant) -> std::result::Result<(), Cause> {
        let bus = |name| Method {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            name,
        };
        self.call(bus("Hello"), "", Writer::default(), deadline)?;
        let mut rule = Writer::default();
        rule.string(&format!(
            "type='signal',sender='{NAME}',interface='{MANAGER}',member='JobRemoved',path='{MANAGER_PATH}'"
        ));
        self.call(bus("AddMatch"), "s", rule, deadline)?;
        self.call(manager("Subscribe"), "", Writer::default(), deadline)?;
        Ok(())
    }

    /// Creates a unit that exists until its processes have ended, and waits until it is active (`StartTransientUnit`).
    ///
    /// # Errors
    ///
    /// Fails if systemd refuses, or its job fails or does not end in time. [`Error::is_refusal`] detects an existing
    /// unit (`UnitExists`).
    pub fn start(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let failed = |cause| Error::new(format!("start unit {unit}"), cause);
        let start = |manager: &mut Manager| manager.try_start(unit, properties, deadline);
        match start(self) {
            // systemd may have created the unit already, and continues after its restart.
            Err(cause) if is_restart(&cause) => {
                *self = Manager::at(&self.candidates, deadline, (RESTART, Some(cause)), self.interruptions.as_ref())
                    .map_err(failed)?;
                match start(self).map_err(failed) {
                    Err(error) if error.is_refusal("UnitExists") && self.is_such(unit, properties)? => {
                        self.wait_until_active(unit, deadline).map_err(failed)
                    }
                    answer => answer,
                }
            }
            answer => answer.map_err(failed),
        }
    }

    fn try_start(&mut self, unit: &str, properties: &[Property], deadline: Instant) -> std::result::Result<(), Cause> {
        let mut arguments = Writer::default();
        arguments.string(unit);
        arguments.string(REPLACE);
        write_properties(&mut arguments, properties);
        // There are no auxiliary units.
        arguments.array(8, |_| {});
        self.job(unit, manager("StartTransientUnit"), ("ssa(sv)a(sa(sv))", arguments), deadline)
    }

    /// Whether the unit with this name is the one that these properties describe.
    fn is_such(&mut self, unit: &str, properties: &[Property]) -> Result<bool> {
        let scope = self.scope(unit)?;
        let description = properties.iter().find(|property| property.name == "Description");
        Ok(scope.zip(description).is_some_and(|(scope, property)| Value::String(scope.description) == property.value))
    }

    fn wait_until_active(&mut self, unit: &str, deadline: Instant) -> std::result::Result<(), Cause> {
        loop {
            let path = self.unit_path(unit, deadline)?;
            match self.property(&path, UNIT, "ActiveState", deadline)?.as_str() {
                "active" => return Ok(()),
                "activating" if is_interrupted(self.interruptions.as_ref(), Duration::from_millis(50)) => {
                    return Err(Cause::Interrupted);
                }
                "activating" => {}
                other => return Err(Cause::Job(other.to_owned())),
            }
        }
    }

    fn unit_path(&mut self, unit: &str, deadline: Instant) -> std::result::Result<String, Cause> {
        let mut arguments = Writer::default();
        arguments.string(unit);
        let answer = self.call(manager("GetUnit"), "s", arguments, deadline)?;
        Ok(answer.body().string().map_err(Cause::Malformed)?.to_owned())
    }

    /// Stops a unit and waits for its end. A missing unit counts as stopped (`StopUnit`, `ResetFailedUnit`).
    ///
    /// # Errors
    ///
    /// Fails if systemd refuses, or its job fails or does not end in time.
    pub fn stop(&mut self, unit: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let stopped = self.twice(deadline, |this| {
            let mut arguments = Writer::default();
            arguments.string(unit);
            arguments.string(REPLACE);
            this.job(unit, manager("StopUnit"), ("ss", arguments), deadline)
        });
        match stopped {
            Ok(()) => self.forget(unit),
            Err(cause) => match Error::new(format!("stop unit {unit}"), cause) {
                error if is_gone(&error) => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Resets the failed state of a unit, so that its name is free again (`ResetFailedUnit`).
    ///
    /// # Errors
    ///
    /// Fails if systemd refuses, or does not answer in time. A missing unit is not an error.
    pub fn forget(&mut self, unit: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let answer = self.twice(deadline, |this| {
            let mut arguments = Writer::default();
            arguments.string(unit);
            this.call(manager("ResetFailedUnit"), "s", arguments, deadline)
        });
        match answer.map_err(|cause| Error::new(format!("reset unit {unit}"), cause)) {
            Err(error) if !is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Changes properties of a unit until it ends (`SetUnitProperties`). When this returns, systemd has written them to
    /// the cgroup's files.
    ///
    /// # Errors
    ///
    /// Fails if systemd refuses, and then changes none of them; or if it does not answer in time.
    pub fn set(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let failed = |cause| Error::new(format!("set properties of unit {unit}"), cause);
        let set = |this: &mut Manager| {
            let mut arguments = Writer::default();
            arguments.string(unit);
            // The change does not outlast the next boot.
            arguments.bool(true);
            write_properties(&mut arguments, properties);
            this.call(manager("SetUnitProperties"), "sba(sv)", arguments, deadline)?;
            // systemd answers first and then writes the files, before it reads the next message.
            this.property(MANAGER_PATH, MANAGER, "Version", deadline).map(drop)
        };
        self.twice(deadline, set).map_err(failed)
    }

    /// Returns the properties of a scope; none if there is no such unit.
    ///
    /// # Errors
    ///
    /// Fails if systemd refuses, or does not answer in time.
    pub fn scope(&mut self, unit: &str) -> Result<Option<Scope>> {
        let deadline = Instant::now() + PATIENCE;
        let found = self.twice(deadline, |this| {
            let path = this.unit_path(unit, deadline)?;
            let description = this.property(&path, UNIT, "Description", deadline)?;
            let cgroup = this.property(&path, SCOPE, "ControlGroup", deadline)?;
            Ok(Scope { description, cgroup })
        });
        match found.map_err(|cause| Error::new(format!("look at unit {unit}"), cause)) {
            Ok(scope) => Ok(Some(scope)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the cgroup of this instance, which holds the cgroups of its units; empty for the root.
    ///
    /// # Errors
    ///
    /// Fails if systemd refuses, or does not answer in time.
    pub fn cgroup(&mut self) -> Result<PathBuf> {
        let answer = self.property(MANAGER_PATH, MANAGER, "ControlGroup", Instant::now() + PATIENCE);
        answer.map(PathBuf::from).map_err(|cause| Error::new("look at systemd's own cgroup", cause))
    }

    /// Returns the version of systemd: 257.
    ///
    /// # Errors
    ///
    /// Fails if systemd refuses, or does not answer in time.
    pub fn version(&mut self) -> Result<u32> {
        let answer = self.property(MANAGER_PATH, MANAGER, "Version", Instant::now() + PATIENCE);
        let text = answer.map_err(|cause| Error::new("look at systemd's version", cause))?;
        // "257.9-1~deb13u1", "v245.4"
        let digits: String =
            text.trim_start_matches('v').chars().take_while(|letter| letter.is_ascii_digit()).collect();
        Ok(digits.parse().unwrap_or(0))
    }

    /// Reads a property that is a string.
    fn property(
        &mut self,
        path: &str,
        interface: &str,
        name: &str,
        deadline: Instant,
    ) -> std::result::Result<String, Cause> {
        let mut arguments = Writer::default();
        arguments.string(interface);
        arguments.string(name);
        let method = Method { destination: NAME, path, interface: PROPERTIES, name: "Get" };
        let answer = self.call(method, "ss", arguments, deadline)?;
        Ok(answer.body().string_variant().map_err(Cause::Malformed)?.to_owned())
    }

    /// Calls a method that starts a job, and waits for the job's end.
    fn job(
        &mut self,
        unit: &str,
        method: Method<'_>,
        (signature, arguments): (&str, Writer),
        deadline: Instant,
    ) -> std::result::Result<(), Cause> {
        self.ended.clear();
        unit.clone_into(&mut self.unit);
        let answer = self.call(method, signature, arguments, deadline)?;
        let job = answer.body().string().map_err(Cause::Malformed)?.to_owned();
        loop {
            match self.ended.iter().find(|ended| ended.path == job) {
                Some(ended) if ended.result == "done" => return Ok(()),
                Some(ended) => return Err(Cause::Job(ended.result.clone())),
                None => {
                    let message = self.connection.next(deadline)?;
                    self.hear(&message)?;
                }
            }
        }
    }

    /// Calls a method and waits for the answer.
    fn call(
        &mut self,
        method: Method<'_>,
        signature: &str,
        arguments: Writer,
        deadline: Instant,
    ) -> std::result::Result<Message, Cause> {
        let serial = self.connection.call(method, signature, arguments, deadline)?;
        loop {
            let message = self.connection.next(deadline)?;
            match message.kind {
                RETURN if message.reply_to == Some(serial) => return Ok(message),
                ERROR if message.reply_to == Some(serial) => {
                    let text = match message.signature.starts_with('s') {
                        true => message.body().string().map_err(Cause::Malformed)?.to_owned(),
                        false => message.error.clone(),
                    };
                    return Err(Cause::Refused { name: message.error, text });
                }
                _ => self.hear(&message)?,
            }
        }
    }

    /// Records the end of a job of the unit.
    fn hear(&mut self, message: &Message) -> std::result::Result<(), Cause> {
        if message.kind != SIGNAL
            || message.member != "JobRemoved"
            || message.interface != MANAGER
            || message.signature != "uoss"
        {
            return Ok(());
        }
        let mut body = message.body();
        let mut read = || {
            body.u32()?;
            Ok((body.string()?, body.string()?, body.string()?))
        };
        let (path, unit, result) = read().map_err(Cause::Malformed)?;
        if unit == self.unit {
            self.ended.push(Job { path: path.to_owned(), result: result.to_owned() });
        }
        Ok(())
    }
}

fn manager(name: &str) -> Method<'_> {
    Method { destination: NAME, path: MANAGER_PATH, interface: MANAGER, name }
}

/// Whether this error occurs while systemd re-executes itself.
fn is_restart(cause: &Cause) -> bool {
    match cause {
        Cause::Broken(..) => true,
        Cause::Refused { name, .. } => {
            ["NoReply", "Disconnected", "NameHasNoOwner"].iter().any(|end| name.ends_with(end))
        }
        _ => false,
    }
}

fn is_gone(error: &Error) -> bool {
    error.is_refusal("NoSuchUnit")
}

fn write_properties(writer: &mut Writer, properties: &[Property]) {
    writer.array(8, |writer| {
        for property in properties {
            writer.align(8);
            writer.string(&property.name);
            writer.variant(&property.value);
        }
    });
}

#[cfg(test)]
#[path = "manager/tests.rs"]
mod tests;
