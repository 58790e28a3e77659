//! Brings init up to the start: what the parent does to it meanwhile, and how it learns why that failed.

use minirun_plan::{HostStep, Plan};
use minirun_sys::Errno;

use crate::attendant::Attendant;
use crate::clone::not_entered;
use crate::error::SpawnError;
use crate::host::host_step;
use crate::init::Init;
use crate::net_device::Moved;
use crate::watcher::Part;
use crate::wire::{GO, Kind, Record};

/// The parent's work beside an init that was cloned.
pub(crate) struct BringUp<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) attendant: &'a mut dyn Attendant,
    /// The network devices that have gone to init's namespace.
    pub(crate) moved: &'a mut Vec<Moved>,
}

impl BringUp<'_> {
    /// From the clone to the record that says "created".
    pub(crate) fn run(&mut self, init: &mut Init) -> Result<(), SpawnError> {
        let plan = self.plan;
        if plan.namespaces.entered_by_init() {
            self.await_namespaces(init)?;
        }
        let late = |step: &HostStep| plan.namespaces.enters_pid_namespace() && !step.op.is_inherited();
        let done = self.do_host_steps(init, |step| !late(step));
        done.map_err(|error| cause_of(init, plan, error))?;
        init.send(GO)?;
        let done = self.attendant.born(init).map_err(SpawnError::Attendant);
        done.map_err(|error| cause_of(init, plan, error))?;
        loop {
            let Some((record, sender)) = init.receive(self.attendant)? else {
                return Err(SpawnError::Died { status: init.reap() });
            };
            if init.is_succeeded_by(sender)? {
                let done = self.do_host_steps(init, late);
                done.map_err(|error| cause_of(init, plan, error))?;
            }
            match record.kind {
                Kind::Hello => {}
                Kind::Created => return Ok(()),
                Kind::AtHooks => {
                    self.attendant.at_hooks(init).map_err(|text| hooks_failed(init, plan, text))?;
                    init.send(GO)?;
                }
                _ => return Err(SpawnError::of_record(plan, &record)),
            }
        }
    }

    fn do_host_steps(&mut self, init: &Init, now: impl Fn(&HostStep) -> bool) -> Result<(), SpawnError> {
        let BringUp { plan, attendant, moved } = self;
        let before = plan.idmaps.len() + plan.handles.len() + plan.before_birth.len();
        for (i, step) in plan.host.iter().enumerate().filter(|(_, step)| now(step)) {
            attendant.begins(Part::Host(before + i), None);
            host_step(plan, step, init.pid, (&mut **moved, &mut |fd| attendant.waits(fd)))?;
        }
        Ok(())
    }

    /// Waits until init is in the namespaces that it enters itself.
    fn await_namespaces(&mut self, init: &mut Init) -> Result<(), SpawnError> {
        match init.receive(self.attendant)? {
            Some((Record { kind: Kind::Hello, .. }, sender)) => init.is_succeeded_by(sender).map(drop),
            other => Err(not_entered(self.plan, other.as_ref().map(|(record, _)| record))),
        }
    }
}

/// The cause of a failure of this process: that of init if init has ended, because what is done to a process that has
/// ended fails for that reason.
fn cause_of(init: &Init, plan: &Plan, error: SpawnError) -> SpawnError {
    loop {
        match init.channel.receive_arrived() {
            Ok(Some((record, _))) if record.kind == Kind::Failed => return SpawnError::of_record(plan, &record),
            Ok(Some(_)) => {}
            Ok(None) | Err(Errno::ECONNRESET) => return SpawnError::Died { status: init.reap() },
            // accepts: EAGAIN, init is at work; and any other error, because the first failure is reported.
            Err(_) => return error,
        }
    }
}

/// A hook can fail because init has ended, or init can have been ended by it.
fn hooks_failed(init: &Init, plan: &Plan, text: String) -> SpawnError {
    match cause_of(init, plan, SpawnError::Attendant(text.clone())) {
        SpawnError::Attendant(text) => SpawnError::Attendant(text),
        end => SpawnError::Attendant(format!("{text}; and: {end}")),
    }
}
