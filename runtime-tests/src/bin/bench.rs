//! The benchmark: minirun beside the floor and beside every other runtime that is installed, in one run.
//!
//! `bench MINIRUN FLOOR [--rounds N] [--check]`, with cgroup2 at /sys/fs/cgroup. All contestants take their turn in each
//! round, in an order that changes from round to round, and ratios are taken within a round: what disturbs the machine
//! for longer than a round disturbs them all. With `--check` the exit status is 1 when a bar is missed.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "bench/list.rs"]
mod list;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const OTHERS: [&str; 3] = ["runc", "crun", "youki"];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const WARM_UP: usize = 5;
/// The kernel tears namespaces down after their last process has ended: the next contestant shall not pay for it.
const SETTLE: Duration = Duration::from_millis(5);

/// What one call cost.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    /// Microseconds from before the call until after its end.
    wall: f64,
    /// Microseconds of processor time, of its descendants as well.
    cpu: f64,
    /// The most memory that it or one of its descendants had at a time, in KiB.
    memory: u64,
}

/// A program that can run the bundle.
#[derive(Debug, Clone)]
struct Contestant {
    name: String,
    program: PathBuf,
}

/// Who cannot run a bundle, and why.
type Refusal = (Contestant, String);

/// All measurements of the contestants, by name: one sample for each round.
type Measured = Vec<(String, Vec<Sample>)>;

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
                "--rounds" => rounds = words.next().ok_or("--rounds needs a number")?.parse()?,
                "--check" => check = true,
                _ if word.starts_with('-') => return Err(format!("unknown option {word}").into()),
                _ => programs.push(fs::canonicalize(&word).map_err(|error| format!("{word}: {error}"))?),
            }
        }
        let [minirun, floor] = <[PathBuf; 2]>::try_from(programs).map_err(|_| "usage: bench MINIRUN FLOOR")?;
        Ok(Options { minirun, floor, rounds: rounds.max(1), check })
    }
}

/// A file system in memory with the bundles and the state of the runtimes, in a mount namespace of its own.
struct Bench {
    home: PathBuf,
    /// Every container's id starts with it.
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
        // What a runtime leaves running comes to us, so that its end can be awaited.
        nix::sys::prctl::set_child_subreaper(true)?;

        let contestant = |name: &str, program: &Path| Contestant { name: name.into(), program: program.to_owned() };
        let others = OTHERS.iter().filter_map(|name| Some(contestant(name, &find(name)?))).collect();
        let (minirun, floor) = (contestant("minirun", &options.minirun), contestant("floor", &options.floor));
        let bench = Bench { home, prefix, minirun, floor, others };
        bench.make_bundles(&busybox).inspect_err(|_| bench.clean_up())?;
        Ok(bench)
    }

    /// Three bundles over one root file system: the default one, one without a device filter, one that keeps running.
    fn make_bundles(&self, busybox: &Path) -> Result<()> {
        let root = self.home.join("rootfs");
        for directory in ["bin", "dev", "proc", "sys"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::copy(busybox, root.join("bin/busybox"))?;
        fs::set_permissions(root.join("bin/busybox"), fs::Permissions::from_mode(0o755))?;
        symlink("busybox", root.join("bin/true"))?;
        symlink("busybox", root.join("bin/sleep"))?;

        let default = self.home.join("default");
        fs::create_dir(&default)?;
        let spec = Command::new(&self.minirun.program).arg("spec").arg("--bundle").arg(&default).status()?;
        if !spec.success() {
            return Err(format!("minirun spec: {spec}").into());
        }
        let mut config: Value = serde_json::from_slice(&fs::read(default.join("config.json"))?)?;
        config["ociVersion"] = "1.0.2".into();
        config["process"]["terminal"] = false.into();
        config["process"]["args"] = json!(["/bin/true"]);
        config["root"]["path"] = json!(root);
        let write = |name: &str, config: &Value| -> Result<()> {
            fs::create_dir_all(self.home.join(name))?;
            Ok(fs::write(self.home.join(name).join("config.json"), config.to_string())?)
        };
        write("default", &config)?;
        config["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
        write("any-device", &config)?;
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        write("sleep", &config)
    }

    fn clean_up(&self) {
        self.remove_leftovers();
        let _best_effort = umount2(&self.home, MntFlags::MNT_DETACH);
        let _best_effort = fs::remove_dir(&self.home);
    }

    /// What a runtime that failed leaves behind.
    fn remove_leftovers(&self) {
        let cgroups = Path::new("/sys/fs/cgroup");
        each_cgroup(cgroups, &self.prefix, 3, &mut |cgroup| {
            let _none_in_it = fs::write(cgroup.join("cgroup.kill"), "1");
        });
        if let Err(error) = reap_orphans() {
            println!("{error}");
        }
        each_cgroup(cgroups, &self.prefix, 3, &mut |cgroup| match fs::remove_dir(cgroup) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                println!("cannot remove {}: {error}", cgroup.display())
            }
            _ => {}
        });
        let _may_be_gone = fs::remove_dir_all(self.home.join("state"));
    }

    /// Measures and prints; the answer is whether every bar was met.
    fn everything(&self, rounds: usize) -> Result<bool> {
        println!("A call's peak memory is seen only above this program's own {} KiB.", own_memory()?);
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
        unable.iter().for_each(|(contestant, reason)| println!("{} is not in it: {reason}", contestant.name));
        println!();

        let mut open = Measured::new();
        let mut in_cycles: Vec<_> = able[1..].to_vec();
        if !unable.is_empty() {
            let (able, unable) = self.able("any-device", &all)?;
            open = self.measure_runs("any-device", &able, rounds)?;
            println!("the same with every device allowed (only runc loads a filter then); {rounds} rounds; µs:");
            print_runs(&open);
            unable.iter().for_each(|(contestant, reason)| println!("{} is not in it: {reason}", contestant.name));
            println!();
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
        self.judge(&default, &open, &cycles, dearer / 1000.0)
    }

    /// Who can run the bundle, and who cannot for what reason.
    fn able(&self, bundle: &str, all: &[Contestant]) -> Result<(Vec<Contestant>, Vec<Refusal>)> {
        let (mut able, mut unable) = (Vec::new(), Vec::new());
        for contestant in all {
            let output = self.run_command(contestant, bundle, "able").stderr(Stdio::piped()).output();
            match output {
                Ok(output) if output.status.success() => able.push(contestant.clone()),
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output.stderr);
                    unable.push((contestant.clone(), text.trim().lines().next_back().unwrap_or("").to_owned()));
                }
                Err(error) => unable.push((contestant.clone(), error.to_string())),
            }
            self.remove_leftovers();
        }
        match unable.iter().find(|(contestant, _)| ["floor", "minirun"].contains(&contestant.name.as_str())) {
            Some((contestant, reason)) => Err(format!("{} cannot run the bundle: {reason}", contestant.name).into()),
            None => Ok((able, unable)),
        }
    }

    fn call(&self, contestant: &Contestant, arguments: &[&str]) -> Command {
        let mut command = quiet(&contestant.program);
        command.arg("--root").arg(self.home.join("state").join(&contestant.name)).args(arguments);
        command
    }

    fn run_command(&self, contestant: &Contestant, bundle: &str, turn: &str) -> Command {
        let id = format!("{}{}-{turn}", self.prefix, contestant.name);
        let _there_already = fs::create_dir(self.home.join("state"));
        if contestant.name != "floor" {
            let bundle = self.home.join(bundle);
            return self.call(contestant, &["run", "--bundle", &bundle.to_string_lossy(), &id]);
        }
        let mut command = quiet(&contestant.program);
        command.args(["--any-device"].iter().filter(|_| bundle != "default"));
        command.arg(Path::new("/sys/fs/cgroup").join(id)).arg(self.home.join("rootfs")).arg("/bin/true");
        command
    }

    fn measure_runs(&self, bundle: &str, contestants: &[Contestant], rounds: usize) -> Result<Measured> {
        let mut measured: Measured = contestants.iter().map(|one| (one.name.clone(), Vec::new())).collect();
        for round in 0..WARM_UP + rounds {
            for i in order(contestants.len(), round) {
                let mut command = self.run_command(&contestants[i], bundle, &round.to_string());
                std::thread::sleep(SETTLE);
                let sample = take(&mut command)?;
                if round >= WARM_UP {
                    measured[i].1.push(sample);
                }
            }
        }
        Ok(measured)
    }

    /// A container's life in single commands, by command.
    fn measure_cycles(&self, contestants: &[Contestant], rounds: usize) -> Result<BTreeMap<&'static str, Measured>> {
        let mut cycles: BTreeMap<&str, Measured> = BTreeMap::new();
        let bundle = self.home.join("sleep");
        // crun has it since 1.9.
        let has = |one: &&Contestant| {
            self.call(one, &["features"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        let featured: Vec<_> = contestants.iter().filter(has).map(|one| one.name.clone()).collect();
        for round in 0..1 + rounds {
            for i in order(contestants.len(), round) {
                let contestant = &contestants[i];
                let id = format!("{}{}-c{round}", self.prefix, contestant.name);
                for (step, arguments) in [
                    ("1 create", vec!["create", "--bundle", &bundle.to_string_lossy(), &id]),
                    ("2 start", vec!["start", &id]),
                    ("3 exec", vec!["exec", &id, "/bin/true"]),
                    ("4 state", vec!["state", &id]),
                    ("5 kill", vec!["kill", &id, "KILL"]),
                    ("6 delete", vec!["delete", &id]),
                    ("7 features", vec!["features"]),
                    ("8 --version", vec!["--version"]),
                ] {
                    if step == "7 features" && !featured.contains(&contestant.name) {
                        continue;
                    }
                    let mut command = self.call(contestant, &arguments);
                    std::thread::sleep(SETTLE);
                    let sample = take(&mut command)?;
                    if step == "5 kill" {
                        reap_orphans()?;
                    }
                    if round == 0 {
                        continue;
                    }
                    let of_step = cycles.entry(step).or_default();
                    match of_step.iter_mut().find(|(name, _)| *name == contestant.name) {
                        Some((_, samples)) => samples.push(sample),
                        None => of_step.push((contestant.name.clone(), vec![sample])),
                    }
                }
            }
        }
        cycles.values_mut().for_each(|of_step| {
            of_step.sort_by_key(|(name, _)| contestants.iter().position(|contestant| contestant.name == *name))
        });
        Ok(cycles)
    }

    fn judge(
        &self,
        default: &Measured,
        open: &Measured,
        cycles: &BTreeMap<&str, Measured>,
        list_milliseconds: f64,
    ) -> Result<bool> {
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
        let bars = [
            ("wall time of run, minirun / crun", against("crun"), 0.7, ""),
            ("wall time of run, minirun / floor", against("floor"), 1.6, ""),
            ("wall time of exec, minirun / crun", step("3 exec", "crun"), 0.7, ""),
            ("wall time of list, 1000 containers", Some(list_milliseconds), 50.0, " ms"),
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
            println!("  {what:<36}{:<12}{value:<10}{verdict}", format!("<= {bar}{unit}"));
        }
        Ok(all_met)
    }
}

/// The order of the contestants in a round: each is first, last and after each other equally often.
fn order(count: usize, round: usize) -> Vec<usize> {
    let mut turns: Vec<usize> = (0..count).map(|i| (i + round / 2) % count).collect();
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

/// A command in an environment that is always the same, with errors for its only stream.
fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Runs a command that must succeed, and measures it.
fn take(command: &mut Command) -> Result<Sample> {
    let begin = Instant::now();
    let child = command.spawn()?;
    let mut status = 0;
    // SAFETY: all-zero is a valid rusage; both values outlive the call, and the child is ours and not yet waited for.
    let (usage, answer) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let answer = libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage);
        (usage, answer)
    };
    let wall = begin.elapsed();
    if answer < 0 || status != 0 {
        return Err(format!("wait status {status:#x} of {command:?}").into());
    }
    let micros = |time: libc::timeval| time.tv_sec as f64 * 1e6 + time.tv_usec as f64;
    Ok(Sample {
        wall: wall.as_secs_f64() * 1e6,
        cpu: micros(usage.ru_utime) + micros(usage.ru_stime),
        memory: usage.ru_maxrss as u64,
    })
}

/// Waits until nothing that a runtime left to us is running.
fn reap_orphans() -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(nix::errno::Errno::ECHILD) => return Ok(()),
            Ok(WaitStatus::StillAlive) if Instant::now() > end => return Err("a container outlives SIGKILL".into()),
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_micros(200)),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The child inherits this process's peak at its birth: what it needs below that cannot be seen.
fn own_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn find(program: &str) -> Option<PathBuf> {
    PATH.split(':').map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

/// The cgroups whose name holds `mark`, with those inside them, from the innermost outwards.
fn each_cgroup(at: &Path, mark: &str, depth: u32, act: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let ours = entry.file_name().to_string_lossy().contains(mark);
        // What is inside one of ours is ours.
        each_cgroup(&entry.path(), if ours { "" } else { mark }, depth - 1, act);
        if ours {
            act(&entry.path());
        }
    }
}

fn wall(sample: &Sample) -> f64 {
    sample.wall
}

fn cpu(sample: &Sample) -> f64 {
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

fn median(samples: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    median_of(samples.iter().map(value).collect())
}

fn pairwise(samples: &[Sample], others: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    median_of(samples.iter().zip(others).map(|(one, other)| value(one) / value(other)).collect())
}

fn peak(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.memory).max().unwrap_or(0)
}

/// minirun's cost in relation to somebody's, the median over the rounds; none when one of them was not measured.
fn ratio(measured: &Measured, other: &str, value: fn(&Sample) -> f64) -> Option<f64> {
    let samples = |name: &str| measured.iter().find(|(found, _)| found == name).map(|(_, samples)| samples);
    Some(pairwise(samples("minirun")?, samples(other)?, value))
}

fn print_runs(measured: &Measured) {
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

fn print_cycles(cycles: &BTreeMap<&str, Measured>) {
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
