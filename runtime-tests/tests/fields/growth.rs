//! The work grows as the configuration does: a list of eight times as many elements costs about eight times as much.
//!
//! Counted is the processor's time of the thread or process, the least of several runs: a virtual machine seldom has
//! counters of instructions, and system calls are few before a container is made. So that noise decides nothing, the
//! input is doubled three times, where linear work grows eightfold and quadratic work up to 64-fold.

#[path = "growth/elements.rs"]
mod elements;

use std::path::Path;
use std::time::Duration;

use minirun_plan::spec::{Spec, read};
use minirun_plan::{HostFacts, Request, RootSource, SystemdRequest, compile};
use nix::time::{ClockId, clock_gettime};
use runtime_tests::{Bundle, cpu_time_of};
use serde_json::{Map, Value, json};

use crate::plans::{base, facts};
use crate::schema::{Kind, Member, members, parent, pointer};

/// The growth of the input, and the growth of the work that still counts as linear: sorting and caches cost a little more.
const GROWTH: usize = 8;
const MOST: f64 = 24.0;

/// A way to fill a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filling {
    /// Elements that differ and are accepted.
    Valid,
    /// Elements whose texts and numbers differ, accepted or not.
    Distinct,
    /// The same element again and again.
    Same,
    /// Elements of a type that does not fit.
    Wrong,
}

use Filling::{Distinct, Same, Valid, Wrong};

/// The lists and the maps with free keys.
fn lists(members: &[Member]) -> Vec<&Member> {
    members.iter().filter(|member| matches!(member.kind, Kind::List | Kind::Map)).collect()
}

/// The list with so many elements.
fn filled(list: &Member, members: &[Member], filling: Filling, count: usize) -> Option<Value> {
    let one = members.iter().find(|member| parent(&member.path) == list.path)?;
    let element = |i: usize| match filling {
        Valid => elements::valid(&list.path, i),
        Distinct => Some((format!("key{i}"), varied(one, members, i))),
        Same => Some((format!("key{i}"), varied(one, members, 1))),
        Wrong if matches!(one.kind, Kind::Bool) => Some((format!("key{i}"), json!(i))),
        Wrong => Some((format!("key{i}"), json!(i.is_multiple_of(2)))),
    };
    let all: Vec<(String, Value)> = (0..count).map(element).collect::<Option<_>>()?;
    Some(match list.kind {
        Kind::Map => Value::Object(all.into_iter().collect()),
        _ => all.into_iter().map(|(_, value)| value).collect(),
    })
}

/// A value of this type with everything that it can hold, different for each number.
fn varied(member: &Member, members: &[Member], i: usize) -> Value {
    match &member.kind {
        Kind::Bool => json!(i.is_multiple_of(2)),
        Kind::Number(_, most) => json!(i.min(usize::try_from(*most).unwrap_or(usize::MAX))),
        Kind::Text => json!(format!("/text{i}")),
        Kind::Word(words) => json!(words[i % words.len()]),
        Kind::List => json!([]),
        Kind::Map => json!({}),
        Kind::Object(names) => {
            let value = |name: &&str| {
                let path = format!("{}.{name}", member.path);
                let inner = members.iter().find(|inner| inner.path == path)?;
                Some(((*name).to_owned(), varied(inner, members, i)))
            };
            names.iter().filter_map(value).collect::<Map<_, _>>().into()
        }
    }
}

/// The configuration with the list in it.
fn with_list(config: &mut Value, list: &Member, members: &[Member], value: Value) {
    // A profile without a default action and rules is none.
    if list.path.starts_with("linux.seccomp") && config.pointer("/linux/seccomp").is_none() {
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ERRNO"});
    }
    for (place, above) in elements::ABOVE {
        if list.path.starts_with(place) && config.pointer(&pointer(place)).is_none() {
            let above: Value = serde_json::from_str(above).unwrap();
            members.iter().find(|member| member.path == place).unwrap().put(config, members, Some(above));
        }
    }
    list.put(config, members, Some(value));
}

/// The least of the times that a piece of work needs.
fn least(work: &dyn Fn() -> Duration) -> Duration {
    (0..2).map(|_| work()).min().unwrap()
}

/// Fails where the work for `GROWTH` times as much input is more than so many times the work: `at(0)` costs what every
/// input costs.
fn check(name: &str, at: &dyn Fn(usize) -> Duration, base: Duration, count: usize) -> Result<(), String> {
    let mut seen = Vec::new();
    for _ in 0..5 {
        let [few, many] = [count, count * GROWTH].map(|count| least(&|| at(count)).saturating_sub(base));
        // Below that the clock and the caches count for more than the input does.
        let factor = many.as_secs_f64() / few.max(Duration::from_micros(1500)).as_secs_f64();
        if factor <= MOST {
            return Ok(());
        }
        seen.push(format!("{few:?} to {many:?}"));
    }
    Err(format!("{name}: {count} to {} elements: {}", count * GROWTH, seen.join(", ")))
}

/// The processor's time that the compiler needs, for a container of root's and one in a user namespace.
fn compiled(config: &Value) -> Duration {
    let text = config.to_string();
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let before = now();
    let Ok(spec) = read::<Spec>(text.as_bytes()) else { return now() - before };
    let systemd = SystemdRequest { user: false, cgroup: Path::new("/"), owner: "/run/minirun/ID" };
    let rootless = HostFacts { euid: 1000, egid: 1000, initial_user_namespace: true, ..facts() };
    for (facts, systemd) in [(facts(), None), (facts(), Some(systemd)), (rootless, None)] {
        let request = Request {
            id: "ID",
            bundle: Path::new("/bundle"),
            root: RootSource::Directory("/bundle/rootfs".into()),
            root_path: "/bundle/rootfs",
            no_pivot: false,
            no_new_keyring: false,
            preserve_fds: 0,
            listen_fds: 1,
            listen_names: Some("name"),
            links: Default::default(),
            notify: Some("/run/minirun/ID/notify"),
            systemd,
        };
        match compile(&spec, &facts, &request) {
            Ok(plan) => drop(plan.to_string()),
            Err(problems) => drop(problems.to_string()),
        }
    }
    now() - before
}

/// Two bases: with the host's ids, and in a user namespace.
fn bases() -> [Value; 2] {
    let mut mapped = base();
    mapped["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "user"},
        {"type": "network"}, {"type": "ipc"}, {"type": "cgroup"}]);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    (mapped["linux"]["uidMappings"], mapped["linux"]["gidMappings"]) = (map.clone(), map);
    [base(), mapped]
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_list_has_elements_that_are_accepted() {
    let members = members();
    let missing: Vec<_> =
        lists(&members).into_iter().filter(|list| elements::valid(&list.path, 0).is_none()).map(|l| &l.path).collect();
    assert!(missing.is_empty(), "tests/fields/growth/elements.rs lacks {missing:#?}");
}

#[test]
fn the_compiler_is_linear_in_every_list() {
    let members = members();
    let mut faults = Vec::new();
    for (kind, config) in bases().into_iter().enumerate() {
        let base = least(&|| compiled(&config));
        for list in lists(&members) {
            let fillings = if kind == 0 { &[Valid, Distinct, Same][..] } else { &[Valid] };
            for filling in fillings.iter().copied() {
                let at = |count| {
                    let mut config = config.clone();
                    with_list(&mut config, list, &members, filled(list, &members, filling, count).unwrap());
                    compiled(&config)
                };
                faults.extend(check(&format!("{} {filling:?} {kind}", list.path), &at, base, 500).err());
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn the_compiler_is_linear_in_all_lists_together() {
    let members = members();
    for config in bases() {
        let base = least(&|| compiled(&config));
        for filling in [Valid, Distinct, Same] {
            let at = |count| {
                let mut config = config.clone();
                for list in lists(&members) {
                    with_list(&mut config, list, &members, filled(list, &members, filling, count).unwrap());
                }
                compiled(&config)
            };
            check(&format!("{filling:?}"), &at, base, 50).unwrap();
        }
    }
}

/// Texts of so many bytes that something may take apart.
fn texts(count: usize) -> Vec<String> {
    let repeated = |part: &str| part.repeat(count / part.len());
    let numbered =
        |before: &str, after: &str| (0..count / 8).map(|i| format!("{before}{i}{after}")).collect::<String>();
    vec![
        format!("/{}", repeated("a/")),
        format!("/{}", repeated("../a/")),
        numbered("", ","),
        numbered("L3:0=", "\n"),
        numbered("", "-"),
        repeated("a=b:"),
        repeated("("),
        repeated("[<"),
        repeated("é"),
        repeated("\\"),
    ]
}

#[test]
fn the_compiler_is_linear_in_every_text() {
    let members = members();
    let mut faults = Vec::new();
    for (kind, config) in bases().into_iter().enumerate() {
        let base = least(&|| compiled(&config));
        for member in members.iter().filter(|member| member.kind == Kind::Text) {
            for shape in 0..texts(0).len() {
                let at = |count| {
                    let mut config = config.clone();
                    let list = Member { path: member.path.clone(), ..member.clone() };
                    with_list(&mut config, &list, &members, json!(texts(count)[shape]));
                    compiled(&config)
                };
                faults.extend(check(&format!("{} shape {shape} {kind}", member.path), &at, base, 2000).err());
            }
        }
    }
    assert_none(&faults);
}

/// The processor's time of `minirun plan`.
fn planned(bundle: &Bundle, config: &Value) -> Duration {
    std::fs::write(bundle.path().join("config.json"), config.to_string()).unwrap();
    let mut command = bundle.command(&["plan", bundle.path().to_str().unwrap()]);
    cpu_time_of(&mut command)
}

#[test]
fn plan_is_linear_in_every_list() {
    let members = members();
    let mut faults = Vec::new();
    let bundle = Bundle::base();
    bundle.write();
    let config = bundle.config().clone();
    let base = least(&|| planned(&bundle, &config));
    for list in lists(&members) {
        for filling in [Valid, Distinct, Wrong] {
            let at = |count| {
                let mut config = config.clone();
                with_list(&mut config, list, &members, filled(list, &members, filling, count).unwrap());
                planned(&bundle, &config)
            };
            faults.extend(check(&format!("{} {filling:?}", list.path), &at, base, 2000).err());
        }
    }
    assert_none(&faults);
}
