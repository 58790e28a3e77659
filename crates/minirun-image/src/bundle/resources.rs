//! Limits of a container, as members of `linux.resources`.

use serde_json::{Map, Value, json};

/// The limits that a new bundle can have. Each is absent unless it is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// `memory.limit`, in bytes; -1 for none.
    pub memory: Option<i64>,
    /// `cpu.shares`.
    pub cpu_shares: Option<u64>,
    /// `cpu.quota`, in microseconds of CPU time for each [`Resources::CPU_PERIOD`].
    pub cpu_quota: Option<u64>,
    /// `cpu.cpus`: a list such as `0-3,7`.
    pub cpuset_cpus: Option<String>,
    /// `pids.limit`; -1 for none.
    pub pids: Option<i64>,
    /// Limits of block devices.
    pub io: Vec<IoLimit>,
}

/// A limit of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoLimit {
    /// The limited operation and its unit.
    pub kind: IoLimitKind,
    /// The device's major number.
    pub major: u64,
    /// The device's minor number.
    pub minor: u64,
    /// Bytes or operations per second.
    pub rate: i64,
}

/// The limited operation and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoLimitKind {
    /// Bytes read per second.
    ReadBytes,
    /// Bytes written per second.
    WriteBytes,
    /// Reads per second.
    Reads,
    /// Writes per second.
    Writes,
}

impl IoLimitKind {
    /// The member of `blockIO` that holds limits of this kind.
    fn member(self) -> &'static str {
        match self {
            IoLimitKind::ReadBytes => "throttleReadBpsDevice",
            IoLimitKind::WriteBytes => "throttleWriteBpsDevice",
            IoLimitKind::Reads => "throttleReadIOPSDevice",
            IoLimitKind::Writes => "throttleWriteIOPSDevice",
        }
    }
}

impl Resources {
    /// The period of `cpu_quota`, in microseconds: the kernel's default.
    pub const CPU_PERIOD: u64 = 100_000;

    /// The limits that are set, as an object; null if there are none.
    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::new();
        let mut set = |group: &str, member: &str, value: Option<Value>| {
            if let Some(value) = value {
                let group = object.entry(group).or_insert_with(|| json!({}));
                group[member] = value;
            }
        };
        set("memory", "limit", self.memory.map(Value::from));
        set("cpu", "shares", self.cpu_shares.map(Value::from));
        set("cpu", "quota", self.cpu_quota.map(Value::from));
        set("cpu", "period", self.cpu_quota.map(|_| Resources::CPU_PERIOD.into()));
        set("cpu", "cpus", self.cpuset_cpus.as_deref().map(Value::from));
        set("pids", "limit", self.pids.map(Value::from));
        for IoLimit { kind, major, minor, rate } in &self.io {
            let group = object.entry("blockIO").or_insert_with(|| json!({}));
            let limit = json!({"major": major, "minor": minor, "rate": rate});
            match group[kind.member()].as_array_mut() {
                Some(limits) => limits.push(limit),
                None => group[kind.member()] = json!([limit]),
            }
        }
        if object.is_empty() { Value::Null } else { object.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_limits_that_are_set_are_written() {
        assert_eq!(Resources::default().to_json(), Value::Null);
        let io = |minor, rate| IoLimit { kind: IoLimitKind::Reads, major: 8, minor, rate };
        let resources = Resources {
            memory: Some(-1),
            cpu_quota: Some(50_000),
            pids: Some(9),
            io: vec![io(0, 1), io(16, 2)],
            ..Resources::default()
        };
        assert_eq!(
            resources.to_json(),
            json!({
                "memory": {"limit": -1},
                "cpu": {"quota": 50_000, "period": 100_000},
                "pids": {"limit": 9},
                "blockIO": {"throttleReadIOPSDevice": [
                    {"major": 8, "minor": 0, "rate": 1}, {"major": 8, "minor": 16, "rate": 2}
                ]},
            })
        );
    }
}
