//! Files of the host in a container: the image's volumes and the caller's.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::error::{ImageError, Result};
use crate::files::plain_names;

/// A directory or file of the host that the container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The path on the host.
    pub source: PathBuf,
    /// The absolute path in the container.
    pub destination: String,
    /// Whether the container may write to it.
    pub writable: bool,
}

impl Volume {
    /// Creates a volume.
    ///
    /// # Errors
    /// No volume can be at `destination`: it is not absolute, is the root, or lies in /proc.
    pub fn new(source: impl Into<PathBuf>, destination: impl Into<String>, writable: bool) -> Result<Volume> {
        let destination = destination.into();
        if !destination.starts_with('/') {
            let text = format!("volume {destination:?}: the path in the container must be absolute");
            return Err(ImageError::option(text));
        }
        check_destination(&destination)?;
        Ok(Volume { source: source.into(), destination, writable })
    }

    /// The mount entry of this volume.
    pub(super) fn mount(&self) -> Value {
        let Volume { source, destination, writable } = self;
        let access = if *writable { "rw" } else { "ro" };
        let source = source.to_string_lossy();
        json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "rprivate", access]})
    }
}

/// Fails if no volume can be there: it would hide the root, or the /proc that init and the masks need.
pub(crate) fn check_destination(destination: &str) -> Result<()> {
    let why = match plain_names(destination).as_slice() {
        [] => "it would hide the root",
        ["proc", ..] => "/proc is the kernel's",
        _ => return Ok(()),
    };
    Err(ImageError::option(format!("volume {destination:?}: {why}")))
}

/// The image's volumes and the caller's, which replace those with the same destination. A volume above another comes before it,
/// because it would hide that one.
pub(super) fn in_order<'a>(own: &'a [Volume], wanted: &'a [Volume]) -> Vec<&'a Volume> {
    let taken: Vec<_> = wanted.iter().map(|volume| plain_names(&volume.destination)).collect();
    let left = own.iter().filter(|volume| !taken.contains(&plain_names(&volume.destination)));
    let mut all: Vec<_> = left.chain(wanted).collect();
    all.sort_by_key(|volume| plain_names(&volume.destination).len());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_does_not_hide_a_deeper_one() {
        let volume = |source: &str, destination: &str| Volume::new(source, destination, true).unwrap();
        let own = [volume("1", "/data/own"), volume("2", "/data/"), volume("3", "/srv")];
        let wanted =
            [volume("a", "/data/sub/../sub/x"), volume("b", "/data"), volume("c", "//srv/."), volume("d", "/a/")];
        let order = in_order(&own, &wanted);
        let order: Vec<_> = order.iter().map(|volume| volume.source.to_str().unwrap()).collect();
        assert_eq!(order, ["b", "c", "d", "1", "a"]);
    }

    #[test]
    fn a_volume_does_not_hide_the_root_or_proc() {
        for path in ["data", "/", "//", "/.", "/data/..", "/proc", "/proc/", "/./proc/sys", "/x/../proc"] {
            Volume::new("x", path, true).unwrap_err();
        }
        for path in ["/data", "/process", "/data/proc", "/sys", "/dev/shm"] {
            Volume::new("x", path, true).unwrap();
        }
    }
}
