//! A systemd unit as data: its name, its slice, and its properties with their D-Bus values.

use crate::Origin;

/// The scope that systemd creates for a container, together with its cgroup.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UnitPlan {
    /// The unit's name: `minirun-web.scope`.
    pub name: String,
    /// Its properties, without the processes: those are known when it is created.
    pub properties: Vec<Property>,
}

/// A property of a unit, for `StartTransientUnit` and `SetUnitProperties` (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// The name on D-Bus, which for times differs from the unit file: `TimeoutStopUSec`.
    pub name: String,
    /// The value.
    pub value: Value,
    /// The field that requests it.
    pub origin: Origin,
}

/// A D-Bus value of a type that unit properties have.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the types are the D-Bus specification's")]
pub enum Value {
    Byte(u8),
    Bool(bool),
    Int16(i16),
    Uint16(u16),
    Int32(i32),
    Uint32(u32),
    Int64(i64),
    Uint64(u64),
    Double(f64),
    String(String),
    /// The signature of the elements, and the elements.
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
}

impl Value {
    /// Returns its D-Bus signature: `a(ss)`.
    pub fn signature(&self) -> String {
        let letter = match self {
            Value::Byte(_) => "y",
            Value::Bool(_) => "b",
            Value::Int16(_) => "n",
            Value::Uint16(_) => "q",
            Value::Int32(_) => "i",
            Value::Uint32(_) => "u",
            Value::Int64(_) => "x",
            Value::Uint64(_) => "t",
            Value::Double(_) => "d",
            Value::String(_) => "s",
            Value::Array(element, _) => return format!("a{element}"),
            Value::Struct(members) => return format!("({})", members.iter().map(Value::signature).collect::<String>()),
        };
        letter.to_owned()
    }

    /// Returns a string value.
    pub fn string(text: impl Into<String>) -> Value {
        Value::String(text.into())
    }
}

/// Formats a value as gvariant text, but numbers without their type.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |f: &mut std::fmt::Formatter<'_>, values: &[Value], [open, close]: [&str; 2]| {
            f.write_str(open)?;
            for (i, value) in values.iter().enumerate() {
                write!(f, "{}{value}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str(close)
        };
        match self {
            Value::Byte(value) => write!(f, "{value}"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int16(value) => write!(f, "{value}"),
            Value::Uint16(value) => write!(f, "{value}"),
            Value::Int32(value) => write!(f, "{value}"),
            Value::Uint32(value) => write!(f, "{value}"),
            Value::Int64(value) => write!(f, "{value}"),
            Value::Uint64(u64::MAX) => f.write_str("infinity"),
            Value::Uint64(value) => write!(f, "{value}"),
            Value::Double(value) => write!(f, "{value:?}"),
            Value::String(text) => write!(f, "{text:?}"),
            Value::Array(_, values) => list(f, values, ["[", "]"]),
            Value::Struct(members) => list(f, members, ["(", ")"]),
        }
    }
}
