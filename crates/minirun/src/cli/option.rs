//! Options: each is a constant that knows the type of its value. The struct that it is read into declares it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::command::{Kind, Opt, Value};
use super::{duration, size};

/// Options as they were given, in their order.
#[derive(Debug, Default)]
pub struct Given(pub(super) Vec<(&'static str, Option<OsString>)>);

impl Given {
    pub fn has(&self, option: &Opt) -> bool {
        self.0.iter().any(|(given, _)| *given == option.long)
    }

    /// Returns the value that counts: the last one.
    fn last(&self, option: &Opt) -> Option<&OsString> {
        self.0.iter().rev().find(|(given, _)| *given == option.long).and_then(|(_, value)| value.as_ref())
    }

    fn text(&self, option: &Opt) -> Option<String> {
        self.last(option).map(|value| value.to_string_lossy().into_owned())
    }
}

/// An option whose value is a `T`.
#[derive(Debug, Clone, Copy)]
pub struct Typed<T> {
    pub opt: Opt,
    read: fn(&Opt, &Given) -> Result<T>,
}

impl<T> Typed<T> {
    pub fn read(&self, given: &Given) -> Result<T> {
        (self.read)(&self.opt, given)
    }
}

/// A struct with a field for each option of a command.
pub trait Options: Sized {
    const ALL: &'static [&'static Opt];

    fn read(given: &Given) -> Result<Self>;
}

/// Declares a struct and its options: `field: Type = option`, in the order of the help.
macro_rules! options {
    ($(#[$about:meta])* $name:ident { $($field:ident: $kind:ty = $option:expr,)* }) => {
        $(#[$about])*
        #[derive(Debug)]
        pub struct $name {
            $(pub $field: $kind,)*
        }

        impl $crate::cli::option::Options for $name {
            const ALL: &'static [&'static $crate::cli::command::Opt] = &[$({
                const OPTION: $crate::cli::option::Typed<$kind> = $option;
                &OPTION.opt
            }),*];

            fn read(_given: &$crate::cli::option::Given) -> anyhow::Result<Self> {
                Ok($name {
                    $($field: {
                        const OPTION: $crate::cli::option::Typed<$kind> = $option;
                        OPTION.read(_given)?
                    },)*
                })
            }
        }
    };
}
pub(super) use options;

const fn valued<T>(
    long: &'static str,
    name: &'static str,
    kind: Kind,
    help: &'static str,
    read: fn(&Opt, &Given) -> Result<T>,
) -> Typed<T> {
    Typed { opt: Opt { long, short: None, value: Some(Value { name, kind }), help }, read }
}

/// An option without a value.
pub const fn flag(long: &'static str, help: &'static str) -> Typed<bool> {
    Typed { opt: Opt { long, short: None, value: None, help }, read: |opt, given| Ok(given.has(opt)) }
}

pub const fn text(long: &'static str, name: &'static str, help: &'static str) -> Typed<Option<String>> {
    valued(long, name, Kind::Text, help, |opt, given| Ok(given.text(opt)))
}

/// An option that may be given several times: its values in their order.
pub const fn texts(long: &'static str, name: &'static str, help: &'static str) -> Typed<Vec<String>> {
    valued(long, name, Kind::Text, help, read_all)
}

fn read_all(opt: &Opt, given: &Given) -> Result<Vec<String>> {
    let values = given.0.iter().filter(|(given, _)| *given == opt.long);
    Ok(values.filter_map(|(_, value)| Some(value.as_ref()?.to_string_lossy().into_owned())).collect())
}

/// A decimal number.
pub const fn number<T: FromStr>(long: &'static str, name: &'static str, help: &'static str) -> Typed<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    valued(long, name, Kind::Number, help, read_number)
}

fn read_number<T: FromStr>(opt: &Opt, given: &Given) -> Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let Some(text) = given.text(opt) else { return Ok(None) };
    let number = text.parse().with_context(|| format!("invalid value {text:?} for --{}", opt.long))?;
    Ok(Some(number))
}

/// A number of bytes with its unit, or -1.
pub const fn bytes(long: &'static str, name: &'static str, help: &'static str) -> Typed<Option<i64>> {
    valued(long, name, Kind::Number, help, |opt, given| {
        let Some(text) = given.text(opt) else { return Ok(None) };
        size::bytes_of(&text).map(Some).with_context(|| format!("--{}", opt.long))
    })
}

/// A positive number of bytes with its unit.
#[cfg(feature = "images")]
pub const fn size(long: &'static str, name: &'static str, help: &'static str) -> Typed<Option<u64>> {
    valued(long, name, Kind::Number, help, |opt, given| {
        let Some(text) = given.text(opt) else { return Ok(None) };
        let bytes = size::bytes_of(&text).with_context(|| format!("--{}", opt.long))?;
        match u64::try_from(bytes) {
            Ok(bytes) if bytes > 0 => Ok(Some(bytes)),
            _ => anyhow::bail!(
                "--{}: invalid size {text:?} (expected a positive number with an optional suffix k, m, g or t)",
                opt.long
            ),
        }
    })
}

pub const fn duration(long: &'static str, name: &'static str, help: &'static str) -> Typed<Option<Duration>> {
    valued(long, name, Kind::Text, help, |opt, given| {
        let Some(text) = given.text(opt) else { return Ok(None) };
        duration::parse(&text).map(Some).with_context(|| format!("--{}", opt.long))
    })
}

/// A path, made absolute from the caller's working directory. An empty one counts as not given.
pub const fn file(long: &'static str, name: &'static str, help: &'static str) -> Typed<Option<PathBuf>> {
    valued(long, name, Kind::File, help, read_path)
}

pub const fn directory(long: &'static str, help: &'static str) -> Typed<Option<PathBuf>> {
    valued(long, "DIR", Kind::Directory, help, read_path)
}

fn read_path(opt: &Opt, given: &Given) -> Result<Option<PathBuf>> {
    Ok(given.last(opt).filter(|value| !value.is_empty()).map(|value| {
        // accepts: any error; without a working directory a relative path stays.
        std::path::absolute(value).unwrap_or_else(|_| PathBuf::from(value))
    }))
}

/// A file or another destination, as it was written.
pub const fn place(long: &'static str, name: &'static str, help: &'static str) -> Typed<Option<OsString>> {
    valued(long, name, Kind::File, help, |opt, given| Ok(given.last(opt).cloned()))
}

/// One of these words, or an empty one.
pub const fn choice(
    long: &'static str,
    name: &'static str,
    words: &'static [&'static str],
    help: &'static str,
) -> Typed<Option<String>> {
    valued(long, name, Kind::Choice(words), help, |opt, given| Ok(given.text(opt)))
}

/// An option whose value is ignored.
pub const fn ignored(long: &'static str, name: &'static str, help: &'static str) -> Typed<bool> {
    valued(long, name, Kind::Number, help, |opt, given| Ok(given.has(opt)))
}

/// Returns the option with a letter.
pub const fn short<T>(letter: char, option: Typed<T>) -> Typed<T> {
    Typed { opt: Opt { short: Some(letter), ..option.opt }, read: option.read }
}

/// Returns the option with another kind of value, for completion.
pub const fn of_kind<T>(kind: Kind, option: Typed<T>) -> Typed<T> {
    let name = match option.opt.value {
        Some(value) => value.name,
        None => "",
    };
    Typed { opt: Opt { value: Some(Value { name, kind }), ..option.opt }, read: option.read }
}
