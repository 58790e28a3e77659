//! Docker Engine, with the runtime under test as its default, by the commands that people type.

use std::fs;

use runtime_tests::wait_until;
use serde_json::{Value, json};

use crate::machine::{Share, program, refuses, runtime, says, sh, shell};
use crate::{boxes, document};

#[path = "docker/building.rs"]
mod building;
#[path = "docker/calls.rs"]
mod calls;
#[path = "docker/endings.rs"]
mod endings;
#[path = "docker/images.rs"]
mod images;
#[path = "docker/limits.rs"]
mod limits;
#[path = "docker/lives.rs"]
mod lives;
#[path = "docker/logs.rs"]
mod logs;
#[path = "docker/looking.rs"]
mod looking;
#[path = "docker/messages.rs"]
mod messages;
#[path = "docker/networks.rs"]
mod networks;
#[path = "docker/privileges.rs"]
mod privileges;
#[path = "docker/running.rs"]
mod running;
#[path = "docker/services.rs"]
mod services;
#[path = "docker/terminals.rs"]
mod terminals;
#[path = "docker/volumes.rs"]
mod volumes;
// The modules in which dockerd is restarted come last, and tests run in the order of their names.
#[path = "docker/with_other_options.rs"]
mod with_other_options;

/// What is added to dockerd's unit.
const UNIT: &str = "/etc/systemd/system/docker.service.d/minirun.conf";

/// Docker as docs/engines.md sets it up.
#[track_caller]
pub fn docker() -> Share {
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
    if runtime() != "minirun" {
        // What is installed with minirun.
        says(&format!("mkdir -p /usr/local/lib/{0} && ln -sfn {1} /usr/local/lib/{0}/runc", runtime(), program()));
    }
    document::write(UNIT);
    start_as(&daemon);
}

/// Restarts dockerd with this daemon.json.
#[track_caller]
fn start_as(daemon: &Value) {
    document::write_as("/etc/docker/daemon.json", &daemon.to_string());
    // A quick machine comes here more often than a unit may be started in a minute.
    sh("systemctl reset-failed docker.service docker.socket");
    says(&document::block("docker-restart"));
    says(&format!("docker load --input {}", boxes::archive()));
}

/// Names of containers, which are removed with their volumes when the test is over.
struct Named(&'static [&'static str]);

impl Drop for Named {
    fn drop(&mut self) {
        sh(&format!("docker rm --force --volumes {}", self.0.join(" ")));
    }
}

/// A value of `docker inspect`, by a template.
#[track_caller]
fn inspect(name: &str, template: &str) -> String {
    says(&format!("docker inspect --format '{{{{{template}}}}}' {name}"))
}

/// Writes files into a new directory: pairs of a name and a text.
#[track_caller]
fn directory(name: &str, files: &[(&str, &str)]) -> String {
    let path = format!("/var/tmp/{name}");
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    for (name, text) in files {
        fs::write(format!("{path}/{name}"), text).unwrap();
    }
    path
}
