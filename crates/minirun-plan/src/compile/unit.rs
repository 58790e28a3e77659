//! The scope that systemd creates for a container: its properties have the same values as the cgroup's files. So
//! systemd writes the same values when it writes them again (`systemctl daemon-reload`).
//!
//! The properties are computed from the knobs, not from the configuration, so that `update` uses the same code. systemd
//! does not touch files for which it has no property.

mod gvariant;

use std::collections::BTreeMap;

use super::Draft;
use super::devices::{BLOCK, CHAR, DeviceFilter, DeviceRule, Wider};
use crate::{CgroupPlan, Expect, Knob, Origin, Property, Value};

/// The prefix of annotations that set a property. runc defined it.
const ANNOTATION: &str = "org.systemd.property.";
/// "No limit", and similar, in numeric properties.
const INFINITY: u64 = u64::MAX;
/// Properties that only the runtime sets, because the container's life depends on them.
const OWN: [&str; 5] = ["PIDs", "Slice", "Delegate", "Description", "RemainAfterExit"];

/// Returns the `Description` of a unit, by which the runtime recognises its own unit.
pub fn unit_description(owner: &str) -> String {
    format!("minirun container {owner}")
}

/// Sets the properties of the scope. The knobs must be complete.
pub(super) fn unit(draft: &mut Draft<'_>, slice: &str, annotations: Option<&BTreeMap<String, String>>) {
    let Some(request) = draft.request.systemd else { return };
    let origin = draft.cgroup.origin.clone();
    let mut properties: Latest<String, Property> = Latest::new();
    let mut own = |name: &str, value| {
        properties.set(name.to_owned(), Property { name: name.to_owned(), value, origin: origin.clone() });
    };
    own("Description", Value::string(unit_description(request.owner)));
    own("Slice", Value::string(slice));
    own("Delegate", Value::Bool(true));
    own("DefaultDependencies", Value::Bool(false));
    own("CollectMode", Value::string("inactive-or-failed"));
    for name in ["MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"] {
        own(name, Value::Bool(true));
    }
    for (key, text) in annotations.into_iter().flatten() {
        if let Some(name) = key.strip_prefix(ANNOTATION) {
            let origin = Origin::of("annotations").key(key);
            match annotated(name, text) {
                // CRI-O sets DefaultDependencies and CollectMode.
                Ok((name, value)) => properties.set(name.clone(), Property { name, value, origin }),
                Err(text) => draft.problem(&origin, text),
            }
        }
    }
    let mut properties: Vec<Property> = properties.finish().collect();
    properties.extend(oom_policy(&draft.cgroup));
    properties.extend(unit_properties(&draft.cgroup.knobs));
    if draft.facts.euid == 0 && draft.facts.initial_user_namespace {
        properties.extend(devices(draft.cgroup.devices.as_ref()));
    }
    if let Some(unit) = &mut draft.cgroup.unit {
        unit.properties = properties;
    }
}

/// Returns the property that an annotation sets. On D-Bus times have other names than in unit files, and are in
/// microseconds.
fn annotated(name: &str, text: &str) -> Result<(String, Value), String> {
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err("invalid property name (expected three or more letters)".to_owned());
    }
    let value = gvariant::parse(text).map_err(|why| format!("invalid gvariant text {text:?}: {why}"))?;
    if OWN.contains(&name) {
        return Err("the runtime sets this property itself".to_owned());
    }
    match name.strip_suffix("Sec").filter(|stem| !stem.is_empty() && !stem.ends_with('U')) {
        Some(stem) => Ok((format!("{stem}USec"), microseconds(&value)?)),
        None => Ok((name.to_owned(), value)),
    }
}

fn microseconds(seconds: &Value) -> Result<Value, String> {
    const MILLION: u64 = 1_000_000;
    let whole = match *seconds {
        Value::Byte(number) => Some(number.into()),
        Value::Int16(number) => u64::try_from(number).ok(),
        Value::Uint16(number) => Some(number.into()),
        Value::Int32(number) => u64::try_from(number).ok(),
        Value::Uint32(number) => Some(number.into()),
        Value::Int64(number) => u64::try_from(number).ok(),
        Value::Uint64(number) => Some(number),
        Value::Double(number) if (0.0..1e12).contains(&number) => return Ok(Value::Uint64((number * 1e6) as u64)),
        _ => None,
    };
    let time = whole.and_then(|whole| whole.checked_mul(MILLION));
    time.map(Value::Uint64).ok_or_else(|| format!("invalid number of seconds {seconds}"))
}

/// Returns the OOM policy, which systemd requires when the unit starts.
fn oom_policy(cgroup: &CgroupPlan) -> Option<Property> {
    let knob = cgroup.knobs.iter().rfind(|knob| knob.file == "memory.oom.group")?;
    let policy = if knob.value.trim() == "1" { "kill" } else { "continue" };
    Some(Property { name: "OOMPolicy".to_owned(), value: Value::string(policy), origin: knob.origin.clone() })
}

/// Returns the properties that correspond to these knobs; the last one of a name applies.
pub fn unit_properties(knobs: &[Knob]) -> Vec<Property> {
    let mut found = UnitProperties::default();
    for knob in knobs {
        found.knob(knob);
    }
    found.finish()
}

/// A list in which a new item removes the earlier one with the same key, and goes to the end.
#[derive(Debug)]
struct Latest<K, T> {
    all: Vec<Option<T>>,
    places: BTreeMap<K, usize>,
}

impl<K: Ord, T> Latest<K, T> {
    fn new() -> Latest<K, T> {
        Latest { all: Vec::new(), places: BTreeMap::new() }
    }

    fn set(&mut self, key: K, value: T) {
        if let Some(place) = self.places.insert(key, self.all.len()) {
            self.all[place] = None;
        }
        self.all.push(Some(value));
    }

    fn finish(self) -> impl Iterator<Item = T> {
        self.all.into_iter().flatten()
    }
}

/// Properties by name. Entries by device are collected and added to theirs at the end.
#[derive(Debug, Default)]
struct UnitProperties {
    properties: Vec<Property>,
    devices: BTreeMap<String, Latest<String, Value>>,
}

impl UnitProperties {
    fn finish(mut self) -> Vec<Property> {
        for property in &mut self.properties {
            if let Some(entries) = self.devices.remove(&property.name) {
                property.value = Value::Array("(st)".to_owned(), entries.finish().collect());
            }
        }
        self.properties
    }

    fn set(&mut self, name: &str, value: Value, origin: &Origin) {
        self.properties.retain(|property| property.name != name);
        self.properties.push(Property { name: name.to_owned(), value, origin: origin.clone() });
    }

    /// Sets the entry of one device in a property of type `a(st)`.
    fn set_of_device(&mut self, name: &str, device: &str, number: u64, origin: &Origin) {
        let path = Value::String(format!("/dev/block/{device}"));
        let entries = self.devices.entry(name.to_owned()).or_insert_with(|| {
            let value = Value::Array("(st)".to_owned(), Vec::new());
            self.properties.push(Property { name: name.to_owned(), value, origin: origin.clone() });
            Latest::new()
        });
        entries.set(device.to_owned(), Value::Struct(vec![path, Value::Uint64(number)]));
    }

    fn knob(&mut self, knob: &Knob) {
        let (value, origin) = (knob.value.trim(), &knob.origin);
        let number = match knob.file.as_str() {
            "memory.min" => "MemoryMin",
            "memory.low" => "MemoryLow",
            "memory.high" => "MemoryHigh",
            "memory.max" => "MemoryMax",
            "memory.swap.max" => "MemorySwapMax",
            "memory.zswap.max" => "MemoryZSwapMax",
            "pids.max" => "TasksMax",
            "cpu.weight" => "CPUWeight",
            "cpu.max" => return self.bandwidth(value, origin),
            // systemd expresses an idle cgroup as weight 0; one that is not idle has the default or another weight.
            "cpu.idle" if value == "1" => return self.set("CPUWeight", Value::Uint64(0), origin),
            "cpu.idle" => return self.set("CPUWeight", Value::Uint64(INFINITY), origin),
            "cpuset.cpus" => return self.list("AllowedCPUs", value, origin),
            "cpuset.mems" => return self.list("AllowedMemoryNodes", value, origin),
            "io.weight" => return self.weight(value, |weight| weight, origin),
            "io.bfq.weight" => return self.weight(value, io_weight_of_bfq, origin),
            "io.max" => return self.throttle(value, origin),
            _ => return,
        };
        if let Some(value) = bytes_of(value) {
            self.set(number, Value::Uint64(value), origin);
        }
    }

    /// Converts `cpu.max`. systemd stores whole percents of a CPU, and would write these on a reload, so the value is
    /// rounded up: the cgroup gets at least the requested time.
    fn bandwidth(&mut self, value: &str, origin: &Origin) {
        const PERCENT: u128 = 10_000;
        let mut words = value.split_whitespace();
        let (Some(quota), period) = (words.next(), words.next().unwrap_or("100000")) else { return };
        let Some(period) = period.parse::<u64>().ok().filter(|period| *period > 0) else { return };
        let per_second = match quota.parse::<u64>() {
            Ok(quota) => {
                let exact = u128::from(quota) * 1_000_000 / u128::from(period);
                u64::try_from(exact.div_ceil(PERCENT) * PERCENT).unwrap_or(INFINITY)
            }
            Err(_) if quota == "max" => INFINITY,
            Err(_) => return,
        };
        self.set("CPUQuotaPeriodUSec", Value::Uint64(period), origin);
        self.set("CPUQuotaPerSecUSec", Value::Uint64(per_second), origin);
    }

    /// Sets a list of CPUs or memory nodes, as a mask with the lowest numbers in the first byte.
    fn list(&mut self, name: &str, list: &str, origin: &Origin) {
        /// More than any kernel supports.
        const MOST: usize = 1 << 16;
        let mut mask: Vec<u8> = Vec::new();
        for part in list.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>()) else { return };
            if last >= MOST {
                return;
            }
            mask.resize(mask.len().max(last / 8 + 1), 0);
            (first..=last).for_each(|number| mask[number / 8] |= 1 << (number % 8));
        }
        self.set(name, Value::Array("y".to_owned(), mask.into_iter().map(Value::Byte).collect()), origin);
    }

    /// Converts `default 100`, or `8:0 100` for a device.
    fn weight(&mut self, line: &str, map: fn(u64) -> u64, origin: &Origin) {
        let (whose, weight) = line.split_once(' ').unwrap_or(("default", line));
        match weight.trim().parse::<u64>() {
            Ok(weight) if whose == "default" => self.set("IOWeight", Value::Uint64(map(weight)), origin),
            Ok(weight) => self.set_of_device("IODeviceWeight", whose, map(weight), origin),
            Err(_) => {}
        }
    }

    /// Converts `8:0 rbps=1048576 wiops=max`.
    fn throttle(&mut self, line: &str, origin: &Origin) {
        let mut words = line.split_whitespace();
        let Some(device) = words.next() else { return };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let name = match key {
                "rbps" => "IOReadBandwidthMax",
                "wbps" => "IOWriteBandwidthMax",
                "riops" => "IOReadIOPSMax",
                "wiops" => "IOWriteIOPSMax",
                _ => continue,
            };
            if let Some(value) = bytes_of(value) {
                self.set_of_device(name, device, value, origin);
            }
        }
    }
}

/// Returns a number in the format of cgroup files: `max`, or digits with a binary unit suffix.
fn bytes_of(text: &str) -> Option<u64> {
    if text == "max" {
        return Some(INFINITY);
    }
    let shift = match text.bytes().last()?.to_ascii_uppercase() {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        b'T' => 40,
        b'P' => 50,
        b'E' => 60,
        _ => 0,
    };
    let digits = if shift == 0 { text } else { &text[..text.len() - 1] };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Returns the `IOWeight` that systemd converts to this bfq weight: 1 to 100 stay, 100 to 1000 map to 100 to 10000.
fn io_weight_of_bfq(weight: u64) -> u64 {
    if weight <= 100 { weight } else { 100 + (weight - 100) * 11 }
}

/// Returns the properties that replace the device rules: systemd appends to a list unless it is emptied first.
pub fn unit_devices(filter: Option<&DeviceFilter>) -> Vec<Property> {
    let [policy, allowed] = devices(filter);
    let emptied = Property { value: Value::Array("(ss)".to_owned(), Vec::new()), ..allowed.clone() };
    vec![policy, emptied, allowed]
}

/// Returns the device rules as systemd's properties. systemd has no denying rules and fewer patterns. The kernel runs
/// systemd's filter and minirun's, so systemd's may allow more than the rules, but never less.
fn devices(filter: Option<&DeviceFilter>) -> [Property; 2] {
    let origin = Origin::of("linux.resources.devices");
    let rules = filter.map_or(&[][..], |filter| &filter.rules);
    let (mut taken_back, mut held) = (Wider::default(), Vec::new());
    for rule in rules.iter().rev() {
        if !rule.allow {
            taken_back.add(rule);
        } else if !taken_back.cover(rule) {
            held.push(rule);
        }
    }
    let (mut allowed, mut places) = (Vec::new(), BTreeMap::new());
    for rule in held.into_iter().rev() {
        for (_, name) in [(CHAR, "char"), (BLOCK, "block")].into_iter().filter(|(kind, _)| rule.kinds & kind != 0) {
            let pattern = pattern_of(rule, name);
            let place = *places.entry(pattern.clone()).or_insert(allowed.len());
            if place == allowed.len() {
                allowed.push((pattern, 0));
            }
            allowed[place].1 |= rule.access;
        }
    }
    let entry = |(pattern, access): (String, u8)| {
        Value::Struct(vec![Value::String(pattern), Value::String(DeviceRule::letters(access))])
    };
    let policy = if filter.is_some() { "strict" } else { "auto" };
    let entries = allowed.into_iter().map(entry).collect();
    [("DevicePolicy", Value::string(policy)), ("DeviceAllow", Value::Array("(ss)".to_owned(), entries))]
        .map(|(name, value)| Property { name: name.to_owned(), value, origin: origin.clone() })
}

fn pattern_of(rule: &DeviceRule, kind: &str) -> String {
    match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        (None, _) => format!("{kind}-*"),
    }
}

/// Returns the present content of an interface file as knobs, to compute the properties for it.
pub fn knobs_of(file: &str, text: &str, origin: &Origin) -> Vec<Knob> {
    let knob = |line: &str| Knob {
        file: file.to_owned(),
        value: line.to_owned(),
        expect: Expect::Readable,
        origin: origin.clone(),
    };
    if text.trim().is_empty() { vec![knob("")] } else { text.lines().map(knob).collect() }
}

#[cfg(test)]
#[path = "unit/tests.rs"]
mod tests;
