//! What does not fit the types, all of it: for a message that a person needs to read only once.

use std::collections::BTreeMap;

use crate::error::{Context, Error, Result};
use minirun_plan::spec::{Objects, Spec};
use minirun_plan::{Origin, Problems};
use serde_json::Value;
use serde_path_to_error::{Path as JsonPath, Segment};

/// The objects whose keys the user chooses.
const MAPS: [&str; 6] = [
    "annotations",
    "linux.sysctl",
    "linux.timeOffsets",
    "linux.netDevices",
    "linux.resources.rdma",
    "linux.resources.unified",
];

/// More problems than a person reads at once.
const MOST: usize = 50;

/// Finds everything that does not fit the types: what does not fit is taken out, until the rest does.
pub fn mend(text: &[u8]) -> Result<(Spec, Problems)> {
    let mut whole: Value = serde_json::from_slice(text).context("not valid JSON")?;
    let mut problems = Problems::new();
    // A JSON value keeps the last of two members with the same name, so this would not be seen again.
    let mut json = serde_json::Deserializer::from_slice(text);
    if let Err(error) = serde_path_to_error::deserialize::<_, Spec>(Objects(&mut json))
        && let Some(field) = quoted(&error.inner().to_string(), "duplicate field `")
    {
        let around = Removed::default().origin_text(error.path());
        problems.add(&Origin::from(join(&around, field)), "is given twice");
    }
    let mut removed = Removed::default();
    // Each problem costs one more reading, of what was not read before: see `forget`.
    let mut rest = whole.clone();
    for _ in 0..MOST {
        match serde_path_to_error::deserialize::<_, Spec>(Objects(&rest)) {
            Ok(_) => {
                removed.apply(&mut whole);
                let spec = serde_path_to_error::deserialize(Objects(&whole));
                return spec.map(|spec| (spec, problems.clone())).map_err(|_| Error::text(problems.to_string()));
            }
            Err(error) => {
                let place = error.path();
                let reason = error.inner().to_string();
                if removed.caused(place, &reason) {
                    if removed.put_in(&mut rest, place, &reason) {
                        continue;
                    }
                } else {
                    problems.add(&removed.origin_of(place, &reason), plain(&reason));
                }
                let steps = removed.forget(&mut rest, place);
                if !removed.take_out(&mut rest, &steps) {
                    // What the whole needs is missing: there is no rest to look at.
                    return Err(Error::text(problems.to_string()));
                }
            }
        }
    }
    problems.add(&Origin::default(), format!("these are the first {MOST} problems: correct them to see the others"));
    Err(Error::text(problems.to_string()))
}

/// What was changed in the configuration so far, so that places keep the numbers that the user sees.
#[derive(Default)]
struct Removed {
    /// Lists, each with the number of elements that were taken from its beginning.
    elements: BTreeMap<String, usize>,
    /// Members, each with the number of values that were tried in its place since it turned out to be required.
    members: Vec<(String, usize)>,
    /// What is to be done to the whole configuration, first to last.
    changes: Vec<Change>,
}

/// A part of the way into a document, with the indices that the user sees.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Index(usize),
    Key(String),
}

/// Takes out what is at a place, or puts a value there.
struct Change {
    way: Vec<Part>,
    value: Option<Value>,
}

impl Removed {
    /// Whether the value is missing, or a substitute, only because it was taken out.
    fn caused(&self, place: &JsonPath, reason: &str) -> bool {
        let text = self.origin_of(place, reason);
        self.members
            .iter()
            .any(|(member, tried)| member == text.as_str() && (missing_field(reason).is_some() || *tried > 0))
    }

    /// Puts a value of another type where a required member was taken out, so that its siblings can be looked at; false
    /// when there is none left to try.
    fn put_in(&mut self, value: &mut Value, place: &JsonPath, reason: &str) -> bool {
        let text = self.origin_of(place, reason);
        let candidates =
            [Value::from(0), Value::from(""), Value::Array(Vec::new()), Value::Object(serde_json::Map::new())];
        let Some((_, tried)) = self.members.iter_mut().find(|(member, _)| member == text.as_str()) else {
            return false;
        };
        let Some(candidate) = candidates.get(*tried) else { return false };
        *tried += 1;
        let mut steps = steps_of(place);
        let missing = missing_field(reason);
        let key = match (missing, steps.last()) {
            (Some(field), _) => field.to_owned(),
            (None, Some(Part::Key(key))) => key.clone(),
            _ => return false,
        };
        if missing.is_some() {
            steps.push(Part::Key(key.clone()));
        }
        let way = self.original_way(&steps);
        steps.pop();
        match descend(value, &steps) {
            Some(Value::Object(members)) => {
                self.change(way, Some(candidate.clone()));
                members.insert(key, candidate.clone()).is_none() || missing.is_none()
            }
            _ => false,
        }
    }

    /// Notes a change, instead of those that were made at the same place or inside of it.
    fn change(&mut self, way: Vec<Part>, value: Option<Value>) {
        self.changes.retain(|earlier| !earlier.way.starts_with(&way));
        self.changes.push(Change { way, value });
    }

    /// Makes the changes in the whole document. The last comes first: places are found in their order, so nothing that is
    /// taken from a list moves what is still to be found in it.
    fn apply(&mut self, whole: &mut Value) {
        for Change { way, value } in self.changes.drain(..).rev() {
            let Some((last, above)) = way.split_last() else { continue };
            match (last, descend(whole, above), value) {
                (Part::Index(index), Some(Value::Array(list)), None) if *index < list.len() => {
                    drop(list.remove(*index));
                }
                (Part::Key(key), Some(Value::Object(members)), None) => drop(members.remove(key)),
                (Part::Key(key), Some(Value::Object(members)), Some(value)) => drop(members.insert(key.clone(), value)),
                _ => {}
            }
        }
    }

    /// Drops all that comes before a place, because it was read and fits: so a long list is read once, and not once for each
    /// problem. Returns the way to the place in the rest.
    fn forget(&mut self, rest: &mut Value, place: &JsonPath) -> Vec<Part> {
        let mut steps = steps_of(place);
        let (mut inner, mut text) = (Some(rest), String::new());
        for step in &mut steps {
            inner = match step {
                Part::Index(index) => inner.and_then(Value::as_array_mut).and_then(|list| {
                    list.drain(..(*index).min(list.len()));
                    let gone = self.elements.entry(text.clone()).or_default();
                    *gone += std::mem::take(index);
                    text = format!("{text}[{gone}]");
                    list.first_mut()
                }),
                Part::Key(key) => inner.and_then(Value::as_object_mut).and_then(|members| {
                    for (name, member) in members.iter_mut().take_while(|(name, _)| *name < &*key) {
                        empty(member, &join(&text, name));
                    }
                    text = join(&text, key);
                    members.get_mut(key.as_str())
                }),
            };
        }
        steps
    }

    /// The way with the indices that the user sees.
    fn original_way(&self, steps: &[Part]) -> Vec<Part> {
        let mut text = String::new();
        let mut way = Vec::with_capacity(steps.len());
        for step in steps {
            let part = match step {
                Part::Index(index) => Part::Index(self.original(&text, *index)),
                Part::Key(key) => Part::Key(key.clone()),
            };
            text = match &part {
                Part::Index(index) => format!("{text}[{index}]"),
                Part::Key(key) => join(&text, key),
            };
            way.push(part);
        }
        way
    }

    /// The place as the user sees it. A missing member is named as well.
    fn origin_of(&self, place: &JsonPath, reason: &str) -> Origin {
        let text = self.origin_text(place);
        match missing_field(reason) {
            Some(field) => Origin::from(join(&text, field)),
            None => Origin::from(text),
        }
    }

    fn origin_text(&self, place: &JsonPath) -> String {
        let mut text = String::new();
        for segment in place {
            match segment {
                Segment::Seq { index } => text = format!("{text}[{}]", self.original(&text, *index)),
                Segment::Map { key } => text = join(&text, key),
                Segment::Enum { variant } => text = join(&text, variant),
                Segment::Unknown => {}
            }
        }
        text
    }

    /// The index that an element had at first.
    fn original(&self, list: &str, index: usize) -> usize {
        index + self.elements.get(list).copied().unwrap_or(0)
    }

    /// Takes out what is at this place; false when that is the whole.
    fn take_out(&mut self, rest: &mut Value, steps: &[Part]) -> bool {
        let way = self.original_way(steps);
        let text = text_of(&way);
        let Some((last, above)) = steps.split_last() else { return false };
        match (last, descend(rest, above)) {
            (Part::Index(index), Some(Value::Array(list))) if *index < list.len() => {
                drop(list.remove(*index));
                *self.elements.entry(text_of(&way[..above.len()])).or_default() += 1;
            }
            (Part::Key(key), Some(Value::Object(members))) => match members.remove(key.as_str()) {
                Some(_) => self.members.push((text, 0)),
                None => return false,
            },
            _ => return false,
        }
        self.change(way, None);
        true
    }
}

/// Takes all elements out of a value that fits, and of what is in it.
fn empty(value: &mut Value, place: &str) {
    match value {
        Value::Array(list) => list.clear(),
        Value::Object(members) if MAPS.contains(&place) => members.clear(),
        Value::Object(members) => members.iter_mut().for_each(|(name, member)| empty(member, &join(place, name))),
        _ => {}
    }
}

/// The parts of a place that lead through the document.
fn steps_of(place: &JsonPath) -> Vec<Part> {
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Part::Index(*index)),
        Segment::Map { key } => Some(Part::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    place.iter().filter_map(part).collect()
}

/// A way as the user sees it.
fn text_of(way: &[Part]) -> String {
    way.iter().fold(String::new(), |text, part| match part {
        Part::Index(index) => format!("{text}[{index}]"),
        Part::Key(key) => join(&text, key),
    })
}

fn descend<'v>(value: &'v mut Value, steps: &[Part]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |inner, step| match step {
        Part::Index(index) => inner.get_mut(*index),
        Part::Key(key) => inner.get_mut(key.as_str()),
    })
}

fn join(text: &str, member: &str) -> String {
    match text {
        "" => member.to_owned(),
        text if MAPS.contains(&text) => format!("{text}[{member:?}]"),
        text => format!("{text}.{member}"),
    }
}

/// The field of serde's "missing field `x`".
fn missing_field(reason: &str) -> Option<&str> {
    quoted(reason, "missing field `")
}

fn quoted<'r>(reason: &'r str, before: &str) -> Option<&'r str> {
    reason.strip_prefix(before)?.split('`').next()
}

/// serde's sentence in the house's words.
fn plain(reason: &str) -> String {
    match missing_field(reason) {
        Some(_) => "is required".to_owned(),
        None => reason.replace('`', "\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match mend(text.as_bytes()) {
            Ok((_, problems)) => problems.iter().map(ToString::to_string).collect(),
            Err(error) => vec![format!("{error:#}")],
        }
    }

    #[test]
    fn all_type_errors_are_found_with_their_places() {
        let text = r#"{"ociVersion":"1.0.2","process":{"user":{"uid":"root"},"args":["a",5,"b",6],"cwd":"/"},
            "mounts":[{"type":"proc"},{"destination":7},{"destination":"/x","options":"ro"}],
            "linux":{"namespaces":[{"type":"pid"},{"type":"bogus"}]}}"#;
        assert_eq!(
            problems(text),
            [
                "linux.namespaces[1].type: unknown variant \"bogus\", expected one of \"mount\", \"cgroup\", \"uts\", \
                 \"ipc\", \"user\", \"pid\", \"network\", \"time\"",
                "mounts[0].destination: is required",
                "mounts[1].destination: invalid type: integer \"7\", expected path string",
                "mounts[2].options: invalid type: string \"ro\", expected a sequence",
                "process.args[1]: invalid type: integer \"5\", expected a string",
                "process.args[3]: invalid type: integer \"6\", expected a string",
                "process.user.uid: invalid type: string \"root\", expected u32",
            ]
        );
    }

    #[test]
    fn what_fits_is_kept() {
        let text = r#"{"ociVersion":"1.0.2","process":{"args":["a",5,"b",6,"c"],"cwd":"/"},"hostname":7,
            "mounts":[{"destination":"/a"},{"type":"x"},{"destination":"/b","options":["ro",1,"rw",{}]},{"type":3},
            {"destination":"/c"}],"annotations":{"a":"1","b":2,"c":"3"}}"#;
        let (spec, problems) = mend(text.as_bytes()).unwrap();
        let process = spec.process.unwrap();
        assert_eq!(process.args.unwrap(), ["a", "b", "c"]);
        assert_eq!(process.cwd, "/");
        let mounts: Vec<_> = spec.mounts.iter().map(|mount| mount.destination.to_str().unwrap()).collect();
        assert_eq!(mounts, ["/a", "/b", "/c"]);
        assert_eq!(spec.mounts[1].options.as_deref().unwrap(), ["ro", "rw"]);
        assert_eq!(spec.annotations.unwrap().into_keys().collect::<Vec<_>>(), ["a", "c"]);
        let places: Vec<_> = problems.iter().map(|problem| problem.origin.as_str().to_owned()).collect();
        assert_eq!(
            places,
            [
                "annotations[\"b\"]",
                "hostname",
                "mounts[1].destination",
                "mounts[2].options[1]",
                "mounts[2].options[3]",
                "mounts[3].type",
                "mounts[3].destination",
                "process.args[1]",
                "process.args[3]",
            ]
        );
    }

    #[test]
    fn of_very_many_problems_the_first_are_told() {
        let wrong = vec!["7"; 1000].join(",");
        let text = format!(r#"{{"ociVersion":"1.0.2","mounts":[{wrong}]}}"#);
        let [all] = &problems(&text)[..] else { panic!("a single message") };
        assert!(all.contains("mounts[49]: ") && !all.contains("mounts[50]: "), "{all}");
        assert!(all.ends_with("these are the first 50 problems: correct them to see the others"), "{all}");
    }

    #[test]
    fn a_missing_version_is_the_end() {
        assert_eq!(problems("{}"), ["ociVersion: is required"]);
    }
}
