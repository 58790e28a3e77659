//! Who uses the layers: bundles, which remember their image in a file that the store has as well.

use std::ffi::CString;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::unistd::{LinkatFlags, linkat};
use serde::{Deserialize, Serialize};

use super::{MOST, Store};
use crate::digest::Digest;
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, names_in, open_file, read_all, remove_tree, write_new};
use crate::image::Image;

/// A bundle's memory of its image.
pub(crate) const FILE: &std::ffi::CStr = c"image.json";

/// What a bundle remembers of the image that it was made from: its file `image.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRecord {
    /// The directory of the bundle, as it was made.
    pub bundle: PathBuf,
    /// The store that has the layers.
    pub store: PathBuf,
    /// Where the image was found.
    pub reference: String,
    /// The digest of its configuration, under which the store has its documents.
    pub image: String,
    /// The digests of its layers' contents, bottom first.
    pub layers: Vec<String>,
    /// What it has in place of what the image says.
    #[serde(default)]
    pub wanted: Wanted,
}

/// What the caller wanted otherwise than the image says how to run it. As with `docker commit`, an image that is made of the
/// container says that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// In place of `Cmd`.
    pub cmd: Option<Vec<String>>,
    /// `NAME=VALUE`, added to `Env` or in place of the same ones.
    pub env: Vec<String>,
    /// In place of `User`.
    pub user: Option<String>,
    /// In place of `WorkingDir`.
    pub working_dir: Option<String>,
}

impl BundleRecord {
    /// Reads what a bundle remembers.
    ///
    /// # Errors
    /// It was not made from an image, or the file cannot be read.
    pub fn read(bundle: &Path) -> Result<BundleRecord> {
        let path = c_string(bundle.as_os_str().as_encoded_bytes())?;
        let directory = sys::open(&path, libc::O_DIRECTORY).doing(|| format!("open bundle {}", bundle.display()))?;
        let read = || crate::document::parse(&read_all(&open_file(directory.as_fd(), FILE)?, MOST)?, "image.json");
        read().map_err(|error: ImageError| {
            error.within(format!("bundle {}", bundle.display())).hint("minirun bundle makes bundles from images")
        })
    }

    /// Whether the bundle still has this record. One that cannot be read counts as a yes: its layers are kept.
    fn is_there(&self) -> bool {
        match BundleRecord::read(&self.bundle) {
            Ok(there) => there == *self,
            Err(error) => !matches!(error.errno(), Some(Errno::ENOENT | Errno::ENOTDIR)),
        }
    }
}

/// A bundle that the store knows of.
#[derive(Debug)]
pub(super) struct Known {
    /// Its name in the store.
    pub(super) name: CString,
    pub(super) record: BundleRecord,
    /// Is the bundle still there?
    pub(super) used: bool,
}

impl Store {
    /// Writes into a bundle what image it is made from, and remembers the bundle. The store must be locked.
    ///
    /// Where it can, the store has the bundle's file itself: as long as that has another name somewhere, the bundle is there,
    /// wherever it was moved to.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn register(&self, bundle: &Path, image: &Image, wanted: Wanted) -> Result<()> {
        let doing = || format!("write {}", bundle.join("image.json").display());
        let record = BundleRecord {
            bundle: bundle.to_path_buf(),
            store: self.path.clone(),
            reference: image.reference.to_string(),
            image: image.id.to_string(),
            layers: image.layers.iter().map(|layer| layer.diff_id.to_string()).collect(),
            wanted,
        };
        let mut text = serde_json::to_vec_pretty(&record).doing(doing)?;
        text.push(b'\n');
        let path = c_string(bundle.as_os_str().as_encoded_bytes())?;
        let directory = sys::open(&path, libc::O_DIRECTORY).doing(doing)?;
        write_new(directory.as_fd(), FILE, &text).doing(doing)?;
        let name = c_string(format!("{:x}-{:x}", sys::now(), std::process::id()).as_bytes())?;
        match linkat(&directory, FILE, &self.bundles, name.as_c_str(), LinkatFlags::empty()) {
            Ok(()) => Ok(()),
            // It lies on another file system, or on one without hard links.
            // accepts: any error; the record is written in another way, which says what is wrong.
            Err(_) => write_new(self.bundles.as_fd(), &name, &text).doing(doing),
        }
    }

    /// Removes a directory in which files of all ids may be.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_directory(&self, path: &Path) -> Result<()> {
        let name = c_string(path.as_os_str().as_encoded_bytes())?;
        self.workers.run(|| remove_tree(sys::working_directory(), &name).doing(|| format!("remove {}", path.display())))
    }

    /// All bundles that were made with layers of this store.
    pub(super) fn bundles(&self) -> Result<Vec<Known>> {
        let mut known = Vec::new();
        for name in names_in(&self.bundles).doing(|| "list the store's bundles")? {
            let file = open_file(self.bundles.as_fd(), &name)?;
            let links = file.metadata().doing(|| "stat")?.nlink();
            // accepts: a half written record: its writer was killed before it used anything.
            let Ok(record) = crate::document::parse::<BundleRecord>(&read_all(&file, MOST)?, "image.json") else {
                // Whoever wrote it was killed before it used anything.
                continue;
            };
            let used = links > 1 || record.is_there();
            known.push(Known { name, record, used });
        }
        Ok(known)
    }

    /// Forgets bundles that are gone.
    pub(super) fn forget_gone(&self) -> Result<()> {
        self.bundles()?.iter().filter(|bundle| !bundle.used).try_for_each(|Known { name, record, .. }| {
            remove_tree(&self.bundles, name).doing(|| format!("forget bundle {}", record.bundle.display()))
        })
    }

    /// The bundles that use an image, and the layers that bundles use.
    pub(super) fn in_use(&self) -> Result<Vec<BundleRecord>> {
        Ok(self.bundles()?.into_iter().filter(|bundle| bundle.used).map(|bundle| bundle.record).collect())
    }

    /// The directories of the bundles that use an image.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn users_of(&self, image: &Digest) -> Result<Vec<PathBuf>> {
        let image = image.to_string();
        Ok(self.in_use()?.into_iter().filter(|record| record.image == image).map(|record| record.bundle).collect())
    }
}
