//! Fills the directories of a bundle from the layers of its image.

use std::path::Path;

use minirun_sys as sys;

use super::Volume;
use crate::error::{Doing as _, Result};
use crate::files::c_string;
use crate::stack::Stack;
use crate::store::Store;

impl Store {
    /// Copies an image's content into its volumes. Each source is there and empty.
    ///
    /// # Errors
    /// Something is not a directory, or cannot be copied.
    pub(crate) fn fill(&self, stack: &Stack, volumes: &[Volume]) -> Result<()> {
        if volumes.is_empty() {
            return Ok(());
        }
        let copy = || {
            volumes.iter().try_for_each(|Volume { source: directory, destination: path, .. }| {
                let name = c_string(directory.as_os_str().as_encoded_bytes())?;
                let opened = sys::open(&name, libc::O_DIRECTORY | libc::O_NOFOLLOW);
                stack.copy(path, &opened.doing(|| format!("open {}", directory.display()))?)
            })
        };
        self.workers.run(copy)
    }

    /// Fills an empty directory with those at these paths, without what is in them.
    ///
    /// # Errors
    /// One cannot be made.
    pub(crate) fn attribute(&self, stack: &Stack, paths: &[Vec<u8>], directory: &Path) -> Result<()> {
        let name = c_string(directory.as_os_str().as_encoded_bytes())?;
        let opened = sys::open(&name, libc::O_DIRECTORY | libc::O_NOFOLLOW);
        let opened = opened.doing(|| format!("open {}", directory.display()))?;
        self.workers.run(|| stack.attribute(paths, &opened))
    }
}
