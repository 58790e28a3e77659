//! Commits that cannot be: each says why, and leaves nothing.

use std::fs;

use serde_json::json;

use crate::home::Home;

#[track_caller]
fn refused(home: &Home, words: &[&str], why: &str) {
    let list = || home.sh("find . ! -name '*.out' ! -name '*.err' ! -path './state*' | LC_ALL=C sort");
    let before = list();
    let said = home.call(&[&["commit"], words].concat()).failure();
    assert!(said.contains(why), "{words:?}: {said}");
    assert_eq!(list(), before, "{words:?}");
}

#[test]
fn what_cannot_be_committed_is_refused_by_name() {
    let home = Home::new();
    home.0.write();
    refused(&home, &["bundle/", "oci:img:new"], "minirun bundle makes bundles from images");
    refused(&home, &["nobody", "oci:img:new"], "container does not exist: nobody");
    home.changed("web");
    home.sh("mkdir other; echo >other/file");
    refused(&home, &["web/", "oci:other:x"], "not an OCI image layout");
    refused(&home, &["web/", "oci:img"], "needs a tag");
    refused(&home, &["web/", "oci:no/such/place"], "open");
    refused(&home, &["web/", "docker://x"], "skopeo copy");
    refused(&home, &["--change", "RUN x", "web/", "oci:img:new"], "RUN is not supported");
    refused(&home, &["--compress", "xz", "web/", "oci:img:new"], "gzip, zstd, none");
    home.sh("echo >web/private/upper/.wh.name");
    refused(&home, &["web/", "oci:fresh"], ".wh.name");
    fs::remove_file(home.path("web/private/upper/.wh.name")).unwrap();
    home.sh("setfattr -n trusted.overlay.redirect -v /x web/private/upper/a");
    refused(&home, &["web/", "docker-archive:fresh.tar"], "it is elsewhere");
    home.sh("setfattr -x trusted.overlay.redirect web/private/upper/a");
    home.commit(&[], "web/", "oci:fresh");
}

#[test]
fn a_root_of_other_layers_is_not_that_image() {
    let home = Home::new();
    home.changed("web");
    let path = home.path("web/config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let options = config["mounts"][0]["options"].as_array_mut().unwrap();
    options.insert(0, json!(format!("lowerdir+={}", home.path("bundle/rootfs/dir").display())));
    fs::write(&path, config.to_string()).unwrap();
    refused(&home, &["web/", "oci:img:new"], "other layers than the image");
}

#[test]
fn documents_that_are_something_else_are_no_reason_to_break_down() {
    let home = Home::new();
    home.changed("web");
    for (list, why) in
        [("[]", "manifests is not a list"), ("7", "manifests is not a list"), ("{\"manifests\": {}}", "manifests")]
    {
        home.sh(&format!(
            "mkdir odd; echo '{{\"imageLayoutVersion\": \"1.0.0\"}}' >odd/oci-layout; echo '{list}' >odd/index.json"
        ));
        refused(&home, &["web/", "oci:odd:x"], why);
        home.sh("rm -r odd");
    }
    // What readers take for an object may be a list in the image's configuration.
    let name = home.sh("ls store/images").trim().to_owned();
    let path = home.path("store/images").join(name).join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (member, value) in
        [("rootfs", json!([config["rootfs"]["diff_ids"]])), ("config", json!([])), ("history", json!({}))]
    {
        let mut changed = config.clone();
        changed[member] = value;
        fs::write(&path, changed.to_string()).unwrap();
        refused(&home, &["web/", "oci:img:new"], "the image's configuration is not valid");
    }
    fs::write(&path, text).unwrap();
    home.commit(&[], "web/", "oci:img:new");
}
