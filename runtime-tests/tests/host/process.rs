//! The program's attributes: identity, capabilities, limits, environment, and how its lookup fails.

use runtime_tests::{Bundle, Runtime, fails_on};
use serde_json::{Value, json};

/// The status that the probe sees after a change of `process`.
fn status(change: impl FnOnce(&mut Value)) -> String {
    Bundle::base().with(|config| change(&mut config["process"])).probe("status").run().success()
}

#[test]
fn absent_ids_are_those_of_root() {
    for user in [json!({}), json!({"uid": 0}), json!({"gid": 0})] {
        let seen = status(|process| process["user"] = user.clone());
        assert!(seen.contains("Uid=0 0 0 0\n") && seen.contains("Gid=0 0 0 0\n"), "{user}: {seen}");
    }
    let seen = status(|process| process["user"] = json!({"uid": 1000}));
    assert!(seen.contains("Uid=1000 1000 1000 1000\nGid=0 0 0 0\nGroups=\n"), "{seen}");
}

#[test]
fn an_absent_level_of_the_io_priority_is_the_highest() {
    let bundle = Bundle::base().with(|config| config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE"}));
    fails_on(&[("runc", "1.1 is older than this property"), ("crun", "1.8.1 is older than this property")], || {
        assert_eq!(bundle.probe("nice").run().value("ioprio"), "0x4000");
    });
}

fn capabilities(names: &[&str]) -> u64 {
    let bit = |name: &&str| match *name {
        "CAP_CHOWN" => 0,
        "CAP_KILL" => 5,
        "CAP_SETUID" => 7,
        "CAP_NET_BIND_SERVICE" => 10,
        "CAP_AUDIT_WRITE" => 29,
        other => panic!("no number for {other}"),
    };
    names.iter().map(|name| 1 << bit(name)).sum()
}

#[test]
fn the_user_and_the_groups_are_exactly_the_configured() {
    let seen = status(|process| process["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 7]}));
    assert!(seen.contains("Uid=1000 1000 1000 1000\n"), "{seen}");
    assert!(seen.contains("Gid=1001 1001 1001 1001\n"), "{seen}");
    assert!(seen.contains("Groups=5 7\n"), "{seen}");
}

#[test]
fn the_callers_groups_are_dropped() {
    use std::os::unix::process::CommandExt;
    let bundle = Bundle::base().probe("status");
    let mut command = bundle.command_for("run", &[]);
    let groups = [4, 27, 999];
    // SAFETY: between fork and exec the closure makes one system call on memory that it owns.
    unsafe {
        command.pre_exec(move || {
            nix::errno::Errno::result(libc::setgroups(3, groups.as_ptr())).map(drop).map_err(Into::into)
        })
    };
    assert_eq!(bundle.finish(&mut command).value("Groups"), "");
}

#[test]
fn each_set_of_capabilities_is_exactly_the_configured() {
    let bounding = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_AUDIT_WRITE"];
    let permitted = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"];
    let (effective, inheritable, ambient) = (["CAP_CHOWN", "CAP_KILL"], ["CAP_KILL", "CAP_SETUID"], ["CAP_KILL"]);
    let seen = status(|process| {
        // Not root: exec gives root whatever the bounding set allows.
        process["user"] = json!({"uid": 1000, "gid": 1000});
        process["capabilities"] = json!({
            "bounding": bounding, "permitted": permitted, "effective": effective, "inheritable": inheritable,
            "ambient": ambient,
        });
    });
    // exec reduces a user's permitted and effective sets to the ambient one.
    let expected = [
        ("CapBnd", &bounding[..]),
        ("CapInh", &inheritable),
        ("CapAmb", &ambient),
        ("CapPrm", &ambient),
        ("CapEff", &ambient),
    ];
    for (set, names) in expected {
        assert!(seen.contains(&format!("{set}={:016x}\n", capabilities(names))), "{set}: {seen}");
    }
}

#[test]
fn root_keeps_its_effective_capabilities() {
    let seen = status(|_| ());
    let expected = capabilities(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert!(seen.contains(&format!("{set}={expected:016x}\n")), "{set}: {seen}");
    }
    assert!(seen.contains("CapInh=0000000000000000\n"), "{seen}");
}

#[test]
fn without_capabilities_all_sets_are_empty() {
    let seen = status(|process| drop(process.as_object_mut().unwrap().remove("capabilities")));
    for set in ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"] {
        assert!(seen.contains(&format!("{set}=0000000000000000\n")), "{set}: {seen}");
    }
}

#[test]
fn an_unknown_capability_is_a_warning() {
    let bundle = Bundle::base().with(|config| config["process"]["capabilities"]["bounding"][0] = "CAP_SOMEDAY".into());
    bundle.run().success();
}

#[test]
fn no_new_privileges_is_set_or_not() {
    for (wanted, seen) in [(true, "1"), (false, "0")] {
        let bundle = Bundle::base().with(|config| config["process"]["noNewPrivileges"] = wanted.into());
        assert_eq!(bundle.probe("status").run().value("NoNewPrivs"), seen);
    }
}

#[test]
fn rlimits_are_set() {
    let limits = [
        ("RLIMIT_NOFILE", 100, 200),
        ("RLIMIT_CORE", 0, 4096),
        ("RLIMIT_NPROC", 50, 60),
        ("RLIMIT_STACK", 1 << 20, 1 << 22),
    ];
    let entries: Vec<_> = limits.map(|(kind, soft, hard)| json!({"type": kind, "soft": soft, "hard": hard})).into();
    let seen =
        Bundle::base().with(|config| config["process"]["rlimits"] = entries.into()).probe("limits").run().success();
    for (kind, soft, hard) in limits {
        assert!(seen.contains(&format!("{kind}={soft} {hard}\n")), "{kind}: {seen}");
    }
}

#[test]
fn every_kind_of_rlimit_is_known() {
    let kinds = [
        "AS",
        "CORE",
        "CPU",
        "DATA",
        "FSIZE",
        "LOCKS",
        "MEMLOCK",
        "MSGQUEUE",
        "NICE",
        "NOFILE",
        "NPROC",
        "RSS",
        "RTPRIO",
        "RTTIME",
        "SIGPENDING",
        "STACK",
    ];
    for kind in kinds {
        let own = Bundle::base().with(|config| config["process"]["rlimits"] = json!([])).probe("limits").run();
        // The limit that it has anyway: to raise one needs a privilege that not every tester has.
        let value = own.value(&format!("RLIMIT_{kind}"));
        let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
        let (soft, hard) = value.split_once(' ').unwrap();
        let limit = json!([{"type": format!("RLIMIT_{kind}"), "soft": number(soft), "hard": number(hard)}]);
        let seen = Bundle::base().with(|config| config["process"]["rlimits"] = limit).probe("limits").run();
        assert_eq!(seen.value(&format!("RLIMIT_{kind}")), value);
    }
}

#[test]
fn the_environment_is_the_configured() {
    let bundle =
        Bundle::base().with(|config| config["process"]["env"] = json!(["PATH=/bin", "A=1", "B=x y=z", "HOME=/h"]));
    assert_eq!(bundle.probe("env").run().success(), "PATH=/bin\nA=1\nB=x y=z\nHOME=/h\n");
}

#[test]
fn home_comes_from_the_containers_passwd() {
    let home = |uid| {
        let bundle = Bundle::base().with(|config| config["process"]["user"] = json!({"uid": uid, "gid": uid}));
        bundle.probe("env").run().value("HOME")
    };
    assert_eq!((home(0), home(1000)), ("/root".into(), "/home/user".into()));
    fails_on(&[("crun", "1.8.1 sets nothing for a user without an entry")], || assert_eq!(home(4242), "/"));
}

#[test]
fn the_working_directory_is_entered() {
    let bundle = Bundle::base().with(|config| config["process"]["cwd"] = "/tmp".into());
    assert_eq!(bundle.probe("cwd").run().value("cwd"), "/tmp");
}

#[test]
fn a_missing_working_directory_is_made() {
    let bundle = Bundle::base().writable().with(|config| config["process"]["cwd"] = "/made/deep/er".into());
    assert_eq!(bundle.probe("cwd").run().value("cwd"), "/made/deep/er");
}

#[test]
fn a_missing_working_directory_is_made_where_a_link_leads() {
    for (target, cwd, real) in [("/data/app", "/app", "/data/app"), ("data", "/app/deep/er", "/data/deep/er")] {
        let bundle = Bundle::base().writable().with(|config| config["process"]["cwd"] = cwd.into());
        std::os::unix::fs::symlink(target, bundle.rootfs().join("app")).unwrap();
        assert_eq!(bundle.probe("cwd").run().value("cwd"), real);
    }
}

#[test]
fn the_umask_is_022_or_the_configured() {
    assert_eq!(Bundle::base().probe("umask").run().value("umask"), "0022");
    let bundle = Bundle::base().with(|config| config["process"]["user"]["umask"] = 0o77.into());
    assert_eq!(bundle.probe("umask").run().value("umask"), "0077");
}

#[test]
fn oom_score_adj_is_raised() {
    let bundle = Bundle::base().with(|config| config["process"]["oomScoreAdj"] = 777.into());
    assert_eq!(bundle.probe("oom").run().value("oom_score_adj"), "777");
}

#[test]
fn an_absent_oom_score_adj_is_not_changed() {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_eq!(Bundle::base().probe("oom").run().value("oom_score_adj"), own.trim());
}

#[test]
fn the_program_starts_a_session() {
    let seen = Bundle::base().probe("session").run().success();
    assert!(seen.contains("session=1\n"), "{seen}");
}

#[test]
fn a_program_is_found_in_the_containers_path() {
    let bundle = Bundle::base().with(|config| config["process"]["env"] = json!(["PATH=/nonexistent:/bin"]));
    assert_eq!(bundle.args(&["echo", "found"]).run().success(), "found\n");
}

#[test]
fn a_relative_program_counts_from_the_working_directory() {
    let bundle = Bundle::base().with(|config| config["process"]["cwd"] = "/bin".into());
    assert_eq!(bundle.args(&["./echo", "found"]).run().success(), "found\n");
}

/// The lookup happens in `create`, in words that containerd, moby and podman match to tell 126 from 127.
fn lookup_fails(program: &str, expected: &str) {
    let bundle = Bundle::base();
    std::fs::write(bundle.rootfs().join("bin/plain"), "text").unwrap();
    std::fs::create_dir(bundle.rootfs().join("bin/directory")).unwrap();
    // runc's log writer escapes the quotes.
    let message = bundle.args(&[program]).refused().replace('\\', "");
    // crun has its own words for each.
    let foreign = Runtime::from_env().name() == "crun";
    assert!(foreign || message.contains(expected), "{message} does not hold {expected}");
}

#[test]
fn a_program_that_is_missing_fails_create() {
    lookup_fails("nosuch", "exec: \"nosuch\": executable file not found in $PATH");
    lookup_fails("/nosuch", "exec: \"/nosuch\": stat /nosuch: no such file or directory");
}

#[test]
fn a_program_that_cannot_be_executed_fails_create() {
    lookup_fails("/bin/plain", "exec: \"/bin/plain\": permission denied");
    lookup_fails("/bin/directory", "exec: \"/bin/directory\": ");
}

#[test]
fn a_program_that_execve_refuses_fails_start_in_words() {
    let bundle = Bundle::base().args(&["/bin/broken"]);
    let path = bundle.rootfs().join("bin/broken");
    std::fs::write(&path, "\x7fELF but no more").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let message = bundle.run().failure();
    assert!(message.to_lowercase().contains("exec format error"), "{message}");
    bundle.assert_nothing_left();
}

#[test]
fn a_script_runs_by_its_interpreter() {
    let bundle = Bundle::base().args(&["/bin/script"]);
    let path = bundle.rootfs().join("bin/script");
    std::fs::write(&path, "#!/bin/sh\necho interpreted\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(bundle.run().success(), "interpreted\n");
}

/// A container must not run without what was asked for; no host has this resource, and few have any.
#[test]
fn what_intel_rdt_cannot_allocate_is_refused() {
    if Runtime::from_env().name() != "minirun" {
        return;
    }
    let bundle = Bundle::base().with(|config| config["linux"]["intelRdt"] = json!({"l3CacheSchema": "NONE:0=f"}));
    let said = bundle.refused();
    assert!(said.contains("linux.intelRdt"), "{said}");
}
