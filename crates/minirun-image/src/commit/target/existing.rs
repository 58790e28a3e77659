//! The content of an archive that gets another image. An archive is written in one go, so the new one begins with a copy of
//! the existing one.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use minirun_sys::{Flock, FlockArg};
use nix::unistd::{Gid, Uid, fchown};
use serde_json::Value;

use crate::archive::{Files, read_small};
use crate::commit::index::{MOST, manifests_of};
use crate::document::{DockerEntry, REF_NAME, parse};
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{open_file, stat_at};
use crate::image::full_name;
use crate::reference::{Reference, Transport};
use crate::stream::Piece;

/// What lists the images of a docker-archive.
const MANIFEST: &str = "manifest.json";

/// An archive that is locked, until the new one has taken its place.
pub(super) struct ExistingArchive {
    file: Flock<File>,
    files: Files,
    /// `index.json` without its manifests, or nothing.
    pub(super) index: Value,
    /// Its images, as `index.json` or `manifest.json` lists them; without one that loses its name to the new one.
    pub(super) images: Vec<Value>,
}

impl ExistingArchive {
    /// Opens the archive in this directory, and waits for other processes that add an image to it. None if there is no file.
    pub(super) fn open(parent: &OwnedFd, name: &CStr, reference: &Reference) -> Result<Option<ExistingArchive>> {
        let file = loop {
            if stat_at(parent, name).doing(|| "stat")?.is_none() {
                return Ok(None);
            }
            let file = Flock::lock(open_file(parent.as_fd(), name)?, FlockArg::LockExclusive);
            let file = file.map_err(|(_, errno)| ImageError::of("lock it", errno))?;
            // The process that held the lock has replaced it.
            if file.metadata().doing(|| "stat")?.nlink() > 0 {
                break file;
            }
        };
        let files = Files::of_archive(file.try_clone().doing(|| "dup")?)?;
        let mut existing = ExistingArchive { file, files, index: Value::Null, images: Vec::new() };
        match reference.transport {
            Transport::DockerArchive => existing.read_docker(reference)?,
            _ => existing.read_index(reference)?,
        }
        Ok(Some(existing))
    }

    fn read_index(&mut self, reference: &Reference) -> Result<()> {
        let version =
            read_small(&self.files, "oci-layout").map_err(|error| error.within("it is not an OCI image layout"))?;
        crate::image::check_version(&version)?;
        (self.index, self.images) = manifests_of(&read_small(&self.files, "index.json")?)?;
        let Some(tag) = reference.name.as_deref() else { return self.need_none("oci-archive:FILE:TAG") };
        self.images.retain(|known| known["annotations"][REF_NAME].as_str() != Some(tag));
        Ok(())
    }

    fn read_docker(&mut self, reference: &Reference) -> Result<()> {
        let text = read_small(&self.files, MANIFEST).map_err(|error| error.within("docker save has not written it"))?;
        // What is not known of them stays.
        parse::<Vec<DockerEntry>>(&text, MANIFEST)?;
        self.images = parse(&text, MANIFEST)?;
        if !self.images.iter().all(Value::is_object) {
            return Err(ImageError::new(format!("{MANIFEST}: an image is not an object")));
        }
        let Some(name) = reference.name.as_deref() else { return self.need_none("docker-archive:FILE:REF") };
        let taken = full_name(name);
        self.images.retain_mut(|image| {
            let Some(tags) = image.get_mut("RepoTags").and_then(Value::as_array_mut) else { return true };
            let before = tags.len();
            tags.retain(|tag| tag.as_str().is_none_or(|tag| full_name(tag) != taken));
            // One that never had a name stays.
            !tags.is_empty() || before == 0
        });
        // A name that is a link is written as what it leads to.
        for image in &mut self.images {
            for name in image.get_mut("Layers").and_then(Value::as_array_mut).into_iter().flatten() {
                *name = self.files.followed(name.as_str().unwrap_or_default())?.into();
            }
            image["Config"] = self.files.followed(image["Config"].as_str().unwrap_or_default())?.into();
        }
        Ok(())
    }

    fn need_none(&self, form: &'static str) -> Result<()> {
        if self.images.is_empty() {
            return Ok(());
        }
        Err(ImageError::option(format!("there are images in it, and the new one needs a name: {form}")))
    }

    /// The names of all files that its images are made of.
    pub(super) fn names(&self) -> Result<BTreeSet<String>> {
        match self.index {
            Value::Null => Ok(self.named()),
            _ => self.reached(),
        }
    }

    /// Of a docker-archive: the files that its images name.
    fn named(&self) -> BTreeSet<String> {
        let layers = self.images.iter().filter_map(|image| image["Layers"].as_array()).flatten();
        let names = layers.chain(self.images.iter().map(|image| &image["Config"]));
        names.filter_map(Value::as_str).filter(|name| *name != MANIFEST).map(str::to_owned).collect()
    }

    /// Of an image layout: all blobs whose digest stands in a document, whatever that is about.
    fn reached(&self) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        let mut named = Vec::new();
        self.images.iter().for_each(|image| digests_in(image, &mut named));
        while let Some(name) = named.pop() {
            // accepts: any error; one that cannot be read is not taken over, nor what it names.
            let Ok(blob) = self.files.open(&name) else { continue };
            if found.insert(name) && blob.length <= MOST {
                let mut text = Vec::new();
                std::io::BufReader::new(blob).read_to_end(&mut text).doing(|| "read the archive")?;
                // Small layers are no documents.
                serde_json::from_slice(&text).iter().for_each(|document| digests_in(document, &mut named));
            }
        }
        Ok(found)
    }

    /// A file of it.
    pub(super) fn file(&self, name: &str) -> Result<Piece> {
        self.files.open(name)
    }

    /// Gives the new archive the owner and the permissions of this one, as far as the caller may.
    pub(super) fn give_attributes(&self, new: &File) -> Result<()> {
        let found = self.file.metadata().doing(|| "stat")?;
        // accepts: EPERM; only root can change the owner.
        let _another = fchown(new, Some(Uid::from_raw(found.uid())), Some(Gid::from_raw(found.gid())));
        new.set_permissions(std::fs::Permissions::from_mode(found.mode() & 0o777)).doing(|| "chmod")
    }
}

/// The names of all blobs whose digest is a string in this document.
fn digests_in(document: &Value, names: &mut Vec<String>) {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match document {
        Value::String(text) => {
            let parts = text.split_once(':').filter(|(kind, hex)| plain(kind) && plain(hex));
            names.extend(parts.map(|(kind, hex)| format!("blobs/{kind}/{hex}")));
        }
        Value::Array(list) => list.iter().for_each(|value| digests_in(value, names)),
        Value::Object(members) => members.values().for_each(|value| digests_in(value, names)),
        _ => {}
    }
}
