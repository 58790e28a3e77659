//! The credentials that init must have before it executes the program.

/// The ids and capabilities of a process, as the kernel must report them before the program is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The real, effective, saved and file system user id, which are all the same.
    pub uid: u32,
    /// The real, effective, saved and file system group id, which are all the same.
    pub gid: u32,
    /// The additional groups in ascending order, as the kernel stores them; none where setgroups(2) is denied.
    pub groups: Option<Vec<u32>>,
    /// The number of the last capability that the kernel knows.
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
    /// Whether no_new_privs is set. A process that inherited it keeps it.
    pub no_new_privileges: bool,
}
