//! What init must be and have when everything about it is set.

/// The ids and capabilities of a process, as the kernel must show them before its program is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The real, effective, saved and file system user id.
    pub uid: u32,
    /// The same of the group.
    pub gid: u32,
    /// The additional groups in ascending order, as the kernel keeps them; none where setgroups(2) is denied.
    pub groups: Option<Vec<u32>>,
    /// The number of the newest capability that the kernel knows.
    pub last_capability: u32,
    /// Mask by capability number.
    pub bounding: u64,
    /// Mask by capability number.
    pub effective: u64,
    /// Mask by capability number.
    pub permitted: u64,
    /// Mask by capability number.
    pub inheritable: u64,
    /// Mask by capability number.
    pub ambient: u64,
    /// Whether no new privileges can be gained. One that has inherited this keeps it.
    pub no_new_privileges: bool,
}
