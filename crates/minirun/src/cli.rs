//! The command line: one table of commands and options, from which it is parsed and the help is printed.
//!
//! The rules are those that engines rely on: global options come before the command, a repeated option counts as given
//! last, a long option may have one dash or two, and its value follows after `=` or as the next word.

mod duration;
mod help;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use lexopt::{Arg, Parser};

pub use help::SPEC_VERSION;
pub use table::Command;
use table::{COMMANDS, GLOBALS, Opt};

/// What the command line asks for.
pub enum Asked {
    /// A text: help or the version.
    Text(String),
    /// Something to do.
    Call(Call),
}

/// Options that come before the command.
#[derive(Debug, Default)]
pub struct Globals {
    given: Given,
}

/// A command with its options and arguments.
#[derive(Debug)]
pub struct Call {
    pub globals: Globals,
    pub command: &'static Command,
    given: Given,
    /// What is not an option.
    pub args: Vec<String>,
}

/// Options as they were given, in their order.
#[derive(Debug, Default)]
struct Given(Vec<(&'static str, Option<OsString>)>);

impl Given {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| *given == name)
    }

    fn last(&self, name: &str) -> Option<&OsString> {
        self.0.iter().rev().find(|(given, _)| *given == name).and_then(|(_, value)| value.as_ref())
    }
}

impl Globals {
    /// Was this option given?
    pub fn has(&self, name: &str) -> bool {
        self.given.has(name)
    }

    /// Its value, as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.given.last(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// Its value, as an absolute path: it counts from where the caller stands.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        absolute(self.given.last(name)?)
    }
}

impl Call {
    /// Was this option of the command given?
    pub fn has(&self, name: &str) -> bool {
        self.given.has(name)
    }

    /// Its value, as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.given.last(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// Its values, of an option that may be given several times.
    pub fn all(&self, name: &str) -> Vec<String> {
        let given = self.given.0.iter().filter(|(given, _)| *given == name);
        given.filter_map(|(_, value)| Some(value.as_ref()?.to_string_lossy().into_owned())).collect()
    }

    /// Its value, as an absolute path: it counts from where the caller stands.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        absolute(self.given.last(name)?)
    }

    /// Its value, as a number.
    pub fn number(&self, name: &str) -> Result<Option<u32>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().with_context(|| format!("invalid value {text:?} for --{name}"))?;
        Ok(Some(number))
    }

    /// Its value, as a duration.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        duration::parse(&text).map(Some).with_context(|| format!("--{name}"))
    }
}

fn absolute(value: &OsString) -> Option<PathBuf> {
    (!value.is_empty()).then(|| std::path::absolute(value).unwrap_or_else(|_| PathBuf::from(value)))
}

/// Reads the words after the program's name.
pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Asked> {
    let words: Vec<OsString> = words.map(with_two_dashes).collect();
    let mut parser = Parser::from_args(words);
    let mut globals = Globals::default();
    let name = loop {
        match parser.next()? {
            None => return Ok(Asked::Text(help::overview())),
            Some(Arg::Value(name)) => break name.to_string_lossy().into_owned(),
            Some(Arg::Long("help") | Arg::Short('h')) => return Ok(Asked::Text(help::overview())),
            Some(Arg::Long("version") | Arg::Short('v')) => return Ok(Asked::Text(help::version())),
            Some(option) => {
                let met = spelling(&option);
                take_option(&mut parser, &met, GLOBALS, "", &mut globals.given)?;
            }
        }
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        // Engines ask `checkpoint --help` whether there are checkpoints: success would say yes.
        if name == "checkpoint" || name == "restore" {
            bail!("{name} is not supported: minirun has no checkpoints");
        }
        if name == "help" {
            return Ok(Asked::Text(help::overview()));
        }
        bail!("no such command: {name:?} (minirun --help lists them)");
    };
    let mut given = Given::default();
    let mut args = Vec::new();
    loop {
        match parser.next()? {
            None => break,
            Some(Arg::Value(arg)) => {
                args.push(arg.to_string_lossy().into_owned());
                if command.passes_on {
                    // What follows the id belongs to the program in the container, whatever it looks like.
                    args.extend(parser.raw_args()?.map(|arg| arg.to_string_lossy().into_owned()));
                }
            }
            Some(Arg::Long("help") | Arg::Short('h')) => return Ok(Asked::Text(help::of_command(command))),
            Some(option) => {
                let met = spelling(&option);
                take_option(&mut parser, &met, command.options, command.name, &mut given)?;
            }
        }
    }
    check_count(command, args.len())?;
    Ok(Asked::Call(Call { globals, command, given, args }))
}

/// An option as it stands on the command line.
fn spelling(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Long(name) => format!("--{name}"),
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Value(value) => value.to_string_lossy().into_owned(),
    }
}

/// Takes the option that the parser has just met, with its value.
fn take_option(parser: &mut Parser, met: &str, known: &[Opt], command: &str, given: &mut Given) -> Result<()> {
    let Some(option) = known.iter().find(|option| option.is(met)) else {
        let hint = if command.is_empty() { "minirun --help".to_owned() } else { format!("minirun {command} --help") };
        bail!("flag provided but not defined: {met} ({hint} lists them)");
    };
    if option.value.is_some() {
        let value = parser.value().map_err(|_| anyhow!("flag needs an argument: {met}"))?;
        given.0.push((option.long, Some(value)));
        return Ok(());
    }
    match parser.optional_value() {
        Some(value) if value == "false" => given.0.retain(|(name, _)| *name != option.long),
        Some(value) if value != "true" => bail!("invalid boolean value {value:?} for {met}"),
        _ => given.0.push((option.long, None)),
    }
    Ok(())
}

/// `-no-pivot` is `--no-pivot`: Go's flag package takes both, and engines use both.
fn with_two_dashes(word: OsString) -> OsString {
    let Some(text) = word.to_str() else { return word };
    let Some(name) = text.strip_prefix('-').filter(|rest| rest.len() > 1 && !rest.starts_with('-')) else {
        return word;
    };
    let name = name.split('=').next().unwrap_or(name);
    let known = COMMANDS.iter().flat_map(|command| command.options).chain(GLOBALS).any(|option| option.long == name);
    if known || name == "help" || name == "version" { OsString::from(format!("-{text}")) } else { word }
}

/// In runc's words.
fn check_count(command: &Command, count: usize) -> Result<()> {
    let (least, most) = command.arguments;
    if count < least && least != most {
        bail!("{:?} requires a minimum of {least} argument(s)", command.name);
    }
    if count < least || (count > most && least == most) {
        bail!("{:?} requires exactly {least} argument(s)", command.name);
    }
    if count > most {
        bail!("{:?} requires a maximum of {most} argument(s)", command.name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(words: &[&str]) -> Result<Call> {
        match parse(words.iter().map(OsString::from))? {
            Asked::Call(call) => Ok(call),
            Asked::Text(text) => bail!("help: {text}"),
        }
    }

    #[test]
    fn engines_spellings_are_understood() {
        let words =
            ["--root", "/a", "--root=/b", "--log-format", "json", "create", "-bundle", "/x", "--pid-file=/p", "c1"];
        let call = call(&words).unwrap();
        assert_eq!(call.globals.text("root").as_deref(), Some("/b"));
        assert_eq!(call.text("bundle").as_deref(), Some("/x"));
        assert_eq!(call.text("pid-file").as_deref(), Some("/p"));
        assert_eq!(call.args, ["c1"]);
    }

    #[test]
    fn flags_can_be_switched_off_by_name() {
        assert!(!call(&["run", "--keep", "--keep=false", "c1"]).unwrap().has("keep"));
        assert!(call(&["run", "-no-pivot", "c1"]).unwrap().has("no-pivot"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, expected) in [
            (&["state"][..], "\"state\" requires exactly 1 argument(s)"),
            (&["kill"], "\"kill\" requires a minimum of 1 argument(s)"),
            (&["state", "--nope", "c"], "flag provided but not defined: --nope (minirun state --help lists them)"),
            (&["create", "--bundle"], "flag needs an argument: --bundle"),
            (&["frobnicate"], "no such command: \"frobnicate\" (minirun --help lists them)"),
        ] {
            assert_eq!(call(words).unwrap_err().to_string(), expected);
        }
    }
}
