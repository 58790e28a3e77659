//! Fills the directories of a bundle from the layers of its image.

use std::path::{Path, PathBuf};

use minirun_sys as sys;

use super::Stack;
use crate::error::{Doing as _, Result};
use crate::files::c_string;
use crate::store::Store;

impl Store {
    /// Fills directories with what an image has at these paths: volumes begin so. Each is there and empty.
    ///
    /// # Errors
    /// Something is no directory, or cannot be copied.
    pub fn fill(&self, stack: &Stack, volumes: &[(String, PathBuf)]) -> Result<()> {
        if volumes.is_empty() {
            return Ok(());
        }
        let copy = || {
            volumes.iter().try_for_each(|(path, directory)| {
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
    pub fn attribute(&self, stack: &Stack, paths: &[Vec<u8>], directory: &Path) -> Result<()> {
        let name = c_string(directory.as_os_str().as_encoded_bytes())?;
        let opened = sys::open(&name, libc::O_DIRECTORY | libc::O_NOFOLLOW);
        let opened = opened.doing(|| format!("open {}", directory.display()))?;
        self.workers.run(|| stack.attribute(paths, &opened))
    }
}
