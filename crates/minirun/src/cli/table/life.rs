//! Commands that make, change and end containers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use minirun_container::options::{Orphans, Target};

use super::ORDINARY;
use super::shared::{
    BUNDLE, CONSOLE_SOCKET, NO_NEW_KEYRING, NO_PIVOT, PID_FILE, PIDFD_SOCKET, PRESERVE_FDS, TIMINGS, TRACE, bundle_of,
    root_change_of, stay_of,
};
use crate::cli::Call;
use crate::cli::command::{Action, Command, Group, Kind, Perform};
use crate::cli::option::{flag, options, short};
use crate::trace::{self, Tracing};
use crate::{run, signals};

pub const RUN: Command = Command {
    name: "run",
    group: Group::Life,
    usage: "[-b BUNDLE] ID | BUNDLE/",
    arguments: (1, 1),
    takes: &[Kind::Directory],
    help: "Create a container, start it, wait for it and delete it. An argument with a slash is the directory of a bundle; the container then gets a generated id. The exit status is that of the container's process, or 128+N if signal N ended it.",
    details: "The container's init process is a child of this command. The command forwards signals to it and connects its own terminal if the configuration asks for a terminal.\nWithout --detach, the container is deleted and its poststop hooks run when its process has ended. With --detach, this command exits as soon as the program has started, and the caller deletes the container.",
    exit: "That of the container's process, or 128+N if signal N ended it; 1 if it could not be run. With --detach, 0 once the program has started.",
    example: "sudo minirun run bundle/",
    action: Action::of::<Run>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `run`.
    Run {
        bundle: Option<PathBuf> = BUNDLE,
        detach: bool = short('d', flag("detach", "run in the background: exit as soon as the container has started")),
        keep: bool = flag("keep", "keep the container after its process has ended"),
        no_subreaper: bool = flag("no-subreaper", "do not become the subreaper of the container's processes"),
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
        let options = minirun_container::Run {
            create: minirun_container::Create {
                id,
                bundle,
                root_change: root_change_of(self.no_pivot),
                no_new_keyring: self.no_new_keyring,
                preserve_fds: self.preserve_fds.unwrap_or(0),
                pid_file: self.pid_file,
                console_socket: self.console_socket,
                pidfd_socket: self.pidfd_socket,
            },
            stay: stay_of(self.detach),
            orphans: if self.detach || self.no_subreaper { Orphans::Leave } else { Orphans::Adopt },
            keep: self.keep,
        };
        trace::seal()?;
        run::run(&call.globals.runtime()?, &options)
    }
}

pub const CREATE: Command = Command {
    name: "create",
    group: Group::Life,
    usage: "[-b BUNDLE] ID",
    arguments: (1, 1),
    takes: &[Kind::Text],
    help: "Create a container without starting its program.",
    details: "Sets up the namespaces, mounts, cgroup and limits, and runs the hooks that come before the program. The program waits for minirun start. The status is then created.\nAn id has up to 255 letters, digits and characters of _+.- and can be reused after delete.\nThe container inherits standard input, output and error of this command. If it has a terminal, the terminal's master is sent to --console-socket instead.\nThe whole configuration is checked before anything is created. If a later step fails, everything is removed again.",
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
        let options = minirun_container::Create {
            id: call.args[0].clone(),
            bundle: bundle_of(self.bundle),
            root_change: root_change_of(self.no_pivot),
            no_new_keyring: self.no_new_keyring,
            preserve_fds: self.preserve_fds.unwrap_or(0),
            pid_file: self.pid_file,
            console_socket: self.console_socket,
            pidfd_socket: self.pidfd_socket,
        };
        trace::seal()?;
        call.globals.runtime()?.create(&options)?;
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
    details: "Runs the startContainer hooks in the container, executes the program, and runs the poststart hooks on the host. The status must be created, and is then running. This command fails if the program cannot be executed.",
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
        call.globals.runtime()?.container(&call.args[0])?.start()?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const KILL: Command = Command {
    name: "kill",
    group: Group::Life,
    usage: "[-a] ID [SIGNAL]",
    arguments: (1, 2),
    takes: &[Kind::Container, Kind::Signal],
    help: "Send a signal to a container's init process. The signal is a number or a name, with or without SIG (default: SIGTERM).",
    details: "Signal 0 only checks that the init process exists. The init process of a pid namespace receives only signals that it has a handler for, except KILL and STOP, which always work from outside.\nIn a container without its own pid namespace, other processes can outlive the init process, so KILL is sent to all of them.\nIf the container has stopped, the error is that it is not running.",
    exit: ORDINARY,
    example: "sudo minirun kill web HUP",
    action: Action::of::<Kill>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `kill`.
    Kill {
        all: bool = short('a', flag("all", "send the signal to every process of the container")),
    }
}

impl Perform for Kill {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let signal = signals::signal_number(call.args.get(1).map_or("SIGTERM", String::as_str))?;
        let target = if self.all { Target::All } else { Target::Init };
        call.globals.runtime()?.container(&call.args[0])?.kill(signal, target)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const DELETE: Command = Command {
    name: "delete",
    group: Group::Life,
    usage: "[-f] ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Delete a stopped container and everything that was created for it.",
    details: "Removes the cgroup, the state directory and everything else that was created for the container, and runs the poststop hooks. The status must be stopped, or created; --force kills a container in any other status first.\nThis also cleans up after a create that was killed.",
    exit: "0 if the container is completely removed, 1 otherwise. With --force, 0 if the container does not exist.",
    example: "sudo minirun delete web",
    action: Action::of::<Delete>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `delete`.
    Delete {
        force: bool = short('f', flag("force", "kill the container first if it is running; succeed if it does not exist")),
        trace: Option<PathBuf> = TRACE,
        timings: bool = TIMINGS,
    }
}

impl Perform for Delete {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        trace::set_up(&Tracing { file: self.trace, chart: self.timings })?;
        let options = minirun_container::Delete { force: self.force };
        call.globals.runtime()?.container(&call.args[0])?.delete(&options)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const PAUSE: Command = Command {
    name: "pause",
    group: Group::Life,
    usage: "ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Pause every process of a container.",
    details: "The cgroup's freezer stops the processes. They cannot notice or prevent it. The status is then paused.",
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
        call.globals.runtime()?.container(&call.args[0])?.pause()?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const RESUME: Command = Command {
    name: "resume",
    group: Group::Life,
    usage: "ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Resume the processes of a paused container.",
    details: "The status must be paused.",
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
        call.globals.runtime()?.container(&call.args[0])?.resume()?;
        Ok(ExitCode::SUCCESS)
    }
}
