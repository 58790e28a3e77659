//! Layer stacks of overlayfs: what an entry of a configuration means, and how it is mounted.
//!
//! A bundle declares a stack as its root with a mount of type `overlay` at `/`:
//!
//! ```json
//! { "destination": "/", "type": "overlay", "options": ["lowerdir=layers/2:layers/1", "upperdir=upper", "workdir=work"] }
//! ```
//!
//! [`LayerStack::parse`] reads such options. It is pure: the same options give the same stack.
//!
//! ```
//! use minirun_overlay::{LayerStack, Marks};
//!
//! let options = ["lowerdir=layers/2:layers/1", "size=65536"];
//! let stack = LayerStack::parse(options.into_iter().enumerate(), "/bundle".as_ref(), Marks::Trusted).unwrap();
//! let lower: Vec<_> = stack.lower().iter().map(|layer| layer.path.to_str().unwrap()).collect();
//! assert_eq!(lower, ["/bundle/layers/2", "/bundle/layers/1"]);
//! assert!(stack.upper().is_none(), "changes go to a tmpfs");
//!
//! let problems = LayerStack::parse([(0, "upperdir=up")], "/bundle".as_ref(), Marks::Trusted).unwrap_err();
//! assert_eq!(problems[0].to_string(), "options[0]: upperdir needs a workdir on the same file system");
//! ```
//!
//! [`Directories`] opens the directories of a stack and mounts it on a [`Stage`]. It allocates no memory, so init can use it
//! between clone3(2) and execve(2); the caller prepares the C strings.
//!
//! ```no_run
//! use std::os::fd::AsFd as _;
//!
//! use minirun_overlay::{Directories, Marks, MountError, Stage, configure_stage, features};
//! use minirun_sys as sys;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tmpfs = configure_stage(c"")?;
//! sys::fsconfig_create(tmpfs.as_fd())?;
//! let stage = Stage::prepare(sys::fsmount(tmpfs.as_fd(), 0)?)?;
//! sys::move_mount(stage.mount(), sys::open(c"/mnt", libc::O_PATH)?.as_fd())?;
//! let mut directories = Directories::default();
//! directories.add_lower(c"/layers/2")?;
//! directories.add_lower(c"/layers/1")?;
//! let root = directories.mount(&stage, features(Marks::Trusted))?;
//! # drop(root);
//! # Ok(())
//! # }
//! ```
//!
//! [`Marks`] are the attributes in which overlayfs keeps opaque directories and absent files, for programs that write layers
//! or read them without a mount. How a container sees the layers is the kernel's overlayfs
//! (Documentation/filesystems/overlayfs.rst); which of its features are on is said explicitly ([`features`]).

#![forbid(unsafe_code)]

mod layers;
mod lists;
mod marks;
mod mount;

pub use layers::{Directory, LayerStack, Problem, Size, Upper, features};
pub use marks::{Mark, Marks};
pub use minirun_sys::Errno;
pub use mount::{Call, Directories, MountError, Stage, configure_stage};

/// The most lower directories that the kernel accepts (`OVL_MAX_STACK`).
pub const MOST_LAYERS: usize = 500;
