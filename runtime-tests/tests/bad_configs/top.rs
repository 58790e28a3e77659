//! The top level.

use serde_json::json;

use crate::{Bad, CRUN, NONE, RUNC, absent, bad};

pub fn rows() -> Vec<Bad> {
    vec![
        bad("ociVersion", "/ociVersion", absent(), RUNC),
        bad("ociVersion", "/ociVersion", json!("99.0.0"), RUNC),
        bad("ociVersion", "/ociVersion", json!("one"), RUNC),
        bad("ociVersion", "/ociVersion", json!(1), NONE),
        bad("root", "/root", absent(), NONE),
        bad("root.path", "/root/path", absent(), NONE),
        bad("root.path", "/root/path", json!(""), NONE),
        bad("root.path", "/root/path", json!(["rootfs"]), NONE),
        bad("root.readonly", "/root/readonly", json!("yes"), CRUN),
        bad("hostname", "/hostname", json!(7), CRUN),
        bad("annotations", "/annotations", json!(["a"]), CRUN),
        bad("annotations[\"a\"]", "/annotations", json!({"a": 1}), NONE),
        bad("ociVersion", "/ociVersion", json!(""), RUNC),
        bad("ociVersion", "/ociVersion", json!("1"), RUNC),
        bad("ociVersion", "/ociVersion", json!("1.0"), RUNC),
        bad("ociVersion", "/ociVersion", json!("1.banana"), RUNC),
        bad("ociVersion", "/ociVersion", json!("2.0.0"), RUNC),
        bad("root.path", "/root/path", json!("nosuch"), NONE),
        bad("root.path", "/root/path", json!("config.json"), NONE),
        bad("root.path", "/root/path", json!("a\0b"), NONE),
        bad("root.path", "/root/path", json!("rootfs/bin/sh"), NONE),
        bad("hostname", "/hostname", json!("x".repeat(65)), NONE),
        bad("hostname", "/hostname", json!("a\0b"), RUNC),
        bad("domainname", "/domainname", json!("x".repeat(65)), RUNC),
        bad("domainname", "/domainname", json!("a\0b"), RUNC),
        bad("hostname", "/linux/namespaces", json!([{"type": "mount"}]), NONE),
        bad("annotations[\"\"]", "/annotations", json!({"": "empty"}), RUNC),
    ]
}
