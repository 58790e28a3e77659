//! Commands that make, change and end containers.

use super::ORDINARY;
use crate::cli::command::{Command, Group, Kind};
use crate::cli::option::{
    BUNDLE, CONSOLE_SOCKET, NO_NEW_KEYRING, NO_PIVOT, PID_FILE, PIDFD_SOCKET, PRESERVE_FDS, TIMINGS, TRACE, choice,
    file, flag, number, short, text,
};

pub const RUN: Command = Command {
    name: "run",
    group: Group::Life,
    usage: "[-b BUNDLE] ID | BUNDLE/",
    arguments: (1, 1),
    takes: &[Kind::Directory],
    help: "Create a container, start it, wait for it and delete it. An argument with a slash is a bundle, and the \
           container gets an id of its own. The exit status is that of the container's process, 128+N after signal N.",
    details: "The container is a child of this command, which passes its signals on and gives it its terminal, \
             if the configuration wants one.\nWithout --detach the container is deleted when its process has \
             ended, its poststop hooks included. With --detach the command ends as soon as the program runs, \
             and delete is up to the caller.",
    exit: "That of the container's process, 128+N if signal N ended it; 1 if it could not be run. With \
          --detach 0 as soon as it runs.",
    example: "sudo minirun run bundle/",
    options: &[
        BUNDLE,
        short('d', flag("detach", "do not wait: the container goes on by itself")),
        flag("keep", "do not delete the container when it has ended"),
        flag("no-subreaper", "do not adopt orphans of the container while waiting for it"),
        PID_FILE,
        CONSOLE_SOCKET,
        PIDFD_SOCKET,
        NO_PIVOT,
        NO_NEW_KEYRING,
        PRESERVE_FDS,
        TRACE,
        TIMINGS,
    ],
    passes_on: false,
};

pub const CREATE: Command = Command {
    name: "create",
    group: Group::Life,
    usage: "[-b BUNDLE] ID",
    arguments: (1, 1),
    takes: &[Kind::Text],
    help: "Create a container: everything but its program's first instruction.",
    details: "Namespaces, mounts, cgroup, limits and hooks are set up; the program waits for start. The state is \
             created afterwards.\nThe id is made of letters, digits and the characters _+.- and may have 255 of \
             them; it is free again after delete.\nStandard input, output and error of this command become the \
             container's, unless it has a terminal: its master is sent to the socket of \
             --console-socket.\nEverything is checked before the first thing is made. When something fails \
             after that, everything is undone.",
    exit: ORDINARY,
    example: "sudo minirun create -b bundle web",
    options: &[BUNDLE, PID_FILE, CONSOLE_SOCKET, PIDFD_SOCKET, NO_PIVOT, NO_NEW_KEYRING, PRESERVE_FDS, TRACE, TIMINGS],
    passes_on: false,
};

pub const START: Command = Command {
    name: "start",
    group: Group::Life,
    usage: "ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Start the program of a created container.",
    details: "The startContainer hooks are run inside, the program is executed, and the poststart hooks are run. \
             The state has to be created, and is running afterwards. That the program cannot be executed is an \
             error of this command.",
    exit: ORDINARY,
    example: "sudo minirun start web",
    options: &[TRACE, TIMINGS],
    passes_on: false,
};

pub const KILL: Command = Command {
    name: "kill",
    group: Group::Life,
    usage: "[-a] ID [SIGNAL]",
    arguments: (1, 2),
    takes: &[Kind::Container, Kind::Signal],
    help: "Send a signal to the container's init: a number or a name, with or without SIG (default: SIGTERM).",
    details: "Signal 0 asks only whether init is there. A process that is init of its pid namespace gets only \
             those signals from inside for which it has a handler; from outside, where this command is, KILL \
             and STOP always arrive.\nWithout a pid namespace of its own a container outlives its init, so KILL \
             goes to all of its processes.\nIf the container has stopped, the error says that it is not \
             running.",
    exit: ORDINARY,
    example: "sudo minirun kill web HUP",
    options: &[short('a', flag("all", "send it to every process of the container"))],
    passes_on: false,
};

pub const DELETE: Command = Command {
    name: "delete",
    group: Group::Life,
    usage: "[-f] ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Delete a container that has stopped. Success means that nothing of it is left.",
    details: "The cgroup, the state directory and what else was made for the container are removed, and the \
             poststop hooks are run. The state has to be stopped; --force kills a container in any other.\nIt \
             also removes what a create that was killed has left.",
    exit: "0 when nothing of the container is left, 1 otherwise. With --force, 0 if there was no such \
          container.",
    example: "sudo minirun delete web",
    options: &[short('f', flag("force", "kill it first if it runs, and do not mind if there is none")), TRACE, TIMINGS],
    passes_on: false,
};

pub const PAUSE: Command = Command {
    name: "pause",
    group: Group::Life,
    usage: "ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Stop every process of a container where it is.",
    details: "Processes are stopped by the cgroup's freezer: they do not notice, and cannot prevent it. The \
             state is paused afterwards.",
    exit: ORDINARY,
    example: "sudo minirun pause web",
    options: &[],
    passes_on: false,
};

pub const RESUME: Command = Command {
    name: "resume",
    group: Group::Life,
    usage: "ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Let the processes of a paused container go on.",
    details: "The state has to be paused.",
    exit: ORDINARY,
    example: "sudo minirun resume web",
    options: &[],
    passes_on: false,
};

pub const UPDATE: Command = Command {
    name: "update",
    group: Group::Life,
    usage: "[OPTIONS] ID",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "Change the limits of a container: all that are given, or none. Sizes take k, m, g, t; -1 means no limit.",
    details: "With --resources the other options are not looked at. Limits that are not named stay as they are; \
             device rules, if there are some, replace the former ones. If one cannot be set, all are put back.",
    exit: ORDINARY,
    example: "sudo minirun update --memory 256m --pids-limit 64 web",
    options: &[
        short('r', file("resources", "FILE", "linux.resources as JSON from a file, or - for standard input")),
        number("memory", "BYTES", "memory.max"),
        number("memory-reservation", "BYTES", "memory.low"),
        number("memory-swap", "BYTES", "memory and swap together"),
        number("cpu-share", "SHARES", "cpu.weight, as shares of cgroup v1: 1024 is the default weight"),
        number("cpu-quota", "MICROSECONDS", "cpu time within a period"),
        number("cpu-period", "MICROSECONDS", "length of a period"),
        number("cpu-burst", "MICROSECONDS", "cpu time that may be saved up"),
        choice("cpu-idle", "0|1", &["0", "1"], "run only when nothing else wants to"),
        number("cpu-rt-period", "MICROSECONDS", "refused: cgroup v2 does not share out real-time scheduling"),
        number("cpu-rt-runtime", "MICROSECONDS", "refused, likewise"),
        text("cpuset-cpus", "LIST", "CPUs to run on: 0-2,7"),
        text("cpuset-mems", "LIST", "memory nodes to use"),
        number("pids-limit", "N", "number of processes"),
        number("blkio-weight", "WEIGHT", "io.weight: 10 to 1000"),
        text("l3-cache-schema", "SCHEMA", "refused: there is no Intel RDT configuration"),
        text("mem-bw-schema", "SCHEMA", "refused, likewise"),
        number("kernel-memory", "BYTES", "ignored with a warning"),
        number("kernel-memory-tcp", "BYTES", "ignored with a warning"),
    ],
    passes_on: false,
};
