//! Additional measurements: a seccomp profile, and a thousand bind mounts.

use std::fs;

use super::{Bench, Contestant, Result};
use crate::bundles::MOUNTS;
use crate::figures::{Measured, Sample, median, print_pairs, wall};

impl Bench {
    /// Measures `run` with Docker's seccomp profile. The first table includes cached filters of runtimes that have a
    /// cache, the second does not.
    pub fn measure_filtered(&self, all: &[Contestant], rounds: usize) -> Result<Vec<Measured>> {
        let (able, _) = self.able("seccomp", all)?;
        let warm = self.measure_runs("seccomp", &able, rounds)?;
        println!("run with Docker's seccomp profile, every device allowed; medians of {rounds} rounds; µs:");
        print_pairs(&warm);
        // The cache of crun, if it was built with one.
        let cache = |one: &Contestant| self.home.join("state").join(&one.name).join(".cache");
        if !able.iter().any(|one| cache(one).exists()) {
            println!("no runtime here caches compiled filters\n");
            return Ok(vec![warm]);
        }
        let forget = |one: &Contestant| drop(fs::remove_dir_all(cache(one)));
        let cold = self.measure_runs_after("seccomp", &able, rounds, &forget)?;
        println!("the same without cached filters:");
        print_pairs(&cold);
        println!();
        Ok(vec![warm, cold])
    }

    /// Returns the cost of one of a thousand bind mounts, in microseconds, by contestant.
    pub fn measure_mounts(&self, all: &[Contestant], rounds: usize) -> Result<Vec<(String, f64)>> {
        let (able, _) = self.able("mounts", all)?;
        let without = self.measure_runs("any-device", &able, rounds)?;
        let with = self.measure_runs("mounts", &able, rounds)?;
        println!("run with {MOUNTS} bind mounts, every device allowed; medians of {rounds} rounds; µs:");
        print_pairs(&with);
        let cost = |(name, samples): &(String, Vec<Sample>)| {
            let base = without.iter().find(|(other, _)| other == name).map_or(0.0, |(_, base)| median(base, wall));
            (name.clone(), (median(samples, wall) - base) / MOUNTS as f64)
        };
        let costs: Vec<(String, f64)> = with.iter().map(cost).collect();
        let words: Vec<String> = costs.iter().map(|(name, cost)| format!("{name} {cost:.1} µs")).collect();
        println!("for each of them: {}\n", words.join(", "));
        Ok(costs)
    }
}
