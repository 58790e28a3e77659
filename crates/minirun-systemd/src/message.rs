//! D-Bus messages (D-Bus specification, "Message Format"): writes calls, and parses received messages.

use crate::wire::{Answer, Reader, Writer};

/// The maximum length of a received message. systemd sends signals about every unit, and none is longer.
const LONGEST: usize = 8 << 20;
/// The length of the part before the header's fields: byte order, type, flags, version, body length, serial, fields'
/// length.
pub(crate) const PROLOGUE: usize = 16;

/// The types of messages.
const CALL: u8 = 1;
pub(crate) const RETURN: u8 = 2;
pub(crate) const ERROR: u8 = 3;
pub(crate) const SIGNAL: u8 = 4;

/// The header's fields, by their numbers.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A method of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Method<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) name: &'a str,
}

/// Returns a call of a method with arguments of this signature.
pub(crate) fn call(serial: u32, method: Method<'_>, signature: &str, arguments: Writer) -> Vec<u8> {
    let body = arguments.finish();
    let mut header = Writer::default();
    for byte in [b'l', CALL, 0, 1] {
        header.byte(byte);
    }
    header.u32(body.len() as u32);
    header.u32(serial);
    header.array(8, |fields| {
        let texts = [
            (PATH, "o", method.path),
            (INTERFACE, "s", method.interface),
            (MEMBER, "s", method.name),
            (DESTINATION, "s", method.destination),
        ];
        for (number, kind, text) in texts {
            fields.align(8);
            fields.byte(number);
            fields.signature(kind);
            fields.string(text);
        }
        if !signature.is_empty() {
            fields.align(8);
            fields.byte(SIGNATURE);
            fields.signature("g");
            fields.signature(signature);
        }
    });
    header.align(8);
    let mut message = header.finish();
    message.extend(body);
    message
}

/// A received message.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) reply_to: Option<u32>,
    pub(crate) interface: String,
    pub(crate) member: String,
    pub(crate) error: String,
    pub(crate) signature: String,
    big_endian: bool,
    body: Vec<u8>,
}

/// Returns the length of the message that begins with this prologue.
pub(crate) fn length(prologue: &[u8; PROLOGUE]) -> Answer<usize> {
    let big_endian = match prologue[0] {
        b'l' => false,
        b'B' => true,
        _ => return Err("its byte order is unknown"),
    };
    if prologue[3] != 1 {
        return Err("it is of another version of the protocol");
    }
    let mut reader = Reader::new(&prologue[4..], big_endian);
    let (body, _, fields) = (reader.u32()? as usize, reader.u32()?, reader.u32()? as usize);
    let header = PROLOGUE.checked_add(fields).map(|length| length.next_multiple_of(8));
    match header.and_then(|header| header.checked_add(body)) {
        Some(length) if length <= LONGEST => Ok(length),
        _ => Err("a message is too long"),
    }
}

impl Message {
    /// Parses a complete message.
    pub(crate) fn parse(bytes: &[u8]) -> Answer<Message> {
        let prologue = bytes.first_chunk::<PROLOGUE>().ok_or("it ends too early")?;
        if length(prologue)? != bytes.len() {
            return Err("its length is not the one in its header");
        }
        let mut message =
            Message { kind: prologue[1], big_endian: prologue[0] == b'B', body: Vec::new(), ..Message::default() };
        let mut reader = Reader::new(bytes, message.big_endian);
        for _ in 0..12 {
            reader.byte()?;
        }
        let end = reader.array(8)?;
        while reader.position() < end {
            reader.align(8)?;
            message.field(&mut reader)?;
        }
        reader.align(8)?;
        message.body = bytes.get(reader.position()..).unwrap_or_default().to_vec();
        Ok(message)
    }

    fn field(&mut self, reader: &mut Reader<'_>) -> Answer<()> {
        let number = reader.byte()?;
        match number {
            INTERFACE => self.interface = reader.string_variant()?.to_owned(),
            MEMBER => self.member = reader.string_variant()?.to_owned(),
            ERROR_NAME => self.error = reader.string_variant()?.to_owned(),
            REPLY_SERIAL if reader.signature()? == "u" => self.reply_to = Some(reader.u32()?),
            REPLY_SERIAL => return Err("a serial number has the wrong type"),
            SIGNATURE if reader.signature()? == "g" => self.signature = reader.signature()?.to_owned(),
            SIGNATURE => return Err("a signature has the wrong type"),
            _ => reader.skip_variant()?,
        }
        Ok(())
    }

    /// Returns its arguments.
    pub(crate) fn body(&self) -> Reader<'_> {
        Reader::new(&self.body, self.big_endian)
    }
}

#[cfg(test)]
#[path = "message/tests.rs"]
mod tests;
