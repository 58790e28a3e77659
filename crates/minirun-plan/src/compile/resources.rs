//! `linux.resources` as cgroup v2 knobs.
//!
//! The specification's fields were designed for cgroup v1. They are converted as in runc 1.3.2 and later, with one
//! difference: a value that cgroup v2 cannot express is refused, not dropped. Absent members, zero where it means
//! unset, and members that engines always send (`disableOOMKiller: false`) pass.

mod cpu;
mod io;
mod unified;

use std::collections::BTreeMap;

use crate::compile::devices::device_filter;
use crate::spec::{HugepageLimit, LinuxMemory, LinuxRdma, Network, Pids, Resources};
use crate::{CgroupPlan, ControllerHome, Expect, HostFacts, Knob, Origin, Problems};

/// Compiles `linux.resources` into the controllers, knobs and device filter of `cgroup`.
///
/// Without `linux.resources`, call this with the default, because the device filter always applies.
pub(crate) fn resources(
    resources: &Resources,
    facts: &HostFacts,
    cgroup: &mut CgroupPlan,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) {
    let mut limits = Limits { facts, cgroup, problems, warnings, missing: Vec::new() };
    let root = Origin::of("linux.resources");
    if let Some(memory) = &resources.memory {
        limits.memory(memory, &root.field("memory"));
    }
    if let Some(cpu) = &resources.cpu {
        limits.cpu(cpu, &root.field("cpu"));
    }
    if let Some(pids) = &resources.pids {
        limits.pids(pids, &root.field("pids"));
    }
    if let Some(block_io) = &resources.block_io {
        limits.block_io(block_io, &root.field("blockIO"));
    }
    for (i, limit) in resources.hugepage_limits.iter().enumerate() {
        limits.hugepages(limit, &root.field("hugepageLimits").index(i));
    }
    if let Some(rdma) = &resources.rdma {
        limits.rdma(rdma, &root.field("rdma"));
    }
    if let Some(network) = &resources.network {
        limits.network(network, &root.field("network"));
    }
    // Last, so that it overrides what the other fields wrote.
    if let Some(unified) = &resources.unified {
        limits.unified(unified, &root.field("unified"));
    }
    limits.devices(resources);
}

/// The state of compiling one `linux.resources`: its inputs and its results.
struct Limits<'a> {
    facts: &'a HostFacts,
    cgroup: &'a mut CgroupPlan,
    problems: &'a mut Problems,
    warnings: &'a mut Vec<String>,
    /// Controllers already reported as missing; each is reported once, at the first field that requires it.
    missing: Vec<String>,
}

impl Limits<'_> {
    /// Adds a knob whose controller must be available. The controller is the part before the file's first dot.
    fn knob(&mut self, file: &str, value: impl Into<String>, expect: Expect, origin: &Origin) {
        let controller = file.split('.').next().unwrap_or(file);
        if self.need(controller, origin) {
            let (file, value, origin) = (file.to_owned(), value.into(), origin.clone());
            self.cgroup.knobs.push(Knob { file, value, expect, origin });
        }
    }

    /// As [`Limits::knob`], for a value that means "no limit". A new cgroup has no limit, but an existing empty one can
    /// be reused, so the value is written. If the controller is missing, there is nothing to write and nothing to
    /// refuse.
    fn no_limit(&mut self, file: &str, value: &str, expect: Expect, origin: &Origin) {
        let controller = file.split('.').next().unwrap_or(file);
        if self.facts.home_of(controller) == ControllerHome::V2 {
            self.knob(file, value, expect, origin);
        }
    }

    /// Requires a controller. Returns whether it is available; if not, adds a problem.
    fn need(&mut self, controller: &str, origin: &Origin) -> bool {
        let Some(why) = self.why_missing(controller) else {
            if !self.cgroup.controllers.iter().any(|known| known == controller) {
                self.cgroup.controllers.push(controller.to_owned());
            }
            return true;
        };
        if !self.missing.iter().any(|known| known == controller) {
            self.missing.push(controller.to_owned());
            self.problems.add(origin, format!("the {controller} controller is {why}"));
        }
        false
    }

    /// Returns why a controller cannot be used, as the end of a sentence; none if it can.
    fn why_missing(&self, controller: &str) -> Option<String> {
        if let Some(why) = &self.facts.cgroup_denied {
            return Some(format!("not available: {why}"));
        }
        let base = self.facts.cgroup_base.strip_prefix("/").unwrap_or(&self.facts.cgroup_base);
        let here = match &self.facts.cgroup_mount {
            Some(mount) if base.as_os_str().is_empty() => format!("cgroup2 at {}", mount.display()),
            Some(mount) => format!("the cgroup {}", mount.join(base).display()),
            None => "cgroup2, which is not mounted".to_owned(),
        };
        match self.facts.home_of(controller) {
            ControllerHome::V2 => None,
            ControllerHome::V1(mount) => {
                Some(format!("bound to cgroup v1 at {}, not available in {here}", mount.display()))
            }
            ControllerHome::Absent if !base.as_os_str().is_empty() => {
                // A user's systemd does not have all controllers (systemd.resource-control(5), Delegate=).
                let of_user = base.iter().any(|name| name.to_string_lossy().starts_with("user@"));
                let hint = if of_user { " (hint: as root, set Delegate= in a drop-in of user@.service)" } else { "" };
                Some(format!("not available in {here}: it is not delegated{hint}"))
            }
            ControllerHome::Absent => Some(format!("not available in {here}, and not bound to cgroup v1 either")),
        }
    }

    /// Refuses a field that only cgroup v1 supports.
    fn v1_only(&mut self, origin: &Origin, why: &str) {
        self.problems.add(origin, format!("cannot be set with cgroup v2: {why}"));
    }

    /// Adds a limit in bytes, which the kernel stores in units of `granule` bytes. Beyond its maximum the file reads
    /// `max`.
    fn bytes(&mut self, file: &str, bytes: u64, granule: u64, origin: &Origin) {
        if bytes / granule >= i64::MAX as u64 / granule {
            self.no_limit(file, "max", Expect::Same, origin);
        } else {
            self.knob(file, bytes.to_string(), Expect::Rounded(granule), origin);
        }
    }

    fn page_size(&self) -> u64 {
        if self.facts.page_size == 0 { 4096 } else { self.facts.page_size }
    }

    /// Converts `memory`. In each limit zero means unset and -1 means no limit (config-linux.md, "Memory").
    fn memory(&mut self, memory: &LinuxMemory, at: &Origin) {
        self.memory_refusals(memory, at);
        let swap_at = at.field("swap");
        // Swap comes first, as in runc.
        match swap_of(memory.swap().unwrap_or(0), memory.limit().unwrap_or(0)) {
            Ok(None) => {}
            // Without swap support in the kernel the file is absent, and nothing can be swapped.
            Ok(Some(-1)) => {
                self.no_limit("memory.swap.max", "max", Expect::SameOrAbsent, &swap_at);
            }
            Ok(Some(0)) => self.knob("memory.swap.max", "0", Expect::SameOrAbsent, &swap_at),
            Ok(Some(swap)) => self.bytes("memory.swap.max", swap as u64, self.page_size(), &swap_at),
            Err(text) => self.problems.add(&swap_at, text),
        }
        for (field, file, limit) in
            [("limit", "memory.max", memory.limit()), ("reservation", "memory.low", memory.reservation())]
        {
            let origin = at.field(field);
            match limit {
                None | Some(0) => {}
                Some(-1) => self.no_limit(file, "max", Expect::Same, &origin),
                Some(limit) if limit < 0 => {
                    self.problems.add(&origin, format!("invalid memory value: {limit} (-1 means no limit)"));
                }
                Some(limit) => self.bytes(file, limit as u64, self.page_size(), &origin),
            }
        }
    }

    #[allow(deprecated)] // the specification deprecates kernel and kernelTCP, which is why they are looked at
    fn memory_refusals(&mut self, memory: &LinuxMemory, at: &Origin) {
        for (field, limit) in [("kernel", memory.kernel()), ("kernelTCP", memory.kernel_tcp())] {
            if limit.is_some_and(|limit| limit > 0) {
                self.v1_only(&at.field(field), "kernel memory counts towards memory.limit and has no limit of its own");
            }
        }
        if memory.swappiness().is_some() {
            self.v1_only(&at.field("swappiness"), "it has no swappiness for a single cgroup");
        }
        if memory.disable_oom_killer() == Some(true) {
            self.v1_only(&at.field("disableOOMKiller"), "the OOM killer cannot be switched off for a single cgroup");
        }
    }

    /// Converts `pids`. Zero is a limit since version 1.3 of the specification. It is written as 1, as in runc: init is
    /// created inside the cgroup, which 0 would forbid. When processes were moved into the cgroup, 0 allowed init
    /// alone.
    fn pids(&mut self, pids: &Pids, at: &Origin) {
        /// The kernel's `PID_MAX_LIMIT` on 64-bit machines.
        const PID_MAX_LIMIT: i64 = 4 << 20;
        let origin = at.field("limit");
        match pids.limit {
            None => {}
            Some(-1) => self.no_limit("pids.max", "max", Expect::Same, &origin),
            Some(limit @ 0..=PID_MAX_LIMIT) => {
                if limit == 0 {
                    self.warnings.push(format!("{origin}: 0 is a limit, not \"unset\": one process is allowed"));
                }
                self.knob("pids.max", limit.max(1).to_string(), Expect::Same, &origin);
            }
            Some(limit) => {
                self.problems.add(
                    &origin,
                    format!("{limit} is out of range (expected 0 to {PID_MAX_LIMIT}, or -1 for no limit)"),
                );
            }
        }
    }

    /// Converts an element of `hugepageLimits`: a limit of used pages and, which is stricter, of reserved pages.
    fn hugepages(&mut self, limit: &HugepageLimit, at: &Origin) {
        let (size, origin) = (&limit.page_size, at.field("pageSize"));
        if !self.need("hugetlb", &origin) {
            return;
        }
        match huge_page_bytes(size).filter(|_| self.facts.huge_page_sizes.contains(size)) {
            Some(bytes) => {
                let origin = at.field("limit");
                self.bytes(&format!("hugetlb.{size}.max"), limit.limit, bytes, &origin);
                self.bytes(&format!("hugetlb.{size}.rsvd.max"), limit.limit, bytes, &origin);
            }
            None => {
                let known = self.facts.huge_page_sizes.join(", ");
                self.problems.add(
                    &origin,
                    format!("huge page size {size:?} is not supported by this host (available: {known})"),
                );
            }
        }
    }

    /// Converts `rdma`: one line per device.
    fn rdma(&mut self, rdma: &BTreeMap<String, LinuxRdma>, at: &Origin) {
        for (device, limits) in rdma {
            let origin = at.key(device);
            if device.is_empty() || device.contains(char::is_whitespace) {
                self.problems.add(&origin, "invalid RDMA device name");
            }
            let mut line = device.clone();
            for (field, key, limit) in
                [("hcaHandles", "hca_handle", limits.hca_handles()), ("hcaObjects", "hca_object", limits.hca_objects())]
            {
                // The kernel counts in a signed 32-bit number and shows the maximum as max.
                match limit {
                    None => {}
                    Some(limit) if limit >= i32::MAX as u32 => self
                        .problems
                        .add(&origin.field(field), format!("{limit} is out of range (expected 0 to {})", i32::MAX - 1)),
                    Some(limit) => line += &format!(" {key}={limit}"),
                }
            }
            if limits.hca_handles().is_none() && limits.hca_objects().is_none() {
                self.problems.add(&origin, "at least one of hcaHandles and hcaObjects must be set");
            }
            self.knob("rdma.max", line, Expect::DeviceLine, &origin);
        }
    }

    fn network(&mut self, network: &Network, at: &Origin) {
        if network.class_id.is_some_and(|class| class != 0) {
            self.v1_only(&at.field("classID"), "it has no net_cls controller");
        }
        if network.priorities.as_ref().is_some_and(|priorities| !priorities.is_empty()) {
            self.v1_only(&at.field("priorities"), "it has no net_prio controller");
        }
    }

    /// Compiles the device filter. Loading one requires privileges in the initial user namespace. Without them no
    /// process can create a device node, or open one on a mount that a container created, so the rules that engines
    /// always send are accepted.
    fn devices(&mut self, resources: &Resources) {
        let rules = resources.devices.as_deref();
        let filter = device_filter(rules, self.problems);
        if !self.facts.rootless() {
            self.cgroup.devices = filter;
        } else if rules.is_some_and(|rules| !rules.is_empty()) {
            self.warnings
                .push("linux.resources.devices: not enforced, because that requires root on the host".to_owned());
        }
    }
}

/// Returns `memory.swap.max` for the specification's memory+swap: -1 for no limit, none for unset. The errors are
/// worded as in runc, because engines show them.
fn swap_of(memory_and_swap: i64, memory: i64) -> Result<Option<i64>, String> {
    match (memory_and_swap, memory) {
        // As in cgroup v1: removing the memory limit without giving swap removes both.
        (0, -1) => Ok(Some(-1)),
        (0, _) => Ok(None),
        (-1, _) => Ok(Some(-1)),
        (swap, _) if swap < 0 => Err(format!("invalid memory+swap value: {swap} (-1 means no limit)")),
        (swap, -1) => Ok(Some(swap)),
        (_, 0) => Err("unable to set swap limit without memory limit".to_owned()),
        // Reported at the memory limit.
        (_, memory) if memory < 0 => Ok(None),
        (swap, memory) if swap < memory => Err("memory+swap limit should be >= memory limit".to_owned()),
        (swap, memory) => Ok(Some(swap - memory)),
    }
}

/// Returns the bytes of a huge page size as the hugetlb controller spells it: `64KB`, `2MB`, `1GB`.
fn huge_page_bytes(size: &str) -> Option<u64> {
    let (number, shift) = [("KB", 10), ("MB", 20), ("GB", 30)]
        .into_iter()
        .find_map(|(unit, shift)| size.strip_suffix(unit).map(|number| (number, shift)))?;
    number.parse::<u64>().ok().filter(|number| (1..1 << 20).contains(number)).map(|number| number << shift)
}

#[cfg(test)]
mod tests;
