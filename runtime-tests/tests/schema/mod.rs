//! Every member of the configuration, told by the types into which minirun reads it: nobody can forget one in a list.

mod trace;

use std::cell::RefCell;

use minirun_plan::spec::Spec;
use serde::Deserialize;
use serde_json::{Value, json};

/// The key in maps whose keys the user chooses.
pub const KEY: &str = "KEY";

/// What a member holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// true or false.
    Bool,
    /// A whole number within these bounds, both included.
    Number(i128, i128),
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An array.
    List,
    /// An object whose keys the user chooses.
    Map,
    /// An object with these members.
    Object(&'static [&'static str]),
}

/// A member, or an element of a list or a map.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its place as messages have it, with the first element of each list: `mounts[0].options[0]`.
    pub path: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether its object cannot be read without it.
    pub required: bool,
}

/// All members, parents before their children.
pub fn members() -> Vec<Member> {
    let read = |without: Option<&str>| {
        let found = RefCell::new(Vec::new());
        let result = Spec::deserialize(trace::Tracer::new(&found, without));
        (found.into_inner(), result)
    };
    let (mut members, result) = read(None);
    result.unwrap();
    for member in &mut members {
        member.required = read(Some(&member.path)).1.is_err();
    }
    members
}

impl Member {
    /// The key that it has in its object.
    pub fn name(&self) -> &str {
        name(&self.path)
    }

    /// A value that fits the type, with what the object needs.
    pub fn sample(&self, members: &[Member]) -> Value {
        match &self.kind {
            Kind::Bool => json!(false),
            Kind::Number(..) => json!(1),
            Kind::Text => json!("/text"),
            Kind::Word(words) => json!(words[0]),
            Kind::List => json!([]),
            Kind::Map => json!({}),
            Kind::Object(_) => {
                let own = |member: &&Member| member.required && parent(&member.path) == self.path;
                let sample = |member: &Member| (name(&member.path).to_owned(), member.sample(members));
                members.iter().filter(own).map(sample).collect::<serde_json::Map<_, _>>().into()
            }
        }
    }

    /// Gives this member a value, or takes it away; what is around it and missing is made.
    pub fn put(&self, config: &mut Value, members: &[Member], value: Option<Value>) {
        let above = parent(&self.path);
        if let Some(parent) = members.iter().find(|member| member.path == above)
            && config.pointer(&pointer(above)).is_none()
        {
            parent.put(config, members, Some(parent.sample(members)));
        }
        match (config.pointer_mut(&pointer(above)), value) {
            (Some(Value::Object(around)), Some(value)) => drop(around.insert(name(&self.path).to_owned(), value)),
            (Some(Value::Object(around)), None) => drop(around.remove(name(&self.path))),
            (Some(Value::Array(around)), Some(value)) => *around = vec![value],
            (around, _) => panic!("{}: {around:?}", self.path),
        }
    }
}

/// The place of the object or list that holds this one.
pub fn parent(path: &str) -> &str {
    path.rfind(['.', '[']).map_or("", |end| &path[..end])
}

/// The last part of a place, as the key that it is in its object.
fn name(path: &str) -> &str {
    let last = path.rfind(['.', '[']).map_or(path, |start| &path[start + 1..]);
    last.trim_end_matches(']').trim_matches('"')
}

/// A place as a JSON pointer.
pub fn pointer(path: &str) -> String {
    let words = path.split(['.', '[']).filter(|word| !word.is_empty());
    words.map(|word| format!("/{}", word.trim_end_matches(']').trim_matches('"'))).collect()
}
