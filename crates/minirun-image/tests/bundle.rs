//! Runs the example `bundle` on a layout that is made here. Without the test harness, because the crate requires a process
//! with one thread.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../examples/bundle.rs"]
#[allow(dead_code)]
mod example;

use std::fs;
use std::path::{Path, PathBuf};

use minirun_image::tar::{Entry, Kind, Writer};
use minirun_image::{BundleOptions, BundleRecord, Digest, ErrorKind, IdMapping, IdMaps, Resources};
use serde_json::{Value, json};

/// A directory that is removed when the test ends.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn main() {
    let scratch = Scratch(std::env::temp_dir().join(format!("minirun-image-example-{}", std::process::id())));
    fs::create_dir(&scratch.0).unwrap();
    let (layout, store, dir) = (scratch.0.join("layout"), scratch.0.join("store"), scratch.0.join("bundle"));
    make_layout(&layout);
    let image = format!("oci:{}", layout.display());
    example::make(&image, &store, &dir, &options()).unwrap();
    check(&dir);
    let error = example::make(&image, &store, &dir, &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    a_failure_leaves_nothing(&image, &store, &scratch.0.join("failed"));
}

/// Options that work for root and for an ordinary user, who has only its own ids.
fn options() -> BundleOptions {
    let own = |id| vec![IdMapping { container_id: 0, host_id: id, size: 1 }];
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let user_namespace = (!uid.is_root()).then(|| IdMaps { users: own(uid.as_raw()), groups: own(gid.as_raw()) });
    let resources = Resources { pids: Some(7), ..Resources::default() };
    BundleOptions { hostname: Some("example".to_owned()), resources, user_namespace, ..BundleOptions::default() }
}

fn check(dir: &Path) {
    let config: Value = serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["process"]["args"], json!(["/hello"]));
    assert_eq!(config["hostname"], "example");
    assert_eq!(config["linux"]["resources"]["pids"]["limit"], 7);
    assert!(config["linux"]["seccomp"].is_object());
    let options: Vec<_> = config["mounts"][0]["options"].as_array().unwrap().iter().map(Value::as_str).collect();
    let [Some(lower), Some("upperdir=private/upper"), Some("workdir=private/work")] = options[..] else {
        panic!("{options:?}");
    };
    let layer = lower.strip_prefix("lowerdir+=").unwrap();
    assert_eq!(fs::read(Path::new(layer).join("hello")).unwrap(), b"hello");
    assert_eq!(fs::read(dir.join("private/volumes/0-data/inside")).unwrap(), b"inside");
    assert_eq!(BundleRecord::read(dir).unwrap().layers.len(), 1);
}

/// A user that the image does not have.
fn a_failure_leaves_nothing(image: &str, store: &Path, dir: &Path) {
    let unknown = BundleOptions { user: Some("nobody-has-this-name".to_owned()), ..options() };
    let error = example::make(image, store, dir, &unknown).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let wrong = BundleOptions { working_dir: Some("relative".to_owned()), ..options() };
    let error = example::make(image, store, dir, &wrong).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Option, "{error}");
    assert!(!dir.exists(), "{} is left", dir.display());
}

/// An image layout with one image of one layer.
fn make_layout(layout: &Path) {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |media_type: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    };
    let layer = blob("application/vnd.oci.image.layer.v1.tar", &archive());
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let configuration = json!({
        "os": "linux", "architecture": architecture,
        "config": {"Cmd": ["/hello"], "Volumes": {"/data": {}}},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    let configuration = blob("application/vnd.oci.image.config.v1+json", configuration.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "config": configuration, "layers": [layer]});
    let manifest = blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string()).unwrap();
}

/// The archive of a layer whose files belong to the caller.
fn archive() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let mut add = |path: &str, kind: Kind, mode: u32, content: &[u8]| {
        let mut entry = Entry::new(kind, path);
        (entry.mode, entry.size) = (mode, content.len() as u64);
        (entry.uid, entry.gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        writer.entry(&entry, content).unwrap();
    };
    add("hello", Kind::File, 0o755, b"hello");
    add("data/", Kind::Directory, 0o755, b"");
    add("data/inside", Kind::File, 0o644, b"inside");
    writer.finish().unwrap()
}
