//! The kernel's statistics of a cgroup and those below, parsed from its files.
//!
//! A controller that is not enabled for the cgroup has no files. The value of a missing file is none, never 0. The
//! files are described in `Documentation/admin-guide/cgroup-v2.rst`, the pressure in
//! `Documentation/accounting/psi.rst`.

mod parse;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;

use minirun_sys::Errno;
use nix::dir::Dir;

use crate::{Cgroup, CgroupError, Result, files};

/// A limit of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// There is no limit.
    Max,
    /// The limit, in the unit of the resource.
    At(u64),
}

/// A parser of a file's text; it returns none if the format is unknown.
type Parser<T> = fn(&str) -> Option<T>;

/// The values of a flat keyed file, which has lines `key value`.
pub type Keyed = BTreeMap<String, u64>;

/// All statistics of a cgroup.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// `cpu.stat`.
    pub cpu: Cpu,
    /// The values of the cpuset controller.
    pub cpuset: Option<Cpuset>,
    /// The values of the memory controller.
    pub memory: Option<Memory>,
    /// The values of the pids controller.
    pub pids: Option<Pids>,
    /// `io.stat`: the used devices, in the kernel's order.
    pub io: Option<Vec<IoDevice>>,
    /// `hugetlb.SIZE.*`, by the page size in the kernel's spelling: `2MB`.
    pub hugetlb: BTreeMap<String, Hugetlb>,
    /// `rdma.current` and `rdma.max`, by device and resource.
    pub rdma: BTreeMap<(String, String), Bounded>,
    /// `misc.current` and `misc.max`, by resource.
    pub misc: BTreeMap<String, Bounded>,
    /// `cpu.pressure`.
    pub cpu_pressure: Option<Pressure>,
    /// `memory.pressure`.
    pub memory_pressure: Option<Pressure>,
    /// `io.pressure`.
    pub io_pressure: Option<Pressure>,
}

/// CPU time. It exists without the cpu controller; periods require it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// In microseconds.
    pub usage_usec: u64,
    /// In user mode, in microseconds.
    pub user_usec: u64,
    /// In kernel mode, in microseconds.
    pub system_usec: u64,
    /// The effect of `cpu.max`.
    pub throttling: Option<Throttling>,
    /// The effect of `cpu.max.burst`.
    pub bursts: Option<Bursts>,
}

/// Periods of `cpu.max`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttling {
    /// The number of periods in which a task was runnable.
    pub nr_periods: u64,
    /// The number of periods in which the quota was exhausted.
    pub nr_throttled: u64,
    /// The throttled time in microseconds, summed over CPUs.
    pub throttled_usec: u64,
}

/// Periods in which saved time was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bursts {
    /// The number of periods.
    pub nr_bursts: u64,
    /// The time beyond the quota, in microseconds.
    pub burst_usec: u64,
}

/// The usable CPUs and memory nodes, after the restrictions of the cgroups above (`cpuset.cpus.effective`,
/// `cpuset.mems.effective`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpuset {
    /// The numbers of CPUs.
    pub cpus: Vec<u16>,
    /// The numbers of memory nodes.
    pub mems: Vec<u16>,
}

/// Memory, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// `memory.current`.
    pub current: u64,
    /// `memory.peak`, since Linux 5.19.
    pub peak: Option<u64>,
    /// `memory.max`.
    pub max: Limit,
    /// Swap; none if the kernel does not account for it.
    pub swap: Option<Swap>,
    /// `memory.stat`: bytes or numbers of events, depending on the key.
    pub stat: Keyed,
    /// `memory.events`.
    pub events: Keyed,
}

/// Swap, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swap {
    /// `memory.swap.current`.
    pub current: u64,
    /// `memory.swap.max`.
    pub max: Limit,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pids {
    /// `pids.current`.
    pub current: u64,
    /// `pids.max`.
    pub max: Limit,
}

/// The requests to a block device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IoDevice {
    /// The device's major number.
    pub major: u64,
    /// The device's minor number.
    pub minor: u64,
    /// Bytes read.
    pub rbytes: u64,
    /// Bytes written.
    pub wbytes: u64,
    /// Number of reads.
    pub rios: u64,
    /// Number of writes.
    pub wios: u64,
    /// Bytes discarded.
    pub dbytes: u64,
    /// Number of discards.
    pub dios: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hugetlb {
    /// `hugetlb.SIZE.current`.
    pub current: u64,
    /// `hugetlb.SIZE.rsvd.current`: reserved, whether used or not.
    pub reserved: Option<u64>,
    /// `hugetlb.SIZE.max`.
    pub max: Limit,
    /// The number of times that the limit was reached (`hugetlb.SIZE.events`, `max`).
    pub max_events: u64,
}

/// The usage and limit of a countable resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded {
    /// The number in use.
    pub current: u64,
    /// The limit, if the file has one.
    pub max: Option<Limit>,
}

/// The time that processes waited for a resource.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// The time in which at least one process waited.
    pub some: Stall,
    /// The time in which all processes waited. Reported for CPUs since Linux 5.13.
    pub full: Option<Stall>,
}

/// Shares of time in percent, as averages over seconds, and the total time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stall {
    /// Over 10 s.
    pub avg10: f64,
    /// Over 60 s.
    pub avg60: f64,
    /// Over 300 s.
    pub avg300: f64,
    /// In microseconds.
    pub total: u64,
}

impl Cgroup {
    /// Returns the present statistics; none if the cgroup does not exist.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read, or has an unknown format.
    pub fn stats(&self) -> Result<Option<Stats>> {
        let stats = Stats {
            cpu: Cpu::default(),
            cpuset: self.cpuset()?,
            memory: self.memory()?,
            pids: self.pids_stats()?,
            io: self.typed("io.stat", parse::io)?,
            hugetlb: self.hugetlb()?,
            rdma: self.bounded("rdma.current", "rdma.max", parse::rdma)?,
            misc: self.bounded("misc.current", "misc.max", parse::limits)?,
            cpu_pressure: self.pressure("cpu.pressure")?,
            memory_pressure: self.pressure("memory.pressure")?,
            io_pressure: self.pressure("io.pressure")?,
        };
        // Every cgroup has cpu.stat. It is read last: if it exists, the other files were not missing because the cgroup
        // was removed.
        Ok(self.typed("cpu.stat", parse::cpu)?.map(|cpu| Stats { cpu, ..stats }))
    }

    fn cpuset(&self) -> Result<Option<Cpuset>> {
        let cpus = self.typed("cpuset.cpus.effective", parse::numbers)?;
        let mems = self.typed("cpuset.mems.effective", parse::numbers)?;
        Ok(cpus.zip(mems).map(|(cpus, mems)| Cpuset { cpus, mems }))
    }

    fn memory(&self) -> Result<Option<Memory>> {
        let Some(current) = self.typed("memory.current", parse::number)? else { return Ok(None) };
        let Some(max) = self.typed("memory.max", parse::limit)? else { return Ok(None) };
        let peak = self.typed("memory.peak", parse::number)?;
        let swap = self.typed("memory.swap.current", parse::number)?;
        let swap = swap.zip(self.typed("memory.swap.max", parse::limit)?).map(|(current, max)| Swap { current, max });
        let stat = self.typed("memory.stat", parse::keyed)?;
        let events = self.typed("memory.events", parse::keyed)?;
        Ok(stat.zip(events).map(|(stat, events)| Memory { current, peak, max, swap, stat, events }))
    }

    fn pids_stats(&self) -> Result<Option<Pids>> {
        let current = self.typed("pids.current", parse::number)?;
        Ok(current.zip(self.typed("pids.max", parse::limit)?).map(|(current, max)| Pids { current, max }))
    }

    fn hugetlb(&self) -> Result<BTreeMap<String, Hugetlb>> {
        let enabled = self.read("cgroup.controllers")?.unwrap_or_default();
        let sizes = match enabled.split_whitespace().any(|name| name == "hugetlb") {
            true => self.page_sizes()?,
            false => Vec::new(),
        };
        let mut all = BTreeMap::new();
        for size in sizes {
            let current = self.typed(&format!("hugetlb.{size}.current"), parse::number)?;
            let max = self.typed(&format!("hugetlb.{size}.max"), parse::limit)?;
            let events = self.typed(&format!("hugetlb.{size}.events"), parse::keyed)?;
            let reserved = self.typed(&format!("hugetlb.{size}.rsvd.current"), parse::number)?;
            if let (Some(current), Some(max), Some(events)) = (current, max, events) {
                let max_events = events.get("max").copied().unwrap_or_default();
                all.insert(size, Hugetlb { current, reserved, max, max_events });
            }
        }
        Ok(all)
    }

    /// Returns the huge page sizes for which the cgroup has files.
    fn page_sizes(&self) -> Result<Vec<String>> {
        let failed = |errno| CgroupError::new("list", self.path(), errno);
        let listed = match files::open_dir(self.dir.as_fd(), Path::new("")) {
            Err(errno) if files::gone(errno) => return Ok(Vec::new()),
            answer => answer.map_err(failed)?,
        };
        let mut sizes = Vec::new();
        for entry in Dir::from_fd(listed).map_err(failed)?.iter() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy();
            let size = name.strip_prefix("hugetlb.").and_then(|rest| rest.strip_suffix(".current"));
            sizes.extend(size.filter(|size| !size.contains('.')).map(str::to_owned));
        }
        Ok(sizes)
    }

    /// Reads a file of usages, and the file of their limits.
    fn bounded<K: Ord>(
        &self,
        current: &str,
        max: &str,
        parse: Parser<Vec<(K, Limit)>>,
    ) -> Result<BTreeMap<K, Bounded>> {
        let used = self.typed(current, parse)?.unwrap_or_default();
        let mut limits: BTreeMap<K, Limit> = self.typed(max, parse)?.unwrap_or_default().into_iter().collect();
        let pair = |(key, used)| match used {
            Limit::At(current) => {
                let max = limits.remove(&key);
                Some((key, Bounded { current, max }))
            }
            Limit::Max => None,
        };
        Ok(used.into_iter().filter_map(pair).collect())
    }

    /// Reads a pressure file; none if the kernel has none, or measuring is disabled (`psi=0`, `cgroup.pressure`).
    fn pressure(&self, file: &str) -> Result<Option<Pressure>> {
        match self.typed(file, parse::pressure) {
            Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => Ok(None),
            answer => answer,
        }
    }

    fn typed<T>(&self, file: &str, parse: Parser<T>) -> Result<Option<T>> {
        let Some(text) = self.read(file)? else { return Ok(None) };
        match parse(&text) {
            Some(value) => Ok(Some(value)),
            None => {
                let text = format!("its text is not valid: {:?}", text.trim_end());
                Err(CgroupError::new("read", self.path().join(file), text))
            }
        }
    }
}
