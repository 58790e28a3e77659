//! Removes images and layers that nobody uses.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::AsFd as _;

use minirun_sys::{Errno, Flock, FlockArg};
use nix::fcntl::renameat;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::staging::remove_all;
use super::{Store, name_of};
use crate::digest::Digest;
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{make_directory, names_in, open_directory, remove_tree};

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Images.
    pub images: Vec<Digest>,
    /// Layers.
    pub layers: Vec<Digest>,
    /// Bytes that the layers' files held.
    pub bytes: u64,
}

impl Store {
    /// Removes an image, and those of its layers that no other image and no bundle has.
    ///
    /// # Errors
    /// A bundle uses it, or something cannot be removed.
    pub fn remove(&self, image: &Digest) -> Result<Removed> {
        let _lock = self.lock(FlockArg::LockExclusive)?;
        self.forget_gone()?;
        let users = self.users_of(image)?;
        if let Some(user) = users.first() {
            let more = if users.len() > 1 { format!(" and {} more", users.len() - 1) } else { String::new() };
            return Err(ImageError::new(format!("image {} is used by bundle {}{more}", image.short(), user.display())));
        }
        self.remove_images(&[*image])
    }

    /// Removes images that no bundle uses, layers that belong to nothing, and what dead processes have left.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn prune(&self) -> Result<Removed> {
        let _lock = self.lock(FlockArg::LockExclusive)?;
        self.forget_gone()?;
        self.sweep()?;
        let used: BTreeSet<_> = self.in_use()?.into_iter().map(|record| record.image).collect();
        let unused: Vec<_> = self.images()?.into_iter().filter(|image| !used.contains(&image.to_string())).collect();
        self.remove_images(&unused)
    }

    /// Removes images, and then the layers that belong to nothing any more. The image goes first, so that none is there
    /// whose layers are not.
    fn remove_images(&self, images: &[Digest]) -> Result<Removed> {
        let mut removed = Removed::default();
        for image in images {
            remove_tree(&self.images, &name_of(image)).doing(|| format!("remove image {image}"))?;
            removed.images.push(*image);
        }
        let mut kept: BTreeSet<String> = self.in_use()?.into_iter().flat_map(|record| record.layers).collect();
        for image in self.images()? {
            match self.image(&image) {
                Ok(image) => kept.extend(image.layers.iter().map(Digest::to_string)),
                // One that is damaged or half written keeps nothing, because it cannot be used.
                Err(error) if matches!(error.errno(), None | Some(Errno::ENOENT)) => {}
                Err(error) => return Err(error),
            }
        }
        for layer in self.layers()?.into_iter().filter(|layer| !kept.contains(&layer.to_string())) {
            // accepts: any error; a layer that does not tell its size counts as empty in the sum.
            removed.bytes += self.layer(&layer).ok().flatten().map_or(0, |layer| layer.facts.bytes);
            self.remove_layer(&layer)?;
            removed.layers.push(layer);
        }
        Ok(removed)
    }

    /// Takes a layer out of sight at once, and then away.
    fn remove_layer(&self, layer: &Digest) -> Result<()> {
        let doing = || format!("remove layer {layer}");
        let name = name_of(layer);
        make_directory(&self.staging, &name, 0o700).doing(doing)?;
        let directory = open_directory(&self.staging, &name).doing(doing)?;
        // What a dead process has left there may be in the way.
        remove_all(self, directory.as_fd()).map_err(|error| error.within(doing()))?;
        renameat(&self.layers, name.as_c_str(), &directory, c"layer").doing(doing)?;
        remove_all(self, directory.as_fd()).map_err(|error| error.within(doing()))?;
        unlinkat(&self.staging, name.as_c_str(), UnlinkatFlags::RemoveDir).doing(doing)
    }

    /// Removes staging directories that nobody has locked.
    fn sweep(&self) -> Result<()> {
        names_in(&self.staging)
            .doing(|| "list the staging directories")?
            .iter()
            .try_for_each(|name| self.sweep_one(name))
    }

    /// Removes a staging directory if it is there and nobody has locked it: what dead processes have left.
    pub(crate) fn sweep_one(&self, name: &CStr) -> Result<()> {
        let doing = || format!("remove staging directory {}", name.to_string_lossy());
        let directory = match open_directory(&self.staging, name) {
            Err(Errno::ENOENT) => return Ok(()),
            answer => File::from(answer.doing(doing)?),
        };
        let locked = match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => locked,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(()),
            Err((_, errno)) => return Err(ImageError::of(doing(), errno)),
        };
        remove_all(self, locked.as_fd()).map_err(|error| error.within(doing()))?;
        match unlinkat(&self.staging, name, UnlinkatFlags::RemoveDir) {
            // Whoever had it has removed it.
            Err(Errno::ENOENT) => Ok(()),
            answer => answer.doing(doing),
        }
    }
}
