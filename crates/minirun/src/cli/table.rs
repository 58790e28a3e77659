//! The commands and their options.

/// An option.
#[derive(Debug)]
pub struct Opt {
    pub long: &'static str,
    pub short: Option<char>,
    /// What its value is called; none for a flag.
    pub value: Option<&'static str>,
    pub help: &'static str,
}

impl Opt {
    /// Is this the option that was spelt so?
    pub fn is(&self, spelling: &str) -> bool {
        match spelling.strip_prefix("--") {
            Some(name) => name == self.long,
            None => spelling.strip_prefix('-').is_some_and(|letter| letter.chars().next() == self.short),
        }
    }
}

/// A command.
#[derive(Debug)]
pub struct Command {
    pub name: &'static str,
    /// Its arguments, for the usage line.
    pub usage: &'static str,
    /// How many arguments it takes: at least, at most.
    pub arguments: (usize, usize),
    pub help: &'static str,
    pub example: &'static str,
    pub options: &'static [Opt],
    /// Does everything after the first argument belong to another program?
    pub passes_on: bool,
}

const fn flag(long: &'static str, help: &'static str) -> Opt {
    Opt { long, short: None, value: None, help }
}

const fn value(long: &'static str, value: &'static str, help: &'static str) -> Opt {
    Opt { long, short: None, value: Some(value), help }
}

const fn short(letter: char, option: Opt) -> Opt {
    Opt { short: Some(letter), ..option }
}

/// Options before the command.
pub const GLOBALS: &[Opt] = &[
    value("root", "DIR", "where the state of containers is kept (default: /run/minirun)"),
    value("log", "FILE", "append messages to this file; errors go to standard error as well"),
    value("log-format", "FORMAT", "text or json (default: text)"),
    flag("debug", "log what is done, the plan included"),
    flag("systemd-cgroup", "not supported: cgroups are managed through their file system"),
    value("rootless", "BOOL", "true, false or auto; taken for compatibility, the answer is always found by looking"),
];

const BUNDLE: Opt = short('b', value("bundle", "DIR", "the bundle (default: the working directory)"));
const PID_FILE: Opt = value("pid-file", "FILE", "write the pid of the container's init there");
const CONSOLE_SOCKET: Opt = value("console-socket", "PATH", "send the master of the container's terminal there");
const PIDFD_SOCKET: Opt = value("pidfd-socket", "PATH", "send a pidfd of the process there");
const NO_PIVOT: Opt =
    flag("no-pivot", "change the root by chroot(2): for a root file system that is an initial ramdisk");
const NO_NEW_KEYRING: Opt = flag("no-new-keyring", "leave the session keyring as it is");
const PRESERVE_FDS: Opt = value("preserve-fds", "N", "pass N more descriptors, from 3 on, to the container");

/// Every command.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "run",
        usage: "[-b BUNDLE] ID | BUNDLE/",
        arguments: (1, 1),
        help: "Create a container, start it, wait for it and delete it. An argument with a slash is a bundle, and the \
               container gets an id of its own. The exit status is that of the container's process, 128+N after signal N.",
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
        ],
        passes_on: false,
    },
    Command {
        name: "create",
        usage: "[-b BUNDLE] ID",
        arguments: (1, 1),
        help: "Create a container: everything but its program's first instruction.",
        example: "sudo minirun create -b bundle web",
        options: &[BUNDLE, PID_FILE, CONSOLE_SOCKET, PIDFD_SOCKET, NO_PIVOT, NO_NEW_KEYRING, PRESERVE_FDS],
        passes_on: false,
    },
    Command {
        name: "exec",
        usage: "[OPTIONS] ID COMMAND [ARG ...] | -p FILE ID",
        arguments: (1, usize::MAX),
        help: "Run a further process in a container. The exit status is that of the process, 255 if there was none.",
        example: "sudo minirun exec web sh -c 'echo hello'",
        options: &[
            short('p', value("process", "FILE", "the process, as in config.json")),
            short('d', flag("detach", "do not wait for it")),
            short('t', flag("tty", "give it a terminal")),
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            value("cwd", "DIR", "its working directory"),
            short('e', value("env", "NAME=VALUE", "one more environment variable; may be repeated")),
            short('u', value("user", "UID[:GID]", "its user and group, as numbers")),
            short('g', value("additional-gids", "GID", "one more group; may be repeated")),
            short('c', value("cap", "CAP", "one more capability; may be repeated")),
            flag("no-new-privs", "let it gain no privileges by execve"),
            value("apparmor", "PROFILE", "its AppArmor profile"),
            value("process-label", "LABEL", "its SELinux label"),
            PID_FILE,
            PRESERVE_FDS,
            value("cgroup", "PATH", "a cgroup below the container's to be born in"),
            flag("ignore-paused", "even if the container is paused: it waits until that is resumed"),
        ],
        passes_on: true,
    },
    Command {
        name: "start",
        usage: "ID",
        arguments: (1, 1),
        help: "Start the program of a created container.",
        example: "sudo minirun start web",
        options: &[],
        passes_on: false,
    },
    Command {
        name: "state",
        usage: "ID",
        arguments: (1, 1),
        help: "Print the state of a container as the OCI runtime specification has it.",
        example: "sudo minirun state web",
        options: &[],
        passes_on: false,
    },
    Command {
        name: "kill",
        usage: "[-a] ID [SIGNAL]",
        arguments: (1, 2),
        help: "Send a signal to the container's init: a number or a name, with or without SIG (default: SIGTERM).",
        example: "sudo minirun kill web HUP",
        options: &[short('a', flag("all", "send it to every process of the container"))],
        passes_on: false,
    },
    Command {
        name: "delete",
        usage: "[-f] ID",
        arguments: (1, 1),
        help: "Delete a container that has stopped. Success means that nothing of it is left.",
        example: "sudo minirun delete web",
        options: &[short('f', flag("force", "kill it first if it runs, and do not mind if there is none"))],
        passes_on: false,
    },
    Command {
        name: "list",
        usage: "[-f table|json] [-q]",
        arguments: (0, 0),
        help: "List the containers below the state directory.",
        example: "sudo minirun list",
        options: &[
            short('f', value("format", "FORMAT", "table or json (default: table)")),
            short('q', flag("quiet", "print only the ids")),
        ],
        passes_on: false,
    },
    Command {
        name: "pause",
        usage: "ID",
        arguments: (1, 1),
        help: "Stop every process of a container where it is.",
        example: "sudo minirun pause web",
        options: &[],
        passes_on: false,
    },
    Command {
        name: "resume",
        usage: "ID",
        arguments: (1, 1),
        help: "Let the processes of a paused container go on.",
        example: "sudo minirun resume web",
        options: &[],
        passes_on: false,
    },
    Command {
        name: "ps",
        usage: "[-f table|json] ID [PS OPTIONS]",
        arguments: (1, usize::MAX),
        help: "List the processes of a container, by ps(1) with its options (default: -ef) or as JSON.",
        example: "sudo minirun ps web -o pid,comm",
        options: &[short('f', value("format", "FORMAT", "table or json (default: table)"))],
        passes_on: true,
    },
    Command {
        name: "update",
        usage: "[OPTIONS] ID",
        arguments: (1, 1),
        help: "Change the limits of a container: all that are given, or none. Sizes take k, m, g, t; -1 means no limit.",
        example: "sudo minirun update --memory 256m --pids-limit 64 web",
        options: &[
            short('r', value("resources", "FILE", "linux.resources as JSON from a file, or - for standard input")),
            value("memory", "BYTES", "memory.max"),
            value("memory-reservation", "BYTES", "memory.low"),
            value("memory-swap", "BYTES", "memory and swap together"),
            value("cpu-share", "SHARES", "cpu.weight, as shares of cgroup v1: 1024 is the default weight"),
            value("cpu-quota", "MICROSECONDS", "cpu time within a period"),
            value("cpu-period", "MICROSECONDS", "length of a period"),
            value("cpu-burst", "MICROSECONDS", "cpu time that may be saved up"),
            value("cpu-idle", "0|1", "run only when nothing else wants to"),
            value("cpu-rt-period", "MICROSECONDS", "refused: cgroup v2 does not share out real-time scheduling"),
            value("cpu-rt-runtime", "MICROSECONDS", "refused, likewise"),
            value("cpuset-cpus", "LIST", "CPUs to run on: 0-2,7"),
            value("cpuset-mems", "LIST", "memory nodes to use"),
            value("pids-limit", "N", "number of processes"),
            value("blkio-weight", "WEIGHT", "io.weight: 10 to 1000"),
            value("l3-cache-schema", "SCHEMA", "refused: there is no Intel RDT configuration"),
            value("mem-bw-schema", "SCHEMA", "refused, likewise"),
            value("kernel-memory", "BYTES", "ignored with a warning"),
            value("kernel-memory-tcp", "BYTES", "ignored with a warning"),
        ],
        passes_on: false,
    },
    Command {
        name: "features",
        usage: "",
        arguments: (0, 0),
        help: "Print what this program can do, as the OCI runtime specification has it.",
        example: "minirun features",
        options: &[],
        passes_on: false,
    },
    Command {
        name: "spec",
        usage: "[-b BUNDLE]",
        arguments: (0, 0),
        help: "Write a config.json to start from.",
        example: "minirun spec",
        options: &[BUNDLE],
        passes_on: false,
    },
    Command {
        name: "plan",
        usage: "[BUNDLE]",
        arguments: (0, 1),
        help: "Print what create would do with a bundle, step by step, each with the field that asks for it.",
        example: "minirun plan bundle/",
        options: &[BUNDLE, flag("json", "as JSON"), NO_PIVOT, NO_NEW_KEYRING],
        passes_on: false,
    },
    Command {
        name: "check",
        usage: "[BUNDLE]",
        arguments: (0, 1),
        help: "Find out by trying what this host can do, or whether a bundle can run here, and what to do about what is \
               missing. Nothing is changed. The exit status is 1 if a default bundle, or the named one, cannot run.",
        example: "sudo minirun check bundle/",
        options: &[
            short('b', value("bundle", "DIR", "the bundle (default: none, only the host)")),
            flag("json", "as JSON"),
            NO_PIVOT,
            NO_NEW_KEYRING,
        ],
        passes_on: false,
    },
];
