//! The filter of system calls that a new bundle has.

use minirun_seccomp::{Machine, Profile, compile, container_profile};
use serde_json::Value;

use crate::error::{Doing as _, ImageError, Result};

/// The members of `linux.seccomp`, and those of an element of its `syscalls`.
const MEMBERS: [&str; 7] =
    ["defaultAction", "defaultErrnoRet", "architectures", "flags", "listenerPath", "listenerMetadata", "syscalls"];
const RULE_MEMBERS: [&str; 5] = ["names", "action", "errnoRet", "args", "comment"];

/// The filter of system calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seccomp(Choice);

#[derive(Debug, Clone, Default, PartialEq)]
enum Choice {
    #[default]
    Default,
    None,
    Given(Value),
}

impl Seccomp {
    /// minirun's own profile for the container's capabilities, which is also the default.
    pub const DEFAULT: Seccomp = Seccomp(Choice::Default);
    /// No filter.
    pub const NONE: Seccomp = Seccomp(Choice::None);

    /// Reads a profile: the JSON text of an object in the form of `linux.seccomp`.
    ///
    /// # Errors
    /// It has another form, or cannot be compiled.
    pub fn from_json(text: &[u8]) -> Result<Seccomp> {
        let value: Value = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        // Docker's own form has more members: conditions under which a rule counts. Without them it would allow too much.
        refuse_others(&value, &MEMBERS)?;
        for rule in value["syscalls"].as_array().into_iter().flatten() {
            refuse_others(rule, &RULE_MEMBERS)?;
        }
        let profile: Profile = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        if let Err(problems) = compile(&profile, Machine::native()) {
            let all: Vec<_> = problems.iter().map(|problem| format!("{} {}", problem.place, problem.text)).collect();
            return Err(wrong(all.join("; ")));
        }
        Ok(Seccomp(Choice::Given(value)))
    }

    /// Writes `linux.seccomp` into a configuration that has its capabilities.
    pub(super) fn write(&self, config: &mut Value) -> Result<()> {
        let profile = match &self.0 {
            Choice::None => return Ok(()),
            Choice::Given(profile) => profile.clone(),
            Choice::Default => {
                let bounding = config["process"]["capabilities"]["bounding"].as_array();
                let names: Vec<_> = bounding.into_iter().flatten().filter_map(Value::as_str).collect();
                serde_json::to_value(container_profile(&names)).doing(|| "linux.seccomp")?
            }
        };
        config["linux"]["seccomp"] = profile;
        Ok(())
    }
}

fn wrong(text: String) -> ImageError {
    ImageError::option(text)
}

fn refuse_others(value: &Value, known: &[&str]) -> Result<()> {
    let object = value.as_object().ok_or_else(|| wrong("expected an object".to_owned()))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(wrong(format!("{key:?} is not a member of linux.seccomp"))
            .hint("the profile must be in the form of config.json")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_in_dockers_form_is_refused() {
        Seccomp::from_json(br#"{"defaultAction": "SCMP_ACT_ALLOW"}"#).unwrap();
        for (text, expected) in [
            ("[]", "expected an object"),
            (r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": []}"#, "\"archMap\" is not a member"),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {}}]}"#,
                "\"includes\" is not a member",
            ),
            (r#"{"defaultAction": "SCMP_ACT_X"}"#, "SCMP_ACT_X"),
        ] {
            let error = Seccomp::from_json(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
