//! An image: its manifest, its configuration and its layers, found by a reference.

use std::fs::File;
use std::path::Path;

use crate::archive::{Files, read_small};
use crate::digest::Digest;
use crate::document::{Configuration, Descriptor, DockerEntry, Index, Manifest, Platform, parse};
use crate::error::{ImageError, Result};
use crate::reference::{Reference, Transport};
use crate::stream::Piece;

/// How many indexes may be inside each other.
const MOST_NESTED: usize = 4;
/// How many manifests may be looked through.
const MOST_MANIFESTS: usize = 4096;
/// The most layers: overlayfs takes no more.
pub(crate) const MOST_LAYERS: usize = 500;

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
        let mut seen = 0;
        let manifest = resolve(&files, descriptor, MOST_NESTED, &mut seen)?;
        let text = read_blob(&files, &manifest)?;
        let manifest: Manifest = parse(&text, "manifest")?;
        let id = manifest.config.digest()?;
        if !manifest.config.media_type.ends_with("image.config.v1+json")
            && manifest.config.media_type != "application/vnd.docker.container.image.v1+json"
        {
            return Err(ImageError::new(format!("it holds {:?}, and no image to run", manifest.config.media_type)));
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
            return Err(ImageError::new(format!("the digest of the configuration {} is {id}", entry.config)));
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
            return Err(ImageError::new(format!("it is for {os}, not linux")));
        }
        if !architecture.is_empty() && architecture != own_architecture() {
            return Err(ImageError::new(format!("it is for {architecture}, not {}", own_architecture())));
        }
        Ok(self)
    }
}

/// What Go calls the architecture of this program.
fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn open_sized(files: &Files, name: &str, size: u64) -> Result<Piece> {
    let piece = files.open(name)?;
    if piece.length != size {
        return Err(ImageError::new(format!("{name} has {} bytes, not {size}", piece.length)));
    }
    Ok(piece)
}

/// Reads a document that a descriptor names.
fn read_blob(files: &Files, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let digest = descriptor.digest()?;
    let name = blob_name(&digest);
    let bytes = read_small(files, &name)?;
    if bytes.len() as u64 != descriptor.size {
        return Err(ImageError::new(format!("{name} has {} bytes, not {}", bytes.len(), descriptor.size)));
    }
    match Digest::of(&bytes) {
        found if found == digest => Ok(bytes),
        found => Err(ImageError::new(format!("the digest of {name} is {found}"))),
    }
}

/// Is it an OCI image layout of a version that is known? (image-layout.md)
fn check_layout(files: &Files) -> Result<()> {
    let text = read_small(files, "oci-layout").map_err(|error| error.within("it is no OCI image layout"))?;
    check_version(&text)
}

/// The same of what its file `oci-layout` holds.
pub(crate) fn check_version(text: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let layout: Layout = parse(text, "oci-layout")?;
    match layout.image_layout_version.starts_with("1.") {
        true => Ok(()),
        false => {
            Err(ImageError::new(format!("an image layout of version {} is not supported", layout.image_layout_version)))
        }
    }
}

/// The one descriptor that a name means.
fn choose(index: Index, name: Option<&str>) -> Result<Descriptor> {
    let tags: Vec<_> = index.manifests.iter().filter_map(Descriptor::name).map(str::to_owned).collect();
    let images = index.manifests.into_iter().filter(|descriptor| descriptor.is_manifest() || descriptor.is_index());
    let mut fitting: Vec<_> = images.filter(|descriptor| name.is_none() || descriptor.name() == name).collect();
    // Without a tag the list may be one image for several machines.
    if name.is_none()
        && fitting.len() > 1
        && fitting.iter().any(|descriptor| descriptor.platform.is_some())
        && tags.is_empty()
    {
        return best(fitting.iter()).cloned();
    }
    match (fitting.pop(), fitting.is_empty(), name) {
        (Some(descriptor), true, _) => Ok(descriptor),
        (Some(_), false, Some(name)) => {
            Err(ImageError::new(format!("it has more than one image with the tag {name:?}")))
        }
        (Some(_), false, None) => {
            Err(ImageError::new(format!("it has several images (tags: {}); one must be named", tags.join(", "))))
        }
        (None, _, Some(name)) if !tags.is_empty() => {
            Err(ImageError::new(format!("it has no image with the tag {name:?} (but {})", tags.join(", "))))
        }
        (None, _, Some(name)) => Err(ImageError::new(format!("it has no image with the tag {name:?}"))),
        (None, _, None) => Err(ImageError::new("it holds no image")),
    }
}

/// Goes down through indexes to the manifest for this machine.
fn resolve(files: &Files, descriptor: Descriptor, nested: usize, seen: &mut usize) -> Result<Descriptor> {
    if !descriptor.is_index() {
        return Ok(descriptor);
    }
    if nested == 0 {
        return Err(ImageError::new(format!("more than {MOST_NESTED} indexes inside each other")));
    }
    let index: Index = parse(&read_blob(files, &descriptor)?, "index")?;
    *seen += index.manifests.len();
    if *seen > MOST_MANIFESTS {
        return Err(ImageError::new(format!("more than {MOST_MANIFESTS} manifests are not expected there")));
    }
    let chosen = best(index.manifests.iter())?.clone();
    resolve(files, chosen, nested - 1, seen)
}

/// Of several manifests the one for this machine; the first of those that fit equally well.
fn best<'a>(manifests: impl Iterator<Item = &'a Descriptor> + Clone) -> Result<&'a Descriptor> {
    let images = manifests.clone().filter(|descriptor| descriptor.is_manifest() || descriptor.is_index());
    let own = images.clone().filter(|descriptor| descriptor.platform.as_ref().is_none_or(is_own));
    // The plain architecture is the one that everybody can run.
    let rank = |descriptor: &&Descriptor| match &descriptor.platform {
        Some(platform) if platform.variant.is_empty() || platform.variant == "v8" => 0,
        Some(_) => 1,
        None => 2,
    };
    own.min_by_key(rank).ok_or_else(|| {
        let known: Vec<_> = images
            .filter_map(|image| image.platform.as_ref())
            .map(|p| format!("{}/{}", p.os, p.architecture))
            .collect();
        ImageError::new(format!("it is not for linux/{} (but {})", own_architecture(), known.join(", ")))
    })
}

fn is_own(platform: &Platform) -> bool {
    platform.os == "linux" && platform.architecture == own_architecture()
}

fn choose_docker(mut entries: Vec<DockerEntry>, name: Option<&str>) -> Result<DockerEntry> {
    let tags: Vec<_> = entries.iter().flat_map(|entry| entry.repo_tags.clone()).collect();
    let all = || if tags.is_empty() { "none".to_owned() } else { tags.join(", ") };
    let Some(name) = name else {
        return match (entries.pop(), entries.is_empty()) {
            (Some(entry), true) => Ok(entry),
            (Some(_), false) => Err(ImageError::new(format!("it has several images ({}); one must be named", all()))),
            (None, _) => Err(ImageError::new("it holds no image")),
        };
    };
    let full = full_name(name);
    let fits = |entry: &DockerEntry| entry.repo_tags.iter().any(|tag| full_name(tag) == full);
    match entries.into_iter().find(fits) {
        Some(entry) => Ok(entry),
        None => Err(ImageError::new(format!("it has no image {name:?} (but {})", all()))),
    }
}

/// Docker's short names stand for longer ones: `web` is `docker.io/library/web:latest`.
pub(crate) fn full_name(name: &str) -> String {
    let (registry, rest) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => ("docker.io", name),
    };
    let library = if registry == "docker.io" && !rest.contains('/') { "library/" } else { "" };
    let tag = if rest.contains(':') { "" } else { ":latest" };
    format!("{registry}/{library}{rest}{tag}")
}

fn check_kind(layer: &Descriptor) -> Result<()> {
    let kind = &layer.media_type;
    if kind.contains("encrypted") || !kind.contains("tar") {
        return Err(ImageError::new(format!("layers of the type {kind:?} are not supported")));
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
        _ => Err(ImageError::new(format!("{layers} layers are more than the kernel's {MOST_LAYERS}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_of_docker_are_completed() {
        for (short, full) in [
            ("web", "docker.io/library/web:latest"),
            ("me/web:1", "docker.io/me/web:1"),
            ("docker.io/library/web:latest", "docker.io/library/web:latest"),
            ("localhost:5000/web", "localhost:5000/web:latest"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }

    fn index(manifests: &str) -> Index {
        parse(format!(r#"{{"manifests": [{manifests}]}}"#).as_bytes(), "index").unwrap()
    }

    fn manifest(tag: &str, architecture: &str, size: u64) -> String {
        format!(
            r#"{{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "", "size": {size},
                "platform": {{"os": "linux", "architecture": "{architecture}"}}
                {}}}"#,
            if tag.is_empty() {
                String::new()
            } else {
                format!(r#", "annotations": {{"org.opencontainers.image.ref.name": "{tag}"}}"#)
            }
        )
    }

    #[test]
    fn a_tag_or_this_machine_chooses() {
        let own = own_architecture();
        let tagged = || index(&[manifest("a", own, 1), manifest("b", own, 2)].join(","));
        assert_eq!(choose(tagged(), Some("b")).unwrap().size, 2);
        assert_eq!(
            choose(tagged(), None).unwrap_err().to_string(),
            "it has several images (tags: a, b); one must be named"
        );
        assert!(choose(tagged(), Some("c")).unwrap_err().to_string().contains("but a, b"));
        let platforms = index(&[manifest("", "s390x", 1), manifest("", own, 2)].join(","));
        assert_eq!(choose(platforms, None).unwrap().size, 2);
        let foreign = index(&[manifest("", "s390x", 1), manifest("", "mips", 2)].join(","));
        assert!(best(foreign.manifests.iter()).unwrap_err().to_string().ends_with("(but linux/s390x, linux/mips)"));
    }
}
