//! What a container has changed becomes a layer on top of its image.

mod blob;
mod documents;
mod freeze;
mod index;
mod instructions;
mod layers;
mod target;

use std::path::PathBuf;

use serde_json::Value;

use crate::archive::Files;
use crate::changes::{Root, Source};
use crate::digest::Digest;
use crate::document::{Manifest, parse};
use crate::error::{ImageError, Result};
use crate::ids::IdMaps;
use crate::pack::Packer;
use crate::reference::{Reference, Transport};
use crate::store::{BundleRecord, Store, Stored, Wanted};
use crate::stream::Limits;
use crate::workers::Workers;
use blob::{Compressed, Written};
use documents::{describe, publish};
use freeze::Frozen;
use layers::end;
use target::Target;

pub use blob::Compression;
pub use freeze::Freeze;

/// Where the blobs of a layout are.
const BLOBS: &str = "blobs/sha256/";

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
            store
                .layer(&digest)?
                .ok_or_else(|| ImageError::not_found(format!("layer {digest} is not in the store any more")))
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

    /// Writes an image of this one and the changes in `root`. `container` is called when these are about to be read, and
    /// returns the container that must be frozen meanwhile.
    ///
    /// # Errors
    /// Something cannot be read or written. Nothing of the image is left then.
    pub fn commit<F: Freeze>(
        &self,
        root: &Root,
        ids: &IdMaps,
        to: &Reference,
        amendment: &Amendment,
        container: impl FnOnce() -> Result<Option<F>>,
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
            let frozen = container()?.map(Frozen::new).transpose()?;
            let packed = self.pack_within_limits(root, ids, to.transport, amendment.compression, &mut target)?;
            drop(frozen);
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
        ids: &IdMaps,
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
            let text =
                format!("the changes have {} bytes, but a layer can have at most {}", packed.length, limits.size);
            return Err(ImageError::new(text));
        }
        Ok(packed)
    }

    /// Makes the new layer, in a file that was begun.
    fn pack(
        &self,
        root: &Root,
        ids: &IdMaps,
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
}
