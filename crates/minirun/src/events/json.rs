//! Events in the form of `runc events`, as its package `types` has them: the same names and units, and like there what
//! is 0 is left out where Go's `omitempty` or `omitzero` says so.

use std::collections::BTreeMap;

use anyhow::Result;
use minirun_cgroup::Stats;
use minirun_cgroup::stats as counted;
use minirun_cgroup::stats::Limit;
use serde::Serialize;

/// Statistics, as one line.
pub fn stats(id: &str, stats: &Stats) -> Result<String> {
    line(&Event { kind: "stats", id, data: Some(Data::of(stats)) })
}

/// The OOM killer struck, as one line.
pub fn oom(id: &str) -> Result<String> {
    line(&Event { kind: "oom", id, data: None })
}

fn line(event: &Event<'_>) -> Result<String> {
    Ok(serde_json::to_string(event)? + "\n")
}

#[derive(Debug, Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    cpu: Cpu,
    cpuset: Cpuset,
    memory: Memory<'a>,
    pids: Pids,
    blkio: Blkio,
    hugetlb: BTreeMap<&'a str, Hugetlb>,
    /// minirun configures no Intel RDT.
    intel_rdt: BTreeMap<&'static str, ()>,
    /// Only interfaces that a runtime has configured itself are here, so there are none: null, as runc has it.
    network_interfaces: Option<()>,
}

#[derive(Debug, Serialize)]
struct Cpu {
    usage: CpuUsage,
    #[serde(skip_serializing_if = "zero")]
    throttling: Throttling,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

/// In nanoseconds.
#[derive(Debug, Serialize)]
struct CpuUsage {
    #[serde(skip_serializing_if = "zero")]
    total: u64,
    kernel: u64,
    user: u64,
}

/// The time in nanoseconds.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Throttling {
    #[serde(skip_serializing_if = "zero")]
    periods: u64,
    #[serde(skip_serializing_if = "zero")]
    throttled_periods: u64,
    #[serde(skip_serializing_if = "zero")]
    throttled_time: u64,
}

/// The averages in percent, the total in microseconds.
#[derive(Debug, Serialize)]
struct Psi {
    some: PsiData,
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<PsiData>,
}

#[derive(Debug, Serialize)]
struct PsiData {
    avg10: f64,
    avg60: f64,
    avg300: f64,
    total: u64,
}

/// The flags are cgroup v1's, and 0 here as with runc on v2.
#[derive(Debug, Default, Serialize)]
struct Cpuset {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cpus: Vec<u16>,
    cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mems: Vec<u16>,
    mem_hardwall: u64,
    mem_exclusive: u64,
    memory_migrate: u64,
    memory_spread_page: u64,
    memory_spread_slab: u64,
    memory_pressure: u64,
    sched_load_balance: u64,
    sched_relax_domain_level: i64,
}

/// `kernel` and `kernelTCP` are cgroup v1's, and left out as with runc on v2.
#[derive(Debug, Default, Serialize)]
struct Memory<'a> {
    #[serde(skip_serializing_if = "zero")]
    cache: u64,
    #[serde(skip_serializing_if = "zero")]
    usage: MemoryEntry,
    #[serde(skip_serializing_if = "zero")]
    swap: MemoryEntry,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a counted::Keyed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

/// In bytes.
#[derive(Debug, Default, PartialEq, Serialize)]
struct MemoryEntry {
    limit: u64,
    #[serde(skip_serializing_if = "zero")]
    usage: u64,
    #[serde(skip_serializing_if = "zero")]
    max: u64,
    failcnt: u64,
}

#[derive(Debug, Default, Serialize)]
struct Pids {
    #[serde(skip_serializing_if = "zero")]
    current: u64,
    #[serde(skip_serializing_if = "zero")]
    limit: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Blkio {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_service_bytes_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_serviced_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

#[derive(Debug, Serialize)]
struct BlkioEntry {
    #[serde(skip_serializing_if = "zero")]
    major: u64,
    #[serde(skip_serializing_if = "zero")]
    minor: u64,
    op: &'static str,
    #[serde(skip_serializing_if = "zero")]
    value: u64,
}

#[derive(Debug, Serialize)]
struct Hugetlb {
    #[serde(skip_serializing_if = "zero")]
    usage: u64,
    failcnt: u64,
}

fn zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// No limit is the greatest number.
fn number(limit: Limit) -> u64 {
    match limit {
        Limit::Max => u64::MAX,
        Limit::At(value) => value,
    }
}

impl<'a> Data<'a> {
    fn of(stats: &'a Stats) -> Data<'a> {
        let psi = |pressure: Option<counted::Pressure>| pressure.map(Psi::from);
        let cpuset = stats.cpuset.clone().unwrap_or_default();
        let memory = stats.memory.as_ref().map(Memory::from).unwrap_or_default();
        let hugetlb = stats.hugetlb.iter().map(|(size, pages)| {
            (size.as_str(), Hugetlb { usage: pages.reserved.unwrap_or(pages.current), failcnt: pages.max_events })
        });
        Data {
            cpu: Cpu { psi: psi(stats.cpu_pressure), ..Cpu::from(&stats.cpu) },
            cpuset: Cpuset { cpus: cpuset.cpus, mems: cpuset.mems, ..Cpuset::default() },
            memory: Memory { psi: psi(stats.memory_pressure), ..memory },
            pids: stats.pids.map(Pids::from).unwrap_or_default(),
            blkio: Blkio { psi: psi(stats.io_pressure), ..Blkio::from(stats.io.as_deref().unwrap_or_default()) },
            hugetlb: hugetlb.collect(),
            intel_rdt: BTreeMap::new(),
            network_interfaces: None,
        }
    }
}

impl From<&counted::Cpu> for Cpu {
    fn from(cpu: &counted::Cpu) -> Cpu {
        let nanoseconds = |usec: u64| usec.saturating_mul(1000);
        let throttling = cpu.throttling.unwrap_or_default();
        Cpu {
            usage: CpuUsage {
                total: nanoseconds(cpu.usage_usec),
                kernel: nanoseconds(cpu.system_usec),
                user: nanoseconds(cpu.user_usec),
            },
            throttling: Throttling {
                periods: throttling.nr_periods,
                throttled_periods: throttling.nr_throttled,
                throttled_time: nanoseconds(throttling.throttled_usec),
            },
            psi: None,
        }
    }
}

impl From<counted::Pressure> for Psi {
    fn from(pressure: counted::Pressure) -> Psi {
        let data = |stall: counted::Stall| PsiData {
            avg10: stall.avg10,
            avg60: stall.avg60,
            avg300: stall.avg300,
            total: stall.total,
        };
        Psi { some: data(pressure.some), full: pressure.full.map(data) }
    }
}

impl<'a> From<&'a counted::Memory> for Memory<'a> {
    fn from(memory: &'a counted::Memory) -> Memory<'a> {
        let (current, limit) = (memory.current, number(memory.max));
        let (swap, swap_limit) = memory.swap.map_or((0, 0), |swap| (swap.current, number(swap.max)));
        Memory {
            cache: memory.stat.get("file").copied().unwrap_or_default(),
            usage: MemoryEntry {
                limit,
                usage: current,
                max: memory.peak.unwrap_or_default(),
                // How often the limit was in the way.
                failcnt: memory.events.get("max").copied().unwrap_or_default(),
            },
            // Memory and swap together, as cgroup v1 counted.
            swap: MemoryEntry {
                limit: limit.saturating_add(swap_limit),
                usage: current.saturating_add(swap),
                ..MemoryEntry::default()
            },
            raw: Some(&memory.stat),
            psi: None,
        }
    }
}

impl From<counted::Pids> for Pids {
    fn from(pids: counted::Pids) -> Pids {
        // No limit is 0 here.
        let limit = match pids.max {
            Limit::Max => 0,
            Limit::At(limit) => limit,
        };
        Pids { current: pids.current, limit }
    }
}

impl From<&[counted::IoDevice]> for Blkio {
    fn from(devices: &[counted::IoDevice]) -> Blkio {
        let entries = |read: fn(&counted::IoDevice) -> u64, write: fn(&counted::IoDevice) -> u64| {
            let of_device = |device: &counted::IoDevice| {
                [("Read", read(device)), ("Write", write(device))].map(|(op, value)| BlkioEntry {
                    major: device.major,
                    minor: device.minor,
                    op,
                    value,
                })
            };
            devices.iter().flat_map(of_device).collect()
        };
        Blkio {
            io_service_bytes_recursive: entries(|device| device.rbytes, |device| device.wbytes),
            io_serviced_recursive: entries(|device| device.rios, |device| device.wios),
            psi: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::openmetrics::tests::everything;

    #[test]
    fn a_bare_cgroup_has_time_alone() {
        let cpu = counted::Cpu { usage_usec: 3, user_usec: 2, system_usec: 1, ..counted::Cpu::default() };
        let text = stats("web", &Stats { cpu, ..Stats::default() }).unwrap();
        let expected = "{\"type\":\"stats\",\"id\":\"web\",\"data\":{\"cpu\":{\"usage\":\
            {\"total\":3000,\"kernel\":1000,\"user\":2000}},\"cpuset\":{\"cpu_exclusive\":0,\"mem_hardwall\":0,\
            \"mem_exclusive\":0,\"memory_migrate\":0,\"memory_spread_page\":0,\"memory_spread_slab\":0,\
            \"memory_pressure\":0,\"sched_load_balance\":0,\"sched_relax_domain_level\":0},\"memory\":{},\"pids\":{},\
            \"blkio\":{},\"hugetlb\":{},\"intel_rdt\":{},\"network_interfaces\":null}}\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn numbers_are_in_runcs_units() {
        let text = stats("web", &everything()).unwrap();
        let seen: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "cpu": {
                "usage": {"total": 3_000_000, "kernel": 1_000_000, "user": 2_000_000},
                "throttling": {"periods": 7, "throttledPeriods": 3, "throttledTime": 150_000_000},
                "psi": {
                    "some": {"avg10": 1.5, "avg60": 0.25, "avg300": 0.0, "total": 1_500_000},
                    "full": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 9},
                },
            },
            "cpuset": {
                "cpus": [0, 1], "mems": [0], "cpu_exclusive": 0, "mem_hardwall": 0, "mem_exclusive": 0,
                "memory_migrate": 0, "memory_spread_page": 0, "memory_spread_slab": 0, "memory_pressure": 0,
                "sched_load_balance": 0, "sched_relax_domain_level": 0,
            },
            "memory": {
                "cache": 4096,
                "usage": {"limit": 65536, "usage": 8192, "max": 9000, "failcnt": 12},
                "swap": {"limit": u64::MAX, "usage": 8202, "failcnt": 0},
                "raw": {"anon": 100, "file": 4096},
            },
            "pids": {"current": 5},
            "blkio": {
                "ioServiceBytesRecursive": [
                    {"major": 8, "op": "Read", "value": 4096}, {"major": 8, "op": "Write", "value": 8192},
                ],
                "ioServicedRecursive": [{"major": 8, "op": "Read", "value": 1}, {"major": 8, "op": "Write", "value": 2}],
            },
            "hugetlb": {"2MB": {"usage": 4_194_304, "failcnt": 1}},
            "intel_rdt": {},
            "network_interfaces": null,
        });
        assert_eq!(seen["data"], expected);
    }

    #[test]
    fn an_event_without_data() {
        assert_eq!(oom("web").unwrap(), "{\"type\":\"oom\",\"id\":\"web\"}\n");
    }
}
