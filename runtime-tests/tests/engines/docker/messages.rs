//! What Docker shows of a container that cannot be made, and writes into its journal: the runtime's message, by which a
//! person can tell what to change.

use runtime_tests::fails_on;

use super::{Named, directory, docker, says, sh};

/// Options and words of `docker run`, what has to be in the message, and the exit status that Docker makes of it.
const RUNS: [(&str, &str, i32); 16] = [
    ("box nosuch", r#"process.args[0]: exec: "nosuch": executable file not found in $PATH"#, 127),
    ("-w /proc/nosuch box true", "process.cwd: make-directory /proc/nosuch: mkdirat: no such file or directory", 127),
    ("--device /dev/null:/etc/passwd/x box true", "device /etc/passwd/x c 1:3", 125),
    ("--tmpfs /x:size=oops box true", "fsconfig: invalid argument of option size", 125),
    (
        "-v /var/tmp:/proc/nosuch box true",
        r#".destination: "/proc/nosuch" cannot be mounted because it is inside /proc"#,
        125,
    ),
    ("-v /var/tmp:/sys/nosuch box true", "bind /sys/nosuch rprivate from /var/tmp", 125),
    (
        "--mount type=bind,source=/etc/passwd,target=/etc box true",
        "bind /etc rprivate from /etc/passwd recursive: not a directory: the source is a file, the mount point a directory",
        125,
    ),
    (
        "--sysctl net.nosuch=1 box true",
        r#"linux.sysctl["net.nosuch"]: sysctl net/nosuch = 1: openat2: no such file or directory (this kernel has no such"#,
        127,
    ),
    (
        "--sysctl net.ipv4.ip_forward=oops box true",
        r#"linux.sysctl["net.ipv4.ip_forward"]: sysctl net/ipv4/ip_forward = oops: write: invalid argument"#,
        125,
    ),
    (
        "--network host --sysctl net.ipv4.ip_forward=1 box true",
        "not allowed: it belongs to the network namespace, which the container shares with the host",
        125,
    ),
    (
        "--ulimit nofile=2000000000 box true",
        "process.rlimits[0]: limit RLIMIT_NOFILE 2000000000 2000000000: prlimit64: operation not permitted (raising",
        125,
    ),
    (
        "-h 0123456789012345678901234567890123456789012345678901234567890123456789 box true",
        "hostname: 70 bytes are too long (expected at most 64)",
        125,
    ),
    (
        "--security-opt seccomp=ACTION box true",
        r#"linux.seccomp.syscalls[0].action: unknown action "SCMP_ACT_NOSUCH""#,
        125,
    ),
    (
        "--security-opt seccomp=ARCHITECTURE box true",
        r#"linux.seccomp.architectures[0]: unknown architecture "SCMP_ARCH_NOSUCH""#,
        125,
    ),
    (
        "--security-opt seccomp=ARGUMENT box true",
        "linux.seccomp.syscalls[0].args[0].index: 9 is out of range (expected 0 to 5)",
        125,
    ),
    (
        "--security-opt seccomp=AGENT box true",
        "linux.seccomp.listenerPath: connect to /nosuch: no such file or directory",
        127,
    ),
];

/// Profiles, by the names that stand for them above.
const PROFILES: [(&str, &str); 4] = [
    (
        "ACTION",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOSUCH"}]}"#,
    ),
    ("ARCHITECTURE", r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_NOSUCH"]}"#),
    (
        "ARGUMENT",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 9, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
    ),
    (
        "AGENT",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nosuch",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}"#,
    ),
];

/// The same of `docker exec`, whose exit status is 126 always.
const EXECS: [(&str, &str); 4] = [
    ("refusing nosuch", r#"exec failed: unable to start container process: process.args[0]: exec: "nosuch": exec"#),
    ("refusing /etc/passwd", r#"process.args[0]: exec: "/etc/passwd": permission denied"#),
    ("-w /nosuch refusing true", r#"process.cwd: chdir to cwd ("/nosuch") set in config.json failed: no such file or"#),
    (
        "-w /etc/passwd refusing true",
        r#"process.cwd: chdir to cwd ("/etc/passwd") set in config.json failed: not a dir"#,
    ),
];

#[test]
#[ignore = "long"]
fn what_cannot_be_run_is_told_in_a_way_that_helps() {
    let own = [("runc", "has words of its own"), ("crun", "has words of its own")];
    fails_on(&own, || {
        let _docker = docker();
        let _named = Named(&["refusing"]);
        let path = directory("profiles", &PROFILES);
        says("docker run -d --name refusing box sleep 1000");
        let since = says("date +%s");
        let mut wrong = Vec::new();
        let mut check = |call: &str, text: &str, status: i32| {
            let output = sh(call);
            // Those of exec arrive where the program's would.
            let seen = output.stdout + &output.stderr;
            if !seen.contains(text) || output.status != status {
                wrong.push(format!("{call}: status {}: {seen}", output.status));
            }
        };
        for (words, text, status) in RUNS {
            check(&format!("docker run --rm {}", words.replace("seccomp=", &format!("seccomp={path}/"))), text, status);
        }
        for (words, text) in EXECS {
            check(&format!("docker exec {words}"), text, 126);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));

        // dockerd keeps to itself what it holds for the caller's mistake: the statuses 126 and 127, and `not a directory`.
        let journal =
            says(&format!("journalctl --no-pager --output cat --unit docker --since @{since}")).replace('\\', "");
        let kept = |text: &str| {
            RUNS.iter()
                .any(|(words, found, status)| *found == text && (*status != 125 || words.contains("/etc/passwd")))
        };
        let texts = RUNS.iter().map(|(_, text, _)| *text).filter(|text| !kept(text)).chain(EXECS.map(|(_, text)| text));
        let missing: Vec<_> = texts.filter(|text| !journal.contains(text)).collect();
        assert!(missing.is_empty(), "{missing:#?}\n{journal}");
    });
}
