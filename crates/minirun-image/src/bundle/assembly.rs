//! The directory of a bundle while it is made, and how that is undone.

use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::volumes::check_destination;
use super::{ATTRIBUTES, PRIVATE, Upper, Volume, visible};
use crate::error::{Doing as _, Result};
use crate::image::Image;
use crate::stack::Stack;
use crate::store::{Store, Stored, Wanted};

/// What has been made of a bundle so far.
pub(super) struct Assembly<'a> {
    store: &'a Store,
    dir: &'a Path,
    paths: Vec<PathBuf>,
    /// Directories that hold more than that, of all ids.
    trees: Vec<PathBuf>,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(store: &'a Store, dir: &'a Path) -> Assembly<'a> {
        Assembly { store, dir, paths: Vec::new(), trees: Vec::new() }
    }

    /// Makes the directories of every bundle.
    pub(super) fn directories(&mut self, layers: &[Stored], upper: Upper) -> Result<()> {
        // accepts: any error; to make it again says what is wrong.
        if !self.dir.exists() {
            self.directory(self.dir.to_owned(), 0o700)?;
        }
        self.directory(self.dir.join("rootfs"), 0o755)?;
        if upper == Upper::Bundle {
            let private = self.private()?;
            let upper = private.join("upper");
            self.directory(upper.clone(), 0o755)?;
            self.directory(private.join("work"), 0o700)?;
            // The upper directory's own attributes are those of the container's root.
            if let Some(top) = visible(layers).find(|layer| !layer.facts.implied.contains(&Vec::new())) {
                copy_attributes(&top.root, &upper)?;
            }
        }
        Ok(())
    }

    /// Returns the directory above all files of the image or of the container, whatever the mode of the bundle: only its owner
    /// can enter it, because such a file can be a set-user-id program or a device.
    fn private(&mut self) -> Result<PathBuf> {
        let private = self.dir.join(PRIVATE);
        if !self.paths.contains(&private) {
            self.directory(private.clone(), 0o700)?;
        }
        Ok(private)
    }

    /// Makes a layer of directories that have the right attributes, if those of the image do not.
    pub(super) fn attributes(&mut self, stack: &Stack) -> Result<Option<PathBuf>> {
        let paths = stack.misattributed()?;
        if paths.is_empty() {
            return Ok(None);
        }
        let layer = self.private()?.join(ATTRIBUTES);
        self.tree(layer.clone())?;
        self.store.attribute(stack, &paths, &layer)?;
        Ok(Some(layer))
    }

    /// Makes a directory for each volume of the image, with the image's content of that path.
    pub(super) fn volumes<'v>(&mut self, volumes: impl Iterator<Item = &'v str>, stack: &Stack) -> Result<Vec<Volume>> {
        let wanted: Vec<_> = volumes.filter(|path| path.starts_with('/')).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let checked = wanted.iter().try_for_each(|path| check_destination(path));
        checked.map_err(|error| error.within("the image's volumes"))?;
        let all = self.private()?.join("volumes");
        self.tree(all.clone())?;
        let mut volumes = Vec::new();
        for (number, path) in wanted.into_iter().enumerate() {
            let name = path.trim_matches('/').replace('/', "-");
            let source = all.join(format!("{number}-{name}"));
            self.directory(source.clone(), 0o755)?;
            volumes.push(Volume { source, destination: path.to_owned(), writable: true });
        }
        self.store.fill(stack, &volumes)?;
        Ok(volumes)
    }

    /// Writes which image the bundle is made from, and has the store remember the bundle.
    pub(super) fn register(&mut self, image: &Image, wanted: Wanted) -> Result<()> {
        self.paths.push(self.dir.join("image.json"));
        self.store.register(self.dir, image, wanted)
    }

    /// Writes a file that must not exist.
    pub(super) fn file(&mut self, name: &str, text: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        let doing = || format!("write {}", path.display());
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path).doing(doing)?;
        self.paths.push(path.clone());
        file.write_all(text).doing(doing)
    }

    fn directory(&mut self, path: PathBuf, mode: u32) -> Result<()> {
        DirBuilder::new().mode(mode).create(&path).doing(|| format!("make {}", path.display()))?;
        self.paths.push(path);
        Ok(())
    }

    fn tree(&mut self, path: PathBuf) -> Result<()> {
        self.trees.push(path.clone());
        self.directory(path, 0o755)
    }

    /// Removes what was made, the last first. A failure of that is added to the cause.
    pub(super) fn undo(self, cause: crate::error::ImageError) -> crate::error::ImageError {
        // accepts: any error; what cannot be seen cannot be removed, and the cause tells of it.
        let trees = self.trees.iter().filter(|path| path.exists()).map(|path| self.store.remove_directory(path));
        let paths = self.paths.iter().rev().map(|path| {
            // accepts: any error; to remove it says what is wrong.
            let removed = if path.is_dir() { std::fs::remove_dir(path) } else { std::fs::remove_file(path) };
            match removed {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                answer => answer.doing(|| format!("remove {}", path.display())),
            }
        });
        let failed: Vec<_> = trees.chain(paths).filter_map(Result::err).collect();
        failed.iter().fold(cause, |cause, undo| cause.and_undo(undo))
    }
}

/// Owner and permissions.
fn copy_attributes(from: &Path, to: &Path) -> Result<()> {
    let doing = || format!("give {} the attributes of {}", to.display(), from.display());
    let found = std::fs::symlink_metadata(from).doing(doing)?;
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(to, Some(found.uid()), Some(found.gid())).doing(doing)?;
    }
    let mode = std::fs::Permissions::from_mode(found.mode() & 0o7777);
    std::fs::set_permissions(to, mode).doing(doing)
}
