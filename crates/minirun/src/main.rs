//! minirun executes OCI bundles: `sudo minirun run bundle/`.
//!
//! This file is the way in: it reads the command line, has the command done, and reports what went wrong.

#![forbid(unsafe_code)]

mod check;
mod cli;
mod events;
mod features;
mod ids;
#[cfg(feature = "images")]
mod image;
mod listing;
mod plan;
mod ps;
mod report;
mod run;
mod signals;
mod template;
mod trace;

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
    trace::seal_early(std::env::args_os().skip(1));
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
    match done {
        Ok(code) => code,
        Err(error) => {
            let status = report::signal_of(&error).map_or(call.command.failure, |signal| 128 + signal as u8);
            report::failure_as(&error, status)
        }
    }
}
