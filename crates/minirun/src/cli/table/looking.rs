//! Commands that look at containers.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use super::ORDINARY;
use super::shared::{FORMAT, format_of};
use crate::cli::Call;
use crate::cli::command::{Action, Command, Group, Kind, Perform};
use crate::cli::option::{choice, duration, flag, options, short};
use crate::events::{self, Format, When};
use crate::listing;

/// The default of `events --interval`.
const INTERVAL: Duration = Duration::from_secs(5);

pub const STATE: Command = Command {
    name: "state",
    group: Group::Looking,
    usage: "ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Print the state of a container as the OCI runtime specification has it.",
    details: "The document has the id, the pid of init on the host (0 after it has stopped), the status, the \
             bundle, the root file system, the time of creation and the annotations.\nThe status is creating, \
             created, running, paused or stopped. It is found by looking at the processes, not by remembering.",
    exit: ORDINARY,
    example: "sudo minirun state web",
    action: Action::of::<State>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// `state` has no options.
    State {}
}

impl Perform for State {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        listing::state(&call.globals.runtime(), &call.args[0])?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const LIST: Command = Command {
    name: "list",
    group: Group::Looking,
    usage: "[-f table|json] [-q]",
    arguments: (0, 0),
    takes: &[],
    help: "List the containers below the state directory.",
    details: "A container that cannot be looked at is named on standard error, and the others are listed.",
    exit: ORDINARY,
    example: "sudo minirun list",
    action: Action::of::<List>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `list`.
    List {
        format: Option<String> = FORMAT,
        quiet: bool = short('q', flag("quiet", "print only the ids")),
    }
}

impl Perform for List {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        listing::list(&call.globals.runtime(), format_of(self.format.as_deref())?, self.quiet)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const EVENTS: Command = Command {
    name: "events",
    group: Group::Looking,
    usage: "[--stats] [--interval 5s] [-f json|openmetrics] ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Print statistics of a container at intervals. OOM kills are told as they happen; the end of the container ends \
           it.",
    details: "As JSON, a line is an object with type, id and data: what the kernel has counted in the container's \
              cgroup, with runc's keys and units. What no controller counts there is left out.\nAs openmetrics, \
              each time is one exposition as Prometheus reads it.\nOnly a container that runs has events.",
    exit: ORDINARY,
    example: "sudo minirun events --stats web",
    action: Action::of::<Events>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `events`.
    Events {
        stats: bool = flag("stats", "print statistics once, and end"),
        interval: Option<Duration> =
            duration("interval", "DURATION", "time between statistics: 5s, 1m30s, 500ms (default: 5s)"),
        format: Option<String> = short(
            'f',
            choice(
                "format",
                "FORMAT",
                &["json", "openmetrics"],
                "json, a line for each event, or openmetrics (default: json)",
            ),
        ),
    }
}

impl Perform for Events {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let format = match self.format.as_deref() {
            None | Some("json") => Format::Json,
            Some("openmetrics") => Format::OpenMetrics,
            Some(other) => bail!("invalid format option: {other:?} (json and openmetrics are known)"),
        };
        let interval = self.interval.unwrap_or(INTERVAL);
        if interval.is_zero() {
            bail!("duration interval must be greater than 0");
        }
        let when = if self.stats { When::Now } else { When::Every(interval) };
        events::events(&call.globals.runtime(), &call.args[0], format, when)?;
        Ok(ExitCode::SUCCESS)
    }
}
