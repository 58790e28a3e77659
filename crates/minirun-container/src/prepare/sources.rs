//! The sources of bind mounts, looked at before there is a container.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use minirun_plan::is_bind;

use crate::bundle::Bundle;
use crate::error::{OnPath, Result};

/// Returns the text of each source of a mount that is a symbolic link to be copied. A source that is no link, or is missing,
/// is left to the mount.
pub fn links_of(bundle: &Bundle) -> Result<BTreeMap<String, String>> {
    let mut links = BTreeMap::new();
    for mount in &bundle.spec.mounts {
        let copied = mount.options.iter().flatten().any(|option| option == "copy-symlink");
        let Some(source) = mount.source.as_ref().filter(|_| copied) else { continue };
        let source = bundle.dir.join(source);
        match std::fs::read_link(&source) {
            Ok(text) => drop(links.insert(source.to_string_lossy().into_owned(), text.to_string_lossy().into_owned())),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT | libc::ENOTDIR)) => {}
            Err(error) => return Err(error).on("read link", || &source),
        }
    }
    Ok(links)
}

/// Returns the sources of bind mounts that lead into the root file system, as given and from the root.
pub fn inside(bundle: &Bundle, root: &Path) -> BTreeMap<String, String> {
    let mut bound = bundle.spec.mounts.iter().filter(|mount| is_bind(mount)).peekable();
    if bound.peek().is_none() {
        return BTreeMap::new();
    }
    // accepts: any error; the step that mounts the root meets it again.
    let Ok(root) = root.canonicalize() else { return BTreeMap::new() };
    let mut paths = RealPaths::default();
    let inside = bound.filter_map(|mount| {
        let source = bundle.dir.join(mount.source.as_ref()?);
        let real = paths.find(&source)?;
        let inner = real.strip_prefix(&root).ok()?.to_str()?.to_owned();
        Some((source.to_str()?.to_owned(), inner))
    });
    inside.collect()
}

/// Paths without links. Many sources are in few directories, so each directory is resolved once.
#[derive(Default)]
struct RealPaths {
    directories: HashMap<PathBuf, Option<PathBuf>>,
}

impl RealPaths {
    /// Returns the path without links, as far as it exists: an earlier mount may make the rest. None if it cannot be
    /// followed.
    fn find(&mut self, path: &Path) -> Option<PathBuf> {
        if let (Some(directory), Some(name)) = (path.parent(), path.file_name()) {
            if !self.directories.contains_key(directory) {
                self.directories.insert(directory.to_owned(), real_path(directory));
            }
            let directory = self.directories.get(directory)?.as_ref()?;
            let real = directory.join(name);
            match std::fs::read_link(&real) {
                Err(error) if is_no_link(&error) => return Some(real),
                // accepts: any error; the whole path meets it again.
                _ => {}
            }
        }
        real_path(path)
    }
}

/// Whether the path is that of a file that is not a link, or of none.
fn is_no_link(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::EINVAL)
}

fn real_path(path: &Path) -> Option<PathBuf> {
    for ancestor in path.ancestors() {
        match ancestor.canonicalize() {
            Ok(real) => return path.strip_prefix(ancestor).ok().map(|rest| real.join(rest)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // accepts: any error; the step that opens the source meets it again.
            Err(_) => return None,
        }
    }
    None
}
