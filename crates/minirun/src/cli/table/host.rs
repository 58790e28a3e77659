//! Commands about bundles, this host and this program.

use super::{ORDINARY, SHELLS};
use crate::cli::command::{Command, Group, Kind};
use crate::cli::option::{BUNDLE, NO_NEW_KEYRING, NO_PIVOT, directory, flag, short};

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
    options: &[],
    passes_on: false,
};

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
    options: &[BUNDLE, flag("rootless", "for a container of an ordinary user")],
    passes_on: false,
};

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
    options: &[BUNDLE, flag("json", "as JSON"), NO_PIVOT, NO_NEW_KEYRING],
    passes_on: false,
};

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
    options: &[
        short('b', directory("bundle", "the bundle (default: none, only the host)")),
        flag("json", "as JSON"),
        NO_PIVOT,
        NO_NEW_KEYRING,
    ],
    passes_on: false,
};

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
    options: &[],
    passes_on: false,
};

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
    options: &[],
    passes_on: false,
};

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
    options: &[],
    passes_on: false,
};
