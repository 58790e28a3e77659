//! Makes a bundle from an image: `bundle oci:web:latest /var/lib/minirun web/`.

use std::path::Path;

use minirun_image::{BundleOptions, Image, Reference, Store, Workers};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [image, store, dir] = args.as_slice() else { return Err("usage: bundle IMAGE STORE DIR".into()) };
    Ok(make(image, store.as_ref(), dir.as_ref(), &BundleOptions::default())?)
}

/// Unpacks the layers of an image into a store, and makes a bundle of them.
pub fn make(image: &str, store: &Path, dir: &Path, options: &BundleOptions) -> minirun_image::Result<()> {
    let image = Image::open(&Reference::parse(image)?)?;
    let store = Store::open(store, Workers::of_root())?;
    store.make_bundle(&image, dir, options, |progress| {
        eprintln!("{} of {} bytes", progress.bytes_read, progress.bytes);
    })
}
