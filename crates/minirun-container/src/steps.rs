//! Reports the steps of a plan as they are carried out.

use std::os::fd::BorrowedFd;

use minirun_plan::{Line, Plan};
use minirun_spawn::{Part, Watcher};
use minirun_sys as sys;

use crate::observer::{Activity, Actor, Doing, Times};
use crate::session::Session;

/// The steps of a plan, and which of them are under way.
#[derive(Debug)]
pub(crate) struct Steps<'s> {
    session: &'s Session<'s>,
    host: Vec<Line>,
    init: Vec<Line>,
    /// The step that this process does for init.
    doing: Option<Doing<'s>>,
    /// The step that init does.
    step: Option<u64>,
}

impl<'s> Steps<'s> {
    /// The steps of this plan.
    pub fn of(plan: &Plan, session: &'s Session<'s>) -> Steps<'s> {
        let lines = if session.observer.observes() { plan.lines() } else { Vec::new() };
        let of = |part| lines.iter().filter(move |line| line.part == part).cloned().collect();
        Steps { session, host: of("host"), init: of("init"), doing: None, step: None }
    }

    /// This process waits for init.
    pub fn pause(&mut self) {
        self.doing = None;
    }

    /// Init has executed the program.
    pub fn executed(&mut self) {
        self.end_step(None);
    }

    fn end_step(&mut self, times: Option<Times>) {
        if let Some(number) = self.step.take() {
            self.session.observer.ended(number, times);
        }
    }
}

impl Watcher for Steps<'_> {
    fn watches(&self) -> bool {
        self.session.observer.observes()
    }

    fn begins(&mut self, part: Part, former: Option<(u64, u64)>) {
        self.doing = None;
        let observer = self.session.observer;
        if !observer.observes() {
            return;
        }
        match part {
            Part::Host(i) => {
                let line = self.host.get(i);
                self.doing = line.map(|line| observer.doing(&line.verb, || line.subject.clone(), line.origin.as_str()));
            }
            Part::Init(i) => {
                self.end_step(former.map(|(began, ended)| Times { began, ended }));
                self.step = self.init.get(i).map(|line| {
                    let (verb, subject, origin) = (&line.verb, &line.subject, line.origin.as_str());
                    observer.begins(&Activity { actor: Actor::Init, verb, subject, origin })
                });
            }
        }
    }

    fn waits(&mut self, channel: BorrowedFd<'_>) -> sys::Result<()> {
        self.session.await_readable(channel, None).map(drop)
    }
}
