//! The path of an archive's entry: names below the root of a layer.

use crate::error::{ImageError, Result};

/// The beginning of a whiteout's name.
pub(crate) const WHITEOUT: &[u8] = b".wh.";
/// The name that makes a directory opaque.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";
/// The beginning of other names that AUFS keeps for itself.
const AUFS: &[u8] = b".wh..wh.";
/// `PATH_MAX`.
const LONGEST: usize = 4096;

/// Plain names, the last of them what the path is about; none for the root.
#[derive(Debug)]
pub(crate) struct EntryPath<'a>(pub(crate) Vec<&'a [u8]>);

impl<'a> EntryPath<'a> {
    /// Splits a path as archives have it: `/a`, `./a` and `a` are the same.
    ///
    /// # Errors
    /// It holds `..`, is too long, or leads too deep.
    pub(crate) fn split(path: &'a [u8], depth: usize) -> Result<EntryPath<'a>> {
        if path.len() >= LONGEST {
            return Err(ImageError::limit(format!(
                "a path of {} bytes is longer than the kernel's {LONGEST}",
                path.len()
            )));
        }
        let names: Vec<_> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".").collect();
        if names.contains(&&b".."[..]) {
            return Err(ImageError::new("a path with .. in it"));
        }
        if names.len() > depth {
            return Err(ImageError::limit(format!("more than {depth} directories inside each other")));
        }
        Ok(EntryPath(names))
    }

    /// Whether AUFS keeps it for itself.
    pub(crate) fn is_aufs(&self) -> bool {
        let own = |name: &&[u8]| name.starts_with(AUFS) && *name != OPAQUE;
        self.0.iter().any(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_names_below_the_root() {
        for (path, names) in [("a/b", &["a", "b"][..]), ("/a", &["a"]), ("./a//./b/", &["a", "b"])] {
            let split = EntryPath::split(path.as_bytes(), 9).unwrap();
            assert_eq!(split.0, names.iter().map(|name| name.as_bytes()).collect::<Vec<_>>());
        }
        for root in ["", ".", "./", "/", "//", "./."] {
            assert!(EntryPath::split(root.as_bytes(), 9).unwrap().0.is_empty());
        }
        for path in ["..", "a/..", "../a", "/..", "a/../b", "1/2/3/4/5/6/7/8/9/10", &"a".repeat(4096)] {
            EntryPath::split(path.as_bytes(), 9).unwrap_err();
        }
    }
}
