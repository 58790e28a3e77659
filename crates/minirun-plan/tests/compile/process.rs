//! The program: its user, capabilities, environment and scheduling.

use minirun_plan::{HostFacts, Request};
use serde_json::{Value, json};

use super::{and, check, exec, lines, namespaces, plan, plan_for, refuse, request, user_namespace, v2};

#[test]
fn host_and_domain_names() {
    let uts = |pointer: &str, name: &str| and(namespaces(&["mount", "pid", "uts"]), pointer, json!(name));
    let new = "new uts [linux.namespaces]";
    check(uts("/hostname", "web"), &v2(), &[new, "hostname web [hostname]"]);
    check(uts("/domainname", "example.org"), &v2(), &[new, "domainname example.org [domainname]"]);
    let longest = "h".repeat(64);
    check(uts("/hostname", &longest), &v2(), &[new, &format!("hostname {longest} [hostname]")]);
    refuse(uts("/hostname", &"h".repeat(65)), &["hostname: 65 bytes are too long (expected at most 64)"]);
    for place in ["hostname", "domainname"] {
        refuse(
            json!({format!("/{place}"): "x"}),
            &[&format!("{place}: unable to set {place} without a private UTS namespace")],
        );
    }
}

#[test]
fn limits() {
    let limit =
        |typ: &str, soft: u64, hard: u64| json!({"/process/rlimits": [{"type": typ, "soft": soft, "hard": hard}]});
    for (typ, soft, hard, expected) in [
        ("RLIMIT_NOFILE", 1, 2, "limit RLIMIT_NOFILE 1 2 [process.rlimits[0]]"),
        ("RLIMIT_CORE", 0, 0, "limit RLIMIT_CORE 0 0 [process.rlimits[0]]"),
        ("RLIMIT_AS", 5, u64::MAX, "limit RLIMIT_AS 5 unlimited [process.rlimits[0]]"),
        ("RLIMIT_CPU", u64::MAX, u64::MAX, "limit RLIMIT_CPU unlimited unlimited [process.rlimits[0]]"),
    ] {
        check(limit(typ, soft, hard), &v2(), &[expected]);
    }
    refuse(limit("RLIMIT_AS", 2, 1), &["process.rlimits[0].soft: 2 is more than the hard limit of 1"]);
    let twice = json!({"type": "RLIMIT_AS", "soft": 1, "hard": 1});
    refuse(json!({"/process/rlimits": [twice, twice]}), &["process.rlimits[1].type: duplicate limit RLIMIT_AS"]);
    check(json!({"/process/oomScoreAdj": -1000}), &v2(), &["oom_score_adj -1000 [process.oomScoreAdj]"]);
    refuse(
        json!({"/process/oomScoreAdj": 1001}),
        &["process.oomScoreAdj: 1001 is out of range (expected -1000 to 1000)"],
    );
}

#[test]
fn scheduling() {
    let set = |field: &str, value: Value| json!({format!("/{field}"): value});
    for (field, value, expected) in [
        ("scheduler", json!({"policy": "SCHED_OTHER"}), "scheduler SCHED_OTHER"),
        ("scheduler", json!({"policy": "SCHED_BATCH", "nice": -20}), "scheduler SCHED_BATCH nice -20"),
        (
            "scheduler",
            json!({"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3, "flags": ["SCHED_FLAG_RECLAIM"]}),
            "scheduler SCHED_DEADLINE runtime 1 deadline 2 period 3 SCHED_FLAG_RECLAIM",
        ),
        ("ioPriority", json!({"class": "IOPRIO_CLASS_IDLE", "priority": 7}), "io-priority IOPRIO_CLASS_IDLE 7"),
    ] {
        check(set(&format!("process/{field}"), value), &v2(), &[&format!("{expected} [process.{field}]")]);
    }
    for (field, value, expected) in [
        ("personality", json!({"domain": "LINUX32", "flags": []}), "personality LINUX32"),
        ("memoryPolicy", json!({"mode": "MPOL_PREFERRED", "nodes": ""}), "memory-policy MPOL_PREFERRED"),
        (
            "memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "5,0-3", "flags": ["MPOL_F_STATIC_NODES"]}),
            "memory-policy MPOL_BIND 0-3,5 MPOL_F_STATIC_NODES",
        ),
    ] {
        check(set(&format!("linux/{field}"), value), &v2(), &[&format!("{expected} [linux.{field}]")]);
    }
    let scheduler = json!({"policy": "FIFO", "nice": 30, "priority": 1, "flags": ["RECLAIM"], "period": 1});
    let known = "SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE";
    let flags = "SCHED_FLAG_RESET_ON_FORK, SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN, SCHED_FLAG_KEEP_POLICY, \
                 SCHED_FLAG_KEEP_PARAMS, SCHED_FLAG_UTIL_CLAMP_MIN, SCHED_FLAG_UTIL_CLAMP_MAX";
    refuse(
        set("process/scheduler", scheduler),
        &[
            &format!("process.scheduler.policy: \"FIFO\" is not supported (expected {known})"),
            &format!("process.scheduler.flags[0]: \"RECLAIM\" is not supported (expected {flags})"),
            "process.scheduler.nice: 30 is out of range (expected -20 to 19)",
            "process.scheduler.priority: requires SCHED_FIFO or SCHED_RR",
            "process.scheduler.period: requires SCHED_DEADLINE",
        ],
    );
    // The first process has no such CPUs. A further one has them before and after the clone.
    let affinity = set("process/execCPUAffinity", json!({"initial": "1", "final": "0-1"}));
    check(affinity.clone(), &v2(), &[]);
    let found = exec(&affinity, &v2()).unwrap();
    let expected = ["own-affinity 1 [process.execCPUAffinity.initial]", "affinity 0-1 [process.execCPUAffinity.final]"];
    assert_eq!(found[..2], expected);
}

/// A kernel that knows four capabilities, to keep the lines short.
fn four_capabilities() -> HostFacts {
    HostFacts { last_capability: 3, bounding: 0b1111, ..v2() }
}

#[test]
fn capabilities() {
    const DROP_ALL: &str = "- drop-bounding CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER \
                            [process.capabilities]";
    const NO_SETS: &str =
        "- capabilities effective none; permitted none; inheritable none; ambient none [process.capabilities]";
    let sets = |sets: Value| json!({"/process/capabilities": sets});
    check(
        sets(json!({"bounding": ["CAP_CHOWN", "CAP_FOWNER", "CAP_CHOWN"]})),
        &four_capabilities(),
        &[DROP_ALL, "drop-bounding CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH [process.capabilities]"],
    );
    check(
        sets(json!({"permitted": ["CAP_CHOWN", "CAP_FOWNER"], "effective": ["CAP_CHOWN"]})),
        &four_capabilities(),
        &[
            NO_SETS,
            "capabilities effective CAP_CHOWN; permitted CAP_CHOWN CAP_FOWNER; inheritable none; ambient none \
             [process.capabilities]",
        ],
    );
    check(
        sets(
            json!({"permitted": ["CAP_CHOWN"], "inheritable": ["CAP_CHOWN", "CAP_FOWNER"], "ambient": ["CAP_CHOWN", "CAP_FOWNER"]}),
        ),
        &four_capabilities(),
        &[
            NO_SETS,
            "capabilities effective none; permitted CAP_CHOWN; inheritable CAP_CHOWN CAP_FOWNER; ambient CAP_CHOWN \
             [process.capabilities]",
            "note: process.capabilities.ambient: those that are not both permitted and inheritable are left out",
        ],
    );
    refuse(
        sets(json!({"effective": ["CAP_CHOWN"]})),
        &["process.capabilities.effective: must be a subset of permitted: capset(2) refuses other capabilities"],
    );
}

#[test]
fn unavailable_capabilities_are_warned_about_once() {
    let asked = ["CAP_FUTURE", "cap_chown", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_FUTURE"];
    let facts = HostFacts { bounding: 0b1101, ..four_capabilities() };
    check(
        json!({"/process/capabilities": {"bounding": asked, "permitted": asked, "effective": asked}}),
        &facts,
        &["warning: process.capabilities: ignoring unknown or unavailable capabilities: \
           [CAP_FUTURE cap_chown CAP_SYS_ADMIN CAP_DAC_OVERRIDE]"],
    );
}

#[test]
fn users() {
    let user = |user: Value| json!({"/process/user": user});
    let root = "- user 0:0 [process.user]";
    check(
        user(json!({"uid": 7, "gid": 8})),
        &v2(),
        &[root, "own-streams user 7 [process.user.uid]", "user 7:8 [process.user]"],
    );
    check(
        user(json!({"uid": 0, "gid": 8, "additionalGids": [1, 1, 0]})),
        &v2(),
        &[
            "- groups none [process.user.additionalGids]",
            root,
            "groups 1 1 0 [process.user.additionalGids]",
            "user 0:8 [process.user]",
        ],
    );
    let default = "- umask 0022 [default umask]";
    check(user(json!({"uid": 0, "gid": 0, "umask": 0})), &v2(), &[default, "umask 0000 [process.user.umask]"]);
    check(user(json!({"uid": 0, "gid": 0, "umask": 0o777})), &v2(), &[default, "umask 0777 [process.user.umask]"]);
    refuse(
        user(json!({"uid": 0, "gid": 0, "umask": 0o1000})),
        &["process.user.umask: invalid umask 0o1000 (expected 0 to 0777)"],
    );
    refuse(
        user(json!({"uid": u32::MAX, "gid": u32::MAX, "additionalGids": [0, u32::MAX]})),
        &[
            "process.user.uid: invalid id 4294967295 (expected 0 to 4294967294)",
            "process.user.gid: invalid id 4294967295 (expected 0 to 4294967294)",
            "process.user.additionalGids[1]: invalid id 4294967295 (expected 0 to 4294967294)",
        ],
    );
    check(json!({"/process/noNewPrivileges": true}), &v2(), &["no-new-privileges [process.noNewPrivileges]"]);
}

#[test]
fn the_environment_has_no_duplicates() {
    for (env, expected) in [
        (&["A=1", "B=2", "A=3"][..], &["A=3", "B=2"][..]),
        (&["A=", "A=1"], &["A=1"]),
        (&["A=1", "A="], &["A="]),
        (&["AB=1", "A=2"], &["AB=1", "A=2"]),
        (&["A=b=c"], &["A=b=c"]),
        (&["HOME=/x", "HOME="], &[]),
        (&["HOME=", "HOME=/x"], &["HOME=/x"]),
    ] {
        let plan = plan(&json!({"/process/env": env}), &v2()).unwrap();
        let found: Vec<_> = plan.payload.env.iter().map(|entry| entry.to_str().unwrap()).collect();
        assert_eq!(found, expected, "{env:?}");
    }
    refuse(
        json!({"/process/env": ["A", "=1", ""]}),
        &[
            "process.env[0]: invalid variable \"A\" (expected NAME=VALUE)",
            "process.env[1]: invalid variable \"=1\" (expected NAME=VALUE)",
            "process.env[2]: invalid variable \"\" (expected NAME=VALUE)",
        ],
    );
}

#[test]
fn home_is_looked_up_when_it_is_not_given() {
    let look_up = "find-home of user 0 in /etc/passwd [default HOME]";
    check(json!({"/process/env": ["HOME=/x"]}), &v2(), &[]);
    check(json!({"/process/env": ["HOME=", "HOME=/x"]}), &v2(), &[]);
    for env in [json!([]), json!(["HOME="]), json!(["HOME=/x", "HOME="]), json!(["HOMER=/x"]), Value::Null] {
        check(json!({"/process/env": env}), &v2(), &[look_up]);
    }
}

#[test]
fn the_program_is_searched_in_path() {
    let (find, run) = ("- find-program /bin/true [process.args[0]]", "- execute /bin/true [process.args[0]]");
    for (path, arg, expected) in [
        (json!(["HOME=/", "PATH=/a:/b"]), "x", "find-program /a/x /b/x [process.args[0]]"),
        (json!(["HOME=/", "PATH=:/a::b:"]), "x", "find-program /a/x b/x [process.args[0]]"),
        (json!(["HOME=/", "PATH=/a", "PATH=/b"]), "x", "find-program /b/x [process.args[0]]"),
        (json!(["HOME=/"]), "x", "find-program [process.args[0]]"),
        (json!(["HOME=/", "PATH=/a"]), "./x", "find-program ./x [process.args[0]]"),
        (json!(["HOME=/", "PATH=/a"]), "d/x", "find-program d/x [process.args[0]]"),
    ] {
        let patch = json!({"/process/env": path, "/process/args": [arg]});
        check(patch, &v2(), &[find, run, expected, &format!("execute {arg} [process.args[0]]")]);
    }
    check(
        json!({"/process/args": ["/bin/true", "", "a b"]}),
        &v2(),
        &[run, "execute /bin/true  a b [process.args[0]]"],
    );
    refuse(json!({"/process/args": []}), &["process.args: args must not be empty"]);
    refuse(json!({"/process/args": Value::Null}), &["process.args: args must not be empty"]);
    refuse(json!({"/process/args": [""]}), &["process.args[0]: must not be empty"]);
}

#[test]
fn the_working_directory() {
    for (cwd, path) in
        [("/srv/app", "/srv/app"), ("//srv/./app/", "/srv/app"), ("/a/../srv", "/srv"), ("/../../srv/x/..", "/srv")]
    {
        let line = |verb: &str| format!("{verb} {path} [process.cwd]");
        let (root, as_user) = ("- enter / [process.cwd]", "- enter-as-user / [process.cwd]");
        let expected = [root, as_user, &line("make-directory"), &line("enter"), &line("enter-as-user")];
        check(json!({"/process/cwd": cwd}), &v2(), &expected);
    }
    for root in ["/", "//", "/.", "/..", "/a/.."] {
        check(json!({"/process/cwd": root}), &v2(), &[]);
    }
    refuse(json!({"/process/cwd": ""}), &["process.cwd: Cwd property must not be empty"]);
    refuse(json!({"/process/cwd": "srv"}), &["process.cwd: Cwd must be an absolute path"]);
    refuse(json!({"/process": Value::Null}), &["process: process property must not be empty"]);
}

#[test]
fn a_console_size_without_a_terminal_is_ignored() {
    let size = json!({"/process/consoleSize": {"height": 24, "width": 80}});
    check(size.clone(), &v2(), &[]);
    check(and(size, "/process/terminal", json!(false)), &v2(), &[]);
}

#[test]
fn terminals() {
    let terminal = |size: Value, user: Value| {
        let patch = json!({"/process/terminal": true, "/process/consoleSize": size});
        and(patch, "/process/user", user)
    };
    let root = json!({"uid": 0, "gid": 0});
    for (size, user, expected) in [
        (Value::Null, root.clone(), &["terminal /dev/console owner 0 [process.terminal]"][..]),
        (
            json!({"height": 24, "width": 80}),
            root,
            &["terminal /dev/console owner 0 24 rows 80 columns [process.terminal]"],
        ),
        (
            Value::Null,
            json!({"uid": 7, "gid": 0}),
            &[
                "- user 0:0 [process.user]",
                "terminal /dev/console owner 7 [process.terminal]",
                "own-streams user 7 [process.user.uid]",
                "user 7:0 [process.user]",
            ],
        ),
    ] {
        check(terminal(size, user), &v2(), expected);
    }
}

#[test]
fn descriptors_that_stay_open() {
    for (preserve_fds, listen_fds, close, env) in [
        (0, 0, "close-descriptors from 3 [default descriptors]", &[][..]),
        (2, 0, "close-descriptors from 5 [--preserve-fds]", &[]),
        (3, 2, "close-descriptors from 6 [--preserve-fds]", &["LISTEN_FDS=2", "LISTEN_PID=1"]),
    ] {
        let plan = plan_for(&Request { preserve_fds, listen_fds, ..request() }, &json!({}), &v2()).unwrap();
        assert!(lines(&plan).iter().any(|line| line == close), "{close}");
        let found: Vec<_> = plan.payload.env.iter().map(|entry| entry.to_str().unwrap()).collect();
        assert_eq!(found, [&["PATH=/bin:/sbin", "HOME=/root"], env].concat());
    }
}

#[test]
fn the_socket_for_readiness_is_a_mount_and_a_variable() {
    let request = Request { notify: Some("/run/minirun/ID/notify"), ..request() };
    let plan = plan_for(&request, &json!({"/process/env/-": "NOTIFY_SOCKET=/of/the/caller"}), &v2()).unwrap();
    let mounts: Vec<String> = lines(&plan).into_iter().filter(|line| line.ends_with("[NOTIFY_SOCKET]")).collect();
    assert_eq!(mounts, ["bind /run/notify ro nosuid nodev noexec from /run/minirun/ID/notify [NOTIFY_SOCKET]"]);
    let found: Vec<_> = plan.payload.env.iter().map(|entry| entry.to_str().unwrap()).collect();
    assert_eq!(found, ["PATH=/bin:/sbin", "HOME=/root", "NOTIFY_SOCKET=/run/notify/notify.sock"]);
}

#[test]
fn a_further_process_enters_the_container_and_creates_nothing() {
    let patch = json!({
        "/process/cwd": "/srv/./app", "/process/terminal": true, "/process/oomScoreAdj": 5,
        "/hostname": "ignored", "/mounts/-": {"destination": "/m", "type": "tmpfs"}, "/root/readonly": true,
        "/linux/maskedPaths": ["/proc/keys"], "/linux/sysctl": {"kernel.shmmax": "1"},
        "/hooks/startContainer": [{"path": "/h"}],
    });
    let expected = [
        "oom_score_adj 5 [process.oomScoreAdj]",
        "affinity all [default CPU affinity]",
        "enter-container mount pid [linux.namespaces]",
        "keyring _ses.ID [default session keyring]",
        "terminal owner 0 [process.terminal]",
        "close-descriptors from 3 [default descriptors]",
        "enter /srv/app [process.cwd]",
        "umask 0022 [default umask]",
        "drop-bounding CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER [process.capabilities]",
        "groups none [process.user.additionalGids]",
        "user 0:0 [process.user]",
        "enter-as-user /srv/app [process.cwd]",
        "capabilities effective none; permitted none; inheritable none; ambient none [process.capabilities]",
        "verify credentials [process]",
        "find-program /bin/true [process.args[0]]",
        "enter-pid-namespace [linux.namespaces (pid)]",
        "await-start [start]",
        "execute /bin/true [process.args[0]]",
    ];
    assert_eq!(exec(&patch, &four_capabilities()).unwrap(), expected);
    let found = exec(&user_namespace(), &v2()).unwrap();
    assert_eq!(found[1], "enter-container mount user pid [linux.namespaces]");
    assert_eq!(found[2], "become-root [linux.namespaces (user)]");
    let problems = exec(&json!({"/process/args": [], "/linux/mountLabel": "x"}), &v2());
    assert_eq!(problems.unwrap_err(), ["process.args: args must not be empty"]);
}

#[test]
fn an_annotation_keeps_the_callers_groups() {
    let keep = |value: &str| json!({"/annotations": {"run.oci.keep_original_groups": value}});
    check(keep("1"), &v2(), &["- groups none [process.user.additionalGids]"]);
    check(keep("0"), &v2(), &[]);
    let both = and(keep("1"), "/process/user", json!({"uid": 0, "gid": 0, "additionalGids": [7]}));
    let ignored = "warning: process.user.additionalGids: ignored: the annotation run.oci.keep_original_groups keeps the \
                   caller's groups instead";
    check(both, &v2(), &["- groups none [process.user.additionalGids]", ignored]);
    assert!(!exec(&keep("1"), &v2()).unwrap().iter().any(|line| line.starts_with("groups")));
}

#[test]
fn unsupported_annotations_of_crun_are_warned_about() {
    let patch = json!({"/annotations": {"run.oci.handler": "wasm", "run.ocicle": "x", "other": "y"}});
    let warning =
        "warning: annotations[\"run.oci.handler\"]: ignored: minirun does not support this annotation of crun";
    check(patch, &v2(), &[warning]);
}
