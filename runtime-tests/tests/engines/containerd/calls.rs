//! Every way in which containerd calls the runtime, for ctr and for the CRI.

use serde_json::json;

use super::{Cri, pod_config, start};
use crate::calls;
use crate::machine::{Share, says, sh};

#[test]
#[ignore = "long"]
fn every_call_is_known() {
    let _alone = Share::alone(|| start(calls::recorder()));
    // Ids as the CRI makes them, of which the list keeps none.
    let [one, other] = ["1", "2"].map(|digit| digit.repeat(64));
    let run = format!("ctr run --runc-binary {}", calls::PATH);
    let image = "docker.io/library/box:latest";
    says(&format!("{run} -d {image} {one} /bin/probe pause"));
    says(&format!(
        "ctr task exec --exec-id e1 {one} true && ctr task exec --detach --exec-id e2 {one} true
         ctr task pause {one} && ctr task resume {one} && ctr task ps {one} && ctr task metrics {one}"
    ));
    sh(&format!("ctr task exec --exec-id e3 {one} nosuch; {run} --rm {image} {other} nosuch"));
    for words in [format!("ctr task exec --tty --exec-id e4 {one} true"), format!("{run} --rm -t {image} {other} true")]
    {
        says(&format!("script -qec '{words}' /dev/null </dev/null"));
    }
    says(&format!(
        "ctr task kill --signal KILL {one} && sleep 2 && ctr task delete {one} && ctr container delete {one}"
    ));
    says(&format!("{run} --rm --runc-systemd-cgroup --cgroup system.slice:ctr:called {image} {other} true"));

    let mut cri = Cri::new();
    let mut shared = pod_config("called");
    // One pid namespace of all containers, whose processes end with theirs.
    shared["linux"]["security_context"] = json!({"namespace_options": {"pid": 0}});
    for (config, tty) in [(pod_config("called"), false), (shared, true)] {
        let namespaces = config["linux"]["security_context"].clone();
        let pod = cri.pod(config);
        let command = ["sh", "-c", "sleep 1004 & exec /bin/probe pause"];
        let mut container = json!({"metadata": {"name": "called"}, "command": command, "tty": tty});
        if !namespaces.is_null() {
            container["linux"] = json!({"security_context": namespaces});
        }
        let id = cri.container(&pod, container);
        cri.exec(&id, "true");
        let url = cri.call("Exec", json!({"container_id": id, "cmd": ["true"], "tty": true, "stdout": true}));
        cri.stream(&url, "", "");
        cri.refused("ExecSync", json!({"container_id": id, "cmd": ["/none"]}));
        let limit = json!({"container_id": id, "linux": {"memory_limit_in_bytes": 96 << 20}});
        cri.call("UpdateContainerResources", limit);
        cri.call("ContainerStats", json!({"container_id": id}));
        cri.call("StopContainer", json!({"container_id": id, "timeout": 1}));
        cri.call("RemoveContainer", json!({"container_id": id}));
        cri.remove(&pod);
    }
    calls::assert_known(include_str!("../../host/engines/containerd.calls"));
}
