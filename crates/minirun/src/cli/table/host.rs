//! Commands about bundles, this host and this program.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use minirun_container::Create;

use super::shared::{BUNDLE, JSON, NO_NEW_KEYRING, NO_PIVOT, bundle_of, root_change_of};
use super::{ORDINARY, SHELLS};
use crate::cli::command::{Action, Command, Group, Kind, Perform};
use crate::cli::option::{directory, flag, options, short};
use crate::cli::{Call, completion, find, help, man};
use crate::report::print;
use crate::template::{self, Whose};
use crate::{check, features, plan};

pub const FEATURES: Command = Command {
    name: "features",
    group: Group::Host,
    usage: "",
    arguments: (0, 0),
    takes: &[],
    help: "Print the features of this program in the form of the OCI runtime specification.",
    details: "The JSON object lists the namespaces, capabilities, mount options, hooks and annotations that this program supports. It does not depend on the host.",
    exit: ORDINARY,
    example: "minirun features",
    action: Action::of::<Features>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// `features` has no options.
    Features {}
}

impl Perform for Features {
    fn perform(self, _call: &Call) -> Result<ExitCode> {
        features::features()?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const SPEC: Command = Command {
    name: "spec",
    group: Group::Host,
    usage: "[-b BUNDLE] [--rootless]",
    arguments: (0, 0),
    takes: &[],
    help: "Write a template of config.json.",
    details: "Fails if the bundle has a config.json.\nWith --rootless, the container has a user namespace that maps root to the caller.",
    exit: "0 if the file was written, 1 otherwise.",
    example: "minirun spec",
    action: Action::of::<Spec>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `spec`.
    Spec {
        bundle: Option<PathBuf> = BUNDLE,
        rootless: bool = flag("rootless", "for a container that a user other than root runs"),
    }
}

impl Perform for Spec {
    fn perform(self, _call: &Call) -> Result<ExitCode> {
        let whose = if self.rootless { Whose::User } else { Whose::Root };
        template::spec(&bundle_of(self.bundle), whose)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const PLAN: Command = Command {
    name: "plan",
    group: Group::Host,
    usage: "[BUNDLE]",
    arguments: (0, 1),
    takes: &[Kind::Directory],
    help: "Print the steps that create would take for a bundle, each with the field that asks for it.",
    details: "Nothing is changed, and no container is required. All problems of the configuration are reported together, each with the path of its field.\nThe same bundle always has the same plan on the same host.",
    exit: "0 if the bundle has a plan, 1 if it has problems.",
    example: "minirun plan bundle/",
    action: Action::of::<Plan>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `plan`.
    Plan {
        bundle: Option<PathBuf> = BUNDLE,
        json: bool = JSON,
        no_pivot: bool = NO_PIVOT,
        no_new_keyring: bool = NO_NEW_KEYRING,
    }
}

impl Perform for Plan {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let options = Create {
            id: "ID".to_owned(),
            bundle: call.args.first().map_or_else(|| bundle_of(self.bundle), PathBuf::from),
            root_change: root_change_of(self.no_pivot),
            no_new_keyring: self.no_new_keyring,
            ..Create::default()
        };
        plan::plan(&call.globals.runtime()?, &options, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const CHECK: Command = Command {
    name: "check",
    group: Group::Host,
    usage: "[--json] [BUNDLE]",
    arguments: (0, 1),
    takes: &[Kind::Directory],
    help: "Check what this host supports, or whether a bundle can run here. Each problem is reported with what it affects and how to solve it.",
    details: "The host is tested by trying: each trial runs in a child process and leaves nothing behind. The result is about the user who runs the command.\nWith a bundle, everything that its plan requires is tried or looked up. All problems are reported together, each with its field.",
    exit: "0 if the given bundle, or a default one, can run here, 1 if not.",
    example: "sudo minirun check bundle/",
    action: Action::of::<Check>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `check`.
    Check {
        bundle: Option<PathBuf> = short('b', directory("bundle", "directory of the bundle (default: none, check only the host)")),
        json: bool = JSON,
        no_pivot: bool = NO_PIVOT,
        no_new_keyring: bool = NO_NEW_KEYRING,
    }
}

impl Perform for Check {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let plan = call.args.first().map(PathBuf::from).or(self.bundle).map(|bundle| Create {
            id: format!("check-{}", std::process::id()),
            bundle,
            root_change: root_change_of(self.no_pivot),
            no_new_keyring: self.no_new_keyring,
            ..Create::default()
        });
        check::check(&call.globals.runtime()?, plan.as_ref(), self.json)
    }
}

pub const HELP: Command = Command {
    name: "help",
    group: Group::Host,
    usage: "[COMMAND]",
    arguments: (0, 1),
    takes: &[Kind::Command],
    help: "Print the list of commands, or the options of one command with an example.",
    details: "The same as --help before or after a command.",
    exit: ORDINARY,
    example: "minirun help run",
    action: Action::of::<Help>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// `help` has no options.
    Help {}
}

impl Perform for Help {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        print(&match call.args.first() {
            None => help::overview(),
            Some(name) => help::of_command(find(name)?),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const MAN: Command = Command {
    name: "man",
    group: Group::Host,
    usage: "[COMMAND]",
    arguments: (0, 1),
    takes: &[Kind::Command],
    help: "Print the manual page of minirun, or of one command.",
    details: "The page is written in the macros of man(7). man -l and mandoc can show it.",
    exit: ORDINARY,
    example: "minirun man run | man -l -",
    action: Action::of::<Man>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// `man` has no options.
    Man {}
}

impl Perform for Man {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        print(&match call.args.first() {
            None => man::overview(),
            Some(name) => man::of_command(find(name)?),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const COMPLETION: Command = Command {
    name: "completion",
    group: Group::Host,
    usage: "bash|zsh|fish",
    arguments: (1, 1),
    takes: &[Kind::Choice(SHELLS)],
    help: "Print a completion script for a shell.",
    details: "The script completes commands, options, their values and the ids of containers. It gets ids from minirun list --quiet, with the --root on the command line.\nIn bash and fish, source the script. In zsh, save it as _minirun in a directory of fpath.",
    exit: ORDINARY,
    example: "source <(minirun completion bash)",
    action: Action::of::<Completion>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// `completion` has no options.
    Completion {}
}

impl Perform for Completion {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        print(&completion::script(&call.args[0])?)?;
        Ok(ExitCode::SUCCESS)
    }
}
