//! The command line: one table of commands and options, from which the parser, the help, the manual pages and the
//! completions are made.
//!
//! The rules are those that engines rely on: global options come before the command, a repeated option counts as given
//! last, a long option may have one dash or two, and its value follows after `=` or as the next word. Options may also
//! follow the arguments, as in runc (`kill ID --all`); only in `exec` and `ps` the first argument ends them.

mod command;
mod completion;
mod duration;
mod globals;
mod help;
mod ids;
mod man;
mod option;
mod size;
mod table;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use lexopt::{Arg, Parser};

pub use command::Command;
use command::{Kind, Opt};
pub use globals::Globals;
use option::{Given, Options as _};
use table::{ABSENT, COMMANDS};

/// The outcome of reading a part of the command line.
pub enum Asked<T> {
    /// A text to print, such as help or the version.
    Text(String),
    /// The next stage.
    Todo(T),
}

/// A command line that is read up to the name of the command.
pub struct Line {
    pub globals: Globals,
    name: String,
    rest: Parser,
    /// The first error in the global options.
    wrong: Option<anyhow::Error>,
}

/// A command with its options and arguments.
#[derive(Debug)]
pub struct Call {
    pub globals: Globals,
    pub command: &'static Command,
    given: Given,
    /// The words that are not options.
    pub args: Vec<String>,
}

impl Call {
    /// Carries the command out.
    pub fn run(&self) -> Result<ExitCode> {
        (self.command.action.run)(self)
    }
}

/// Reads the words after the program's name, up to the command's own. Messages about what follows can then go to the log,
/// and so can one about an option before it: engines show of their runtime's messages only those in the log.
pub fn read(words: impl Iterator<Item = OsString>) -> Result<Asked<Line>> {
    let mut rest = Parser::from_args(words);
    let mut given = Given::default();
    let mut wrong = None;
    loop {
        match next(&mut rest)? {
            None => return wrong.map_or_else(|| Ok(Asked::Text(help::overview())), Err),
            Some(Met::Argument(name)) => {
                let name = name.to_string_lossy().into_owned();
                let globals = Globals::read(&given)?;
                return Ok(Asked::Todo(Line { globals, name, rest, wrong }));
            }
            Some(Met::Option(spelling, value)) => match spelling.as_str() {
                "--help" | "-h" if wrong.is_none() => return Ok(Asked::Text(help::overview())),
                "--version" | "-v" if wrong.is_none() => return Ok(Asked::Text(help::version())),
                _ => {
                    let taken = take_option(&mut rest, &spelling, value, None, &mut given);
                    wrong = wrong.or(taken.err());
                }
            },
        }
    }
}

impl Line {
    /// Reads the command's options and arguments.
    pub fn call(mut self) -> Result<Asked<Call>> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let command = find(&self.name).map_err(|error| probed(&self.name, &mut self.rest).unwrap_or(error))?;
        let mut given = Given::default();
        let mut args = Vec::new();
        loop {
            match next(&mut self.rest)? {
                None => break,
                Some(Met::Argument(arg)) => {
                    args.push(arg.to_string_lossy().into_owned());
                    if command.passes_on {
                        // What follows the id belongs to the program in the container, whatever it looks like.
                        args.extend(self.rest.raw_args()?.map(|arg| arg.to_string_lossy().into_owned()));
                    }
                }
                Some(Met::Option(spelling, _)) if spelling == "--help" || spelling == "-h" => {
                    return Ok(Asked::Text(help::of_command(command)));
                }
                Some(Met::Option(spelling, value)) => {
                    take_option(&mut self.rest, &spelling, value, Some(command), &mut given)?;
                }
            }
        }
        check_count(command, args.len())?;
        Ok(Asked::Todo(Call { globals: self.globals, command, given, args }))
    }
}

fn find(name: &str) -> Result<&'static Command> {
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        if let Some((_, why)) = ABSENT.iter().find(|(absent, _)| *absent == name) {
            bail!("no such command: {name:?} ({why})");
        }
        match nearest(name, COMMANDS.iter().map(|command| command.name.to_owned())) {
            Some(near) => bail!("no such command: {name:?} (did you mean {near:?}?)"),
            None => bail!("no such command: {name:?} (minirun --help lists them)"),
        }
    };
    Ok(command)
}

/// The answers to engines that ask for checkpoints by calling `checkpoint --help`, whose success would say that there are
/// some, and `restore --lsm-mount-context`, where to miss a value would say that a pod's can be restored.
fn probed(name: &str, rest: &mut Parser) -> Option<anyhow::Error> {
    if name != "checkpoint" && name != "restore" {
        return None;
    }
    let _all = rest.try_raw_args()?;
    Some(anyhow!("{name} is not supported: minirun has no checkpoints"))
}

/// The next thing on the command line.
enum Met {
    /// An option by its spelling, with a value that was joined to it by `=` after one dash.
    Option(String, Option<OsString>),
    Argument(OsString),
}

fn next(parser: &mut Parser) -> Result<Option<Met>> {
    // `-no-pivot` is `--no-pivot`: Go's flag package takes both, and engines use both.
    if let Some(mut words) = parser.try_raw_args()
        && let Some((name, value)) = words.peek().and_then(long_after_one_dash)
    {
        words.next();
        return Ok(Some(Met::Option(format!("--{name}"), value)));
    }
    Ok(parser.next()?.map(|arg| match arg {
        Arg::Long(name) => Met::Option(format!("--{name}"), None),
        Arg::Short(letter) => Met::Option(format!("-{letter}"), None),
        Arg::Value(value) => Met::Argument(value),
    }))
}

/// The name of a long option that is written with one dash, and the value that is joined to it.
fn long_after_one_dash(word: &OsStr) -> Option<(&'static str, Option<OsString>)> {
    let text = word.to_str()?.strip_prefix('-').filter(|rest| rest.len() > 1)?;
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let options =
        COMMANDS.iter().flat_map(|command| command.action.options).chain(Globals::ALL).map(|option| option.long);
    let known = options.chain(["help", "version"]).find(|known| *known == name)?;
    Some((known, value.map(OsString::from)))
}

/// Takes the option that the parser has just met, with its value.
fn take_option(
    parser: &mut Parser,
    met: &str,
    joined: Option<OsString>,
    command: Option<&Command>,
    given: &mut Given,
) -> Result<()> {
    let known: &[&Opt] = command.map_or(Globals::ALL, |command| command.action.options);
    let Some(option) = known.iter().find(|option| option.is(met)) else {
        let hint = command.map_or("minirun --help".to_owned(), |command| format!("minirun {} --help", command.name));
        match nearest(met, known.iter().map(|option| format!("--{}", option.long))) {
            Some(near) => bail!("flag provided but not defined: {met} (did you mean {near}? {hint} lists them)"),
            None => bail!("flag provided but not defined: {met} ({hint} lists them)"),
        }
    };
    if let Some(value) = &option.value {
        let text = match joined {
            Some(text) => text,
            None => parser.value().map_err(|_| anyhow!("flag needs an argument: {met}"))?,
        };
        if let Kind::Choice(words) = value.kind
            && !text.is_empty()
            && !words.iter().any(|word| text == *word)
        {
            bail!("invalid value {text:?} for {met} (expected one of {})", words.join(", "));
        }
        given.0.push((option.long, Some(text)));
        return Ok(());
    }
    match joined.or_else(|| parser.optional_value()) {
        Some(value) if value == "false" => given.0.retain(|(name, _)| *name != option.long),
        Some(value) if value != "true" => bail!("invalid boolean value {value:?} for {met}"),
        _ => given.0.push((option.long, None)),
    }
    Ok(())
}

/// Returns the nearest known word: at most two letters are missing, changed or exchanged, and more than half are right.
fn nearest(word: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let distances = known.map(|known| (strsim::osa_distance(word, &known), known));
    let near =
        distances.filter(|(distance, known)| *distance <= 2 && distance * 2 < known.trim_start_matches('-').len());
    near.min().map(|(_, known)| known)
}

/// In runc's words.
fn check_count(command: &Command, count: usize) -> Result<()> {
    let (least, most) = command.arguments;
    let asked = match (least, most) {
        _ if (least..=most).contains(&count) => return Ok(()),
        (least, most) if least == most => format!("exactly {least}"),
        (least, _) if count < least => format!("a minimum of {least}"),
        (_, most) => format!("a maximum of {most}"),
    };
    bail!("{:?} requires {asked} argument(s) (usage: minirun {})", command.name, command.synopsis())
}

#[cfg(test)]
mod tests;
