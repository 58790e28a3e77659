//! The mount points of a plan so far, searchable for paths above and below them.

use std::collections::BTreeSet;

use crate::{InRoot, Op};

/// Mount points, by their paths in the root.
#[derive(Default)]
pub(crate) struct Mounted(BTreeSet<Vec<u8>>);

impl Mounted {
    /// Adds the mount point of a step that creates a mount.
    pub(super) fn add(&mut self, op: &Op) {
        if let Some(point) = op.mount_point() {
            self.0.insert(point.target.path().to_bytes().to_vec());
        }
    }

    /// Whether a mount point is at this path, above it or below it.
    pub(super) fn has_related(&self, path: &InRoot) -> bool {
        let mut start = path.path().to_bytes().to_vec();
        if start.is_empty() {
            return !self.0.is_empty();
        }
        if path.prefixes().any(|prefix| self.0.contains(prefix)) {
            return true;
        }
        start.push(b'/');
        self.0.range(start.clone()..).next().is_some_and(|first| first.starts_with(&start))
    }
}
