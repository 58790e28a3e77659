//! The cgroup2 file system of an existing container: its mount may have been moved, covered or replaced since.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use minirun_sys::{Errno, fstat, fstatfs};
use nix::sys::statfs::CGROUP2_SUPER_MAGIC;

use crate::mount::mount_points;
use crate::remove::rmdir;
use crate::{Cgroup, CgroupError, Result, files};

/// A cgroup2 mount that shows the part of the hierarchy with a container's cgroup.
#[derive(Debug)]
pub struct Hierarchy {
    root: OwnedFd,
    mount: PathBuf,
}

/// The place of cgroup2 when a container was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The mount point.
    pub mount: PathBuf,
    /// The inode number of the cgroup at the root of the mount. In a cgroup namespace that is another cgroup than on
    /// the host. The kernel does not reuse inode numbers.
    pub root: u64,
}

impl Place {
    /// Returns the present mount at this path.
    ///
    /// # Errors
    ///
    /// Fails if it is not a cgroup2 file system, or cannot be opened.
    pub fn of(mount: &Path) -> Result<Place> {
        match cgroup2_at(mount)? {
            Some((_, root)) => Ok(Place { mount: mount.to_owned(), root }),
            None => Err(CgroupError::new("use", mount, "it is not a cgroup2 file system")),
        }
    }
}

impl Hierarchy {
    /// Finds the mount at its former place, or at another mount point. Returns none if cgroup2 is mounted, but only
    /// with other parts of the hierarchy, because this process is in another cgroup namespace.
    ///
    /// # Errors
    ///
    /// Fails if no cgroup2 is reachable, or a mount point cannot be opened.
    pub fn find(place: &Place) -> Result<Option<Hierarchy>> {
        let mut others = false;
        let mut failed = None;
        let everywhere = std::iter::once_with(mount_points);
        for mounts in std::iter::once(Ok(vec![place.mount.clone()])).chain(everywhere) {
            for mount in mounts? {
                match cgroup2_at(&mount) {
                    Ok(Some((root, inode))) if inode == place.root => return Ok(Some(Hierarchy { root, mount })),
                    Ok(Some(_)) => others = true,
                    Ok(None) => {}
                    // Another mount point can be the right one.
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None if others => Ok(None),
            None => {
                let text = "cgroup2 is no longer mounted, there or elsewhere";
                let error = CgroupError::new("find cgroups at", &place.mount, text);
                Err(error.hint("mount cgroup2, or remove the mount over it"))
            }
        }
    }

    /// Opens the cgroup at `path`, from the root of the mount. Returns none if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails if `path` has a `..`, or the directory cannot be opened.
    pub fn open(&self, path: &Path) -> Result<Option<Cgroup>> {
        Cgroup::open_below(self.root.as_fd(), &self.mount, path)
    }

    /// Removes the cgroup at `path` and the directories above it up to `made`, as long as they are empty. It undoes a
    /// creation that was interrupted before any process started: directories in use belong to others and stay.
    ///
    /// # Errors
    ///
    /// Fails if a directory that is not in use cannot be removed.
    pub fn remove_unused(&self, path: &Path, made: &Path) -> Result<()> {
        let path = files::inside(&self.mount, path)?;
        for directory in path.ancestors().take_while(|directory| directory.starts_with(made)) {
            match rmdir(self.root.as_fd(), directory) {
                Ok(()) => {}
                Err(Errno::EBUSY | Errno::ENOTEMPTY) => break,
                Err(errno) => return Err(CgroupError::new("remove", self.mount.join(directory), errno)),
            }
        }
        Ok(())
    }
}

/// Returns the directory and its inode number, if cgroup2 is mounted there.
fn cgroup2_at(mount: &Path) -> Result<Option<(OwnedFd, u64)>> {
    let failed = |errno| CgroupError::new("open", mount, errno);
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let root = match files::c_path(mount).and_then(|path| minirun_sys::open(&path, flags)) {
        // The directory was removed, replaced by a file, or is below a mount that hides it.
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        answer => answer.map_err(failed)?,
    };
    if fstatfs(root.as_fd()).map_err(failed)?.magic != CGROUP2_SUPER_MAGIC.0 as i64 {
        return Ok(None);
    }
    let inode = fstat(root.as_fd()).map_err(failed)?.st_ino;
    Ok(Some((root, inode)))
}
