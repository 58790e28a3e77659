//! Statistics as an OpenMetrics 1.0 exposition. Names are those of cAdvisor where it has one, units are base units:
//! seconds and bytes. What has no number has no line.

use std::fmt::Write as _;

use minirun_cgroup::Stats;
use minirun_cgroup::stats::{IoDevice, Limit, Memory, Pressure};

/// The whole text, to its `# EOF`.
pub fn exposition(id: &str, stats: &Stats) -> String {
    let mut text = Text { out: String::new(), id: escaped(id) };
    cpu(&mut text, stats);
    if let Some(memory) = &stats.memory {
        text.memory(memory);
    }
    if let Some(pids) = stats.pids {
        text.gauge("container_pids", "", "Processes and threads.").sample(&[], pids.current);
        text.limit("container_pids_limit", "", "Maximum number of processes and threads.", &[], pids.max);
    }
    io(&mut text, stats.io.as_deref().unwrap_or_default());
    hugetlb(&mut text, stats);
    pieces(&mut text, stats);
    for (name, pressure) in [("cpu", stats.cpu_pressure), ("memory", stats.memory_pressure), ("io", stats.io_pressure)]
    {
        if let Some(pressure) = pressure {
            text.pressure(name, pressure);
        }
    }
    text.out + "# EOF\n"
}

/// The text in the making.
struct Text {
    out: String,
    /// The container's id, escaped.
    id: String,
}

/// A family whose head is written; its samples follow.
struct Family<'a> {
    text: &'a mut Text,
    /// With the suffix that samples have.
    name: String,
}

/// A number of a sample.
enum Number {
    Whole(u64),
    /// Shown in seconds.
    Microseconds(u64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Number {
        Number::Whole(value)
    }
}

impl Text {
    fn gauge(&mut self, name: &str, unit: &str, help: &str) -> Family<'_> {
        self.family(name, "gauge", "", unit, help)
    }

    fn counter(&mut self, name: &str, unit: &str, help: &str) -> Family<'_> {
        self.family(name, "counter", "_total", unit, help)
    }

    /// Writes the head. A unit is also the end of the name.
    fn family(&mut self, name: &str, kind: &str, suffix: &str, unit: &str, help: &str) -> Family<'_> {
        let name = if unit.is_empty() { name.to_owned() } else { format!("{name}_{unit}") };
        let _infallible = writeln!(self.out, "# TYPE {name} {kind}");
        if !unit.is_empty() {
            let _infallible = writeln!(self.out, "# UNIT {name} {unit}");
        }
        let _infallible = writeln!(self.out, "# HELP {name} {help}");
        Family { text: self, name: name + suffix }
    }

    /// A gauge with one sample, if there is a limit.
    fn limit(&mut self, name: &str, unit: &str, help: &str, labels: &[(&str, &str)], limit: Limit) {
        if let Limit::At(limit) = limit {
            self.gauge(name, unit, help).sample(labels, limit);
        }
    }

    fn memory(&mut self, memory: &Memory) {
        self.gauge("container_memory_usage", "bytes", "Memory in use, caches included.").sample(&[], memory.current);
        if let Some(peak) = memory.peak {
            self.gauge("container_memory_peak", "bytes", "Peak usage.").sample(&[], peak);
        }
        self.limit("container_memory_limit", "bytes", "Limit of memory.", &[], memory.max);
        if let Some(swap) = memory.swap {
            self.gauge("container_memory_swap", "bytes", "Swap in use.").sample(&[], swap.current);
            self.limit("container_memory_swap_limit", "bytes", "Limit of swap.", &[], swap.max);
        }
        let mut events = self.counter("container_memory_events", "", "Events of memory.events.");
        memory.events.iter().for_each(|(event, count)| events.sample(&[("event", event)], *count));
        let mut stat = self.family("container_memory_stat", "unknown", "", "", "Values of memory.stat.");
        memory.stat.iter().for_each(|(key, value)| stat.sample(&[("key", key)], *value));
    }

    fn pressure(&mut self, name: &str, pressure: Pressure) {
        let seconds = |total| Number::Microseconds(total);
        let family = format!("container_pressure_{name}_waiting");
        let mut waiting = self.counter(&family, "seconds", "Time in which a process waited for the resource.");
        waiting.sample(&[], seconds(pressure.some.total));
        if let Some(full) = pressure.full {
            let family = format!("container_pressure_{name}_stalled");
            let mut stalled = self.counter(&family, "seconds", "Time in which all processes waited for the resource.");
            stalled.sample(&[], seconds(full.total));
        }
    }
}

impl Family<'_> {
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) {
        let Family { text, name } = self;
        let _infallible = write!(text.out, "{name}{{id=\"{}\"", text.id);
        for (label, value) in labels {
            let _infallible = write!(text.out, ",{label}=\"{}\"", escaped(value));
        }
        // accepts: no error: writing to a string cannot fail.
        let _infallible = match value.into() {
            Number::Whole(value) => writeln!(text.out, "}} {value}"),
            Number::Microseconds(value) => writeln!(text.out, "}} {}.{:06}", value / 1_000_000, value % 1_000_000),
        };
    }
}

/// A label's value between its quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn cpu(text: &mut Text, stats: &Stats) {
    let cpu = &stats.cpu;
    let mut seconds = |name: &str, help: &str, usec: u64| {
        text.counter(name, "seconds", help).sample(&[], Number::Microseconds(usec));
    };
    seconds("container_cpu_usage", "Time on processors.", cpu.usage_usec);
    seconds("container_cpu_user", "Time on processors in user mode.", cpu.user_usec);
    seconds("container_cpu_system", "Time on processors in kernel mode.", cpu.system_usec);
    if let Some(throttling) = cpu.throttling {
        let help = "Time for which the quota throttled processes.";
        seconds("container_cpu_cfs_throttled", help, throttling.throttled_usec);
    }
    if let Some(bursts) = cpu.bursts {
        seconds("container_cpu_cfs_burst", "Time on processors beyond the quota.", bursts.burst_usec);
    }
    let mut count = |name: &str, help: &str, count: u64| text.counter(name, "", help).sample(&[], count);
    if let Some(throttling) = cpu.throttling {
        count("container_cpu_cfs_periods", "Periods of the quota.", throttling.nr_periods);
        count("container_cpu_cfs_throttled_periods", "Periods that used up the quota.", throttling.nr_throttled);
    }
    if let Some(bursts) = cpu.bursts {
        count("container_cpu_cfs_burst_periods", "Periods that went beyond the quota.", bursts.nr_bursts);
    }
    if let Some(cpuset) = &stats.cpuset {
        let help = "Limit of CPU time, in CPUs.";
        text.gauge("container_cpuset_cpus", "", help).sample(&[], cpuset.cpus.len() as u64);
    }
}

fn io(text: &mut Text, devices: &[IoDevice]) {
    if devices.is_empty() {
        return;
    }
    let mut family = |name: &str, unit: &str, help: &str, values: fn(&IoDevice) -> [u64; 3]| {
        let mut family = text.counter(name, unit, help);
        for device in devices {
            let number = format!("{}:{}", device.major, device.minor);
            for (operation, value) in ["read", "write", "discard"].into_iter().zip(values(device)) {
                family.sample(&[("device", &number), ("operation", operation)], value);
            }
        }
    };
    let bytes = |device: &IoDevice| [device.rbytes, device.wbytes, device.dbytes];
    family("container_io", "bytes", "Bytes of I/O on block devices.", bytes);
    let operations = |device: &IoDevice| [device.rios, device.wios, device.dios];
    family("container_io_operations", "", "I/O operations on block devices.", operations);
}

fn hugetlb(text: &mut Text, stats: &Stats) {
    if stats.hugetlb.is_empty() {
        return;
    }
    let mut usage = text.gauge("container_hugetlb_usage", "bytes", "Huge pages in use.");
    stats.hugetlb.iter().for_each(|(size, pages)| usage.sample(&[("page_size", size)], pages.current));
    let mut limit = text.gauge("container_hugetlb_limit", "bytes", "Limit of huge pages.");
    for (size, pages) in &stats.hugetlb {
        if let Limit::At(max) = pages.max {
            limit.sample(&[("page_size", size)], max);
        }
    }
    let mut hits = text.counter("container_hugetlb_limit_hits", "", "Times that the limit was reached.");
    stats.hugetlb.iter().for_each(|(size, pages)| hits.sample(&[("page_size", size)], pages.max_events));
}

/// What rdma and misc hand out.
fn pieces(text: &mut Text, stats: &Stats) {
    if !stats.rdma.is_empty() {
        let mut usage = text.gauge("container_rdma_usage", "", "Resources of RDMA devices in use.");
        for ((device, resource), bounded) in &stats.rdma {
            usage.sample(&[("device", device), ("resource", resource)], bounded.current);
        }
        let mut limit = text.gauge("container_rdma_limit", "", "Limits of the resources of RDMA devices.");
        for ((device, resource), bounded) in &stats.rdma {
            if let Some(Limit::At(max)) = bounded.max {
                limit.sample(&[("device", device), ("resource", resource)], max);
            }
        }
    }
    if !stats.misc.is_empty() {
        let mut usage = text.gauge("container_misc_usage", "", "Resources of the misc controller in use.");
        stats.misc.iter().for_each(|(resource, bounded)| usage.sample(&[("resource", resource)], bounded.current));
        let mut limit = text.gauge("container_misc_limit", "", "Limits of the resources of the misc controller.");
        for (resource, bounded) in &stats.misc {
            if let Some(Limit::At(max)) = bounded.max {
                limit.sample(&[("resource", resource)], max);
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use minirun_cgroup::stats::{Bounded, Bursts, Cpu, Cpuset, Hugetlb, Pids, Stall, Swap, Throttling};

    use super::*;

    /// Something of everything.
    pub fn everything() -> Stats {
        let throttling = Throttling { nr_periods: 7, nr_throttled: 3, throttled_usec: 150_000 };
        let keyed = |pairs: &[(&str, u64)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        let memory = Memory {
            current: 8192,
            peak: Some(9000),
            max: Limit::At(65536),
            swap: Some(Swap { current: 10, max: Limit::Max }),
            stat: keyed(&[("anon", 100), ("file", 4096)]),
            events: keyed(&[("max", 12), ("oom_kill", 1)]),
        };
        let pages = Hugetlb { current: 2 << 20, reserved: Some(4 << 20), max: Limit::Max, max_events: 1 };
        let some = Stall { avg10: 1.5, avg60: 0.25, avg300: 0.0, total: 1_500_000 };
        let handles = Bounded { current: 2, max: Some(Limit::At(9)) };
        Stats {
            cpu: Cpu {
                usage_usec: 3000,
                user_usec: 2000,
                system_usec: 1000,
                throttling: Some(throttling),
                bursts: Some(Bursts { nr_bursts: 1, burst_usec: 20 }),
            },
            cpuset: Some(Cpuset { cpus: vec![0, 1], mems: vec![0] }),
            memory: Some(memory),
            pids: Some(Pids { current: 5, max: Limit::Max }),
            io: Some(vec![IoDevice { major: 8, rbytes: 4096, wbytes: 8192, rios: 1, wios: 2, ..IoDevice::default() }]),
            hugetlb: BTreeMap::from([("2MB".to_owned(), pages)]),
            rdma: BTreeMap::from([(("mlx4_0".to_owned(), "hca_handle".to_owned()), handles)]),
            misc: BTreeMap::from([("sev".to_owned(), Bounded { current: 3, max: Some(Limit::Max) })]),
            cpu_pressure: Some(Pressure { some, full: Some(Stall { total: 9, ..Stall::default() }) }),
            ..Stats::default()
        }
    }

    #[test]
    fn a_bare_cgroup_has_time_alone() {
        let cpu = Cpu { usage_usec: 12_345_678, user_usec: 12_000_000, system_usec: 345_678, ..Cpu::default() };
        let text = exposition("a\"b\\c", &Stats { cpu, ..Stats::default() });
        let expected = r##"# TYPE container_cpu_usage_seconds counter
# UNIT container_cpu_usage_seconds seconds
# HELP container_cpu_usage_seconds Time on processors.
container_cpu_usage_seconds_total{id="a\"b\\c"} 12.345678
# TYPE container_cpu_user_seconds counter
# UNIT container_cpu_user_seconds seconds
# HELP container_cpu_user_seconds Time on processors in user mode.
container_cpu_user_seconds_total{id="a\"b\\c"} 12.000000
# TYPE container_cpu_system_seconds counter
# UNIT container_cpu_system_seconds seconds
# HELP container_cpu_system_seconds Time on processors in kernel mode.
container_cpu_system_seconds_total{id="a\"b\\c"} 0.345678
# EOF
"##;
        assert_eq!(text, expected);
    }

    #[test]
    fn each_controller_has_its_lines() {
        let text = exposition("web", &everything());
        for line in [
            "container_cpu_cfs_periods_total{id=\"web\"} 7",
            "container_cpu_cfs_throttled_seconds_total{id=\"web\"} 0.150000",
            "container_cpu_cfs_burst_seconds_total{id=\"web\"} 0.000020",
            "container_cpuset_cpus{id=\"web\"} 2",
            "container_memory_usage_bytes{id=\"web\"} 8192",
            "container_memory_limit_bytes{id=\"web\"} 65536",
            "container_memory_swap_bytes{id=\"web\"} 10",
            "container_memory_events_total{id=\"web\",event=\"oom_kill\"} 1",
            "container_memory_stat{id=\"web\",key=\"file\"} 4096",
            "container_pids{id=\"web\"} 5",
            "container_io_bytes_total{id=\"web\",device=\"8:0\",operation=\"write\"} 8192",
            "container_io_operations_total{id=\"web\",device=\"8:0\",operation=\"read\"} 1",
            "container_hugetlb_usage_bytes{id=\"web\",page_size=\"2MB\"} 2097152",
            "container_rdma_limit{id=\"web\",device=\"mlx4_0\",resource=\"hca_handle\"} 9",
            "container_misc_usage{id=\"web\",resource=\"sev\"} 3",
            "container_pressure_cpu_waiting_seconds_total{id=\"web\"} 1.500000",
            "container_pressure_cpu_stalled_seconds_total{id=\"web\"} 0.000009",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
        // No limit is no number.
        for name in ["container_memory_swap_limit", "container_pids_limit", "container_misc_limit{"] {
            assert!(!text.contains(name), "{name} in:\n{text}");
        }
    }
}
