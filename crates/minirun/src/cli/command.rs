//! What a command and an option are: the columns of the table.

use std::process::ExitCode;

use anyhow::Result;

use super::Call;
use super::option::Options;

/// The meaning of a word of the command line, by which shells complete it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Text,
    /// A decimal number, or a size with its unit.
    Number,
    /// The path of a file or socket.
    File,
    /// The path of a directory.
    Directory,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The id of a container that is there.
    Container,
    /// A signal's name.
    Signal,
    /// The name of a command of this program.
    Command,
}

/// The value of an option.
#[derive(Debug, Clone, Copy)]
pub struct Value {
    /// Its name in help texts.
    pub name: &'static str,
    pub kind: Kind,
}

/// An option, as it is spelt and described.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    pub long: &'static str,
    pub short: Option<char>,
    /// None for a flag.
    pub value: Option<Value>,
    pub help: &'static str,
}

impl Opt {
    /// Whether this spelling, with its dashes, is one of this option.
    pub fn is(&self, spelling: &str) -> bool {
        match spelling.strip_prefix("--") {
            Some(name) => name == self.long,
            None => spelling.strip_prefix('-').is_some_and(|letter| letter.chars().next() == self.short),
        }
    }

    /// Returns its spellings: the letter first, if it has one.
    pub fn spellings(&self) -> Vec<String> {
        self.short.map(|letter| format!("-{letter}")).into_iter().chain([format!("--{}", self.long)]).collect()
    }
}

/// The part of the overview that a command is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Life,
    Inside,
    Looking,
    #[cfg(feature = "images")]
    Images,
    Host,
}

impl Group {
    /// The groups with their headings, in the order of the overview.
    pub const ALL: &[(Group, &'static str)] = &[
        (Group::Life, "Lifecycle"),
        (Group::Inside, "Processes"),
        (Group::Looking, "Inspection"),
        #[cfg(feature = "images")]
        (Group::Images, "Images"),
        (Group::Host, "Bundles, host and program"),
    ];
}

/// A command.
#[derive(Debug)]
pub struct Command {
    pub name: &'static str,
    pub group: Group,
    /// Its arguments, for the usage line.
    pub usage: &'static str,
    /// The least and the greatest number of arguments.
    pub arguments: (usize, usize),
    /// The kinds of its first arguments, in their order.
    pub takes: &'static [Kind],
    /// The first sentence stands in the overview.
    pub help: &'static str,
    /// The rest of the description on its manual page, a paragraph a line.
    pub details: &'static str,
    /// Its exit statuses.
    pub exit: &'static str,
    pub example: &'static str,
    pub action: Action,
    /// Whether everything after the first argument belongs to another program.
    pub passes_on: bool,
    /// The exit status of a failure.
    pub failure: u8,
}

/// The options of a command, and the function that reads and obeys them.
#[derive(Debug)]
pub struct Action {
    pub options: &'static [&'static Opt],
    pub run: fn(&Call) -> Result<ExitCode>,
}

/// The options of a command, and its work.
pub trait Perform: Options {
    fn perform(self, call: &Call) -> Result<ExitCode>;
}

impl Action {
    /// Returns the action of a command that reads `T`. It cannot read an option that `T` does not declare.
    pub const fn of<T: Perform>() -> Action {
        Action { options: T::ALL, run: run::<T> }
    }
}

fn run<T: Perform>(call: &Call) -> Result<ExitCode> {
    T::read(&call.given)?.perform(call)
}

impl Command {
    /// Returns its purpose: the first sentence of the help, without a full stop.
    pub fn summary(&self) -> &'static str {
        let end = self.help.find([':', ';']).into_iter().chain(self.help.find(". ")).min().unwrap_or(self.help.len());
        self.help[..end].trim_end_matches('.')
    }

    /// Returns its usage line, without the name of the program.
    pub fn synopsis(&self) -> String {
        format!("{} {}", self.name, self.usage).trim_end().to_owned()
    }
}
