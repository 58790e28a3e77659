//! The texts of `--help` and `--version`, made from the table.

use std::fmt::Write as _;

use super::table::{COMMANDS, Command, GLOBALS, Opt};

/// The newest version of the specification that is implemented.
pub const SPEC_VERSION: &str = "1.3.0";

pub fn version() -> String {
    format!("minirun version {}\nspec: {SPEC_VERSION}\n", env!("CARGO_PKG_VERSION"))
}

pub fn overview() -> String {
    let mut text = String::from(
        "minirun executes OCI bundles.\n\nUsage: minirun [OPTIONS] COMMAND ...\n\nExample: sudo minirun run bundle/\n\nCommands:\n",
    );
    for command in COMMANDS {
        let first = command.help.split_inclusive(['.', ':']).next().unwrap_or(command.help).trim_end_matches(':');
        let _infallible = writeln!(text, "  {:<8} {first}", command.name);
    }
    text.push_str("\nOptions:\n");
    GLOBALS.iter().for_each(|option| push_option(&mut text, option));
    text.push_str("  -v, --version\n  -h, --help               also after a command, for its options and an example\n");
    text
}

pub fn of_command(command: &Command) -> String {
    let Command { name, usage, help, example, options, .. } = command;
    let mut text = format!("{help}\n\nUsage: minirun {name} {usage}\n\nExample: {example}\n");
    if !options.is_empty() {
        text.push_str("\nOptions:\n");
        options.iter().for_each(|option| push_option(&mut text, option));
    }
    text
}

fn push_option(text: &mut String, option: &Opt) {
    let short = option.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
    let long = format!("--{}{}", option.long, option.value.map_or(String::new(), |value| format!(" {value}")));
    let _infallible = writeln!(text, "  {short}{long:<20} {}", option.help);
}
