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
mod options;
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

use anyhow::Context as _;
use minirun_sys as sys;

use crate::cli::Asked;

/// One process does one thing and ends, so memory is never given back to the kernel. The test runner has threads, which
/// it is not for.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: minirun_sys::Bump = minirun_sys::Bump::new();

fn main() -> ExitCode {
    seal::seal_early(std::env::args_os().skip(1));
    let line = match cli::read(std::env::args_os().skip(1)) {
        Ok(Asked::Text(text)) => return report::text(&text),
        Ok(Asked::Todo(line)) => line,
        Err(error) => return report::failure(&error),
    };
    // What is wrong with the rest of the command line is in the log as well.
    if let Err(error) = report::set_up(&line.globals.logging()) {
        return report::failure(&error);
    }
    let call = match line.call() {
        Ok(Asked::Text(text)) => return report::text(&text),
        Ok(Asked::Todo(call)) => call,
        Err(error) => return report::failure(&error),
    };
    // A caller that ignores it would have the kernel take the statuses of our children away (wait(2)).
    let done = sys::default_sigchld().context("reset SIGCHLD");
    let done = done.and_then(|()| call.run());
    trace::finish();
    match (done, run::interrupted()) {
        (Ok(code), _) => code,
        (Err(error), Some(signal)) => {
            report::failure_as(&error.context(format!("ended by signal {signal}")), 128 + signal as u8)
        }
        (Err(error), None) => report::failure_as(&error, call.command.failure),
    }
}
