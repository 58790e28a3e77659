//! A directory on the host that no container may read, change or reach.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A small tree outside of the root file system, and a record of its former state.
#[derive(Debug)]
pub struct Canary {
    path: PathBuf,
    before: Vec<String>,
}

impl Canary {
    /// The text of the file `mark`, which a container must never print.
    pub const MARK: &'static str = "only-the-host-may-read-this";

    /// Creates the tree in `directory`.
    pub fn new(directory: &Path) -> Self {
        let path = directory.join("canary");
        fs::create_dir_all(path.join("directory")).unwrap();
        fs::write(path.join("mark"), Self::MARK).unwrap();
        fs::write(path.join("ptmx"), "not a terminal").unwrap();
        fs::write(path.join("directory/file"), "content").unwrap();
        fs::set_permissions(path.join("directory/file"), fs::Permissions::from_mode(0o4640)).unwrap();
        symlink("directory", path.join("link")).unwrap();
        let before = describe(&path);
        Self { path, before }
    }

    /// Returns the path of the tree.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if anything in the tree was created, changed or removed.
    #[track_caller]
    pub fn assert_untouched(&self) {
        assert_eq!(self.before, describe(&self.path), "the host was touched");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&*self.path.to_string_lossy()), "something is mounted on {}", self.path.display());
    }
}

/// Returns one line for each file: everything except its access time.
fn describe(path: &Path) -> Vec<String> {
    let data = fs::symlink_metadata(path).unwrap();
    let target = fs::read_link(path).unwrap_or_default();
    let content = if data.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    let (mode, owner, device) = (data.mode(), (data.uid(), data.gid()), data.rdev());
    let (time, nanoseconds) = (data.mtime(), data.mtime_nsec());
    let mut lines = vec![format!("{path:?} {mode:o} {owner:?} {device} {time}.{nanoseconds} {target:?} {content:?}")];
    if data.is_dir() {
        let mut children: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        children.sort();
        lines.extend(children.iter().flat_map(|child| describe(child)));
    }
    lines
}
