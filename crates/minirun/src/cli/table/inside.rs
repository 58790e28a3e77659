//! Commands that reach into a container.

use super::ORDINARY;
use crate::cli::command::{Command, Group, Kind};
use crate::cli::option::{
    CONSOLE_SOCKET, PID_FILE, PIDFD_SOCKET, PRESERVE_FDS, TIMINGS, TRACE, choice, file, flag, number, short, text,
};

pub const EXEC: Command = Command {
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
};

pub const PS: Command = Command {
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
};
