//! The documents of an image layout, verified.

use crate::archive::{Files, read_small};
use crate::digest::Digest;
use crate::document::{Descriptor, parse};
use crate::error::{ImageError, Result};

pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Reads a document that a descriptor names.
pub(super) fn read_blob(files: &Files, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let digest = descriptor.digest()?;
    let name = blob_name(&digest);
    let bytes = read_small(files, &name)?;
    if bytes.len() as u64 != descriptor.size {
        return Err(ImageError::new(format!("{name} has {} bytes, not {}", bytes.len(), descriptor.size)));
    }
    match Digest::of(&bytes) {
        found if found == digest => Ok(bytes),
        found => Err(ImageError::mismatch(format!("the digest of {name} is {found}"))),
    }
}

/// Is it an OCI image layout of a version that is known? (image-layout.md)
pub(super) fn check_layout(files: &Files) -> Result<()> {
    let text = read_small(files, "oci-layout").map_err(|error| error.within("it is not an OCI image layout"))?;
    check_version(&text)
}

/// The same of what its file `oci-layout` holds.
pub(crate) fn check_version(text: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let layout: Layout = parse(text, "oci-layout")?;
    match layout.image_layout_version.starts_with("1.") {
        true => Ok(()),
        false => Err(ImageError::unsupported(format!(
            "an image layout of version {} is not supported",
            layout.image_layout_version
        ))),
    }
}
