//! Hooks: when, where and with what each of the six lists runs, and what becomes of the container when one fails.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime_tests::{Bundle, Output, Running, fails_on, is_excused, may_fail_on, wait_until};
use serde_json::{Value, json};

/// The points, and the status that a hook sees there.
const POINTS: [(&str, &str); 6] = [
    ("prestart", "creating"),
    ("createRuntime", "creating"),
    ("createContainer", "creating"),
    ("startContainer", "created"),
    ("poststart", "running"),
    ("poststop", "stopped"),
];

/// The points at which a failure is one of `create`.
const OF_CREATE: [&str; 3] = ["prestart", "createRuntime", "createContainer"];

/// A shell script as a hook. The startContainer hook's shell is the container's, at the same path.
fn hook(script: &str) -> Value {
    json!({"path": "/bin/busybox", "args": ["sh", "-c", script]})
}

/// Adds a hook to a list.
fn hooked(bundle: Bundle, point: &str, hook: Value) -> Bundle {
    bundle.with(|config| {
        let list = &mut config["hooks"][point];
        match list.as_array_mut() {
            Some(list) => list.push(hook),
            None => *list = json!([hook]),
        }
    })
}

/// A bundle with a directory that is at the same path on the host and in the container.
fn shared() -> (Bundle, PathBuf) {
    let bundle = Bundle::base().writable();
    let directory = bundle.home().join("shared");
    fs::create_dir(&directory).unwrap();
    let path = directory.to_str().unwrap().to_owned();
    (bundle.mount(&path, "bind", &path, &["bind", "rw"]), directory)
}

/// The whole life by single commands; the container's pid.
fn live(bundle: &Bundle) -> i64 {
    bundle.try_create().success();
    let state: Value = serde_json::from_str(&bundle.call(&["state", bundle.id()]).success()).unwrap();
    bundle.call(&["start", bundle.id()]).success();
    bundle.call(&["delete", "-f", bundle.id()]).success();
    bundle.assert_nothing_left();
    state["pid"].as_i64().unwrap()
}

#[test]
fn all_run_in_order() {
    let peers = [("runc", "1.1 runs poststart in create"), ("crun", "1.8.1 mixes the lists of create")];
    may_fail_on(&peers, || {
        let (mut bundle, directory) = shared();
        let log = directory.join("log");
        for (point, _) in POINTS {
            for i in 0..2 {
                bundle = hooked(bundle, point, hook(&format!("echo {point} {i} >> {}", log.display())));
            }
        }
        let bundle = bundle.sh(&format!("echo program >> {}; sleep 1000", log.display()));
        bundle.try_create().success();
        let lines = || fs::read_to_string(&log).unwrap_or_default();
        let of = |points: &[(&str, &str)]| -> String {
            points.iter().flat_map(|(point, _)| (0..2).map(move |i| format!("{point} {i}\n"))).collect()
        };
        assert_eq!(lines(), of(&POINTS[..3]), "after create");
        bundle.call(&["start", bundle.id()]).success();
        // The program and poststart run side by side.
        wait_until("the program", || lines().contains("program"));
        assert_eq!(lines().replace("program\n", ""), of(&POINTS[..5]), "after start");
        let place = |word: &str| lines().find(word).unwrap();
        assert!(place("startContainer 1") < place("program"));
        bundle.call(&["delete", "-f", bundle.id()]).success();
        assert_eq!(lines().replace("program\n", ""), of(&POINTS), "after delete");
    });
}

#[test]
fn each_reads_the_state() {
    let peers = [("crun", "1.8.1 leaves out fields")];
    may_fail_on(&peers, || {
        let (mut bundle, directory) = shared();
        for (point, _) in POINTS {
            bundle = hooked(bundle, point, hook(&format!("cat > {}/{point}", directory.display())));
        }
        let bundle = bundle.with(|config| config["annotations"] = json!({"a.b": "c"})).probe("pause");
        let pid = live(&bundle);
        for (point, status) in POINTS {
            let state: Value = serde_json::from_slice(&fs::read(directory.join(point)).unwrap()).unwrap();
            let known =
                [("crun", "1.8.1 says created before it is, and keeps the pid"), ("runc", "1.1 leaves out fields")];
            may_fail_on(&known, || {
                assert_eq!(state["status"], status, "{point}: {state}");
                assert_eq!(state["pid"].as_i64().unwrap_or(0) == pid, status != "stopped", "{point}: {state}");
                assert_eq!(state["annotations"]["a.b"], "c", "{point}: {state}");
            });
            assert_eq!(
                (&state["id"], &state["bundle"]),
                (&bundle.id().into(), &bundle.path().to_str().into()),
                "{point}"
            );
            assert!(state["ociVersion"].as_str().unwrap().starts_with("1."), "{point}: {state}");
        }
    });
}

#[test]
fn each_runs_in_its_namespaces() {
    let (mut bundle, directory) = shared();
    let kinds = ["pid", "net", "ipc", "uts", "mnt", "user", "cgroup"];
    for (point, _) in POINTS {
        let script = format!(
            "for n in {}; do readlink /proc/self/ns/$n; done > {}/{point}",
            kinds.join(" "),
            directory.display()
        );
        bundle = hooked(bundle, point, hook(&script));
    }
    let script =
        format!("for n in {}; do readlink /proc/self/ns/$n; done > {}/program", kinds.join(" "), directory.display());
    let bundle = bundle.sh(&script);
    bundle.run().success();
    let host: String =
        kinds.map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string() + "\n").concat();
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (point, _) in POINTS {
        let own = ["createContainer", "startContainer"].contains(&point);
        if point == "createContainer" {
            // The host's proc is still mounted there, which shows a process of another pid namespace as none.
            let (seen, wanted) = (read(point), read("program"));
            let inner =
                |text: &str| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>();
            assert!(inner(&seen).iter().all(|line| inner(&wanted).contains(line)), "{seen} is not in {wanted}");
            continue;
        }
        assert_eq!(read(point), if own { read("program") } else { host.clone() }, "{point}");
    }
}

/// The specification resolves the paths of all hooks but startContainer's in the runtime's namespace.
#[test]
fn the_programs_are_the_hosts() {
    for (point, _) in POINTS {
        let bundle = Bundle::base();
        let program = bundle.home().join("hook");
        fs::write(&program, format!("#!/bin/busybox sh\necho ran > {}/ran\n", bundle.home().display())).unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let ran = bundle.home().join("ran");
        let bundle = hooked(bundle, point, json!({"path": program}));
        let output = bundle.run();
        match point {
            "startContainer" => assert!(output.status != 0, "a program of the host ran in the container: {output:?}"),
            _ => {
                output.success();
                assert_eq!(fs::read_to_string(ran).unwrap_or_default(), "ran\n", "{point}");
            }
        }
        bundle.assert_nothing_left();
    }
}

#[test]
fn the_environment_is_the_hooks_alone() {
    let peers = [("runc", "1.1 gives them its own process's"), ("crun", "gives startContainer none")];
    may_fail_on(&peers, || {
        let (mut bundle, directory) = shared();
        // The colon keeps the shell from becoming the last command, whose environment would be read instead.
        let tell = |name: &str| {
            hook(&format!("/bin/busybox tr '\\0' '\\n' < /proc/$$/environ > {}/{name}; :", directory.display()))
        };
        for (point, _) in POINTS.iter().filter(|(point, _)| *point != "createContainer") {
            bundle = hooked(bundle, point, tell(&format!("{point}.none")));
            let mut with = tell(&format!("{point}.some"));
            with["env"] = json!(["A=b", "C="]);
            bundle = hooked(bundle, point, with);
        }
        let bundle = bundle.with(|config| config["process"]["env"] = json!(["PATH=/bin", "OF=process"]));
        let mut command = bundle.command_for("run", &[]);
        bundle.finish(command.env("OF_CALLER", "1")).success();
        for (point, _) in POINTS.iter().filter(|(point, _)| *point != "createContainer") {
            let read = |name: &str| fs::read_to_string(directory.join(format!("{point}.{name}"))).unwrap();
            assert_eq!(read("some"), "A=b\nC=\n", "{point}");
            let none = read("none");
            assert!(!none.contains("OF_CALLER"), "{point}: {none}");
            let wanted = if *point == "startContainer" { "PATH=/bin\nOF=process\n" } else { "" };
            let known = [("runc", "1.1 gives them its own process's"), ("crun", "as runc")];
            may_fail_on(&known, || assert_eq!(none, wanted, "{point}"));
        }
    });
}

#[test]
fn the_mounted_root_is_visible_at_its_path() {
    let bundle = Bundle::base();
    let (root, log) = (bundle.rootfs().display().to_string(), bundle.home().join("log"));
    let pid = "pid=$(/bin/busybox sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/')";
    let look = |name: &str| format!("[ -e $at{root}/proc/version ] && echo {name} >> {}", log.display());
    let by_proc = format!("{pid}; at=/proc/$pid/root; {}", look("proc"));
    let entered = format!("{pid}; /bin/busybox nsenter -t $pid -m /bin/busybox sh -c '{}'", look("entered"));
    let bundle = hooked(bundle, "prestart", hook(&entered));
    let bundle = hooked(bundle, "createRuntime", hook(&by_proc));
    let bundle = hooked(bundle, "createRuntime", hook(&entered));
    let bundle = hooked(bundle, "createContainer", hook(&look("inside")));
    bundle.run().success();
    assert_eq!(fs::read_to_string(log).unwrap(), "entered\nproc\nentered\ninside\n");
}

/// What hooks of devices do: they mount into the root before the container sees it.
#[test]
fn a_hook_may_mount_into_the_root() {
    let bundle = Bundle::base();
    fs::write(bundle.home().join("library"), "from the host").unwrap();
    let target = bundle.rootfs().join("etc/group");
    let script = format!("/bin/busybox mount -o bind {}/library {}", bundle.home().display(), target.display());
    let bundle = hooked(bundle, "createContainer", hook(&script)).args(&["/bin/cat", "/etc/group"]);
    assert_eq!(bundle.run().success(), "from the host");
    bundle.assert_nothing_left();
}

#[test]
fn a_failure_of_create_names_the_hook_and_its_output() {
    for point in OF_CREATE {
        for (end, said) in [("exit 3", "3"), ("kill -9 $$", "9")] {
            let (bundle, directory) = shared();
            let bundle = hooked(bundle, point, hook("true"));
            let bundle = hooked(bundle, point, hook(&format!("echo spoken; echo complained >&2; {end}")));
            let bundle = hooked(bundle, point, hook(&format!("echo > {}/next", directory.display())));
            let bundle = hooked(bundle, "poststop", hook(&format!("cat > {}/poststop", directory.display())));
            let message = bundle.refused();
            assert!(!directory.join("next").exists(), "{point}: the next one ran");
            let known =
                [("crun", "has words of its own, and leaves poststop out"), ("runc", "1.1 has words of its own")];
            may_fail_on(&known, || {
                assert!(message.contains(&format!("hooks.{point}[1]")), "{message}");
                assert!(
                    message.contains("spoken") && message.contains("complained") && message.contains(said),
                    "{message}"
                );
                let state: Value = serde_json::from_slice(&fs::read(directory.join("poststop")).unwrap()).unwrap();
                assert_eq!(state["status"], "stopped");
            });
        }
    }
}

#[test]
fn a_program_that_is_missing_fails_the_hook() {
    for point in OF_CREATE {
        let bundle = hooked(Bundle::base(), point, json!({"path": "/nonexistent/hook"}));
        let message = bundle.refused();
        assert!(message.contains("/nonexistent/hook") || is_excused(&[("crun", "does not name it")]), "{message}");
    }
}

#[test]
fn a_failure_of_start_container_fails_start_and_stops() {
    let (bundle, directory) = shared();
    let bundle = hooked(bundle, "startContainer", hook("exit 3"));
    let bundle = hooked(bundle, "poststart", hook(&format!("echo > {}/poststart", directory.display())));
    let bundle = hooked(bundle, "poststop", hook(&format!("echo > {}/poststop", directory.display())));
    let container = bundle.sh(&format!("echo > {}/program", directory.display())).create();
    let output = container.call(&["start"], &[]);
    fails_on(&[("crun", "1.8.1 reports success"), ("runc", "1.1 reports success")], || {
        assert!(output.status != 0 && output.stderr.contains("hooks.startContainer[0]"), "{output:?}");
    });
    container.wait_for("stopped");
    container.delete();
    container.bundle().assert_nothing_left();
    assert!(!directory.join("program").exists() && directory.join("poststop").exists());
    may_fail_on(&[("crun", "goes on"), ("runc", "goes on")], || assert!(!directory.join("poststart").exists()));
}

#[test]
fn a_failure_of_poststart_ends_the_container() {
    let peers = [("runc", "1.1 runs poststart in create"), ("crun", "only warns")];
    may_fail_on(&peers, || {
        let bundle = hooked(Bundle::base(), "poststart", hook("echo spoken; exit 3")).probe("pause");
        let container = bundle.create();
        let output = container.call(&["start"], &[]);
        let known = [("crun", "only warns, as the older specification had it")];
        may_fail_on(&known, || {
            assert!(output.status != 0 && output.stderr.contains("spoken"), "{output:?}");
            container.wait_for("stopped");
        });
        let bundle = hooked(Bundle::base(), "poststart", hook("exit 3")).probe("pause");
        may_fail_on(&known, || {
            bundle.run().failure();
            bundle.assert_nothing_left();
        });
    });
}

#[test]
fn failures_of_poststop_are_warnings() {
    let peers = [("runc", "1.1 leaves out the rest"), ("crun", "1.8.1 leaves out the rest")];
    may_fail_on(&peers, || {
        for point in ["run", "delete"] {
            let (bundle, directory) = shared();
            let bundle = hooked(bundle, "poststop", hook("exit 3"));
            let bundle = hooked(bundle, "poststop", json!({"path": "/nonexistent/hook"}));
            let bundle =
                hooked(bundle, "poststop", json!({"path": "/bin/busybox", "args": ["sleep", "1000"], "timeout": 1}));
            let bundle = hooked(bundle, "poststop", hook(&format!("echo > {}/last", directory.display())));
            let output = match point {
                "run" => bundle.probe("exit 4").run_and_keep(),
                _ => {
                    let bundle = bundle.probe("pause");
                    bundle.try_create().success();
                    (bundle.call(&["delete", "-f", bundle.id()]), bundle)
                }
            };
            let (output, bundle) = output;
            assert_eq!(output.status, if point == "run" { 4 } else { 0 }, "{output:?}");
            fails_on(&[("crun", "says nothing of it")], || {
                for i in 0..3 {
                    assert!(
                        output.stderr.contains(&format!("hooks.poststop[{i}]")) || !bundle.runtime().is_minirun(),
                        "{output:?}"
                    );
                }
            });
            assert!(directory.join("last").exists(), "{point}: the rest does not run");
            bundle.assert_nothing_left();
        }
    });
}

trait RunAndKeep {
    fn run_and_keep(self) -> (Output, Bundle);
}

impl RunAndKeep for Bundle {
    /// `run`, with the bundle that it was made from.
    fn run_and_keep(self) -> (Output, Bundle) {
        (self.run(), self)
    }
}

#[test]
fn poststop_runs_once_nothing_is_left() {
    let peers = [("runc", "runs it before it removes its state"), ("crun", "as runc")];
    may_fail_on(&peers, || {
        let (bundle, directory) = shared();
        let script = format!(
            "{{ ls {} ; /bin/busybox find /sys/fs/cgroup -name '*{}*'; }} > {}/seen 2>/dev/null",
            bundle.state_root().display(),
            bundle.id(),
            directory.display()
        );
        let bundle = hooked(bundle, "poststop", hook(&script)).probe("pause");
        live(&bundle);
        may_fail_on(&[("runc", "runs it before it removes its state")], || {
            assert_eq!(fs::read_to_string(directory.join("seen")).unwrap(), "");
        });
    });
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let rows = [
        (json!({"path": "relative"}), "path"),
        (json!({"path": ""}), "path"),
        (json!({"args": ["x"]}), "path"),
        (json!({"path": "/bin/true", "timeout": 0}), "timeout"),
        (json!({"path": "/bin/true", "timeout": -1}), "timeout"),
        (json!({"path": "/bin/true", "env": "A=b"}), "env"),
    ];
    for (point, _) in POINTS {
        for (hook, field) in &rows {
            let known = [("crun", "takes it"), ("runc", "1.1 takes it")];
            may_fail_on(&known, || {
                let message = hooked(Bundle::base(), point, hook.clone()).refused();
                assert!(message.contains(&format!("hooks.{point}[0]")) && message.contains(field), "{hook}: {message}");
            });
        }
    }
}

/// A sleep that the oracle of leaks recognises by its path.
fn sleeper(bundle: &Bundle) -> String {
    let path = bundle.home().join("sleep");
    let _ = symlink("/bin/busybox", &path);
    path.to_str().unwrap().to_owned()
}

/// `create` with a hook; how long it took.
fn timed(bundle: &Bundle) -> (Output, Duration) {
    let start = Instant::now();
    let output = bundle.try_create();
    (output, start.elapsed())
}

#[test]
fn one_that_takes_too_long_is_ended_with_its_children() {
    let peers = [("runc", "1.1 reads until the pipe is closed"), ("crun", "ends the hook only")];
    may_fail_on(&peers, || {
        let scripts = [
            "SLEEP 1000",
            "trap '' TERM INT HUP; SLEEP 1000; SLEEP 1000",
            "SLEEP 1000 & SLEEP 1000",
            "(trap '' TERM; SLEEP 1000) & (SLEEP 1000 & SLEEP 1000) & wait",
            "/bin/busybox setsid SLEEP 1000 & SLEEP 1000",
            "(/bin/busybox setsid sh -c 'SLEEP 1000 & SLEEP 1000' &); SLEEP 1000",
            "while :; do echo noise; done",
            "exec >&- 2>&-; SLEEP 1000",
            "cat; SLEEP 1000",
        ];
        for point in OF_CREATE {
            for script in scripts {
                let bundle = Bundle::base();
                let sleeper = sleeper(&bundle);
                let mut hook = hook(&script.replace("SLEEP", &sleeper));
                hook["timeout"] = 1.into();
                let bundle = hooked(bundle, point, hook);
                let (output, time) = timed(&bundle);
                assert!(output.status != 0, "{point} {script}: {output:?}");
                assert!(
                    time >= Duration::from_millis(900) && time < Duration::from_secs(2),
                    "{point} {script}: {time:?}"
                );
                may_fail_on(&[("runc", "ends the hook only"), ("crun", "ends the hook only")], || {
                    assert!(output.stderr.contains("ran past specified timeout"), "{point} {script}: {output:?}");
                    bundle.assert_nothing_left();
                });
            }
        }
    });
}

#[test]
fn one_that_takes_too_long_in_the_container_fails_start() {
    let peers = [("runc", "1.1 reports success, or reads until the pipe is closed"), ("crun", "1.8.1 reports success")];
    may_fail_on(&peers, || {
        for script in ["SLEEP 1000", "trap '' TERM; SLEEP 1000; SLEEP 1000", "SLEEP 1000 & SLEEP 1000"] {
            let mut hook = hook(&script.replace("SLEEP", "sleep"));
            hook["timeout"] = 1.into();
            let container = hooked(Bundle::base(), "startContainer", hook).probe("pause").create();
            let start = Instant::now();
            let output = container.call(&["start"], &[]);
            let time = start.elapsed();
            may_fail_on(&[("runc", "1.1 reports success"), ("crun", "1.8.1 reports success")], || {
                assert!(output.status != 0, "{output:?}");
                assert!(time < Duration::from_secs(2), "{script}: {time:?}");
                container.wait_for("stopped");
            });
            container.call(&["delete", "-f"], &[]).success();
            container.bundle().assert_nothing_left();
        }
    });
}

#[test]
fn a_grandchild_that_keeps_the_output_open_holds_up_nobody() {
    let peers = [("runc", "1.1 reads until the pipe is closed"), ("crun", "1.8.1 fails where the state is not read")];
    may_fail_on(&peers, || {
        for point in OF_CREATE {
            let bundle = Bundle::base();
            let script = format!("{} 1000 & echo done", sleeper(&bundle));
            let bundle = hooked(bundle, point, hook(&script));
            let (output, time) = timed(&bundle);
            output.success();
            assert!(time < Duration::from_secs(2), "{point}: {time:?}");
            // It was meant to stay: what a hook starts belongs to the engine.
            bundle.leaks().sweep();
        }
    });
}

#[test]
fn any_amount_of_output_is_taken_and_its_end_is_told() {
    let noise = "/bin/busybox head -c 104857600 /dev/zero | /bin/busybox tr '\\0' x";
    for point in OF_CREATE {
        let bundle = hooked(Bundle::base(), point, hook(&format!("{noise}; echo; echo the last words; exit 3")));
        let message = bundle.refused();
        may_fail_on(&[("crun", "does not tell it"), ("runc", "1.1 tells all of it")], || {
            assert!(message.contains("the last words"), "{point}: {} bytes", message.len());
            assert!(message.len() < 10_000, "{point}: {} bytes", message.len());
        });
        hooked(Bundle::base(), point, hook(noise)).try_create().success();
    }
}

/// A runtime that kept all of it would grow with it.
#[test]
fn a_gibibyte_of_output_takes_no_memory() {
    let bundle = Bundle::base();
    let [written, seen] = ["written", "seen"].map(|name| bundle.home().join(name));
    let script = format!(
        "/bin/busybox dd if=/dev/zero bs=1M count=1024; echo; echo the last words; echo > {}; \
         while [ ! -e {} ]; do sleep 0.1; done; exit 3",
        written.display(),
        seen.display()
    );
    let bundle = hooked(bundle, "createRuntime", hook(&script));
    let mut call = Running::start(bundle.command_for("create", &[]).stdin(Stdio::null()), bundle.home());
    // As long as it takes: a machine that is busy is no fault.
    while !written.exists() {
        assert!(!call.has_ended(), "{:?}", call.finish());
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", call.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    let peak: u32 = peak.parse().unwrap();
    fs::write(seen, "").unwrap();
    // runc 1.1 holds all of it, and may still be busy with it when patience ends.
    let known = [("runc", "1.1 keeps and tells all of it"), ("crun", "leaves the output to the caller")];
    may_fail_on(&known, || {
        let message = call.finish().failure();
        eprintln!("peak: {peak} KiB, message: {} bytes", message.len());
        assert!(peak < 16 << 10, "{peak} KiB");
        assert!(message.contains("the last words") && message.len() < 16_000, "{} bytes", message.len());
        bundle.assert_nothing_left();
    });
}

#[test]
fn one_that_does_not_read_its_state_keeps_nobody_waiting() {
    let peers = [("crun", "1.8.1 writes to a pipe and waits")];
    may_fail_on(&peers, || {
        let annotations: serde_json::Map<_, _> =
            (0..2000).map(|i| (format!("key{i}"), json!("x".repeat(100)))).collect();
        for (point, _) in POINTS {
            let bundle = hooked(Bundle::base(), point, hook("exec <&-; sleep 0.1"));
            let bundle = bundle.with(|config| config["annotations"] = annotations.clone().into());
            bundle.run().success();
        }
    });
}

#[test]
fn one_that_runs_dies_with_the_call() {
    let scripts = [
        "exec SLEEP 1000",
        "SLEEP 1000 & exec SLEEP 1000",
        "/bin/busybox setsid SLEEP 1000 & exec SLEEP 1000",
        "(/bin/busybox setsid sh -c 'trap \"\" TERM HUP; SLEEP 1000 & SLEEP 1000' &); exec SLEEP 1000",
    ];
    for (point, script) in OF_CREATE.iter().flat_map(|point| scripts.map(|script| (point, script))) {
        let bundle = Bundle::base();
        let started = bundle.home().join("started");
        let script =
            script.replace("SLEEP", &sleeper(&bundle)).replace("exec", &format!("echo > {}; exec", started.display()));
        let bundle = hooked(bundle, point, hook(&script));
        let call = Running::start(bundle.command_for("create", &[]).stdin(Stdio::null()), bundle.home());
        wait_until("the hook", || started.exists());
        kill(Pid::from_raw(call.pid()), Signal::SIGKILL).unwrap();
        assert_eq!(call.finish().status, 137);
        let start = Instant::now();
        bundle.call(&["delete", "-f", bundle.id()]).success();
        assert!(start.elapsed() < Duration::from_secs(5));
        may_fail_on(&[("runc", "leaves the hook"), ("crun", "leaves the hook")], || bundle.assert_nothing_left());
    }
}

/// A container whose hook runs is being created: others see it, wait for nothing, and may end it.
#[test]
fn one_that_runs_does_not_hide_the_container() {
    let bundle = Bundle::base();
    let started = bundle.home().join("started");
    let script = format!("echo > {}; exec {} 1000", started.display(), sleeper(&bundle));
    let bundle = hooked(bundle, "createRuntime", hook(&script));
    let call = Running::start(bundle.command_for("create", &[]).stdin(Stdio::null()), bundle.home());
    wait_until("the hook", || started.exists());
    let known = [("crun", "1.8.1 has no state yet"), ("runc", "1.1 has no state yet")];
    may_fail_on(&known, || {
        let state: Value = serde_json::from_str(&bundle.call(&["state", bundle.id()]).success()).unwrap();
        assert_eq!(state["status"], "creating", "{state}");
    });
    kill(Pid::from_raw(call.pid()), Signal::SIGKILL).unwrap();
    call.finish();
}

#[test]
fn a_timeout_beyond_all_time_is_none() {
    let endless = json!({"path": "/bin/true", "timeout": i64::MAX});
    let known = [("runc", "the sum overflows, and the time is over at once"), ("crun", "the sum overflows")];
    fails_on(&known, || {
        hooked(Bundle::base().args(&["/bin/true"]), "createRuntime", endless).run().success();
    });
}

/// Whoever is asked to end before there is a program has nobody to pass that on to.
#[test]
fn a_run_that_is_asked_to_end_during_one_leaves_nothing() {
    let bundle = Bundle::base();
    let started = bundle.home().join("started");
    let script = format!("echo > {}; exec {} 1000", started.display(), sleeper(&bundle));
    let bundle = hooked(bundle, "createRuntime", hook(&script));
    let call = bundle.run_in_background();
    wait_until("the hook", || started.exists());
    kill(Pid::from_raw(call.pid()), Signal::SIGTERM).unwrap();
    let known = [("runc", "waits for the hook, however long"), ("crun", "waits for the hook, however long")];
    fails_on(&known, || {
        assert!(call.finish().failure().contains("hooks.createRuntime[0]: interrupted by a signal"));
        bundle.assert_nothing_left();
    });
}
