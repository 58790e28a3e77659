//! Pods, as the kubelet makes them through the CRI, of a RuntimeClass whose handler is the runtime under test.

use runtime_tests::{fails_on, may_fail_on};
use serde_json::{Value, json};

use super::{Cri, assert_nothing_left, containerd, pod_config};
use crate::machine::{runtime, says};

fn pausing(name: &str) -> Value {
    json!({"metadata": {"name": name}, "command": ["/bin/probe", "pause"]})
}

#[test]
fn a_pod_and_its_containers() {
    let _share = containerd();
    let mut cri = Cri::new();
    assert_eq!(cri.call("Version", json!({}))["runtime_name"], "containerd");
    let mut config = pod_config("life");
    config["linux"]["sysctls"] = json!({"net.ipv4.ip_unprivileged_port_start": "0"});
    let pod = cri.pod(config);
    let status = cri.call("PodSandboxStatus", json!({"pod_sandbox_id": pod.id}));
    assert_eq!(status["status"]["runtime_handler"], json!(runtime()));
    let address = status["status"]["network"]["ip"].as_str().unwrap().to_owned();
    assert!(address.starts_with("10.88."), "{status}");

    // Limits, a user, an environment, a log; and what the containers of a pod share.
    let first = cri.container(
        &pod,
        json!({
            "metadata": {"name": "first"},
            "command": ["sh", "-c", "echo to the log; exec /bin/probe pause"],
            "envs": [{"key": "WORD", "value": "a b"}],
            "log_path": "first.log",
            "linux": {
                "resources": {"memory_limit_in_bytes": 64 << 20, "cpu_shares": 512, "cpu_quota": 50000,
                              "cpu_period": 100_000, "oom_score_adj": 500},
                "security_context": {
                    "capabilities": {"drop_capabilities": ["ALL"]}, "no_new_privs": true,
                    "seccomp": {"profile_type": 0},
                },
            },
        }),
    );
    let seen = cri.exec(
        &first,
        "hostname; echo $WORD; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status;
         cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max",
    );
    let words: Vec<_> = seen.split_whitespace().collect();
    let expected = [
        "life",
        "a",
        "b",
        "CapEff:",
        "0000000000000000",
        "NoNewPrivs:",
        "1",
        "Seccomp:",
        "2",
        "0",
        "67108864",
        "50000",
        "100000",
    ];
    assert_eq!(words, expected, "{seen}");
    fails_on(&[("crun", "leaves a process of exec with the score of the caller")], || {
        assert_eq!(cri.exec(&first, "cat /proc/self/oom_score_adj"), "500");
    });
    let second = cri.container(&pod, pausing("second"));
    let ours = "ip -o -4 address show eth0 | grep -o '10[.]88[.][0-9.]*'; readlink /proc/self/ns/ipc";
    let shared = cri.exec(&first, ours);
    assert_eq!(cri.exec(&second, ours), shared);
    assert!(shared.starts_with(&address), "{shared}");
    assert!(says("cat /var/log/pods/life/first.log").contains("stdout F to the log"));

    let update = json!({"container_id": first, "linux": {"memory_limit_in_bytes": 96 << 20, "cpu_shares": 1024}});
    cri.call("UpdateContainerResources", update);
    assert_eq!(cri.exec(&first, "cat /sys/fs/cgroup/memory.max"), (96 << 20).to_string());
    let stats = cri.call("ContainerStats", json!({"container_id": first}));
    assert!(stats["stats"]["memory"]["working_set_bytes"]["value"].as_i64().unwrap() > 0, "{stats}");
    let failed = cri.call("ExecSync", json!({"container_id": first, "cmd": ["sh", "-c", "exit 3"]}));
    assert_eq!(failed["exit_code"], 3);
    let missing = cri.refused("ExecSync", json!({"container_id": first, "cmd": ["/none"]})).to_lowercase();
    assert!(missing.contains("/none") && missing.contains("no such file or directory"), "{missing}");

    // Its first process ends by itself when it is asked to; no time means that it is killed.
    cri.call("StopContainer", json!({"container_id": first, "timeout": 120}));
    assert_eq!(cri.ended(&first), 143);
    cri.call("StopContainer", json!({"container_id": second, "timeout": 0}));
    assert_eq!(cri.ended(&second), 137);
    for id in [&first, &second] {
        cri.call("RemoveContainer", json!({"container_id": id}));
    }
    cri.remove(&pod);
    assert_nothing_left();
}

#[test]
#[ignore = "long"]
fn exec_attach_and_ports_are_streamed() {
    let _share = containerd();
    let mut cri = Cri::new();
    let pod = cri.pod(pod_config("streams"));
    let container = cri.container(
        &pod,
        json!({
            "metadata": {"name": "shell"}, "command": ["sh"], "stdin": true, "tty": true,
        }),
    );
    let cmd = ["sh", "-c", "echo ready; read line; echo got $line; echo aside >&2; exit 4"];
    let url =
        cri.call("Exec", json!({"container_id": container, "cmd": cmd, "stdin": true, "stdout": true, "stderr": true}));
    let seen = cri.stream(&url, "words\n", "ready");
    assert_eq!((seen["1"].as_str(), seen["2"].as_str()), (Some("ready\ngot words\n"), Some("aside\n")), "{seen}");
    // A status of Kubernetes.
    assert!(seen["3"].as_str().unwrap().contains("\"message\":\"4\""), "{seen}");

    let listen = "printf answer >/tmp/answer; nc -l -p 7000 -e cat /tmp/answer </dev/null >/dev/null 2>&1 & sleep 1";
    cri.exec(&container, listen);
    let url = cri.call("PortForward", json!({"pod_sandbox_id": pod.id, "port": [7000]}));
    let seen = cri.stream(&url, "", "");
    assert!(seen["0"].as_str().unwrap().contains("answer"), "{seen}");

    let url = cri.call("Attach", json!({"container_id": container, "stdin": true, "tty": true, "stdout": true}));
    let seen = cri.stream(&url, "tty; exit 5\n", "");
    assert!(seen["1"].as_str().unwrap().contains("/dev/pts/0"), "{seen}");
    assert_eq!(cri.ended(&container), 5);
    cri.remove(&pod);
    assert_nothing_left();
}

#[test]
#[ignore = "long"]
fn a_pod_has_a_user_namespace() {
    let _share = containerd();
    let mut cri = Cri::new();
    let map = json!([{"host_id": 200_000, "container_id": 0, "length": 65536}]);
    let options = json!({"pid": 1, "userns_options": {"mode": 0, "uids": map, "gids": map}});
    let mut config = pod_config("users");
    config["linux"]["security_context"] = json!({"namespace_options": options});
    let pod = cri.pod(config);
    let mut container = pausing("inside");
    container["linux"] = json!({"security_context": {"namespace_options": options}});
    let container = cri.container(&pod, container);
    let seen = cri.exec(
        &container,
        "id -u; cat /proc/self/uid_map; touch /root/file && stat -c %u /root/file; echo x >/dev/null",
    );
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["0", "0", "200000", "65536", "0"], "{seen}");
    cri.remove(&pod);
    assert_nothing_left();
}

/// What the kubelet shows of a pod that does not start is the runtime's message.
#[test]
#[ignore = "long"]
fn errors_are_those_of_the_runtime() {
    let _share = containerd();
    let mut cri = Cri::new();
    let pod = cri.pod(pod_config("errors"));
    for (command, words) in [("/none", "no such file or directory"), ("/etc/passwd", "permission denied")] {
        let id = cri.created(&pod, json!({"metadata": {"name": command}, "command": [command]}));
        // crun's reasons begin with a capital.
        let message = cri.refused("StartContainer", json!({"container_id": id})).to_lowercase();
        let known: &[_] = match command {
            "/etc/passwd" => &[("crun", "says `exists but it is not executable: Operation not permitted`")],
            _ => &[],
        };
        fails_on(known, || assert!(message.contains(command) && message.contains(words), "{message}"));
        cri.call("RemoveContainer", json!({"container_id": id}));
    }
    let limits = json!({"linux": {"resources": {"memory_limit_in_bytes": 4096}}, "metadata": {"name": "small"}});
    let id = cri.created(&pod, limits);
    let message = cri.refused("StartContainer", json!({"container_id": id}));
    let known = [
        ("crun", "says that the limit could be too low"),
        ("runc", "the limit may kill its init, and end the cgroup that it then speaks of"),
    ];
    may_fail_on(&known, || {
        assert!(message.contains("memory limit too low"), "{message}");
    });
    cri.remove(&pod);
    assert_nothing_left();
}
