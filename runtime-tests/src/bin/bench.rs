//! The benchmark: compares minirun with the floor and with every other installed runtime, in one run.
//!
//! `bench MINIRUN FLOOR [--rounds N] [--check]`, with cgroup2 at /sys/fs/cgroup. Every contestant runs once in each
//! round, in an order that changes from round to round, and ratios are computed within a round, so a disturbance longer
//! than a round affects all of them. With `--check` the exit status is 1 if a limit is exceeded.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "bench/bundles.rs"]
mod bundles;
#[path = "bench/contest.rs"]
mod contest;
#[path = "bench/extras.rs"]
mod extras;
#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/list.rs"]
mod list;
#[path = "bench/turn.rs"]
mod turn;
#[path = "bench/verdict.rs"]
mod verdict;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use contest::Refusal;
use figures::{Measured, cpu, median, print_cycles, print_runs, wall};
use verdict::Figures;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const OTHERS: [&str; 3] = ["runc", "crun", "youki"];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that runs the bundle.
#[derive(Debug, Clone)]
struct Contestant {
    name: String,
    program: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse()?;
    let bench = Bench::set_up(&options)?;
    let verdict = bench.everything(options.rounds);
    bench.clean_up();
    if !verdict? && options.check {
        std::process::exit(1);
    }
    Ok(())
}

struct Options {
    minirun: PathBuf,
    floor: PathBuf,
    rounds: usize,
    check: bool,
}

impl Options {
    fn parse() -> Result<Options> {
        let (mut programs, mut rounds, mut check) = (Vec::new(), 100, false);
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => rounds = words.next().ok_or("--rounds requires a number")?.parse()?,
                "--check" => check = true,
                _ if word.starts_with('-') => return Err(format!("unknown option {word}").into()),
                _ => programs.push(fs::canonicalize(&word).map_err(|error| format!("{word}: {error}"))?),
            }
        }
        let [minirun, floor] = <[PathBuf; 2]>::try_from(programs).map_err(|_| "usage: bench MINIRUN FLOOR")?;
        Ok(Options { minirun, floor, rounds: rounds.max(1), check })
    }
}

/// A tmpfs with the bundles and the state of the runtimes, in a separate mount namespace.
struct Bench {
    home: PathBuf,
    /// The prefix of every container's id.
    prefix: String,
    minirun: Contestant,
    floor: Contestant,
    others: Vec<Contestant>,
}

impl Bench {
    fn set_up(options: &Options) -> Result<Bench> {
        let cgroup2 = nix::sys::statfs::statfs("/sys/fs/cgroup")?.filesystem_type();
        if cgroup2 != nix::sys::statfs::CGROUP2_SUPER_MAGIC {
            return Err("no cgroup2 at /sys/fs/cgroup (hint: run this through runtime-tests/private-cgroup2)".into());
        }
        let busybox = find("busybox").ok_or("no busybox (hint: install busybox-static)")?;
        let prefix = format!("bench{}x", std::process::id());
        let home = std::env::temp_dir().join(&prefix);
        fs::create_dir(&home)?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        mount(Some("bench"), &home, Some("tmpfs"), MsFlags::empty(), Some("mode=700"))?;
        // Processes that a runtime leaves running become children of this process, which waits for them.
        nix::sys::prctl::set_child_subreaper(true)?;

        let contestant = |name: &str, program: &Path| Contestant { name: name.into(), program: program.to_owned() };
        let others = OTHERS.iter().filter_map(|name| Some(contestant(name, &find(name)?))).collect();
        let (minirun, floor) = (contestant("minirun", &options.minirun), contestant("floor", &options.floor));
        let bench = Bench { home, prefix, minirun, floor, others };
        bench.make_bundles(&busybox).inspect_err(|_| bench.clean_up())?;
        Ok(bench)
    }

    fn clean_up(&self) {
        self.remove_leftovers();
        let _best_effort = umount2(&self.home, MntFlags::MNT_DETACH);
        let _best_effort = fs::remove_dir(&self.home);
    }

    /// Measures and prints. Returns whether every limit was met.
    fn everything(&self, rounds: usize) -> Result<bool> {
        println!("The peak memory of a call is visible only above this program's own {} KiB.", turn::own_memory()?);
        let load = fs::read_to_string("/proc/loadavg")?;
        println!(
            "Load average {}: on a busy machine trust CPU time more than wall time.\n",
            &load[..load.find(' ').unwrap_or(0)]
        );

        let all: Vec<_> = [&self.floor, &self.minirun].into_iter().chain(&self.others).cloned().collect();
        let (able, unable) = self.able("default", &all)?;
        let default = self.measure_runs("default", &able, rounds)?;
        println!(
            "run of the bundle of `minirun spec`, with /bin/true, no terminal and ociVersion 1.0.2; {rounds} rounds; µs:"
        );
        print_runs(&default);
        print_refusals(&unable);

        let mut open = Measured::new();
        let mut in_cycles: Vec<_> = able[1..].to_vec();
        if !unable.is_empty() {
            let (able, unable) = self.able("any-device", &all)?;
            open = self.measure_runs("any-device", &able, rounds)?;
            println!("the same with every device allowed (only runc loads a filter then); {rounds} rounds; µs:");
            print_runs(&open);
            print_refusals(&unable);
            in_cycles = able[1..].to_vec();
        }

        let rounds = rounds.div_ceil(2);
        let cycles = self.measure_cycles(&in_cycles, rounds)?;
        println!("single commands, every device allowed; medians of {rounds} rounds; wall and CPU in µs, peak in KiB:");
        print_cycles(&cycles);
        println!();
        let (stopped, running) = list::measure(self, &self.minirun, rounds)?;
        println!("list of 1000 containers; medians of {rounds} rounds; wall and CPU in µs:");
        for (what, samples) in [("stopped", &stopped), ("running", &running)] {
            println!("  {what:<11}{:>8.0}{:>8.0}", median(samples, wall), median(samples, cpu));
        }
        println!();
        let dearer = median(&stopped, wall).max(median(&running, wall));
        let runtimes = &all[1..];
        let filtered = self.measure_filtered(runtimes, rounds)?;
        let per_mount = self.measure_mounts(runtimes, rounds.div_ceil(2))?;
        let list_milliseconds = dearer / 1000.0;
        self.judge(&Figures { default, open, cycles, list_milliseconds, filtered, per_mount })
    }
}

fn print_refusals(unable: &[Refusal]) {
    unable.iter().for_each(|(contestant, reason)| println!("{} cannot run it: {reason}", contestant.name));
    println!();
}

fn find(program: &str) -> Option<PathBuf> {
    PATH.split(':').map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}
