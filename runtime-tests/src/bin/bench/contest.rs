//! The contest: the contestants that can run a bundle, and their cost, round by round.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Bench, Contestant, Result};
use crate::figures::Measured;
use crate::turn::{order, quiet, reap_orphans, take};

const WARM_UP: usize = 5;
/// A pause between turns: the kernel destroys namespaces after their last process has ended, which must not count for
/// the next contestant.
const SETTLE: Duration = Duration::from_millis(5);

/// A contestant that cannot run a bundle, and the reason.
pub type Refusal = (Contestant, String);

impl Bench {
    /// Returns the contestants that can run the bundle, and those that cannot with the reasons.
    pub fn able(&self, bundle: &str, all: &[Contestant]) -> Result<(Vec<Contestant>, Vec<Refusal>)> {
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

    pub fn call(&self, contestant: &Contestant, arguments: &[&str]) -> Command {
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

    pub fn measure_runs(&self, bundle: &str, contestants: &[Contestant], rounds: usize) -> Result<Measured> {
        self.measure_runs_after(bundle, contestants, rounds, &|_| ())
    }

    /// As `measure_runs`; the action before each turn is not measured.
    pub fn measure_runs_after(
        &self,
        bundle: &str,
        contestants: &[Contestant],
        rounds: usize,
        before: &dyn Fn(&Contestant),
    ) -> Result<Measured> {
        let mut measured: Measured = contestants.iter().map(|one| (one.name.clone(), Vec::new())).collect();
        for round in 0..WARM_UP + rounds {
            for i in order(contestants.len(), round) {
                before(&contestants[i]);
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

    /// Measures a container's life in single commands, by command.
    pub fn measure_cycles(
        &self,
        contestants: &[Contestant],
        rounds: usize,
    ) -> Result<BTreeMap<&'static str, Measured>> {
        let mut cycles: BTreeMap<&str, Measured> = BTreeMap::new();
        let bundle = self.home.join("sleep");
        // crun supports it since 1.9.
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

    /// Removes containers that a failed runtime left behind.
    pub fn remove_leftovers(&self) {
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
}

/// Visits the cgroups with `mark` in their name, and those inside them, from the innermost outwards.
fn each_cgroup(at: &Path, mark: &str, depth: u32, act: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let ours = entry.file_name().to_string_lossy().contains(mark);
        // All cgroups inside a matching one match.
        each_cgroup(&entry.path(), if ours { "" } else { mark }, depth - 1, act);
        if ours {
            act(&entry.path());
        }
    }
}
