//! Words that engines look for in what a runtime says. Each test holds the engine's own condition, as a function.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use runtime_tests::{Bundle, fails_on, may_fail_on, wait_until};
use serde_json::{Value, json};

/// dockerd and its client turn a failure to create or to start into an exit status, by the lower-cased text.
fn status_of_docker(message: &str) -> i32 {
    let message = message.to_lowercase();
    let has = |words: &str| message.contains(words);
    match () {
        () if has("executable file not found") || has("no such file or directory") => 127,
        () if has("permission denied") => 126,
        () if has("not a directory") => 127,
        () => 125,
    }
}

/// podman does so by regular expressions that know no case.
fn status_of_podman(message: &str) -> i32 {
    let message = message.to_lowercase();
    let has = |words: &str| message.contains(words);
    match () {
        () if has("permission denied") || has("operation not permitted") => 126,
        () if has("executable file not found in") || has("no such file or directory") => 127,
        () if has("open executable") => 127,
        () => 125,
    }
}

/// A bundle with programs that cannot be executed, each for a reason of its own.
fn with_bad_programs() -> Bundle {
    let bundle = Bundle::base();
    let put = |name: &str, text: &str, mode| {
        let path = bundle.rootfs().join("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    put("plain", "text", 0o644);
    put("script", "#!/nope\n", 0o755);
    bundle
}

/// The program, and the exit status that a person gets from docker and podman.
const BAD_PROGRAMS: [(&str, i32); 6] = [
    ("nosuch", 127),
    ("/nosuch", 127),
    ("/nosuch/nosuch", 127),
    ("/bin/plain", 126),
    ("/bin", 126),
    ("/bin/script", 127),
];

#[test]
fn a_program_that_cannot_run_has_the_status_of_a_shell() {
    for (program, status) in BAD_PROGRAMS {
        let bundle = with_bad_programs().args(&[program]);
        let message = bundle.run().failure();
        // Engines look at the error alone, not at the warnings before it.
        let message = message.trim_end().lines().last().unwrap().to_owned();
        let known = [("crun", "`Operation not permitted` is for podman alone")];
        may_fail_on(&known, || assert_eq!(status_of_docker(&message), status, "docker, {program}: {message}"));
        assert_eq!(status_of_podman(&message), status, "podman, {program}: {message}");
        assert!(message.contains(program) || program.starts_with("/bin"), "dockerd wants its name: {message}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn so_has_one_that_comes_later() {
    let container = with_bad_programs().probe("pause").create();
    container.start();
    for (program, status) in BAD_PROGRAMS {
        for options in [&[][..], &["-d"]] {
            let output = container.exec(options, &[program]);
            let known = [("runc", "1.1 reports success of a script without its interpreter"), ("crun", "as runc")];
            may_fail_on(&known, || {
                let message = output.failure();
                assert_eq!(status_of_docker(&message), status, "docker, {program}: {message}");
                assert_eq!(status_of_podman(&message), status, "podman, {program}: {message}");
            });
        }
    }
}

/// What test suites of engines compare with.
#[test]
fn the_shapes_are_runcs() {
    let rows = [
        ("nosuch", r#"exec: "nosuch": executable file not found in $PATH"#),
        ("/nosuch", r#"exec: "/nosuch": stat /nosuch: no such file or directory"#),
        ("/bin/plain", r#"exec: "/bin/plain": permission denied"#),
        ("/bin", r#"exec: "/bin": permission denied"#),
    ];
    fails_on(&[("crun", "has shapes of its own, which podman knows")], || {
        let container = with_bad_programs().probe("pause").create();
        container.start();
        for (program, words) in rows {
            // runc's log writer escapes the quotes.
            let created = with_bad_programs().args(&[program]).refused().replace('\\', "");
            assert!(created.contains("unable to start container process: ") && created.contains(words), "{created}");
            let executed = container.exec(&[], &[program]).failure().replace('\\', "");
            let start = "exec failed: unable to start container process: ";
            assert!(executed.contains(start) && executed.contains(words), "{executed}");
        }
    });
}

/// dockerd adds the hint that somebody mounted a directory onto a file. What says that something `is a directory` it takes
/// for the program.
#[test]
fn a_directory_on_a_file_is_told_as_such() {
    for (destination, source) in [("/etc/passwd", "/etc"), ("/etc", "/etc/passwd")] {
        let message = Bundle::base().mount(destination, "bind", source, &["bind"]).refused();
        let message = message.to_lowercase();
        assert!(message.contains("not a directory") && message.contains(&destination[1..]), "{message}");
        assert!(!message.contains("is a directory"), "{message}");
    }
}

#[test]
fn what_is_missing_or_wrong_in_the_process_is_told_in_runcs_words() {
    let rows: [(&str, Value, &str); 6] = [
        ("/process", Value::Null, "process property must not be empty"),
        ("/process/cwd", Value::Null, "Cwd property must not be empty"),
        ("/process/cwd", json!(""), "Cwd property must not be empty"),
        ("/process/cwd", json!("tmp"), "Cwd must be an absolute path"),
        ("/process/args", json!([]), "args must not be empty"),
        ("/process/args", Value::Null, "args must not be empty"),
    ];
    fails_on(&[("crun", "has words of its own, and takes some of them")], || {
        for (pointer, value, words) in rows {
            let message = Bundle::base().with(|config| *config.pointer_mut(pointer).unwrap() = value.clone()).refused();
            assert!(message.contains(words), "{pointer} {value}: {message}");
        }
    });
}

#[test]
fn a_bundle_without_a_configuration_is_told_in_runcs_words() {
    let bundle = Bundle::base();
    let output = bundle.finish(bundle.command(&["create", bundle.id()]).current_dir(bundle.home()));
    fails_on(&[("crun", "has words of its own")], || {
        let message = output.failure();
        assert!(message.contains("JSON specification file config.json not found"), "{message}");
    });
}

#[test]
fn a_working_directory_that_cannot_be_entered_is_told_in_runcs_words() {
    let container = Bundle::base().probe("pause").create();
    container.start();
    for (directory, reason) in [("/nosuch", "no such file or directory"), ("/etc/passwd", "not a directory")] {
        fails_on(&[("crun", "has words of its own")], || {
            let message = container.exec(&["--cwd", directory], &["true"]).failure().replace('\\', "");
            let words = format!("chdir to cwd (\"{directory}\") set in config.json failed: {reason}");
            assert!(message.contains(&words), "{message}");
        });
    }
}

/// podman holds a container for exited whose state is asked for in vain; the others want to hear the same of the rest.
#[test]
fn a_container_that_is_not_there_does_not_exist() {
    let bundle = Bundle::base();
    let calls: [&[&str]; 9] = [
        &["state", "ID"],
        &["start", "ID"],
        &["kill", "ID", "9"],
        &["kill", "--all", "ID", "9"],
        &["delete", "ID"],
        &["pause", "ID"],
        &["resume", "ID"],
        &["ps", "ID"],
        &["exec", "ID", "true"],
    ];
    for call in calls {
        let words: Vec<_> = call.iter().map(|word| if *word == "ID" { bundle.id() } else { word }).collect();
        let message = bundle.call(&words).failure();
        assert!(message.contains("does not exist") || message.contains("No such file"), "{call:?}: {message}");
        fails_on(&[("crun", "names its own file instead")], || {
            assert!(message.contains("container does not exist"), "{call:?}: {message}");
        });
    }
}

#[test]
fn a_kill_of_the_dead_is_told_in_every_engines_words() {
    let container = Bundle::base().create();
    container.start();
    container.wait_for("stopped");
    for signal in ["9", "KILL", "TERM", "0"] {
        let message = container.call(&["kill"], &[signal]).failure();
        fails_on(&[("crun", "1.8.1 writes `No such process`, which CRI-O's match misses")], || {
            // CRI-O minds the case, containerd's shim and BuildKit partly.
            assert!(message.contains("container not running"), "{signal}: {message}");
        });
    }
}

/// The same words when it dies between the look and the signal: whoever kills at once must not see others.
#[test]
fn a_kill_of_the_dying_is_success_or_told_so() {
    for _ in 0..20 {
        let container = Bundle::base().probe("pause").create();
        container.start();
        container.kill("KILL");
        let output = container.call(&["kill"], &["KILL"]);
        fails_or_passes(&output.stderr, output.status);
        wait_until("the end", || container.status() == "stopped");
    }
}

#[track_caller]
fn fails_or_passes(message: &str, status: i32) {
    may_fail_on(&[("crun", "1.8.1 writes `No such process`")], || {
        assert!(status == 0 || message.contains("container not running"), "{status}: {message}");
    });
}

/// containerd makes `AlreadyExists` of it.
#[test]
fn an_id_that_is_taken_is_told_so() {
    let container = Bundle::base().probe("pause").create();
    let message = container.bundle().try_create().failure();
    fails_on(&[("crun", "writes: container `x` already exists")], || {
        assert!(message.contains("container with given ID already exists"), "{message}");
    });
}
