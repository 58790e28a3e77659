//! Scripts that complete command lines in a shell, made from the table.

mod bash;
mod fish;
mod zsh;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::Globals;
use super::command::{Command, Opt};
use super::option::Options as _;
use super::table::SHELLS;

/// The script for a shell.
pub fn script(shell: &str) -> Result<String> {
    match shell {
        "bash" => Ok(bash::script()),
        "zsh" => Ok(zsh::script()),
        "fish" => Ok(fish::script()),
        _ => bail!("no completions for {shell:?} (expected one of {})", SHELLS.join(", ")),
    }
}

/// The names of signals as people type them.
fn signals() -> String {
    Signal::iterator().map(|signal| signal.as_str().trim_start_matches("SIG")).collect::<Vec<_>>().join(" ")
}

/// The options of a command and the one that all of them have.
fn options(command: &Command) -> impl Iterator<Item = &Opt> {
    const HELP: &[Opt] = &[Opt { long: "help", short: Some('h'), value: None, help: "print help with an example" }];
    command.action.options.iter().copied().chain(HELP)
}

/// The options before the command.
fn globals() -> impl Iterator<Item = &'static Opt> {
    const TEXTS: &[Opt] = &[
        Opt { long: "version", short: Some('v'), value: None, help: "print the version" },
        Opt { long: "help", short: Some('h'), value: None, help: "print help" },
    ];
    Globals::ALL.iter().copied().chain(TEXTS)
}

/// A text within single quotes, as bash and zsh read it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
