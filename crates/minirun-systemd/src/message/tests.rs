#![allow(clippy::unwrap_used)]

use minirun_plan::Value;
use rustbus::message_builder::{MarshalledMessage, MessageBuilder, MessageType};
use rustbus::params::{Base, Container, Param};
use rustbus::wire::marshal::marshal;
use rustbus::wire::unmarshal::{unmarshal_dynamic_header, unmarshal_header, unmarshal_next_message};
use rustbus::{ByteOrder, params};

use super::*;
use crate::sweep;

const METHOD: Method<'_> = Method { destination: "org.a.B", path: "/org/a", interface: "org.a.I", name: "Do" };

/// Returns the message that the peer parses from ours.
fn read(bytes: &[u8]) -> params::message::Message<'static, 'static> {
    let (start, header) = unmarshal_header(bytes, 0).unwrap();
    let (length, fields) = unmarshal_dynamic_header(&header, bytes, start).unwrap();
    unmarshal_next_message(&header, fields, bytes, start + length).unwrap().1.unmarshall_all().unwrap()
}

/// Returns a message as the peer writes it.
fn write(message: &MarshalledMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    marshal(message, 7, &mut bytes).unwrap();
    bytes.extend(message.get_buf());
    bytes
}

/// Converts the peer's value to ours.
fn value(param: &Param<'_, '_>) -> Value {
    match param {
        Param::Base(Base::Byte(value)) => Value::Byte(*value),
        Param::Base(Base::Boolean(value)) => Value::Bool(*value),
        Param::Base(Base::Int16(value)) => Value::Int16(*value),
        Param::Base(Base::Uint16(value)) => Value::Uint16(*value),
        Param::Base(Base::Int32(value)) => Value::Int32(*value),
        Param::Base(Base::Uint32(value)) => Value::Uint32(*value),
        Param::Base(Base::Int64(value)) => Value::Int64(*value),
        Param::Base(Base::Uint64(value)) => Value::Uint64(*value),
        Param::Base(Base::Double(value)) => Value::Double(f64::from_bits(*value)),
        Param::Base(Base::String(value)) => Value::String(value.clone()),
        Param::Container(Container::Array(array)) => {
            let mut signature = String::new();
            array.element_sig.to_str(&mut signature);
            Value::Array(signature, array.values.iter().map(value).collect())
        }
        Param::Container(Container::Struct(members)) => Value::Struct(members.iter().map(value).collect()),
        Param::Container(Container::Variant(variant)) => value(&variant.value),
        other => panic!("{other:?}"),
    }
}

fn strings(texts: &[&str]) -> Value {
    Value::Array("s".into(), texts.iter().map(|text| Value::string(*text)).collect())
}

#[test]
fn another_implementation_reads_our_messages() {
    let pair = |text: &str, number| Value::Struct(vec![Value::string(text), Value::Uint64(number)]);
    let values = [
        Value::Byte(200),
        Value::Bool(true),
        Value::Int16(-2),
        Value::Uint16(65535),
        Value::Int32(-70000),
        Value::Uint32(u32::MAX),
        Value::Int64(i64::MIN),
        Value::Uint64(u64::MAX),
        Value::Double(0.25),
        Value::string(""),
        Value::string("grüße"),
        strings(&[]),
        strings(&["a", "bcdef"]),
        Value::Array("y".into(), vec![Value::Byte(3), Value::Byte(0)]),
        Value::Array("u".into(), vec![Value::Uint32(1)]),
        Value::Array("(st)".into(), vec![]),
        Value::Array("(st)".into(), vec![pair("/dev/block/8:0", 1), pair("x", u64::MAX)]),
        Value::Array("as".into(), vec![strings(&["a"]), strings(&[])]),
        Value::Struct(vec![Value::Byte(1), Value::Struct(vec![Value::Bool(false), Value::Double(-1.5)])]),
    ];
    let mut arguments = Writer::default();
    arguments.string("name");
    arguments.bool(true);
    arguments.array(8, |writer| {
        for value in &values {
            writer.align(8);
            writer.string("P");
            writer.variant(value);
        }
    });
    arguments.array(8, |_| {});
    let message = read(&call(42, METHOD, "sba(sv)a(sa(sv))", arguments));
    assert_eq!(message.typ, MessageType::Call);
    let header = &message.dynheader;
    let text = |field: &Option<String>| field.clone().unwrap();
    assert_eq!(
        [text(&header.destination), text(&header.object), text(&header.interface), text(&header.member)],
        ["org.a.B", "/org/a", "org.a.I", "Do"]
    );
    assert_eq!(header.serial, Some(42));
    let Value::Array(_, read) = value(&message.params[2]) else { panic!() };
    for (read, written) in read.iter().zip(&values) {
        assert_eq!(*read, Value::Struct(vec![Value::string("P"), written.clone()]));
    }
    assert_eq!((read.len(), message.params.len()), (values.len(), 4));
    assert_eq!(read_empty(), 0);
}

fn read_empty() -> usize {
    read(&call(1, METHOD, "", Writer::default())).params.len()
}

#[test]
fn messages_of_another_implementation_are_read() {
    for order in [ByteOrder::LittleEndian, ByteOrder::BigEndian] {
        let mut signal =
            MessageBuilder::with_byteorder(order).signal("org.a.I", "JobRemoved", "/org/a").to("org.some.One").build();
        signal.body.push_param4(5u32, "/job/5", "a.scope", "done").unwrap();
        let message = Message::parse(&write(&signal)).unwrap();
        assert_eq!((message.kind, &*message.interface, &*message.member), (SIGNAL, "org.a.I", "JobRemoved"));
        assert_eq!(message.signature, "usss");
        let mut body = message.body();
        assert_eq!(body.u32(), Ok(5));
        assert_eq!([body.string(), body.string(), body.string()], [Ok("/job/5"), Ok("a.scope"), Ok("done")]);
        assert!(body.byte().is_err());
    }
}

#[test]
fn unused_values_are_skipped() {
    for order in [ByteOrder::LittleEndian, ByteOrder::BigEndian] {
        let mut message = MessageBuilder::with_byteorder(order).signal("a.b", "C", "/").build();
        let map = std::collections::HashMap::from([("k", vec![(1u8, 2u64)])]);
        message.body.push_variant(map).unwrap();
        message.body.push_variant(("text", true, -5i16)).unwrap();
        message.body.push_variant("end").unwrap();
        let message = Message::parse(&write(&message)).unwrap();
        let mut body = message.body();
        body.skip_variant().unwrap();
        body.skip_variant().unwrap();
        assert_eq!(body.string_variant(), Ok("end"));
    }
}

/// All input is parsed or refused, without a panic, an overflow or an endless loop.
#[test]
fn random_bytes_are_parsed_or_refused() {
    let mut random = sweep::Random::for_test("D-Bus messages");
    let mut signal = MessageBuilder::new().signal("org.a.I", "JobRemoved", "/org/a").to("org.some.One").build();
    signal.body.push_variant(vec![(1u8, "text", vec![2u64])]).unwrap();
    let good = write(&signal);
    for round in 0..sweep::cases(20_000) {
        let mut bytes = good.clone();
        if round % 4 == 0 {
            bytes = (0..random.index(200)).map(|_| random.index(256) as u8).collect();
            // Otherwise parsing would always fail at the first bytes.
            for (byte, start) in bytes.iter_mut().zip([b'l', 4, 0, 1, 0, 0, 0, 0]) {
                *byte = start;
            }
        } else {
            for _ in 0..=random.index(4) {
                let at = random.index(bytes.len());
                bytes[at] = [random.index(256) as u8, 0, 0xff, b'a', b'(', b'v'][random.index(6)];
            }
            let cut = random.index(3) * random.index(bytes.len());
            bytes.truncate(bytes.len().saturating_sub(cut));
        }
        if let Some(prologue) = bytes.first_chunk() {
            let _ = length(prologue);
        }
        if let Ok(message) = Message::parse(&bytes) {
            let _ = message.body().skip_variant();
            let _ = message.body().string_variant();
            let _ = (message.body().u32(), message.body().string());
        }
    }
}

#[test]
fn excessive_sizes_are_refused() {
    let long = |body: u32, fields: u32| {
        let mut prologue = [0; PROLOGUE];
        prologue[..4].copy_from_slice(&[b'l', SIGNAL, 0, 1]);
        prologue[4..8].copy_from_slice(&body.to_le_bytes());
        prologue[12..].copy_from_slice(&fields.to_le_bytes());
        length(&prologue)
    };
    assert_eq!(long(8, 3), Ok(16 + 8 + 8));
    for (body, fields) in [(u32::MAX, 0), (0, u32::MAX), (u32::MAX, u32::MAX), (LONGEST as u32, 0)] {
        assert_eq!(long(body, fields), Err("a message is too long"));
    }
    // Nested variants, and a signature that consists only of arrays.
    for deep in [b"\x01v\0".repeat(300), [&[200][..], &b"a".repeat(200), &[0; 8]].concat()] {
        Reader::new(&deep, false).skip_variant().unwrap_err();
    }
}
