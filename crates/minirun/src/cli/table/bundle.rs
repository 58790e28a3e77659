//! The command that makes bundles from images.

mod resources;
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use minirun_image::Reference;

use super::ORDINARY;
use super::image::STORE;
use crate::cli::Call;
use crate::cli::command::{Action, Command, Group, Kind, Perform};
use crate::cli::option::{bytes, flag, number, of_kind, options, size, text, texts};
use crate::image::{self, BundleRequest};

/// The forms of an image's name, and what is in a bundle.
const BUNDLE_DETAILS: &str = "IMAGE is oci:PATH[:TAG] for an OCI image layout, oci-archive:FILE[:TAG] for a layout in a tar file, or docker-archive:FILE[:REF] for the output of docker save. FILE can be - for standard input. skopeo copy converts images to these forms.\nThe root file system is an overlay of the image's layers. The container's changes and volumes are stored in private/, which only the owner of the bundle can enter.\nThe default seccomp filter allows the system calls that programs need and that the container's capabilities permit. It refuses new namespaces, mounts, key rings, io_uring, BPF, and sockets of the families AF_ALG and AF_VSOCK. The filter matches the capabilities in the bundle: if you add a capability to config.json, add its system calls to linux.seccomp too.";

pub const BUNDLE: Command = Command {
    name: "bundle",
    group: Group::Images,
    usage: "[OPTIONS] IMAGE DIR",
    arguments: (2, 2),
    takes: &[Kind::File, Kind::Directory],
    help: "Make a bundle from an image. Layers that the layer store does not have are verified and unpacked into it.",
    details: BUNDLE_DETAILS,
    exit: ORDINARY,
    example: "sudo minirun bundle oci:web:latest web/ && sudo minirun run web/",
    action: Action::of::<Bundle>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `bundle`.
    Bundle {
        store: Option<PathBuf> = STORE,
        cmd: Vec<String> =
            texts("cmd", "WORD", "replace the image's command; repeat the option for each argument"),
        env: Vec<String> =
            texts("env", "NAME=VALUE", "set an environment variable, or pass the caller's if only NAME is given; can be repeated"),
        user: Option<String> = text("user", "USER[:GROUP]", "run as this user, a name or number"),
        workdir: Option<String> = text("workdir", "PATH", "working directory of the process"),
        hostname: Option<String> = text("hostname", "NAME", "host name of the container"),
        volumes: Vec<String> =
            texts("volume", "DIR:PATH[:ro]", "mount a directory or file of the host at PATH; can be repeated"),
        read_only: bool = flag("read-only", "mount the root file system read-only"),
        tty: bool = flag("tty", "allocate a terminal"),
        net: Option<String> = text("net", "NETWORK", "network: host, none or container:ID (default: none)"),
        upper_size: Option<u64> =
            size("upper-size", "SIZE", "keep changes in a tmpfs of this size instead of in the bundle"),
        memory: Option<i64> = bytes("memory", "SIZE", "memory.max"),
        cpu_shares: Option<u64> =
            number("cpu-shares", "SHARES", "cpu.weight, in shares of cgroup v1 (1024 is the default weight)"),
        cpus: Option<String> = of_kind(Kind::Number, text("cpus", "N", "CPU limit in CPUs, for example 1.5")),
        cpuset_cpus: Option<String> = text("cpuset-cpus", "LIST", "CPUs to run on, for example 0-2,7"),
        pids_limit: Option<i64> = number("pids-limit", "N", "maximum number of processes and threads"),
        device_read_bps: Vec<String> = texts(
            "device-read-bps",
            "DEVICE:RATE",
            "limit reads from a block device to RATE bytes per second; can be repeated",
        ),
        device_write_bps: Vec<String> = texts("device-write-bps", "DEVICE:RATE", "limit writes to a block device to RATE bytes per second; can be repeated"),
        device_read_iops: Vec<String> =
            texts("device-read-iops", "DEVICE:RATE", "limit reads from a block device to RATE operations per second; can be repeated"),
        device_write_iops: Vec<String> = texts("device-write-iops", "DEVICE:RATE", "limit writes to a block device to RATE operations per second; can be repeated"),
        seccomp: Option<String> = text(
            "seccomp",
            "FILE|default|none",
            "seccomp filter: a file with linux.seccomp, default or none (default: default)",
        ),
        layer_size: Option<u64> =
            size("layer-size", "SIZE", "maximum size of a layer (default: 64g, and 100 times its blob above 256m)"),
    }
}

impl Perform for Bundle {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        image::bundle(BundleRequest {
            image: Reference::parse(&call.args[0])?,
            dir: std::path::absolute(&call.args[1])?,
            options: settings::read(&call.globals.runtime()?, &self)?,
            store: self.store,
            progress: call.globals.log.is_none(),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
