//! Podman with the runtime under test as its default: as root and as an ordinary user, with both cgroup managers.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use runtime_tests::{Output, Running, Terminal};

use crate::machine::{self, runtime};
use crate::{boxes, document};

#[path = "podman/calls.rs"]
mod calls;
#[path = "podman/endings.rs"]
mod endings;
#[path = "podman/life.rs"]
mod life;
#[path = "podman/networks.rs"]
mod networks;
#[path = "podman/options.rs"]
mod options;
#[path = "podman/pods.rs"]
mod pods;
#[path = "podman/system.rs"]
mod system;
#[path = "podman/terminals.rs"]
mod terminals;
#[path = "podman/units.rs"]
mod units;

/// Who calls Podman, and who makes the cgroups for that.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    user: bool,
    manager: &'static str,
}

/// Root, for whom systemd makes cgroups: how Podman is by default.
pub const ROOT: Caller = Caller { user: false, manager: "systemd" };
/// An ordinary user with granted ids, as the VM's image has one, and with an own instance of systemd.
pub const USER: Caller = Caller { user: true, manager: "systemd" };

impl Caller {
    /// With cgroups that the runtime makes itself.
    pub const fn with_cgroupfs(self) -> Self {
        Self { manager: "cgroupfs", ..self }
    }

    /// Runs a shell script in which `podman` and `buildah` are those of this caller.
    #[track_caller]
    pub fn sh(self, script: &str) -> Output {
        prepare();
        self.run(script)
    }

    /// Starts such a script at a new terminal, as a person would. It does not control a user's, whose systemd is between.
    #[track_caller]
    fn at_a_terminal(self, script: &str) -> (Terminal, Child) {
        prepare();
        let (terminal, _slave, child) = Terminal::start(self.command(script).env("TERM", "xterm"), 24, 80);
        (terminal, child)
    }

    #[track_caller]
    fn run(self, script: &str) -> Output {
        Running::start(self.command(script).stdin(Stdio::null()), machine::HOME.as_ref()).finish()
    }

    /// Not yet started.
    fn command(self, script: &str) -> Command {
        let calls = ["podman", "buildah"]
            .map(|name| format!("{name}() {{ command {name} --cgroup-manager {} \"$@\"; }}\n", self.manager));
        let script = format!("{}{script}", calls.concat());
        if !self.user {
            return machine::shell(&script);
        }
        // As a unit of the user's own systemd, for there alone are cgroups that the user may change.
        let mut command = machine::shell(
            "exec runuser -u user -- env XDG_RUNTIME_DIR=/run/user/1000 systemd-run --user --quiet --pipe --wait \
             --collect --expand-environment=no -p Delegate=yes -p KillMode=process \
             -p WorkingDirectory=/home/user sh -uc \"$SCRIPT\"",
        );
        command.env("SCRIPT", script);
        command
    }

    /// What a script that must succeed has printed, without the blanks around it.
    #[track_caller]
    pub fn says(self, script: &str) -> String {
        let output = self.sh(script);
        assert!(output.status == 0, "{self:?} {script}\n{output:?}");
        output.stdout.trim().to_owned()
    }

    /// The directory in which the runtime under test keeps what it knows of a container.
    fn state_of(self, id: &str) -> String {
        let run = if self.user { "/run/user/1000" } else { "/run" };
        format!("{run}/{}/{id}", runtime())
    }
}

/// What every caller finds: the configuration that docs/engines.md tells to write, and the image.
#[track_caller]
fn prepare() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        document::write("/etc/containers/containers.conf.d/default-runtime.conf");
        // What udev would do elsewhere: tunnels are for everybody.
        machine::says(&format!(
            "chmod a+r {}; modprobe tun; chmod a+rw /dev/net/tun; systemctl start user@1000.service",
            boxes::archive()
        ));
        for caller in [ROOT, USER] {
            caller.run(&format!("podman load --quiet --input {}", boxes::archive())).success();
        }
    });
}
