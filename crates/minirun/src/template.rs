//! `minirun spec`: a configuration to start from.

use std::fs::File;
use std::io::Write as _;

use anyhow::{Context, Result};

use crate::cli::Call;

/// Writes `config.json` into the bundle; one that is there already stays.
pub fn spec(call: &Call) -> Result<()> {
    let dir = call.path("bundle").unwrap_or_else(|| ".".into());
    let path = dir.join("config.json");
    match File::options().write(true).create_new(true).open(&path) {
        Ok(mut file) => {
            file.write_all(include_bytes!("template.json")).with_context(|| format!("write {}", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            anyhow::bail!("File config.json exists. Remove it first")
        }
        Err(error) => Err(error).with_context(|| format!("write {}", path.display())),
    }
}
