//! An image: its manifest, its configuration and its layers, found by a reference.

mod choice;
mod layout;

use std::fs::File;
use std::path::Path;

use minirun_overlay::MOST_LAYERS;

use crate::archive::{Files, read_small};
use crate::digest::Digest;
use crate::document::{Configuration, Descriptor, DockerEntry, Index, Manifest, parse};
use crate::error::{ImageError, Result};
use crate::reference::{Reference, Transport};
use crate::stream::Piece;
pub(crate) use choice::full_name;
use choice::{choose, choose_docker, own_architecture, resolve};
pub(crate) use layout::check_version;
use layout::{blob_name, check_layout, read_blob};

/// An image, of which the documents are read and verified. The layers are not read so far.
#[derive(Debug)]
pub struct Image {
    /// Where it was found, with an absolute path.
    pub reference: Reference,
    /// The digest of its configuration: what Docker and Podman call the id of an image.
    pub id: Digest,
    /// Its manifest as it was written; a docker-archive has none.
    pub manifest: Option<Vec<u8>>,
    /// Its configuration as it was written.
    pub configuration_text: Vec<u8>,
    /// Its configuration.
    pub configuration: Configuration,
    /// Its layers, bottom first.
    pub layers: Vec<Layer>,
    files: Files,
}

/// A layer of an image.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The digest of its content, uncompressed.
    pub diff_id: Digest,
    /// The digest of its blob; a docker-archive does not tell.
    pub blob: Option<Digest>,
    /// The length of its blob, in bytes.
    pub size: u64,
    /// As the manifest has it; empty in a docker-archive.
    pub media_type: String,
    /// The name of the blob.
    name: String,
}

impl Image {
    /// Finds an image and reads its documents.
    ///
    /// # Errors
    /// It is not there, its documents are malformed or have other digests, it is for other machines, or the name means more
    /// than one.
    pub fn open(reference: &Reference) -> Result<Image> {
        let reference = reference.absolute();
        let open = || match reference.transport {
            Transport::Oci => Image::of_layout(&reference, Files::in_directory(&reference.path)?),
            Transport::OciArchive => Image::of_layout(&reference, Files::in_archive(&reference.path)?),
            Transport::DockerArchive => Image::of_docker(&reference, Files::in_archive(&reference.path)?),
        };
        open().map_err(|error| error.within(&reference))
    }

    /// The same of an archive that is open, as it comes from standard input.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn of_archive(reference: &Reference, archive: File) -> Result<Image> {
        let open = || match reference.transport {
            Transport::DockerArchive => Image::of_docker(reference, Files::of_archive(archive)?),
            _ => Image::of_layout(reference, Files::of_archive(archive)?),
        };
        open().map_err(|error| error.within(reference))
    }

    /// The blob of a layer, from its beginning.
    ///
    /// # Errors
    /// It is not there, or has another length.
    pub(crate) fn blob(&self, layer: &Layer) -> Result<Piece> {
        open_sized(&self.files, &layer.name, layer.size)
    }

    fn of_layout(reference: &Reference, files: Files) -> Result<Image> {
        check_layout(&files)?;
        let index: Index = parse(&read_small(&files, "index.json")?, "index.json")?;
        let descriptor = choose(index, reference.name.as_deref())?;
        let manifest = resolve(&files, descriptor)?;
        let text = read_blob(&files, &manifest)?;
        let manifest: Manifest = parse(&text, "manifest")?;
        let id = manifest.config.digest()?;
        if !manifest.config.media_type.ends_with("image.config.v1+json")
            && manifest.config.media_type != "application/vnd.docker.container.image.v1+json"
        {
            return Err(ImageError::unsupported(format!(
                "it holds {:?}, and no image to run",
                manifest.config.media_type
            )));
        }
        let configuration_text = read_blob(&files, &manifest.config).map_err(|error| error.within("configuration"))?;
        let configuration: Configuration = parse(&configuration_text, "configuration")?;
        let diff_ids = configuration.diff_ids()?;
        check_count(manifest.layers.len(), diff_ids.len())?;
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (descriptor, diff_id) in manifest.layers.iter().zip(diff_ids) {
            let blob = descriptor.digest()?;
            check_kind(descriptor)?;
            let (size, media_type) = (descriptor.size, descriptor.media_type.clone());
            layers.push(Layer { diff_id, blob: Some(blob), size, media_type, name: blob_name(&blob) });
        }
        Image {
            reference: reference.clone(),
            id,
            manifest: Some(text),
            configuration_text,
            configuration,
            layers,
            files,
        }
        .checked()
    }

    fn of_docker(reference: &Reference, files: Files) -> Result<Image> {
        let entries: Vec<DockerEntry> = parse(&read_small(&files, "manifest.json")?, "manifest.json")?;
        let entry = choose_docker(entries, reference.name.as_deref())?;
        let configuration_text = read_small(&files, &entry.config)?;
        let id = Digest::of(&configuration_text);
        // Its name is its digest, in one form or the other.
        let name = Path::new(&entry.config).file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(named) = Digest::from_hex(name)
            && named != id
        {
            return Err(ImageError::mismatch(format!("the digest of the configuration {} is {id}", entry.config)));
        }
        let configuration: Configuration = parse(&configuration_text, &entry.config)?;
        let diff_ids = configuration.diff_ids()?;
        check_count(entry.layers.len(), diff_ids.len())?;
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (name, diff_id) in entry.layers.into_iter().zip(diff_ids) {
            let size = files.open(&name)?.length;
            layers.push(Layer { diff_id, blob: None, size, media_type: String::new(), name });
        }
        Image { reference: reference.clone(), id, manifest: None, configuration_text, configuration, layers, files }
            .checked()
    }

    fn checked(self) -> Result<Image> {
        let Configuration { architecture, os, .. } = &self.configuration;
        if os != "linux" && !os.is_empty() {
            return Err(ImageError::unsupported(format!("it is for {os}, not linux")));
        }
        if !architecture.is_empty() && architecture != own_architecture() {
            return Err(ImageError::unsupported(format!("it is for {architecture}, not {}", own_architecture())));
        }
        Ok(self)
    }
}

fn check_kind(layer: &Descriptor) -> Result<()> {
    let kind = &layer.media_type;
    if kind.contains("encrypted") || !kind.contains("tar") {
        return Err(ImageError::unsupported(format!("layers of the type {kind:?} are not supported")));
    }
    Ok(())
}

fn check_count(layers: usize, diff_ids: usize) -> Result<()> {
    if layers != diff_ids {
        return Err(ImageError::new(format!("it has {layers} layers, but its configuration tells of {diff_ids}")));
    }
    match layers {
        0 => Err(ImageError::new("it has no layers")),
        1..=MOST_LAYERS => Ok(()),
        _ => Err(ImageError::limit(format!("{layers} layers are more than the kernel's {MOST_LAYERS}"))),
    }
}

fn open_sized(files: &Files, name: &str, size: u64) -> Result<Piece> {
    let piece = files.open(name)?;
    if piece.length != size {
        return Err(ImageError::new(format!("{name} has {} bytes, not {size}", piece.length)));
    }
    Ok(piece)
}
