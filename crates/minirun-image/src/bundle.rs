//! Makes bundles from images: a directory with a `config.json`, whose root is an overlay of the image's layers in the store.
//!
//! ```text
//! config.json          the configuration: the template of `minirun spec`, the image's, and the caller's options
//! image.json           which image and store it was made from
//! rootfs/              the mount point
//! private/upper/       the container's changes; private/work/ is overlayfs's
//! private/attributes/  directories whose attributes overlayfs would show wrongly
//! private/volumes/     a directory for each volume of the image
//! ```

mod assembly;
mod config;
mod fill;
mod options;
mod resources;
mod seccomp;
mod volumes;

use std::path::{Path, PathBuf};

use minirun_plan::template::{self, CPUS, THROTTLE};
use serde_json::{Value, json};

use crate::document::Configuration;
use crate::error::{Doing as _, ErrorKind, ImageError, Result};
use crate::image::Image;
use crate::stack::Stack;
use crate::store::{Store, Stored};
use crate::unpack::Progress;
use crate::users::Identity;
use assembly::Assembly;

pub use options::{BundleOptions, Network, Upper};
pub use resources::{IoLimit, IoLimitKind, Resources};
pub use seccomp::Seccomp;
pub use volumes::Volume;
pub(crate) use volumes::check_destination;

/// The directory of a bundle that only its owner can enter.
const PRIVATE: &str = "private";
/// The directory in [`PRIVATE`] whose directories have the attributes that those of the image should have.
const ATTRIBUTES: &str = "attributes";

/// Returns the absolute path of a bundle that can be made in this directory.
///
/// # Errors
/// The directory has a `config.json`, or the path is empty.
pub fn check_new_bundle(dir: &Path) -> Result<PathBuf> {
    let dir = std::path::absolute(dir).doing(|| "the path of the bundle")?;
    // accepts: any error; the file is made with O_EXCL.
    if dir.join("config.json").exists() {
        let text = format!("bundle {} exists: it has a config.json", dir.display());
        return Err(ImageError::new(text).with_kind(ErrorKind::AlreadyExists));
    }
    Ok(dir)
}

/// The layers of attributes that a bundle can have besides those of its image. Bundles of earlier versions have theirs in the
/// bundle's own directory.
pub fn attribute_layers(bundle: &Path) -> [PathBuf; 2] {
    [PRIVATE, "."].map(|above| bundle.join(above).join(ATTRIBUTES))
}

impl Store {
    /// Makes a bundle from an image in the directory `dir`, which may exist. Unpacks the layers that are missing in the store,
    /// and calls `progress` meanwhile; it is dropped when all layers are there.
    ///
    /// # Errors
    /// The bundle exists, the image or an option is not valid, or a system call fails. Then nothing of the bundle is left; the
    /// layers stay in the store.
    pub fn make_bundle(
        &self,
        image: &Image,
        dir: &Path,
        options: &BundleOptions,
        mut progress: impl FnMut(&Progress),
    ) -> Result<()> {
        let dir = check_new_bundle(dir)?;
        self.refuse_inside(&dir)?;
        let _lock = self.lock_shared()?;
        let layers = self.unpack(image, &options.limits, &mut progress)?;
        drop(progress);
        self.remember(image)?;
        let stack = Stack::open(&layers, self.marks())?;
        let identity = identity(&stack, &image.configuration, options)?;
        let mut made = Assembly::new(self, &dir);
        let done = fill(&mut made, image, &stack, &layers, &identity, options);
        done.map_err(|error| made.undo(error))
    }

    /// Fails if a bundle would lie in the store.
    fn refuse_inside(&self, dir: &Path) -> Result<()> {
        // accepts: any error; a directory that is not there yet is judged by its parent.
        let there = dir.canonicalize().or_else(|_| dir.parent().unwrap_or(dir).canonicalize());
        // accepts: as above; to make it says what is wrong.
        if there.is_ok_and(|there| there.starts_with(self.path())) {
            let text = format!("bundle {} would lie in the store {}", dir.display(), self.path().display());
            return Err(ImageError::option(text));
        }
        Ok(())
    }
}

/// Makes everything in the bundle's directory.
fn fill(
    made: &mut Assembly<'_>,
    image: &Image,
    stack: &Stack,
    layers: &[Stored],
    identity: &Identity,
    options: &BundleOptions,
) -> Result<()> {
    made.directories(layers, options.upper)?;
    let own = made.volumes(image.configuration.config.volumes.keys().map(String::as_str), stack)?;
    let attributes = made.attributes(stack)?;
    let paths: Vec<_> = attributes.into_iter().chain(visible(layers).map(|layer| layer.root.clone())).collect();
    let base = base(options)?;
    let mut config = config::convert(base, &image.configuration, identity, &paths, &own, options)?;
    options.seccomp.write(&mut config)?;
    // From here on the layers are in use.
    made.register(image, options.wanted())?;
    let text = template::to_text(&config).doing(|| "write config.json")?;
    made.file("config.json", &text)
}

/// The layers that can be seen, top first.
fn visible(layers: &[Stored]) -> impl Iterator<Item = &Stored> {
    let end = layers.iter().rposition(|layer| layer.facts.opaque).unwrap_or(0);
    layers[end..].iter().rev()
}

/// The user and the groups of the container's process.
fn identity(stack: &Stack, image: &Configuration, options: &BundleOptions) -> Result<Identity> {
    let mut identity = stack.identity(options.user.as_deref().unwrap_or(&image.config.user))?;
    // No list can be set there, not even one that changes nothing.
    if identity.groups == [identity.gid] && !may_set_groups(options)? {
        identity.groups.clear();
    }
    Ok(identity)
}

/// Whether the container's init may call setgroups(2).
fn may_set_groups(options: &BundleOptions) -> Result<bool> {
    let file = "/proc/self/setgroups";
    let denied = match std::fs::read(file) {
        Ok(text) => text.starts_with(b"deny"),
        // A kernel without user namespaces has no such file.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        answer => answer.map(|_| false).doing(|| format!("read {file}"))?,
    };
    // A user namespace in which only one group is mapped denies it.
    Ok(!denied && options.user_namespace.as_ref().is_none_or(|maps| maps.groups.len() > 1))
}

/// The template of `minirun spec`; for an ordinary user with all its ids, and with a network of its own.
fn base(options: &BundleOptions) -> Result<Value> {
    let masks = cpu_masks().doing(|| format!("list {CPUS}"))?;
    let doing = || "the template";
    let Some(maps) = &options.user_namespace else { return template::config(&masks).doing(doing) };
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let mut base = template::rootless(&masks, uid, gid).doing(doing)?;
    for (name, maps) in [("uidMappings", &maps.users), ("gidMappings", &maps.groups)] {
        let entry = |map: &minirun_plan::spec::IdMapping| json!({"containerID": map.container_id, "hostID": map.host_id, "size": map.size});
        base["linux"][name] = maps.iter().map(entry).collect();
    }
    // A user may have one, but cannot connect it to anything.
    if let Some(namespaces) = base["linux"]["namespaces"].as_array_mut() {
        namespaces.push(json!({"type": "network"}));
    }
    Ok(base)
}

/// The masked paths of this machine's CPUs.
fn cpu_masks() -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(CPUS) {
        // A machine, or a container, without sysfs has nothing to hide there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        answer => answer?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    template::cpu_masks(names, |name| Path::new(CPUS).join(name).join(THROTTLE).try_exists())
}
