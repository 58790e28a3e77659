//! `minirun check`: what this host can do, found out by trying it, and whether a bundle can run here.
//!
//! A kernel's version says little: options are left out, modules are missing, sysctls and capabilities take away again. So
//! each row is the answer to a trial, made in a child process whose namespaces and mounts end with it. Nothing stays.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

mod bundle;
mod cgroups;
mod confinement;
mod files;
mod mounts;
mod namespaces;
mod processes;
mod signals;
mod trial;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use minirun_container::{Create, Runtime};
use minirun_sys::Errno;
use serde::Serialize;

use crate::report::{EndedBySignal, printable};

/// What helps where only a user namespace gives the right to something.
const IN_USER_NAMESPACE: &str =
    "run as root, or add {\"type\": \"user\"} to linux.namespaces, with this user in the id mappings";

/// What was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// It works.
    Ok,
    /// It works in part, or under a condition.
    Limited,
    /// It does not work.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
struct Row {
    /// `namespaces.user`; or the field of a bundle.
    name: String,
    verdict: Verdict,
    /// The kernel's answer, or a fact.
    seen: String,
    /// Which field or command needs it; of a bundle, the step of its plan.
    matters: String,
    /// What to do about it; empty when nothing is to be done.
    advice: String,
    /// Whether every container needs it.
    #[serde(skip)]
    essential: bool,
}

impl Row {
    fn new(name: impl Into<String>, verdict: Verdict, seen: impl Into<String>, matters: impl Into<String>) -> Row {
        let (name, seen, matters) = (name.into(), seen.into(), matters.into());
        Row { name, verdict, seen, matters, advice: String::new(), essential: false }
    }

    fn ok(name: impl Into<String>, seen: impl Into<String>, matters: impl Into<String>) -> Row {
        Row::new(name, Verdict::Ok, seen, matters)
    }

    fn limited(name: impl Into<String>, seen: impl Into<String>, matters: impl Into<String>) -> Row {
        Row::new(name, Verdict::Limited, seen, matters)
    }

    fn missing(name: impl Into<String>, seen: impl Into<String>, matters: impl Into<String>) -> Row {
        Row::new(name, Verdict::Missing, seen, matters)
    }

    /// Success, or what a trial failed with.
    fn of_trial(name: &str, tried: &str, result: trial::Answer, matters: &str, advice: &str) -> Row {
        match result {
            Ok(()) => Row::ok(name, tried, matters),
            Err(failure) => Row::missing(name, failure.to_string(), matters).advice(advice),
        }
    }

    /// As [`Row::of_trial`], of something that may work in a new user namespace where it does not work outside.
    fn of_trials(
        name: &str,
        tried: &str,
        try_beside: impl Fn(i32) -> trial::Answer,
        matters: &str,
        advice: &str,
    ) -> Row {
        let refused = |failure: &trial::Failure| failure.is(Errno::EPERM) || failure.is(Errno::EACCES);
        match try_beside(0) {
            Err(failure) if refused(&failure) && try_beside(libc::CLONE_NEWUSER).is_ok() => {
                let seen = format!("{failure}; it works in a new user namespace");
                Row::limited(name, seen, matters).advice(IN_USER_NAMESPACE)
            }
            answer => Row::of_trial(name, tried, answer, matters, advice),
        }
    }

    fn advice(self, advice: impl Into<String>) -> Row {
        Row { advice: if self.verdict == Verdict::Ok { String::new() } else { advice.into() }, ..self }
    }

    fn essential(self) -> Row {
        Row { essential: true, ..self }
    }

    /// An ordinary user's default bundle, of `spec --rootless`, has a user namespace.
    fn is_obstacle(&self) -> bool {
        match self.verdict {
            Verdict::Ok => false,
            Verdict::Limited => self.essential && nix::unistd::geteuid().is_root(),
            Verdict::Missing => self.essential,
        }
    }
}

/// `minirun check`: success when a default bundle, or the named one, can run.
pub fn check(runtime: &Runtime<'_>, plan: Option<&Create>, json: bool) -> Result<ExitCode> {
    // A signal ends the trial that is being waited for, and no later one: there can be a cgroup to be removed.
    minirun_sys::block_signals().context("block signals")?;
    let host = probe(runtime, plan.map(|plan| plan.bundle.as_path()));
    let named = plan.is_some();
    let rows = match plan {
        Some(plan) => bundle::check(runtime, plan, &host)?,
        None => host,
    };
    if let Some(signal) = signals::interrupted() {
        return Err(anyhow!("interrupted by a signal").context(EndedBySignal(signal)));
    }
    let runs = !rows.iter().any(Row::is_obstacle);
    let text = match json {
        true => format!("{}\n", serde_json::to_string_pretty(&rows)?),
        false if named => of_bundle(&rows, runs),
        false => of_host(&rows, runs),
    };
    crate::report::print(&text)?;
    Ok(if runs { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Every probe of the host.
fn probe(runtime: &Runtime<'_>, bundle: Option<&Path>) -> Vec<Row> {
    let mut rows = namespaces::rows();
    rows.extend(mounts::rows(runtime, bundle));
    rows.extend(cgroups::rows());
    rows.extend(processes::rows());
    rows.extend(confinement::rows());
    rows.extend(files::rows(runtime));
    rows
}

/// The table of a host: a line for each probe, grouped by what stands before the dot, and then the explanations.
fn of_host(rows: &[Row], runs: bool) -> String {
    let label = |row: &Row| row.name.split_once('.').map_or(row.name.clone(), |(_, label)| label.to_owned());
    let width = rows.iter().map(|row| label(row).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut group = "";
    for row in rows {
        let own = row.name.split('.').next().unwrap_or("");
        if own != group {
            group = own;
            line(&mut text, format_args!("{group}"));
        }
        line(&mut text, format_args!("  {:<8} {:<width$}  {}", word(row.verdict), label(row), printable(&row.seen)));
    }
    explain(&mut text, rows, "needed by", |verdict| format!("{}: ", word(verdict)));
    let whose = if nix::unistd::geteuid().is_root() { "" } else { " of spec --rootless" };
    line(&mut text, format_args!("\na default bundle{whose} {} run here", if runs { "can" } else { "cannot" }));
    text
}

/// For a bundle only what stands in the way, or is worth knowing.
fn of_bundle(rows: &[Row], runs: bool) -> String {
    let mut text = String::new();
    // A problem of a bundle needs no verdict: a value can be invalid rather than missing.
    let verdict = |verdict| if verdict == Verdict::Missing { String::new() } else { format!("{}: ", word(verdict)) };
    explain(&mut text, rows, "step", verdict);
    let places = rows.len();
    line(&mut text, format_args!("\nthis bundle {} run here ({places} places)", if runs { "can" } else { "cannot" }));
    text.trim_start_matches('\n').to_owned()
}

/// What is not as it should be, each with why that matters and what to do; neighbours that are alike together.
fn explain(text: &mut String, rows: &[Row], matters: &str, verdict: impl Fn(Verdict) -> String) {
    let bad: Vec<&Row> = rows.iter().filter(|row| row.verdict != Verdict::Ok).collect();
    for alike in bad.chunk_by(|a, b| a.verdict == b.verdict && a.advice == b.advice && !a.advice.is_empty()) {
        line(text, format_args!(""));
        for row in alike {
            line(text, format_args!("{}: {}{}", printable(&row.name), verdict(row.verdict), printable(&row.seen)));
            if !row.matters.is_empty() {
                line(text, format_args!("  {matters:<9}  {}", printable(&row.matters)));
            }
        }
        if !alike[0].advice.is_empty() {
            line(text, format_args!("  to do      {}", printable(&alike[0].advice)));
        }
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _infallible = writeln!(text, "{arguments}");
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Limited => "limited",
        Verdict::Missing => "missing",
    }
}
