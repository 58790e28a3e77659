//! `minirun spec`: a configuration to start from, which `minirun bundle` starts from as well.
//!
//! Its masked paths are those of today's engines: files that tell one container about others and about the host's users
//! (interrupts and thermal throttling betray what other CPUs do, powercap what they compute).

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize as _;
use serde_json::{Value, json};

const TEMPLATE: &str = include_str!("template.json");
/// The masked path before which those of CPUs stand.
const AFTER_CPUS: &str = "\"/sys/devices/virtual/powercap\"";
const CPUS: &str = "/sys/devices/system/cpu";

/// The template as JSON; of an ordinary user, if these are its ids.
pub fn base(user: Option<(u32, u32)>) -> Result<Value> {
    let text = user.map_or_else(|| template().map(String::into_bytes), |(uid, gid)| rootless(uid, gid))?;
    Ok(serde_json::from_slice(&text)?)
}

/// The template with the masked paths of this machine's CPUs.
fn template() -> Result<String> {
    let paths = throttles(Path::new(CPUS)).with_context(|| format!("list {CPUS}"))?;
    let lines: String = paths.iter().map(|path| format!("\"{path}\",\n\t\t\t")).collect();
    Ok(TEMPLATE.replace(AFTER_CPUS, &format!("{lines}{AFTER_CPUS}")))
}

/// The directories that count how often each CPU was too hot, if the machine has them. One that is offline now has none until
/// it is online again, and gets its mask as well.
fn throttles(cpus: &Path) -> std::io::Result<Vec<String>> {
    let mut numbers: Vec<u32> = Vec::new();
    let mut present = false;
    let entries = match std::fs::read_dir(cpus) {
        // A machine, or a container, without sysfs has nothing to hide there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        answer => answer?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("cpu")?.parse().ok());
        let Some(number) = number else { continue };
        numbers.push(number);
        present |= cpus.join(&name).join("thermal_throttle").try_exists()?;
    }
    numbers.sort_unstable();
    let path = |number| format!("{CPUS}/cpu{number}/thermal_throttle");
    Ok(if present { numbers.into_iter().map(path).collect() } else { Vec::new() })
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
    let text = match whose {
        Whose::User => rootless(uid, gid)?,
        Whose::Root => template()?.into_bytes(),
    };
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
    let mut config: Value = serde_json::from_str(&template()?)?;
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
    fn masked_paths_are_those_of_engines_and_of_each_cpu() {
        let home = std::env::temp_dir().join(format!("minirun-template-{}", std::process::id()));
        let throttle = |cpu: &str| home.join(cpu).join("thermal_throttle");
        for cpu in ["cpu0", "cpu10", "cpu2", "cpufreq", "cpu"] {
            std::fs::create_dir_all(home.join(cpu)).unwrap();
        }
        assert_eq!(throttles(&home).unwrap(), [""; 0]);
        std::fs::create_dir(throttle("cpu10")).unwrap();
        let expected = [0, 2, 10].map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
        assert_eq!(throttles(&home).unwrap(), expected);
        std::fs::remove_dir_all(&home).unwrap();
        assert_eq!(throttles(&home).unwrap(), [""; 0]);
        for config in [base(None).unwrap(), base(Some((1, 1))).unwrap()] {
            let masked = config["linux"]["maskedPaths"].to_string();
            for path in
                ["/proc/interrupts", "/proc/kcore", "/proc/keys", "/sys/devices/virtual/powercap", "/sys/firmware"]
            {
                assert!(masked.contains(path), "{path} is not in {masked}");
            }
        }
        // The place before which those of CPUs are put.
        assert!(TEMPLATE.contains(AFTER_CPUS));
    }

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
