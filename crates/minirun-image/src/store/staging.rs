//! A layer while it is unpacked.

use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::{Errno, Flock, FlockArg};
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Facts, HEADERS, LAYER, Store, Stored, name_of, read_facts};
use crate::apply::Applied;
use crate::digest::Digest;
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{locked, make_directory, names_in, open_directory, remove_tree, stat_at, write_new};

/// The layer in its staging directory.
#[derive(Debug)]
pub(crate) struct Draft(OwnedFd);

impl Draft {
    /// The directory to be filled.
    pub(crate) fn root(&self) -> Result<OwnedFd> {
        open_directory(&self.0, ROOT).doing(|| "open the place for the layer")
    }

    /// A file for what is kept of the archive.
    pub(crate) fn headers(&self) -> Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        openat(&self.0, HEADERS, flags, Mode::from_bits_truncate(0o600)).map(File::from).doing(|| "make headers.gz")
    }

    /// Writes down what is known of the layer.
    pub(crate) fn describe(&self, applied: Applied) -> Result<()> {
        let text = serde_json::to_vec(&Facts::of(applied)).doing(|| "write layer.json")?;
        write_new(self.0.as_fd(), LAYER, &text).doing(|| "write layer.json")
    }
}

const DRAFT: &std::ffi::CStr = c"layer";
const ROOT: &std::ffi::CStr = c"root";

/// A directory for a layer that is not there yet. Its lock is held by this process and by those that work for it, so that it
/// is free as soon as all of them are gone.
#[derive(Debug)]
pub(crate) struct Staging<'a> {
    store: &'a Store,
    diff_id: Digest,
    directory: Flock<File>,
}

impl<'a> Staging<'a> {
    /// Takes the directory for a layer, empty; waits for whoever has it. None if the layer is there by then.
    pub(crate) fn take(store: &'a Store, diff_id: &Digest) -> Result<Option<Staging<'a>>> {
        let doing = || format!("make a place for layer {diff_id} in the store");
        let name = name_of(diff_id);
        let directory = loop {
            make_directory(&store.staging, &name, 0o700).doing(doing)?;
            match open_directory(&store.staging, &name) {
                Ok(directory) => {
                    let locked = wait_for_lock(File::from(directory), diff_id).doing(doing)?;
                    // One that was waited for may have been removed.
                    if sys::fstat(locked.as_fd()).doing(doing)?.st_nlink > 0 {
                        break locked;
                    }
                }
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(ImageError::of(doing(), errno)),
            }
        };
        let staging = Staging { store, diff_id: *diff_id, directory };
        if stat_at(&store.layers, &name).doing(doing)?.is_some() {
            staging.leave().doing(doing)?;
            return Ok(None);
        }
        // Somebody was killed here.
        staging.clear()?;
        let at = staging.directory.as_fd();
        mkdirat(at, DRAFT, Mode::S_IRWXU)
            .and_then(|()| open_directory(at, DRAFT))
            .and_then(|draft| mkdirat(draft, ROOT, Mode::from_bits_truncate(0o755)))
            .doing(doing)?;
        Ok(Some(staging))
    }

    /// The layer that is to be made there.
    pub(crate) fn draft(&self) -> Result<Draft> {
        open_directory(self.directory.as_fd(), DRAFT).map(Draft).doing(|| "open the place for the layer")
    }

    /// Makes the layer visible. It must be verified and described.
    pub(crate) fn publish(self) -> Result<Stored> {
        let doing = || format!("put layer {} into the store", self.diff_id);
        let facts = read_facts(self.directory.as_fd(), &DRAFT.to_owned()).map_err(|error| error.within(doing()))?;
        // What can be seen must still be whole when the power comes back.
        nix::unistd::syncfs(&self.store.staging).doing(doing)?;
        renameat(self.directory.as_fd(), DRAFT, &self.store.layers, name_of(&self.diff_id).as_c_str()).doing(doing)?;
        self.leave().doing(doing)?;
        let root = self.store.path.join("layers").join(self.diff_id.hex()).join("root");
        Ok(Stored { diff_id: self.diff_id, root, facts })
    }

    /// Removes what was made so far.
    pub(crate) fn abandon(self) -> Result<()> {
        self.clear()?;
        self.leave().doing(|| format!("remove the rest of layer {}", self.diff_id))
    }

    fn clear(&self) -> Result<()> {
        remove_all(self.store, self.directory.as_fd())
            .map_err(|error| error.within(format!("remove the rest of layer {}", self.diff_id)))
    }

    fn leave(&self) -> sys::Result<()> {
        unlinkat(&self.store.staging, name_of(&self.diff_id).as_c_str(), UnlinkatFlags::RemoveDir)
    }
}

/// Empties a directory, by a process to whom all files in it may belong.
pub(super) fn remove_all(store: &Store, directory: BorrowedFd<'_>) -> Result<()> {
    let names = names_in(directory).doing(|| "list")?;
    if names.is_empty() {
        return Ok(());
    }
    store.workers.run(|| names.iter().try_for_each(|name| remove_tree(directory, name)).doing(|| "remove"))
}

fn wait_for_lock(directory: File, diff_id: &Digest) -> sys::Result<Flock<File>> {
    let directory = match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err((back, Errno::EWOULDBLOCK)) => back,
        Err((_, errno)) => return Err(errno),
    };
    log::info!("layer {} is being unpacked by another process", diff_id.short());
    locked(directory)
}
