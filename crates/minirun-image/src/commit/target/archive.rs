//! A new image in an archive, which is written anew with the images that it had.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use minirun_sys as sys;
use nix::fcntl::renameat;
use serde_json::Value;

use super::existing::ExistingArchive;
use super::{PRIVATE, new_file, new_index};
use crate::error::{Doing as _, ImageError, Result};
use crate::tar::{BLOCK, Entry, Kind, Writer, header_of};

/// The largest file that a header has room for, in bytes.
const MOST_IN_ARCHIVE: u64 = 0o77777777777;

/// An archive that is being written.
pub(super) struct Archive {
    out: Writer<File>,
    /// The sizes of the files in it, by name.
    files: BTreeMap<String, u64>,
    /// Where the header of the unfinished file begins.
    begun: u64,
    existing: Option<ExistingArchive>,
}

impl Archive {
    pub(super) fn create(staging: &File, existing: Option<ExistingArchive>) -> Result<Archive> {
        let out = Writer::new(new_file(&staging, c"archive", PRIVATE)?);
        Ok(Archive { out, files: BTreeMap::new(), begun: 0, existing })
    }

    /// Copies the files of the existing archive that its images name.
    pub(super) fn copy_existing(&mut self) -> Result<()> {
        let Archive { out, files, existing: Some(existing), .. } = self else { return Ok(()) };
        existing.give_attributes(out.out())?;
        for name in existing.names()? {
            let piece = existing.file(&name)?;
            let size = piece.length;
            let entry = Entry { path: name.as_bytes().to_vec(), size, mode: 0o644, ..Entry::of(Kind::File) };
            out.entry(&entry, piece).map_err(|error| error.within(&name))?;
            files.insert(name, size);
        }
        Ok(())
    }

    pub(super) fn has(&self, name: &str, size: u64) -> bool {
        self.files.get(name) == Some(&size)
    }

    pub(super) fn begin(&mut self) -> Result<File> {
        self.begun = self.out.out().stream_position().doing(|| "lseek")?;
        // Name and size are known when it is finished.
        self.out.header(&Entry::of(Kind::File))?;
        self.out.out().try_clone().doing(|| "dup")
    }

    /// Writes the header of the unfinished file. A file that the archive has already is taken out again.
    pub(super) fn end(&mut self, name: &str) -> Result<()> {
        let doing = || format!("write {name}");
        let begun = self.begun;
        let out = self.out.out();
        let size = out.stream_position().doing(doing)? - begun - BLOCK as u64;
        if let Some(known) = self.files.get(name) {
            if *known != size {
                return Err(ImageError::new(format!("{name} has {size} bytes, but the archive has one of {known}")));
            }
            return out.set_len(begun).and_then(|()| out.seek(SeekFrom::Start(begun))).map(drop).doing(doing);
        }
        if size > MOST_IN_ARCHIVE {
            return Err(ImageError::new(format!(
                "{name} has {size} bytes, more than the {MOST_IN_ARCHIVE} that fit into an archive"
            )));
        }
        self.out.pad(size)?;
        let entry = Entry { path: name.as_bytes().to_vec(), size, mode: 0o644, ..Entry::of(Kind::File) };
        self.out.out().write_all_at(&header_of(&entry), begun).doing(doing)?;
        self.files.insert(name.to_owned(), size);
        Ok(())
    }

    pub(super) fn take_back(&mut self) -> Result<()> {
        let (file, begun) = (self.out.out(), self.begun);
        file.set_len(begun).and_then(|()| file.seek(SeekFrom::Start(begun))).map(drop).doing(|| "ftruncate")
    }

    /// The index of the archive, with one manifest more.
    pub(super) fn index_with(&mut self, manifest: Value) -> Value {
        let Some(existing) = &mut self.existing else { return new_index(vec![manifest]) };
        existing.images.push(manifest);
        existing.index["manifests"] = std::mem::take(&mut existing.images).into();
        existing.index.take()
    }

    /// The images of the existing archive.
    pub(super) fn take_images(&mut self) -> Vec<Value> {
        self.existing.as_mut().map(|existing| std::mem::take(&mut existing.images)).unwrap_or_default()
    }

    /// Gives the archive its name.
    pub(super) fn publish(&mut self, staging: &File, around: &OwnedFd, name: &CStr) -> Result<()> {
        self.out.end()?;
        self.out.out().sync_all().doing(|| "fsync")?;
        if self.existing.is_none() {
            // An archive that was not copied must not be replaced. Not every file system supports this flag.
            match sys::rename_to_new(staging.as_fd(), c"archive", around.as_fd(), name) {
                Err(sys::Errno::EINVAL) => {}
                answer => return answer.doing(|| "rename the archive"),
            }
        }
        renameat(staging, c"archive", around, name).doing(|| "rename the archive")
    }
}
