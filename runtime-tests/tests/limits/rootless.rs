//! Limits of an ordinary user, in a cgroup that was delegated to it.

use runtime_tests::{Delegated, require_controllers};
use serde_json::json;

#[test]
fn limits_are_written_below_a_delegated_cgroup() {
    require_controllers(&["memory", "pids"]);
    let delegated = Delegated::new("limits");
    let bundle = delegated.bundle().probe("pause").with(|config| {
        config["linux"]["resources"] = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}});
    });
    let container = bundle.create();
    container.start();
    let knob = |name: &str| std::fs::read_to_string(container.cgroup().join(name)).unwrap().trim().to_owned();
    assert_eq!(container.cgroup().parent().unwrap().parent(), Some(delegated.path()));
    assert_eq!((knob("memory.max").as_str(), knob("pids.max").as_str()), ("67108864", "20"));
    container.call(&["update", "--pids-limit", "30"], &[]).success();
    assert_eq!(knob("pids.max"), "30");
    container.call(&["events", "--stats"], &[]).success();
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
}
