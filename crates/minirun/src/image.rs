//! `minirun bundle` and `minirun image`: images, the store of their layers, and the bundles that are made from them; `minirun
//! diff` and `minirun commit`: what their containers have changed.

mod commit;
mod frozen;
mod listing;
mod progress;
mod seccomp;
mod subject;

use std::fs::{DirBuilder, File};
use std::io::{IsTerminal as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::report::describe;
use anyhow::{Context, Result, bail};
use minirun_image::{
    Image, Limits, Reference, Settings, Stack, Store, Stored, Upper, Volume, Wanted, Workers, check_place, convert,
};

use crate::ids::Maps;
use crate::report::add_undo;
use crate::template;
use minirun_container::facts::{denies_setgroups, has_runtime_directory};
use progress::Bar;

/// The directory of a bundle that only its owner can enter.
pub const PRIVATE: &str = "private";

pub use commit::{CommitOptions, commit};
pub use listing::{Action, image};
pub use seccomp::Seccomp;
pub use subject::diff;

/// What `bundle` is asked for.
pub struct BundleOptions {
    pub image: Reference,
    /// The directory of the bundle, which has no config.json yet.
    pub dir: PathBuf,
    /// The directory of the store; none for the default one.
    pub store: Option<PathBuf>,
    pub settings: Settings,
    /// The user, by name or number; none for the image's.
    pub user: Option<String>,
    pub seccomp: Seccomp,
    pub limits: Limits,
    /// Whether to show on a terminal how far the unpacking is.
    pub progress: bool,
}

/// Carries out `minirun bundle`.
pub fn bundle(options: BundleOptions) -> Result<()> {
    let BundleOptions { image: reference, dir, store, settings, user: named, seccomp, limits, progress } = options;
    // accepts: any error; the file is made with O_EXCL.
    if dir.join("config.json").exists() {
        bail!("bundle {} exists: it has a config.json", dir.display());
    }
    let (image, store) = if reference.is_standard_input() {
        let store = open_store(store)?;
        let archive = standard_input(&store, &limits).with_context(|| format!("{reference}: standard input"))?;
        (Image::of_archive(&reference, archive)?, store)
    } else {
        (Image::open(&reference)?, open_store(store)?)
    };
    // accepts: any error; a directory that is not there yet is judged by its parent.
    let there = dir.canonicalize().or_else(|_| dir.parent().unwrap_or(&dir).canonicalize());
    // accepts: as above; to make it says what is wrong.
    if there.is_ok_and(|there| there.starts_with(store.path())) {
        bail!("bundle {} would lie in the store {}", dir.display(), store.path().display());
    }
    let _lock = store.lock_shared()?;
    let mut bar = progress.then(Bar::new);
    let layers = store.unpack(&image, &limits, &mut |progress| bar.iter_mut().for_each(|bar| bar.show(progress)));
    drop(bar);
    let layers = layers?;
    store.remember(&image)?;
    let stack = Stack::open(&layers, store.marks())?;
    let user = named.clone().unwrap_or_else(|| image.configuration.config.user.clone());
    let mut identity = stack.identity(&user)?;
    // No list can be set there, not even one that changes nothing.
    if identity.groups == [identity.gid] && !may_set_groups()? {
        identity.groups.clear();
    }
    let wanted = Wanted {
        cmd: settings.cmd.clone(),
        env: settings.env.clone(),
        user: named,
        working_dir: settings.working_dir.clone(),
    };
    let mut made = Made::default();
    let done = made.bundle(&dir, &layers, &settings).and_then(|()| {
        let own = made.volumes(&dir, &image, &stack, &store)?;
        let attributes = made.attributes(&dir, &stack, &store)?;
        let paths: Vec<_> = attributes.into_iter().chain(visible(&layers).map(|layer| layer.root.clone())).collect();
        let mut config = convert(base()?, &image.configuration, &identity, &paths, &own, &settings)?;
        seccomp.write(&mut config)?;
        // From here on the layers are in use.
        made.will(dir.join("image.json"));
        store.register(&dir, &image, wanted)?;
        made.file(&dir.join("config.json"), &template::written(&config)?)
    });
    done.map_err(|error| made.undo(error, &store))
}

/// The archive on standard input: the file itself, or a copy of what comes through a pipe.
fn standard_input(store: &Store, limits: &Limits) -> Result<File> {
    let mut input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    if input.is_terminal() {
        bail!("it is a terminal (hint: docker save IMAGE | minirun bundle docker-archive:- DIR)");
    }
    // One that was read from already would not begin at its beginning.
    if input.metadata()?.is_file() && input.stream_position()? == 0 {
        return Ok(input);
    }
    Ok(store.spool(input, limits.size)?)
}

/// The store in this directory, or that of the caller.
fn open_store(named: Option<PathBuf>) -> Result<Store> {
    let path = match named {
        Some(path) => path,
        None if !has_runtime_directory()? => PathBuf::from("/var/lib/minirun"),
        None => {
            // One that is not absolute is ignored (XDG Base Directory Specification).
            let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
            let data = named("XDG_DATA_HOME").or_else(|| Some(named("HOME")?.join(".local/share")));
            data.context("neither XDG_DATA_HOME nor HOME is set (hint: --store DIR)")?.join("minirun")
        }
    };
    Ok(Store::open(&path, workers())?)
}

/// Processes that may read and make files of all ids.
fn workers() -> Workers {
    if nix::unistd::geteuid().is_root() {
        return Workers::of_root();
    }
    let maps = Maps::of_caller();
    Workers::mapped(Box::new(move |pid| maps.write(pid).map_err(|error| describe(&error))))
}

/// The layers that can be seen, top first.
fn visible(layers: &[Stored]) -> impl Iterator<Item = &Stored> {
    let end = layers.iter().rposition(|layer| layer.facts.opaque).unwrap_or(0);
    layers[end..].iter().rev()
}

/// What `minirun spec` has, for the caller; with a network of its own.
fn base() -> Result<serde_json::Value> {
    if nix::unistd::geteuid().is_root() {
        return template::base(None);
    }
    let mut base = template::base(Some((nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())))?;
    for (name, maps) in Maps::of_caller().mappings() {
        base["linux"][name] = maps;
    }
    // A user may have one, but cannot connect it to anything.
    if let Some(namespaces) = base["linux"]["namespaces"].as_array_mut() {
        namespaces.push(serde_json::json!({"type": "network"}));
    }
    Ok(base)
}

/// May containers of the caller set groups?
fn may_set_groups() -> Result<bool> {
    Ok(!denies_setgroups("self")? && (nix::unistd::geteuid().is_root() || Maps::of_caller().allow_groups()))
}

/// What was made of a bundle so far, to be undone.
#[derive(Default)]
struct Made {
    paths: Vec<PathBuf>,
    /// Directories in which there is more than that, of all ids.
    trees: Vec<PathBuf>,
}

impl Made {
    /// The directories of a bundle.
    fn bundle(&mut self, dir: &Path, layers: &[Stored], settings: &Settings) -> Result<()> {
        // accepts: any error; to make it again says what is wrong.
        if !dir.exists() {
            self.directory(dir, 0o700)?;
        }
        self.directory(&dir.join("rootfs"), 0o755)?;
        if settings.upper == Upper::Bundle {
            let private = self.private(dir)?;
            let upper = private.join("upper");
            self.directory(&upper, 0o755)?;
            self.directory(&private.join("work"), 0o700)?;
            // The upper directory's own attributes are those of the container's root.
            if let Some(top) = visible(layers).find(|layer| !layer.facts.implied.contains(&Vec::new())) {
                copy_attributes(&top.root, &upper)?;
            }
        }
        Ok(())
    }

    /// Returns the directory above everything that holds files of the image or of the container. Nobody but its owner gets
    /// in, whatever the mode of the bundle: such a file can be a set-user-id program or a device.
    fn private(&mut self, dir: &Path) -> Result<PathBuf> {
        let private = dir.join(PRIVATE);
        if !self.paths.contains(&private) {
            self.directory(&private, 0o700)?;
        }
        Ok(private)
    }

    /// A layer of directories that have the right attributes, if those of the image do not.
    fn attributes(&mut self, dir: &Path, stack: &Stack, store: &Store) -> Result<Option<PathBuf>> {
        let paths = stack.misattributed()?;
        if paths.is_empty() {
            return Ok(None);
        }
        let layer = self.private(dir)?.join("attributes");
        self.trees.push(layer.clone());
        self.directory(&layer, 0o755)?;
        store.attribute(stack, &paths, &layer)?;
        Ok(Some(layer))
    }

    /// A directory for each volume that the image wants, with what the image has there.
    fn volumes(&mut self, dir: &Path, image: &Image, stack: &Stack, store: &Store) -> Result<Vec<Volume>> {
        let wanted: Vec<_> = image.configuration.config.volumes.keys().filter(|path| path.starts_with('/')).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        wanted.iter().try_for_each(|path| check_place(path)).context("the image's volumes")?;
        let all = self.private(dir)?.join("volumes");
        self.trees.push(all.clone());
        self.directory(&all, 0o755)?;
        let mut volumes = Vec::new();
        for (number, path) in wanted.into_iter().enumerate() {
            let name = path.trim_matches('/').replace('/', "-");
            let source = all.join(format!("{number}-{name}"));
            self.directory(&source, 0o755)?;
            volumes.push((path.clone(), source));
        }
        store.fill(stack, &volumes)?;
        Ok(volumes.into_iter().map(|(destination, source)| Volume { source, destination, writable: true }).collect())
    }

    fn directory(&mut self, path: &Path, mode: u32) -> Result<()> {
        DirBuilder::new().mode(mode).create(path).with_context(|| format!("make {}", path.display()))?;
        self.will(path.to_owned());
        Ok(())
    }

    fn file(&mut self, path: &Path, text: &[u8]) -> Result<()> {
        let open = File::options().write(true).create_new(true).mode(0o600).open(path);
        let mut file = open.with_context(|| format!("write {}", path.display()))?;
        self.will(path.to_owned());
        file.write_all(text).with_context(|| format!("write {}", path.display()))
    }

    fn will(&mut self, path: PathBuf) {
        self.paths.push(path);
    }

    /// Removes what was made, the last first. A failure of that is added to the cause.
    fn undo(self, cause: anyhow::Error, store: &Store) -> anyhow::Error {
        let trees = self
            .trees
            .iter()
            // accepts: any error; what cannot be seen cannot be removed, and is told of above.
            .filter(|path| path.exists())
            .map(|path| store.remove_directory(path).map_err(anyhow::Error::new));
        let paths = self.paths.iter().rev().map(|path| {
            // accepts: any error; to remove it says what is wrong.
            let removed = if path.is_dir() { std::fs::remove_dir(path) } else { std::fs::remove_file(path) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(anyhow::Error::new(error).context(format!("remove {}", path.display())))
                }
                _ => Ok(()),
            }
        });
        let failed: Vec<_> = trees.chain(paths).filter_map(Result::err).collect();
        failed.into_iter().fold(cause, |cause, undo| add_undo(cause, Err(undo)))
    }
}

/// Owner and permissions.
fn copy_attributes(from: &Path, to: &Path) -> Result<()> {
    let doing = || format!("give {} the attributes of {}", to.display(), from.display());
    let found = std::fs::symlink_metadata(from).with_context(doing)?;
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(to, Some(found.uid()), Some(found.gid())).with_context(doing)?;
    }
    let mode = std::fs::Permissions::from_mode(found.mode() & 0o7777);
    std::fs::set_permissions(to, mode).with_context(doing)
}
