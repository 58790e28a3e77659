//! Hooks: when, where and with what each of the six lists runs.

#[path = "hooks/failures.rs"]
mod failures;
#[path = "hooks/running.rs"]
mod running;

use std::fs;
use std::path::PathBuf;

use runtime_tests::{Bundle, may_fail_on, wait_until};
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

/// Without `env` a hook has the runtime's environment, in the container the program's; an empty list means none.
#[test]
fn the_environment_is_the_hooks_or_the_runtimes() {
    let peers = [("runc", "1.1 takes an empty list for none"), ("crun", "1.8.1 gives startContainer none")];
    may_fail_on(&peers, || {
        let (mut bundle, directory) = shared();
        // The colon keeps the shell from becoming the last command, whose environment would be read instead.
        let tell = |name: &str| {
            hook(&format!("/bin/busybox tr '\\0' '\\n' < /proc/$$/environ > {}/{name}; :", directory.display()))
        };
        for (point, _) in POINTS.iter().filter(|(point, _)| *point != "createContainer") {
            bundle = hooked(bundle, point, tell(&format!("{point}.none")));
            for (name, env) in [("some", json!(["A=b", "C="])), ("empty", json!([]))] {
                let mut with = tell(&format!("{point}.{name}"));
                with["env"] = env;
                bundle = hooked(bundle, point, with);
            }
        }
        bundle = hooked(bundle, "createContainer", hook(&format!("echo $OF_CALLER > {}/inside", directory.display())));
        let bundle = bundle.with(|config| config["process"]["env"] = json!(["PATH=/bin", "OF=process"]));
        let mut command = bundle.command_for("run", &[]);
        bundle.finish(command.env("OF_CALLER", "1")).success();
        for (point, _) in POINTS.iter().filter(|(point, _)| *point != "createContainer") {
            let read = |name: &str| fs::read_to_string(directory.join(format!("{point}.{name}"))).unwrap();
            assert_eq!((read("some").as_str(), read("empty").as_str()), ("A=b\nC=\n", ""), "{point}");
            let none = read("none");
            if *point == "startContainer" {
                assert_eq!(none, "PATH=/bin\nOF=process\nHOME=/root\n");
            } else {
                assert!(none.lines().any(|line| line == "OF_CALLER=1"), "{point}: {none}");
                assert!(!none.contains("OF=process"), "{point}: {none}");
            }
        }
        assert_eq!(fs::read_to_string(directory.join("inside")).unwrap(), "1\n");
    });
}

/// Hooks start in the bundle, as runc's and crun's do in `create`; startContainer in the program's working directory.
#[test]
fn hooks_start_in_the_bundle() {
    let peers = [("runc", "1.1 runs createContainer in the root"), ("crun", "1.8.1 runs createContainer in the root")];
    may_fail_on(&peers, || {
        let (mut bundle, directory) = shared();
        for (point, _) in POINTS {
            bundle = hooked(bundle, point, hook(&format!("pwd > {}/{point}", directory.display())));
        }
        let bundle = bundle.with(|config| config["process"]["cwd"] = "/home".into());
        bundle.run().success();
        for (point, _) in POINTS {
            let seen = fs::read_to_string(directory.join(point)).unwrap();
            let wanted = if point == "startContainer" { "/home".into() } else { bundle.path().display().to_string() };
            assert_eq!(seen.trim(), wanted, "{point}");
        }
    });
}

/// One of poststop runs although the bundle has gone.
#[test]
fn a_hook_runs_without_the_bundle() {
    let (bundle, directory) = shared();
    let bundle = hooked(bundle, "poststop", hook(&format!("pwd > {}/seen", directory.display()))).probe("pause");
    bundle.try_create().success();
    fs::rename(bundle.path(), bundle.home().join("moved")).unwrap();
    let known = [("runc", "starts where delete was called")];
    bundle.call(&["delete", "-f", bundle.id()]).success();
    may_fail_on(&known, || assert_eq!(fs::read_to_string(directory.join("seen")).unwrap(), "/\n"));
    fs::rename(bundle.home().join("moved"), bundle.path()).unwrap();
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
