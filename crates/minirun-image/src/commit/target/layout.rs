//! A new image in an image layout: a new layout in the staging directory, or blobs for one that exists.

use std::ffi::CStr;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use minirun_sys as sys;
use minirun_sys::{Flock, FlockArg};
use nix::fcntl::renameat;
use serde_json::Value;

use super::{BLOBS, PRIVATE, new_file, new_index};
use crate::commit::index::{MOST, manifests_of};
use crate::document::REF_NAME;
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, make_directory, names_in, open_directory, open_file, read_all, remove_tree};
use crate::reference::Reference;

/// A layout that is being written.
pub(super) struct Layout {
    /// The directory of the new blobs, in the staging directory.
    blobs: OwnedFd,
    /// The layout that gets the image, locked.
    existing: Option<Flock<File>>,
    /// The permissions of new files.
    mode: u32,
}

impl Layout {
    pub(super) fn create(staging: &File, existing: Option<Flock<File>>) -> Result<Layout> {
        let mode = existing.as_ref().map_or(Ok(PRIVATE), |layout| mode_of_index(layout))?;
        Ok(Layout { blobs: make_layout(staging)?, existing, mode })
    }

    /// Whether the existing layout has this blob, with this size.
    pub(super) fn has(&self, name: &str, size: u64) -> Result<bool> {
        let Some(layout) = &self.existing else { return Ok(false) };
        // accepts: any error; a blob that cannot be read is written again.
        let found = open_file(layout.as_fd(), &c_string(name.as_bytes())?).ok();
        // accepts: as above.
        Ok(found.is_some_and(|file| file.metadata().is_ok_and(|found| found.len() == size)))
    }

    pub(super) fn begin(&self, staging: &File) -> Result<File> {
        remove_tree(staging, c"draft").doing(|| "remove a draft")?;
        new_file(&staging, c"draft", self.mode)
    }

    pub(super) fn end(&self, staging: &File, name: &str) -> Result<()> {
        let blob = c_string(name.strip_prefix(BLOBS).unwrap_or(name).as_bytes())?;
        renameat(staging, c"draft", &self.blobs, blob.as_c_str()).doing(|| format!("write {name}"))
    }

    /// Makes the image visible: adds it to the existing layout, or gives the new layout its name.
    pub(super) fn publish(
        &self,
        staging: &File,
        around: &OwnedFd,
        name: &CStr,
        reference: &Reference,
        version: &str,
        manifest: Value,
    ) -> Result<()> {
        if let Some(layout) = &self.existing {
            nix::unistd::syncfs(staging).doing(|| "syncfs")?;
            return add_to(layout, &self.blobs, reference, manifest);
        }
        let layout = open_directory(staging, c"layout").doing(|| "open the layout")?;
        let index = new_index(vec![manifest]).to_string();
        for (file, text) in [(c"oci-layout", version), (c"index.json", &index)] {
            new_file(&layout, file, self.mode)?.write_all(text.as_bytes()).doing(|| "write the index")?;
        }
        nix::unistd::syncfs(staging).doing(|| "syncfs")?;
        renameat(staging, c"layout", around, name).doing(|| "rename the layout")
    }
}

/// Opens and locks the layout with this name. None if there is nothing, or an empty directory.
pub(super) fn existing(parent: &OwnedFd, name: &CStr, reference: &Reference) -> Result<Option<Flock<File>>> {
    let layout = match open_directory(parent, name) {
        Err(sys::Errno::ENOENT) => return Ok(None),
        answer => File::from(answer.doing(|| "open it")?),
    };
    if names_in(&layout).doing(|| "list")?.is_empty() {
        return Ok(None);
    }
    let layout = Flock::lock(layout, FlockArg::LockExclusive).map_err(|(_, errno)| ImageError::of("lock it", errno))?;
    let version = open_file(layout.as_fd(), c"oci-layout").and_then(|file| read_all(&file, MOST));
    crate::image::check_version(&version.map_err(|error| error.within("it is not an OCI image layout"))?)?;
    let index = read_index(&layout)?;
    if reference.name.is_none() && !index.1.is_empty() {
        return Err(ImageError::new("there are images in it, and the new one needs a tag: oci:PATH:TAG"));
    }
    Ok(Some(layout))
}

/// The index of a layout, and its manifests.
fn read_index(layout: &File) -> Result<(Value, Vec<Value>)> {
    let text = read_all(&open_file(layout.as_fd(), c"index.json")?, MOST)?;
    manifests_of(&text)
}

/// The permissions of a layout's index, which its new files get as well.
fn mode_of_index(layout: &File) -> Result<u32> {
    let index = open_file(layout.as_fd(), c"index.json")?;
    Ok(index.metadata().doing(|| "stat index.json")?.mode() & 0o666)
}

/// Adds blobs and a manifest to a layout. An image that had the tag has none any more.
fn add_to(layout: &File, blobs: &OwnedFd, reference: &Reference, manifest: Value) -> Result<()> {
    // The directory of the layout decides who gets in.
    make_directory(layout, c"blobs", 0o755)
        .and_then(|()| make_directory(layout, c"blobs/sha256", 0o755))
        .doing(|| "make the directory of blobs")?;
    let there = open_directory(layout, c"blobs/sha256").doing(|| "open the directory of blobs")?;
    for name in names_in(blobs).doing(|| "list the new blobs")? {
        renameat(blobs, name.as_c_str(), &there, name.as_c_str()).doing(|| "rename a blob")?;
    }
    let (mut index, mut manifests) = read_index(layout)?;
    let tag = reference.name.as_deref();
    manifests.retain(|known| tag.is_none() || known["annotations"][REF_NAME].as_str() != tag);
    manifests.push(manifest);
    index["manifests"] = manifests.into();
    remove_tree(layout, c".index.json").doing(|| "remove a draft")?;
    new_file(layout, c".index.json", mode_of_index(layout)?)?
        .write_all(index.to_string().as_bytes())
        .doing(|| "write index.json")?;
    nix::unistd::syncfs(layout).doing(|| "syncfs")?;
    renameat(layout, c".index.json", layout, c"index.json").doing(|| "rename index.json")
}

/// The directories of a layout, of which that for blobs is given.
fn make_layout(place: &File) -> Result<OwnedFd> {
    for name in [c"layout", c"layout/blobs", c"layout/blobs/sha256"] {
        make_directory(place, name, 0o700).doing(|| "make the layout")?;
    }
    open_directory(place, c"layout/blobs/sha256").doing(|| "open the layout")
}
