//! A configuration to start from: `minirun spec` writes it, and bundles that are made from images start from it.
//!
//! Its masked paths are those of today's engines: files that tell one container about others and about the host's users
//! (interrupts and thermal throttling betray what other CPUs do, powercap what they compute).

use serde::Serialize as _;
use serde_json::{Value, json};

const TEMPLATE: &str = include_str!("template.json");
/// The masked path that those of CPUs stand before.
const AFTER_CPUS: &str = "\"/sys/devices/virtual/powercap\"";

/// The directory in which each CPU of a machine has one.
pub const CPUS: &str = "/sys/devices/system/cpu";
/// The directory of a CPU that counts how often it was too hot.
pub const THROTTLE: &str = "thermal_throttle";

/// The masked paths of a machine's CPUs. `entries` are the names in [`CPUS`]; `throttles` tells whether the directory of that
/// name there has [`THROTTLE`]. A CPU that is offline now has none until it is online again, and gets its mask as well.
///
/// # Errors
/// Those of `entries` and `throttles`.
pub fn cpu_masks<E>(
    entries: impl IntoIterator<Item = Result<String, E>>,
    mut throttles: impl FnMut(&str) -> Result<bool, E>,
) -> Result<Vec<String>, E> {
    let mut numbers: Vec<u32> = Vec::new();
    let mut present = false;
    for name in entries {
        let name = name?;
        let Some(number) = name.strip_prefix("cpu").and_then(|number| number.parse().ok()) else { continue };
        numbers.push(number);
        present |= throttles(&name)?;
    }
    numbers.sort_unstable();
    let path = |number| format!("{CPUS}/cpu{number}/{THROTTLE}");
    Ok(if present { numbers.into_iter().map(path).collect() } else { Vec::new() })
}

/// The template as text, with these masked paths of CPUs (see [`cpu_masks`]).
pub fn text(cpu_masks: &[String]) -> String {
    let lines: String = cpu_masks.iter().map(|path| format!("\"{path}\",\n\t\t\t")).collect();
    TEMPLATE.replace(AFTER_CPUS, &format!("{lines}{AFTER_CPUS}"))
}

/// The template as JSON.
///
/// # Errors
/// A masked path is not valid JSON text.
pub fn config(cpu_masks: &[String]) -> serde_json::Result<Value> {
    serde_json::from_str(&text(cpu_masks))
}

/// The same for an ordinary user: its own ids, which are all that it may map; the host's network, which it could not set up,
/// and so the host's /sys; no limits, for which it may have no cgroup.
///
/// # Errors
/// As [`config`].
pub fn rootless(cpu_masks: &[String], uid: u32, gid: u32) -> serde_json::Result<Value> {
    let mut config = config(cpu_masks)?;
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
    Ok(config)
}

/// A configuration as the text of a `config.json`.
///
/// # Errors
/// Only those of the serialiser.
pub fn to_text(config: &Value) -> serde_json::Result<Vec<u8>> {
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
        let names = || ["cpu0", "cpu10", "cpu2", "cpufreq", "cpu"].map(|name| Ok::<_, ()>(name.to_owned()));
        assert_eq!(cpu_masks(names(), |_| Ok(false)).unwrap(), [""; 0]);
        let masks = cpu_masks(names(), |name| Ok(name == "cpu10")).unwrap();
        assert_eq!(masks, [0, 2, 10].map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle")));
        for config in [config(&masks).unwrap(), rootless(&masks, 1, 1).unwrap()] {
            let masked = config["linux"]["maskedPaths"].to_string();
            for path in
                ["/proc/interrupts", "/proc/kcore", "/proc/keys", "/sys/devices/virtual/powercap", "/sys/firmware"]
            {
                assert!(masked.contains(path), "{path} is not in {masked}");
            }
            assert!(masks.iter().all(|path| masked.contains(path)), "{masked}");
        }
    }

    #[test]
    fn the_template_of_an_ordinary_user_needs_no_privileges() {
        let config = rootless(&[], 1000, 100).unwrap();
        let linux = &config["linux"];
        assert_eq!(linux["uidMappings"], json!([{"containerID": 0, "hostID": 1000, "size": 1}]));
        assert_eq!(linux["gidMappings"], json!([{"containerID": 0, "hostID": 100, "size": 1}]));
        let kinds: Vec<_> = linux["namespaces"].as_array().unwrap().iter().map(|one| one["type"].clone()).collect();
        assert!(kinds.contains(&json!("user")) && !kinds.contains(&json!("network")), "{kinds:?}");
        let text = config.to_string();
        assert!(!text.contains("gid=5") && !text.contains("sysfs") && linux["resources"].is_null(), "{text}");
    }
}
