//! The store: unpacked layers by the digest of their content, the images that they belong to, and who uses them.
//!
//! ```text
//! layers/DIFF_ID/root/         what the layer holds, as overlayfs reads it
//! layers/DIFF_ID/layer.json    what is known of it
//! layers/DIFF_ID/headers.gz    its archive without the content of files, to put it together again
//! staging/DIFF_ID/             a layer while it is unpacked, locked by whoever does that
//! images/ID/                   manifest, configuration, and where the image was found
//! bundles/NAME                 a bundle's image.json, as a hard link where that can be
//! ```
//!
//! A layer appears under `layers` by a rename, when it was verified and never before; then it does not change any more. The
//! store itself is locked: shared while layers are put into use, exclusively while some are removed.

mod bundles;
mod images;
mod removal;
mod spool;
mod staging;
mod verify;

use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use minirun_sys as sys;
use minirun_sys::{Flock, FlockArg, Untrusted};
use serde::{Deserialize, Serialize};

use crate::apply::Applied;
use crate::digest::Digest;
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, make_directory, open_directory, open_file, read_all, stat_at};
use crate::marks::Marks;
use crate::workers::Workers;

pub use bundles::{BundleRecord, Wanted};
pub use images::StoredImage;
pub use removal::Removed;
pub(crate) use staging::{Draft, Staging};

/// Says which directory of the store is not trusted.
fn distrusted(path: &Path) -> impl Fn(Untrusted) -> ImageError {
    move |error| match error {
        Untrusted::Failed(errno) => ImageError::of(format!("open the store {}", path.display()), errno),
        Untrusted::Refused(why) => ImageError::new(format!("store {}: {why}", path.display())),
    }
}

/// What is known of a layer.
const LAYER: &std::ffi::CStr = c"layer.json";
/// What was kept of a layer's archive.
const HEADERS: &std::ffi::CStr = c"headers.gz";
/// Files of the store's own are not larger than this, in bytes: the paths of implied directories are most of it.
const MOST: u64 = 32 << 20;

/// A store of layers.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    layers: OwnedFd,
    staging: OwnedFd,
    images: OwnedFd,
    bundles: OwnedFd,
    pub(crate) workers: Workers,
}

/// A lock on the store, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _directory: Flock<File>,
}

/// A layer in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The digest of its content.
    pub diff_id: Digest,
    /// Its directory, for overlayfs.
    pub root: PathBuf,
    /// What is known of it.
    pub facts: Facts,
}

/// What is known of a layer in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Of the form of this directory.
    version: u32,
    /// How many entries its archive has.
    pub entries: u64,
    /// How many bytes its files hold.
    pub bytes: u64,
    /// Does it hide everything beneath it?
    pub opaque: bool,
    /// Directories that it has no entry for, whose attributes are therefore those of the layers beneath.
    pub implied: Vec<Vec<u8>>,
    /// Devices that are missing because an ordinary user cannot make them.
    pub devices: u64,
    /// How many names there are in its directory.
    pub names: u64,
    /// Did an entry take the place of an earlier one that had content? Then the layer cannot be verified.
    pub replaced: bool,
    /// Did one take the place of an earlier one at all?
    #[serde(default)]
    pub repeated: bool,
}

impl Facts {
    const VERSION: u32 = 1;

    fn of(applied: Applied) -> Facts {
        let Applied { entries, bytes, opaque, implied, devices, names, replaced, repeated } = applied;
        Facts { version: Facts::VERSION, entries, bytes, opaque, implied, devices, names, replaced, repeated }
    }
}

impl Store {
    /// Opens the store in a directory, and makes what is missing of it. Nobody else may look into it: a layer can hold
    /// programs with the rights of root.
    ///
    /// # Errors
    /// It cannot be made, or opened, or others could have written it: they would decide what containers execute.
    pub fn open(path: &Path, workers: Workers) -> Result<Store> {
        let doing = || format!("open the store {}", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(path).doing(doing)?;
        let root = sys::open_trusted(path).map_err(distrusted(path))?.ok_or(sys::Errno::ENOENT).doing(doing)?;
        let path = path.canonicalize().doing(doing)?;
        let part = |name: &str| {
            let c_name = c_string(name.as_bytes())?;
            let part =
                make_directory(&root, &c_name, 0o700).and_then(|()| open_directory(&root, &c_name)).doing(doing)?;
            sys::trust(part.as_fd()).map_err(distrusted(&path.join(name)))?;
            Ok(part)
        };
        let (layers, staging, images, bundles) = (part("layers")?, part("staging")?, part("images")?, part("bundles")?);
        Ok(Store { path, layers, staging, images, bundles, workers })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where overlayfs's marks are in its layers.
    pub fn marks(&self) -> Marks {
        self.workers.marks()
    }

    /// Locks the store while layers are put into use: none is removed meanwhile.
    ///
    /// # Errors
    /// It cannot be locked.
    pub fn lock_shared(&self) -> Result<Lock> {
        self.lock(FlockArg::LockShared)
    }

    fn lock(&self, how: FlockArg) -> Result<Lock> {
        let doing = || format!("lock the store {}", self.path.display());
        let mut directory = File::open(&self.path).doing(doing)?;
        loop {
            match Flock::lock(directory, how) {
                Ok(lock) => return Ok(Lock { _directory: lock }),
                Err((back, sys::Errno::EINTR)) => directory = back,
                Err((_, errno)) => return Err(ImageError::of(doing(), errno)),
            }
        }
    }

    /// A layer, if it is there.
    ///
    /// # Errors
    /// What is known of it cannot be read.
    pub fn layer(&self, diff_id: &Digest) -> Result<Option<Stored>> {
        let name = name_of(diff_id);
        let doing = || format!("layer {diff_id} in the store");
        if stat_at(&self.layers, &name).doing(doing)?.is_none() {
            return Ok(None);
        }
        let root = self.path.join("layers").join(diff_id.hex()).join("root");
        let facts = read_facts(self.layers.as_fd(), &name).map_err(|error| error.within(doing()))?;
        Ok(Some(Stored { diff_id: *diff_id, root, facts }))
    }

    /// All layers that are there, sorted.
    ///
    /// # Errors
    /// They cannot be listed.
    pub fn layers(&self) -> Result<Vec<Digest>> {
        digests_in(self.layers.as_fd())
    }
}

/// The name of what belongs to a digest.
pub(crate) fn name_of(digest: &Digest) -> CString {
    // Digits hold no NUL.
    CString::new(digest.hex()).unwrap_or_default()
}

/// The digests that are names in a directory, sorted.
fn digests_in(directory: BorrowedFd<'_>) -> Result<Vec<Digest>> {
    let names = crate::files::names_in(directory).doing(|| "list the store")?;
    let mut digests: Vec<_> = names.iter().filter_map(|name| Digest::from_hex(name.to_str().ok()?)).collect();
    digests.sort();
    Ok(digests)
}

fn read_facts(layers: BorrowedFd<'_>, name: &CString) -> Result<Facts> {
    let directory = open_directory(layers, name).doing(|| "open")?;
    let text = read_all(&open_file(directory.as_fd(), LAYER)?, MOST)?;
    let facts: Facts = crate::document::parse(&text, "layer.json")?;
    match facts.version {
        Facts::VERSION => Ok(facts),
        other => Err(ImageError::new(format!("it is of version {other}, and this program knows {}", Facts::VERSION))),
    }
}
