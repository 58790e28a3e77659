//! What a configuration may ask for besides: a seccomp profile, and a thousand bind mounts.

use std::fs;

use super::{Bench, Contestant, Result};
use crate::bundles::MOUNTS;
use crate::figures::{Measured, Sample, median, print_pairs, wall};

impl Bench {
    /// `run` with Docker's seccomp profile. Who keeps compiled filters has them in the first table, and not in the second.
    pub fn measure_filtered(&self, all: &[Contestant], rounds: usize) -> Result<Vec<Measured>> {
        let (able, _) = self.able("seccomp", all)?;
        let warm = self.measure_runs("seccomp", &able, rounds)?;
        println!("run with Docker's seccomp profile, every device allowed; medians of {rounds} rounds; µs:");
        print_pairs(&warm);
        // crun's, where it is built to have one.
        let cache = |one: &Contestant| self.home.join("state").join(&one.name).join(".cache");
        if !able.iter().any(|one| cache(one).exists()) {
            println!("nobody keeps compiled filters here\n");
            return Ok(vec![warm]);
        }
        let forget = |one: &Contestant| drop(fs::remove_dir_all(cache(one)));
        let cold = self.measure_runs_after("seccomp", &able, rounds, &forget)?;
        println!("the same without the filters that somebody keeps from the last time:");
        print_pairs(&cold);
        println!();
        Ok(vec![warm, cold])
    }

    /// What one of a thousand bind mounts costs, in microseconds, by contestant.
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
