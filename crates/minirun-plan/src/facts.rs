//! What the compiler may know about the host. A value of this type is made by the program, or by a test.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::NodeKind;

/// The host as far as plans depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Where cgroup2 is mounted; none when the host has no cgroup2 mount.
    pub cgroup_mount: Option<PathBuf>,
    /// The controllers that are on offer where containers get their cgroups (`cgroup.controllers`).
    pub controllers: Vec<String>,
    /// The cgroup below which a container's is made that its configuration does not place, as a path from the root of the
    /// mount; empty for that root.
    pub cgroup_base: PathBuf,
    /// Why none is made there, if the container may be without one (`--rootless`) or shall be (`--cgroup-manager disabled`).
    pub cgroup_denied: Option<String>,
    /// Controllers that a cgroup v1 hierarchy holds, with its mount point.
    pub v1_controllers: Vec<(String, PathBuf)>,
    /// Are the cgroup's files there for `io.bfq.weight` (the bfq scheduler) rather than `io.weight`?
    pub bfq: bool,
    /// Huge page sizes as the hugetlb controller names them: `2MB`, `1GB`.
    pub huge_page_sizes: Vec<String>,
    /// The size of a page in bytes, in whose multiples memory limits are kept; 0 counts as 4096.
    pub page_size: u64,
    /// The number of the newest capability that the kernel knows (`/proc/sys/kernel/cap_last_cap`).
    pub last_capability: u32,
    /// What the runtime has in its bounding and its permitted set: what it can grant at most.
    pub bounding: u64,
    /// Does the host have /proc/kcore, so that containers get /dev/core?
    pub kcore: bool,
    /// Is setgroups(2) denied in the runtime's user namespace, and so in those made in it?
    pub setgroups_denied: bool,
    /// The same of a user namespace that is joined, or of the container that is entered.
    pub joined_setgroups_denied: bool,
    /// The effective user id of the runtime.
    pub euid: u32,
    /// Its effective group id.
    pub egid: u32,
    /// Intel RDT, if the configuration asks for it.
    pub resctrl: Resctrl,
    /// The nodes of the host at the paths of `linux.devices`, for a container in a user namespace.
    pub nodes: BTreeMap<String, HostNode>,
    /// Is SELinux enabled in the kernel?
    pub selinux: bool,
    /// Is the runtime in the host's first user namespace?
    pub initial_user_namespace: bool,
    /// The sources of bind mounts that lead into the root file system, links followed: the path as given, and the one from
    /// the root.
    pub inside_root: BTreeMap<String, String>,
    /// Where procfs and sysfs are mounted as a whole, in the order of mountinfo; told only with `--no-pivot`.
    pub kernel_views: Vec<PathBuf>,
    /// Is it root of another one, but not of the mounts that it sees, so that it cannot copy them?
    pub others_mounts: bool,
}

/// A device node of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostNode {
    /// Character or block.
    pub kind: NodeKind,
    /// `makedev` of its numbers.
    pub device: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner, as the host has it.
    pub uid: u32,
    /// Group, as the host has it.
    pub gid: u32,
}

/// What there is of Intel RDT, which is a file system as well (Documentation/arch/x86/resctrl.rst).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Resctrl {
    /// The kernel has no such file system, or not on this processor.
    #[default]
    Absent,
    /// It is mounted nowhere.
    Unmounted,
    /// It is there.
    Mounted {
        /// Where.
        mount: PathBuf,
        /// What it allocates and monitors: the directories of `info`, as `L3`, `MB`, `L3_MON`.
        info: Vec<String>,
    },
}

impl Resctrl {
    /// Is there something of this name in `info`?
    pub fn has(&self, name: &str) -> bool {
        matches!(self, Resctrl::Mounted { info, .. } if info.iter().any(|had| had == name))
    }
}

/// Where a controller can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControllerHome {
    /// In the cgroup2 hierarchy, where minirun can use it.
    V2,
    /// In a cgroup v1 hierarchy mounted there.
    V1(PathBuf),
    /// Nowhere: not built into this kernel, or switched off.
    Absent,
}

impl HostFacts {
    /// Is the runtime an ordinary user, or root of no more than a user namespace?
    pub fn rootless(&self) -> bool {
        self.euid != 0 || !self.initial_user_namespace
    }

    /// Where `controller` can be had.
    pub fn home_of(&self, controller: &str) -> ControllerHome {
        if self.controllers.iter().any(|name| name == controller) {
            return ControllerHome::V2;
        }
        // The io controller was called blkio in cgroup v1.
        let v1_name = if controller == "io" { "blkio" } else { controller };
        match self.v1_controllers.iter().find(|(name, _)| name == v1_name) {
            Some((_, mount)) => ControllerHome::V1(mount.clone()),
            None => ControllerHome::Absent,
        }
    }
}
