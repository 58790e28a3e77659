//! `minirun run` and `minirun exec`: processes that this one stays with.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};

use anyhow::Result;
use minirun_container::options::Stay;
use minirun_container::{Exec, Run, Running, Runtime};

/// Carries out `minirun run`.
pub fn run(runtime: &Runtime<'_>, options: &Run) -> Result<ExitCode> {
    attend(runtime.run(options)?, options.stay)
}

/// Carries out `minirun exec`.
pub fn exec(runtime: &Runtime<'_>, id: &str, options: &Exec) -> Result<ExitCode> {
    attend(runtime.container(id)?.exec(options)?, options.stay)
}

fn attend(process: Running<'_>, stay: Stay) -> Result<ExitCode> {
    match stay {
        Stay::Detached => {
            process.detach()?;
            Ok(ExitCode::SUCCESS)
        }
        Stay::Foreground => Ok(ExitCode::from(status_code(process.wait()?))),
    }
}

/// The status of a shell: the process's own, or 128 and the signal that ended it.
pub fn status_code(status: ExitStatus) -> u8 {
    status.signal().map_or_else(|| status.code().unwrap_or(0) as u8, |signal| 128 + signal as u8)
}

/// An id that no other container has: time and pid never repeat together.
pub fn made_up_id() -> String {
    // accepts: a clock before 1970; the id must only be new, and one in use is refused.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("run-{:x}-{:x}", std::process::id(), now.as_micros() & 0xfff_ffff_ffff)
}
