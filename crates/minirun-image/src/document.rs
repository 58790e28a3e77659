//! The documents of an image, as far as minirun reads them (image-index.md, manifest.md, config.md, descriptor.md).
//!
//! Own structs: what writers leave out or write as null is allowed here, and what is not known stays unread. Whoever writes a
//! changed document changes the JSON itself.

mod collections;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::digest::Digest;
use crate::error::{ImageError, Result};
use collections::{list, map};

/// The annotation that holds a tag.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// `null` is the same as nothing: Go writes it for an empty list.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> std::result::Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Names content by its digest.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Descriptor {
    /// What kind of content it is.
    #[serde(deserialize_with = "nullable")]
    pub media_type: String,
    /// As it was written; see [`Descriptor::digest`].
    digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// For which machines it is.
    pub platform: Option<Platform>,
    /// Free words; a tag is among them.
    #[serde(deserialize_with = "map")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The digest, checked.
    ///
    /// # Errors
    /// It is malformed, or of an algorithm that is not supported.
    pub fn digest(&self) -> Result<Digest> {
        Digest::parse(&self.digest)
    }

    /// The tag, if there is one.
    pub fn name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str)
    }

    /// Whether it is an index of more manifests.
    pub fn is_index(&self) -> bool {
        matches!(
            self.media_type.as_str(),
            "application/vnd.oci.image.index.v1+json" | "application/vnd.docker.distribution.manifest.list.v2+json"
        )
    }

    /// Whether it is an image's manifest.
    pub fn is_manifest(&self) -> bool {
        matches!(
            self.media_type.as_str(),
            "application/vnd.oci.image.manifest.v1+json" | "application/vnd.docker.distribution.manifest.v2+json"
        )
    }
}

/// For which machines an image is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// `GOARCH`.
    #[serde(deserialize_with = "nullable")]
    pub architecture: String,
    /// `GOOS`.
    #[serde(deserialize_with = "nullable")]
    pub os: String,
    /// Of the architecture: `v7` and the like.
    #[serde(deserialize_with = "nullable")]
    pub variant: String,
}

/// A list of manifests, or of more such lists.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Index {
    /// What it lists.
    #[serde(deserialize_with = "list")]
    pub manifests: Vec<Descriptor>,
}

/// What an image is made of.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, bottom first.
    #[serde(default, deserialize_with = "list")]
    pub layers: Vec<Descriptor>,
}

/// The configuration of an image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// `GOARCH`.
    #[serde(deserialize_with = "nullable")]
    pub architecture: String,
    /// `GOOS`.
    #[serde(deserialize_with = "nullable")]
    pub os: String,
    /// Of the architecture: `v7` and the like.
    #[serde(deserialize_with = "nullable")]
    pub variant: String,
    /// When it was made (RFC 3339).
    pub created: Option<String>,
    /// By whom.
    pub author: Option<String>,
    /// How to run it.
    #[serde(deserialize_with = "nullable")]
    pub config: Execution,
    /// What its layers hold.
    pub rootfs: RootFs,
}

/// What the layers of an image hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// The digests of the uncompressed layers, bottom first, as they were written; see [`Configuration::diff_ids`].
    #[serde(deserialize_with = "list")]
    diff_ids: Vec<String>,
}

impl Configuration {
    /// The digests of the uncompressed layers, bottom first.
    ///
    /// # Errors
    /// One is malformed, or of an algorithm that is not supported.
    pub fn diff_ids(&self) -> Result<Vec<Digest>> {
        let read = |(index, text): (usize, &String)| {
            Digest::parse(text).map_err(|error| error.within(format!("rootfs.diff_ids[{index}]")))
        };
        self.rootfs.diff_ids.iter().enumerate().map(read).collect()
    }
}

/// How an image wants to be run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Execution {
    /// `user`, `uid`, `user:group` and so on.
    #[serde(deserialize_with = "nullable")]
    pub user: String,
    /// `NAME=VALUE`.
    #[serde(deserialize_with = "list")]
    pub env: Vec<String>,
    /// The first arguments.
    #[serde(deserialize_with = "list")]
    pub entrypoint: Vec<String>,
    /// The arguments after them.
    #[serde(deserialize_with = "list")]
    pub cmd: Vec<String>,
    /// Directories for data of the container's own.
    #[serde(deserialize_with = "map")]
    pub volumes: BTreeMap<String, serde::de::IgnoredAny>,
    /// Where it starts.
    #[serde(deserialize_with = "nullable")]
    pub working_dir: String,
    /// Free words.
    #[serde(deserialize_with = "map")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to end.
    #[serde(deserialize_with = "nullable")]
    pub stop_signal: String,
    /// `PORT/PROTOCOL`.
    #[serde(deserialize_with = "map")]
    pub exposed_ports: BTreeMap<String, serde::de::IgnoredAny>,
}

/// An entry of a docker-archive's manifest.json.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DockerEntry {
    pub(crate) config: String,
    #[serde(default, deserialize_with = "list")]
    pub(crate) repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    pub(crate) layers: Vec<String>,
}

/// Reads a document.
///
/// # Errors
/// It is no JSON, or not of that type.
pub(crate) fn parse<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| ImageError::new(format!("{what}: {error}")))
}
