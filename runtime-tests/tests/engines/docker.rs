//! Docker Engine, with the runtime under test as its default.

use serde_json::{Value, json};

use crate::machine::{Share, program, refuses, runtime, says, sh};
use crate::{boxes, document};

#[path = "docker/running.rs"]
mod running;

/// Docker as docs/engines.md sets it up.
#[track_caller]
fn docker() -> Share {
    Share::of("docker", || start(&json!({})))
}

/// Restarts dockerd with the document's daemon.json and these members besides, and loads the image.
#[track_caller]
fn start(more: &Value) {
    let mut daemon: Value = serde_json::from_str(&document::block("/etc/docker/daemon.json")).unwrap();
    if runtime() == "runc" {
        // Docker's own: its name is reserved.
        daemon = json!({});
    }
    for (name, value) in more.as_object().unwrap() {
        daemon[name] = value.clone();
    }
    document::write_as("/etc/docker/daemon.json", &daemon.to_string());
    document::write("/etc/systemd/system/docker.service.d/minirun.conf");
    if runtime() != "minirun" {
        // What is installed with minirun.
        says(&format!("mkdir -p /usr/local/lib/{0} && ln -sfn {1} /usr/local/lib/{0}/runc", runtime(), program()));
    }
    says(&document::block("docker-restart"));
    says(&format!("docker load --input {}", boxes::archive()));
}
