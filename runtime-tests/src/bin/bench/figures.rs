//! Statistics of the measurements: medians, ratios within a round, tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The cost of one call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// The wall time in microseconds, from before the call until after its end.
    pub wall: f64,
    /// The CPU time in microseconds, including its descendants.
    pub cpu: f64,
    /// The peak memory in KiB, of it or one of its descendants.
    pub memory: u64,
}

/// All measurements of the contestants, by name: one sample for each round.
pub type Measured = Vec<(String, Vec<Sample>)>;

pub fn wall(sample: &Sample) -> f64 {
    sample.wall
}

pub fn cpu(sample: &Sample) -> f64 {
    sample.cpu
}

fn sorted(samples: &[Sample], value: fn(&Sample) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = samples.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

pub fn median(samples: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    median_of(samples.iter().map(value).collect())
}

fn pairwise(samples: &[Sample], others: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    median_of(samples.iter().zip(others).map(|(one, other)| value(one) / value(other)).collect())
}

fn peak(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.memory).max().unwrap_or(0)
}

/// Returns the ratio of minirun's cost to another contestant's, as the median over the rounds; none if one of them was
/// not measured.
pub fn ratio(measured: &Measured, other: &str, value: fn(&Sample) -> f64) -> Option<f64> {
    let samples = |name: &str| measured.iter().find(|(found, _)| found == name).map(|(_, samples)| samples);
    Some(pairwise(samples("minirun")?, samples(other)?, value))
}

pub fn print_runs(measured: &Measured) {
    let heads = ["min", "median", "max", "CPU", "peak KiB", "it / floor", "minirun / it", "in CPU"];
    println!("  {:<10}{}", "", heads.map(|head| format!("{head:>13}")).concat());
    for (name, samples) in measured {
        let walls = sorted(samples, wall);
        println!(
            "  {name:<10}{:>13.0}{:>13.0}{:>13.0}{:>13.0}{:>13}{:>13.2}{:>13.2}{:>13.2}",
            walls[0],
            median(samples, wall),
            walls[walls.len() - 1],
            median(samples, cpu),
            peak(samples),
            pairwise(samples, &measured[0].1, wall),
            ratio(measured, name, wall).unwrap_or(f64::NAN),
            ratio(measured, name, cpu).unwrap_or(f64::NAN),
        );
    }
}

pub fn print_cycles(cycles: &BTreeMap<&str, Measured>) {
    let Some(names) = cycles.values().next() else { return };
    println!("  {:<11}{}", "", names.iter().map(|(name, _)| format!("{name:>24}")).collect::<String>());
    println!("  {:<11}{}", "", "    wall     CPU    peak".repeat(names.len()));
    for (step, measured) in cycles {
        let mut line = format!("  {:<11}", &step[2..]);
        for (name, _) in names {
            let Some((_, samples)) = measured.iter().find(|(found, _)| found == name) else {
                let _infallible = write!(line, "{:>8}{:>8}{:>8}", "-", "-", "-");
                continue;
            };
            let (wall, cpu) = (median(samples, wall), median(samples, cpu));
            let _infallible = write!(line, "{wall:>8.0}{cpu:>8.0}{:>8}", peak(samples));
        }
        println!("{line}");
    }
}

/// Prints the contestants of one bundle: wall and CPU time, and minirun's ratios.
pub fn print_pairs(measured: &Measured) {
    println!("  {:<10}{}", "", ["median", "CPU", "minirun / it", "in CPU"].map(|head| format!("{head:>13}")).concat());
    for (name, samples) in measured {
        println!(
            "  {name:<10}{:>13.0}{:>13.0}{:>13.2}{:>13.2}",
            median(samples, wall),
            median(samples, cpu),
            ratio(measured, name, wall).unwrap_or(f64::NAN),
            ratio(measured, name, cpu).unwrap_or(f64::NAN),
        );
    }
}
