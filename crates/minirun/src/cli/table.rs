//! The commands and their options: what is parsed, helped with, completed and written manual pages about.

use super::command::{Command, Group, Kind, Opt, Value};

const fn flag(long: &'static str, help: &'static str) -> Opt {
    Opt { long, short: None, value: None, help }
}

const fn valued(long: &'static str, name: &'static str, kind: Kind, help: &'static str) -> Opt {
    Opt { long, short: None, value: Some(Value { name, kind }), help }
}

const fn text(long: &'static str, name: &'static str, help: &'static str) -> Opt {
    valued(long, name, Kind::Text, help)
}

const fn number(long: &'static str, name: &'static str, help: &'static str) -> Opt {
    valued(long, name, Kind::Number, help)
}

const fn file(long: &'static str, name: &'static str, help: &'static str) -> Opt {
    valued(long, name, Kind::File, help)
}

const fn directory(long: &'static str, help: &'static str) -> Opt {
    valued(long, "DIR", Kind::Directory, help)
}

const fn choice(long: &'static str, name: &'static str, words: &'static [&'static str], help: &'static str) -> Opt {
    valued(long, name, Kind::Choice(words), help)
}

const fn short(letter: char, option: Opt) -> Opt {
    Opt { short: Some(letter), ..option }
}

/// In crun's words.
const MANAGERS: &[&str] = &["cgroupfs", "systemd", "disabled"];

/// Options before the command.
pub const GLOBALS: &[Opt] = &[
    directory("root", "where the state of containers is kept (default: /run/minirun)"),
    file("log", "FILE", "append messages to this file, or to syslog:NAME or journald:NAME; errors are printed as well"),
    choice("log-format", "FORMAT", &["text", "json"], "text or json (default: text)"),
    choice("log-level", "LEVEL", &["error", "warning", "info", "debug"], "log this and what is worse (default: info)"),
    flag("debug", "log every step as it is done: --log-level debug"),
    choice(
        "cgroup-manager",
        "WHO",
        MANAGERS,
        "only cgroupfs is supported: cgroups are managed through their file system",
    ),
    flag("systemd-cgroup", "--cgroup-manager systemd, which is not supported"),
    choice(
        "rootless",
        "BOOL",
        &["true", "false", "auto"],
        "true, false or auto: has no effect, the answer is always found by looking",
    ),
];

/// Of commands that are done or not.
const ORDINARY: &str = "0 when it is done, 1 when it is not.";

const BUNDLE: Opt = short('b', directory("bundle", "the bundle (default: the working directory)"));
const PID_FILE: Opt = file("pid-file", "FILE", "write the pid of the container's init there");
const CONSOLE_SOCKET: Opt = file("console-socket", "PATH", "send the master of the container's terminal there");
const PIDFD_SOCKET: Opt = file("pidfd-socket", "PATH", "send a pidfd of the process there");
const NO_PIVOT: Opt =
    flag("no-pivot", "change the root by chroot(2): for a root file system that is an initial ramdisk");
const NO_NEW_KEYRING: Opt = flag("no-new-keyring", "leave the session keyring as it is");
const PRESERVE_FDS: Opt = number("preserve-fds", "N", "pass N more descriptors, from 3 on, to the container");
const TRACE: Opt = file("trace", "FILE", "write what was done, and when, as JSON for Perfetto and chrome://tracing");
const TIMINGS: Opt = flag("timings", "show on standard error how long each step took");

/// Every command.
pub const COMMANDS: &[Command] = &[
    Command {
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
    },
    Command {
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
        options: &[
            BUNDLE,
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
    },
    Command {
        name: "exec",
        group: Group::Inside,
        usage: "[OPTIONS] ID COMMAND [ARG ...] | -p FILE ID",
        arguments: (1, usize::MAX),
        takes: &[Kind::Container],
        help: "Run a further process in a container. The exit status is that of the process, 255 if there was none.",
        details: "The process is born in the container's cgroup and enters all of its namespaces. What neither the \
                 options nor --process name is as in the container's configuration.\nEverything after the id \
                 belongs to the command, whatever it looks like: options of minirun come before.",
        exit: "That of the process, 128+N if signal N ended it; 255 if it could not be run; 1 if the command line \
              is wrong. With --detach 0 as soon as it runs.",
        example: "sudo minirun exec web sh -c 'echo hello'",
        options: &[
            short('p', file("process", "FILE", "the process, as in config.json")),
            short('d', flag("detach", "do not wait for it")),
            short('t', flag("tty", "give it a terminal")),
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            text("cwd", "DIR", "its working directory"),
            short('e', text("env", "NAME=VALUE", "one more environment variable; may be repeated")),
            short('u', text("user", "UID[:GID]", "its user and group, as numbers")),
            short('g', number("additional-gids", "GID", "one more group; may be repeated")),
            short('c', text("cap", "CAP", "one more capability; may be repeated")),
            flag("no-new-privs", "let it gain no privileges by execve"),
            text("apparmor", "PROFILE", "its AppArmor profile"),
            text("process-label", "LABEL", "its SELinux label"),
            PID_FILE,
            PRESERVE_FDS,
            text("cgroup", "PATH", "a cgroup below the container's to be born in"),
            flag("ignore-paused", "even if the container is paused: it waits until that is resumed"),
            TRACE,
            TIMINGS,
        ],
        passes_on: true,
    },
    Command {
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
    },
    Command {
        name: "state",
        group: Group::Looking,
        usage: "ID",
        arguments: (1, 1),
        takes: &[Kind::Container],
        help: "Print the state of a container as the OCI runtime specification has it.",
        details: "The document has the id, the pid of init on the host (0 after it has stopped), the status, the \
                 bundle, the root file system, the time of creation and the annotations.\nThe status is creating, \
                 created, running, paused or stopped. It is found by looking at the processes, not by remembering.",
        exit: ORDINARY,
        example: "sudo minirun state web",
        options: &[],
        passes_on: false,
    },
    Command {
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
    },
    Command {
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
        options: &[
            short('f', flag("force", "kill it first if it runs, and do not mind if there is none")),
            TRACE,
            TIMINGS,
        ],
        passes_on: false,
    },
    Command {
        name: "list",
        group: Group::Looking,
        usage: "[-f table|json] [-q]",
        arguments: (0, 0),
        takes: &[],
        help: "List the containers below the state directory.",
        details: "A container that cannot be looked at is named on standard error, and the others are listed.",
        exit: ORDINARY,
        example: "sudo minirun list",
        options: &[
            short('f', choice("format", "FORMAT", &["table", "json"], "table or json (default: table)")),
            short('q', flag("quiet", "print only the ids")),
        ],
        passes_on: false,
    },
    Command {
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
    },
    Command {
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
    },
    Command {
        name: "ps",
        group: Group::Inside,
        usage: "[-f table|json] ID [PS OPTIONS]",
        arguments: (1, usize::MAX),
        takes: &[Kind::Container],
        help: "List the processes of a container: by ps(1) with its options (default: -ef), or as JSON.",
        details: "The pids are those of the host. The options of ps have to leave the column PID in its output; they \
                 may come as one word, as engines write them.",
        exit: ORDINARY,
        example: "sudo minirun ps web -o pid,comm",
        options: &[short('f', choice("format", "FORMAT", &["table", "json"], "table or json (default: table)"))],
        passes_on: true,
    },
    Command {
        name: "update",
        group: Group::Life,
        usage: "[OPTIONS] ID",
        arguments: (1, 1),
        takes: &[Kind::Container],
        help: "Change the limits of a container: all that are given, or none. Sizes take k, m, g, t; -1 means no limit.",
        details: "With --resources the other options are not looked at. Limits that are not named stay as they are. If \
                 one cannot be set, those that were set are taken back.",
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
    },
    Command {
        name: "features",
        group: Group::Host,
        usage: "",
        arguments: (0, 0),
        takes: &[],
        help: "Print what this program can do, as the OCI runtime specification has it.",
        details: "The document tells of this program, not of the host: namespaces, capabilities, mount options, \
                 hooks and annotations that it knows.",
        exit: ORDINARY,
        example: "minirun features",
        options: &[],
        passes_on: false,
    },
    Command {
        name: "spec",
        group: Group::Host,
        usage: "[-b BUNDLE]",
        arguments: (0, 0),
        takes: &[],
        help: "Write a config.json to start from.",
        details: "A config.json that is there already is not overwritten.",
        exit: "0 when the file was written, 1 otherwise.",
        example: "minirun spec",
        options: &[BUNDLE],
        passes_on: false,
    },
    Command {
        name: "plan",
        group: Group::Host,
        usage: "[BUNDLE]",
        arguments: (0, 1),
        takes: &[Kind::Directory],
        help: "Print what create would do with a bundle, step by step, each with the field that asks for it.",
        details: "Nothing is changed, and no container is needed. All problems of the configuration are reported at \
                 once, each with the path of its field.\nA bundle without changes has always the same plan on the \
                 same host.",
        exit: "0 if the bundle could be run, 1 if it has problems.",
        example: "minirun plan bundle/",
        options: &[BUNDLE, flag("json", "as JSON"), NO_PIVOT, NO_NEW_KEYRING],
        passes_on: false,
    },
    Command {
        name: "help",
        group: Group::Host,
        usage: "[COMMAND]",
        arguments: (0, 1),
        takes: &[Kind::Command],
        help: "Print all commands, or one with its options and an example.",
        details: "The same as --help before or after a command.",
        exit: ORDINARY,
        example: "minirun help run",
        options: &[],
        passes_on: false,
    },
    Command {
        name: "man",
        group: Group::Host,
        usage: "[COMMAND]",
        arguments: (0, 1),
        takes: &[Kind::Command],
        help: "Print a manual page: of a command, or of the whole.",
        details: "The page is written in the macros of man(7), as man -l and mandoc read them.",
        exit: ORDINARY,
        example: "minirun man run | man -l -",
        options: &[],
        passes_on: false,
    },
    Command {
        name: "completion",
        group: Group::Host,
        usage: "bash|zsh|fish",
        arguments: (1, 1),
        takes: &[Kind::Choice(SHELLS)],
        help: "Print a script that completes command lines in a shell.",
        details: "Commands, options, their values and the ids of containers are completed; ids are those that the \
                 caller's own minirun list --quiet prints, below the --root that was typed.\n\
                 bash and fish take the script by source; zsh finds it as the file _minirun in a directory of fpath.",
        exit: ORDINARY,
        example: "source <(minirun completion bash)",
        options: &[],
        passes_on: false,
    },
];

/// Those that completions are made for.
pub const SHELLS: &[&str] = &["bash", "zsh", "fish"];
