//! An ordinary user's containers: the whole life, what they cannot have, and the reasons they are told.
//!
//! The user has no login session: it gets a runtime directory, and where a test says so, granted ids or a cgroup.

use runtime_tests::{Bundle, Container, User};
use serde_json::{Value, json};

#[path = "rootless/cgroups.rs"]
mod cgroups;
#[path = "rootless/ids.rs"]
mod ids;
#[path = "rootless/life.rs"]
mod life;
#[path = "rootless/nested.rs"]
mod nested;

const RUNC: &str = "runc";
const CRUN: &str = "crun";

fn mine() -> Bundle {
    Bundle::base().of_user(User::plain())
}

fn running(bundle: Bundle) -> Container {
    let container = bundle.probe("pause").create();
    container.start();
    container
}

/// Sets both maps.
fn mapped(bundle: Bundle, lines: &[(u32, u32, u32)]) -> Bundle {
    let map: Vec<Value> = lines
        .iter()
        .map(|(inside, outside, size)| json!({"containerID": inside, "hostID": outside, "size": size}))
        .collect();
    bundle.with(|config| {
        config["linux"]["uidMappings"] = map.clone().into();
        config["linux"]["gidMappings"] = map.into();
    })
}

/// The user's own id as root, and then those that were granted.
fn all_ids() -> Vec<(u32, u32, u32)> {
    let (first, count) = User::granted();
    vec![(0, User::id(), 1), (1, first, count)]
}

fn of_ids(user: User) -> Bundle {
    mapped(Bundle::base().of_user(user), &all_ids())
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}
