//! Other users of the host cannot reach the files that minirun makes. A container's files can be set-user-id programs and
//! devices of the image (CVE-2021-41091).

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use runtime_tests::{Runtime, User, require_cgroup2};
use serde_json::json;

use crate::archive::{Entry, archive, directory, docker, entry, file};
use crate::bundles::busybox;
use crate::home::{Answer, Home, answer, sh};

/// An image with a set-user-id program, a device that everyone may open, a volume, and a directory for which its upper layer
/// has no entry.
fn image(home: &Home) {
    require_cgroup2();
    let device = Entry { device: (1, 3), ..entry(b'3', "data/null") };
    let program = file("data/program", "#!/bin/sh\n").mode(0o4755);
    let lower = [directory("closed").mode(0o711), program, device.mode(0o666), file("secret", "secret").mode(0o600)];
    let upper = archive(&[file("closed/more/file", "x")]);
    let config = json!({"Entrypoint": ["/bin/sh"], "Volumes": {"/data": {}}});
    docker(&home.path("image.tar"), &config, &[busybox(0), archive(&lower), upper]);
}

/// Runs a script in the directory as an ordinary user of the host.
fn as_user(home: &Home, script: &str) -> Answer {
    let mut command = Command::new("sh");
    command.args(["-uc", script]).current_dir(home.path("."));
    let id = User::id();
    let become_user = move || {
        setgroups(&[])?;
        setgid(Gid::from_raw(id))?;
        Ok(setuid(Uid::from_raw(id))?)
    };
    // SAFETY: between fork and exec the closure makes system calls only.
    unsafe { command.pre_exec(become_user) };
    answer(&mut command)
}

/// What minirun makes in all: bundles, containers with their state, images, stores. Without a mask of modes.
const MAKE: &str = r#"
	umask 0
	mkdir given run-given; chmod 755 given
	for bundle in new given; do
		"$MINIRUN" bundle --store store --cmd -c --cmd "$CHANGES" docker-archive:image.tar $bundle
		"$MINIRUN" --root state run $bundle/
	done
	"$MINIRUN" bundle --store store --upper-size 1m --cmd -c --cmd true docker-archive:image.tar memory
	"$MINIRUN" --root state commit new/ oci:layout:changed
	"$MINIRUN" --root state commit new/ oci-archive:oci.tar:changed
	"$MINIRUN" --root state commit new/ docker-archive:docker.tar:changed
	"$MINIRUN" bundle --store store --cmd -c --cmd 'sleep 1000' docker-archive:image.tar waiting
	NOTIFY_SOCKET=$PWD/notify.sock "$MINIRUN" --root state create -b waiting "$ID" >/dev/null 2>&1 </dev/null
"#;

/// A container's changes: a set-user-id shell in the root and in the volume, and a device.
const CHANGES: &str = "cp /bin/busybox /tmp/shell; chmod 4755 /tmp/shell; cp /bin/busybox /data/shell; \
                       chmod 4755 /data/shell; mknod /tmp/null c 1 3; chmod 666 /tmp/null";

#[test]
fn other_users_reach_nothing_that_minirun_makes() {
    let home = Home::new();
    image(&home);
    let id = format!("images-{}-private", std::process::id());
    let program = Runtime::from_env().bare().get_program().to_owned();
    let mut make = Command::new("sh");
    make.args(["-euc", MAKE]).current_dir(home.path("."));
    answer(make.env("MINIRUN", &program).env("CHANGES", CHANGES).env("ID", &id)).success();
    // Everything below these, and the directories themselves unless a row says that they were there.
    let places = [
        "new",
        "given/config.json",
        "given/image.json",
        "given/private",
        "memory",
        "waiting",
        "store",
        "state",
        "layout",
        "oci.tar",
        "docker.tar",
    ];
    let all = sh(&home.path("."), &format!("find {} -print | tee paths | wc -l", places.join(" ")));
    assert!(all.trim().parse::<u32>().unwrap() > 100, "{all} files are not all that was made");
    for needed in ["private/upper/tmp/shell", "private/volumes/0-data/shell", "store/layers/", "notify", "attributes"] {
        assert!(fs::read_to_string(home.path("paths")).unwrap().contains(needed), "{needed} was not made");
    }
    let reached = as_user(
        &home,
        r#"while read -r path; do
            if test -r "$path" || test -w "$path"; then echo "$path"; continue; fi
            if test -x "$path" && test ! -d "$path"; then echo "$path"; fi
            if test -d "$path" && (cd "$path") 2>/dev/null; then echo "$path"; fi
        done <paths"#,
    );
    let deleted =
        answer(Command::new(&program).args(["--root", "state", "delete", "-f", &id]).current_dir(home.path(".")));
    assert_eq!(reached.success(), "", "an ordinary user reaches what root's minirun has made");
    deleted.success();
    // The attacks themselves.
    let layer = home.lower("new")[1].clone();
    for path in ["new/private/upper/tmp/shell", "given/private/upper/tmp/shell", "given/private/volumes/0-data/shell"] {
        let said = as_user(&home, &format!("{path} id")).failure();
        assert!(said.contains("Permission denied"), "{path}: {said}");
    }
    for path in ["new/private/upper/tmp/null", "given/private/volumes/0-data/null", &format!("{layer}/data/null")] {
        let said = as_user(&home, &format!(": <{path}")).failure();
        assert!(said.contains("Permission denied"), "{path}: {said}");
    }
}

/// The default places, on file systems that the test has alone.
#[test]
fn other_users_reach_nothing_at_the_default_places() {
    let home = Home::new();
    image(&home);
    let program = Runtime::from_env().bare().get_program().to_owned();
    let script = r#"
        umask 0
        mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib
        "$1" bundle --cmd -c --cmd 'sleep 1000' docker-archive:image.tar one
        "$1" create -b one "$2" >/dev/null 2>&1 </dev/null
        "$1" delete -f "$2"
        stat -c '%a %n' /run/minirun /var/lib/minirun"#;
    let id = format!("images-{}-default", std::process::id());
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-euc", script, "sh"]).arg(program).arg(id).current_dir(home.path("."));
    assert_eq!(answer(&mut command).success(), "700 /run/minirun\n700 /var/lib/minirun\n");
}
