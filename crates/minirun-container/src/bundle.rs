//! A bundle: its directory and its configuration, with everything that is wrong in the latter.

mod mend;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};
use crate::facts::in_initial_user_namespace;
use minirun_overlay::Marks;
use minirun_plan::spec::{self, LinuxNamespaceType, Spec};
use minirun_plan::{Origin, OverlayRoot, Problems, RootSource, is_overlay_root};
use minirun_spawn::hint_for_source;
use minirun_sys::Errno;

/// A bundle that was read.
#[derive(Debug)]
pub struct Bundle {
    /// Its directory, absolute.
    pub dir: PathBuf,
    /// Its configuration, as it was written: kept for later, because edits must not affect a container.
    pub text: Vec<u8>,
    /// Its configuration.
    pub spec: Spec,
    /// The values that do not fit the specification's types. A bundle with such problems cannot be run, and its other
    /// problems can be found as well.
    pub problems: Problems,
}

/// Reads a regular file: anything else could keep its reader waiting.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

impl Bundle {
    /// Reads the bundle in a directory.
    pub fn load(dir: &Path) -> Result<Bundle> {
        let dir = std::fs::canonicalize(dir).with_context(|| format!("bundle {}", dir.display()))?;
        let path = dir.join("config.json");
        let text = read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::from(Kind::NoConfig { bundle: dir.clone() }),
            _ => Error::from(error).context(format!("read {}", path.display())),
        })?;
        Bundle::of_text(dir, text).with_context(|| path.display().to_string())
    }

    /// The bundle in a directory, with the configuration that it had at some time.
    pub fn of_text(dir: PathBuf, text: Vec<u8>) -> Result<Bundle> {
        let (spec, problems) = match spec::read(&text) {
            Ok(spec) => (spec, Problems::new()),
            // accepts: any error of the fast parse; the slow one finds what is wrong.
            Err(_) => mend::mend(&text)?,
        };
        Ok(Bundle { dir, text, spec, problems })
    }

    /// Whether the container has a user namespace.
    pub fn has_user_namespace(&self) -> bool {
        let namespaces = self.spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
        namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::User)
    }

    /// The attributes of overlayfs's marks. Those in `trusted.*` count only where the initial user namespace mounts it; the
    /// store's workers decide alike.
    fn marks(&self) -> Result<Marks> {
        let user = self.has_user_namespace() || !in_initial_user_namespace()?;
        Ok(if user { Marks::User } else { Marks::Trusted })
    }

    /// The layers of the root, if a mount at `/` makes it an overlay.
    pub fn layers(&self) -> Option<Result<OverlayRoot, Problems>> {
        let overlay = self.spec.mounts.iter().enumerate().find(|(_, mount)| is_overlay_root(mount));
        overlay.map(|(index, mount)| match self.marks() {
            Ok(marks) => OverlayRoot::parse(mount, index, &self.dir, marks),
            Err(error) => {
                let mut problems = Problems::new();
                problems.add(&Origin::of("mounts").index(index), error.to_string());
                Err(problems)
            }
        })
    }

    /// Returns the source of the root file system: an overlay if a mount at `/` says so, else `root.path`.
    pub fn root(&self) -> Result<RootSource, Problems> {
        if let Some(layers) = self.layers() {
            return layers.map(|root| RootSource::Overlay(root.steps()));
        }
        let origin = Origin::of("root.path");
        let mut problems = Problems::new();
        let path = match &self.spec.root {
            None => {
                problems.add(&Origin::of("root"), "root property must not be empty");
                return Err(problems);
            }
            Some(root) => self.dir.join(&root.path),
        };
        // A link is resolved here, once: what it is changed to later has no effect.
        let path = match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => match std::fs::canonicalize(&path) {
                Ok(target) => target,
                Err(error) => {
                    let link = format!("{} is a symbolic link that leads nowhere", path.display());
                    problems.add(&origin, Error::from(error).context(link).to_string());
                    return Err(problems);
                }
            },
            _ => path,
        };
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.is_dir() => problems.add(&origin, format!("{} is not a directory", path.display())),
            Ok(_) if self.spec.root.as_ref().is_some_and(|root| root.path.is_empty()) => {
                problems.add(&origin, "must not be empty");
            }
            Ok(_) => return Ok(RootSource::Directory(path.to_string_lossy().into_owned())),
            Err(error) => {
                let hint = match error.raw_os_error().map(Errno::from_raw).map(|errno| hint_for_source(&path, errno)) {
                    None | Some("") => String::new(),
                    Some(hint) => format!(" ({hint})"),
                };
                let error = Error::from(error).context(path.display().to_string());
                problems.add(&origin, format!("{error}{hint}"));
            }
        }
        Err(problems)
    }
}
