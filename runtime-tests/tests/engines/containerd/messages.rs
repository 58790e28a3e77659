//! What ctr and the kubelet show of a container that cannot be made, and containerd writes into its journal: the runtime's
//! message, by which a person can tell what to change.

use std::fs;

use runtime_tests::fails_on;
use serde_json::{Value, json};

use super::ctr::run;
use super::{Cri, assert_nothing_left, containerd, pod_config};
use crate::machine::{says, sh};

const OWN: [(&str, &str); 2] = [("runc", "has words of its own"), ("crun", "has words of its own")];

/// Options of `ctr run`, and what has to be in the message.
const RUNS: [(&str, &str); 9] = [
    (
        "--mount type=bind,src=/nosuch,dst=/x,options=rbind",
        "bind /x from /nosuch recursive: open_tree: no such file or directory (the source must exist)",
    ),
    (
        "--mount type=nosuchfs,src=x,dst=/x",
        "mount /x nosuchfs: fsopen: no such device (this kernel has no such file system)",
    ),
    (
        "--mount type=tmpfs,src=x,dst=/x,options=nosuch",
        ".options[0]: mount /x tmpfs nosuch: fsconfig: invalid argument of option nosuch",
    ),
    ("--with-ns network:/nosuch", ".path: open namespace /nosuch: open: no such file or directory"),
    ("--with-ns network:/etc/passwd", ".path: open namespace /etc/passwd: it is not a namespace"),
    (
        "--runc-systemd-cgroup --cgroup oops",
        r#"linux.cgroupsPath: expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "oops""#,
    ),
    ("--cgroup /../../x", r#"linux.cgroupsPath: "/../../x" must stay below the cgroup2 mount: ".." is not allowed"#),
    ("--rootfs-propagation oops", r#"linux.rootfsPropagation: unknown propagation "oops": shared, slave, private"#),
    ("--memory-limit 4096", "memory limit too low"),
];

#[test]
#[ignore = "long"]
fn ctr_shows_what_helps() {
    fails_on(&OWN, || {
        let _share = containerd();
        let mut wrong = Vec::new();
        for (options, text) in RUNS {
            let output = sh(&run(&format!("--rm {options}"), "refused", "true"));
            if output.status == 0 || !output.stderr.contains(text) {
                wrong.push(format!("{options}: status {}: {}", output.status, output.stderr));
            }
            sh("ctr container delete refused");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_nothing_left();
    });
}

/// What a container's configuration is given, and what has to be in the message.
fn rows() -> [(Value, &'static str); 8] {
    let resources = |resources: Value| json!({"linux": {"resources": resources}});
    let security = |context: Value| json!({"linux": {"security_context": context}});
    let profile = "/var/tmp/profile-of-a-pod.json";
    fs::write(profile, r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_NOSUCH"]}"#).unwrap();
    [
        (json!({"command": ["nosuch"]}), r#"process.args[0]: exec: "nosuch": executable file not found in $PATH"#),
        (json!({"working_dir": "/etc/passwd"}), "process.cwd: "),
        (
            json!({"mounts": [{"container_path": "/proc/nosuch", "host_path": "/var/tmp"}]}),
            r#".destination: "/proc/nosuch" cannot be mounted because it is inside /proc"#,
        ),
        (resources(json!({"cpuset_cpus": "99"})), "(hint: the host might not have all of these)"),
        (resources(json!({"cpu_quota": 10})), "linux.resources.cpu.quota: "),
        (resources(json!({"unified": {"memory.nosuch": "1"}})), r#"linux.resources.unified["memory.nosuch"]: "#),
        (
            security(json!({"seccomp": {"profile_type": 2, "localhost_ref": profile}})),
            r#"linux.seccomp.architectures[0]: unknown architecture "SCMP_ARCH_NOSUCH""#,
        ),
        (security(json!({"masked_paths": ["relative"]})), "linux.maskedPaths[0]: "),
    ]
}

#[test]
#[ignore = "long"]
fn the_kubelet_is_told_what_helps() {
    fails_on(&OWN, || {
        let _share = containerd();
        let mut cri = Cri::new();
        let since = says("date +%s");
        let mut config = pod_config("bad-sysctl");
        config["linux"]["sysctls"] = json!({"net.nosuch": "1"});
        let refused =
            cri.refused("RunPodSandbox", json!({"config": config, "runtime_handler": crate::machine::runtime()}));
        let of_pod = r#"linux.sysctl["net.nosuch"]: sysctl net/nosuch = 1: openat2: no such file or directory (this"#;
        assert!(refused.contains(of_pod), "{refused}");

        let pod = cri.pod(pod_config("refusals"));
        let rows = rows();
        let mut wrong = Vec::new();
        for (config, text) in &rows {
            let mut container = json!({"metadata": {"name": "refused"}, "command": ["true"]});
            container.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
            let id = cri.created(&pod, container);
            let message = match cri.ask(&json!(["StartContainer", {"container_id": id}])) {
                Ok(_) => "it starts".to_owned(),
                Err(message) => message,
            };
            if !message.contains(text) {
                wrong.push(format!("{config}: {message}"));
            }
            cri.call("RemoveContainer", json!({"container_id": id}));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let journal = says(&format!("journalctl --no-pager --output cat --unit containerd --since @{since}"));
        let journal = journal.replace('\\', "");
        for text in rows.iter().map(|(_, text)| *text).chain([of_pod]) {
            assert!(journal.contains(text), "{text}\n{journal}");
        }
        cri.remove(&pod);
        assert_nothing_left();
    });
}
