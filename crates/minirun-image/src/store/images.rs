//! The images that layers in the store belong to.

use std::os::fd::AsFd as _;

use minirun_sys::Errno;
use serde::{Deserialize, Serialize};

use super::{MOST, Store, digests_in, name_of};
use crate::digest::Digest;
use crate::error::{Doing as _, Result};
use crate::files::{locked, make_directory, open_directory, open_file, read_all, replace};
use crate::image::Image;

/// What is known of an image; it is written last.
const RECORD: &std::ffi::CStr = c"image.json";
const DRAFT: &std::ffi::CStr = c".image.json";

/// An image whose layers are in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// The digest of its configuration.
    pub id: Digest,
    /// Where it was found, the last place first.
    pub references: Vec<String>,
    /// The digests of its layers' contents, bottom first.
    pub layers: Vec<Digest>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    references: Vec<String>,
    layers: Vec<String>,
}

impl Store {
    /// Keeps an image's documents, so that its layers are kept.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn remember(&self, image: &Image) -> Result<()> {
        let doing = || format!("write the record of image {}", image.id);
        let name = name_of(&image.id);
        make_directory(&self.images, &name, 0o700).doing(doing)?;
        // Another one may be about to write the same.
        let directory = locked(open_directory(&self.images, &name).doing(doing)?).doing(doing)?;
        let at = directory.as_fd();
        let documents =
            [(c"config.json", Some(&image.configuration_text)), (c"manifest.json", image.manifest.as_ref())];
        for (file, text) in documents {
            if let Some(text) = text {
                replace(at, file, c".draft", text).doing(doing)?;
            }
        }
        let reference = image.reference.to_string();
        let mut references = match self.image(&image.id) {
            Ok(known) => known.references,
            // A new image, or one whose record was damaged.
            Err(error) if matches!(error.errno(), None | Some(Errno::ENOENT)) => Vec::new(),
            Err(error) => return Err(error),
        };
        references.retain(|known| *known != reference);
        references.insert(0, reference);
        references.truncate(16);
        let layers = image.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        let text = serde_json::to_vec(&Record { references, layers }).doing(doing)?;
        replace(at, RECORD, DRAFT, &text).doing(doing)
    }

    /// What is known of an image.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn image(&self, id: &Digest) -> Result<StoredImage> {
        let read = || {
            let directory = open_directory(&self.images, &name_of(id)).doing(|| "open")?;
            let text = read_all(&open_file(directory.as_fd(), RECORD)?, MOST)?;
            let record: Record = crate::document::parse(&text, "image.json")?;
            let layers = record.layers.iter().map(|layer| Digest::parse(layer)).collect::<Result<_>>()?;
            Ok(StoredImage { id: *id, references: record.references, layers })
        };
        read().map_err(|error: crate::ImageError| error.within(format!("image {id} in the store")))
    }

    /// The manifest (none came with a docker-archive) and the configuration of an image, as they were written.
    ///
    /// # Errors
    /// They are not there, or cannot be read.
    pub fn documents(&self, id: &Digest) -> Result<(Option<Vec<u8>>, Vec<u8>)> {
        let directory = open_directory(&self.images, &name_of(id)).doing(|| format!("image {id} in the store"))?;
        let read = |name| read_all(&open_file(directory.as_fd(), name)?, MOST);
        let manifest = match crate::files::stat_at(&directory, c"manifest.json").doing(|| "stat manifest.json")? {
            Some(_) => Some(read(c"manifest.json")?),
            None => None,
        };
        Ok((manifest, read(c"config.json")?))
    }

    /// The ids of all images, sorted.
    ///
    /// # Errors
    /// They cannot be listed.
    pub fn images(&self) -> Result<Vec<Digest>> {
        digests_in(self.images.as_fd())
    }
}
