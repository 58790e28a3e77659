//! What a caller can ask for when a bundle is made.

use std::path::PathBuf;

use super::resources::Resources;
use super::seccomp::Seccomp;
use super::volumes::Volume;
use crate::ids::IdMaps;
use crate::store::Wanted;
use crate::stream::Limits;

/// The network namespace of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// A new one, without interfaces besides `lo`.
    #[default]
    None,
    /// The host's.
    Host,
    /// The one at this path.
    Joined(PathBuf),
}

/// The directory for a container's changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upper {
    /// The directories `upper` and `work` in the bundle's directory `private`.
    #[default]
    Bundle,
    /// A tmpfs of this many bytes, which ends with the container.
    Memory(u64),
}

/// The options of a new bundle. The default is a container as the image describes it, of root.
#[derive(Debug, Clone, Default)]
pub struct BundleOptions {
    /// Arguments in place of the image's `Cmd`.
    pub cmd: Option<Vec<String>>,
    /// `NAME=VALUE`, added to the image's variables or in place of the same ones.
    pub env: Vec<String>,
    /// `USER[:GROUP]` in place of the image's `User`, as names of the image or ids.
    pub user: Option<String>,
    /// An absolute path in place of the image's `WorkingDir`.
    pub working_dir: Option<String>,
    /// The host name; the template's if none.
    pub hostname: Option<String>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Whether the process has a terminal.
    pub terminal: bool,
    /// The network namespace.
    pub network: Network,
    /// Files and directories of the host in the container.
    pub volumes: Vec<Volume>,
    /// The directory for changes.
    pub upper: Upper,
    /// The limits of the container's cgroup.
    pub resources: Resources,
    /// The filter of system calls.
    pub seccomp: Seccomp,
    /// The id maps of the container's user namespace. An ordinary user requires one; containers of root have none.
    pub user_namespace: Option<IdMaps>,
    /// The limits of each layer that is unpacked.
    pub limits: Limits,
}

impl BundleOptions {
    /// The options that a commit of the container puts into its image.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            cmd: self.cmd.clone(),
            env: self.env.clone(),
            user: self.user.clone(),
            working_dir: self.working_dir.clone(),
        }
    }
}
