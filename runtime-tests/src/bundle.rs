//! A bundle in a separate directory, and the container that is created from it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::runtime::{attempt, finish};
use crate::user::rootless;
use crate::{Leaks, Output, Running, Runtime, User, host};

/// The applets of busybox in the root file system.
const APPLETS: &[&str] = &[
    "sh", "cat", "chmod", "dd", "echo", "env", "false", "grep", "hostname", "id", "ip", "kill", "ln", "ls", "mkdir",
    "mount", "mv", "readlink", "rm", "seq", "sleep", "stat", "touch", "true", "umount", "wc",
];

/// A bundle that removes itself, and anything that a runtime left of it, when it is dropped.
#[derive(Debug)]
pub struct Bundle {
    id: String,
    home: PathBuf,
    runtime: Runtime,
    config: Value,
    user: Option<User>,
    /// Options before the verb that creates the container.
    globals: &'static [&'static str],
}

impl Bundle {
    /// Returns runc's default configuration without a terminal, with a root file system of busybox and the probe; it
    /// runs `/bin/true`.
    #[track_caller]
    pub fn base() -> Self {
        host::require_cgroup2();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("t{}-{}x", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let home = std::env::temp_dir().join("runtime-tests").join(&id);
        fs::create_dir_all(home.join("bundle")).unwrap();
        install_root(&home.join("bundle/rootfs"));
        Self { id, home, runtime: Runtime::from_env(), config: default_config(), user: None, globals: &[] }
    }

    /// Changes the configuration.
    pub fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Creates the container with these options before the verb; other verbs do not get them.
    pub fn globals(mut self, globals: &'static [&'static str]) -> Self {
        self.globals = globals;
        self
    }

    /// Sets the program and its arguments.
    pub fn args(self, args: &[&str]) -> Self {
        self.with(|config| config["process"]["args"] = json!(args))
    }

    /// Runs the probe; the words are separated by blanks.
    pub fn probe(self, words: &str) -> Self {
        let args: Vec<_> = ["/bin/probe"].into_iter().chain(words.split_whitespace()).collect();
        self.args(&args)
    }

    /// Runs a shell script.
    pub fn sh(self, script: &str) -> Self {
        self.args(&["/bin/sh", "-c", script])
    }

    /// Makes the container's root file system writable.
    pub fn writable(self) -> Self {
        self.with(|config| config["root"]["readonly"] = false.into())
    }

    /// Appends a mount.
    pub fn mount(self, destination: &str, kind: &str, source: &str, options: &[&str]) -> Self {
        let mount = json!({"destination": destination, "type": kind, "source": source, "options": options});
        self.with(|config| config["mounts"].as_array_mut().unwrap().push(mount))
    }

    /// Removes the mounts at and below a destination.
    pub fn without_mount(self, destination: &str) -> Self {
        let gone = |mount: &Value| Path::new(mount["destination"].as_str().unwrap()).starts_with(destination);
        self.with(|config| config["mounts"].as_array_mut().unwrap().retain(|mount| !gone(mount)))
    }

    /// Replaces the entry of one namespace type; without an entry the container uses the host's.
    pub fn namespace(self, kind: &str, entry: Option<Value>) -> Self {
        self.with(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.retain(|namespace| namespace["type"] != kind);
            namespaces.extend(entry);
        })
    }

    /// Removes the mount namespace, and everything that would change the caller's mounts.
    pub fn in_callers_mounts(self) -> Self {
        self.writable().namespace("mount", None).with(|config| {
            config["mounts"] = json!([]);
            for list in ["maskedPaths", "readonlyPaths"] {
                config["linux"][list] = json!([]);
            }
        })
    }

    /// Adds a user namespace in which root is `first` of the host. Files on the path to the root file system become
    /// accessible to that user.
    pub fn user_namespace(self, first: u32, size: u32) -> Self {
        let map = json!([{"containerID": 0, "hostID": first, "size": size}]);
        chown_tree(&self.rootfs(), first);
        for directory in self.rootfs().ancestors().skip(1).take(3) {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        }
        self.namespace("user", Some(json!({"type": "user"}))).with(|config| {
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        })
    }

    /// Makes all later calls as this user, who is the container's root. The runtime is copied, because its directory
    /// may be accessible only to root.
    pub fn of_user(mut self, user: User) -> Self {
        self.runtime = self.runtime.copied_to(&self.home);
        chown_tree(&self.home, User::id());
        self.user = Some(user.at_home(&self.home));
        self.with(rootless)
    }

    /// Returns the user who calls the runtime, if it is not root.
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// Returns the unique id of the container.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the test's private directory, which holds the bundle and the state directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the bundle's directory.
    pub fn path(&self) -> PathBuf {
        self.home.join("bundle")
    }

    /// Returns the path of the root file system on the host.
    pub fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// Returns the state directory, `--root`.
    pub fn state_root(&self) -> PathBuf {
        self.home.join("state")
    }

    /// Returns the runtime under test.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Writes `config.json` atomically, because another call may be reading it.
    pub fn write(&self) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let new = self.home.join(format!("config.{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::write(&new, serde_json::to_vec_pretty(&self.config).unwrap()).unwrap();
        fs::rename(new, self.path().join("config.json")).unwrap();
    }

    /// Returns a call of the runtime that is not started yet.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.runtime.command(&self.state_root());
        command.args(words).stdin(std::process::Stdio::null());
        self.user.iter().for_each(|user| user.takes(&mut command));
        command
    }

    /// Calls the runtime and waits for its end.
    #[track_caller]
    pub fn call(&self, words: &[&str]) -> Output {
        finish(&mut self.command(words), &self.home)
    }

    /// Runs another command, with its streams in this bundle's home.
    #[track_caller]
    pub fn finish(&self, command: &mut Command) -> Output {
        finish(command, &self.home)
    }

    /// Returns `create` or `run` of this bundle with further options, not started yet.
    pub fn command_for(&self, verb: &str, options: &[&str]) -> Command {
        self.write();
        let mut command = self.command(&[self.globals, &[verb, "--bundle"]].concat());
        command.arg(self.path()).args(options).arg(&self.id);
        command
    }

    /// Calls `run` and waits for its end.
    #[track_caller]
    pub fn run(&self) -> Output {
        finish(&mut self.command_for("run", &[]), &self.home)
    }

    /// Starts `run` in the background.
    #[track_caller]
    pub fn run_in_background(&self) -> Running {
        Running::start(&mut self.command_for("run", &[]), &self.home)
    }

    /// Calls `create`, which may fail.
    #[track_caller]
    pub fn try_create(&self) -> Output {
        finish(&mut self.command_for("create", &[]), &self.home)
    }

    /// Calls `create`, which must succeed.
    #[track_caller]
    pub fn create(self) -> Container {
        let output = self.try_create();
        assert!(output.status == 0, "create: status {}: {}", output.status, output.stderr);
        Container { bundle: self, stdout: output.stdout_file }
    }

    /// Calls `create`, which must fail and leave nothing. Returns the message.
    #[track_caller]
    pub fn refused(&self) -> String {
        let message = self.try_create().failure();
        self.assert_nothing_left();
        message
    }

    /// Returns everything that this bundle's container has left so far.
    pub fn leaks(&self) -> Leaks {
        Leaks::of(&self.id, &self.state_root())
    }

    /// Fails unless everything of the container is gone. Only killed processes get a moment to disappear.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let mut leaks = self.leaks();
        for _ in 0..100 {
            if leaks.processes.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            leaks = self.leaks();
        }
        assert!(leaks.is_none(), "left behind: {leaks:#?}");
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        attempt(&mut self.command(&["delete", "-f", &self.id]));
        self.leaks().sweep();
        // A late runtime may still use the directory.
        let gone = || fs::remove_dir_all(&self.home).is_ok() || !self.home.exists();
        let _ = gone() || gone();
    }
}

/// A created container, deleted by force when it is dropped.
#[derive(Debug)]
pub struct Container {
    bundle: Bundle,
    stdout: PathBuf,
}

impl Container {
    /// Returns its bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Calls a verb with the id and further words.
    #[track_caller]
    pub fn call(&self, verb: &[&str], rest: &[&str]) -> Output {
        let words: Vec<_> = verb.iter().copied().chain([self.bundle.id()]).chain(rest.iter().copied()).collect();
        self.bundle.call(&words)
    }

    /// Calls `exec` with these options and words.
    #[track_caller]
    pub fn exec(&self, options: &[&str], words: &[&str]) -> Output {
        let verb: Vec<_> = ["exec"].iter().chain(options).copied().collect();
        self.call(&verb, words)
    }

    /// Calls `start`, which must succeed.
    #[track_caller]
    pub fn start(&self) {
        self.call(&["start"], &[]).success();
    }

    /// Calls `kill`, which must succeed.
    #[track_caller]
    pub fn kill(&self, signal: &str) {
        self.call(&["kill"], &[signal]).success();
    }

    /// Calls `delete`, which must succeed.
    #[track_caller]
    pub fn delete(&self) {
        self.call(&["delete"], &[]).success();
    }

    /// Calls `state` and parses its output.
    #[track_caller]
    pub fn state(&self) -> Value {
        serde_json::from_str(&self.call(&["state"], &[]).success()).unwrap()
    }

    /// Returns the status that `state` reports.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for a status.
    #[track_caller]
    pub fn wait_for(&self, status: &str) {
        host::wait_until(&format!("status {status}"), || self.status() == status);
    }

    /// Returns the host's pid of the container's first process.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.state()["pid"].as_i64().unwrap() as i32
    }

    /// Returns the directory of the container's cgroup on the host.
    #[track_caller]
    pub fn cgroup(&self) -> PathBuf {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", self.pid())).unwrap();
        let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
        Path::new("/sys/fs/cgroup").join(path)
    }

    /// Returns the output of the container's process so far. The stream is that of `create`.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        attempt(&mut self.bundle.command(&["delete", "-f", self.bundle.id()]));
    }
}

fn install_root(root: &Path) {
    for directory in ["bin", "dev", "etc", "home", "mnt", "proc", "root", "sys", "tmp"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let users = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n";
    fs::write(root.join("etc/passwd"), users).unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
    let busybox = host::guest_program("MINIRUN_BUSYBOX", || "/bin/busybox".into());
    let probe = host::guest_program("MINIRUN_PROBE", || host::built("probe"));
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    fs::copy(probe, root.join("bin/probe")).unwrap();
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
}

fn chown_tree(path: &Path, owner: u32) {
    std::os::unix::fs::lchown(path, Some(owner), Some(owner)).unwrap();
    match fs::read_dir(path) {
        Ok(entries) if !path.is_symlink() => entries.for_each(|entry| chown_tree(&entry.unwrap().path(), owner)),
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotADirectory),
    }
}

/// Returns the configuration of `runc spec` without the terminal and without resources, which require controllers that
/// a private cgroup2 mount lacks. `RLIMIT_NOFILE` is included.
fn default_config() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/true"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
                "ambient": capabilities,
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "runc",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
