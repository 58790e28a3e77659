//! The facts about the host that the compiler may use. The program, or a test, provides them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::NodeKind;

/// The properties of the host on which plans depend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The mount point of cgroup2; none if it is not mounted.
    pub cgroup_mount: Option<PathBuf>,
    /// The controllers available in the cgroup that holds the containers' cgroups (`cgroup.controllers`).
    pub controllers: Vec<String>,
    /// The parent of the cgroups of containers without a path in their configuration, as a path from the root of the
    /// mount; empty for that root.
    pub cgroup_base: PathBuf,
    /// Why no cgroup is created there, if containers may be without one (`--rootless`) or must be (`--cgroup-manager
    /// disabled`).
    pub cgroup_denied: Option<String>,
    /// Controllers that are bound to a cgroup v1 hierarchy, with its mount point.
    pub v1_controllers: Vec<(String, PathBuf)>,
    /// Whether cgroups have `io.bfq.weight` (the bfq scheduler) rather than `io.weight`.
    pub bfq: bool,
    /// Huge page sizes as the hugetlb controller spells them: `2MB`, `1GB`.
    pub huge_page_sizes: Vec<String>,
    /// The size of a page in bytes; memory limits are multiples of it. 0 counts as 4096.
    pub page_size: u64,
    /// The number of the last capability that the kernel knows (`/proc/sys/kernel/cap_last_cap`).
    pub last_capability: u32,
    /// The capabilities in the runtime's bounding and permitted sets: the most it can grant.
    pub bounding: u64,
    /// Whether the host has /proc/kcore, so that containers get /dev/core.
    pub kcore: bool,
    /// Whether setgroups(2) is denied in the runtime's user namespace, and therefore in its descendants.
    pub setgroups_denied: bool,
    /// Whether setgroups(2) is denied in the user namespace that is joined, or in that of the container that is
    /// entered.
    pub joined_setgroups_denied: bool,
    /// The effective user id of the runtime.
    pub euid: u32,
    /// The effective group id of the runtime.
    pub egid: u32,
    /// The state of Intel RDT, probed if the configuration uses it.
    pub resctrl: Resctrl,
    /// The nodes of the host at the paths of `linux.devices`, for a container in a user namespace.
    pub nodes: BTreeMap<String, HostNode>,
    /// Whether SELinux is enabled in the kernel.
    pub selinux: bool,
    /// Whether the runtime is in the host's initial user namespace.
    pub initial_user_namespace: bool,
    /// The sources of bind mounts that lead into the root file system with links resolved: the path as given, and the
    /// path from the root.
    pub inside_root: BTreeMap<String, String>,
    /// The mount points of complete procfs and sysfs mounts, in the order of mountinfo; set only with `--no-pivot`.
    pub kernel_views: Vec<PathBuf>,
    /// Whether the runtime is root of another user namespace, but does not own the mounts that it sees, so that it
    /// cannot copy them.
    pub others_mounts: bool,
}

/// A device node of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostNode {
    /// Whether it is a character or a block device.
    pub kind: NodeKind,
    /// The device number, as of makedev(3).
    pub device: u64,
    /// Permission bits.
    pub mode: u32,
    /// The owner's user id on the host.
    pub uid: u32,
    /// The group id on the host.
    pub gid: u32,
}

/// The state of Intel RDT on the host, which is controlled through a file system (Documentation/arch/x86/resctrl.rst).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Resctrl {
    /// The kernel does not support the file system on this processor.
    #[default]
    Absent,
    /// The file system is not mounted.
    Unmounted,
    /// The file system is mounted.
    Mounted {
        /// The mount point.
        mount: PathBuf,
        /// The resources that it allocates and monitors: the directories of `info`, such as `L3`, `MB`, `L3_MON`.
        info: Vec<String>,
    },
}

impl Resctrl {
    /// Whether `info` has a directory of this name.
    pub fn has(&self, name: &str) -> bool {
        matches!(self, Resctrl::Mounted { info, .. } if info.iter().any(|had| had == name))
    }
}

/// Where a controller is available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControllerHome {
    /// In the cgroup2 hierarchy, where minirun can use it.
    V2,
    /// In a cgroup v1 hierarchy mounted there.
    V1(PathBuf),
    /// Nowhere: not built into this kernel, or disabled.
    Absent,
}

impl HostFacts {
    /// Whether the runtime is an ordinary user, or root of a user namespace only.
    pub fn rootless(&self) -> bool {
        self.euid != 0 || !self.initial_user_namespace
    }

    /// Returns where `controller` is available.
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
