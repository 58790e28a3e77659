//! Whatever way a container ends, its unit ends as well.

use std::fs;
use std::process::Stdio;

use runtime_tests::{Bundle, Running, killat, wait_until};

use super::{cgroup_of, is_loaded, property, read, scope, set_path, started, systemctl, unit_of};

#[track_caller]
fn gone(bundle: &Bundle) {
    bundle.assert_nothing_left();
    assert!(!is_loaded(&unit_of(bundle)), "{} is still loaded", unit_of(bundle));
}

#[test]
fn delete_ends_the_unit() {
    let container = scope().create();
    let unit = unit_of(container.bundle());
    assert_eq!(property(&unit, "ActiveState"), "active");
    container.call(&["delete", "--force"], &[]).success();
    gone(container.bundle());

    let container = started(scope());
    container.kill("KILL");
    container.wait_for("stopped");
    container.delete();
    gone(container.bundle());
}

#[test]
fn run_ends_the_unit() {
    let bundle = scope().args(&["/bin/true"]);
    bundle.run().success();
    gone(&bundle);
}

/// systemd removes a scope with its last process: `delete` finds less than it expects.
#[test]
fn a_container_that_has_ended_has_no_unit() {
    let container = started(scope().args(&["/bin/true"]));
    container.wait_for("stopped");
    wait_until("the end of the scope", || !is_loaded(&unit_of(container.bundle())));
    container.delete();
    gone(container.bundle());
}

#[test]
fn cgroups_that_were_made_inside_go_as_well() {
    let container = started(scope());
    let cgroup = cgroup_of(&unit_of(container.bundle()));
    fs::create_dir_all(cgroup.join("inside/deeper")).unwrap();
    container.exec(&["--detach"], &["/bin/probe", "pause"]).success();
    let pid = read(&cgroup, "cgroup.procs").lines().last().unwrap().to_owned();
    fs::write(cgroup.join("inside/deeper/cgroup.procs"), pid).unwrap();
    systemctl(&["daemon-reload"]);
    assert!(cgroup.join("inside/deeper").is_dir(), "what is delegated is the container's");
    container.call(&["delete", "--force"], &[]).success();
    gone(container.bundle());
}

/// Somebody stops the unit.
#[test]
fn a_stopped_unit_is_a_stopped_container() {
    let container = started(scope().sh("exec /bin/sleep 1000"));
    let unit = unit_of(container.bundle());
    systemctl(&["kill", "--signal=KILL", &unit]);
    container.wait_for("stopped");
    container.delete();
    gone(container.bundle());
}

#[test]
fn a_creation_that_fails_leaves_no_unit() {
    let bundle = scope().args(&["/no/such/program"]);
    bundle.run().failure();
    gone(&bundle);
    let bundle = scope().mount("/mnt", "bind", "/no/such/source", &["bind"]);
    bundle.refused();
    gone(&bundle);
}

/// The runtime is killed at system calls all over a creation: `delete -f` clears what is left, and the name is free.
#[test]
fn a_creation_that_is_killed_leaves_nothing_that_delete_does_not_clear() {
    let points: u64 = std::env::var("MINIRUN_POINTS").ok().and_then(|points| points.parse().ok()).unwrap_or(25);
    let command = |bundle: &Bundle| {
        let mut command = bundle.command_for("create", &[]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let probe = scope();
    let whole = killat(command(&probe), 0);
    assert_eq!(whole.status, 0);
    probe.call(&["delete", "-f", probe.id()]).success();
    for point in (1..=whole.calls).step_by((whole.calls / points).max(1) as usize) {
        let bundle = scope();
        killat(command(&bundle), point);
        bundle.call(&["delete", "--force", bundle.id()]).success();
        // systemd may hear of a unit whose asker is dead: it has no process, and is collected.
        wait_until("the end of the unit", || !is_loaded(&unit_of(&bundle)));
        bundle.assert_nothing_left();
        bundle.create().call(&["delete", "--force"], &[]).success();
    }
}

/// A record that cannot be read: the configuration tells the unit.
#[test]
fn a_damaged_record_hides_no_unit() {
    let bundle = scope();
    let path = format!("a-b.slice:damaged:{}", bundle.id());
    let unit = format!("damaged-{}.scope", bundle.id());
    let container = started(bundle.with(set_path(&path)));
    let record = container.bundle().state_root().join(container.bundle().id()).join("state.json");
    fs::write(record, "{").unwrap();
    container.call(&["delete", "--force"], &[]).success();
    assert!(!is_loaded(&unit));
    container.bundle().assert_nothing_left();
}

#[test]
fn fifty_containers_leave_no_unit() {
    for _ in 0..10 {
        let bundles: Vec<Bundle> = (0..5).map(|_| scope().args(&["/bin/true"])).collect();
        let running: Vec<Running> = bundles.iter().map(Bundle::run_in_background).collect();
        running.into_iter().for_each(|run| drop(run.finish().success()));
        bundles.iter().for_each(gone);
    }
    let prefix = format!("minirun-t{}-", std::process::id());
    // Other tests run beside this one; what they have is active.
    let units =
        systemctl(&["list-units", "--all", "--plain", "--no-legend", "--state=failed,inactive", &format!("{prefix}*")]);
    assert_eq!(units.trim(), "");
}
