//! The texts of `--help` and `--version`, made from the table.

use std::fmt::Write as _;

use super::Globals;
use super::command::{Command, Group, Opt};
use super::option::Options as _;
use super::table::COMMANDS;
use minirun_container::SPEC_VERSION;

/// How many columns a text may have.
const WIDTH: usize = 100;
/// Where the descriptions of options begin.
const INDENT: usize = 31;

/// The lines that engines know from runc. The commit comes from `MINIRUN_COMMIT` at build time; without it the
/// version stands there too, for `docker info` shows this line alone.
pub fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let commit = option_env!("MINIRUN_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or(version);
    format!("minirun version {version}\ncommit: {commit}\nspec: {SPEC_VERSION}\n")
}

pub fn overview() -> String {
    let mut text = String::from(
        "minirun executes OCI bundles.\n\nUsage: minirun [OPTIONS] COMMAND ...\n\nExample: sudo minirun run bundle/\n",
    );
    for (group, heading) in Group::ALL {
        let _infallible = writeln!(text, "\n{heading}:");
        for command in COMMANDS.iter().filter(|command| command.group == *group) {
            let _infallible = writeln!(text, "  {:<11} {}", command.name, command.summary());
        }
    }
    text.push_str("\nGlobal options, before the command:\n");
    Globals::ALL.iter().for_each(|option| push_option(&mut text, option));
    push_row(&mut text, "  -v, --version", "print the versions of the program and of the specification");
    push_row(&mut text, "  -h, --help", "print help; after a command, its options and an example");
    text
}

pub fn of_command(command: &Command) -> String {
    let Command { help, exit, example, action, .. } = command;
    let usage = command.synopsis();
    let mut text = format!("{}\n\nUsage: minirun {usage}\n\nExample: {example}\n", wrapped(help, 0));
    if !action.options.is_empty() {
        text.push_str("\nOptions:\n");
        action.options.iter().for_each(|option| push_option(&mut text, option));
    }
    let _infallible = writeln!(text, "\n{}", wrapped(&format!("Exit status: {exit}"), 0));
    text
}

fn push_option(text: &mut String, option: &Opt) {
    let short = option.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
    let value = option.value.map_or(String::new(), |value| format!(" {}", value.name));
    push_row(text, &format!("  {short}--{}{value}", option.long), option.help);
}

/// A row of two columns; the second begins in a line of its own when the first is too long.
fn push_row(text: &mut String, left: &str, right: &str) {
    let gap = if left.len() < INDENT { " ".repeat(INDENT - left.len()) } else { format!("\n{}", " ".repeat(INDENT)) };
    let _infallible = writeln!(text, "{left}{gap}{}", wrapped(right, INDENT));
}

/// A text in lines of at most [`WIDTH`] columns, the second and later ones indented.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = String::new();
    let mut column = indent;
    for word in text.split(' ') {
        if column > indent && column + 1 + word.len() > WIDTH {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += word.len();
    }
    lines
}
