//! Looking after containers: `ps`, `pause`, `resume`, `update` without controllers, `features`, and what is not there.

use std::process::Stdio;

use runtime_tests::{Bundle, Container, fails_on, may_fail_on};
use serde_json::{Value, json};

fn started(bundle: Bundle) -> Container {
    let container = bundle.create();
    container.start();
    container
}

#[test]
fn ps_prints_the_pids_as_json() {
    let container = started(Bundle::base().sh("sleep 1000 & sleep 1000 & wait"));
    runtime_tests::wait_until("three processes", || {
        let pids: Value = serde_json::from_str(&container.call(&["ps", "-f", "json"], &[]).success()).unwrap();
        pids.as_array().unwrap().len() == 3 && pids.as_array().unwrap().contains(&container.pid().into())
    });
}

#[test]
fn ps_prints_the_lines_of_ps() {
    let container = started(Bundle::base().args(&["/bin/sleep", "1234"]));
    let pid = container.pid().to_string();
    // podman passes all options as one word, docker as several.
    let rows: [&[&str]; 4] = [&[], &["-ef"], &["-o", "pid,args"], &["-o pid,args"]];
    for options in rows {
        let table = container.call(&["ps"], options);
        let known = [("crun", "1.8.1 prints the pids only"), ("runc", "takes them as they are")];
        may_fail_on(&known, || {
            let table = table.success();
            let lines: Vec<_> = table.lines().collect();
            assert!(lines[0].contains("PID"), "{options:?}: {table}");
            assert!(
                matches!(lines[1..], [line] if line.contains(&pid) && line.contains("1234")),
                "{options:?}: {table}"
            );
        });
    }
    let known = [("crun", "1.8.1 prints the pids only")];
    fails_on(&known, || {
        let message = container.call(&["ps"], &["-o", "args"]).failure();
        assert!(message.contains("PID"), "{message}");
    });
    container.call(&["ps", "-f", "yaml"], &[]).failure();
}

#[test]
fn ps_of_a_container_that_waits_or_has_stopped() {
    let peers = [("crun", "1.8.1 prints one pid a line")];
    may_fail_on(&peers, || {
        let container = Bundle::base().create();
        let pids = |container: &Container| container.call(&["ps", "--format=json"], &[]);
        assert_eq!(pids(&container).success().trim(), format!("[{}]", container.pid()));
        container.start();
        container.wait_for("stopped");
        // runc prints null or fails, depending on its version.
        may_fail_on(&[("runc", "prints null"), ("crun", "has no cgroup to look at")], || {
            assert_eq!(pids(&container).success().trim(), "[]");
        });
    });
}

#[test]
fn pause_stops_every_process() {
    let script = "while :; do echo tick; sleep 0.02; done";
    let container = started(Bundle::base().sh(script));
    runtime_tests::wait_until("a tick", || container.output().contains("tick"));
    container.call(&["pause"], &[]).success();
    let before = container.output();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(container.output(), before);
    assert_eq!(container.status(), "paused");
    container.call(&["resume"], &[]).success();
    runtime_tests::wait_until("another tick", || container.output() != before);
}

#[test]
fn pause_and_resume_refuse_what_is_not_so() {
    let peers = [("crun", "1.8.1 has other words and answers")];
    may_fail_on(&peers, || {
        let container = started(Bundle::base().probe("pause"));
        may_fail_on(&[("crun", "holds that for done")], || drop(container.call(&["resume"], &[]).failure()));
        container.call(&["pause"], &[]).success();
        may_fail_on(&[("crun", "holds that for done")], || drop(container.call(&["pause"], &[]).failure()));
        container.call(&["resume"], &[]).success();
        container.kill("KILL");
        container.wait_for("stopped");
        for verb in ["pause", "resume"] {
            may_fail_on(&[("crun", "1.8.1 pauses what is no more")], || drop(container.call(&[verb], &[]).failure()));
            assert!(container.bundle().call(&[verb, "nobody"]).failure().contains("exist"), "{verb}");
        }
        assert_eq!(container.status(), "stopped");
    });
}

#[test]
fn a_paused_container_is_killed_once_it_is_resumed_or_at_once() {
    for signal in ["TERM", "KILL"] {
        let container = started(Bundle::base().probe("signals"));
        runtime_tests::wait_until("ready", || container.output().contains("ready"));
        container.call(&["pause"], &[]).success();
        container.kill(signal);
        if signal == "TERM" {
            container.call(&["resume"], &[]).success();
        }
        container.wait_for("stopped");
        container.delete();
        container.bundle().assert_nothing_left();
    }
}

#[test]
fn features_are_told_to_everybody() {
    let bundle = Bundle::base();
    let mut command = bundle.command(&["features"]);
    let known = [("crun", "1.8.1 is older than this command")];
    fails_on(&known, || {
        // Neither privileges nor a state directory nor any variable.
        use std::os::unix::process::CommandExt;
        let output = command.env_clear().uid(65_534).gid(65_534).current_dir("/").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let features: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(features["ociVersionMin"].is_string() && features["ociVersionMax"].is_string(), "{features}");
        let has = |list: &str, word: &str| features.pointer(list).unwrap().as_array().unwrap().contains(&json!(word));
        for hook in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
            assert!(has("/hooks", hook), "{hook}: {features}");
        }
        for option in ["ro", "rw", "nosuid", "rbind", "rprivate", "rro", "bind", "idmap", "tmpcopyup"] {
            let known = [("runc", "1.1 has no idmap option")];
            may_fail_on(&known, || assert!(has("/mountOptions", option), "{option}: {features}"));
        }
        for namespace in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
            assert!(has("/linux/namespaces", namespace), "{namespace}: {features}");
        }
        if bundle.runtime().is_minirun() {
            assert!(has("/linux/memoryPolicy/modes", "MPOL_WEIGHTED_INTERLEAVE"), "{features}");
            assert!(has("/linux/memoryPolicy/flags", "MPOL_F_STATIC_NODES"), "{features}");
        }
        assert!(has("/linux/capabilities", "CAP_SYS_ADMIN") && has("/linux/capabilities", "CAP_BPF"), "{features}");
        assert_eq!(features["linux"]["cgroup"]["v2"], true);
    });
    assert!(!bundle.state_root().exists() || !bundle.runtime().is_minirun(), "it looks at nothing and makes nothing");
}

/// What `features` of the runtime under test says. Debian's crun 1.8.1 has no such command.
fn features_of(bundle: &Bundle) -> Value {
    serde_json::from_str(&bundle.call(&["features"]).success()).unwrap()
}

#[test]
fn the_versions_of_features_are_accepted() {
    fails_on(&[("crun", "1.8.1 is older than this command")], || {
        let features = features_of(&Bundle::base());
        for limit in ["ociVersionMin", "ociVersionMax"] {
            Bundle::base().with(|config| config["ociVersion"] = features[limit].clone()).probe("names").run().success();
        }
    });
}

#[test]
fn the_mount_options_of_features_are_recognised() {
    let known = [("crun", "1.8.1 is older than this command"), ("runc", "1.1 leaves some of them to the file system")];
    may_fail_on(&known, || {
        let features = features_of(&Bundle::base());
        // These need a source, or a user namespace, and have tests of their own.
        let others = ["bind", "rbind", "remount", "idmap", "ridmap", "copy-symlink"];
        for option in features["mountOptions"].as_array().unwrap().iter().filter_map(Value::as_str) {
            // A tmpfs refuses an option that it does not know.
            let run = Bundle::base().mount("/mnt", "tmpfs", "tmpfs", &[option]).probe("names").run();
            assert!(others.contains(&option) || run.status == 0, "{option}: {}", run.stderr);
        }
    });
}

/// podman asks so whether a runtime can make checkpoints.
#[test]
fn checkpoints_are_denied() {
    let bundle = Bundle::base();
    may_fail_on(&[("runc", "can make them"), ("crun", "can make them")], || {
        assert_ne!(bundle.call(&["checkpoint", "--help"]).status, 0);
    });
}

#[test]
fn updates_without_the_controller_name_the_field_and_change_nothing() {
    let container = started(Bundle::base().probe("pause"));
    let rows: [(&[&str], &str, &str); 5] = [
        (&["--memory", "64m"], "memory", "memory.max"),
        (&["--pids-limit", "64"], "pids", "pids.max"),
        (&["--cpu-quota", "10000"], "cpu", "cpu.max"),
        (&["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus"),
        (&["--cpu-share", "512"], "cpu", "cpu.weight"),
    ];
    for (options, word, file) in rows {
        if container.cgroup().join(file).exists() {
            continue;
        }
        let words: Vec<_> = ["update"].iter().chain(options).copied().collect();
        let message = container.call(&words, &[]).failure();
        assert!(message.contains(word), "{options:?}: {message}");
    }
    assert_eq!(container.status(), "running");
}

#[test]
fn updates_that_make_no_sense_are_refused() {
    let container = started(Bundle::base().probe("pause"));
    let rows: [&[&str]; 10] = [
        &["--memory", "64x"],
        &["--memory", ""],
        &["--pids-limit", "many"],
        &["--cpu-quota", "1.5"],
        &["--blkio-weight", "-1"],
        &["--blkio-weight", "100000"],
        &["--l3-cache-schema", "L3:0=f"],
        &["--mem-bw-schema", "MB:0=20"],
        &["-r", "/nonexistent"],
        &["--no-such-option"],
    ];
    for options in rows {
        let words: Vec<_> = ["update"].iter().chain(options).copied().collect();
        let output = container.call(&words, &[]);
        may_fail_on(&[("crun", "takes some of them"), ("runc", "takes some of them")], || {
            assert!(output.status != 0 && !output.stderr.trim().is_empty(), "{options:?}: {output:?}");
        });
    }
    for text in ["", "{", "[]", "{\"memory\": {\"limit\": \"x\"}}", "{\"pids\": 5}"] {
        let mut command = container.bundle().command(&["update", "-r", "-", container.bundle().id()]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        may_fail_on(&[("crun", "takes some of them"), ("runc", "takes some of them")], || {
            assert!(!output.status.success(), "{text}: {output:?}");
        });
    }
}

#[test]
fn updates_of_nothing_and_of_what_is_ignored_succeed() {
    let container = started(Bundle::base().probe("pause"));
    let known = [("crun", "wants the controllers"), ("runc", "wants the controllers")];
    may_fail_on(&known, || {
        container.call(&["update"], &[]).success();
        let output = container.call(&["update", "--kernel-memory", "64m"], &[]);
        assert!(output.stderr.contains("kernel"), "{output:?}");
        output.success();
    });
}

#[test]
fn a_stopped_container_is_not_updated() {
    let container = Bundle::base().create();
    container.start();
    container.wait_for("stopped");
    container.call(&["update", "--pids-limit", "64"], &[]).failure();
    container.bundle().call(&["update", "--pids-limit", "64", "nobody"]).failure();
}

#[test]
fn unknown_commands_and_options_are_refused() {
    let bundle = Bundle::base();
    for words in [&["nonsense"][..], &["ps"], &["exec"], &["pause"], &["update", "--frob", "x"], &["features", "--x"]] {
        let output = bundle.call(words);
        may_fail_on(&[("crun", "has other answers"), ("runc", "has other answers")], || {
            assert!(output.status != 0 && !output.stderr.is_empty(), "{words:?}: {output:?}");
        });
    }
}
