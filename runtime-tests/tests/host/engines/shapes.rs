//! Every shape of a call that was seen from an engine (tests/engines/calls.rs records them into NAME.calls), played back
//! in the state of the container in which engines make it.

use std::fs;
use std::os::unix::process::CommandExt as _;

use runtime_tests::{Bundle, Receiver, Running, fails_on};
use serde_json::{Value, json};

use super::Engine;

const CALLS: [(&str, &str); 3] = [
    ("containerd", include_str!("containerd.calls")),
    ("docker", include_str!("docker.calls")),
    ("podman", include_str!("podman.calls")),
];

/// What has to be done before a verb; the rest is called of a container that runs.
const BEFORE: [(&str, &[&str]); 7] = [
    ("--version", &[]),
    ("features", &[]),
    ("create", &[]),
    ("run", &[]),
    ("start", &["create"]),
    ("resume", &["create", "start", "pause"]),
    ("delete", &["create", "start", "kill"]),
];

#[test]
fn recorded_calls_are_understood() {
    for (engine, lines) in CALLS {
        assert!(lines.lines().count() > 5, "{engine} has been recorded");
        for line in lines.lines() {
            let (_, words) = line.split_once(": ").unwrap();
            // systemd is not on every host; its driver has a suite of its own. BuildKit names no state directory.
            let words = words.split(' ').filter(|word| *word != "--systemd-cgroup");
            let root: &[&str] = if line.contains("--root") { &[] } else { &["--root", "ROOT"] };
            let words: Vec<_> = root.iter().copied().chain(words).collect();
            let known: &[_] = match () {
                () if words.contains(&"--keep") => &[("crun", "1.8.1 has no such option")],
                () if words.contains(&"features") => &[("crun", "1.8.1 has no such command")],
                () if words.contains(&"--cgroup-manager") => &[("runc", "it has only --systemd-cgroup")],
                () => &[],
            };
            fails_on(known, || play(line, &words));
        }
    }
}

#[track_caller]
fn play(line: &str, words: &[&str]) {
    let verbs = ["kill", "pause", "ps", "exec", "update", "state"];
    let is_verb = |word: &&str| verbs.contains(word) || BEFORE.iter().any(|(verb, _)| verb == word);
    let verb = words.iter().copied().find(is_verb).unwrap_or_else(|| panic!("no verb in {line:?}"));
    let terminal = words.contains(&"SOCKET");
    let program = if verb == "run" { "true" } else { "while :; do sleep 0.1; done" };
    let bundle = Bundle::base().sh(program);
    let bundle = bundle.with(|config| config["process"]["terminal"] = (terminal && verb == "create").into());
    let engine = Engine::new(bundle, &[]);
    let [process, resources, pid_file] = ["process", "resources", "pid"].map(|name| engine.file(name));
    let process_of_exec = json!({"args": ["/bin/true"], "cwd": "/", "terminal": terminal});
    fs::write(&process, process_of_exec.to_string()).unwrap();
    fs::write(&resources, "{}").unwrap();
    let socket = Receiver::at(&engine.bundle.home().join("socket"));
    let filled = |word: &str| {
        let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        match word {
            "PIDFILE" => path(&pid_file),
            "PROCESS" => path(&process),
            "SOCKET" => socket.argument().to_owned(),
            "--resources=RESOURCES" => format!("--resources={}", path(&resources)),
            _ => engine.filled_in(word),
        }
    };
    let before = BEFORE.iter().find(|(name, _)| *name == verb).map_or(&["create", "start"][..], |(_, before)| before);
    for verb in before {
        let words: &[&str] = match *verb {
            "create" => &["--root", "ROOT", "create", "--bundle", "BUNDLE", "ID"],
            "kill" => &["--root", "ROOT", "kill", "ID", "KILL"],
            verb => &["--root", "ROOT", verb, "ID"],
        };
        engine.call(words).success();
    }
    if verb == "delete" {
        runtime_tests::wait_until("the end", || {
            engine.call(&["--root", "ROOT", "state", "ID"]).stdout.contains("stopped")
        });
    }
    let words: Vec<_> = words.iter().map(|word| filled(word)).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mut command = engine.command(&words);
    command.stdin(fs::File::open(&resources).unwrap());
    if words.contains(&"--preserve-fds") {
        // SAFETY: between fork and exec the closure makes one system call.
        unsafe { command.pre_exec(|| nix::errno::Errno::result(libc::dup2(0, 3)).map(drop).map_err(Into::into)) };
    }
    let output = Running::start(&mut command, engine.bundle.home()).finish();
    assert!(output.status == 0, "{line}: {output:?}");
    if words.contains(&"--format") && verb == "ps" {
        serde_json::from_str::<Value>(&output.stdout).unwrap();
    }
    engine.call(&["--root", "ROOT", "delete", "--force", "ID"]).success();
}
