//! D-Bus values as bytes (D-Bus specification, "Marshaling"): writes the types that calls need, and reads all types.

use minirun_plan::Value;

/// The maximum nesting of arrays and of structures in the specification, each.
const DEPTH: usize = 64;
/// The maximum length of an array in the specification, in bytes.
const LONGEST_ARRAY: usize = 64 << 20;

/// Bytes under construction. Alignment is relative to their start, so header and body are written separately.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.u32(value.into());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    /// Writes a string, or an object path.
    pub(crate) fn string(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    pub(crate) fn signature(&mut self, text: &str) {
        self.bytes.push(text.len() as u8);
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    /// Writes an array whose elements have this alignment.
    pub(crate) fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Writer)) {
        self.u32(0);
        let length_at = self.bytes.len() - 4;
        self.align(alignment);
        let start = self.bytes.len();
        elements(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    pub(crate) fn variant(&mut self, value: &Value) {
        self.signature(&value.signature());
        self.value(value);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(value) => self.byte(*value),
            Value::Bool(value) => self.bool(*value),
            Value::Int16(value) => self.number(&value.to_le_bytes()),
            Value::Uint16(value) => self.number(&value.to_le_bytes()),
            Value::Int32(value) => self.number(&value.to_le_bytes()),
            Value::Uint32(value) => self.number(&value.to_le_bytes()),
            Value::Int64(value) => self.number(&value.to_le_bytes()),
            Value::Uint64(value) => self.number(&value.to_le_bytes()),
            Value::Double(value) => self.number(&value.to_le_bytes()),
            Value::String(text) => self.string(text),
            Value::Array(element, values) => {
                let alignment = element.bytes().next().map_or(1, alignment_of);
                self.array(alignment, |writer| values.iter().for_each(|value| writer.value(value)));
            }
            Value::Struct(members) => {
                self.align(8);
                members.iter().for_each(|member| self.value(member));
            }
        }
    }

    /// Writes a number, which is aligned to its own size.
    fn number(&mut self, bytes: &[u8]) {
        self.align(bytes.len());
        self.bytes.extend(bytes);
    }
}

/// Returns the alignment of a type, by the first letter of its signature.
fn alignment_of(letter: u8) -> usize {
    match letter {
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 1,
    }
}

/// A value, or the problem of bytes that cannot be parsed.
pub(crate) type Answer<T> = Result<T, &'static str>;

const SHORT: &str = "it ends too early";
const SIGNATURE: &str = "a signature is not valid";

/// Bytes being read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], big_endian: bool) -> Reader<'a> {
        Reader { bytes, at: 0, big_endian }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn take(&mut self, length: usize) -> Answer<&'a [u8]> {
        let end = self.at.checked_add(length).ok_or(SHORT)?;
        let taken = self.bytes.get(self.at..end).ok_or(SHORT)?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn align(&mut self, to: usize) -> Answer<()> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    pub(crate) fn byte(&mut self) -> Answer<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u32(&mut self) -> Answer<u32> {
        self.align(4)?;
        let bytes: [u8; 4] = self.take(4)?.try_into().map_err(|_| SHORT)?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// Reads a string or an object path.
    pub(crate) fn string(&mut self) -> Answer<&'a str> {
        let length = self.u32()? as usize;
        self.text(length)
    }

    pub(crate) fn signature(&mut self) -> Answer<&'a str> {
        let length = self.byte()? as usize;
        self.text(length)
    }

    fn text(&mut self, length: usize) -> Answer<&'a str> {
        let text = self.take(length)?;
        if self.byte()? != 0 {
            return Err("a text is not terminated");
        }
        std::str::from_utf8(text).map_err(|_| "a text is not UTF-8")
    }

    /// Reads a string in a variant.
    pub(crate) fn string_variant(&mut self) -> Answer<&'a str> {
        match self.signature()? {
            "s" | "o" => self.string(),
            _ => Err("a value is not a string"),
        }
    }

    /// Returns the end of the array that begins here.
    pub(crate) fn array(&mut self, alignment: usize) -> Answer<usize> {
        let length = self.u32()? as usize;
        if length > LONGEST_ARRAY {
            return Err("an array is too long");
        }
        self.align(alignment)?;
        let end = self.at + length;
        if end > self.bytes.len() { Err(SHORT) } else { Ok(end) }
    }

    /// Skips a variant.
    pub(crate) fn skip_variant(&mut self) -> Answer<()> {
        self.skip_variant_at(0)
    }

    fn skip_variant_at(&mut self, depth: usize) -> Answer<()> {
        let signature = self.signature()?;
        let rest = self.skip(signature.as_bytes(), depth)?;
        if rest.is_empty() { Ok(()) } else { Err(SIGNATURE) }
    }

    /// Skips a value of the first complete type of this signature, and returns the rest of the signature.
    fn skip<'s>(&mut self, signature: &'s [u8], depth: usize) -> Answer<&'s [u8]> {
        if depth > DEPTH {
            return Err("values are nested too deeply");
        }
        let (letter, rest) = signature.split_first().ok_or(SIGNATURE)?;
        self.align(alignment_of(*letter))?;
        match letter {
            b'y' => self.take(1).map(drop)?,
            b'n' | b'q' => self.take(2).map(drop)?,
            b'b' | b'i' | b'u' | b'h' => self.take(4).map(drop)?,
            b'x' | b't' | b'd' => self.take(8).map(drop)?,
            b's' | b'o' => self.string().map(drop)?,
            b'g' => self.signature().map(drop)?,
            b'v' => self.skip_variant_at(depth + 1)?,
            // The length is sufficient to skip the content.
            b'a' => {
                let (element, rest) = split_type(rest, depth)?;
                let end = self.array(element.first().map_or(1, |letter| alignment_of(*letter)))?;
                self.at = end;
                return Ok(rest);
            }
            b'(' | b'{' => {
                let close = if *letter == b'(' { b')' } else { b'}' };
                let mut inner = rest;
                while inner.first() != Some(&close) {
                    inner = self.skip(inner, depth + 1)?;
                }
                return Ok(&inner[1..]);
            }
            _ => return Err(SIGNATURE),
        }
        Ok(rest)
    }
}

/// Returns the first complete type of a signature, and the rest.
fn split_type(signature: &[u8], depth: usize) -> Answer<(&[u8], &[u8])> {
    if depth > DEPTH {
        return Err(SIGNATURE);
    }
    let (letter, mut rest) = signature.split_first().ok_or(SIGNATURE)?;
    match letter {
        b'a' => rest = split_type(rest, depth + 1)?.1,
        b'(' | b'{' => {
            let close = if *letter == b'(' { b')' } else { b'}' };
            while rest.first() != Some(&close) {
                rest = split_type(rest, depth + 1)?.1;
            }
            rest = &rest[1..];
        }
        b'y' | b'n' | b'q' | b'b' | b'i' | b'u' | b'h' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v' => {}
        _ => return Err(SIGNATURE),
    }
    Ok(signature.split_at(signature.len() - rest.len()))
}
