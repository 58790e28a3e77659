//! containerd's shim (io.containerd.runc.v2), which dockerd uses as well: pipes or fifos as streams, a log that it reads
//! for the reason of a failure, a death signal, and processes that it adopts.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime_tests::engine::{adopted, all_adopted, as_monitor, last_error, mortal, pid_in, pipe};
use runtime_tests::{Bundle, Output, Receiver, Running, Terminal, may_fail_on, wait_until};
use serde_json::{Value, json};

use super::{Engine, quiet};

/// The shim's words before each command.
const GLOBALS: [&str; 6] = ["--root", "ROOT", "--log", "LOG", "--log-format", "json"];

fn shim(bundle: Bundle) -> Engine {
    Engine::new(bundle, &GLOBALS)
}

/// The fifos that containerd hands to its shim, of which it keeps both ends open.
struct Fifos([File; 3]);

impl Fifos {
    fn of(engine: &Engine) -> Self {
        Self(["stdin", "stdout", "stderr"].map(|name| {
            let path = engine.file(name);
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            File::options().read(true).write(true).open(path).unwrap()
        }))
    }

    fn give_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let [stdin, stdout, stderr] = self.0.each_ref().map(|file| file.try_clone().unwrap());
        command.stdin(stdin).stdout(stdout).stderr(stderr)
    }

    /// What comes out until `end` was seen.
    #[track_caller]
    fn read_until(&self, end: &str) -> String {
        let (mut seen, mut buffer) = (String::new(), [0; 256]);
        while !seen.contains(end) {
            let length = (&self.0[1]).read(&mut buffer).unwrap();
            seen += &String::from_utf8_lossy(&buffer[..length]);
        }
        seen
    }
}

/// Starts a call that dies with the shim, and waits for it: the exit status.
#[track_caller]
fn wait_for(command: &mut Command) -> i32 {
    mortal(command).status().unwrap().code().unwrap()
}

/// The shim's test whether a failed kill found nobody to kill.
fn found_nobody(message: &str) -> bool {
    message.contains("os: process already finished")
        || message.contains("container not running")
        || message.to_lowercase().contains("no such process")
        || message.contains("does not exist")
}

/// A process as the shim writes it for `exec --process`.
fn process(engine: &Engine, script: &str, terminal: bool) -> String {
    let file = engine.bundle.home().join("runc-process");
    let process = json!({
        "terminal": terminal,
        "user": {"uid": 0, "gid": 0},
        "args": ["/bin/sh", "-c", script],
        "env": ["PATH=/usr/bin:/bin"],
        "cwd": "/",
    });
    fs::write(&file, process.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_whole_life_on_fifos() {
    as_monitor(|| {
        let shim = shim(Bundle::base().sh("echo begun; read line; echo got $line; read line; exit 3"));
        let fifos = Fifos::of(&shim);
        let words = ["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/init.pid", "ID"];
        assert_eq!(wait_for(fifos.give_to(&mut shim.command(&words))), 0, "{}", shim.log().display());
        let init = pid_in(shim.file("init.pid"));
        assert_eq!(shim.status(), "created");
        quiet(shim.call(&["start", "ID"]));
        assert_eq!(fifos.read_until("begun\n"), "begun\n");
        (&fifos.0[0]).write_all(b"a line\n").unwrap();
        assert_eq!(fifos.read_until("line\n"), "got a line\n");

        let exec = process(&shim, "echo inside $0; exit 4", false);
        let words = ["exec", "--process", &exec, "--detach", "--pid-file", "BUNDLE/exec.pid", "ID"];
        assert_eq!(wait_for(fifos.give_to(&mut shim.command(&words))), 0);
        assert_eq!(adopted(pid_in(shim.file("exec.pid"))), 4);
        assert_eq!(fifos.read_until("\n"), "inside /bin/sh\n");

        let pids: Value = serde_json::from_str(&shim.call(&["ps", "--format", "json", "ID"]).success()).unwrap();
        assert_eq!(pids, json!([init]));
        quiet(shim.call(&["pause", "ID"]));
        assert_eq!(shim.status(), "paused");
        quiet(shim.call(&["resume", "ID"]));
        assert_eq!(shim.status(), "running");

        (&fifos.0[0]).write_all(b"end\n").unwrap();
        assert_eq!(adopted(init), 3);
        let nobody = shim.call(&["kill", "ID", "9"]);
        may_fail_on(&[("crun", "its words are known in no case: kill container: No such process")], || {
            assert!(nobody.status != 0 && found_nobody(&last_error(shim.log())), "{nobody:?}");
        });
        quiet(shim.call(&["kill", "--all", "ID", "9"]));
        quiet(shim.call(&["delete", "ID"]));
        quiet(shim.call(&["delete", "--force", "ID"]));
        shim.bundle.assert_nothing_left();
    });
}

/// With a terminal the shim gives no streams and collects both outputs of the call until they are closed.
#[test]
fn a_terminal_leaves_the_outputs_of_the_calls_alone() {
    as_monitor(|| {
        let terminal = |config: &mut Value| config["process"]["terminal"] = true.into();
        let shim = shim(Bundle::base().with(terminal).sh("stty size; read line; exit 5"));
        let of_init = Receiver::at(&shim.bundle.home().join("init.sock"));
        let words = ["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/init.pid"];
        let mut create = shim.command(&[&words[..], &["--console-socket", of_init.argument(), "ID"]].concat());
        mortal(&mut create);
        let output = Collected::start(create);
        let mut console = Terminal::of(of_init.take().0);
        output.assert_empty();
        console.resize(40, 120);
        quiet(shim.call(&["start", "ID"]));

        let of_exec = Receiver::at(&shim.bundle.home().join("exec.sock"));
        let exec = process(&shim, "read line; exit 6", true);
        let words = ["exec", "--process", &exec, "--console-socket", of_exec.argument(), "--detach", "--pid-file"];
        let output = Collected::start(shim.command(&[&words[..], &["BUNDLE/exec.pid", "ID"]].concat()));
        let mut second = Terminal::of(of_exec.take().0);
        output.assert_empty();
        second.send("\n");
        assert_eq!(adopted(pid_in(shim.file("exec.pid"))), 6);
        console.send("\n");
        assert_eq!(adopted(pid_in(shim.file("init.pid"))), 5);
        quiet(shim.call(&["delete", "ID"]));
        shim.bundle.assert_nothing_left();
    });
}

/// A call whose two outputs go into one pipe.
struct Collected(std::process::Child, File);

impl Collected {
    fn start(mut command: Command) -> Self {
        let (read, write) = pipe();
        command.stdin(Stdio::null()).stdout(write.try_clone().unwrap()).stderr(write);
        Self(command.spawn().unwrap(), read.into())
    }

    /// Nothing came, and the container holds nothing open.
    #[track_caller]
    fn assert_empty(mut self) {
        let mut text = String::new();
        // Everything is closed once the call is over, so this comes back.
        self.1.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), self.0.wait().unwrap().code()), ("", Some(0)));
    }
}

#[test]
fn a_failure_is_told_by_the_last_line_of_the_log() {
    let shim = shim(Bundle::base().args(&["nosuch"]));
    let words = ["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/init.pid", "ID"];
    // An older failure stands there already.
    shim.call(&["state", "nobody"]).failure();
    assert_eq!(shim.call(&words).status, 1);
    let message = last_error(shim.log());
    assert!(message.contains("executable file") && message.contains("nosuch"), "{message}");
    assert!(!shim.file("init.pid").exists(), "a pid file of nobody");
    quiet(shim.call(&["delete", "--force", "ID"]));
    shim.bundle.assert_nothing_left();
}

#[test]
fn a_failed_exec_has_status_255_and_its_reason_in_the_log() {
    let shim = shim(Bundle::base().probe("pause"));
    quiet(shim.call(&["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/init.pid", "ID"]));
    quiet(shim.call(&["start", "ID"]));
    let file = process(&shim, "", false).replace("/runc-process", "/process");
    fs::write(&file, json!({"args": ["nosuch"], "cwd": "/", "env": ["PATH=/bin"]}).to_string()).unwrap();
    let output = shim.call(&["exec", "--process", &file, "--detach", "--pid-file", "BUNDLE/exec.pid", "ID"]);
    may_fail_on(&[("crun", "answers 1")], || assert_eq!(output.status, 255, "{output:?}"));
    let message = last_error(shim.log());
    assert!(message.contains("nosuch") && message.contains("executable file"), "{message}");
    assert!(!shim.file("exec.pid").exists(), "a pid file of nobody");
}

/// The shim may die between any two calls, and takes a call with it; its successor cleans up by force.
#[test]
fn create_dies_with_the_shim_and_a_container_does_not() {
    as_monitor(|| {
        let shim = shim(Bundle::base().probe("pause"));
        let words = ["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/init.pid", "ID"];
        // The thread that starts the call is the shim: it ends while the container lives on.
        let command = shim.command(&words);
        let status = std::thread::spawn(move || {
            let mut command = command;
            mortal(command.stdout(Stdio::null()).stderr(Stdio::null())).status().unwrap()
        });
        assert!(status.join().unwrap().success());
        quiet(shim.call(&["start", "ID"]));
        assert_eq!(shim.status(), "running");
        quiet(shim.call(&["delete", "--force", "ID"]));
        assert_eq!(adopted(pid_in(shim.file("init.pid"))), 137);

        // Now it dies in the middle of the call, which a hook holds up.
        let mark = shim.bundle.home().join("mark");
        let script = format!("echo > {}; sleep 60", mark.display());
        let hook = json!([{"path": "/bin/busybox", "args": ["sh", "-c", script]}]);
        let Engine { bundle, .. } = shim;
        let shim = super::containerd::shim(bundle.with(|config| config["hooks"]["createRuntime"] = hook));
        let mut command = shim.command(&words);
        mortal(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let child = command.spawn().unwrap();
            sender.send(child).unwrap();
            wait_until("the hook", || mark.exists());
        });
        let mut child = receiver.recv().unwrap();
        thread.join().unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "the call outlives the shim");
        quiet(shim.call(&["delete", "--force", "ID"]));
        may_fail_on(&[("runc", "leaves the hook"), ("crun", "leaves the hook")], || {
            all_adopted();
            shim.bundle.assert_nothing_left();
        });
    });
}

#[test]
fn kill_all_ends_what_shares_the_pid_namespace() {
    as_monitor(|| {
        let bundle = Bundle::base().namespace("pid", None).sh("sleep 1000 & exec /bin/probe pause");
        let shim = shim(bundle);
        quiet(shim.call(&["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/init.pid", "ID"]));
        quiet(shim.call(&["start", "ID"]));
        let init = pid_in(shim.file("init.pid"));
        kill(Pid::from_raw(init), Signal::SIGKILL).unwrap();
        assert_eq!(adopted(init), 137);
        // The shim sees init end, and ends the others, which are its children now.
        quiet(shim.call(&["kill", "--all", "ID", "9"]));
        all_adopted();
        quiet(shim.call(&["delete", "ID"]));
        quiet(shim.call(&["delete", "--force", "ID"]));
        shim.bundle.assert_nothing_left();
    });
}

#[test]
fn resources_come_on_standard_input() {
    let shim = shim(Bundle::base().probe("pause"));
    quiet(shim.call(&["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/init.pid", "ID"]));
    quiet(shim.call(&["start", "ID"]));
    let known = [("runc", "1.1 leaves `unified` out of an update"), ("crun", "1.8.1 wants the cpu controller first")];
    may_fail_on(&known, || {
        let resources = json!({"memory": {}, "cpu": {}, "unified": {"cgroup.max.descendants": "7"}});
        quiet(update(&shim, "--resources=-", &resources.to_string()));
        let pid = pid_in(shim.file("init.pid"));
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let path = cgroup.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
        let file = format!("/sys/fs/cgroup{path}/cgroup.max.descendants");
        assert_eq!(fs::read_to_string(file).unwrap(), "7\n");
    });
    assert_ne!(update(&shim, "--resources=-", "{").status, 0);
    last_error(shim.log());
}

/// `update` with a text on standard input.
fn update(shim: &Engine, option: &str, text: &str) -> Output {
    let (read, write) = pipe();
    File::from(write).write_all(text.as_bytes()).unwrap();
    Running::start(shim.command(&["update", option, "ID"]).stdin(read), shim.bundle.home()).finish()
}

/// The way of `ctr run --no-pivot`, and of the shim's `no_new_keyring`.
#[test]
fn the_shims_further_options_are_taken() {
    let shim = shim(Bundle::base().sh("read line < /proc/self/mounts; echo fine"));
    let words = ["create", "--bundle", "BUNDLE", "--pid-file", "BUNDLE/init.pid", "--no-pivot", "--no-new-keyring"];
    let output = shim.call(&[&words[..], &["ID"]].concat());
    let out = output.stdout_file.clone();
    output.success();
    quiet(shim.call(&["start", "ID"]));
    wait_until("the end", || shim.status() == "stopped");
    assert_eq!(fs::read_to_string(out).unwrap(), "fine\n");
    quiet(shim.call(&["delete", "ID"]));
    shim.bundle.assert_nothing_left();
}

/// go-runc writes `-no-subreaper` with one dash, and there are no checkpoints to restore.
#[test]
fn restore_is_refused_whatever_its_options() {
    let shim = shim(Bundle::base());
    let words = ["restore", "--detach", "-no-subreaper", "--pid-file", "BUNDLE/init.pid", "--image-path", "/tmp"];
    let output = shim.call(&[&words[..], &["--work-path", "/tmp", "--bundle", "BUNDLE", "ID"]].concat());
    assert_ne!(output.status, 0, "{output:?}");
    shim.bundle.assert_nothing_left();
}

/// dockerd asks both of every runtime that it is told of, without any other words.
#[test]
fn dockerd_learns_version_and_features() {
    let bundle = Bundle::base();
    let asked = |word: &str| {
        let mut command = bundle.runtime().bare();
        let output = bundle.finish(runtime_tests::engine::bare(command.arg(word)));
        assert_eq!(output.stderr, "");
        output.success()
    };
    let version = asked("--version");
    let first = version.lines().next().unwrap();
    let name = bundle.runtime().name();
    assert!(first.starts_with(&format!("{name} version ")), "{version}");
    assert!(version.lines().any(|line| line.starts_with("spec: 1.")), "{version}");
    may_fail_on(&[("crun", "1.8.1 is older than this command")], || {
        let features: Value = serde_json::from_str(&asked("features")).unwrap();
        assert!(features["hooks"].is_array(), "{features}");
    });
}

/// `runtimeArgs` make dockerd call a shell script, by whose name the runtime is known then.
#[test]
fn a_wrapper_may_stand_before_the_runtime() {
    let shim = shim(Bundle::base().sh("echo wrapped"));
    let wrapper = shim.bundle.home().join("wrapper");
    let program = shim.bundle.runtime().bare();
    fs::write(&wrapper, format!("#!/bin/sh\nexec {} --debug \"$@\"\n", program.get_program().display())).unwrap();
    fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(&wrapper);
    command.arg0("wrapper").args(["--root"]).arg(shim.bundle.state_root()).args(["run", "--bundle"]);
    let output = shim.bundle.finish(command.arg(shim.bundle.path()).arg(shim.bundle.id()));
    assert_eq!(output.success(), "wrapped\n");
}
