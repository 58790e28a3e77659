//! Commands about images: from them to bundles, and the store of their layers.

use super::ORDINARY;
use crate::cli::command::{Command, Group, Kind, Opt};
use crate::cli::option::{choice, directory, flag, number, short, text};

const STORE: Opt = directory(
    "store",
    "the store of layers (default: /var/lib/minirun; of a user $XDG_DATA_HOME/minirun or ~/.local/share/minirun)",
);

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
    options: &[
        STORE,
        text("cmd", "WORD", "an argument in place of the image's command; again for each further one"),
        text("env", "NAME=VALUE", "set a variable, or pass one on by its name alone; may be given again"),
        text("user", "USER[:GROUP]", "run as this user, by name or number"),
        text("workdir", "PATH", "start in this directory"),
        text("hostname", "NAME", "the container's host name"),
        text("volume", "DIR:PATH[:ro]", "show a directory or file of the host; may be given again"),
        flag("read-only", "the root file system cannot be written to"),
        flag("tty", "give the process a terminal"),
        text("net", "WHOSE", "the network: host, none or container:ID (default: none)"),
        number("upper-size", "SIZE", "keep changes in memory, as many as this, instead of in the bundle"),
        number("memory", "SIZE", "memory.max"),
        number("cpu-shares", "SHARES", "cpu.weight, as shares of cgroup v1: 1024 is the default weight"),
        number("cpus", "N", "so much of the processors' time: 1.5"),
        text("cpuset-cpus", "LIST", "CPUs to run on: 0-2,7"),
        number("pids-limit", "N", "number of processes"),
        text("device-read-bps", "DEVICE:RATE", "bytes per second read from a block device; may be given again"),
        text("device-write-bps", "DEVICE:RATE", "the same for writing"),
        text("device-read-iops", "DEVICE:RATE", "operations per second; may be given again"),
        text("device-write-iops", "DEVICE:RATE", "the same for writing"),
        text(
            "seccomp",
            "FILE|default|none",
            "the filter of system calls: a file with linux.seccomp, or none (default: default)",
        ),
        number("layer-size", "SIZE", "how large a layer may be (default: 64g, and 100 times its blob above 256m)"),
    ],
    passes_on: false,
};

pub const DIFF: Command = Command {
    name: "diff",
    group: Group::Images,
    usage: "ID|BUNDLE/",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "List what a container has changed in its root, which must be a stack of layers: A for what was added, C for what \
           was changed, D for what was deleted.",
    details: "An argument with a slash is a bundle, of which a container may run or not; any other is the id of a \
              container.\nThe rules are those of docker diff: type, permissions, owner, size, time and capabilities count, \
              and a directory is changed when something in it is. What is in volumes and other mounts is no part of the \
              root.\nWhere changes are kept in memory (bundle --upper-size) they are there as long as the container's init.",
    exit: ORDINARY,
    example: "sudo minirun diff web",
    options: &[],
    passes_on: false,
};

pub const COMMIT: Command = Command {
    name: "commit",
    group: Group::Images,
    usage: "[OPTIONS] ID|BUNDLE/ IMAGE",
    arguments: (2, 2),
    takes: &[Kind::Container, Kind::File],
    help: "Make an image of what a container has changed: a layer on top of the image that its bundle was made from. The new \
           image's ID is printed.",
    details: "An argument with a slash is a bundle, of which a container may run or not; any other is the id of a \
              container. A running one stands still while its changes are read.\nIMAGE is oci:PATH[:TAG], \
              oci-archive:FILE[:TAG] or docker-archive:FILE[:REF], a new one or one that gets another image: an archive is \
              then written anew, with the images that it has. It appears in one go, when it is whole.\nAs with docker \
              commit it is run as the container was: with the --cmd, --env, --user and --workdir of the bundle.\nThe same \
              changes make the same layer; with SOURCE_DATE_EPOCH, seconds since 1970, in the environment, the same image. \
              What is in volumes and other mounts is no part of it, and sockets are left out.\n--change takes CMD, \
              ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR, as a Dockerfile has them.",
    exit: ORDINARY,
    example: "sudo minirun commit --message 'with a page' web oci:web:changed",
    options: &[
        short('a', text("author", "WHO", "who made it")),
        short('m', text("message", "TEXT", "why it was made")),
        short('c', text("change", "INSTRUCTION", "change how the image is run: USER www-data; may be given again")),
        choice("compress", "HOW", &["gzip", "zstd", "none"], "the new layer's compression (default: gzip)"),
        flag("no-pause", "do not stop the container while its changes are read"),
    ],
    passes_on: false,
};

/// What `image` can do.
pub const ACTIONS: &[&str] = &["ls", "rm", "prune", "verify"];

pub const IMAGE: Command = Command {
    name: "image",
    group: Group::Images,
    usage: "[--store DIR] ls | rm ID... | prune | verify",
    arguments: (1, usize::MAX),
    takes: &[Kind::Choice(ACTIONS)],
    help: "Look after the store of layers: list its images, remove some or all that no bundle uses, verify it.",
    details: "ls lists the images that bundles were made from. An ID is as ls prints it, or the beginning of it that is \
              enough.\nrm removes images, with those of their layers that nothing else has. prune removes all images that no \
              bundle uses, and what killed commands have left behind. A bundle that was deleted uses nothing; one that was \
              moved still does, if it lies on the file system of the store.\nverify puts each layer's archive together again \
              from its files and compares the digest, and owners, permissions and times with what the archive says.",
    exit: "0 when it is done, 1 when it is not, or when verify finds a difference.",
    example: "sudo minirun image ls",
    options: &[STORE, choice("format", "FORMAT", &["table", "json"], "how ls prints: table or json (default: table)")],
    passes_on: false,
};
