//! Images in, bundles out.
//!
//! An image is read where other tools have put it, an OCI image layout or an archive of one, or of `docker save`
//! ([`Reference`], [`Image`]). Its layers are unpacked, each once, into a store that is addressed by what they hold
//! ([`Store`]), and its configuration becomes that of a bundle ([`convert`]), by the rules of the OCI image specification
//! (image-layout.md, manifest.md, config.md, layer.md, conversion.md).
//!
//! Everything that an image says is taken for hostile: every digest is verified before what it stands for can be seen, every
//! path is resolved below a descriptor without following links, and everything has a limit ([`Limits`]).

#![forbid(unsafe_code)]

mod apply;
mod archive;
mod attributes;
mod changes;
mod commit;
mod convert;
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
pub mod tar;
mod unpack;
mod users;
mod workers;

pub use apply::{Applied, Applier};
pub use changes::{Change, Changed, Root, Source};
pub use commit::{Amendment, Base, Committed, Compression};
pub use convert::{Network, Settings, Upper, Volume, check_place, convert};
pub use digest::{Digest, Hasher};
pub use document::{Configuration, Descriptor, Execution, Index, Manifest, Platform};
pub use error::{ImageError, Result};
pub use ids::Ids;
pub use image::{Image, Layer};
pub use marks::Marks;
pub use reference::{Reference, Transport};
pub use stack::Stack;
pub use store::{BundleRecord, Facts, Lock, Removed, Store, Stored, StoredImage, Wanted};
pub use stream::Limits;
pub use unpack::Progress;
pub use users::Identity;
pub use workers::Workers;
