//! The verbs and the states between them: what each prints, and how each refuses.

use std::os::unix::process::CommandExt;

use nix::sys::signal::{SigSet, Signal};
use runtime_tests::{Bundle, Container, Runtime, fails_on, may_fail_on, wait_until};
use serde_json::Value;

fn paused() -> Container {
    Bundle::base().probe("pause").create()
}

#[test]
fn run_returns_the_status_of_the_program() {
    for status in [0, 1, 7, 127, 255] {
        assert_eq!(Bundle::base().probe(&format!("exit {status}")).run().status, status);
    }
}

#[test]
fn run_returns_128_and_the_signal_that_ended_the_program() {
    // In the host's pid namespace, because the first process of its own is not killed from inside.
    for signal in [9, 11, 15] {
        let bundle = Bundle::base().namespace("pid", None).probe(&format!("die {signal}"));
        assert_eq!(bundle.run().status, 128 + signal);
    }
}

#[test]
fn run_leaves_nothing() {
    let bundle = Bundle::base();
    bundle.run().success();
    bundle.assert_nothing_left();
}

#[test]
fn run_twice_is_possible() {
    let bundle = Bundle::base();
    bundle.run().success();
    bundle.run().success();
}

#[test]
fn create_waits_with_the_program_until_start() {
    let container = Bundle::base().args(&["/bin/echo", "started"]).create();
    assert_eq!(container.status(), "created");
    assert_eq!(container.output(), "");
    container.start();
    container.wait_for("stopped");
    assert_eq!(container.output(), "started\n");
}

#[test]
fn the_states_follow_each_other() {
    let container = paused();
    assert_eq!(container.status(), "created");
    container.start();
    assert_eq!(container.status(), "running");
    container.kill("KILL");
    container.wait_for("stopped");
    container.delete();
    container.bundle().assert_nothing_left();
}

#[test]
fn state_has_what_the_specification_demands() {
    let container = Bundle::base().with(|config| config["annotations"] = [("a.b", "c")].into_iter().collect());
    let container = container.probe("pause").create();
    let state = container.state();
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    assert_eq!(state["id"], container.bundle().id());
    assert_eq!(state["bundle"], container.bundle().path().to_str().unwrap());
    assert_eq!(state["annotations"]["a.b"], "c");
    assert!(std::path::Path::new(&format!("/proc/{}", state["pid"])).exists());
}

#[test]
fn state_of_a_stopped_container_has_pid_0() {
    let container = Bundle::base().create();
    container.start();
    container.wait_for("stopped");
    assert_eq!(container.state()["pid"].as_i64().unwrap_or(0), 0);
}

#[test]
fn state_names_the_rootfs_and_a_time() {
    let state = paused().state();
    fails_on(&[("crun", "prints the path of the configuration as it stands there")], || {
        assert!(std::path::Path::new(state["rootfs"].as_str().unwrap()).is_absolute());
    });
    assert!(state["rootfs"].as_str().unwrap().ends_with("rootfs"));
    assert!(state["created"].as_str().unwrap().contains('T'), "go-runc decodes it as RFC 3339");
}

#[test]
fn list_prints_json_ids_and_a_table() {
    let container = paused();
    let id = container.bundle().id();
    let list: Value = serde_json::from_str(&container.bundle().call(&["list", "-f", "json"]).success()).unwrap();
    assert_eq!((&list[0]["id"], &list[0]["status"]), (&id.into(), &"created".into()));
    assert_eq!(container.bundle().call(&["list", "-q"]).success(), format!("{id}\n"));
    let table = container.bundle().call(&["list"]).success();
    let columns: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert!(columns.starts_with(&["ID", "PID", "STATUS", "BUNDLE"]) || Runtime::from_env().name() == "crun", "{table}");
    assert!(table.lines().nth(1).unwrap().contains("created"));
}

#[test]
fn the_list_is_empty_without_containers() {
    let bundle = Bundle::base();
    bundle.run().success();
    let list: Value = serde_json::from_str(&bundle.call(&["list", "--format=json"]).success()).unwrap();
    // runc prints `null` for no containers.
    assert!(list.as_array().is_none_or(Vec::is_empty), "{list}");
    assert_eq!(bundle.call(&["list", "-q"]).success(), "");
}

#[test]
fn an_unknown_id_does_not_exist() {
    let bundle = Bundle::base();
    for verb in ["state", "start", "kill", "delete"] {
        let message = bundle.call(&[verb, "nobody"]).failure();
        // crun names its own file; podman and containerd match on runc's words.
        let message = if Runtime::from_env().name() == "crun" { "does not exist".into() } else { message };
        assert!(message.contains("does not exist"), "{verb}: {message}");
    }
}

#[test]
fn an_id_is_given_once() {
    let container = paused();
    let message = container.bundle().try_create().failure();
    assert!(message.contains("exist"), "{message}");
    assert_eq!(container.status(), "created", "the second create must not disturb the first");
}

#[test]
fn start_works_once() {
    let container = paused();
    container.start();
    container.call(&["start"], &[]).failure();
    assert_eq!(container.status(), "running");
}

#[test]
fn a_stopped_container_is_not_started() {
    let container = Bundle::base().create();
    container.start();
    container.wait_for("stopped");
    container.call(&["start"], &[]).failure();
}

#[test]
fn a_running_container_is_not_deleted() {
    let container = paused();
    container.start();
    container.call(&["delete"], &[]).failure();
    assert_eq!(container.status(), "running");
}

#[test]
fn a_created_container_is_deleted() {
    // The specification wants an error for anything not stopped; runc kills it first, and the engines rely on that.
    let container = paused();
    container.delete();
    container.bundle().assert_nothing_left();
}

#[test]
fn a_created_container_stops_when_it_is_asked_to() {
    fails_on(&[("crun", "1.8.1 leaves its init without handlers, to which the kernel then delivers nothing")], || {
        for signal in ["TERM", "INT", "HUP", "QUIT"] {
            let container = paused();
            container.kill(signal);
            container.wait_for("stopped");
            container.delete();
            container.bundle().assert_nothing_left();
        }
    });
}

#[test]
fn so_it_does_when_its_creator_had_the_signal_blocked() {
    let bundle = Bundle::base().probe("pause");
    let mut command = bundle.command_for("create", &[]);
    // SAFETY: between fork and exec the closure makes one system call.
    unsafe { command.pre_exec(|| SigSet::from(Signal::SIGTERM).thread_block().map_err(Into::into)) };
    bundle.finish(&mut command).success();
    bundle.call(&["kill", bundle.id(), "TERM"]).success();
    let stopped = || bundle.call(&["state", bundle.id()]).success().contains("\"stopped\"");
    let known = [("runc", "1.1.5 leaves the mask to its init"), ("crun", "1.8.1 leaves its init without handlers")];
    may_fail_on(&known, || wait_until("its end", stopped));
}

#[test]
fn delete_by_force_ends_what_runs() {
    let container = paused();
    container.start();
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
}

#[test]
fn delete_by_force_succeeds_without_a_container() {
    let bundle = Bundle::base();
    bundle.call(&["delete", "--force", bundle.id()]).success();
    bundle.call(&["delete", "-f", bundle.id()]).success();
}

#[test]
fn delete_by_force_ends_every_process() {
    let script = "for i in 1 2 3 4 5; do (trap '' TERM HUP; sleep 1000) & done; wait";
    let container = Bundle::base().sh(script).create();
    container.start();
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
}

#[test]
fn the_processes_end_with_the_first_even_in_the_hosts_pid_namespace() {
    let container = Bundle::base().namespace("pid", None).sh("sleep 1000 & exec /bin/probe pause").create();
    container.start();
    container.call(&["delete", "-f"], &[]).success();
    let known = [("runc", "1.1 kills the first process only and leaves the cgroup to the others: runc issue 4040")];
    may_fail_on(&known, || container.bundle().assert_nothing_left());
}

#[test]
fn a_paused_container_is_resumed() {
    let container = paused();
    container.start();
    container.call(&["pause"], &[]).success();
    assert_eq!(container.status(), "paused");
    container.call(&["resume"], &[]).success();
    assert_eq!(container.status(), "running");
}

#[test]
fn a_paused_container_is_deleted_by_force() {
    let container = paused();
    container.start();
    container.call(&["pause"], &[]).success();
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
}

#[test]
fn kill_takes_every_spelling_of_a_signal() {
    // crun takes a word that it does not know for signal 0 and reports success.
    let lower_case = ["usr1", "sigusr1"].iter().filter(|_| Runtime::from_env().name() != "crun");
    for signal in ["10", "USR1", "SIGUSR1"].iter().chain(lower_case) {
        let container = Bundle::base().probe("signals").create();
        container.start();
        runtime_tests::wait_until("ready", || container.output().contains("ready"));
        container.kill(signal);
        runtime_tests::wait_until(signal, || container.output().contains("signal=10"));
    }
}

#[test]
fn kill_sends_term_by_default() {
    let container = Bundle::base().probe("signals").create();
    container.start();
    runtime_tests::wait_until("ready", || container.output().contains("ready"));
    container.call(&["kill"], &[]).success();
    container.wait_for("stopped");
    assert!(container.output().contains("signal=15"));
}

#[test]
fn kill_refuses_what_is_no_signal() {
    let container = paused();
    fails_on(&[("crun", "sends signal 0 and reports success")], || {
        for signal in ["NOSUCH", "SIGNOSUCH", "9x"] {
            container.call(&["kill"], &[signal]).failure();
        }
    });
    assert_eq!(container.status(), "created");
}

#[test]
fn kill_of_a_stopped_container_says_so() {
    let container = Bundle::base().create();
    container.start();
    container.wait_for("stopped");
    let message = container.call(&["kill"], &["KILL"]).failure();
    let known = ["container not running", "process already finished", "no such process"];
    fails_on(&[("crun", "1.8.1 writes `No such process`, which CRI-O's case-sensitive match misses")], || {
        assert!(known.iter().any(|text| message.contains(text)), "{message}");
    });
}

#[test]
fn kill_all_reaches_every_process() {
    let container = Bundle::base().namespace("pid", None).sh("sleep 1000 & exec /bin/probe pause").create();
    container.start();
    container.call(&["kill", "--all"], &["KILL"]).success();
    container.wait_for("stopped");
    container.delete();
    container.bundle().assert_nothing_left();
}

#[test]
fn a_change_of_the_configuration_after_create_has_no_effect() {
    let container = Bundle::base().args(&["/bin/echo", "first"]).create();
    let config = container.bundle().path().join("config.json");
    let changed = std::fs::read_to_string(&config).unwrap().replace("first", "second");
    std::fs::write(&config, changed).unwrap();
    container.start();
    container.wait_for("stopped");
    assert_eq!(container.output(), "first\n");
}

#[test]
fn unknown_properties_are_ignored() {
    let bundle = Bundle::base().with(|config| {
        config["someday"] = "maybe".into();
        config["process"]["someday"] = 1.into();
        config["linux"]["someday"] = true.into();
    });
    bundle.run().success();
}

#[test]
fn unknown_annotations_are_accepted() {
    Bundle::base()
        .with(|config| config["annotations"] = [("org.example.x", "y")].into_iter().collect())
        .run()
        .success();
}

#[test]
fn the_global_options_may_be_repeated_and_the_last_wins() {
    let bundle = Bundle::base();
    bundle.write();
    let mut command = bundle.runtime().bare();
    command.args(["--root", "/nonexistent/never"]).arg("--root").arg(bundle.state_root());
    bundle.finish(command.args(["run", "-b"]).arg(bundle.path()).arg(bundle.id())).success();
}

#[test]
fn the_bundle_is_the_working_directory_by_default() {
    let bundle = Bundle::base();
    bundle.write();
    bundle.finish(bundle.command(&["run", bundle.id()]).current_dir(bundle.path())).success();
}

#[test]
fn a_relative_bundle_counts_from_the_caller() {
    let bundle = Bundle::base();
    bundle.write();
    let mut command = bundle.command(&["run", "--bundle=bundle", bundle.id()]);
    bundle.finish(command.current_dir(bundle.home())).success();
}

#[test]
fn detached_run_leaves_the_container_running() {
    let bundle = Bundle::base().probe("pause");
    bundle.finish(&mut bundle.command_for("run", &["--detach"])).success();
    let state: Value = serde_json::from_str(&bundle.call(&["state", bundle.id()]).success()).unwrap();
    assert_eq!(state["status"], "running");
}

#[test]
fn spec_writes_a_configuration_that_runs() {
    let bundle = Bundle::base();
    let directory = bundle.home().join("spec");
    std::fs::create_dir(&directory).unwrap();
    bundle.finish(bundle.command(&["spec"]).current_dir(&directory)).success();
    let text = std::fs::read_to_string(directory.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["process"]["terminal"], true);
    config["process"]["terminal"] = false.into();
    config["root"]["path"] = bundle.rootfs().to_str().into();
    config["process"]["args"] = ["/bin/echo", "made by spec"].as_slice().into();
    // Needs a privilege that not every tester has: crun loads the device filter only with unlimited locked memory.
    config["linux"]["resources"] = Value::Null;
    let bundle = bundle.with(|old| *old = config);
    assert_eq!(bundle.run().success(), "made by spec\n");
}

#[test]
fn spec_does_not_overwrite() {
    let bundle = Bundle::base();
    bundle.write();
    bundle.finish(bundle.command(&["spec"]).current_dir(bundle.path())).failure();
}

#[test]
fn a_missing_configuration_is_named() {
    let bundle = Bundle::base();
    let message = bundle.finish(bundle.command(&["create", bundle.id()]).current_dir(bundle.home())).failure();
    assert!(message.contains("config.json"), "{message}");
    bundle.assert_nothing_left();
}

#[test]
fn a_failed_create_leaves_nothing() {
    let bundle = Bundle::base().mount("/data", "bind", "/nonexistent/source", &["bind"]);
    let message = bundle.refused();
    assert!(message.contains("/nonexistent/source"), "{message}");
}

#[test]
fn a_failed_run_leaves_nothing() {
    let bundle = Bundle::base().args(&["/nonexistent"]);
    bundle.run().failure();
    bundle.assert_nothing_left();
}

#[test]
fn hooks_run_in_order_and_see_the_state() {
    let bundle = Bundle::base();
    let log = bundle.home().join("hooks.log");
    let hook = |name: &str| {
        let script = format!(
            "echo {name} $(/bin/busybox sed 's/.*\"status\": *\"\\([a-z]*\\)\".*/\\1/;q') >> {}",
            log.display()
        );
        serde_json::json!([{"path": "/bin/busybox", "args": ["sh", "-c", script]}])
    };
    let names = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
    let bundle = bundle.with(|config| names.iter().for_each(|name| config["hooks"][name] = hook(name)));
    bundle.run().success();
    let ran = std::fs::read_to_string(&log).unwrap();
    let ran: Vec<_> = ran.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ran, names);
}

#[test]
fn a_failing_hook_fails_create_and_leaves_nothing() {
    for name in ["prestart", "createRuntime", "createContainer"] {
        let hook = serde_json::json!([{"path": "/bin/busybox", "args": ["false"]}]);
        let message = Bundle::base().with(|config| config["hooks"][name] = hook).refused();
        assert!(Runtime::from_env().name() == "crun" || message.contains("hook"), "{message}");
    }
}

#[test]
fn a_hook_that_takes_too_long_is_ended() {
    let hook = serde_json::json!([{"path": "/bin/busybox", "args": ["sleep", "1000"], "timeout": 1}]);
    Bundle::base().with(|config| config["hooks"]["createRuntime"] = hook).refused();
}
