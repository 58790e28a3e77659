//! `minirun spec`: a configuration to start from.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use minirun_plan::template::{self, CPUS, THROTTLE};

/// The masked paths of this machine's CPUs.
fn cpu_masks() -> Result<Vec<String>> {
    let doing = || format!("list {CPUS}");
    let entries = match std::fs::read_dir(CPUS) {
        // A machine, or a container, without sysfs has nothing to hide there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        answer => answer.with_context(doing)?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    template::cpu_masks(names, |name| Path::new(CPUS).join(name).join(THROTTLE).try_exists()).with_context(doing)
}

/// Who the container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Root,
    /// An ordinary user, who runs it.
    User,
}

/// Writes `config.json` into the bundle; one that is there already stays.
pub fn spec(dir: &Path, whose: Whose) -> Result<()> {
    let path = dir.join("config.json");
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let masks = cpu_masks()?;
    let text = match whose {
        Whose::User => template::to_text(&template::rootless(&masks, uid, gid)?)?,
        Whose::Root => template::text(&masks).into_bytes(),
    };
    match File::options().write(true).create_new(true).open(&path) {
        Ok(mut file) => file.write_all(&text).with_context(|| format!("write {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            anyhow::bail!("File config.json exists. Remove it first")
        }
        Err(error) => Err(error).with_context(|| format!("write {}", path.display())),
    }
}
