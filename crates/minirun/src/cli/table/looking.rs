//! Commands that look at containers.

use super::ORDINARY;
use crate::cli::command::{Command, Group, Kind};
use crate::cli::option::{choice, flag, short, text};

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
    options: &[],
    passes_on: false,
};

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
    options: &[
        short('f', choice("format", "FORMAT", &["table", "json"], "table or json (default: table)")),
        short('q', flag("quiet", "print only the ids")),
    ],
    passes_on: false,
};

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
    options: &[
        flag("stats", "print statistics once, and end"),
        text("interval", "DURATION", "time between statistics: 5s, 1m30s, 500ms (default: 5s)"),
        short(
            'f',
            choice(
                "format",
                "FORMAT",
                &["json", "openmetrics"],
                "json, a line for each event, or openmetrics (default: json)",
            ),
        ),
    ],
    passes_on: false,
};
