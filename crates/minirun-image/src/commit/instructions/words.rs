//! The words of an instruction: quotes, escapes and variables, as a Dockerfile has them.

use std::iter::Peekable;
use std::str::Chars;

use crate::error::{ImageError, Result};

/// Splits a text at its blanks.
pub(super) fn split(text: &str, env: &[String]) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|letter| letter.is_whitespace()).is_some() {}
        if rest.peek().is_none() {
            return Ok(words);
        }
        words.push(word(&mut rest, env, true)?);
    }
}

/// The whole text as one word.
pub(super) fn join(text: &str, env: &[String]) -> Result<String> {
    word(&mut text.chars().peekable(), env, false)
}

/// One word; a blank ends it if it `ends`.
fn word(rest: &mut Peekable<Chars<'_>>, env: &[String], ends: bool) -> Result<String> {
    let mut word = String::new();
    let mut quote = None;
    while let Some(letter) = rest.next_if(|letter| quote.is_some() || !ends || !letter.is_whitespace()) {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (_, Some('\'')) => word.push(letter),
            ('\\', None) => word.extend(rest.next()),
            ('\\', Some(_)) => match rest.next_if(|next| ['"', '\\', '$'].contains(next)) {
                Some(next) => word.push(next),
                None => word.push('\\'),
            },
            ('$', _) => word.push_str(&variable(rest, env)?),
            _ => word.push(letter),
        }
    }
    match quote {
        Some(quote) => Err(ImageError::option(format!("a {quote} that is not closed"))),
        None => Ok(word),
    }
}

/// The value of the variable that is named next; nothing if there is none.
fn variable(rest: &mut Peekable<Chars<'_>>, env: &[String]) -> Result<String> {
    let braced = rest.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(letter) = rest.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_') {
        name.push(letter);
    }
    if braced && rest.next_if_eq(&'}').is_none() {
        return Err(ImageError::option(format!("${{{name}: more than a name in braces is not supported")));
    }
    if name.is_empty() {
        return Ok("$".to_owned());
    }
    let value = env.iter().find_map(|variable| variable.strip_prefix(&name)?.strip_prefix('='));
    Ok(value.unwrap_or_default().to_owned())
}
