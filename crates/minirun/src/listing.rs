//! What is printed about containers: `state` and `list`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use minirun_container::{Runtime, SPEC_VERSION, Snapshot, Status};
use serde::Serialize;

use crate::report::{Format, print};

/// The state of a container as the runtime specification has it, with what runc adds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    oci_version: &'static str,
    id: &'a str,
    /// 0 when it has stopped.
    pid: i32,
    status: Status,
    bundle: &'a Path,
    rootfs: &'a Path,
    created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    owner: String,
}

impl State<'_> {
    fn of<'a>(id: &'a str, snapshot: &'a Snapshot, owner: String) -> State<'a> {
        State {
            oci_version: SPEC_VERSION,
            id,
            pid: snapshot.pid().unwrap_or(0),
            status: snapshot.status(),
            bundle: snapshot.bundle(),
            rootfs: snapshot.rootfs(),
            created: snapshot.created(),
            annotations: snapshot.annotations(),
            owner,
        }
    }
}

/// `minirun state`.
pub fn state(runtime: &Runtime<'_>, id: &str) -> Result<()> {
    let snapshot = runtime.container(id)?.snapshot()?;
    print(&format!("{}\n", serde_json::to_string_pretty(&State::of(id, &snapshot, String::new()))?))
}

/// The name of a user, or the number where it has none.
fn user_name(uid: u32) -> String {
    // accepts: any error; a user without a name is shown by number.
    nix::unistd::User::from_uid(uid.into()).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// `minirun list`. A container that cannot be looked at is named on standard error, and the others are listed.
pub fn list(runtime: &Runtime<'_>, format: Format, quiet: bool) -> Result<()> {
    if quiet {
        return print(&runtime.ids()?.iter().fold(String::new(), |text, id| text + id + "\n"));
    }
    let mut containers = Vec::new();
    for listed in runtime.list()? {
        match listed.snapshot {
            Ok(snapshot) => containers.push((listed.id, snapshot)),
            Err(error) => log::warn!("container {}: {error}", listed.id),
        }
    }
    let mut names = BTreeMap::new();
    let mut owner = |uid: u32| names.entry(uid).or_insert_with(|| user_name(uid)).clone();
    let states: Vec<State<'_>> =
        containers.iter().map(|(id, found)| State::of(id, found, owner(found.owner()))).collect();
    if format == Format::Json {
        return print(&format!("{}\n", serde_json::to_string(&states)?));
    }
    print(&table(&states))
}

fn table(states: &[State<'_>]) -> String {
    let heads = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = states.iter().map(|state| {
        [
            state.id.to_owned(),
            state.pid.to_string(),
            state.status.to_string(),
            state.bundle.display().to_string(),
            state.created.to_owned(),
            state.owner.clone(),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(heads).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4, 5].map(width);
    rows.iter().fold(String::new(), |mut text, row| {
        let line = row.iter().zip(widths).fold(String::new(), |mut line, (cell, width)| {
            let _infallible = write!(line, "{cell:<width$}   ");
            line
        });
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}
