//! Paths inside the container's root, and the mounts that they lie on.

use std::ffi::{CStr, CString};

/// A path inside the container's root, without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InRoot {
    path: CString,
    parent: CString,
    /// The mount that the path lies on.
    base: Option<Base>,
}

/// A mount of an earlier step, below which a path lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Base {
    /// The number of the mount: see [`MountPoint::number`].
    mount: usize,
    /// The offset in bytes at which the path continues below the mount.
    start: usize,
}

impl InRoot {
    /// Cleans an absolute or relative path. Empty components and `.` are removed, and `..` removes the component before
    /// it, as in runc. Returns none if the path contains a NUL.
    pub fn new(path: &str) -> Option<InRoot> {
        if path.contains('\0') {
            return None;
        }
        let mut clean = String::with_capacity(path.len() + 1);
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                clean.truncate(clean.rfind('/').unwrap_or(0));
                continue;
            }
            if !clean.is_empty() {
                clean.push('/');
            }
            clean.push_str(part);
        }
        let parent = &clean[..clean.rfind('/').unwrap_or(0)];
        Some(InRoot { parent: CString::new(parent).ok()?, path: CString::new(clean).ok()?, base: None })
    }

    /// Returns the whole path; empty for the root itself.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Returns the path of each ancestor below the root, outermost first, and then the path itself.
    pub fn prefixes(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.path.to_bytes();
        let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        slashes.chain((!bytes.is_empty()).then_some(bytes.len())).map(|end| &bytes[..end])
    }

    /// Returns the number of the mount that the path lies on, which an earlier step creates; none for the root's own.
    ///
    /// Paths below a mount are looked up from the mount's descriptor. Its name could lead elsewhere by then, because
    /// other processes can rename directories of the root file system.
    pub fn mount(&self) -> Option<usize> {
        self.base.map(|base| base.mount)
    }

    /// Returns the path from that mount, or else from the root.
    pub fn below_mount(&self) -> &CStr {
        self.rest_of(&self.path)
    }

    /// Returns the parent directory's path from that mount, or else from the root.
    pub fn parent_below_mount(&self) -> &CStr {
        self.rest_of(&self.parent)
    }

    /// Returns a prefix without the part that leads to the mount.
    fn rest_of<'p>(&self, prefix: &'p CStr) -> &'p CStr {
        let start = self.base.map_or(0, |base| base.start);
        // Nothing is left of the mount's own path, or of one above it.
        prefix.to_bytes_with_nul().get(start..).and_then(|rest| CStr::from_bytes_with_nul(rest).ok()).unwrap_or(c"")
    }

    /// Sets the mount that the path lies on; the mount's own path is the first `length` bytes.
    pub(crate) fn set_mount(&mut self, mount: usize, length: usize) {
        debug_assert!((1..self.path.as_bytes().len()).contains(&length), "a mount is above what lies on it");
        self.base = Some(Base { mount, start: length + 1 });
    }

    /// Returns the last component.
    pub fn name(&self) -> &CStr {
        let bytes = self.path.to_bytes_with_nul();
        let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        CStr::from_bytes_with_nul(&bytes[start..]).unwrap_or(c"")
    }
}
