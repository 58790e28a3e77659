//! What a container has changed becomes a layer on top of its image.

mod blob;
mod instructions;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::archive::Files;
use crate::changes::{Root, Source};
use crate::digest::{Digest, Hasher};
use crate::document::{Configuration, Descriptor, Manifest, parse};
use crate::error::{Doing as _, ImageError, Result};
use crate::pack::{Ids, Packer};
use crate::reference::{Reference, Transport};
use crate::store::{BundleRecord, Store, Stored, Wanted};
use crate::stream::{Limits, matches, pour};
use crate::target::Target;
use crate::workers::Workers;
use blob::{Compressed, Written};

pub use blob::Compression;

/// Where the blobs of a layout are.
const BLOBS: &str = "blobs/sha256/";
/// The media types that images are written with.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";

/// What the new image says besides what the old one says.
#[derive(Debug, Clone, Default)]
pub struct Amendment {
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub message: Option<String>,
    /// Instructions of a Dockerfile that change the configuration.
    pub changes: Vec<String>,
    /// When it is made (RFC 3339).
    pub created: String,
    /// By which command.
    pub created_by: String,
    /// Of new layers.
    pub compression: Compression,
}

/// An image that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The digest of its configuration.
    pub id: Digest,
    /// The digest of the new layer's content; none if nothing was changed.
    pub layer: Option<Digest>,
}

/// What a container is committed on.
#[derive(Debug)]
pub struct Base<'a> {
    /// The image's configuration, as it was written.
    configuration: Value,
    /// Its manifest, if one is known.
    manifest: Option<Manifest>,
    layers: Vec<Stored>,
    /// What the bundle has in place of what the configuration says.
    wanted: Wanted,
    store: &'a Store,
    /// Where the image was found; it may be gone since then.
    source: Option<Files>,
}

impl<'a> Base<'a> {
    /// Finds the image that a bundle was made from. The store must be locked.
    ///
    /// # Errors
    /// The store does not have it any more.
    pub fn find(store: &'a Store, record: &BundleRecord) -> Result<Base<'a>> {
        let (manifest, configuration) = store.documents(&Digest::parse(&record.image)?)?;
        let manifest = manifest.map(|text| parse(&text, "manifest.json")).transpose()?;
        let stored = |layer: &String| {
            let digest = Digest::parse(layer)?;
            store.layer(&digest)?.ok_or_else(|| ImageError::new(format!("layer {digest} is not in the store any more")))
        };
        let layers = record.layers.iter().map(stored).collect::<Result<_>>()?;
        // The image may be gone since: what it does not give any more is put together from the store.
        // accepts: a reference of another form, which leads to no image.
        let reference = Reference::parse(&record.reference).ok().filter(|reference| !reference.is_standard_input());
        let source = reference.and_then(|reference| match reference.transport {
            // accepts: any error; the image may be gone.
            Transport::Oci => Files::in_directory(&reference.path).ok(),
            // accepts: as above.
            Transport::OciArchive => Files::in_archive(&reference.path).ok(),
            // Its layers are found by name alone.
            Transport::DockerArchive => None,
        });
        let (configuration, wanted) = (parse(&configuration, "config.json")?, record.wanted.clone());
        Ok(Base { configuration, manifest, layers, wanted, store, source })
    }

    /// Has this root the layers of the image, and no others? `own` is the one that `minirun bundle` may have added.
    ///
    /// # Errors
    /// It has others.
    pub fn check(&self, root: &Root, own: &[PathBuf]) -> Result<()> {
        let end = self.layers.iter().rposition(|layer| layer.facts.opaque).unwrap_or(0);
        let image = self.layers[end..].iter().rev().map(|layer| &layer.root);
        let found: Vec<&PathBuf> = root.lower.iter().filter(|path| !own.contains(path)).collect();
        if image.eq(found) {
            return Ok(());
        }
        Err(ImageError::new("the configuration has other layers than the image that the bundle was made from"))
    }

    /// Writes an image of this one and what was changed. `frozen` is called when that is about to be read, and what it gives
    /// is dropped when it was.
    ///
    /// # Errors
    /// Something cannot be read or written. Nothing of the image is left then.
    pub fn commit<T>(
        &self,
        root: &Root,
        ids: &Ids,
        to: &Reference,
        amendment: &Amendment,
        frozen: impl FnOnce() -> Result<T>,
    ) -> Result<Committed> {
        let to = &to.absolute();
        // What is wrong with it is found before anything is written.
        let mut configuration = self.configuration.clone();
        instructions::apply(&mut configuration, &self.wanted, &amendment.changes)?;
        let commit = || {
            let mut target = Target::create(to)?;
            let mut layers = Vec::with_capacity(self.layers.len() + 1);
            for index in 0..self.layers.len() {
                let written = self.copy(index, to.transport, amendment.compression, &mut target);
                layers.push(written.map_err(|error| error.within(format!("layer {}", self.layers[index].diff_id)))?);
            }
            let held = frozen()?;
            let packed = self.pack_within_limits(root, ids, to.transport, amendment.compression, &mut target)?;
            drop(held);
            let layer = (packed.entries > 0).then_some(packed.diff_id);
            match layer {
                Some(_) => layers.push(end(&mut target, &packed, to.transport)?),
                None => target.take_back()?,
            }
            describe(&mut configuration, self.layers.len(), layer, amendment)?;
            let id = publish(target, to, &configuration, layers)?;
            Ok(Committed { id, layer })
        };
        commit().map_err(|error: ImageError| error.within(to))
    }

    /// Makes the new layer so that it can be unpacked: without compression where that would make it look like a bomb.
    fn pack_within_limits(
        &self,
        root: &Root,
        ids: &Ids,
        transport: Transport,
        compression: Compression,
        target: &mut Target,
    ) -> Result<Written> {
        let limits = Limits::default();
        let mut packed = self.pack(root, ids, transport, compression, target)?;
        if packed.is_too_dense(&limits) && packed.length <= limits.size {
            target.take_back()?;
            packed = self.pack(root, ids, transport, Compression::None, target)?;
        }
        if packed.length > limits.size {
            let text = format!("the changes take {} bytes, more than the {} of a layer", packed.length, limits.size);
            return Err(ImageError::new(text));
        }
        Ok(packed)
    }

    /// Makes the new layer, in a file that was begun.
    fn pack(
        &self,
        root: &Root,
        ids: &Ids,
        transport: Transport,
        compression: Compression,
        target: &mut Target,
    ) -> Result<Written> {
        let file = target.begin()?;
        let pack = || {
            let mut packer = Packer::new(Compressed::new(file, compression.of(transport)), ids);
            root.walk(&mut packer)?;
            let (out, entries) = packer.finish()?;
            Ok(Written { entries, ..out.finish()? })
        };
        match root.source {
            Source::Upper(_) => self.store.workers.ask(pack),
            // It gets the container's ids there.
            Source::Inside { .. } => Workers::of_root().ask(pack),
        }
    }

    /// Writes a layer of the image: its blob as it was where that is still to be found, else one that is made of the store.
    fn copy(&self, index: usize, transport: Transport, compression: Compression, target: &mut Target) -> Result<Value> {
        let layer = &self.layers[index];
        let known = self.manifest.as_ref().and_then(|manifest| manifest.layers.get(index));
        if transport != Transport::DockerArchive
            && let Some(known) = known
            && self.copy_blob(known, target)?
        {
            return Ok(
                json!({"mediaType": media_type(&known.media_type), "digest": known.digest()?.to_string(), "size": known.size}),
            );
        }
        let mut file = target.begin()?;
        let compression = compression.of(transport);
        let written = match (layer.facts.replaced, known) {
            (false, _) => {
                let restore = |file: File, compression| {
                    self.store.workers.ask(|| self.store.restore(layer, Compressed::new(file, compression))?.finish())
                };
                let written = restore(file, compression)?;
                if written.is_too_dense(&Limits::default()) && compression != Compression::None {
                    target.take_back()?;
                    restore(target.begin()?, Compression::None)?
                } else {
                    written
                }
            }
            (true, Some(known)) => {
                let mut out = Compressed::new(file.try_clone().doing(|| "dup")?, compression);
                let blob = self.blob(known)?.ok_or_else(|| self.lost())?;
                let limits = Limits::of_size(u64::MAX);
                let mut content = Hasher::default();
                let mut copy = |bytes: &[u8]| {
                    content.update(bytes);
                    out.write_all(bytes).doing(|| "write")
                };
                pour(blob, Some(known.digest()?), &limits, &mut copy, &mut |_| {})?;
                matches("content", layer.diff_id, content.finish())?;
                let written = out.finish()?;
                file.flush().doing(|| "write")?;
                written
            }
            (true, None) => return Err(self.lost()),
        };
        end(target, &written, transport)
    }

    fn lost(&self) -> ImageError {
        ImageError::new("its archive cannot be made of the store, because entries in it take the place of others")
            .hint("the image must still be where the bundle was made from, as a layout or oci-archive")
    }

    /// A blob of the image, if it is still there.
    fn blob(&self, known: &Descriptor) -> Result<Option<crate::stream::Piece>> {
        let Some(files) = &self.source else { return Ok(None) };
        let piece = files.open(&format!("{BLOBS}{}", known.digest()?.hex()));
        // accepts: any error; the blob is put together from the store then.
        Ok(piece.ok().filter(|piece| piece.length == known.size))
    }

    /// Copies a blob as it is; false if it is not there any more.
    fn copy_blob(&self, known: &Descriptor, target: &mut Target) -> Result<bool> {
        let digest = known.digest()?;
        if target.has(&digest, known.size)? {
            return Ok(true);
        }
        let Some(blob) = self.blob(known)? else { return Ok(false) };
        let mut out = Compressed::new(target.begin()?, Compression::None);
        std::io::copy(&mut std::io::BufReader::with_capacity(256 << 10, blob), &mut out).doing(|| "copy the blob")?;
        let written = out.finish()?;
        if written.digest != digest {
            return Err(ImageError::new(format!("the digest of its blob is {}, not {digest}", written.digest)));
        }
        target.end(&format!("{BLOBS}{}", digest.hex()))?;
        Ok(true)
    }
}

/// Ends a layer's file under the name that it has there: its descriptor, or in a docker-archive that name.
fn end(target: &mut Target, written: &Written, transport: Transport) -> Result<Value> {
    if transport == Transport::DockerArchive {
        let name = format!("{}.tar", written.diff_id.hex());
        target.end(&name)?;
        return Ok(name.into());
    }
    target.end(&format!("{BLOBS}{}", written.digest.hex()))?;
    let media_type = written.compression.media_type();
    Ok(json!({"mediaType": media_type, "digest": written.digest.to_string(), "size": written.size}))
}

/// Docker's media types have their own names for the same.
fn media_type(known: &str) -> &'static str {
    match known {
        _ if known.contains("zstd") => Compression::Zstd.media_type(),
        _ if known.contains("gzip") => Compression::Gzip.media_type(),
        _ => Compression::None.media_type(),
    }
}

/// Writes into the configuration what was done. `before` is how many layers there were.
fn describe(configuration: &mut Value, before: usize, layer: Option<Digest>, amendment: &Amendment) -> Result<()> {
    configuration["created"] = amendment.created.as_str().into();
    if let Some(author) = &amendment.author {
        configuration["author"] = author.as_str().into();
    }
    let list = |value: &mut Value| match value.take() {
        Value::Array(list) => Ok(list),
        Value::Null => Ok(Vec::new()),
        _ => Err(ImageError::new("the image's configuration has something else where a list is expected")),
    };
    if !configuration["rootfs"].is_object() {
        return Err(ImageError::new("the image's configuration has something else where an object is expected"));
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
fn publish(mut target: Target, to: &Reference, configuration: &Value, layers: Vec<Value>) -> Result<Digest> {
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
