//! `minirun spec`: a configuration to start from.

use std::fs::File;
use std::io::Write as _;

use anyhow::{Context, Result};
use serde::Serialize as _;
use serde_json::{Value, json};

use crate::cli::Call;

const TEMPLATE: &[u8] = include_bytes!("template.json");

/// The template as JSON; of an ordinary user, if these are its ids.
pub fn base(user: Option<(u32, u32)>) -> Result<Value> {
    let text = user.map_or_else(|| Ok(TEMPLATE.to_vec()), |(uid, gid)| rootless(uid, gid))?;
    Ok(serde_json::from_slice(&text)?)
}

/// Writes `config.json` into the bundle; one that is there already stays.
pub fn spec(call: &Call) -> Result<()> {
    let dir = call.path("bundle").unwrap_or_else(|| ".".into());
    let path = dir.join("config.json");
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let text = if call.has("rootless") { rootless(uid, gid)? } else { TEMPLATE.to_vec() };
    match File::options().write(true).create_new(true).open(&path) {
        Ok(mut file) => file.write_all(&text).with_context(|| format!("write {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            anyhow::bail!("File config.json exists. Remove it first")
        }
        Err(error) => Err(error).with_context(|| format!("write {}", path.display())),
    }
}

/// The same for an ordinary user: its own ids, which are all that it may map, the host's network, which it could not set up,
/// and so the host's /sys; no limits, for which it may have no cgroup.
fn rootless(uid: u32, gid: u32) -> Result<Vec<u8>> {
    let mut config: Value = serde_json::from_slice(TEMPLATE)?;
    let linux = &mut config["linux"];
    if let Some(members) = linux.as_object_mut() {
        members.remove("resources");
    }
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    for (name, id) in [("uidMappings", uid), ("gidMappings", gid)] {
        linux[name] = json!([{"containerID": 0, "hostID": id, "size": 1}]);
    }
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        if let Some(options) = mount["options"].as_array_mut() {
            // No other group is mapped.
            options.retain(|option| option != "gid=5");
        }
        if mount["type"] == "sysfs" {
            mount["type"] = "none".into();
            mount["source"] = "/sys".into();
            mount["options"] = json!(["rbind", "nosuid", "noexec", "nodev", "ro"]);
        }
    }
    written(&config)
}

/// A configuration as text.
pub fn written(config: &Value) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    config.serialize(&mut serde_json::Serializer::with_formatter(&mut text, format))?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_users_template_asks_for_nothing_that_takes_root() {
        let config: Value = serde_json::from_slice(&rootless(1000, 100).unwrap()).unwrap();
        let linux = &config["linux"];
        assert_eq!(linux["uidMappings"], json!([{"containerID": 0, "hostID": 1000, "size": 1}]));
        assert_eq!(linux["gidMappings"], json!([{"containerID": 0, "hostID": 100, "size": 1}]));
        let kinds: Vec<_> = linux["namespaces"].as_array().unwrap().iter().map(|one| one["type"].clone()).collect();
        assert!(kinds.contains(&json!("user")) && !kinds.contains(&json!("network")), "{kinds:?}");
        let text = config.to_string();
        assert!(!text.contains("gid=5") && !text.contains("sysfs") && linux["resources"].is_null(), "{text}");
    }
}
