//! Commands that reach into a container.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use minirun_plan::spec::Process;

use super::ORDINARY;
use super::shared::{CONSOLE_SOCKET, FORMAT, PID_FILE, PIDFD_SOCKET, PRESERVE_FDS, TIMINGS, TRACE, format_of, stay_of};
use crate::cli::command::{Action, Command, Group, Kind, Perform};
use crate::cli::option::{file, flag, of_kind, options, short, text, texts};
use crate::cli::{Call, ids};
use crate::trace::{self, Tracing};
use crate::{ps, run};

pub const EXEC: Command = Command {
    name: "exec",
    group: Group::Inside,
    usage: "[OPTIONS] ID COMMAND [ARG ...] | -p FILE ID",
    arguments: (1, usize::MAX),
    takes: &[Kind::Container],
    help: "Run another process in a container. The exit status is that of the process, or 255 if it could not be started.",
    details: "The process starts in the container's cgroup and joins all of its namespaces. Settings that neither the options nor --process give come from the container's configuration.\nThe options of minirun come before the id. Everything after the id belongs to the command, even if it looks like an option.",
    exit: "That of the process, or 128+N if signal N ended it; 255 if it could not be run; 1 if the command line is not valid. With --detach, 0 once the process has started.",
    example: "sudo minirun exec web sh -c 'echo hello'",
    action: Action::of::<Exec>(),
    passes_on: true,
    failure: 255,
};

options! {
    /// Options of `exec`.
    Exec {
        process: Option<PathBuf> = short('p', file("process", "FILE", "read the process from this JSON file, in the form of config.json")),
        detach: bool = short('d', flag("detach", "exit as soon as the process has started")),
        tty: bool = short('t', flag("tty", "allocate a terminal")),
        console_socket: Option<PathBuf> = CONSOLE_SOCKET,
        pidfd_socket: Option<PathBuf> = PIDFD_SOCKET,
        cwd: Option<String> = text("cwd", "DIR", "working directory of the process"),
        env: Vec<String> = short('e', texts("env", "NAME=VALUE", "add an environment variable; can be repeated")),
        user: Option<String> = short('u', text("user", "UID[:GID]", "user and group of the process, as numbers")),
        additional_gids: Vec<String> = short(
            'g',
            of_kind(Kind::Number, texts("additional-gids", "GID", "add a supplementary group; can be repeated")),
        ),
        cap: Vec<String> = short('c', texts("cap", "CAP", "add a capability; can be repeated")),
        no_new_privs: bool = flag("no-new-privs", "prevent the process from gaining privileges by execve(2)"),
        apparmor: Option<String> = text("apparmor", "PROFILE", "AppArmor profile of the process"),
        process_label: Option<String> = text("process-label", "LABEL", "SELinux label of the process"),
        pid_file: Option<PathBuf> = PID_FILE,
        preserve_fds: Option<u32> = PRESERVE_FDS,
        cgroup: Option<String> = text("cgroup", "PATH", "start in this cgroup below the container's"),
        ignore_paused: bool =
            flag("ignore-paused", "start the process even if the container is paused; it waits for resume"),
        trace: Option<PathBuf> = TRACE,
        timings: bool = TIMINGS,
    }
}

impl Perform for Exec {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        trace::set_up(&Tracing { file: self.trace, chart: self.timings })?;
        trace::seal()?;
        let gids = self.additional_gids.iter();
        let gids = gids.map(|gid| ids::id_of(gid).with_context(|| format!("--additional-gids {gid}")));
        let (id, args) = (&call.args[0], call.args[1..].to_vec());
        let options = minirun_container::Exec {
            args,
            process: self.process.as_deref().map(read_process).transpose()?,
            stay: stay_of(self.detach),
            children: minirun_container::options::Children::All,
            tty: self.tty,
            cwd: self.cwd,
            env: self.env,
            user: self.user.as_deref().map(ids::user_of).transpose()?,
            additional_gids: gids.collect::<Result<_>>()?,
            capabilities: self.cap,
            no_new_privileges: self.no_new_privs,
            apparmor_profile: self.apparmor,
            selinux_label: self.process_label,
            cgroup: self.cgroup,
            ignore_paused: self.ignore_paused,
            preserve_fds: self.preserve_fds.unwrap_or(0),
            pid_file: self.pid_file,
            console_socket: self.console_socket,
            pidfd_socket: self.pidfd_socket,
        };
        run::exec(&call.globals.runtime()?, id, &options)
    }
}

/// Reads a file with `process` of a configuration.
fn read_process(path: &Path) -> Result<Process> {
    let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    minirun_plan::spec::read(&text).with_context(|| format!("process in {}", path.display()))
}

pub const PS: Command = Command {
    name: "ps",
    group: Group::Inside,
    usage: "[-f table|json] ID [PS OPTIONS]",
    arguments: (1, usize::MAX),
    takes: &[Kind::Container],
    help: "List the processes of a container. The table is made by ps(1) with the given options (default: -ef).",
    details: "The pids are those of the host. With the options of ps, the output must have the column PID. All options can also be one word, as container engines pass them.",
    exit: ORDINARY,
    example: "sudo minirun ps web -o pid,comm",
    action: Action::of::<Ps>(),
    passes_on: true,
    failure: 1,
};

options! {
    /// Options of `ps`.
    Ps {
        format: Option<String> = FORMAT,
    }
}

impl Perform for Ps {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let format = format_of(self.format.as_deref())?;
        ps::ps(&call.globals.runtime()?, &call.args[0], format, &call.args[1..])?;
        Ok(ExitCode::SUCCESS)
    }
}
