//! What Podman sends besides the specification: annotations and a mount option that crun has invented.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;

use runtime_tests::{Bundle, fails_on};
use serde_json::json;

const OWN: [(&str, &str); 2] = [("runc", "ignores crun's annotations"), ("crun", "1.8.1 is older than this")];

/// `podman run --group-add keep-groups`.
#[test]
fn the_callers_groups_are_kept_where_an_annotation_says_so() {
    let bundle = Bundle::base().sh("id -G").with(|config| {
        config["annotations"] = json!({"run.oci.keep_original_groups": "1"});
    });
    let mut command = bundle.command_for("run", &[]);
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(|| nix::unistd::setgroups(&[4321.into(), 4322.into()]).map_err(Into::into)) };
    let groups = bundle.finish(&mut command);
    fails_on(&OWN[..1], || {
        assert_eq!(groups.clone().success().trim(), "0 4321 4322");
        assert!(!groups.stderr.contains("warning"), "{}", groups.stderr);
    });
}

#[test]
fn an_annotation_that_is_not_supported_is_warned_about() {
    let bundle = Bundle::base().with(|config| config["annotations"] = json!({"run.oci.hooks.stdout": "/tmp/x"}));
    let output = bundle.run();
    fails_on(&[("runc", "ignores crun's annotations"), ("crun", "supports it")], || {
        let warning =
            "warning: annotations[\"run.oci.hooks.stdout\"]: ignored: minirun does not support this annotation";
        assert!(output.status == 0 && output.stderr.contains(warning), "{}", output.stderr);
    });
}

/// `podman run --mount type=bind,...,no-dereference`.
#[test]
fn a_link_is_copied_instead_of_followed() {
    let bundle = Bundle::base()
        .sh("for link in /etc/link /data/link; do busybox readlink $link; done; cat /etc/file")
        .writable();
    symlink("nowhere/else", bundle.path().join("link")).unwrap();
    fs::write(bundle.path().join("file"), "not a link\n").unwrap();
    let place = |name: &str| bundle.path().join(name).display().to_string();
    let (link, file) = (place("link"), place("file"));
    let bundle = bundle
        .mount("/etc/link", "bind", &link, &["bind", "copy-symlink"])
        .mount("/data", "tmpfs", "tmpfs", &["ro"])
        .mount("/data/link", "bind", &link, &["rbind", "copy-symlink"])
        .mount("/etc/file", "bind", &file, &["bind", "copy-symlink"]);
    fails_on(&OWN, || assert_eq!(bundle.run().success(), "nowhere/else\nnowhere/else\nnot a link\n"));
}
