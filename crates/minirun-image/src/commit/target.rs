//! An image while it is written: in a locked staging directory beside its own place, and renamed at the end. The next process
//! that writes the same image removes what a killed process has left there.

mod archive;
mod existing;
mod layout;

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use minirun_sys as sys;
use minirun_sys::{Flock, FlockArg};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::document::REF_NAME;
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, make_directory, names_in, open_directory, remove_tree};
use crate::reference::{Reference, Transport};
use archive::Archive;
use existing::ExistingArchive;
use layout::Layout;

/// What the names of staging directories begin with.
const PREFIX: &str = ".minirun-commit-";
/// The permissions of new images: the files in them may be readable by root alone.
const PRIVATE: u32 = 0o600;
/// The directory of the blobs in an image layout.
const BLOBS: &str = "blobs/sha256/";

/// An image that is being written.
pub(super) struct Target {
    reference: Reference,
    /// The directory that holds the staging directory: that of the image, or an existing layout.
    around: OwnedFd,
    staging_name: CString,
    staging: Flock<File>,
    form: Form,
}

enum Form {
    Layout(Layout),
    Archive(Archive),
}

impl Target {
    /// Makes the staging directory, with the content of an archive that exists. The reference has an absolute path.
    ///
    /// # Errors
    /// The path holds something else, or nothing can be made there.
    pub(super) fn create(reference: &Reference) -> Result<Target> {
        if reference.is_standard_input() {
            return Err(
                ImageError::option("an image cannot be written to standard output").hint("./- is a file of that name")
            );
        }
        let path = reference.path();
        let name = path.file_name().ok_or_else(|| ImageError::option("the path has no name"))?.as_encoded_bytes();
        let parent = path.parent().unwrap_or(Path::new("/"));
        let parent = c_string(parent.as_os_str().as_encoded_bytes())?;
        let parent = sys::open(&parent, libc::O_DIRECTORY).doing(|| format!("open {}", parent.to_string_lossy()))?;
        let (around, staging_name, staging, form) = match reference.transport {
            Transport::Oci => {
                let existing = layout::existing(&parent, &c_string(name)?, reference)?;
                let around = match &existing {
                    Some(layout) => layout.as_fd().try_clone_to_owned().doing(|| "dup")?,
                    None => parent,
                };
                let (staging_name, staging) = make_staging(&around, name)?;
                let form = Form::Layout(Layout::create(&staging, existing)?);
                (around, staging_name, staging, form)
            }
            _ => {
                let existing = ExistingArchive::open(&parent, &c_string(name)?, reference)?;
                let (staging_name, staging) = make_staging(&parent, name)?;
                let form = Form::Archive(Archive::create(&staging, existing)?);
                (parent, staging_name, staging, form)
            }
        };
        let mut target = Target { reference: reference.clone(), around, staging_name, staging, form };
        if let Form::Archive(archive) = &mut target.form {
            archive.copy_existing()?;
        }
        Ok(target)
    }

    /// Whether this blob is there already, with this size.
    pub(super) fn has(&self, digest: &Digest, size: u64) -> Result<bool> {
        let name = format!("{BLOBS}{}", digest.hex());
        match &self.form {
            Form::Layout(layout) => layout.has(&name, size),
            Form::Archive(archive) => Ok(archive.has(&name, size)),
        }
    }

    /// Begins a file: it is written from its position on.
    pub(super) fn begin(&mut self) -> Result<File> {
        match &mut self.form {
            Form::Layout(layout) => layout.begin(&self.staging),
            Form::Archive(archive) => archive.begin(),
        }
    }

    /// Ends the file, when all of it is written.
    pub(super) fn end(&mut self, name: &str) -> Result<()> {
        match &mut self.form {
            Form::Layout(layout) => layout.end(&self.staging, name),
            Form::Archive(archive) => archive.end(name),
        }
    }

    /// Takes back the file that was begun. In a layout the next draft takes its place.
    pub(super) fn take_back(&mut self) -> Result<()> {
        match &mut self.form {
            Form::Layout(_) => Ok(()),
            Form::Archive(archive) => archive.take_back(),
        }
    }

    /// Writes a small file.
    pub(super) fn put(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let doing = || format!("write {name}");
        self.begin()?.write_all(content).doing(doing)?;
        self.end(name)
    }

    /// Writes a small blob, and returns its descriptor.
    pub(super) fn document(&mut self, media_type: &str, content: &[u8]) -> Result<Value> {
        let digest = Digest::of(content);
        self.put(&format!("{BLOBS}{}", digest.hex()), content)?;
        Ok(json!({"mediaType": media_type, "digest": digest.to_string(), "size": content.len()}))
    }

    /// Makes a layout or an archive of one visible, with the manifest of this descriptor.
    pub(super) fn publish_layout(mut self, mut manifest: Value) -> Result<()> {
        if let Some(tag) = &self.reference.name {
            manifest["annotations"] = json!({REF_NAME: tag});
        }
        let version = json!({"imageLayoutVersion": "1.0.0"}).to_string();
        let name = last_name(&self.reference)?;
        match &mut self.form {
            Form::Layout(layout) => {
                layout.publish(&self.staging, &self.around, &name, &self.reference, &version, manifest)
            }
            Form::Archive(archive) => {
                let index = archive.index_with(manifest);
                self.put("oci-layout", version.as_bytes())?;
                self.put("index.json", index.to_string().as_bytes())?;
                self.publish_archive(&name)
            }
        }
    }

    /// Makes a docker-archive visible, with the image of this entry of `manifest.json`.
    pub(super) fn publish_docker(mut self, image: Value) -> Result<()> {
        let mut images = match &mut self.form {
            Form::Archive(archive) => archive.take_images(),
            Form::Layout(_) => Vec::new(),
        };
        images.push(image);
        self.put("manifest.json", Value::from(images).to_string().as_bytes())?;
        let name = last_name(&self.reference)?;
        self.publish_archive(&name)
    }

    fn publish_archive(&mut self, name: &CStr) -> Result<()> {
        match &mut self.form {
            Form::Layout(_) => Ok(()),
            Form::Archive(archive) => archive.publish(&self.staging, &self.around, name),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Err(errno) = remove_tree(&self.around, &self.staging_name) {
            log::warn!("remove {}: {}", self.staging_name.to_string_lossy(), errno.desc());
        }
    }
}

/// The index of a layout with these manifests alone.
fn new_index(manifests: Vec<Value>) -> Value {
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests})
}

/// The name of the image's directory or file.
fn last_name(reference: &Reference) -> Result<CString> {
    c_string(reference.path().file_name().unwrap_or_default().as_encoded_bytes())
}

/// Makes a locked directory for this process alone, and removes those that dead processes have left.
fn make_staging(around: &OwnedFd, name: &[u8]) -> Result<(CString, Flock<File>)> {
    let prefix = [PREFIX.as_bytes(), name, b"-"].concat();
    for name in names_in(around).doing(|| "list")?.iter().filter(|name| name.to_bytes().starts_with(&prefix)) {
        // accepts: any error; a leftover that cannot be opened stays.
        let Ok(directory) = open_directory(around, name) else { continue };
        // accepts: EWOULDBLOCK; another process is at work there.
        if let Ok(_locked) = Flock::lock(File::from(directory), FlockArg::LockExclusiveNonblock) {
            remove_tree(around, name).doing(|| format!("remove {}", name.to_string_lossy()))?;
        }
    }
    let name = c_string(&[&prefix, format!("{:x}", std::process::id()).as_bytes()].concat())?;
    let doing = || format!("make {}", name.to_string_lossy());
    loop {
        make_directory(around, &name, 0o700).doing(doing)?;
        let directory = File::from(open_directory(around, &name).doing(doing)?);
        let locked = Flock::lock(directory, FlockArg::LockExclusive);
        let locked = locked.map_err(|(_, errno)| ImageError::of(doing(), errno))?;
        // Another process can have removed it as a leftover before it was locked.
        if sys::fstat(locked.as_fd()).doing(doing)?.st_nlink > 0 {
            return Ok((name, locked));
        }
    }
}

fn new_file(at: &impl AsFd, name: &CStr, mode: u32) -> Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = openat(at, name, flags, Mode::from_bits_truncate(mode));
    made.map(File::from).doing(|| format!("make {}", name.to_string_lossy()))
}
