//! `config.json` as defined by the OCI runtime specification 1.3, for Linux.
//!
//! Unknown members are ignored, as the specification demands. The leaf types come from the `oci-spec` crate if they
//! match the specification. The types here replace those that turn a missing member into zero, or refuse values that
//! the specification allows (unknown capabilities, absent `pids.limit`).

mod objects;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use minirun_seccomp::Profile as Seccomp;
pub use oci_spec::runtime::{
    Hooks, LinuxCpu, LinuxDeviceType, LinuxMemory, LinuxNamespace, LinuxNamespaceType, LinuxRdma, LinuxTimeOffset,
    PosixRlimitType,
};
use serde::{Deserialize, Deserializer};

pub use objects::Objects;

/// Reads a configuration, or a part of one.
///
/// # Errors
/// The error of `serde_json` for the first text that is not JSON, or that does not match the types.
pub fn read<T: for<'t> Deserialize<'t>>(text: &[u8]) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = T::deserialize(Objects(&mut json))?;
    json.end().map(|()| value)
}

/// The whole configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Spec {
    pub oci_version: String,
    pub root: Option<Root>,
    #[serde(default, deserialize_with = "nullable")]
    pub mounts: Vec<Mount>,
    pub process: Option<Process>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub hooks: Option<Hooks>,
    #[serde(default, deserialize_with = "unique")]
    pub annotations: Option<BTreeMap<String, String>>,
    pub linux: Option<Linux>,
}

/// `root`.
#[derive(Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Root {
    pub path: String,
    #[serde(default)]
    pub readonly: bool,
}

/// An element of `mounts`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Mount {
    pub destination: PathBuf,
    #[serde(rename = "type")]
    pub typ: Option<String>,
    pub source: Option<PathBuf>,
    pub options: Option<Vec<String>>,
    pub uid_mappings: Option<Vec<IdMapping>>,
    pub gid_mappings: Option<Vec<IdMapping>>,
}

/// `process`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Process {
    #[serde(default)]
    pub terminal: bool,
    pub console_size: Option<ConsoleSize>,
    #[serde(default)]
    pub user: User,
    pub args: Option<Vec<String>>,
    pub env: Option<Vec<String>>,
    #[serde(default)]
    pub cwd: String,
    pub capabilities: Option<Capabilities>,
    pub rlimits: Option<Vec<Rlimit>>,
    #[serde(default)]
    pub no_new_privileges: bool,
    pub apparmor_profile: Option<String>,
    pub oom_score_adj: Option<i32>,
    pub selinux_label: Option<String>,
    pub io_priority: Option<IoPriority>,
    pub scheduler: Option<Scheduler>,
    #[serde(rename = "execCPUAffinity")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// `process.scheduler`; times are in nanoseconds, and absent members are zero.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Scheduler {
    pub policy: String,
    #[serde(default)]
    pub nice: i32,
    #[serde(default)]
    pub priority: i32,
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<String>,
    #[serde(default)]
    pub runtime: u64,
    #[serde(default)]
    pub deadline: u64,
    #[serde(default)]
    pub period: u64,
}

/// `process.ioPriority`.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct IoPriority {
    pub class: String,
    #[serde(default)]
    pub priority: i64,
}

/// `process.execCPUAffinity`: lists of CPUs.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct CpuAffinity {
    pub initial: Option<String>,
    #[serde(rename = "final")]
    pub last: Option<String>,
}

/// `process.consoleSize`.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct ConsoleSize {
    pub height: u16,
    pub width: u16,
}

/// `process.user`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct User {
    #[serde(default)]
    pub uid: u32,
    #[serde(default)]
    pub gid: u32,
    pub umask: Option<u32>,
    #[serde(default, deserialize_with = "nullable")]
    pub additional_gids: Vec<u32>,
}

/// `process.capabilities`: names, because the specification wants unknown ones warned about, not refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[allow(missing_docs)]
pub struct Capabilities {
    #[serde(default, deserialize_with = "nullable")]
    pub bounding: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub effective: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub inheritable: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub permitted: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub ambient: Vec<String>,
}

/// An element of `process.rlimits`.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Rlimit {
    #[serde(rename = "type")]
    pub typ: PosixRlimitType,
    pub soft: u64,
    pub hard: u64,
}

/// `linux`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Linux {
    #[serde(default, deserialize_with = "nullable")]
    pub namespaces: Vec<LinuxNamespace>,
    #[serde(default, deserialize_with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(default, deserialize_with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
    #[serde(default, deserialize_with = "unique")]
    pub time_offsets: Option<BTreeMap<String, LinuxTimeOffset>>,
    #[serde(default, deserialize_with = "nullable")]
    pub devices: Vec<Device>,
    #[serde(default, deserialize_with = "unique")]
    pub net_devices: Option<BTreeMap<String, NetDevice>>,
    pub cgroups_path: Option<String>,
    pub resources: Option<Resources>,
    pub intel_rdt: Option<IntelRdt>,
    pub memory_policy: Option<MemoryPolicy>,
    #[serde(default, deserialize_with = "unique")]
    pub sysctl: Option<BTreeMap<String, String>>,
    pub seccomp: Option<Seccomp>,
    pub rootfs_propagation: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub masked_paths: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub readonly_paths: Vec<String>,
    pub mount_label: Option<String>,
    pub personality: Option<Personality>,
}

/// `linux.intelRdt`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct IntelRdt {
    #[serde(rename = "closID")]
    pub clos_id: Option<String>,
    pub schemata: Option<Vec<String>>,
    pub l3_cache_schema: Option<String>,
    pub mem_bw_schema: Option<String>,
    #[serde(default)]
    pub enable_monitoring: bool,
}

/// A value of `linux.netDevices`: the name inside the container.
#[derive(Debug, Deserialize)]
#[allow(missing_docs)]
pub struct NetDevice {
    pub name: Option<String>,
}

/// `linux.memoryPolicy`.
#[derive(Debug, Deserialize)]
#[allow(missing_docs)]
pub struct MemoryPolicy {
    pub mode: String,
    pub nodes: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<String>,
}

/// `linux.personality`.
#[derive(Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Personality {
    pub domain: String,
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<String>,
}

/// An element of `linux.uidMappings` or `linux.gidMappings`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct IdMapping {
    #[serde(rename = "containerID")]
    pub container_id: u32,
    #[serde(rename = "hostID")]
    pub host_id: u32,
    pub size: u32,
}

/// An element of `linux.devices`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Device {
    #[serde(rename = "type")]
    pub typ: LinuxDeviceType,
    pub path: String,
    pub major: Option<i64>,
    pub minor: Option<i64>,
    pub file_mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// `linux.resources`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Resources {
    pub devices: Option<Vec<DeviceAccess>>,
    pub memory: Option<LinuxMemory>,
    pub cpu: Option<LinuxCpu>,
    pub pids: Option<Pids>,
    #[serde(rename = "blockIO")]
    pub block_io: Option<BlockIo>,
    #[serde(default, deserialize_with = "nullable")]
    pub hugepage_limits: Vec<HugepageLimit>,
    pub network: Option<Network>,
    #[serde(default, deserialize_with = "unique")]
    pub rdma: Option<BTreeMap<String, LinuxRdma>>,
    #[serde(default, deserialize_with = "unique")]
    pub unified: Option<BTreeMap<String, String>>,
}

/// An element of `linux.resources.devices`.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct DeviceAccess {
    pub allow: bool,
    #[serde(rename = "type")]
    pub typ: Option<LinuxDeviceType>,
    pub major: Option<i64>,
    pub minor: Option<i64>,
    pub access: Option<String>,
}

/// `linux.resources.pids`. An absent limit is not zero: since 1.3 zero is a limit.
#[derive(Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Pids {
    pub limit: Option<i64>,
}

/// `linux.resources.blockIO`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct BlockIo {
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
    pub weight_device: Option<Vec<WeightDevice>>,
    pub throttle_read_bps_device: Option<Vec<ThrottleDevice>>,
    pub throttle_write_bps_device: Option<Vec<ThrottleDevice>>,
    #[serde(rename = "throttleReadIOPSDevice")]
    pub throttle_read_iops_device: Option<Vec<ThrottleDevice>>,
    #[serde(rename = "throttleWriteIOPSDevice")]
    pub throttle_write_iops_device: Option<Vec<ThrottleDevice>>,
}

/// An element of `linux.resources.blockIO.weightDevice`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct WeightDevice {
    pub major: u32,
    pub minor: u32,
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
}

/// An element of the `throttle…Device` lists: bytes or operations per second.
#[derive(Debug, Deserialize)]
#[allow(missing_docs)]
pub struct ThrottleDevice {
    pub major: u32,
    pub minor: u32,
    pub rate: u64,
}

/// An element of `linux.resources.hugepageLimits`; the limit is in bytes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct HugepageLimit {
    pub page_size: String,
    pub limit: u64,
}

/// `linux.resources.network`: cgroup v1 only.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Network {
    #[serde(rename = "classID")]
    pub class_id: Option<u32>,
    pub priorities: Option<Vec<InterfacePriority>>,
}

/// An element of `linux.resources.network.priorities`.
#[derive(Debug, Deserialize)]
#[allow(missing_docs)]
pub struct InterfacePriority {
    pub name: String,
    pub priority: u32,
}

/// Reads `null` as absent: Go writes it for a list that is nil.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(input: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// Reads a map and refuses duplicate keys, because it is unknown which of the values is right.
fn unique<'de, D: Deserializer<'de>, V: Deserialize<'de>>(input: D) -> Result<Option<BTreeMap<String, V>>, D::Error> {
    Ok(Option::<objects::Unique<V>>::deserialize(input)?.map(|map| map.0))
}
