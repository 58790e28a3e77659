//! `minirun ps`: the processes of a container, as JSON or as ps(1) shows them.

use std::process::Command;

use anyhow::{Context, Result, bail};
use minirun_container::Runtime;

use crate::report::{Format, print};

/// `minirun ps`: the pids as JSON, or the lines of ps(1) that are about them, called with these options.
pub fn ps(runtime: &Runtime<'_>, id: &str, format: Format, options: &[String]) -> Result<()> {
    let pids = runtime.container(id)?.pids()?;
    match format {
        Format::Json => print(&format!("{}\n", serde_json::to_string(&pids)?)),
        Format::Table => print(&table(options, &pids)?),
    }
}

/// What `ps` says of these processes. Engines pass all of its options as one word.
fn table(options: &[String], pids: &[i32]) -> Result<String> {
    let options: Vec<&str> = options.iter().flat_map(|option| option.split_whitespace()).collect();
    let options = if options.is_empty() { vec!["-ef"] } else { options };
    let output = Command::new("ps").args(&options).output().context("run ps")?;
    if !output.status.success() {
        bail!("ps {}: {}", options.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let column =
        head.split_whitespace().position(|name| name == "PID").context("couldn't find PID field in ps output")?;
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    Ok(std::iter::once(head).chain(lines.filter(ours)).fold(String::new(), |text, line| text + line + "\n"))
}
