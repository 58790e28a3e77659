//! A bundle: its directory and its configuration, with everything that is wrong in the latter.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use minirun_overlay::LayerStack;
use minirun_plan::spec::{LinuxNamespaceType, Spec};
use minirun_plan::{Origin, Problems, RootSource, is_overlay_root};
use serde_json::Value;
use serde_path_to_error::{Path as JsonPath, Segment};

/// A bundle that was read.
#[derive(Debug)]
pub struct Bundle {
    /// Its directory, absolute.
    pub dir: PathBuf,
    /// Its configuration, as it was written: kept for later, because edits must not affect a container.
    pub text: Vec<u8>,
    /// Its configuration.
    pub spec: Spec,
    /// What does not fit the specification's types. A bundle with such problems cannot be run, but what else is wrong
    /// with it can be told as well.
    pub problems: Problems,
}

/// Reads a regular file: anything else could keep its reader waiting.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

impl Bundle {
    /// Reads the bundle in a directory.
    pub fn load(dir: &Path) -> Result<Bundle> {
        let dir = std::fs::canonicalize(dir).with_context(|| format!("bundle {}", dir.display()))?;
        let path = dir.join("config.json");
        let text = read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                anyhow!("JSON specification file config.json not found in {}", dir.display())
            }
            _ => anyhow!(error).context(format!("read {}", path.display())),
        })?;
        match serde_json::from_slice(&text) {
            Ok(spec) => Ok(Bundle { dir, text, spec, problems: Problems::new() }),
            Err(error) if error.is_data() => {
                let (spec, problems) = mend(&text).with_context(|| path.display().to_string())?;
                Ok(Bundle { dir, text, spec, problems })
            }
            Err(error) => bail!("{}: not valid JSON: {error}", path.display()),
        }
    }

    /// What the root file system is made of: an overlay if a mount at `/` says so, else `root.path`.
    pub fn root(&self) -> Result<RootSource, Problems> {
        let overlay = self.spec.mounts.iter().enumerate().find(|(_, mount)| is_overlay_root(mount));
        if let Some((index, mount)) = overlay {
            let namespaces = self.spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
            let userns = namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::User);
            return LayerStack::parse(mount, index, &self.dir, userns).map(|stack| RootSource::Overlay(stack.steps()));
        }
        let origin = Origin::of("root.path");
        let mut problems = Problems::new();
        let path = match &self.spec.root {
            None => {
                problems.add(&Origin::of("root"), "root property must not be empty");
                return Err(problems);
            }
            Some(root) => self.dir.join(&root.path),
        };
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                problems.add(&origin, "invalid rootfs: not an absolute path, or a symlink")
            }
            Ok(found) if !found.is_dir() => problems.add(&origin, format!("{} is not a directory", path.display())),
            Ok(_) if self.spec.root.as_ref().is_some_and(|root| root.path.is_empty()) => {
                problems.add(&origin, "must not be empty");
            }
            Ok(_) => return Ok(RootSource::Directory(path.to_string_lossy().into_owned())),
            Err(error) => problems.add(&origin, format!("{}: {error}", path.display())),
        }
        Err(problems)
    }
}

/// Finds everything that does not fit the types: what does not fit is taken out, until the rest does.
fn mend(text: &[u8]) -> Result<(Spec, Problems)> {
    let mut value: Value = serde_json::from_slice(text).context("not valid JSON")?;
    let mut problems = Problems::new();
    if let Err(error) = serde_json::from_slice::<Spec>(text)
        && error.to_string().starts_with("duplicate field")
    {
        // A JSON value keeps the last of them, so this would not be seen again.
        problems.add(&Origin::default(), error.to_string());
    }
    let mut removed = Removed::default();
    // Each problem costs one more reading.
    const MOST: usize = 50;
    for _ in 0..MOST {
        match serde_path_to_error::deserialize::<_, Spec>(&value) {
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
    if text.is_empty() { member.to_owned() } else { format!("{text}.{member}") }
}

/// The field of serde's "missing field `x`".
fn missing_field(reason: &str) -> Option<&str> {
    reason.strip_prefix("missing field `")?.split('`').next()
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
                "process.user.gid: is required",
            ]
        );
    }

    #[test]
    fn a_missing_version_is_the_end() {
        assert_eq!(problems("{}"), ["ociVersion: is required"]);
    }
}
