//! An archive from a pipe, kept while it is used: its documents come after its layers, so it cannot be read as it comes.

use std::fs::File;
use std::io::{Read, Seek as _, Write as _};

use minirun_sys::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::Store;
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, make_directory, open_directory};
use crate::stream::CHUNK;

impl Store {
    /// Returns an archive that can be read at any place: `input` itself if it is a file at its beginning, or a copy of
    /// everything that comes. The copy has no name, and is gone when it is closed.
    ///
    /// # Errors
    /// There are more than `most` bytes, or they cannot be read or kept.
    pub fn seekable(&self, mut input: File, most: u64) -> Result<File> {
        // A file that was read from already would not begin at its beginning.
        if input.metadata().doing(|| "stat")?.is_file() && input.stream_position().doing(|| "lseek")? == 0 {
            return Ok(input);
        }
        self.spool(input, most)
    }

    fn spool(&self, mut input: impl Read, most: u64) -> Result<File> {
        let mut file = self.nameless()?;
        let mut buffer = vec![0; CHUNK];
        let mut left = most;
        loop {
            let length = match input.read(&mut buffer) {
                Ok(0) => return Ok(file),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                answer => answer.doing(|| "read")?,
            };
            left = left.checked_sub(length as u64).ok_or_else(|| {
                ImageError::limit(format!("there are more than {most} bytes")).hint("--layer-size SIZE allows more")
            })?;
            file.write_all(&buffer[..length]).doing(|| "keep it in the store")?;
        }
    }

    /// A file in the store that has no name any more. Not every file system makes one without.
    fn nameless(&self) -> Result<File> {
        let doing = || "make a file in the store";
        // Not that of a layer: what a killed process leaves is removed with other rubbish.
        let name = c_string(format!("spool-{}", std::process::id()).as_bytes())?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        loop {
            make_directory(&self.staging, &name, 0o700).doing(doing)?;
            let directory = open_directory(&self.staging, &name);
            let made = directory.and_then(|directory| {
                let file = openat(&directory, c"archive", flags, Mode::from_bits_truncate(0o600))?;
                unlinkat(&directory, c"archive", UnlinkatFlags::NoRemoveDir)?;
                Ok(file)
            });
            match made {
                // Another process has removed it as a leftover.
                Err(Errno::ENOENT) => {}
                answer => {
                    let file = answer.doing(doing)?;
                    unlinkat(&self.staging, name.as_c_str(), UnlinkatFlags::RemoveDir).doing(doing)?;
                    return Ok(File::from(file));
                }
            }
        }
    }
}
