//! `linux.resources.cpu`: the cpu and cpuset controllers.

use super::Limits;
use crate::spec::LinuxCpu;
use crate::{Expect, Origin};

/// The kernel's bounds of a CPU bandwidth period, in microseconds (`min_cfs_quota_period`, `max_cfs_quota_period`).
const PERIODS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;
/// The default period, in microseconds (cgroup-v2.rst, `cpu.max`).
const DEFAULT_PERIOD: u64 = 100_000;
/// The bounds of the quota in the kernel, in microseconds.
const QUOTAS: std::ops::RangeInclusive<i64> = 1_000..=(1 << 44) - 1;

impl Limits<'_> {
    pub(super) fn cpu(&mut self, cpu: &LinuxCpu, at: &Origin) {
        self.weight(cpu, at);
        self.bandwidth(cpu, at);
        if cpu.realtime_runtime().is_some_and(|runtime| runtime != 0) {
            self.v1_only(&at.field("realtimeRuntime"), "it does not support real-time scheduling");
        }
        if cpu.realtime_period().is_some_and(|period| period != 0) {
            self.v1_only(&at.field("realtimePeriod"), "it does not support real-time scheduling");
        }
        for (field, file, list) in [("cpus", "cpuset.cpus", cpu.cpus()), ("mems", "cpuset.mems", cpu.mems())] {
            let origin = at.field(field);
            match list.as_deref().map(str::trim) {
                None | Some("") => {}
                Some(list) if is_list(list) => self.knob(file, list, Expect::Set, &origin),
                Some(list) => {
                    self.problems.add(&origin, format!("invalid list {list:?} (expected a list such as \"0-2,7\")"))
                }
            }
        }
    }

    /// Converts `shares` and `idle`. An idle cgroup has the minimum weight, and the kernel refuses another one
    /// (EINVAL).
    fn weight(&mut self, cpu: &LinuxCpu, at: &Origin) {
        let shares = cpu.shares().unwrap_or(0);
        let origin = at.field("idle");
        match cpu.idle() {
            None => {}
            Some(0) => self.no_limit("cpu.idle", "0", Expect::SameOrAbsent, &origin),
            Some(1) if shares != 0 => {
                self.problems.add(&origin, "an idle cgroup cannot have shares (hint: set only one of them)")
            }
            Some(1) => self.knob("cpu.idle", "1", Expect::Same, &origin),
            Some(idle) => self.problems.add(&origin, format!("{idle} is out of range (expected 0 or 1)")),
        }
        if shares != 0 {
            self.knob("cpu.weight", weight_of(shares).to_string(), Expect::Same, &at.field("shares"));
        }
    }

    /// Converts `quota`, `period` and `burst`, in microseconds. A negative quota means no limit, zero means unset.
    fn bandwidth(&mut self, cpu: &LinuxCpu, at: &Origin) {
        let (quota, period) = (cpu.quota().unwrap_or(0), cpu.period().unwrap_or(0));
        let (quota_at, period_at, burst_at) = (at.field("quota"), at.field("period"), at.field("burst"));
        if quota > 0 && !QUOTAS.contains(&quota) {
            let (least, most) = (QUOTAS.start(), QUOTAS.end());
            return self.problems.add(&quota_at, format!("{quota} is out of range (expected {least} to {most})"));
        }
        if period != 0 && !PERIODS.contains(&period) {
            let (least, most) = (PERIODS.start(), PERIODS.end());
            return self.problems.add(&period_at, format!("{period} is out of range (expected {least} to {most})"));
        }
        let shown_period = if period == 0 { DEFAULT_PERIOD } else { period };
        if quota > 0 {
            self.knob("cpu.max", format!("{quota} {shown_period}"), Expect::Same, &quota_at);
        } else if quota < 0 || period != 0 {
            let origin = if quota < 0 { &quota_at } else { &period_at };
            self.no_limit("cpu.max", &format!("max {shown_period}"), Expect::Same, origin);
        }
        // The burst comes after the quota, which bounds it.
        match cpu.burst() {
            None => {}
            Some(0) => self.no_limit("cpu.max.burst", "0", Expect::Same, &burst_at),
            Some(burst) if quota > 0 && burst > quota as u64 => {
                self.problems.add(&burst_at, format!("{burst} is more than the quota of {quota}"));
            }
            Some(burst) => self.knob("cpu.max.burst", burst.to_string(), Expect::Same, &burst_at),
        }
    }
}

/// Returns the `cpu.weight` (1 to 10000, default 100) of `shares` (2 to 262144, default 1024): runc's quadratic map,
/// which preserves both ends and the default. Zero means unset; callers filter it out.
fn weight_of(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

/// Whether this is a list of numbers and ranges, in the list format of cpuset(7).
pub(super) fn is_list(list: &str) -> bool {
    crate::NumberSet::parse(list).is_some()
}
