//! The command that makes bundles from images.

mod resources;
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use minirun_image::{Limits, Reference};

use super::ORDINARY;
use super::image::STORE;
use crate::cli::Call;
use crate::cli::command::{Action, Command, Group, Kind, Perform};
use crate::cli::option::{bytes, flag, number, of_kind, options, size, text, texts};
use crate::image::{self, BundleOptions, Seccomp};

/// The forms of an image's name, and what is in a bundle.
const BUNDLE_DETAILS: &str = "IMAGE is oci:PATH[:TAG], an OCI image layout, oci-archive:FILE[:TAG], the same in a tar file, or \
                              docker-archive:FILE[:REF], what docker save writes; the file - is standard input. skopeo copy puts \
                              images into these forms.\n\
                              The container's changes and volumes are in private/, which only the owner of the bundle can \
                              enter.\nThe default filter of system calls lets through what programs need and the \
                              container's capabilities allow. It refuses new namespaces, mounts, key rings, io_uring, BPF, \
                              and sockets of the families AF_ALG and AF_VSOCK. It is written for the capabilities that the \
                              bundle has: another one in config.json does not bring its system calls.";

pub const BUNDLE: Command = Command {
    name: "bundle",
    group: Group::Images,
    usage: "[OPTIONS] IMAGE DIR",
    arguments: (2, 2),
    takes: &[Kind::File, Kind::Directory],
    help: "Make a bundle from an image: layers that are not in the store are verified and unpacked into it, and config.json \
           does what the image says.",
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
            texts("cmd", "WORD", "an argument in place of the image's command; again for each further one"),
        env: Vec<String> =
            texts("env", "NAME=VALUE", "set a variable, or pass one on by its name alone; may be given again"),
        user: Option<String> = text("user", "USER[:GROUP]", "run as this user, by name or number"),
        workdir: Option<String> = text("workdir", "PATH", "start in this directory"),
        hostname: Option<String> = text("hostname", "NAME", "the container's host name"),
        volumes: Vec<String> =
            texts("volume", "DIR:PATH[:ro]", "show a directory or file of the host; may be given again"),
        read_only: bool = flag("read-only", "the root file system cannot be written to"),
        tty: bool = flag("tty", "give the process a terminal"),
        net: Option<String> = text("net", "WHOSE", "the network: host, none or container:ID (default: none)"),
        upper_size: Option<u64> =
            size("upper-size", "SIZE", "keep changes in memory, as many as this, instead of in the bundle"),
        memory: Option<i64> = bytes("memory", "SIZE", "memory.max"),
        cpu_shares: Option<u64> =
            number("cpu-shares", "SHARES", "cpu.weight, as shares of cgroup v1: 1024 is the default weight"),
        cpus: Option<String> = of_kind(Kind::Number, text("cpus", "N", "so much of the processors' time: 1.5")),
        cpuset_cpus: Option<String> = text("cpuset-cpus", "LIST", "CPUs to run on: 0-2,7"),
        pids_limit: Option<i64> = number("pids-limit", "N", "number of processes"),
        device_read_bps: Vec<String> = texts(
            "device-read-bps",
            "DEVICE:RATE",
            "bytes per second read from a block device; may be given again",
        ),
        device_write_bps: Vec<String> = texts("device-write-bps", "DEVICE:RATE", "the same for writing"),
        device_read_iops: Vec<String> =
            texts("device-read-iops", "DEVICE:RATE", "operations per second; may be given again"),
        device_write_iops: Vec<String> = texts("device-write-iops", "DEVICE:RATE", "the same for writing"),
        seccomp: Option<String> = text(
            "seccomp",
            "FILE|default|none",
            "the filter of system calls: a file with linux.seccomp, or none (default: default)",
        ),
        layer_size: Option<u64> =
            size("layer-size", "SIZE", "how large a layer may be (default: 64g, and 100 times its blob above 256m)"),
    }
}

impl Perform for Bundle {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let options = BundleOptions {
            image: Reference::parse(&call.args[0])?,
            dir: std::path::absolute(&call.args[1])?,
            settings: settings::read(&call.globals.runtime(), &self)?,
            seccomp: Seccomp::read(self.seccomp.as_deref())?,
            limits: self.layer_size.map_or_else(Limits::default, Limits::of_size),
            store: self.store,
            user: self.user,
            progress: call.globals.log.is_none(),
        };
        image::bundle(options)?;
        Ok(ExitCode::SUCCESS)
    }
}
