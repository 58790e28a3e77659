//! The layers of a container's image in a new image: their blobs if they can still be found, or archives made from the store.

use std::fs::File;
use std::io::Write as _;

use serde_json::{Value, json};

use super::blob::{Compressed, Compression, Written};
use super::target::Target;
use super::{BLOBS, Base};
use crate::digest::Hasher;
use crate::document::Descriptor;
use crate::error::{Doing as _, ImageError, Result};
use crate::reference::Transport;
use crate::stream::{Limits, Piece, matches, pour};

impl Base<'_> {
    /// Writes a layer of the image: its blob as it was where that is still to be found, else one that is made of the store.
    pub(super) fn copy(
        &self,
        index: usize,
        transport: Transport,
        compression: Compression,
        target: &mut Target,
    ) -> Result<Value> {
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
        ImageError::new("its archive cannot be rebuilt from the store because some of its entries replace others")
            .hint("the image must still exist where the bundle was made from, as a layout or oci-archive")
    }

    /// A blob of the image, if it is still there.
    fn blob(&self, known: &Descriptor) -> Result<Option<Piece>> {
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
            return Err(ImageError::mismatch(format!("the digest of its blob is {}, not {digest}", written.digest)));
        }
        target.end(&format!("{BLOBS}{}", digest.hex()))?;
        Ok(true)
    }
}

/// Ends a layer's file under the name that it has there: its descriptor, or in a docker-archive that name.
pub(super) fn end(target: &mut Target, written: &Written, transport: Transport) -> Result<Value> {
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
