//! The user as root of a user namespace, which the container shares: as Podman and RootlessKit call a runtime.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use runtime_tests::{Bundle, Output, User, fails_on, is_excused};
use serde_json::json;

use super::{CRUN, RUNC, mapped, mine, words};

/// A bundle without a user namespace of its own.
fn sharing() -> Bundle {
    mine().namespace("user", None).with(|config| {
        let linux = config["linux"].as_object_mut().unwrap();
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    })
}

/// A shell in a user namespace of the user's, in which `$1` is the runtime and `$2` its state directory.
#[track_caller]
fn inside(bundle: &Bundle, script: &str) -> Output {
    inside_of(bundle, &["--user", "--map-root-user"], script)
}

/// As [`inside`], with these options for unshare(1).
#[track_caller]
fn inside_of(bundle: &Bundle, options: &[&str], script: &str) -> Output {
    let mut command = Command::new("unshare");
    command.args(options).args(["--", "sh", "-euc", script, "sh"]);
    command.arg(bundle.runtime().bare().get_program()).arg(bundle.state_root());
    bundle.user().unwrap().takes(&mut command);
    bundle.write();
    bundle.finish(&mut command)
}

fn run(bundle: &Bundle) -> String {
    format!("\"$1\" --root \"$2\" run --bundle {} {}", bundle.path().display(), bundle.id())
}

#[test]
fn devices_and_sysfs_are_the_hosts() {
    let bundle =
        sharing().sh("echo x >/dev/null && head -c 1 /dev/zero | wc -c; ls /sys/class/net; mknod /tmp/n c 1 3");
    let output = inside(&bundle, &run(&bundle));
    assert_eq!(words(&output.stdout)[0], "1", "{output:?}");
    assert!(output.stdout.contains("lo"), "{output:?}");
    assert!(output.status != 0, "nobody makes device nodes there");
    bundle.assert_nothing_left();
}

#[test]
fn its_life_by_single_commands() {
    let bundle = sharing().probe("pause");
    let (path, id) = (bundle.path(), bundle.id());
    let script = format!(
        "runtime=$1 root=$2
         \"$runtime\" --root \"$root\" create --bundle {path} {id} >/dev/null
         \"$runtime\" --root \"$root\" start {id}
         \"$runtime\" --root \"$root\" exec {id} /bin/sh -c 'id -u; cat /proc/self/uid_map'
         \"$runtime\" --root \"$root\" delete -f {id}",
        path = path.display()
    );
    assert_eq!(words(&inside(&bundle, &script).success()), ["0", "0", &User::id().to_string(), "1"]);
    bundle.assert_nothing_left();
}

/// A pod: the second container joins the namespaces of the first, from which the runtime could not return.
#[test]
fn namespaces_of_another_container_are_joined() {
    let first = sharing().probe("pause");
    let second = sharing().probe("namespaces");
    let kinds = ["ipc", "uts"];
    let (home, id) = (first.path(), first.id());
    let pid_file = first.home().join("pid");
    let script = format!(
        "runtime=$1 root=$2
         \"$runtime\" --root \"$root\" create --bundle {home} --pid-file {pid_file} {id} >/dev/null
         pid=$(cat {pid_file})
         sed -i \"s,/proc/PID/,/proc/$pid/,\" {second}/config.json
         for kind in {kinds}; do echo \"first $kind $(readlink /proc/$pid/ns/$kind)\"; done
         \"$runtime\" --root \"$root\" run --bundle {second} {other}
         \"$runtime\" --root \"$root\" delete -f {id}",
        home = home.display(),
        pid_file = pid_file.display(),
        second = second.path().display(),
        other = second.id(),
        kinds = kinds.join(" "),
    );
    let second = kinds.iter().fold(second, |bundle, kind| {
        bundle.namespace(kind, Some(json!({"type": kind, "path": format!("/proc/PID/ns/{kind}")})))
    });
    second.write();
    let seen = inside(&first, &script).success();
    for kind in kinds {
        let line = seen.lines().find_map(|line| line.strip_prefix(&format!("first {kind} "))).unwrap();
        assert!(seen.contains(&format!("{kind}={line}")), "{seen}");
    }
    first.assert_nothing_left();
    second.assert_nothing_left();
}

/// What the parent writes to /proc/PID of an init that only root of the host could look into, were it unreadable.
#[test]
fn a_user_namespace_below_is_mapped() {
    let bundle = mine().sh("cat /proc/self/uid_map /proc/self/oom_score_adj").with(|config| {
        let map = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        config["process"]["oomScoreAdj"] = json!(500);
        config["hooks"] = json!({"createRuntime": [{"path": "/bin/true"}]});
    });
    fails_on(&[(RUNC, "1.1.5 wants to return to the host's mount namespace")], || {
        assert_eq!(words(&inside(&bundle, &run(&bundle)).success()), ["0", "0", "1", "500"]);
    });
    bundle.assert_nothing_left();
}

/// Podman's `--userns auto`. Root of a mount namespace may copy its mounts, though not take those apart that came with it.
#[test]
fn a_source_is_reached_that_roots_of_namespaces_below_do_not_reach() {
    let bundle = Bundle::base().of_user(User::with_ids());
    let own = bundle.home().join("own");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("file"), "mine").unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&own, Some(User::id()), Some(User::id())).unwrap();
    let file = own.join("file");
    fs::write(bundle.rootfs().join("tmp/file"), "").unwrap();
    let bundle = mapped(bundle.mount("/tmp/file", "bind", file.to_str().unwrap(), &["bind"]), &[(0, 1, 100)])
        .sh("cat /tmp/file");
    let output = inside_of(&bundle, &["--user", "--map-root-user", "--map-auto", "--mount"], &run(&bundle));
    assert_eq!(output.success(), "mine");
    bundle.assert_nothing_left();
}

#[test]
fn clocks_are_set() {
    let bundle =
        sharing().sh("cat /proc/self/timens_offsets").namespace("time", Some(json!({"type": "time"}))).with(|config| {
            config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1000, "nanosecs": 5}});
        });
    let output = inside(&bundle, &run(&bundle));
    if is_excused(&[(RUNC, "1.1.5 has no time namespaces"), (CRUN, "1.8.1 cannot return from the namespace")]) {
        return;
    }
    assert!(output.success().lines().any(|line| words(line) == ["boottime", "1000", "5"]));
    bundle.assert_nothing_left();
}
