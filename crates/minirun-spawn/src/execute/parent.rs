//! What init tells the runtime, and what it waits for.

use std::os::fd::{AsFd as _, BorrowedFd};

use minirun_plan::Op;
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Executor;
use crate::child::make_unreadable;
use crate::gate::Gate;
use crate::wire::{COMMIT, Call, Fault, GO, In as _, Kind, Record, START, await_word, read_word};

impl Executor<'_> {
    /// Tells the parent that the container is created, and waits: for the parent's word that the record is safe, and then
    /// for the word to start, from the parent itself, where that is the same word, or from a peer that connects to the gate.
    pub(super) fn await_start(&mut self) -> Result<(), Fault> {
        // accepts: any error; if its parent has ended, so does init.
        if Record::of(Kind::Created).send(self.channel).is_err() {
            sys::exit(1);
        }
        // While the parent is at work. All signals are blocked.
        self.reset_actions()?;
        let Gate::Listener(listener) = self.gate else { return self.await_parents_start() };
        if !await_word(self.channel, COMMIT) {
            sys::exit(1);
        }
        sys::outlive_parent().in_call(Call::Prctl)?;
        // Without an answer the parent could end, and take init along, before it gets here.
        // accepts: any error; if its parent has ended, so does init.
        if Record::of(Kind::Kept).send(self.channel).is_err() {
            sys::exit(1);
        }
        // This can be long, and a container that was never started must still end on a signal.
        let ending = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
        sys::end_on(&ending).in_call(Call::Sigaction)?;
        loop {
            match sys::accept(listener) {
                Ok(peer) if await_word(peer.as_fd(), START) => {
                    self.starter = Some(peer);
                    self.started = true;
                    return sys::reset_actions(ending).in_call(Call::Sigaction);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).in_call(Call::Accept),
            }
        }
    }

    /// The parent waits for the end of file, which would look like an execve: so every failure is told.
    fn await_parents_start(&mut self) -> Result<(), Fault> {
        self.started = true;
        match read_word(self.channel).in_call(Call::Read)? {
            Some(START) => sys::outlive_parent().in_call(Call::Prctl),
            Some(_) => Err(Fault::check("expected the word to start")),
            // The parent has ended.
            None => sys::exit(1),
        }
    }

    /// Lets the parent run its hooks.
    pub(super) fn await_hooks(&mut self, readable: bool) -> Result<(), Fault> {
        if readable {
            sys::set_dumpable(true).in_call(Call::Prctl)?;
        }
        // accepts: any error; if its parent has ended, so does init.
        let gone = Record::of(Kind::AtHooks).send(self.channel).is_err();
        if gone || !await_word(self.channel, GO) { sys::exit(1) } else { make_unreadable() }
    }

    /// Reports the failure to the parent, or to `start`.
    pub(super) fn report(&self, step: usize, fault: Fault) {
        let mut record = Record::of(Kind::Failed);
        record.step = step as u32;
        record.call = fault.call as u32;
        record.errno = fault.errno;
        record.option = self.option.map_or(0, |index| index as u32 + 1);
        if let Some(step) = self.plan.init.get(step).filter(|_| self.started) {
            // The process that waits now (`start`) has no plan to look the step up in.
            let verb = if matches!(step.op, Op::RunHook(_)) { "" } else { step.op.verb() };
            for part in [step.origin.as_str(), ": ", verb, if verb.is_empty() { "" } else { ": " }] {
                record.subject.push(part.as_bytes());
            }
        }
        record.detail.push(fault.text.as_bytes());
        record.detail.push(self.detail.as_bytes());
        // Nobody is left to be told if this fails; the exit status still says that something did.
        // accepts: any error; the exit status still says that something failed.
        let _unheard = record.send(self.audience());
    }

    /// The socket to the process that waits for init.
    pub(super) fn audience(&self) -> BorrowedFd<'_> {
        self.starter.as_ref().map_or(self.channel, |starter| starter.as_fd())
    }
}
