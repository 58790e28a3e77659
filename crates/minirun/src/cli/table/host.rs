//! Commands about bundles, this host and this program.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::shared::{BUNDLE, JSON, NO_NEW_KEYRING, NO_PIVOT, bundle_of};
use super::{ORDINARY, SHELLS};
use crate::cli::command::{Action, Command, Group, Kind, Perform};
use crate::cli::option::{directory, flag, options, short};
use crate::cli::{Call, completion, find, help, man};
use crate::options::PlanOptions;
use crate::report::print;
use crate::template::{self, Whose};
use crate::{check, features, plan};

pub const FEATURES: Command = Command {
    name: "features",
    group: Group::Host,
    usage: "",
    arguments: (0, 0),
    takes: &[],
    help: "Print what this program can do, as the OCI runtime specification has it.",
    details: "The document tells of this program, not of the host: namespaces, capabilities, mount options, \
             hooks and annotations that it knows.",
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
    help: "Write a config.json to start from.",
    details: "A config.json that is there already is not overwritten.\n\
              With --rootless the container has a user namespace, in which root is the one who calls this.",
    exit: "0 when the file was written, 1 otherwise.",
    example: "minirun spec",
    action: Action::of::<Spec>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `spec`.
    Spec {
        bundle: Option<PathBuf> = BUNDLE,
        rootless: bool = flag("rootless", "for a container of an ordinary user"),
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
    help: "Print what create would do with a bundle, step by step, each with the field that asks for it.",
    details: "Nothing is changed, and no container is needed. All problems of the configuration are reported at \
             once, each with the path of its field.\nA bundle without changes has always the same plan on the \
             same host.",
    exit: "0 if the bundle could be run, 1 if it has problems.",
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
        let options = PlanOptions {
            bundle: call.args.first().map_or_else(|| bundle_of(self.bundle), PathBuf::from),
            no_pivot: self.no_pivot,
            no_new_keyring: self.no_new_keyring,
            preserve_fds: 0,
        };
        plan::plan(&call.globals.runtime(), &options, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const CHECK: Command = Command {
    name: "check",
    group: Group::Host,
    usage: "[--json] [BUNDLE]",
    arguments: (0, 1),
    takes: &[Kind::Directory],
    help: "Find out by trying what this host can do, or whether a bundle can run here. What is missing is said with what it \
           is for and what to do about it.",
    details: "Nothing is changed: whatever a trial makes ends with it. As an ordinary user it says what that user can do.\n\
              With a bundle, everything that its plan needs is tried or looked up, and all problems are named at once with \
              their fields.",
    exit: "0 when a default bundle, or the one that was named, can run here, 1 when it cannot.",
    example: "sudo minirun check bundle/",
    action: Action::of::<Check>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `check`.
    Check {
        bundle: Option<PathBuf> = short('b', directory("bundle", "the bundle (default: none, only the host)")),
        json: bool = JSON,
        no_pivot: bool = NO_PIVOT,
        no_new_keyring: bool = NO_NEW_KEYRING,
    }
}

impl Perform for Check {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let plan = call.args.first().map(PathBuf::from).or(self.bundle).map(|bundle| PlanOptions {
            bundle,
            no_pivot: self.no_pivot,
            no_new_keyring: self.no_new_keyring,
            preserve_fds: 0,
        });
        check::check(&call.globals.runtime(), plan.as_ref(), self.json)
    }
}

pub const HELP: Command = Command {
    name: "help",
    group: Group::Host,
    usage: "[COMMAND]",
    arguments: (0, 1),
    takes: &[Kind::Command],
    help: "Print all commands, or one with its options and an example.",
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
    help: "Print a manual page: of a command, or of the whole.",
    details: "The page is written in the macros of man(7), as man -l and mandoc read them.",
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
    help: "Print a script that completes command lines in a shell.",
    details: "Commands, options, their values and the ids of containers are completed; ids are those that the \
             caller's own minirun list --quiet prints, below the --root that was typed.\n\
             bash and fish take the script by source; zsh finds it as the file _minirun in a directory of fpath.",
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
