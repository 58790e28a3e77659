//! Looks at the host: the one place where [`HostFacts`] are made from what is there.

use std::ffi::CString;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use minirun_cgroup::{CgroupMount, controllers, delegated, locate, mount_of, own, usable, v1_controllers};
use minirun_plan::spec::{LinuxNamespaceType, Resources, Spec};
use minirun_plan::{HostFacts, Resctrl};
use minirun_sys as sys;
use minirun_sys::Forked;

use crate::cli::Call;

/// Is the runtime an ordinary user, or root of no more than a user namespace?
pub fn rootless() -> bool {
    of_user().rootless()
}

/// Who the runtime is.
fn of_user() -> HostFacts {
    let euid = nix::unistd::geteuid().as_raw();
    HostFacts { euid, initial_user_namespace: in_initial_user_namespace(), ..HostFacts::default() }
}

/// What the plan of a process depends on.
pub fn of_privileges() -> Result<HostFacts> {
    let (bounding, last_capability) = bounding_set();
    let (_, permitted, _) = sys::capget()?;
    let user = of_user();
    // Copying one is the only way to learn it: the owner of a namespace outside of one's own is not told (ioctl_ns(2)).
    // Other errors than that of who has no right speak of this one mount.
    let copies = || {
        let copy = sys::open_tree(sys::working_directory(), c"/", libc::OPEN_TREE_CLONE);
        !matches!(copy, Err(sys::Errno::EPERM))
    };
    Ok(HostFacts {
        last_capability,
        bounding: bounding & permitted,
        egid: nix::unistd::getegid().as_raw(),
        others_mounts: user.euid == 0 && !user.initial_user_namespace && !copies(),
        setgroups_denied: denies_setgroups("self"),
        ..user
    })
}

/// What the plan of a further process depends on, in the container of this init.
pub fn of_container(init: i32, spec: &Spec) -> Result<HostFacts> {
    let joined_setgroups_denied = denies_setgroups(&init.to_string());
    Ok(HostFacts { joined_setgroups_denied, resctrl: resctrl_for(spec)?, ..of_privileges()? })
}

/// Does this process's user namespace deny setgroups(2)?
pub fn denies_setgroups(pid: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/setgroups")).is_ok_and(|text| text.starts_with(b"deny"))
}

/// What a plan of this configuration depends on. What nobody asks for is not looked up. `systemd` is the cgroup below which
/// systemd makes those of containers, if it makes them.
pub fn probe(spec: &Spec, call: &Call, systemd: Option<&Path>) -> Result<(HostFacts, Option<CgroupMount>)> {
    let linux = spec.linux.as_ref();
    let mount = locate()?;
    let path = linux.and_then(|linux| linux.cgroups_path.as_deref());
    let disabled = call.globals.cgroup_manager() == "disabled";
    let (cgroup_base, cgroup_denied) = match (systemd, path) {
        _ if disabled => (own().unwrap_or_default(), Some("--cgroup-manager disabled".to_owned())),
        (Some(cgroup), _) => (cgroup.strip_prefix("/").unwrap_or(cgroup).to_owned(), None),
        (None, Some(path)) if path.starts_with('/') => (PathBuf::new(), None),
        (None, path) => place_of_cgroups(mount.as_ref(), call, path.is_some_and(|path| !path.is_empty())),
    };
    let resources = linux.and_then(|linux| linux.resources.as_ref());
    let facts = of_limits(resources, mount.as_ref(), &cgroup_base, cgroup_denied.is_some())?;
    let joined = linux.map_or(&[][..], |linux| &linux.namespaces).iter();
    let joined = joined.filter(|one| one.typ() == LinuxNamespaceType::User).find_map(|one| one.path().as_deref());
    let joined_setgroups_denied = joined.is_some_and(|path| joined_denies_setgroups(path).unwrap_or(false));
    let labelled = linux.and_then(|linux| linux.mount_label.as_ref()).is_some_and(|label| !label.is_empty());
    let selinux = labelled && has_file_system("selinuxfs");
    Ok((
        HostFacts {
            cgroup_base,
            cgroup_denied,
            joined_setgroups_denied,
            resctrl: resctrl_for(spec)?,
            selinux,
            ..facts
        },
        mount,
    ))
}

/// Below which cgroup containers get theirs, and why they get none where they may do without one: as in runc, if that is
/// what `--rootless` says, or else for those who are not root of the host.
fn place_of_cgroups(mount: Option<&CgroupMount>, call: &Call, asked: bool) -> (PathBuf, Option<String>) {
    let rootless = rootless();
    let may_lack = !asked
        && match call.globals.text("rootless").as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => rootless,
        };
    let found = match mount {
        None => Err("no cgroup2 file system is mounted".to_owned()),
        Some(mount) if rootless => delegated(mount),
        Some(mount) if may_lack => usable(mount, Path::new("")).map(|()| PathBuf::new()),
        Some(_) => Ok(PathBuf::new()),
    };
    match found {
        Ok(base) => (base, None),
        Err(why) if may_lack => (own().unwrap_or_default(), Some(why)),
        Err(_) => (PathBuf::new(), None),
    }
}

/// Below which cgroup the caller makes those of containers; or why it can make none.
pub fn cgroup_base(mount: &CgroupMount) -> Result<PathBuf, String> {
    if rootless() { delegated(mount) } else { Ok(PathBuf::new()) }
}

/// Where the cgroup of a container is whose configuration does not say so; or why it can have none.
pub fn default_cgroup(mount: &CgroupMount, id: &str) -> Result<PathBuf, String> {
    cgroup_base(mount).map(|base| minirun_plan::default_cgroup(&base, id))
}

/// Does this user namespace deny setgroups(2)? Only somebody inside can tell. What cannot be entered is told of later.
fn joined_denies_setgroups(path: &Path) -> sys::Result<bool> {
    const DENIES: i32 = 1;
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| sys::Errno::EINVAL)?;
    let namespace = sys::open(&path, libc::O_RDONLY)?;
    match sys::clone3(sys::Clone::default())? {
        Forked::Child => {
            sys::forbid_allocation();
            let mut word = [0u8; 8];
            let read = sys::setns(namespace.as_fd(), libc::CLONE_NEWUSER)
                .and_then(|()| sys::open(c"/proc/self/setgroups", libc::O_RDONLY))
                .and_then(|file| sys::read(file.as_fd(), &mut word));
            sys::exit(if read.is_ok() && word.starts_with(b"deny") { DENIES } else { 0 })
        }
        Forked::Parent { pid, .. } => Ok(libc::WEXITSTATUS(sys::wait(pid)?) == DENIES),
    }
}

/// What the plan of these limits depends on. Controllers count where they are on offer: in the cgroup at `base`, empty for
/// the root; nowhere for a container without a cgroup.
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
        bfq: resources.is_some_and(|resources| resources.block_io.is_some()) && has_bfq(),
        huge_page_sizes: match resources {
            Some(resources) if !resources.hugepage_limits.is_empty() => huge_page_sizes(),
            _ => Vec::new(),
        },
        kcore: exists("/proc/kcore"),
        page_size: page_size(),
        ..of_privileges()?
    })
}

/// The first user namespace maps every id to itself; others can do so only by deliberate imitation (as systemd-nspawn
/// may), and then what the kernel refuses is an error later on.
pub fn in_initial_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// Is there the I/O scheduler with weights of its own? One that is built in is no module, but every disk may have it.
fn has_bfq() -> bool {
    let mut disks = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    exists("/sys/module/bfq")
        || disks.any(|disk| {
            let schedulers = std::fs::read_to_string(disk.path().join("queue/scheduler")).unwrap_or_default();
            schedulers.split_whitespace().any(|name| name.trim_matches(['[', ']']) == "bfq")
        })
}

fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |size| size as u64)
}

fn exists(path: &str) -> bool {
    std::path::Path::new(path).exists()
}

/// The bounding set, and the number of the newest capability: the kernel refuses to tell about numbers beyond it.
fn bounding_set() -> (u64, u32) {
    let mut mask = 0;
    for capability in 0..64 {
        match sys::prctl(libc::PR_CAPBSET_READ, capability, 0) {
            Ok(present) => mask |= (present as u64) << capability,
            Err(_) => return (mask, (capability as u32).saturating_sub(1)),
        }
    }
    (mask, 63)
}

/// Intel RDT, for a configuration that wants it.
fn resctrl_for(spec: &Spec) -> Result<Resctrl> {
    let wanted = spec.linux.as_ref().is_some_and(|linux| linux.intel_rdt.is_some());
    if wanted { resctrl() } else { Ok(Resctrl::Absent) }
}

/// Intel RDT as this host has it.
pub fn resctrl() -> Result<Resctrl> {
    let Some(mount) = mount_of("resctrl")? else {
        return Ok(if has_file_system("resctrl") { Resctrl::Unmounted } else { Resctrl::Absent });
    };
    let info = std::fs::read_dir(mount.join("info")).with_context(|| format!("read {}/info", mount.display()))?;
    let directories = info.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut info: Vec<String> = directories.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    info.sort();
    Ok(Resctrl::Mounted { mount, info })
}

/// Does the kernel have a file system of this type now (/proc/filesystems)? SELinux registers its own if it is enabled.
fn has_file_system(name: &str) -> bool {
    let list = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    list.lines().any(|line| line.split_whitespace().last() == Some(name))
}

/// Huge page sizes in the words of the hugetlb controller: `2MB`, `1GB`.
pub fn huge_page_sizes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            Some(match kib {
                kib if kib >= 1 << 20 => format!("{}GB", kib >> 20),
                kib if kib >= 1 << 10 => format!("{}MB", kib >> 10),
                kib => format!("{kib}KB"),
            })
        })
        .collect()
}
