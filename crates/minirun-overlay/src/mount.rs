//! Mounts a stack of layers by descriptors, without allocating memory: init calls this between clone3(2) and execve(2).
//!
//! The directories are opened one by one and named to the kernel by the numbers of their descriptors, from
//! /proc/self/fd as the working directory. So no name needs escaping, a failure names its layer, and 500 layers fit into
//! the one page of options that mount(2) takes on every kernel.

use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::{Errno, Text, TooLong};

use crate::MOST_LAYERS;

/// A system call of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum Call {
    Open,
    Openat2,
    Fsopen,
    Fsconfig,
    Mkdir,
    Chdir,
    Mount,
}

/// A stack that could not be mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountError {
    /// A system call failed.
    Failed(Call, Errno),
    /// More than [`MOST_LAYERS`] directories.
    TooManyLayers,
    /// The options do not fit into a page.
    TooLong,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MountError::Failed(call, errno) => write!(f, "{call:?}: {errno:?}"),
            MountError::TooManyLayers => f.write_str("more than 500 layers"),
            MountError::TooLong => f.write_str("too long: the kernel supports one page of mount options"),
        }
    }
}

impl std::error::Error for MountError {}

impl From<TooLong> for MountError {
    fn from(_: TooLong) -> MountError {
        MountError::TooLong
    }
}

trait In<T> {
    fn in_call(self, call: Call) -> Result<T, MountError>;
}

impl<T> In<T> for sys::Result<T> {
    fn in_call(self, call: Call) -> Result<T, MountError> {
        self.map_err(|errno| MountError::Failed(call, errno))
    }
}

/// The configuration of a [`Stage`]'s tmpfs, without a superblock: `size` is in bytes, or empty for the kernel's default.
///
/// # Errors
/// The kernel has no tmpfs, or refuses the size.
pub fn configure_stage(size: &CStr) -> Result<OwnedFd, MountError> {
    let context = sys::fsopen(c"tmpfs").in_call(Call::Fsopen)?;
    sys::fsconfig_set(context.as_fd(), c"mode", Some(c"0755")).in_call(Call::Fsconfig)?;
    if !size.is_empty() {
        sys::fsconfig_set(context.as_fd(), c"size", Some(size)).in_call(Call::Fsconfig)?;
    }
    Ok(context)
}

/// A tmpfs with a place to mount an overlay at, and with an upper and a work directory.
#[derive(Debug)]
pub struct Stage(OwnedFd);

impl Stage {
    /// Makes the directories in a mount of [`configure_stage`]'s tmpfs.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn prepare(mount: OwnedFd) -> Result<Stage, MountError> {
        for name in [c"root", c"upper", c"work"] {
            sys::mkdirat(mount.as_fd(), name, 0o755).in_call(Call::Mkdir)?;
        }
        Ok(Stage(mount))
    }

    /// The root of the tmpfs. It must be attached to the caller's mount namespace when an overlay is mounted on it.
    pub fn mount(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn open(&self, name: &CStr) -> Result<OwnedFd, MountError> {
        let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
        sys::openat2(self.0.as_fd(), name, libc::O_PATH | libc::O_DIRECTORY, 0, how).in_call(Call::Openat2)
    }
}

/// The open directories of an overlay.
#[derive(Debug)]
pub struct Directories {
    lower: [Option<OwnedFd>; MOST_LAYERS],
    lowers: usize,
    upper: Option<OwnedFd>,
    work: Option<OwnedFd>,
}

impl Default for Directories {
    fn default() -> Directories {
        Directories { lower: [const { None }; MOST_LAYERS], lowers: 0, upper: None, work: None }
    }
}

impl Directories {
    /// Opens the next lower directory, top first.
    ///
    /// # Errors
    /// It cannot be opened, or there are too many.
    pub fn add_lower(&mut self, path: &CStr) -> Result<(), MountError> {
        let place = self.lower.get_mut(self.lowers).ok_or(MountError::TooManyLayers)?;
        *place = Some(open_directory(path)?);
        self.lowers += 1;
        Ok(())
    }

    /// Opens the upper directory. Without one, that of the stage is used.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn set_upper(&mut self, path: &CStr) -> Result<(), MountError> {
        self.upper = Some(open_directory(path)?);
        Ok(())
    }

    /// Opens the work directory. Without one, that of the stage is used.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn set_work(&mut self, path: &CStr) -> Result<(), MountError> {
        self.work = Some(open_directory(path)?);
        Ok(())
    }

    /// Mounts the overlay on the stage, with [`features`](crate::features) or options that begin with them, and returns its
    /// root. Afterwards the working directory is `/`, and the directories are closed.
    ///
    /// # Errors
    /// The kernel refuses the overlay.
    pub fn mount(&mut self, stage: &Stage, options: &CStr) -> Result<OwnedFd, MountError> {
        let upper = self.upper.take().map_or_else(|| stage.open(c"upper"), Ok)?;
        let work = self.work.take().map_or_else(|| stage.open(c"work"), Ok)?;
        let mut data = Text::<4096>::new();
        data.push(options.to_bytes())?;
        let mut before: &[u8] = b",lowerdir=";
        for layer in self.lower.iter().flatten() {
            data.push_number(before, layer.as_raw_fd() as u32)?;
            before = b":";
        }
        data.push_number(b",upperdir=", upper.as_raw_fd() as u32)?;
        data.push_number(b",workdir=", work.as_raw_fd() as u32)?;
        let mut target = Text::<64>::new();
        target.push_number(b"/proc/self/fd/", stage.0.as_raw_fd() as u32)?;
        // The stage is the caller's own, so nobody can put something else in this directory's place.
        target.push(b"/root")?;
        sys::chdir(c"/proc/self/fd").in_call(Call::Chdir)?;
        sys::mount(c"overlay", target.as_c_str(), c"overlay", 0, data.as_c_str()).in_call(Call::Mount)?;
        sys::chdir(c"/").in_call(Call::Chdir)?;
        for layer in &mut self.lower {
            *layer = None;
        }
        self.lowers = 0;
        stage.open(c"root")
    }
}

fn open_directory(path: &CStr) -> Result<OwnedFd, MountError> {
    sys::open(path, libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)
}
