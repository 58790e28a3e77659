//! `linux.seccomp`: what a filter answers, when it is loaded, and who is notified.

use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};

use runtime_tests::{Bundle, Receiver, Running, Runtime, fails_on, may_fail_on};
use serde_json::{Value, json};

/// mkdir with a path that is not there to be read: a filter that lets it through shows as `EFAULT`.
const MKDIR: &str = "call 83 0 0";

fn filtered(profile: Value) -> Bundle {
    Bundle::base().with(|config| config["linux"]["seccomp"] = profile)
}

/// Everything is allowed but for this rule.
fn rule(rule: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [rule]})
}

fn mkdir(action: &str) -> Value {
    rule(json!({"names": ["mkdir"], "action": action}))
}

/// A profile as engines have one by default.
fn default_profile() -> Value {
    serde_json::from_str(include_str!("../../../rootfs-fixtures/seccomp/default.json")).unwrap()
}

/// In a container of root, of root without new privileges, and of a user.
fn each_way(profile: &Value, check: impl Fn(Bundle)) {
    for (uid, no_new_privileges) in [(0, false), (0, true), (1000, false), (1000, true)] {
        check(filtered(profile.clone()).with(|config| {
            config["process"]["user"] = json!({"uid": uid, "gid": uid});
            config["process"]["noNewPrivileges"] = no_new_privileges.into();
        }));
    }
}

#[test]
fn a_call_fails_with_the_errno_of_its_rule() {
    for (number, expected) in [(json!(95), "EOPNOTSUPP"), (Value::Null, "EPERM")] {
        let names = ["mkdir", "no_such_call"];
        let mut denied = json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": number});
        denied.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        each_way(&rule(denied), |bundle| assert_eq!(bundle.probe(MKDIR).run().value("errno"), expected));
    }
}

#[test]
fn the_default_action_has_an_errno_as_well() {
    let mut profile = default_profile();
    profile["defaultErrnoRet"] = 95.into();
    // acct is not in the list.
    assert_eq!(filtered(profile).probe("call 163 0").run().value("errno"), "EOPNOTSUPP");
}

#[test]
fn a_call_kills() {
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] {
        let output = filtered(mkdir(action)).probe(MKDIR).run();
        assert_eq!(output.status, 128 + libc::SIGSYS, "{action}: {}", output.stderr);
    }
}

#[test]
fn a_call_is_logged_and_carried_out() {
    let profile =
        json!({"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]});
    assert_eq!(filtered(profile).probe(MKDIR).run().value("errno"), "EFAULT");
}

#[test]
fn a_call_without_a_tracer_to_ask_does_not_exist() {
    assert_eq!(filtered(mkdir("SCMP_ACT_TRACE")).probe(MKDIR).run().value("errno"), "ENOSYS");
}

#[test]
fn arguments_are_compared_with_all_64_bits() {
    let argument = |op: &str, value: u64, two: u64| json!({"index": 0, "value": value, "valueTwo": two, "op": op});
    for (argument, matching, other) in [
        (argument("SCMP_CMP_EQ", 7, 0), "7", "4294967303"),
        (argument("SCMP_CMP_NE", 7, 0), "4294967303", "7"),
        (argument("SCMP_CMP_LT", 1 << 32, 0), "4294967295", "4294967296"),
        (argument("SCMP_CMP_LE", 7, 0), "7", "4294967296"),
        (argument("SCMP_CMP_GE", 1 << 32, 0), "4294967296", "4294967295"),
        (argument("SCMP_CMP_GT", 7, 0), "4294967296", "7"),
        (argument("SCMP_CMP_MASKED_EQ", 0xf0, 0x10), "31", "47"),
    ] {
        // getpid ignores its arguments.
        let profile = rule(json!({"names": ["getpid"], "action": "SCMP_ACT_ERRNO", "args": [argument]}));
        let script = format!("/bin/probe call 39 {matching}; /bin/probe call 39 {other}");
        let seen = filtered(profile).sh(&script).run().success();
        assert!(seen.starts_with("errno=EPERM\nresult="), "{argument}: {seen}");
    }
}

#[test]
fn conditions_hold_together_and_alternatives_by_themselves() {
    let equal = |index: u32, value: u64| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
    let both = rule(json!({"names": ["getpid"], "action": "SCMP_ACT_ERRNO", "args": [equal(0, 1), equal(1, 2)]}));
    let either = rule(json!({"names": ["getpid"], "action": "SCMP_ACT_ERRNO", "args": [equal(0, 1), equal(0, 2)]}));
    let script = "/bin/probe call 39 1 2; /bin/probe call 39 1 3; /bin/probe call 39 2 3";
    let denied = |profile| {
        let seen = filtered(profile).sh(script).run().success();
        seen.lines().map(|line| line == "errno=EPERM").collect::<Vec<_>>()
    };
    assert_eq!(denied(both), [true, false, false]);
    assert_eq!(denied(either), [true, true, true]);
}

#[test]
fn calls_that_are_newer_than_the_profile_do_not_exist() {
    let crun = [("crun", "denies them by the default action, which programs do not expect of new calls")];
    fails_on(&crun, || assert_eq!(filtered(default_profile()).probe("call 500").run().value("errno"), "ENOSYS"));
}

#[test]
fn a_profile_as_engines_have_it_lets_programs_work() {
    each_way(&default_profile(), |bundle| {
        let seen = bundle.sh("echo 1 >/dev/null && ls / | wc -l && /bin/probe call 41 40 1 0").run().success();
        assert!(seen.ends_with("errno=EPERM\n"), "sockets of virtual machines are not in the list: {seen}");
    });
}

#[test]
fn loading_leaves_no_capability_behind() {
    let wanted = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let sets = |bundle: &Bundle| {
        let status = bundle.run().success();
        let kept = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
        kept.map(str::to_owned).collect::<Vec<_>>()
    };
    for uid in [0, 1000] {
        let bundle = Bundle::base().probe("status").with(|config| {
            config["process"]["noNewPrivileges"] = false.into();
            config["process"]["user"] = json!({"uid": uid, "gid": uid});
        });
        let without = sets(&bundle);
        let bundle = bundle.with(|config| config["linux"]["seccomp"] = mkdir("SCMP_ACT_ERRNO"));
        assert_eq!(sets(&bundle), without, "user {uid}");
        assert_eq!(bundle.run().value("Seccomp"), "2");
    }
}

#[test]
fn a_profile_need_not_allow_what_the_runtime_does() {
    // What the probe itself does; not setresuid, capset, close_range, accept and so on.
    let names = [
        "execve",
        "arch_prctl",
        "set_tid_address",
        "brk",
        "mmap",
        "munmap",
        "mprotect",
        "poll",
        "rt_sigaction",
        "rt_sigprocmask",
        "sigaltstack",
        "write",
        "exit_group",
        "getpid",
    ];
    let allowed = json!({"names": names, "action": "SCMP_ACT_ALLOW"});
    let profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [allowed]});
    let peers = [("runc", "loads it earlier than needed"), ("crun", "loads it earlier than needed")];
    fails_on(&peers, || {
        each_way(&profile, |bundle| {
            let seen = bundle.probe("call 39").run().value("result");
            assert!(seen.parse::<i32>().is_ok_and(|pid| pid > 0), "{seen}");
        });
    });
}

#[test]
fn a_further_process_is_filtered_as_well() {
    each_way(&mkdir("SCMP_ACT_ERRNO"), |bundle| {
        let container = bundle.args(&["sleep", "1000"]).create();
        assert_eq!(container.exec(&[], &["/bin/probe", "call", "83", "0", "0"]).value("errno"), "EPERM");
        container.start();
        assert_eq!(container.exec(&[], &["/bin/probe", "call", "83", "0", "0"]).value("errno"), "EPERM");
        assert_eq!(container.exec(&[], &["/bin/probe", "status"]).value("Seccomp"), "2");
    });
}

#[test]
fn there_is_a_filter_in_a_user_namespace() {
    for no_new_privileges in [false, true] {
        let bundle = filtered(mkdir("SCMP_ACT_ERRNO")).user_namespace(100_000, 65536).probe(MKDIR);
        let bundle = bundle.with(|config| config["process"]["noNewPrivileges"] = no_new_privileges.into());
        assert_eq!(bundle.run().value("errno"), "EPERM");
    }
}

#[test]
fn every_flag_can_be_asked_for() {
    let mut profile = mkdir("SCMP_ACT_ERRNO");
    profile["flags"] =
        json!(["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
    fails_on(&[("runc", "1.1 knows no flags")], || {
        assert_eq!(filtered(profile).probe(MKDIR).run().value("errno"), "EPERM");
    });
}

#[test]
fn a_failure_after_the_filter_is_still_told() {
    let bundle = filtered(mkdir("SCMP_ACT_ERRNO")).writable().sh("true");
    let program = bundle.rootfs().join("bin/program");
    std::fs::write(&program, "#!/nosuch\n").unwrap();
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let message = bundle.args(&["/bin/program"]).run().failure();
    assert!(message.to_lowercase().contains("no such file or directory"), "{message}");
}

/// A profile that asks an agent about mkdir.
fn notifying(agent: &str) -> Value {
    let mut profile = mkdir("SCMP_ACT_NOTIFY");
    profile["listenerPath"] = agent.into();
    profile["listenerMetadata"] = "meta data".into();
    profile
}

/// Takes one notification and lets the call fail with this number; answers with the number of the call.
fn refuse_one(listener: &OwnedFd, errno: i32) -> u32 {
    // SECCOMP_IOCTL_NOTIF_RECV with struct seccomp_notif, SECCOMP_IOCTL_NOTIF_SEND with struct seccomp_notif_resp.
    const RECEIVE: u64 = 0xc050_2100;
    const SEND: u64 = 0xc018_2101;
    let mut notification = [0u64; 10];
    let ioctl = |request: u64, data: *mut u64| {
        // SAFETY: the kernel reads and writes the structure that the request is for.
        let answer = unsafe { libc::ioctl(listener.as_raw_fd(), request as _, data) };
        assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
    };
    ioctl(RECEIVE, notification.as_mut_ptr());
    let mut response = [notification[0], 0, u64::from((-errno) as u32)];
    ioctl(SEND, response.as_mut_ptr());
    notification[2] as u32
}

fn agent_of(bundle: &Bundle) -> Receiver {
    Receiver::at(&bundle.home().join("agent"))
}

#[test]
fn an_agent_is_notified() {
    for no_new_privileges in [true, false] {
        let bundle = Bundle::base().probe(MKDIR);
        let agent = agent_of(&bundle);
        let bundle = bundle.with(|config| {
            config["linux"]["seccomp"] = notifying(agent.argument());
            config["process"]["noNewPrivileges"] = no_new_privileges.into();
            config["annotations"] = json!({"some": "annotation"});
        });
        let running = bundle.run_in_background();
        let (listener, text, _connection) = agent.receive();
        assert_eq!(refuse_one(&listener, libc::EXDEV), 83);
        assert_eq!(running.finish().value("errno"), "EXDEV");
        let state: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(state["fds"], json!(["seccompFd"]));
        assert_eq!(state["metadata"], "meta data");
        assert!(state["pid"].as_i64().unwrap() > 1, "{state}");
        assert_eq!(state["state"]["id"], bundle.id());
        assert_eq!(state["state"]["pid"], state["pid"]);
        assert_eq!(state["state"]["bundle"], bundle.path().to_str().unwrap());
        assert_eq!(state["state"]["annotations"]["some"], "annotation");
    }
}

#[test]
fn an_agent_is_notified_of_each_process() {
    let bundle = Bundle::base().args(&["sleep", "1000"]);
    let agent = agent_of(&bundle);
    let bundle = bundle.with(|config| config["linux"]["seccomp"] = notifying(agent.argument()));
    bundle.write();
    std::thread::scope(|scope| {
        let taken = scope.spawn(|| agent.receive());
        let container = bundle.create();
        container.start();
        let (_first, of_init, _connection) = taken.join().unwrap();
        let taken = scope.spawn(|| {
            let (listener, text, _connection) = agent.receive();
            (refuse_one(&listener, libc::EXDEV), text)
        });
        let output = container.exec(&[], &["/bin/probe", "call", "83", "0", "0"]);
        assert_eq!(output.value("errno"), "EXDEV");
        let (number, of_exec) = taken.join().unwrap();
        assert_eq!(number, 83);
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let (of_init, of_exec) = (parse(&of_init), parse(&of_exec));
        assert_eq!(of_exec["state"]["id"], of_init["state"]["id"]);
        let crun = [("crun", "gives 0 as the pid of the container")];
        fails_on(&crun, || assert_eq!(of_exec["state"]["pid"], of_init["pid"]));
        assert_ne!(of_exec["pid"], of_init["pid"]);
    });
}

/// A process that traces init can send messages in its place, and name any of init's descriptors.
#[test]
fn an_agent_gets_no_descriptor_but_a_listener() {
    use nix::sys::socket::{
        AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept, bind, listen, recv, send, socket,
    };
    use std::os::fd::FromRawFd as _;
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let bundle = Bundle::base().probe(MKDIR);
    let path = bundle.home().join("agent");
    let agent = std::os::unix::net::UnixListener::bind(&path).unwrap();
    agent.set_nonblocking(true).unwrap();
    let bundle = bundle.with(|config| config["linux"]["seccomp"] = notifying(path.to_str().unwrap()));
    let container = bundle.create();
    let bundle = container.bundle();
    // The test answers `start` in the place of init.
    let gate = bundle.state_root().join(bundle.id()).join("start.sock");
    let kept = bundle.home().join("gate");
    std::fs::rename(&gate, &kept).unwrap();
    let impostor = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(impostor.as_raw_fd(), &UnixAddr::new(&gate).unwrap()).unwrap();
    listen(&impostor, Backlog::new(1).unwrap()).unwrap();
    let open = std::fs::read_dir(format!("/proc/{}/fd", container.pid())).unwrap();
    let numbers: Vec<u32> =
        open.filter_map(|entry| entry.unwrap().file_name().to_string_lossy().parse().ok()).collect();
    assert!(numbers.len() >= 4, "{numbers:?}");
    for number in numbers {
        let start = Running::start(&mut bundle.command(&["start", bundle.id()]), bundle.home());
        // SAFETY: a new descriptor.
        let connection = unsafe { OwnedFd::from_raw_fd(accept(impostor.as_raw_fd()).unwrap()) };
        assert_eq!(recv(connection.as_raw_fd(), &mut [0; 8], MsgFlags::empty()), Ok(1));
        let mut record = [0u8; 1024];
        record[0..4].copy_from_slice(&7u32.to_ne_bytes());
        record[4..8].copy_from_slice(&number.to_ne_bytes());
        send(connection.as_raw_fd(), &record, MsgFlags::empty()).unwrap();
        let message = start.finish().failure();
        assert!(message.contains("linux.seccomp.listenerPath: "), "{message}");
        assert!(message.contains("not the listener of a seccomp filter"), "{message}");
        assert_eq!(agent.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    std::fs::rename(&kept, &gate).unwrap();
    container.call(&["delete", "-f"], &[]).success();
    bundle.assert_nothing_left();
}

#[test]
fn the_connection_to_an_agent_ends_with_the_message() {
    let bundle = Bundle::base().args(&["sleep", "1000"]);
    let agent = agent_of(&bundle);
    let bundle = bundle.with(|config| config["linux"]["seccomp"] = notifying(agent.argument()));
    let _running = bundle.run_in_background();
    let (_listener, _, mut stream) = agent.receive();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    let peers = [
        ("runc", "keeps it open, which the specification forbids"),
        ("crun", "keeps it open, which the specification forbids"),
    ];
    fails_on(&peers, || assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0));
}

#[test]
fn an_agent_that_is_not_there_is_told_by_name() {
    let bundle = filtered(notifying("/nosuch/agent")).probe("status");
    let message = bundle.run().failure();
    assert!(message.contains("/nosuch/agent"), "{message}");
    bundle.assert_nothing_left();
}

#[test]
fn what_cannot_be_notified_about_is_refused() {
    let mut everything = notifying("/nosuch/agent");
    everything["defaultAction"] = "SCMP_ACT_NOTIFY".into();
    let mut write = notifying("/nosuch/agent");
    write["syscalls"][0]["names"] = json!(["write"]);
    let mut nowhere = notifying("");
    nowhere["listenerMetadata"] = "".into();
    for profile in [everything, write, nowhere] {
        filtered(profile).run().failure();
    }
}

#[test]
fn features_are_those_that_work() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let features: Value = serde_json::from_str(&Bundle::base().call(&["features"]).success()).unwrap();
    let seccomp = &features["linux"]["seccomp"];
    assert_eq!(seccomp["enabled"], true);
    let words = |list: &str| seccomp[list].as_array().unwrap().clone();
    for action in words("actions").iter().filter(|action| *action != "SCMP_ACT_NOTIFY") {
        filtered(rule(json!({"names": ["acct"], "action": action}))).run().success();
    }
    for operator in words("operators") {
        let args = json!([{"index": 0, "value": 1, "op": operator}]);
        filtered(rule(json!({"names": ["acct"], "action": "SCMP_ACT_ERRNO", "args": args}))).run().success();
    }
    let mut all = mkdir("SCMP_ACT_ERRNO");
    (all["architectures"], all["flags"]) = (words("archs").into(), words("supportedFlags").into());
    filtered(all).run().success();
}

/// A process that may not even end does not wait for ever to be let.
#[test]
fn a_filter_that_denies_everything_ends_the_container() {
    let output = filtered(json!({"defaultAction": "SCMP_ACT_ERRNO"})).run();
    assert_ne!(output.status, 0, "{}", output.stderr);
}

/// The configuration with these words of the probe as a startContainer hook.
fn with_hook(bundle: Bundle, words: &str) -> Bundle {
    let args: Vec<_> = std::iter::once("probe").chain(words.split(' ')).collect();
    bundle.with(|config| config["hooks"]["startContainer"] = json!([{"path": "/bin/probe", "args": args}]))
}

/// The hook's program comes from the container, so the filter is for it as well.
#[test]
fn start_container_hooks_run_under_the_filter() {
    each_way(&mkdir("SCMP_ACT_ERRNO"), |bundle| {
        let seen = with_hook(bundle, MKDIR).run();
        may_fail_on(&[("runc", "1.1 throws the output away")], || assert_eq!(seen.value("errno"), "EPERM"));
    });
}

/// Engines deny clone3, whose flags a filter cannot see.
#[test]
fn start_container_hooks_run_without_clone3() {
    let profile = rule(json!({"names": ["clone3", "mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
    each_way(&profile, |bundle| {
        let seen = with_hook(bundle, MKDIR).run();
        may_fail_on(&[("runc", "1.1 throws the output away")], || assert_eq!(seen.value("errno"), "ENOSYS"));
    });
    each_way(&default_profile(), |bundle| drop(with_hook(bundle, "status").run().success()));
}

#[test]
fn a_filter_that_lets_no_hook_run_is_named() {
    let known = [("runc", "1.1 reports success"), ("crun", "has words of its own")];
    for (action, said) in [
        ("SCMP_ACT_ERRNO", "linux.seccomp must allow what init does to run startContainer hooks"),
        ("SCMP_ACT_KILL_PROCESS", "container init ended while they ran"),
    ] {
        let names = ["clone", "clone3", "fork", "vfork"];
        let bundle = with_hook(filtered(rule(json!({"names": names, "action": action}))), "status");
        may_fail_on(&known, || {
            let message = bundle.run().failure();
            assert!(message.contains("hooks.startContainer") && message.contains(said), "{message}");
            bundle.assert_nothing_left();
            let container = with_hook(filtered(rule(json!({"names": names, "action": action}))), "status").create();
            let message = container.call(&["start"], &[]).failure();
            assert!(message.contains("hooks.startContainer") && message.contains(said), "{message}");
            container.bundle().assert_nothing_left();
        });
    }
}

/// What loading the filter took is given up before the hooks of the container run.
#[test]
fn init_gives_up_the_privilege_of_the_filter_before_hooks() {
    let bundle = filtered(mkdir("SCMP_ACT_ERRNO")).with(|config| {
        config["process"]["noNewPrivileges"] = false.into();
        let script = "/bin/grep -E 'Cap(Eff|Prm)' /proc/1/status";
        config["hooks"]["startContainer"] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    });
    let seen = bundle.run().success();
    let sets: Vec<_> = seen.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let holds = |set: &&str| u64::from_str_radix(set, 16).unwrap() >> 21 & 1 == 1;
    may_fail_on(&[("runc", "1.1 throws the output away")], || {
        assert!(sets.len() == 2 && !sets.iter().any(holds), "{seen}");
    });
}
