//! minirun executes OCI bundles: `sudo minirun run bundle/`.
//!
//! This file is the way in: it reads the command line, has the command done, and reports what went wrong.

#![forbid(unsafe_code)]

mod agent;
mod bundle;
mod check;
mod cli;
mod container;
mod control;
mod events;
mod exec;
mod facts;
mod features;
mod hooks;
mod ids;
mod image;
mod lifecycle;
mod listing;
mod notify;
mod pid_file;
mod plan;
mod process;
mod removal;
mod report;
mod run;
mod seal;
mod signals;
mod store;
mod template;
mod terminal;
mod trace;
mod unit;
mod update;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use minirun_sys as sys;

use crate::cli::{Asked, Call};

/// One process does one thing and ends, so memory is never given back to the kernel. The test runner has threads, which
/// it is not for.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: minirun_sys::Bump = minirun_sys::Bump::new();

fn main() -> ExitCode {
    let line = match cli::read(std::env::args_os().skip(1)) {
        Ok(Asked::Text(text)) => return report::text(&text),
        Ok(Asked::Todo(line)) => line,
        Err(error) => return report::failure(&error),
    };
    // What is wrong with the rest of the command line is in the log as well.
    if let Err(error) = report::set_up(&line.globals) {
        return report::failure(&error);
    }
    let call = match line.call() {
        Ok(Asked::Text(text)) => return report::text(&text),
        Ok(Asked::Todo(call)) => call,
        Err(error) => return report::failure(&error),
    };
    // A caller that ignores it would have the kernel take the statuses of our children away (wait(2)).
    let done = sys::default_sigchld().context("reset SIGCHLD");
    let done = done.and_then(|()| trace::set_up(&call)).and_then(|()| carry_out(&call));
    trace::finish();
    match (done, run::interrupted()) {
        (Ok(code), _) => code,
        (Err(error), Some(signal)) => {
            report::failure_as(&error.context(format!("ended by signal {signal}")), 128 + signal as u8)
        }
        // 1 is a status that the process itself may have had.
        (Err(error), None) if call.command.name == "exec" => report::failure_as(&error, 255),
        (Err(error), None) => report::failure(&error),
    }
}

fn carry_out(call: &Call) -> Result<ExitCode> {
    let done = |result: Result<()>| result.map(|()| ExitCode::SUCCESS);
    match call.command.name {
        "run" => run::run(call),
        "create" => done(lifecycle::create(call)),
        "exec" => exec::exec(call),
        "start" => done(lifecycle::start(call)),
        "kill" => done(signals::kill(call)),
        "delete" => done(removal::delete(call)),
        "state" => done(listing::state(call)),
        "list" => done(listing::list(call)),
        "pause" => done(control::pause(call)),
        "resume" => done(control::resume(call)),
        "update" => done(update::update(call)),
        "events" => done(events::events(call)),
        "ps" => done(control::ps(call)),
        "features" => done(features::features()),
        "spec" => done(template::spec(call)),
        "plan" => done(plan::plan(call)),
        "bundle" => done(image::bundle(call)),
        "image" => done(image::image(call)),
        "diff" => done(image::diff(call)),
        "commit" => done(image::commit(call)),
        "check" => check::check(call),
        other => anyhow::bail!("unknown command {other:?}"),
    }
}
