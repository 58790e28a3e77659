//! containerd: `ctr`, and Kubernetes' container runtime interface (CRI) with a handler for the runtime under test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::machine::{Share, program, runtime, says, sh};
use crate::{boxes, document};

#[path = "containerd/calls.rs"]
mod calls;
#[path = "containerd/ctr.rs"]
mod ctr;
#[path = "containerd/messages.rs"]
mod messages;
#[path = "containerd/pods.rs"]
mod pods;

/// A share of containerd for one test alone: each looks at its end whether something is left.
struct Mine {
    _share: Share,
    _turn: MutexGuard<'static, ()>,
}

/// What a failed test leaves shall not fail those after it.
impl Drop for Mine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            sh("for namespace in default k8s.io; do
                    ctr --namespace $namespace task ls -q | xargs -r -n 1 ctr --namespace $namespace task delete --force
                    ctr --namespace $namespace container ls -q | xargs -r ctr --namespace $namespace container delete
                done");
        }
    }
}

/// containerd as docs/engines.md sets it up, with the image in the namespaces of ctr and of the CRI.
#[track_caller]
fn containerd() -> Mine {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Mine { _share: Share::of("containerd", || start(&program())), _turn: turn }
}

/// Restarts containerd with this program behind the handler, and loads the images.
#[track_caller]
fn start(handler: &str) {
    // Where Debian has the plug-ins, and a sandbox image that is here.
    let rest = r#"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/pause:latest"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/etc/cni/net.d"
"#;
    let path = "/etc/containerd/config.toml";
    document::write_as(path, &(document::block(path).replace(&program(), handler) + rest));
    document::write_as("/etc/cni/net.d/10-test.conflist", &network().to_string());
    says(
        "systemctl stop docker docker.socket; systemctl reset-failed; modprobe -a bridge veth; systemctl restart containerd",
    );
    says(&PAUSE.replace("ARCHIVE", boxes::archive()));
}

/// The image of a pod's first process, made from the other one.
const PAUSE: &str = r#"
set -e
work=$(mktemp -d) && cd "$work"
tar -xf ARCHIVE
config=$(jq -r '.[0].Config' manifest.json)
jq '.config.Cmd = ["/bin/probe", "pause"]' "$config" >pause.json
jq '.[0].Config = "pause.json" | .[0].RepoTags = ["pause:latest"]' manifest.json >new.json
mv new.json manifest.json && rm "$config"
tar -cf /var/tmp/pause.tar manifest.json pause.json layer.tar
cd / && rm -r "$work"
for namespace in default k8s.io; do
    for image in ARCHIVE /var/tmp/pause.tar; do ctr --namespace $namespace images import "$image" >/dev/null; done
done
"#;

fn network() -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "test",
        "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false,
             "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]],
                      "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

/// The client of the CRI, which goes on from call to call: its start takes longer than a call.
struct Cri {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Cri {
    fn new() -> Self {
        let mut command = Command::new("python3");
        let mut child = command
            .args(["-c", include_str!("containerd/cri.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (requests, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, requests, answers }
    }

    fn ask(&mut self, words: &Value) -> Result<Value, String> {
        writeln!(self.requests, "{words}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{words}: {error}: {line:?}"));
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }

    /// A call that must succeed.
    #[track_caller]
    fn call(&mut self, method: &str, message: Value) -> Value {
        self.ask(&json!([method, message])).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// A call that must fail; what it says.
    #[track_caller]
    fn refused(&mut self, method: &str, message: Value) -> String {
        match self.ask(&json!([method, message])) {
            Err(error) => error,
            Ok(answer) => panic!("{method} succeeds: {answer}"),
        }
    }

    /// Sends text to a stream of which a call gave the URL, after `first` has arrived there; what arrived, by channel.
    #[track_caller]
    fn stream(&mut self, url: &Value, text: &str, first: &str) -> Value {
        self.ask(&json!(["stream", url["url"], text, first])).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// A pod of the handler for the runtime under test.
    #[track_caller]
    fn pod(&mut self, config: Value) -> Pod {
        let answer = self.call("RunPodSandbox", json!({"config": config, "runtime_handler": runtime()}));
        Pod { id: answer["pod_sandbox_id"].as_str().unwrap().to_owned(), config }
    }

    /// A started container of a pod, of the box image.
    #[track_caller]
    fn container(&mut self, pod: &Pod, config: Value) -> String {
        let id = self.created(pod, config);
        self.call("StartContainer", json!({"container_id": id}));
        id
    }

    #[track_caller]
    fn created(&mut self, pod: &Pod, mut config: Value) -> String {
        config["image"] = json!({"image": "docker.io/library/box:latest"});
        let request = json!({"pod_sandbox_id": pod.id, "config": config, "sandbox_config": pod.config});
        self.call("CreateContainer", request)["container_id"].as_str().unwrap().to_owned()
    }

    /// What a command in a container prints.
    #[track_caller]
    fn exec(&mut self, container: &str, script: &str) -> String {
        let cmd = ["sh", "-c", script];
        let answer = self.call("ExecSync", json!({"container_id": container, "cmd": cmd, "timeout": 120}));
        assert_eq!(answer["exit_code"].as_i64().unwrap_or(0), 0, "{script}: {answer}");
        answer["stdout"].as_str().unwrap_or("").trim().to_owned()
    }

    /// Waits for the end of a container; its exit code.
    #[track_caller]
    fn ended(&mut self, container: &str) -> i64 {
        const EXITED: i64 = 2;
        loop {
            let status = &self.call("ContainerStatus", json!({"container_id": container}))["status"];
            if status["state"].as_i64() == Some(EXITED) {
                return status["exit_code"].as_i64().unwrap_or(0);
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }

    #[track_caller]
    fn remove(&mut self, pod: &Pod) {
        let message = json!({"pod_sandbox_id": pod.id});
        self.call("StopPodSandbox", message.clone());
        self.call("RemovePodSandbox", message);
    }
}

impl Drop for Cri {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

struct Pod {
    id: String,
    config: Value,
}

/// The configuration of a pod with a name of its own.
fn pod_config(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "namespace": "test"},
        "hostname": name,
        "log_directory": format!("/var/log/pods/{name}"),
        "linux": {"cgroup_parent": "test.slice"},
    })
}

/// Nothing of containerd's containers is left: no scope, cgroup, mount, process or state.
#[track_caller]
fn assert_nothing_left() {
    let left = says(
        "ls /run/containerd/runc/k8s.io /run/containerd/runc/default 2>/dev/null | grep -v : ;
         systemctl list-units --plain --no-legend 'cri-containerd-*' ;
         grep -o '/run/containerd/io.containerd.runtime[^ ]*' /proc/self/mountinfo; true",
    );
    assert_eq!(left, "");
}
