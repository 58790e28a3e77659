//! An error at every system call of `create`, `run` and `exec`: a command that still succeeds has made exactly the
//! confinement of an undisturbed one, and one that fails leaves nothing behind.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use runtime_tests::{Bundle, Injected, Leaks, Point, inject, sample, survey, wait_until};
use serde_json::json;

/// A filter around the runtime that answers so holds for the container as well, which then has no use of a keyring.
const EXCUSED: (i64, Errno) = (libc::SYS_keyctl, Errno::ENOSYS);

const ERRORS: [Errno; 5] = [Errno::EPERM, Errno::ENOENT, Errno::EINVAL, Errno::EIO, Errno::ENOSYS];

/// A command under test, and how its container is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Run,
    Exec,
}

/// Runs the sweep `name` with bundles from `make`, or `count` points of it.
pub(crate) fn sweep(name: &str, verb: Verb, make: impl Fn() -> Bundle, limit: Option<usize>) {
    let mut scene = Scene::new(verb, &make);
    let reference = scene.undisturbed();
    assert_eq!(reference, scene.undisturbed(), "the fingerprint differs without any error");
    let (whole, points) = scene.survey();
    assert_eq!(whole.status, 0, "{verb:?} does not work at all under the tracer: {}", scene.stderr());
    let points = points.into_iter().flat_map(|point| ERRORS.map(|errno| (point, errno))).collect();
    let mut points = sample(name, points);
    if let Some(limit) = limit {
        let step = points.len().div_ceil(limit).max(1);
        points = points.into_iter().step_by(step).collect();
    }
    let mut faults = Vec::new();
    let count = points.len();
    for (point, errno) in points {
        let (end, fault) = scene.disturbed(point, errno, &reference);
        let fault = fault.filter(|_| Some(EXCUSED.0) != end.failed || EXCUSED.1 != errno);
        if let Some(fault) = fault {
            let call = end.failed.map_or_else(|| "none".to_owned(), |call| call.to_string());
            faults.push(format!("{point} (number {call}) fails with {errno:?}: status {}: {fault}", end.status));
            drop(scene);
            scene = Scene::new(verb, &make);
        }
    }
    assert!(faults.is_empty(), "{} of {count} points:\n{}", faults.len(), faults.join("\n"));
}

/// A bundle, with a container that runs if the command is `exec`.
struct Scene {
    verb: Verb,
    bundle: Bundle,
    probe: Vec<String>,
}

impl Scene {
    fn new(verb: Verb, make: &impl Fn() -> Bundle) -> Scene {
        let probe: Vec<_> =
            ["/bin/probe", "fingerprint"].map(str::to_owned).into_iter().chain(host_namespaces()).collect();
        let words: Vec<_> = probe.iter().map(String::as_str).collect();
        let bundle = match verb {
            Verb::Exec => make().probe("pause"),
            Verb::Create | Verb::Run => make().args(&words),
        };
        if verb == Verb::Exec {
            bundle.try_create().success();
            bundle.call(&["start", bundle.id()]).success();
        }
        Scene { verb, bundle, probe }
    }

    fn output(&self) -> PathBuf {
        self.bundle.home().join("fingerprint")
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.bundle.home().join("messages")).unwrap()
    }

    /// The command under test. Its standard output is a new file.
    fn command(&self) -> Command {
        let mut command = match self.verb {
            Verb::Create => self.bundle.command_for("create", &[]),
            Verb::Run => self.bundle.command_for("run", &[]),
            Verb::Exec => {
                let probe = self.probe.iter().map(String::as_str);
                self.bundle.command(&["exec", self.bundle.id()].into_iter().chain(probe).collect::<Vec<_>>())
            }
        };
        let messages = File::create(self.bundle.home().join("messages")).unwrap();
        command.stdin(Stdio::null()).stdout(File::create(self.output()).unwrap()).stderr(messages);
        command
    }

    /// The fingerprint of a command that nothing disturbs.
    fn undisturbed(&mut self) -> String {
        let status = self.command().status().unwrap();
        assert!(status.success(), "{:?}: {}", self.verb, self.stderr());
        self.complete(0).unwrap();
        self.fingerprint()
    }

    /// What the probe has written, without the container's id.
    fn fingerprint(&self) -> String {
        fs::read_to_string(self.output()).unwrap().replace(self.bundle.id(), "ID")
    }

    fn survey(&self) -> (Injected, Vec<Point>) {
        let surveyed = survey(self.command());
        self.complete(surveyed.0.status).unwrap();
        surveyed
    }

    /// The command with an error, and what is wrong with its end.
    fn disturbed(&self, point: Point, errno: Errno, reference: &str) -> (Injected, Option<String>) {
        let end = inject(self.command(), point, errno);
        let mut faults: Vec<String> = self.complete(end.status).err().into_iter().collect();
        let found = self.fingerprint();
        if end.status == 0 && self.verb != Verb::Create && found.is_empty() {
            faults.push("nothing ran".to_owned());
        }
        // A program that was killed while it wrote has shown only a part.
        if !reference.starts_with(&found) {
            faults.push(format!("the confinement differs:\n{}", differences(reference, &found)));
        }
        if !faults.is_empty() && !self.stderr().is_empty() {
            faults.push(format!("stderr: {}", self.stderr().trim()));
        }
        (end, (!faults.is_empty()).then(|| faults.join("\n    ")))
    }

    /// Lets a created container run to its end, and looks for leftovers.
    fn complete(&self, status: i32) -> Result<(), String> {
        match self.verb {
            Verb::Exec => return self.unharmed(),
            Verb::Create if status == 0 => {
                // That it does not start is an answer as well.
                if self.bundle.call(&["start", self.bundle.id()]).status == 0 {
                    wait_until("the end", || {
                        self.bundle.call(&["state", self.bundle.id()]).stdout.contains("\"stopped\"")
                    });
                }
                self.delete()?;
            }
            Verb::Create | Verb::Run => {}
        }
        let left = settled(&self.bundle);
        if status == 0 && !left.is_none() {
            return Err(format!("left behind with status 0: {left:?}"));
        }
        // Where its own cleaning up was disturbed, "delete -f" must be able to do it.
        if !left.is_none() {
            self.delete()?;
            let left = settled(&self.bundle);
            return if left.is_none() { Ok(()) } else { Err(format!("left behind by delete -f: {left:?}")) };
        }
        Ok(())
    }

    fn delete(&self) -> Result<(), String> {
        let end = self.bundle.call(&["delete", "-f", self.bundle.id()]);
        if end.status == 0 { Ok(()) } else { Err(format!("delete -f: {}", end.stderr.trim())) }
    }

    /// The container runs, and holds no process but its first.
    fn unharmed(&self) -> Result<(), String> {
        let pids = || self.bundle.call(&["ps", "-f", "json", self.bundle.id()]).stdout;
        for _ in 0..100 {
            if !pids().contains(',') {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let (pids, state) = (pids(), self.bundle.call(&["state", self.bundle.id()]).stdout);
        if pids.contains(',') || !state.contains("\"running\"") {
            return Err(format!("the container was harmed: {pids} {state}"));
        }
        Ok(())
    }
}

/// What is left once killed processes had the time to disappear.
fn settled(bundle: &Bundle) -> Leaks {
    let mut left = bundle.leaks();
    for _ in 0..50 {
        if left.processes.is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        left = bundle.leaks();
    }
    left
}

fn host_namespaces() -> impl Iterator<Item = String> {
    let names = ["pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time"];
    names.into_iter().map(|name| fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string())
}

fn differences(reference: &str, found: &str) -> String {
    let lost =
        reference.lines().filter(|line| !found.lines().any(|other| other == *line)).map(|line| format!("- {line}"));
    let new =
        found.lines().filter(|line| !reference.lines().any(|other| other == *line)).map(|line| format!("+ {line}"));
    lost.chain(new).take(12).collect::<Vec<_>>().join("\n")
}

/// A configuration with something of every kind: an ordinary user, capabilities, a filter, masks, limits, parameters.
pub(crate) fn rich() -> Bundle {
    let bundle = Bundle::base().mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "mode=1777"]);
    for name in ["masked", "readonly"] {
        fs::create_dir(bundle.rootfs().join("mnt").join(name)).unwrap();
        fs::write(bundle.rootfs().join("mnt").join(format!("{name}-file")), "secret").unwrap();
        fs::write(bundle.rootfs().join("mnt").join(name).join("file"), "secret").unwrap();
    }
    bundle.namespace("cgroup", Some(json!({"type": "cgroup"}))).writable().with(|config| {
        let set = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_MKNOD"]);
        for name in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
            config["process"]["capabilities"][name] = set.clone();
        }
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 10], "umask": 0o027});
        config["process"]["oomScoreAdj"] = 100.into();
        config["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_NPROC", "soft": 4000, "hard": 5000},
        ]);
        config["domainname"] = "example".into();
        let linux = &mut config["linux"];
        linux["sysctl"] = json!({"kernel.msgmax": "4096", "net.ipv4.ip_forward": "1"});
        for (list, name) in [("maskedPaths", "masked"), ("readonlyPaths", "readonly")] {
            let list = linux[list].as_array_mut().unwrap();
            list.extend([json!(format!("/mnt/{name}")), json!(format!("/mnt/{name}-file"))]);
        }
        linux["resources"]["devices"] = json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
        ]);
        linux["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
        });
    })
}
