//! Measures `list` with a thousand containers: the record of one container, stopped or running, copied to a thousand
//! names.

use std::fs;
use std::path::Path;

use super::{Bench, Contestant, Result};
use crate::figures::Sample;
use crate::turn::{reap_orphans, take};

const COUNT: usize = 1000;

/// Returns minirun's samples for stopped and for running containers.
pub fn measure(bench: &Bench, minirun: &Contestant, rounds: usize) -> Result<(Vec<Sample>, Vec<Sample>)> {
    let id = format!("{}list", bench.prefix);
    let bundle = bench.home.join("sleep");
    take(&mut bench.call(minirun, &["create", "--bundle", &bundle.to_string_lossy(), &id]))?;
    take(&mut bench.call(minirun, &["start", &id]))?;
    let root = bench.home.join("state").join(&minirun.name);
    copy(&root, &id)?;
    let list = || (0..rounds).map(|_| take(&mut bench.call(minirun, &["list"]))).collect::<Result<Vec<_>>>();
    let running = list()?;
    take(&mut bench.call(minirun, &["kill", &id, "KILL"]))?;
    reap_orphans()?;
    let stopped = list()?;
    for copy in 1..COUNT {
        fs::remove_dir_all(root.join(format!("{id}{copy}")))?;
    }
    take(&mut bench.call(minirun, &["delete", &id]))?;
    Ok((stopped, running))
}

fn copy(root: &Path, id: &str) -> Result<()> {
    let record = fs::read_to_string(root.join(id).join("state.json"))?;
    for copy in 1..COUNT {
        let name = format!("{id}{copy}");
        fs::create_dir(root.join(&name))?;
        fs::write(root.join(&name).join("state.json"), record.replacen(id, &name, 1))?;
    }
    Ok(())
}
