//! Looks at the host: the one place where [`HostFacts`] are made from what is there.

use anyhow::Result;
use minirun_cgroup::{CgroupMount, controllers, locate, v1_controllers};
use minirun_plan::HostFacts;
use minirun_plan::spec::{Resources, Spec};
use minirun_sys as sys;

/// What the plan of a process depends on.
pub fn of_privileges() -> Result<HostFacts> {
    let (bounding, last_capability) = bounding_set();
    let (_, permitted, _) = sys::capget()?;
    Ok(HostFacts {
        last_capability,
        bounding: bounding & permitted,
        euid: nix::unistd::geteuid().as_raw(),
        setgroups_denied: std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny")),
        ..HostFacts::default()
    })
}

/// What a plan of this configuration depends on. What nobody asks for is not looked up.
pub fn probe(spec: &Spec) -> Result<(HostFacts, Option<CgroupMount>)> {
    of_limits(spec.linux.as_ref().and_then(|linux| linux.resources.as_ref()))
}

/// What the plan of these limits depends on.
pub fn of_limits(resources: Option<&Resources>) -> Result<(HostFacts, Option<CgroupMount>)> {
    let mount = locate()?;
    let limited = resources.is_some_and(|resources| {
        resources.memory.is_some()
            || resources.cpu.is_some()
            || resources.pids.is_some()
            || resources.block_io.is_some()
            || !resources.hugepage_limits.is_empty()
            || resources.rdma.is_some()
            || resources.unified.is_some()
    });
    let facts = HostFacts {
        cgroup_mount: mount.as_ref().map(|mount| mount.path.clone()),
        controllers: match &mount {
            Some(mount) if limited => controllers(mount)?,
            _ => Vec::new(),
        },
        v1_controllers: match &mount {
            // Only where cgroup2 is not alone can a controller be elsewhere.
            Some(mount) if limited && !mount.unified => v1_controllers()?,
            _ => Vec::new(),
        },
        bfq: resources.is_some_and(|resources| resources.block_io.is_some()) && exists("/sys/module/bfq"),
        huge_page_sizes: match resources {
            Some(resources) if !resources.hugepage_limits.is_empty() => huge_page_sizes(),
            _ => Vec::new(),
        },
        kcore: exists("/proc/kcore"),
        initial_user_namespace: in_initial_user_namespace(),
        page_size: page_size(),
        ..of_privileges()?
    };
    Ok((facts, mount))
}

/// The first user namespace maps every id to itself; others can do so only by deliberate imitation (as systemd-nspawn
/// may), and then what the kernel refuses is an error later on.
fn in_initial_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
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
