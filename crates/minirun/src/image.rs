//! `minirun bundle` and `minirun image`: images, the store of their layers, and the bundles that are made from them; `minirun
//! diff` and `minirun commit`: what their containers have changed.

mod commit;
mod listing;
mod progress;
mod subject;
mod user_maps;

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use minirun_image::{BundleOptions, Image, Limits, Progress, Reference, Store, Workers, check_new_bundle};

use crate::report::describe;
use minirun_container::facts::has_runtime_directory;
use progress::Bar;
use user_maps::UserMaps;

pub use commit::{CommitOptions, commit};
pub use listing::{Action, image};
pub use subject::diff;

/// What `bundle` is asked for.
pub struct BundleRequest {
    pub image: Reference,
    /// The directory of the bundle, which has no config.json yet.
    pub dir: PathBuf,
    /// The directory of the store; none for the default one.
    pub store: Option<PathBuf>,
    pub options: BundleOptions,
    /// Whether to show on a terminal how far the unpacking is.
    pub progress: bool,
}

/// Carries out `minirun bundle`.
pub fn bundle(request: BundleRequest) -> Result<()> {
    let BundleRequest { image: reference, dir, store, mut options, progress } = request;
    let dir = check_new_bundle(&dir)?;
    let (image, store) = if reference.is_standard_input() {
        let store = open_store(store)?;
        let archive =
            standard_input(&store, &options.limits).with_context(|| format!("{reference}: standard input"))?;
        (Image::of_archive(&reference, archive)?, store)
    } else {
        (Image::open(&reference)?, open_store(store)?)
    };
    if !nix::unistd::geteuid().is_root() {
        options.user_namespace = Some(UserMaps::of_caller().id_maps());
    }
    let mut bar = progress.then(Bar::new);
    let show = move |progress: &Progress| bar.iter_mut().for_each(|bar| bar.show(progress));
    Ok(store.make_bundle(&image, &dir, &options, show)?)
}

/// The archive on standard input: the file itself, or a copy of what comes through a pipe.
fn standard_input(store: &Store, limits: &Limits) -> Result<File> {
    let input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    if input.is_terminal() {
        bail!("it is a terminal (hint: docker save IMAGE | minirun bundle docker-archive:- DIR)");
    }
    Ok(store.seekable(input, limits.size)?)
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
    let maps = UserMaps::of_caller();
    Workers::mapped(Box::new(move |pid| maps.write(pid).map_err(|error| describe(&error))))
}
