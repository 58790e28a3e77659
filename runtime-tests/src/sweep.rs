//! How much of a long sweep a test tries: a tenth, chosen by a seed that is printed, or all of it.
//!
//! `MINIRUN_SWEEP=full` tries every point; `MINIRUN_SEED=N` repeats the choice of an earlier run. The unit tests of the crates
//! include this file for their random cases.

#![allow(clippy::print_stdout, reason = "a seed that is not printed cannot be repeated")]

use std::time::{SystemTime, UNIX_EPOCH};

/// The source of a test's random choices. The seed is printed, so that a failure can be repeated.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Returns the generator for the test `name`, seeded by `MINIRUN_SEED` or else by the clock.
    ///
    /// # Panics
    /// If `MINIRUN_SEED` is not a number.
    #[must_use]
    pub fn for_test(name: &str) -> Random {
        let seed = match std::env::var("MINIRUN_SEED") {
            Ok(text) => text.parse().expect("MINIRUN_SEED is a number"),
            Err(_not_set) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into(),
        };
        println!("{name}: MINIRUN_SEED={seed} repeats this choice");
        Random(seed)
    }

    /// Returns the next number (splitmix64).
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_number() % limit
    }

    /// Returns an index of a list of this length, which must not be 0.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// Returns this many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next_number() as u8).collect()
    }

    /// Returns a text with a few faults: bytes that are others (of `likely`, or any), parts that are missing or twice there.
    pub fn damaged(&mut self, good: &[u8], likely: &[u8]) -> Vec<u8> {
        let mut text = good.to_vec();
        for _ in 0..=self.index(4) {
            let (first, second) = (self.index(text.len() + 1), self.index(text.len() + 1));
            let part = first.min(second)..first.max(second).min(first.min(second) + 64);
            match self.index(8) {
                0 => drop(text.drain(part)),
                1 => {
                    let again = text[part.clone()].to_vec();
                    drop(text.splice(part.start..part.start, again));
                }
                2 => text.truncate(part.end),
                _ if text.is_empty() => {}
                kind => {
                    let at = self.index(text.len());
                    text[at] = if kind < 7 { likely[self.index(likely.len())] } else { self.next_number() as u8 };
                }
            }
        }
        text
    }
}

/// Returns how many random cases a test tries: these, or a hundred times as many in full.
#[must_use]
pub fn cases(few: usize) -> usize {
    if is_full_sweep() { few * 100 } else { few }
}

/// Whether the sweeps are to be tried in full.
#[must_use]
pub fn is_full_sweep() -> bool {
    std::env::var("MINIRUN_SWEEP").is_ok_and(|scope| scope == "full")
}

/// Returns the points of a sweep that this run tries, in their order: all, or one in ten and at least one.
#[must_use]
pub fn sample<T>(name: &str, points: Vec<T>) -> Vec<T> {
    if is_full_sweep() {
        return points;
    }
    let all = points.len();
    let mut random = Random::for_test(name);
    let must = random.below(all.max(1) as u64) as usize;
    let chosen: Vec<T> = points
        .into_iter()
        .enumerate()
        .filter(|(index, _)| random.below(10) == 0 || *index == must)
        .map(|(_, point)| point)
        .collect();
    println!("{name}: {} of {all} points (MINIRUN_SWEEP=full tries all)", chosen.len());
    chosen
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_its_numbers() {
        let numbers = |seed| {
            let mut random = Random(seed);
            [random.next_number(), random.next_number(), random.below(10)]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }
}
