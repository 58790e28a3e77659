//! The limits, and whether they are met.

use std::collections::BTreeMap;
use std::fs;

use super::{Bench, Result};
use crate::figures::{Measured, Sample, cpu, median, ratio, wall};

/// All judged figures.
pub struct Figures {
    pub default: Measured,
    pub open: Measured,
    pub cycles: BTreeMap<&'static str, Measured>,
    pub list_milliseconds: f64,
    /// `run` with a seccomp profile, the hardest comparison first.
    pub filtered: Vec<Measured>,
    /// The cost of a mount for each contestant, in microseconds.
    pub per_mount: Vec<(String, f64)>,
}

impl Bench {
    pub fn judge(&self, figures: &Figures) -> Result<bool> {
        let Figures { default, open, cycles, list_milliseconds, filtered, per_mount } = figures;
        let of_minirun = |measured: &Measured| -> Vec<Sample> {
            measured.iter().filter(|(name, _)| name == "minirun").flat_map(|(_, samples)| samples).copied().collect()
        };
        let everything: Vec<Vec<Sample>> = [default, open].into_iter().chain(cycles.values()).map(of_minirun).collect();
        let peak = everything.iter().flatten().map(|sample| sample.memory).max().unwrap_or(0) as f64 / 1024.0;
        let size = fs::metadata(&self.minirun.program)?.len() as f64 / f64::from(1 << 20);
        let against = |other| ratio(default, other, wall).or_else(|| ratio(open, other, wall));
        let step = |step: &str, other: &str| cycles.get(step).and_then(|measured| ratio(measured, other, wall));
        let alone = |step: &str, value: fn(&Sample) -> f64| {
            cycles.get(step).map(|measured| median(&of_minirun(measured), value) / 1000.0)
        };
        let beside_crun = |measured: &Measured| ratio(measured, "crun", wall);
        let mount = |name: &str| per_mount.iter().find(|(found, _)| found == name).map(|(_, cost)| *cost);
        let mounts = mount("minirun").zip(mount("crun")).map(|(own, other)| own / other);
        let bars = [
            ("wall time of run, minirun / crun", against("crun"), 0.7, ""),
            ("wall time of run, minirun / floor", against("floor"), 1.6, ""),
            ("wall time of run with seccomp, / crun", filtered.iter().find_map(beside_crun), 0.6, ""),
            ("wall time of a bind mount, / crun", mounts, 1.0, ""),
            ("wall time of exec, minirun / crun", step("3 exec", "crun"), 0.7, ""),
            ("wall time of list, 1000 containers", Some(*list_milliseconds), 50.0, " ms"),
            ("CPU time of state", alone("4 state", cpu), 1.0, " ms"),
            ("CPU time of features", alone("7 features", cpu), 1.0, " ms"),
            ("CPU time of --version", alone("8 --version", cpu), 1.0, " ms"),
            ("peak memory", Some(peak), 4.0, " MiB"),
            ("binary size", Some(size), 3.0, " MiB"),
        ];
        let mut all_met = true;
        println!("bars:");
        for (what, value, bar, unit) in bars {
            let (value, verdict) = match value {
                Some(value) if value <= bar => (format!("{value:.2}{unit}"), "pass"),
                Some(value) => (format!("{value:.2}{unit}"), "FAIL"),
                None => ("-".to_owned(), "not measured"),
            };
            all_met &= verdict != "FAIL";
            println!("  {what:<38}{:<12}{value:<10}{verdict}", format!("<= {bar}{unit}"));
        }
        Ok(all_met)
    }
}
