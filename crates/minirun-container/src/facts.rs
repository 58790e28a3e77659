//! Looks at the host: the one place where [`HostFacts`] are made from what is there.

mod user;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use minirun_cgroup::{CgroupMount, Verdict, controllers, delegated, locate, mount_of, own, usable, v1_controllers};
use minirun_plan::spec::{LinuxNamespaceType, Resources, Spec};
use minirun_plan::{HostFacts, HostNode, InRoot, NodeKind, Resctrl};
use minirun_sys as sys;

use crate::error::{Context, OnPath, Result};
use crate::options::{CgroupManager, Cgroups, NoCgroup, RootChange};
pub use user::{
    denies_setgroups, has_runtime_directory, in_initial_user_namespace, of_privileges, rootless, runtime_directory,
};

/// Returns the facts that the plan of a further process depends on, in the container of this init.
pub fn of_container(init: i32, spec: &Spec) -> Result<HostFacts> {
    let namespaces = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
    // Without a user namespace of its own the container is in that of the runtime.
    let own_users = namespaces.iter().any(|one| one.typ() == LinuxNamespaceType::User);
    let joined_setgroups_denied = own_users && denies_setgroups(&init.to_string())?;
    Ok(HostFacts { joined_setgroups_denied, resctrl: resctrl_for(spec)?, ..of_privileges()? })
}

/// Returns the facts that a plan of this configuration depends on, and the mount of cgroup2. Facts that it does not need
/// are left out. `systemd` is the cgroup below which systemd makes those of containers, if it makes them.
pub fn probe(
    cgroups: Cgroups,
    spec: &Spec,
    root_change: RootChange,
    systemd: Option<&Path>,
) -> Result<(HostFacts, Option<CgroupMount>)> {
    let linux = spec.linux.as_ref();
    let mount = locate()?;
    let path = linux.and_then(|linux| linux.cgroups_path.as_deref());
    let disabled = cgroups.manager == CgroupManager::Disabled;
    let (cgroup_base, cgroup_denied) = match (systemd, path) {
        _ if disabled => (own_cgroup(mount.as_ref())?, Some("--cgroup-manager disabled".to_owned())),
        (Some(cgroup), _) => (cgroup.strip_prefix("/").unwrap_or(cgroup).to_owned(), None),
        (None, Some(path)) if path.starts_with('/') => (PathBuf::new(), None),
        (None, path) => place_of_cgroups(mount.as_ref(), cgroups.none, path.is_some_and(|path| !path.is_empty()))?,
    };
    let resources = linux.and_then(|linux| linux.resources.as_ref());
    let facts = of_limits(resources, mount.as_ref(), &cgroup_base, cgroup_denied.is_some())?;
    let joined = linux.map_or(&[][..], |linux| &linux.namespaces).iter();
    let joined = joined.filter(|one| one.typ() == LinuxNamespaceType::User).find_map(|one| one.path().as_deref());
    // accepts: any error; a namespace that cannot be entered is refused later, and setgroups(2) itself answers as well.
    let joined_setgroups_denied = joined.is_some_and(|path| joined_denies_setgroups(path).unwrap_or(false));
    let labelled = linux.and_then(|linux| linux.mount_label.as_ref()).is_some_and(|label| !label.is_empty());
    let selinux = labelled && has_file_system("selinuxfs")?;
    let kernel_views = if root_change == RootChange::Chroot {
        minirun_cgroup::whole_mounts_of(&["proc", "sysfs"])?
    } else {
        Vec::new()
    };
    Ok((
        HostFacts {
            cgroup_base,
            cgroup_denied,
            joined_setgroups_denied,
            resctrl: resctrl_for(spec)?,
            nodes: nodes_for(spec)?,
            selinux,
            kernel_views,
            ..facts
        },
        mount,
    ))
}

/// The host's nodes at the paths of devices, if the container will be in a user namespace and so gets these.
fn nodes_for(spec: &Spec) -> Result<BTreeMap<String, HostNode>> {
    let Some(linux) = &spec.linux else { return Ok(BTreeMap::new()) };
    let new = linux.namespaces.iter().any(|one| one.typ() == LinuxNamespaceType::User);
    if !new && in_initial_user_namespace()? {
        return Ok(BTreeMap::new());
    }
    let mut nodes = BTreeMap::new();
    for device in &linux.devices {
        let Some(path) = InRoot::new(&device.path) else { continue };
        let path = format!("/{}", path.path().to_string_lossy());
        let found = match std::fs::metadata(&path) {
            Ok(found) => found,
            // There is none, which the compiler judges.
            Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => continue,
            Err(error) => return Err(error).with_context(|| format!("linux.devices: stat {path}")),
        };
        let kind = match found.file_type() {
            kind if kind.is_char_device() => NodeKind::Char,
            kind if kind.is_block_device() => NodeKind::Block,
            _ => continue,
        };
        let (device, mode) = (found.rdev(), found.mode() & 0o7777);
        nodes.insert(path, HostNode { kind, device, mode, uid: found.uid(), gid: found.gid() });
    }
    Ok(nodes)
}

/// Below which cgroup containers get theirs, and why they get none where they may do without one: as in runc, if that is
/// what `--rootless` says, or else for those who are not root of the host.
fn place_of_cgroups(mount: Option<&CgroupMount>, none: NoCgroup, asked: bool) -> Result<(PathBuf, Option<String>)> {
    let rootless = rootless()?;
    let may_lack = !asked
        && match none {
            NoCgroup::Allowed => true,
            NoCgroup::Refused => false,
            NoCgroup::AllowedRootless => rootless,
        };
    let found = match mount {
        None => Err("no cgroup2 file system is mounted".to_owned()),
        Some(mount) if rootless => delegated(mount)?,
        Some(mount) if may_lack => usable(mount, Path::new(""))?.map(|()| PathBuf::new()),
        Some(_) => Ok(PathBuf::new()),
    };
    Ok(match found {
        Ok(base) => (base, None),
        Err(why) if may_lack => (own_cgroup(mount)?, Some(why)),
        // accepts: any reason; making the cgroup fails and says it.
        Err(_) => (PathBuf::new(), None),
    })
}

/// The runtime's own cgroup, in which a container without one of its own stays; empty where there is no cgroup2.
fn own_cgroup(mount: Option<&CgroupMount>) -> Result<PathBuf> {
    if mount.is_none() {
        return Ok(PathBuf::new());
    }
    Ok(own()?)
}

/// Below which cgroup the caller makes those of containers; or why it can make none.
pub fn cgroup_base(mount: &CgroupMount) -> Result<Verdict<PathBuf>> {
    if rootless()? { Ok(delegated(mount)?) } else { Ok(Ok(PathBuf::new())) }
}

/// Returns the place of the cgroup of a container whose configuration does not name it; or why it can have none.
pub fn default_cgroup(mount: &CgroupMount, id: &str) -> Result<Verdict<PathBuf>> {
    Ok(cgroup_base(mount)?.map(|base| minirun_plan::default_cgroup(&base, id)))
}

/// Whether this user namespace denies setgroups(2). Only a process inside can tell. A namespace that cannot be entered is
/// refused later.
fn joined_denies_setgroups(path: &Path) -> sys::Result<bool> {
    const DENIES: i32 = 1;
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| sys::Errno::EINVAL)?;
    let namespace = sys::open(&path, libc::O_RDONLY)?;
    let child = sys::clone3(sys::Clone::default(), |_| {
        sys::forbid_allocation();
        let mut word = [0u8; 8];
        let read = sys::setns(namespace.as_fd(), libc::CLONE_NEWUSER)
            .and_then(|()| sys::open(c"/proc/self/setgroups", libc::O_RDONLY))
            .and_then(|file| sys::read(file.as_fd(), &mut word));
        // accepts: any error; setgroups(2) itself answers as well.
        if read.is_ok() && word.starts_with(b"deny") { DENIES } else { 0 }
    })?;
    Ok(libc::WEXITSTATUS(sys::wait(child.pid)?) == DENIES)
}

/// Returns the facts that the plan of these limits depends on. Controllers count where they are on offer: in the cgroup at
/// `base`, empty for the root; nowhere for a container without a cgroup.
pub fn of_limits(
    resources: Option<&Resources>,
    mount: Option<&CgroupMount>,
    base: &Path,
    denied: bool,
) -> Result<HostFacts> {
    let limited = resources.is_some_and(|resources| {
        resources.memory.is_some()
            || resources.cpu.is_some()
            || resources.pids.is_some()
            || resources.block_io.is_some()
            || !resources.hugepage_limits.is_empty()
            || resources.rdma.is_some()
            || resources.unified.is_some()
    });
    Ok(HostFacts {
        cgroup_mount: mount.map(|mount| mount.path.clone()),
        controllers: match mount {
            Some(mount) if limited && !denied => controllers(mount, base)?,
            _ => Vec::new(),
        },
        v1_controllers: match mount {
            // Only where cgroup2 is not alone can a controller be elsewhere.
            Some(mount) if limited && !mount.unified => v1_controllers()?,
            _ => Vec::new(),
        },
        bfq: resources.is_some_and(|resources| resources.block_io.is_some()) && has_bfq()?,
        huge_page_sizes: match resources {
            Some(resources) if !resources.hugepage_limits.is_empty() => huge_page_sizes()?,
            _ => Vec::new(),
        },
        kcore: exists("/proc/kcore")?,
        page_size: page_size(),
        ..of_privileges()?
    })
}

/// Whether a disk has the I/O scheduler with weights of its own. One that is built in is no module.
fn has_bfq() -> Result<bool> {
    if exists("/sys/module/bfq")? {
        return Ok(true);
    }
    let disks = match std::fs::read_dir("/sys/block") {
        Ok(disks) => disks,
        // A kernel without block devices, or no sysfs: then the file of another scheduler is missing, which is an error.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).context("read /sys/block"),
    };
    for disk in disks {
        let file = disk.context("read /sys/block")?.path().join("queue/scheduler");
        match std::fs::read_to_string(&file) {
            Ok(text) if text.split_whitespace().any(|name| name.trim_matches(['[', ']']) == "bfq") => return Ok(true),
            Ok(_) => {}
            // A disk that has just gone, or one without a queue.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => {}
            Err(error) => return Err(error).on("read", || &file),
        }
    }
    Ok(false)
}

fn page_size() -> u64 {
    // accepts: any error; the size comes from the auxiliary vector, and 4096 is that of the architecture.
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |size| size as u64)
}

fn exists(path: &str) -> Result<bool> {
    Path::new(path).try_exists().on("look for", || &path)
}

/// Intel RDT, for a configuration that wants it.
fn resctrl_for(spec: &Spec) -> Result<Resctrl> {
    let wanted = spec.linux.as_ref().is_some_and(|linux| linux.intel_rdt.is_some());
    if wanted { resctrl() } else { Ok(Resctrl::Absent) }
}

/// Intel RDT as this host has it.
pub fn resctrl() -> Result<Resctrl> {
    let Some(mount) = mount_of("resctrl")? else {
        return Ok(if has_file_system("resctrl")? { Resctrl::Unmounted } else { Resctrl::Absent });
    };
    let context = || format!("read {}/info", mount.display());
    let mut info = Vec::new();
    for entry in std::fs::read_dir(mount.join("info")).with_context(context)? {
        let entry = entry.with_context(context)?;
        if entry.file_type().with_context(context)?.is_dir() {
            info.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    info.sort();
    Ok(Resctrl::Mounted { mount, info })
}

/// Whether the kernel has a file system of this type now (/proc/filesystems). SELinux registers its own if it is enabled.
fn has_file_system(name: &str) -> Result<bool> {
    let list = std::fs::read_to_string("/proc/filesystems").context("read /proc/filesystems")?;
    Ok(list.lines().any(|line| line.split_whitespace().last() == Some(name)))
}

/// Huge page sizes in the words of the hugetlb controller: `2MB`, `1GB`.
///
/// # Errors
/// They cannot be listed.
pub fn huge_page_sizes() -> Result<Vec<String>> {
    const DIRECTORY: &str = "/sys/kernel/mm/hugepages";
    let entries = match std::fs::read_dir(DIRECTORY) {
        Ok(entries) => entries,
        // A kernel without huge pages.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {DIRECTORY}")),
    };
    let mut sizes = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("read {DIRECTORY}"))?.file_name();
        sizes.extend(huge_page_size(&name.to_string_lossy()));
    }
    Ok(sizes)
}

/// The size that a directory's name says: `hugepages-2048kB`.
fn huge_page_size(name: &str) -> Option<String> {
    // accepts: a name of another form, which is no size.
    let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(match kib {
        kib if kib >= 1 << 20 => format!("{}GB", kib >> 20),
        kib if kib >= 1 << 10 => format!("{}MB", kib >> 10),
        kib => format!("{kib}KB"),
    })
}
