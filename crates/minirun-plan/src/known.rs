//! The names that the compiler supports, for `features`.

use crate::scheduling::{MEMORY_FLAGS, MEMORY_MODES};

/// Returns the mount options that the compiler interprets, sorted; others are passed to the file system.
pub fn mount_options() -> Vec<String> {
    crate::compile::mount_options()
}

/// Returns the names of all known capabilities.
pub fn capabilities() -> Vec<String> {
    let mut all: Vec<caps::Capability> = caps::all().into_iter().collect();
    all.sort_by_key(caps::Capability::index);
    all.iter().map(ToString::to_string).collect()
}

/// Returns the modes of `linux.memoryPolicy`, and its flags.
pub fn memory_policies() -> [Vec<&'static str>; 2] {
    [MEMORY_MODES.map(|(name, _)| name).to_vec(), MEMORY_FLAGS.map(|(name, _)| name).to_vec()]
}
