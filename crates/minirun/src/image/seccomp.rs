//! `bundle --seccomp`: which system calls the container's programs may make.

use anyhow::{Context, Result, bail};
use minirun_seccomp::{Machine, Profile, compile, container_profile};
use serde_json::Value;

/// The members of `linux.seccomp`, and those of an element of its `syscalls`.
const MEMBERS: [&str; 7] =
    ["defaultAction", "defaultErrnoRet", "architectures", "flags", "listenerPath", "listenerMetadata", "syscalls"];
const RULE_MEMBERS: [&str; 5] = ["names", "action", "errnoRet", "args", "comment"];

/// What the caller asks for.
pub enum Seccomp {
    /// The profile of this program.
    Default,
    /// No filter.
    None,
    /// The object in this file.
    Given(Value),
}

impl Seccomp {
    /// The value of `--seccomp`. Checks the file that it names.
    pub fn read(value: Option<&str>) -> Result<Seccomp> {
        match value {
            None | Some("default") => Ok(Seccomp::Default),
            Some("none") => Ok(Seccomp::None),
            Some(path) => given(path).map(Seccomp::Given).with_context(|| format!("--seccomp {path}")),
        }
    }

    /// Writes `linux.seccomp` into a configuration that has its capabilities.
    pub fn write(&self, config: &mut Value) -> Result<()> {
        let profile = match self {
            Seccomp::None => return Ok(()),
            Seccomp::Given(profile) => profile.clone(),
            Seccomp::Default => {
                let bounding = config["process"]["capabilities"]["bounding"].as_array();
                let names: Vec<_> = bounding.into_iter().flatten().filter_map(Value::as_str).collect();
                serde_json::to_value(container_profile(&names))?
            }
        };
        config["linux"]["seccomp"] = profile;
        Ok(())
    }
}

fn given(path: &str) -> Result<Value> {
    let text = std::fs::read(path)?;
    let value: Value = serde_json::from_slice(&text)?;
    // Docker's own form has more members: conditions under which a rule counts. Without them it would allow too much.
    refuse_others(&value, &MEMBERS)?;
    for rule in value["syscalls"].as_array().into_iter().flatten() {
        refuse_others(rule, &RULE_MEMBERS)?;
    }
    let profile: Profile = serde_json::from_slice(&text)?;
    if let Err(problems) = compile(&profile, Machine::native()) {
        let all: Vec<_> = problems.iter().map(|problem| format!("{} {}", problem.place, problem.text)).collect();
        bail!("{}", all.join("; "));
    }
    Ok(value)
}

fn refuse_others(value: &Value, known: &[&str]) -> Result<()> {
    let object = value.as_object().context("expected an object")?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            bail!("{key:?} is not a member of linux.seccomp (hint: the profile must be in the form of config.json)")
        }
        None => Ok(()),
    }
}
