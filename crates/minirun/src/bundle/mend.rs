//! What does not fit the types, all of it: for a message that a person needs to read only once.

use anyhow::{Context, Result, anyhow};
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

/// Finds everything that does not fit the types: what does not fit is taken out, until the rest does.
pub fn mend(text: &[u8]) -> Result<(Spec, Problems)> {
    let mut value: Value = serde_json::from_slice(text).context("not valid JSON")?;
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
    // Each problem costs one more reading.
    const MOST: usize = 50;
    for _ in 0..MOST {
        match serde_path_to_error::deserialize::<_, Spec>(Objects(&value)) {
            Ok(spec) => return Ok((spec, problems)),
            Err(error) => {
                let place = error.path();
                let reason = error.inner().to_string();
                if removed.caused(place, &reason) {
                    if removed.put_in(&mut value, place, &reason) {
                        continue;
                    }
                } else {
                    problems.add(&removed.origin_of(place, &reason), plain(&reason));
                }
                if !removed.take_out(&mut value, place) {
                    // What the whole needs is missing: there is no rest to look at.
                    return Err(anyhow!(problems.to_string()));
                }
            }
        }
    }
    Err(anyhow!(problems.to_string()))
}

/// What was taken out of the configuration so far, so that places keep the numbers that the user sees.
#[derive(Default)]
struct Removed {
    /// Lists, each with the original indices of the elements that were taken out.
    elements: Vec<(String, usize)>,
    /// Members, each with the number of values that were tried in its place since it turned out to be required.
    members: Vec<(String, usize)>,
}

impl Removed {
    /// Is this about something that is missing, or stands in for what is missing, only because it was taken out?
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
        let mut steps: Vec<&Segment> = steps_of(place);
        let missing = missing_field(reason);
        let key = match (missing, steps.last()) {
            (Some(field), _) => field.to_owned(),
            (None, Some(Segment::Map { key })) => key.clone(),
            _ => return false,
        };
        if missing.is_none() {
            steps.pop();
        }
        match descend(value, &steps) {
            Some(Value::Object(members)) => members.insert(key, candidate.clone()).is_none() || missing.is_none(),
            _ => false,
        }
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
        let mut gone: Vec<usize> =
            self.elements.iter().filter(|(of, _)| of == list).map(|(_, original)| *original).collect();
        gone.sort_unstable();
        gone.iter().fold(index, |at, original| if *original <= at { at + 1 } else { at })
    }

    /// Takes out what is at this place; false when that is the whole.
    fn take_out(&mut self, value: &mut Value, place: &JsonPath) -> bool {
        let steps = steps_of(place);
        let text = self.origin_text(place);
        let Some((last, way)) = steps.split_last() else { return false };
        let Some(inner) = descend(value, way) else { return false };
        match (last, inner) {
            (Segment::Seq { index }, Value::Array(list)) if *index < list.len() => {
                let list_text = text.rsplit_once('[').map_or("", |(before, _)| before).to_owned();
                let original = self.original(&list_text, *index);
                self.elements.push((list_text, original));
                list.remove(*index);
                true
            }
            (Segment::Map { key }, Value::Object(members)) => {
                self.members.push((text, 0));
                members.remove(key.as_str()).is_some()
            }
            _ => false,
        }
    }
}

/// The parts of a place that lead through the document.
fn steps_of(place: &JsonPath) -> Vec<&Segment> {
    place.iter().filter(|segment| !matches!(segment, Segment::Unknown | Segment::Enum { .. })).collect()
}

fn descend<'v>(value: &'v mut Value, steps: &[&Segment]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |inner, step| match step {
        Segment::Seq { index } => inner.get_mut(*index),
        Segment::Map { key } => inner.get_mut(key.as_str()),
        _ => None,
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
    fn a_missing_version_is_the_end() {
        assert_eq!(problems("{}"), ["ociVersion: is required"]);
    }
}
