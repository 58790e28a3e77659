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
    help: "Print the state of a container in the form of the OCI runtime specification.",
    details: "The JSON object has the id, the pid of the init process on the host (0 if it has stopped), the status, the bundle, the root file system, the time of creation and the annotations.\nThe status is creating, created, running, paused or stopped. It is derived from the processes themselves, not from a record.",
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
        listing::state(&call.globals.runtime()?, &call.args[0])?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const LIST: Command = Command {
    name: "list",
    group: Group::Looking,
    usage: "[-f table|json] [-q]",
    arguments: (0, 0),
    takes: &[],
    help: "List the containers of this state directory.",
    details: "If a container cannot be read, a warning names it, and the others are listed.",
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
        quiet: bool = short('q', flag("quiet", "print only ids")),
    }
}

impl Perform for List {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        listing::list(&call.globals.runtime()?, format_of(self.format.as_deref())?, self.quiet)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const EVENTS: Command = Command {
    name: "events",
    group: Group::Looking,
    usage: "[--stats] [--interval 5s] [-f json|openmetrics] ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Print statistics of a container at intervals until it stops. OOM kills are printed as they happen.",
    details: "With --format json, each line is an object with the members type, id and data. The data are the counters of the container's cgroup, with runc's keys and units. Counters of controllers that the cgroup does not have are left out.\nWith --format openmetrics, each report is an exposition that Prometheus can read.\nThe container must be running.",
    exit: ORDINARY,
    example: "sudo minirun events --stats web",
    action: Action::of::<Events>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `events`.
    Events {
        stats: bool = flag("stats", "print statistics once and exit"),
        interval: Option<Duration> =
            duration("interval", "DURATION", "time between statistics, for example 1m30s or 500ms (default: 5s)"),
        format: Option<String> = short(
            'f',
            choice(
                "format",
                "FORMAT",
                &["json", "openmetrics"],
                "json, one event a line, or openmetrics (default: json)",
            ),
        ),
    }
}

impl Perform for Events {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let format = match self.format.as_deref() {
            None | Some("json") => Format::Json,
            Some("openmetrics") => Format::OpenMetrics,
            Some(other) => bail!("invalid format option: {other:?} (expected json or openmetrics)"),
        };
        let interval = self.interval.unwrap_or(INTERVAL);
        if interval.is_zero() {
            bail!("duration interval must be greater than 0");
        }
        let when = if self.stats { When::Now } else { When::Every(interval) };
        events::events(&call.globals.runtime()?, &call.args[0], format, when)?;
        Ok(ExitCode::SUCCESS)
    }
}
