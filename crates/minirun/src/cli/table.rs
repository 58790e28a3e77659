//! The commands: each with its texts, the struct of its options, and how that becomes the options of an operation.
//!
//! The parser, the help, the completions and the manual pages are made from this table.

mod bundle;
mod host;
mod image;
mod inside;
mod life;
mod looking;
mod shared;
mod update;

use super::command::Command;

/// The exit statuses of most commands.
pub const ORDINARY: &str = "0 on success, 1 on failure.";

/// Every command, in the order of the help.
pub const COMMANDS: &[Command] = &[
    life::RUN,
    life::CREATE,
    inside::EXEC,
    life::START,
    looking::STATE,
    life::KILL,
    life::DELETE,
    looking::LIST,
    life::PAUSE,
    life::RESUME,
    inside::PS,
    update::UPDATE,
    looking::EVENTS,
    bundle::BUNDLE,
    image::DIFF,
    image::COMMIT,
    image::IMAGE,
    host::FEATURES,
    host::SPEC,
    host::PLAN,
    host::CHECK,
    host::HELP,
    host::MAN,
    host::COMPLETION,
];

/// Those that completions are made for.
pub const SHELLS: &[&str] = &["bash", "zsh", "fish"];
