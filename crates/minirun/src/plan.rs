//! `minirun plan`: what `create` would do, as text or as JSON.

use anyhow::Result;
use minirun_container::{Create, Runtime};
use minirun_plan::Op;

/// `minirun plan`.
pub fn plan(runtime: &Runtime<'_>, options: &Create, json: bool) -> Result<()> {
    let ready = runtime.prepare(options)?;
    if !json {
        return crate::report::print(&ready.plan.to_string());
    }
    let filter = ready.plan.init.iter().find_map(|step| match &step.op {
        Op::Seccomp { filter, .. } => Some(filter),
        _ => None,
    });
    let lines: Vec<_> = ready
        .plan
        .lines()
        .into_iter()
        .map(|line| {
            let mut json = serde_json::json!({
                "part": line.part, "do": line.verb, "subject": line.subject, "origin": line.origin.as_str(),
            });
            if let Some(filter) = filter.filter(|_| line.part == "init" && line.verb == "seccomp") {
                json["program"] = filter.listing().into();
            }
            json
        })
        .collect();
    crate::report::print(&format!("{}\n", serde_json::to_string_pretty(&lines)?))
}
