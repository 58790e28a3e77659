//! Values in gvariant's text format, as in annotations: `true`, `5`, `uint64 5`, `'text'`, `['a', 'b']`, `@as []`
//! (GLib, "GVariant Text Format"). Maybes, dictionaries, variants and byte strings are not supported, because no
//! property of a unit has them.

use crate::Value;

/// The maximum nesting of arrays and tuples.
const DEPTH: usize = 16;

/// A parsed value without its final type.
enum Text {
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Text>),
    Tuple(Vec<Text>),
    Typed(String, Box<Text>),
}

/// Parses one value.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut input = Input { rest: text };
    let value = input.value(0)?;
    input.blanks();
    if !input.rest.is_empty() {
        return Err(format!("unexpected {:?} after the value", input.rest));
    }
    typed(&value, None)
}

struct Input<'a> {
    rest: &'a str,
}

impl<'a> Input<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn accept(&mut self, letter: char) -> bool {
        self.blanks();
        let stripped = self.rest.strip_prefix(letter);
        self.rest = stripped.unwrap_or(self.rest);
        stripped.is_some()
    }

    fn while_in(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|letter| !wanted(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn value(&mut self, depth: usize) -> Result<Text, String> {
        self.blanks();
        if depth > DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        match self.rest.chars().next() {
            None => Err("a value is missing".to_owned()),
            Some('[') => self.list('[', ']', depth).map(Text::Array),
            Some('(') => self.list('(', ')', depth).map(Text::Tuple),
            Some(quote @ ('\'' | '"')) => self.string(quote).map(Text::String),
            Some('@') => {
                self.accept('@');
                let signature = self.while_in(|letter| letter.is_ascii_alphabetic() || "(){}".contains(letter));
                Ok(Text::Typed(signature.to_owned(), Box::new(self.value(depth + 1)?)))
            }
            Some(letter) if letter.is_ascii_alphabetic() => self.word(depth),
            Some(_) => {
                let number = self.while_in(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
                if number.is_empty() {
                    Err(format!("expected a value, found {:?}", self.rest))
                } else {
                    Ok(Text::Number(number.to_owned()))
                }
            }
        }
    }

    /// Parses a boolean, or the name of a type before a value.
    fn word(&mut self, depth: usize) -> Result<Text, String> {
        let word = self.while_in(|letter| letter.is_ascii_alphanumeric());
        let signature = match word {
            "true" => return Ok(Text::Bool(true)),
            "false" => return Ok(Text::Bool(false)),
            "boolean" => "b",
            "byte" => "y",
            "int16" => "n",
            "uint16" => "q",
            "int32" => "i",
            "uint32" => "u",
            "int64" => "x",
            "uint64" => "t",
            "double" => "d",
            "string" => "s",
            "inf" | "infinity" | "nan" => return Ok(Text::Number(word.to_owned())),
            _ => return Err(format!("{word:?} is neither a value nor a type (hint: quote strings)")),
        };
        Ok(Text::Typed(signature.to_owned(), Box::new(self.value(depth + 1)?)))
    }

    fn list(&mut self, open: char, close: char, depth: usize) -> Result<Vec<Text>, String> {
        self.accept(open);
        let mut values = Vec::new();
        while !self.accept(close) {
            if !values.is_empty() && !self.accept(',') {
                return Err(format!("a comma or {close:?} is missing"));
            }
            // A tuple of one has a comma at its end.
            if close == ')' && values.len() == 1 && self.accept(close) {
                break;
            }
            values.push(self.value(depth + 1)?);
        }
        Ok(values)
    }

    fn string(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                letter if letter == quote => {
                    self.rest = &self.rest[at + 1..];
                    return if text.contains('\0') { Err("a string contains a NUL byte".to_owned()) } else { Ok(text) };
                }
                '\\' => text.push(escaped(&mut letters)?),
                letter => text.push(letter),
            }
        }
        Err("unterminated string".to_owned())
    }
}

/// Returns the character that an escape sequence stands for, after its backslash.
fn escaped(letters: &mut impl Iterator<Item = (usize, char)>) -> Result<char, String> {
    let (_, letter) = letters.next().ok_or("unterminated string")?;
    let digits = match letter {
        'a' => return Ok('\x07'),
        'b' => return Ok('\x08'),
        'f' => return Ok('\x0c'),
        'n' => return Ok('\n'),
        'r' => return Ok('\r'),
        't' => return Ok('\t'),
        'v' => return Ok('\x0b'),
        'u' => 4,
        'U' => 8,
        other => return Ok(other),
    };
    let code: String = letters.take(digits).map(|(_, letter)| letter).collect();
    let number = u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == digits);
    number.and_then(char::from_u32).ok_or_else(|| format!("\"\\{letter}{code}\" is not a character"))
}

/// Converts a value to the wanted type, or to the type that gvariant infers.
fn typed(text: &Text, wanted: Option<&str>) -> Result<Value, String> {
    let of_type = |name: &str| wanted.is_none_or(|wanted| wanted == name);
    match text {
        Text::Typed(signature, text) if wanted.is_none_or(|wanted| wanted == signature) => typed(text, Some(signature)),
        Text::Bool(value) if of_type("b") => Ok(Value::Bool(*value)),
        Text::String(text) if of_type("s") => Ok(Value::String(text.clone())),
        Text::Number(text) => number(text, wanted),
        Text::Array(values) => {
            let element = match wanted {
                Some(wanted) => Some(wanted.strip_prefix('a').ok_or_else(|| not_of(wanted))?.to_owned()),
                None => None,
            };
            array(values, element)
        }
        Text::Tuple(values) => {
            let members = match wanted {
                Some(wanted) => {
                    let inner = wanted.strip_prefix('(').and_then(|inner| inner.strip_suffix(')'));
                    split(inner.ok_or_else(|| not_of(wanted))?)?.into_iter().map(Some).collect()
                }
                None => vec![None; values.len()],
            };
            if members.len() != values.len() || values.is_empty() {
                return Err("a tuple does not have as many members as its type".to_owned());
            }
            values
                .iter()
                .zip(members)
                .map(|(value, member)| typed(value, member))
                .collect::<Result<_, _>>()
                .map(Value::Struct)
        }
        _ => Err(not_of(wanted.unwrap_or("?"))),
    }
}

fn not_of(signature: &str) -> String {
    format!("a value is not of the type {signature:?}")
}

fn array(values: &[Text], element: Option<String>) -> Result<Value, String> {
    let mut found: Vec<Value> = Vec::new();
    let mut element = element;
    for value in values {
        let value = typed(value, element.as_deref())?;
        element.get_or_insert_with(|| value.signature());
        found.push(value);
    }
    let element = element.ok_or("an empty array requires a type, as in \"@as []\"")?;
    match split(&element)?.len() {
        1 => Ok(Value::Array(element, found)),
        _ => Err(format!("invalid type {element:?}")),
    }
}

/// Splits a signature into complete types.
fn split(signature: &str) -> Result<Vec<&str>, String> {
    let mut types = Vec::new();
    let mut rest = signature;
    while !rest.is_empty() {
        let length = length_of(rest.as_bytes(), 0).ok_or_else(|| format!("invalid type {signature:?}"))?;
        let (one, after) = rest.split_at(length);
        types.push(one);
        rest = after;
    }
    Ok(types)
}

fn length_of(signature: &[u8], depth: usize) -> Option<usize> {
    if depth > DEPTH {
        return None;
    }
    match signature.first()? {
        b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' => Some(1),
        b'a' => Some(1 + length_of(&signature[1..], depth + 1)?),
        b'(' => {
            let mut length = 1;
            while *signature.get(length)? != b')' {
                length += length_of(&signature[length..], depth + 1)?;
            }
            (length > 1).then_some(length + 1)
        }
        _ => None,
    }
}

fn number(text: &str, wanted: Option<&str>) -> Result<Value, String> {
    let whole = integer(text);
    let double = || text.parse::<f64>().ok().filter(|_| !text.contains(['x', 'X']));
    let Some(wanted) = wanted else {
        return match whole {
            Some(whole) => i32::try_from(whole)
                .map(Value::Int32)
                .map_err(|_| format!("{text} needs a type, as in \"uint64 {text}\", because it is not an int32")),
            None => double().map(Value::Double).ok_or_else(|| format!("{text:?} is not a number")),
        };
    };
    if wanted == "d" {
        return double().map(Value::Double).ok_or_else(|| format!("invalid number {text:?}"));
    }
    let whole = whole.ok_or_else(|| not_of(wanted))?;
    let value = match wanted {
        "y" => whole.try_into().ok().map(Value::Byte),
        "n" => whole.try_into().ok().map(Value::Int16),
        "q" => whole.try_into().ok().map(Value::Uint16),
        "i" => whole.try_into().ok().map(Value::Int32),
        "u" => whole.try_into().ok().map(Value::Uint32),
        "x" => whole.try_into().ok().map(Value::Int64),
        "t" => whole.try_into().ok().map(Value::Uint64),
        _ => return Err(not_of(wanted)),
    };
    value.ok_or_else(|| format!("{text} is out of range for the type {wanted:?}"))
}

/// Parses a whole number: decimal, hexadecimal after `0x`, octal after `0`.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match (digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")), digits) {
        (Some(digits), _) => (digits, 16),
        (None, octal) if octal.len() > 1 && octal.starts_with('0') => (octal, 8),
        (None, decimal) => (decimal, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -number } else { number })
}
