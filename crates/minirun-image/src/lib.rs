//! OCI images and bundles: makes a bundle from an image, and an image from the changes of a container.
//!
//! [`Image::open`] finds an image where other tools have put it: an OCI image layout, an archive of one, or an archive of
//! `docker save` ([`Reference`]). A [`Store`] holds unpacked layers by the digest of their content, each once, for all bundles.
//! [`Store::make_bundle`] unpacks the layers that are missing and writes a bundle whose root is an overlay of them, by the
//! rules of the OCI image specification (image-layout.md, manifest.md, config.md, layer.md, conversion.md). [`Root::changes`]
//! lists what a container has changed, and [`Base::commit`] makes a layer and an image of it.
//!
//! ```no_run
//! use minirun_image::{BundleOptions, Image, Reference, Store, Workers};
//!
//! let image = Image::open(&Reference::parse("oci:web:latest")?)?;
//! let store = Store::open("/var/lib/minirun".as_ref(), Workers::of_root())?;
//! let options = BundleOptions { read_only: true, ..BundleOptions::default() };
//! store.make_bundle(&image, "bundle".as_ref(), &options, |progress| {
//!     eprintln!("{} of {} layers", progress.layers_done, progress.layers);
//! })?;
//! # Ok::<(), minirun_image::ImageError>(())
//! ```
//!
//! An error is an [`ImageError`]: text for people, and an [`ErrorKind`] for programs.
//!
//! ```
//! use minirun_image::{ErrorKind, Image, Reference};
//!
//! let error = Reference::parse("docker://debian").unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Option);
//! let error = Image::open(&Reference::parse("oci:/no/such/layout")?).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::System);
//! assert_eq!(error.errno(), Some(minirun_image::Errno::ENOENT));
//! # Ok::<(), minirun_image::ImageError>(())
//! ```
//!
//! # What the caller must know
//!
//! Images are hostile input: every digest is verified before its content can be seen, every path is resolved below a descriptor
//! without following links, and everything has a limit ([`Limits`]). The work is done in child processes, which are made by
//! fork: a process that calls this crate must have one thread. It must not ignore SIGCHLD, and must not wait for children that
//! it has not started. Only warnings are logged, through the crate `log`; nothing is printed.
//!
//! # Decisions
//!
//! - The tar reader is our own: hostile input requires a limit on everything that is kept, and an error where two readers would
//!   differ. Each layer is unpacked by two processes and a pipe, without threads.
//! - A symbolic link on the way to an entry is followed within its layer, because images have `lib -> usr/lib`. Links of lower
//!   layers are not followed, because each layer is unpacked on its own.
//! - Sparse files: GNU tar's four forms are read; pax 1.0 is written for a file with 1 MiB of holes or more. Smaller holes
//!   compress well as zeros, and every reader understands these.
//! - An archive from a pipe is kept in an unnamed file in the store's staging directory, because its manifest comes last.
//! - The files of a bundle are below `private/` with mode 0700, whatever the mode of the bundle: other users of the host must
//!   not run a container's set-user-id programs (CVE-2021-41091).
//! - The default seccomp profile is a table of allowed calls, grouped by reason. All other calls fail, newer ones with ENOSYS.
//! - A layer is in use while the link count of a bundle's `image.json` says so: a bundle that was moved still uses its layers.
//! - Changes are found by comparing the upper directory with the layers. One in memory is seen through a clone of the root's
//!   mount, where a file is untouched exactly if its ctime is the layer's, because ctime cannot be set.
//! - `commit` writes a new archive and replaces the old one by rename. A process in a session of its own thaws the container,
//!   however the commit ends.

#![forbid(unsafe_code)]

mod apply;
mod archive;
mod attributes;
mod bundle;
mod changes;
mod commit;
mod digest;
mod document;
mod entry_path;
mod error;
mod files;
mod holes;
mod ids;
mod image;
mod marks;
mod pack;
mod reference;
mod stack;
mod store;
mod stream;
#[cfg(test)]
#[allow(dead_code, missing_docs, reason = "each crate's tests use a part of it")]
#[path = "../../../runtime-tests/src/sweep.rs"]
mod sweep;
pub mod tar;
mod unpack;
mod users;
mod workers;

pub use apply::{Applied, Applier};
pub use bundle::{
    BundleOptions, IoLimit, IoLimitKind, Network, Resources, Seccomp, Upper, Volume, attribute_layers, check_new_bundle,
};
pub use changes::{Change, Changed, Root, Source};
pub use commit::{Amendment, Base, Committed, Compression, Freeze};
pub use digest::{Digest, Hasher};
pub use document::{Configuration, Descriptor, Execution, Index, Manifest, Platform};
pub use error::{ErrorKind, ImageError, Result};
pub use ids::IdMaps;
pub use image::{Image, Layer};
pub use marks::Marks;
pub use minirun_plan::spec::IdMapping;
pub use minirun_sys::Errno;
pub use reference::{Reference, Transport};
pub use store::{BundleRecord, Facts, Lock, Removed, Store, Stored, StoredImage, Wanted};
pub use stream::Limits;
pub use unpack::Progress;
pub use workers::Workers;
