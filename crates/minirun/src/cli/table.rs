//! The commands: each with its texts, the struct of its options, and how that becomes the options of an operation.
//!
//! The parser, the help, the completions and the manual pages are made from this table.

#[cfg(feature = "images")]
mod bundle;
mod host;
#[cfg(feature = "images")]
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
    #[cfg(feature = "images")]
    bundle::BUNDLE,
    #[cfg(feature = "images")]
    image::DIFF,
    #[cfg(feature = "images")]
    image::COMMIT,
    #[cfg(feature = "images")]
    image::IMAGE,
    host::FEATURES,
    host::SPEC,
    host::PLAN,
    host::CHECK,
    host::HELP,
    host::MAN,
    host::COMPLETION,
];

/// Commands that other builds have, with what this one lacks.
pub const ABSENT: &[(&str, &str)] = if cfg!(feature = "images") {
    &[]
} else {
    const IMAGES: &str = "this build has no image commands";
    &[("bundle", IMAGES), ("diff", IMAGES), ("commit", IMAGES), ("image", IMAGES)]
};

/// Those that completions are made for.
pub const SHELLS: &[&str] = &["bash", "zsh", "fish"];
