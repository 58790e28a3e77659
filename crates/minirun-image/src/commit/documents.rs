//! The configuration and the manifest of a new image.

use serde_json::{Value, json};

use super::Amendment;
use super::target::Target;
use crate::digest::Digest;
use crate::document::{Configuration, parse};
use crate::error::{ImageError, Result};
use crate::reference::{Reference, Transport};

/// The media types that images are written with.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";

/// Writes into the configuration what was done. `before` is how many layers there were.
pub(super) fn describe(
    configuration: &mut Value,
    before: usize,
    layer: Option<Digest>,
    amendment: &Amendment,
) -> Result<()> {
    configuration["created"] = amendment.created.as_str().into();
    if let Some(author) = &amendment.author {
        configuration["author"] = author.as_str().into();
    }
    let list = |value: &mut Value| match value.take() {
        Value::Array(list) => Ok(list),
        Value::Null => Ok(Vec::new()),
        _ => Err(ImageError::new("the image's configuration is not valid: expected a list")),
    };
    if !configuration["rootfs"].is_object() {
        return Err(ImageError::new("the image's configuration is not valid: expected an object"));
    }
    let mut diff_ids = list(&mut configuration["rootfs"]["diff_ids"])?;
    diff_ids.extend(layer.map(|layer| layer.to_string().into()));
    configuration["rootfs"]["diff_ids"] = diff_ids.into();
    let mut history = list(&mut configuration["history"])?;
    // Each layer must have an entry, or readers take the next one for its.
    let known = history.iter().filter(|entry| entry["empty_layer"] != true).count();
    history.extend(std::iter::repeat_n(json!({}), before.saturating_sub(known)));
    let mut entry = json!({"created": amendment.created, "created_by": amendment.created_by});
    for (key, value) in [("author", &amendment.author), ("comment", &amendment.message)] {
        if let Some(value) = value {
            entry[key] = value.as_str().into();
        }
    }
    if layer.is_none() {
        entry["empty_layer"] = true.into();
    }
    history.push(entry);
    configuration["history"] = history.into();
    Ok(())
}

/// Writes the documents, and makes the image visible. Its id.
pub(super) fn publish(mut target: Target, to: &Reference, configuration: &Value, layers: Vec<Value>) -> Result<Digest> {
    let text = configuration.to_string().into_bytes();
    // What was written must be read again.
    parse::<Configuration>(&text, "configuration")?.diff_ids()?;
    let id = Digest::of(&text);
    if to.transport == Transport::DockerArchive {
        let name = format!("{}.json", id.hex());
        target.put(&name, &text)?;
        let tags: Vec<String> = to.name.iter().map(|name| with_tag(name)).collect();
        target.publish_docker(json!({"Config": name, "RepoTags": tags, "Layers": layers}))?;
        return Ok(id);
    }
    let config = target.document(CONFIGURATION, &text)?;
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
    let manifest = target.document(MANIFEST, manifest.to_string().as_bytes())?;
    target.publish_layout(manifest)?;
    Ok(id)
}

/// Docker loads no name without a tag.
fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}
