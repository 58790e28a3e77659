//! Commands that make, change and end containers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::ORDINARY;
use super::shared::{
    BUNDLE, CONSOLE_SOCKET, NO_NEW_KEYRING, NO_PIVOT, PID_FILE, PIDFD_SOCKET, PRESERVE_FDS, TIMINGS, TRACE, bundle_of,
};
use crate::cli::Call;
use crate::cli::command::{Action, Command, Group, Kind, Perform};
use crate::cli::option::{flag, options, short};
use crate::options::{CreateOptions, DeleteOptions, KillOptions, PlanOptions, RunOptions};
use crate::trace::{self, Tracing};
use crate::{control, lifecycle, removal, run, signals};

pub const RUN: Command = Command {
    name: "run",
    group: Group::Life,
    usage: "[-b BUNDLE] ID | BUNDLE/",
    arguments: (1, 1),
    takes: &[Kind::Directory],
    help: "Create a container, start it, wait for it and delete it. An argument with a slash is a bundle, and the \
           container gets an id of its own. The exit status is that of the container's process, 128+N after signal N.",
    details: "The container is a child of this command, which passes its signals on and gives it its terminal, \
             if the configuration wants one.\nWithout --detach the container is deleted when its process has \
             ended, its poststop hooks included. With --detach the command ends as soon as the program runs, \
             and delete is up to the caller.",
    exit: "That of the container's process, 128+N if signal N ended it; 1 if it could not be run. With \
          --detach 0 as soon as it runs.",
    example: "sudo minirun run bundle/",
    action: Action::of::<Run>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `run`.
    Run {
        bundle: Option<PathBuf> = BUNDLE,
        detach: bool = short('d', flag("detach", "do not wait: the container goes on by itself")),
        keep: bool = flag("keep", "do not delete the container when it has ended"),
        no_subreaper: bool = flag("no-subreaper", "do not adopt orphans of the container while waiting for it"),
        pid_file: Option<PathBuf> = PID_FILE,
        console_socket: Option<PathBuf> = CONSOLE_SOCKET,
        pidfd_socket: Option<PathBuf> = PIDFD_SOCKET,
        no_pivot: bool = NO_PIVOT,
        no_new_keyring: bool = NO_NEW_KEYRING,
        preserve_fds: Option<u32> = PRESERVE_FDS,
        trace: Option<PathBuf> = TRACE,
        timings: bool = TIMINGS,
    }
}

impl Perform for Run {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        trace::set_up(&Tracing { file: self.trace, chart: self.timings })?;
        let argument = &call.args[0];
        // A slash makes no id, so it makes a bundle.
        let (id, bundle) = if argument.contains('/') {
            (run::made_up_id(), PathBuf::from(argument))
        } else {
            (argument.clone(), bundle_of(self.bundle))
        };
        let options = RunOptions {
            create: CreateOptions {
                id,
                plan: PlanOptions {
                    bundle,
                    no_pivot: self.no_pivot,
                    no_new_keyring: self.no_new_keyring,
                    preserve_fds: self.preserve_fds.unwrap_or(0),
                },
                pid_file: self.pid_file,
                console_socket: self.console_socket,
                pidfd_socket: self.pidfd_socket,
            },
            detach: self.detach,
            keep: self.keep,
            no_subreaper: self.no_subreaper,
        };
        run::run(&call.globals.runtime(), options)
    }
}

pub const CREATE: Command = Command {
    name: "create",
    group: Group::Life,
    usage: "[-b BUNDLE] ID",
    arguments: (1, 1),
    takes: &[Kind::Text],
    help: "Create a container: everything but its program's first instruction.",
    details: "Namespaces, mounts, cgroup, limits and hooks are set up; the program waits for start. The state is \
             created afterwards.\nThe id is made of letters, digits and the characters _+.- and may have 255 of \
             them; it is free again after delete.\nStandard input, output and error of this command become the \
             container's, unless it has a terminal: its master is sent to the socket of \
             --console-socket.\nEverything is checked before the first thing is made. When something fails \
             after that, everything is undone.",
    exit: ORDINARY,
    example: "sudo minirun create -b bundle web",
    action: Action::of::<Create>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `create`.
    Create {
        bundle: Option<PathBuf> = BUNDLE,
        pid_file: Option<PathBuf> = PID_FILE,
        console_socket: Option<PathBuf> = CONSOLE_SOCKET,
        pidfd_socket: Option<PathBuf> = PIDFD_SOCKET,
        no_pivot: bool = NO_PIVOT,
        no_new_keyring: bool = NO_NEW_KEYRING,
        preserve_fds: Option<u32> = PRESERVE_FDS,
        trace: Option<PathBuf> = TRACE,
        timings: bool = TIMINGS,
    }
}

impl Perform for Create {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        trace::set_up(&Tracing { file: self.trace, chart: self.timings })?;
        let options = CreateOptions {
            id: call.args[0].clone(),
            plan: PlanOptions {
                bundle: bundle_of(self.bundle),
                no_pivot: self.no_pivot,
                no_new_keyring: self.no_new_keyring,
                preserve_fds: self.preserve_fds.unwrap_or(0),
            },
            pid_file: self.pid_file,
            console_socket: self.console_socket,
            pidfd_socket: self.pidfd_socket,
        };
        lifecycle::create(&call.globals.runtime(), options)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const START: Command = Command {
    name: "start",
    group: Group::Life,
    usage: "ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Start the program of a created container.",
    details: "The startContainer hooks are run inside, the program is executed, and the poststart hooks are run. \
             The state has to be created, and is running afterwards. That the program cannot be executed is an \
             error of this command.",
    exit: ORDINARY,
    example: "sudo minirun start web",
    action: Action::of::<Start>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `start`.
    Start {
        trace: Option<PathBuf> = TRACE,
        timings: bool = TIMINGS,
    }
}

impl Perform for Start {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        trace::set_up(&Tracing { file: self.trace, chart: self.timings })?;
        lifecycle::start(&call.globals.runtime(), &call.args[0])?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const KILL: Command = Command {
    name: "kill",
    group: Group::Life,
    usage: "[-a] ID [SIGNAL]",
    arguments: (1, 2),
    takes: &[Kind::Container, Kind::Signal],
    help: "Send a signal to the container's init: a number or a name, with or without SIG (default: SIGTERM).",
    details: "Signal 0 asks only whether init is there. A process that is init of its pid namespace gets only \
             those signals from inside for which it has a handler; from outside, where this command is, KILL \
             and STOP always arrive.\nWithout a pid namespace of its own a container outlives its init, so KILL \
             goes to all of its processes.\nIf the container has stopped, the error says that it is not \
             running.",
    exit: ORDINARY,
    example: "sudo minirun kill web HUP",
    action: Action::of::<Kill>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `kill`.
    Kill {
        all: bool = short('a', flag("all", "send it to every process of the container")),
    }
}

impl Perform for Kill {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let signal = signals::signal_number(call.args.get(1).map_or("SIGTERM", String::as_str))?;
        let options = KillOptions { id: call.args[0].clone(), signal, all: self.all };
        signals::kill(&call.globals.runtime(), &options)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const DELETE: Command = Command {
    name: "delete",
    group: Group::Life,
    usage: "[-f] ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Delete a container that has stopped. Success means that nothing of it is left.",
    details: "The cgroup, the state directory and what else was made for the container are removed, and the \
             poststop hooks are run. The state has to be stopped; --force kills a container in any other.\nIt \
             also removes what a create that was killed has left.",
    exit: "0 when nothing of the container is left, 1 otherwise. With --force, 0 if there was no such \
          container.",
    example: "sudo minirun delete web",
    action: Action::of::<Delete>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `delete`.
    Delete {
        force: bool = short('f', flag("force", "kill it first if it runs, and do not mind if there is none")),
        trace: Option<PathBuf> = TRACE,
        timings: bool = TIMINGS,
    }
}

impl Perform for Delete {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        trace::set_up(&Tracing { file: self.trace, chart: self.timings })?;
        let options = DeleteOptions { id: call.args[0].clone(), force: self.force };
        removal::delete(&call.globals.runtime(), &options)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const PAUSE: Command = Command {
    name: "pause",
    group: Group::Life,
    usage: "ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Stop every process of a container where it is.",
    details: "Processes are stopped by the cgroup's freezer: they do not notice, and cannot prevent it. The \
             state is paused afterwards.",
    exit: ORDINARY,
    example: "sudo minirun pause web",
    action: Action::of::<Pause>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// `pause` has no options.
    Pause {}
}

impl Perform for Pause {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        control::pause(&call.globals.runtime(), &call.args[0])?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const RESUME: Command = Command {
    name: "resume",
    group: Group::Life,
    usage: "ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Let the processes of a paused container go on.",
    details: "The state has to be paused.",
    exit: ORDINARY,
    example: "sudo minirun resume web",
    action: Action::of::<Resume>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// `resume` has no options.
    Resume {}
}

impl Perform for Resume {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        control::resume(&call.globals.runtime(), &call.args[0])?;
        Ok(ExitCode::SUCCESS)
    }
}
