//! The command that changes limits.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use super::ORDINARY;
use crate::cli::Call;
use crate::cli::command::{Action, Command, Group, Kind, Perform};
use crate::cli::option::{bytes, ignored, number, of_kind, options, place, short, text};

pub const UPDATE: Command = Command {
    name: "update",
    group: Group::Life,
    usage: "[OPTIONS] ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Change the limits of a container. Sizes can have a suffix k, m, g or t; -1 means no limit.",
    details: "Limits that are not given stay as they are. If one limit cannot be set, all of them are restored.\nWith --resources, the options for single limits are ignored. Device rules in the file replace all former device rules.\n--l3-cache-schema and --mem-bw-schema change the container's resctrl group. They require linux.intelRdt in the configuration that the container was created with.",
    exit: ORDINARY,
    example: "sudo minirun update --memory 256m --pids-limit 64 web",
    action: Action::of::<Update>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `update`.
    Update {
        resources: Option<OsString> =
            short('r', place("resources", "FILE", "read linux.resources as JSON from this file, or from standard input if it is -")),
        memory: Option<i64> = bytes("memory", "BYTES", "memory.max"),
        memory_reservation: Option<i64> = bytes("memory-reservation", "BYTES", "memory.low"),
        memory_swap: Option<i64> = bytes("memory-swap", "BYTES", "limit of memory and swap together"),
        cpu_share: Option<i64> =
            number("cpu-share", "SHARES", "cpu.weight, in shares of cgroup v1 (1024 is the default weight)"),
        cpu_quota: Option<i64> = number("cpu-quota", "MICROSECONDS", "CPU time allowed in each period"),
        cpu_period: Option<i64> = number("cpu-period", "MICROSECONDS", "length of a CPU period"),
        cpu_burst: Option<i64> = number("cpu-burst", "MICROSECONDS", "unused CPU time that can be carried over to later periods"),
        cpu_idle: Option<i64> = of_kind(Kind::Choice(&["0", "1"]), number("cpu-idle", "0|1", "1: run only when the CPU would be idle otherwise")),
        cpu_rt_period: Option<i64> =
            number("cpu-rt-period", "MICROSECONDS", "refused: cgroup v2 does not support it"),
        cpu_rt_runtime: Option<i64> = number("cpu-rt-runtime", "MICROSECONDS", "refused: cgroup v2 does not support it"),
        cpuset_cpus: Option<String> = text("cpuset-cpus", "LIST", "CPUs to run on, for example 0-2,7"),
        cpuset_mems: Option<String> = text("cpuset-mems", "LIST", "memory nodes to use, for example 0-1"),
        pids_limit: Option<i64> = number("pids-limit", "N", "maximum number of processes and threads"),
        blkio_weight: Option<u16> = number("blkio-weight", "WEIGHT", "io.weight, from 10 to 1000"),
        l3_cache_schema: Option<String> = text("l3-cache-schema", "SCHEMA", "L3 cache allocation in the form of resctrl, for example L3:0=ff"),
        mem_bw_schema: Option<String> = text("mem-bw-schema", "SCHEMA", "memory bandwidth allocation in the form of resctrl, for example MB:0=70"),
        kernel_memory: bool = ignored("kernel-memory", "BYTES", "ignored with a warning: Linux does not support it any more"),
        kernel_memory_tcp: bool = ignored("kernel-memory-tcp", "BYTES", "ignored with a warning: Linux does not support it any more"),
    }
}

impl Perform for Update {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let resources = match &self.resources {
            Some(source) if source == "-" => {
                let mut text = Vec::new();
                std::io::stdin().read_to_end(&mut text).context("read the resources from standard input")?;
                read_resources(&text)?
            }
            Some(source) if source.is_empty() => bail!("--resources"),
            Some(source) => {
                // accepts: any error; without a working directory a relative path stays.
                let path = std::path::absolute(source).unwrap_or_else(|_| source.into());
                read_resources(&std::fs::read(&path).with_context(|| format!("read {}", path.display()))?)?
            }
            None => self.limits(),
        };
        let options = minirun_container::Update {
            resources,
            l3_cache_schema: self.l3_cache_schema.filter(|schema| !schema.is_empty()),
            mem_bw_schema: self.mem_bw_schema.filter(|schema| !schema.is_empty()),
        };
        call.globals.runtime()?.container(&call.args[0])?.update(&options)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read_resources(text: &[u8]) -> Result<Value> {
    serde_json::from_slice(text).context("the resources are not valid JSON")
}

impl Update {
    /// The options as the configuration would have them.
    fn limits(&self) -> Value {
        for (option, given) in [("kernel-memory", self.kernel_memory), ("kernel-memory-tcp", self.kernel_memory_tcp)] {
            if given {
                log::warn!("--{option} is ignored: the kernel has no such limit any more");
            }
        }
        let memory = [
            ("limit", self.memory.map(Value::from)),
            ("reservation", self.memory_reservation.map(Value::from)),
            ("swap", self.memory_swap.map(Value::from)),
        ];
        let cpu = [
            ("period", self.cpu_period.map(Value::from)),
            ("quota", self.cpu_quota.map(Value::from)),
            ("burst", self.cpu_burst.map(Value::from)),
            ("shares", self.cpu_share.map(Value::from)),
            ("realtimePeriod", self.cpu_rt_period.map(Value::from)),
            ("realtimeRuntime", self.cpu_rt_runtime.map(Value::from)),
            ("idle", self.cpu_idle.map(Value::from)),
            ("cpus", self.cpuset_cpus.clone().map(Value::from)),
            ("mems", self.cpuset_mems.clone().map(Value::from)),
        ];
        let pids = [("limit", self.pids_limit.map(Value::from))];
        let io = [("weight", self.blkio_weight.map(Value::from))];
        json!({ "memory": given(memory), "cpu": given(cpu), "pids": given(pids), "blockIO": given(io) })
    }
}

/// The members that have a value.
fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}
