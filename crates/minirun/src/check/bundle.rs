//! Whether this bundle can run here: each step of its plan is examined, or tried in a child that ends.
//!
//! Nothing of the container is made. What only the container itself would show, a program that finds its libraries missing,
//! is beyond this.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

mod identity;
mod kernel;
mod limits;
mod maps;
mod places;
mod program;
mod resctrl;
mod sharing;
mod surroundings;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use minirun_container::{Create, Error, Kind, Prepared, Runtime};
use minirun_plan::{Line, Op, Origin, Plan};

use super::namespaces::KINDS;
use super::{Row, Verdict};

/// What was found of a bundle, problems first.
struct Findings<'a> {
    plan: &'a Plan,
    rows: Vec<Row>,
    /// The plan as text, and the first line of each place.
    lines: Vec<Line>,
    places: BTreeMap<String, usize>,
    /// The problems so far by name and text: one thing at one place is said once, although several steps may meet it.
    told: BTreeSet<(String, String)>,
}

impl<'a> Findings<'a> {
    fn of(plan: &'a Plan) -> Findings<'a> {
        let lines = plan.lines();
        let mut places = BTreeMap::new();
        for (i, line) in lines.iter().enumerate().filter(|(_, line)| !line.origin.as_str().is_empty()) {
            places.entry(line.origin.as_str().to_owned()).or_insert(i);
        }
        Findings { plan, rows: Vec::new(), lines, places, told: BTreeSet::new() }
    }

    /// Something that keeps the bundle from running.
    fn problem(&mut self, origin: &Origin, seen: impl Into<String>, advice: impl Into<String>) {
        let row = Row::missing(origin.as_str(), seen, self.step_of(origin)).advice(advice).essential();
        if self.told.insert((row.name.clone(), row.seen.clone())) {
            self.rows.push(row);
        }
    }

    /// Something that may.
    fn doubt(&mut self, origin: &Origin, seen: impl Into<String>, advice: impl Into<String>) {
        self.rows.push(Row::limited(origin.as_str(), seen, self.step_of(origin)).advice(advice));
    }

    /// What the plan does because of this place, or of what it is in.
    fn step_of(&self, origin: &Origin) -> String {
        /// No place that a step comes from is deeper.
        const DEEPEST: usize = 16;
        let place = origin.as_str();
        let ends = place.match_indices(['.', '[']).map(|(end, _)| end).take(DEEPEST);
        let around = ends.filter_map(|end| self.places.get(&place[..end])).min();
        let line = self.places.get(place).or(around).map(|i| &self.lines[*i]);
        line.map_or(String::new(), |line| format!("{} {}", line.verb, line.subject))
    }

    /// The places that nothing was found of follow.
    fn finish(mut self) -> Vec<Row> {
        let mut named: BTreeSet<String> = self.rows.iter().map(|row| row.name.clone()).collect();
        for line in &self.lines {
            let name = line.origin.as_str();
            if !name.is_empty() && named.insert(name.to_owned()) {
                self.rows.push(Row::ok(name, format!("{} {}", line.verb, line.subject), ""));
            }
        }
        self.rows
    }
}

/// Checks the bundle in a directory, on a host of which these rows are known.
pub fn check(runtime: &Runtime<'_>, options: &Create, host: &[Row]) -> Result<Vec<Row>> {
    let ready = match runtime.prepare(options) {
        Ok(ready) => ready,
        Err(error) => return Ok(refused(&error, host)),
    };
    let mut findings = Findings::of(&ready.plan);
    needs_of_host(&mut findings, &ready, host);
    surroundings::check(&mut findings);
    limits::check(&mut findings, &ready.cgroup_mount);
    resctrl::check(&mut findings);
    identity::check(&mut findings);
    sharing::check(&mut findings);
    places::check(&mut findings);
    Ok(findings.finish())
}

/// What the compiler says, a row for each problem; one about a controller has the advice of its probe.
fn refused(error: &Error, host: &[Row]) -> Vec<Row> {
    let Kind::Config(problems) = error.kind() else {
        return vec![Row::missing("config.json", error.to_string(), "").essential()];
    };
    let row = |problem: &minirun_plan::Problem| {
        let name = if problem.origin.as_str().is_empty() { "config.json" } else { problem.origin.as_str() };
        let about = |row: &&Row| {
            let controller = row.name.strip_prefix("cgroups.").unwrap_or("");
            problem.text.starts_with(&format!("the {controller} controller is "))
        };
        let advice = host.iter().find(about).map_or(String::new(), |row| row.advice.clone());
        Row::missing(name, problem.text.clone(), "").advice(advice).essential()
    };
    problems.iter().map(row).collect()
}

/// The probes that this plan depends on, each with the place that does.
fn needs(ready: &Prepared) -> Vec<(Origin, String)> {
    let mut needs = Vec::new();
    let mut need = |origin: &Origin, name: &str| needs.push((origin.clone(), name.to_owned()));
    let always = [
        "cgroups.mount",
        "cgroups.born-inside",
        "cgroups.mark",
        "cgroups.kill",
        "processes.pidfd",
        "processes.close-range",
        "processes.sealed-binary",
        "files.state-directory",
    ];
    always.iter().for_each(|name| need(&Origin::of("every container"), name));
    let listed = ready.bundle.spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
    for (name, kind, ..) in KINDS.iter().filter(|(_, kind, ..)| ready.plan.namespaces.is_new(*kind)) {
        let list = Origin::of("linux.namespaces");
        let place = listed.iter().position(|namespace| namespace.typ().to_string() == *name);
        debug_assert!(*kind != 0, "a namespace has a bit");
        need(&place.map_or(list.clone(), |i| list.index(i)), &format!("namespaces.{name}"));
    }
    for step in &ready.plan.init {
        match &step.op {
            Op::BindRoot(..) => ["mounts.openat2", "mounts.detached", "mounts.attributes"]
                .iter()
                .for_each(|name| need(&step.origin, name)),
            Op::Bind { point, .. } | Op::Mount { point, .. } if !point.recursive.is_empty() => {
                need(&step.origin, "mounts.recursive");
            }
            Op::OverlayRoot { options, .. }
                if options.to_bytes().split(|byte| *byte == b',').any(|word| word == b"userxattr") =>
            {
                need(&step.origin, "mounts.overlay-userxattr");
            }
            Op::OverlayRoot { .. } => need(&step.origin, "mounts.overlay"),
            Op::PivotRoot => need(&step.origin, "mounts.pivot-root"),
            Op::Device { .. } => need(&step.origin, "mounts.device-nodes"),
            Op::SessionKeyring(_) => need(&step.origin, "processes.keyring"),
            _ => {}
        }
    }
    needs
}

/// A probe that failed, or that works in user namespaces alone where the bundle has none.
fn needs_of_host(findings: &mut Findings<'_>, ready: &Prepared, host: &[Row]) {
    let in_user_namespace = ready.plan.namespaces.has(libc::CLONE_NEWUSER);
    for (origin, name) in needs(ready) {
        let Some(row) = host.iter().find(|row| row.name == name) else { continue };
        let fails = match row.verdict {
            Verdict::Ok => false,
            Verdict::Limited => row.essential && !in_user_namespace,
            Verdict::Missing => true,
        };
        if fails {
            findings.problem(&origin, format!("{}: {}", row.name, row.seen), row.advice.clone());
        }
    }
}
