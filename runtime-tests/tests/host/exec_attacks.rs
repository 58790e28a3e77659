//! A container with CAP_SYS_PTRACE attacks each process that the runtime brings into its pid namespace: nothing of the
//! host may be within reach of such a process, and it may have no more capabilities than the container.

use std::collections::BTreeMap;

use runtime_tests::{Bundle, Canary, Container, fails_on, is_full_sweep};
use serde_json::{Value, json};

/// A word of the runtime's environment.
const SECRET: &str = "a-password-of-the-host";

/// A secret, and the attacker's successes with how often the runtime was called.
struct Attack {
    canary: Canary,
    attacker: Container,
    calls: usize,
}

/// How many of `all` calls this run makes.
fn share(all: usize) -> usize {
    if is_full_sweep() { all } else { all / 10 }
}

impl Attack {
    /// Starts an attacker with CAP_SYS_PTRACE and these capabilities.
    fn with(others: &[&str], change: impl FnOnce(&mut Value)) -> Attack {
        let bundle = Bundle::base();
        let canary = Canary::new(bundle.home());
        let sets: Vec<&str> = others.iter().chain(&["CAP_SYS_PTRACE"]).copied().collect();
        let bundle = bundle.with(|config| {
            config["process"]["capabilities"] = json!({"bounding": sets, "effective": sets, "permitted": sets});
            change(config);
        });
        let backwards: String = SECRET.chars().rev().collect();
        let words = format!("stalk {} {backwards}", canary.path().display());
        let attacker = bundle.probe(&words).create();
        attacker.start();
        runtime_tests::wait_until("the attacker", || attacker.output().contains("ready"));
        Attack { canary, attacker, calls: 0 }
    }

    fn with_default_capabilities() -> Attack {
        Attack::with(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"], |_| ())
    }

    fn exec(&mut self, options: &[&str], count: usize) {
        let bundle = self.attacker.bundle();
        for _ in 0..count {
            let words = [&["exec"], options, &[bundle.id(), "/bin/true"]].concat();
            let output = bundle.finish(bundle.command(&words).env("SECRET", SECRET));
            assert_eq!(output.status, 0, "{output:?}");
        }
        self.calls += count;
    }

    /// Containers that join the attacker's pid namespace.
    fn join(&mut self, count: usize, change: impl Fn(Bundle) -> Bundle) {
        let path = format!("/proc/{}/ns/pid", self.attacker.pid());
        for _ in 0..count {
            let bundle = Bundle::base().namespace("pid", Some(json!({"type": "pid", "path": path})));
            let bundle = change(bundle);
            let create = bundle.finish(bundle.command_for("create", &[]).env("SECRET", SECRET));
            assert_eq!(create.status, 0, "{create:?}");
            let start = bundle.finish(bundle.command(&["start", bundle.id()]).env("SECRET", SECRET));
            assert_eq!(start.status, 0, "{start:?}");
        }
        self.calls += count;
    }

    /// What the attacker has printed: each key with its values.
    fn end(self) -> BTreeMap<String, Vec<String>> {
        self.attacker.kill("TERM");
        self.attacker.wait_for("stopped");
        let output = self.attacker.output();
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in output.lines().filter_map(|line| line.split_once('=')) {
            found.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        let seen: usize = found["seen"][0].parse().unwrap();
        // One that lives for less than a turn of the attacker is missed.
        assert!(seen >= self.calls / 4, "the attacker saw {seen} processes of {} calls: {found:?}", self.calls);
        self.canary.assert_untouched();
        found
    }
}

/// Fails if anything of the host was within reach.
#[track_caller]
fn assert_nothing_reached(found: &BTreeMap<String, Vec<String>>) {
    for key in found.keys() {
        let reached = ["read-by-", "made-by-", "writable-exe"].iter().any(|begin| key.starts_with(begin));
        assert!(!reached, "{key}: {found:?}");
    }
}

/// Fails if a process had a capability that is not in `bounding`.
#[track_caller]
fn assert_confined(found: &BTreeMap<String, Vec<String>>, bounding: u64) {
    for key in ["CapPrm", "CapEff", "CapBnd"] {
        for set in &found[key] {
            let set = u64::from_str_radix(set, 16).unwrap();
            assert_eq!(set & !bounding, 0, "{key} {set:x} is more than {bounding:x}: {found:?}");
        }
    }
    assert!(!found.contains_key("secret-in"), "{found:?}");
}

const SYS_PTRACE: u64 = 1 << 19;
const DEFAULT: u64 = 1 << 29 | 1 << 5 | 1 << 10 | SYS_PTRACE;

/// The peers' first process is visible with all capabilities, and with the root of the host where it joins by `create`.
const VISIBLE: [(&str, &str); 2] =
    [("runc", "reduces itself in the container"), ("crun", "reduces itself in the container")];

#[test]
fn exec_shows_nothing_of_the_host() {
    let mut attack = Attack::with_default_capabilities();
    attack.exec(&[], share(500));
    let found = attack.end();
    assert_nothing_reached(&found);
    fails_on(&VISIBLE, || assert_confined(&found, DEFAULT));
}

#[test]
fn exec_shows_nothing_of_the_host_to_tracing_alone() {
    let mut attack = Attack::with(&[], |_| ());
    attack.exec(&[], share(500));
    let found = attack.end();
    assert_nothing_reached(&found);
    fails_on(&VISIBLE, || assert_confined(&found, SYS_PTRACE));
}

#[test]
fn exec_as_a_user_shows_nothing_of_the_host() {
    let mut attack = Attack::with_default_capabilities();
    attack.exec(&["--user", "1000:1000"], share(200));
    let found = attack.end();
    assert_nothing_reached(&found);
    fails_on(&VISIBLE, || assert_confined(&found, DEFAULT));
}

/// A filter that loads without `noNewPrivileges` takes CAP_SYS_ADMIN, which the container does not have.
#[test]
fn exec_shows_no_process_without_the_filter() {
    let mut attack = Attack::with(&[], |config| {
        config["process"]["noNewPrivileges"] = false.into();
        let rule = json!({"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"});
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    });
    attack.exec(&[], share(500));
    let found = attack.end();
    assert_nothing_reached(&found);
    fails_on(&VISIBLE, || {
        assert_confined(&found, SYS_PTRACE);
        assert_eq!(found["Seccomp"], ["2"], "{found:?}");
    });
}

#[test]
fn joining_a_pid_namespace_shows_nothing_of_the_host() {
    fails_on(&VISIBLE, || {
        let mut attack = Attack::with_default_capabilities();
        attack.join(share(50), |bundle| bundle);
        let found = attack.end();
        assert_nothing_reached(&found);
        assert_confined(&found, DEFAULT);
    });
}

/// A process of `exec` is a child of the runtime, and so are its siblings (`CLONE_PARENT`).
#[test]
fn exec_reaps_children_that_it_has_not_made_and_does_not_wait_for_them() {
    let container = Bundle::base().probe("pause").create();
    container.start();
    let bundle = container.bundle();
    let mut exec = bundle.command(&["exec", bundle.id(), "/bin/probe", "siblings"]);
    let start = std::time::Instant::now();
    let call = runtime_tests::Running::start(&mut exec, bundle.home());
    runtime_tests::wait_until("the siblings", || call.stdout().contains("siblings=2"));
    let children = || {
        let list = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", call.pid())).unwrap();
        let state =
            |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?.rsplit(") ").next()?.chars().next();
        list.split_whitespace().filter_map(state).collect::<String>()
    };
    // The program and the sibling that stays.
    runtime_tests::wait_until(
        "the end of the other sibling",
        || matches!(children().as_bytes(), [a, b] if *a != b'Z' && *b != b'Z'),
    );
    call.finish().success();
    assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
    container.call(&["delete", "-f"], &[]).success();
    bundle.assert_nothing_left();
}
