//! `events`: its form and its end. That the numbers are true is tested in limits/events.rs, where all controllers are.

use runtime_tests::{Bundle, Container, Running, fails_on, may_fail_on, read_openmetrics, wait_until};
use serde_json::Value;

fn started(bundle: Bundle) -> Container {
    let container = bundle.create();
    container.start();
    container
}

/// `events` with these options, in the background.
#[track_caller]
fn watched(container: &Container, options: &[&str]) -> Running {
    let bundle = container.bundle();
    let words: Vec<_> = ["events"].iter().chain(options).copied().chain([bundle.id()]).collect();
    Running::start(&mut bundle.command(&words), bundle.home())
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("{value}")).keys().map(String::as_str).collect()
}

const CRUN: (&str, &str) = ("crun", "1.8.1 has no events");
/// Where there is no memory.events it watches nothing at all.
const RUNC: (&str, &str) = ("runc", "wants the memory controller, if not for --stats");

#[test]
fn statistics_are_printed_once_in_the_form_of_runc() {
    let container = started(Bundle::base().probe("spin 600000"));
    fails_on(&[CRUN], || {
        wait_until("time on a processor", || {
            let text = container.call(&["events", "--stats"], &[]).success();
            let (line, rest) = text.split_once('\n').unwrap();
            assert_eq!(rest, "", "one line: {text}");
            let event = parsed(line);
            assert_eq!(keys(&event), ["data", "id", "type"]);
            assert_eq!((&event["type"], &event["id"]), (&"stats".into(), &container.bundle().id().into()));
            let data = &event["data"];
            let sections = ["blkio", "cpu", "cpuset", "hugetlb", "intel_rdt", "memory", "network_interfaces", "pids"];
            assert_eq!(keys(data), sections);
            assert!(data["network_interfaces"].is_null() && data["hugetlb"].is_object(), "{data}");
            // This file is in every cgroup, with and without the cpu controller.
            let usage = &data["cpu"]["usage"];
            let number = |key: &str| usage[key].as_u64().unwrap_or_else(|| panic!("{key}: {data}"));
            let (kernel, user) = (number("kernel"), number("user"));
            usage["total"].as_u64().is_some_and(|total| total > 10_000_000 && total.abs_diff(kernel + user) < 10_000)
        });
    });
}

#[test]
fn what_has_no_file_has_no_number() {
    let container = started(Bundle::base().probe("pause"));
    fails_on(&[CRUN, ("runc", "1.1 knows no pressure, and counts processes itself")], || {
        let event = parsed(&container.call(&["events", "--stats"], &[]).success());
        for (file, pointer) in [
            ("memory.current", "/data/memory/usage"),
            ("memory.stat", "/data/memory/raw"),
            ("pids.current", "/data/pids/current"),
            ("cpuset.cpus.effective", "/data/cpuset/cpus"),
            ("cpu.pressure", "/data/cpu/psi/some/total"),
            ("memory.pressure", "/data/memory/psi/some/total"),
            ("io.pressure", "/data/blkio/psi/some/total"),
        ] {
            // With psi=0 the files are there and cannot be read.
            let readable = std::fs::read(container.cgroup().join(file)).is_ok();
            assert_eq!(event.pointer(pointer).is_some(), readable, "{file}: {event}");
        }
    });
}

#[test]
fn statistics_come_at_intervals_until_the_container_stops() {
    let container = started(Bundle::base().probe("pause"));
    may_fail_on(&[CRUN, RUNC], || {
        let mut events = watched(&container, &["--interval", "20ms"]);
        wait_until("three lines", || events.stdout().lines().count() >= 3);
        assert!(!events.has_ended());
        container.kill("KILL");
        let text = events.finish().success();
        assert!(text.ends_with('\n') && text.lines().count() >= 3, "{text}");
        for line in text.lines() {
            assert_eq!(parsed(line)["type"], "stats");
        }
    });
}

/// Nothing is printed before the first interval is over.
#[test]
fn the_end_is_noticed_within_an_interval() {
    let container = started(Bundle::base().probe("pause"));
    may_fail_on(&[CRUN, RUNC], || {
        let events = watched(&container, &["--interval=1000h"]);
        container.kill("KILL");
        assert_eq!(events.finish().success(), "");
    });
}

#[test]
fn a_container_that_is_deleted_ends_it() {
    let container = started(Bundle::base().probe("pause"));
    may_fail_on(&[CRUN, RUNC], || {
        let mut events = watched(&container, &["--interval", "5ms"]);
        wait_until("a line", || !events.stdout().is_empty());
        assert!(!events.has_ended());
        container.call(&["delete", "-f"], &[]).success();
        drop(events.finish().success());
        container.bundle().assert_nothing_left();
    });
}

#[test]
fn created_and_paused_containers_have_statistics() {
    let container = Bundle::base().probe("pause").create();
    may_fail_on(&[CRUN, RUNC], || {
        assert_eq!(parsed(&container.call(&["events", "--stats"], &[]).success())["type"], "stats");
        container.start();
        container.call(&["pause"], &[]).success();
        assert_eq!(parsed(&container.call(&["events", "--stats"], &[]).success())["type"], "stats");
        let mut events = watched(&container, &["--interval", "10ms"]);
        wait_until("a line", || !events.stdout().is_empty());
        assert!(!events.has_ended());
        container.call(&["resume"], &[]).success();
    });
}

#[test]
fn what_does_not_run_has_no_events() {
    let container = started(Bundle::base());
    container.wait_for("stopped");
    fails_on(&[CRUN], || {
        for options in [&["events"][..], &["events", "--stats"]] {
            let message = container.call(options, &[]).failure();
            let words = format!("container with id {} is not running", container.bundle().id());
            assert!(message.contains(&words), "{message}");
        }
        let message = container.bundle().call(&["events", "--stats", "nobody"]).failure();
        assert!(message.contains("does not exist"), "{message}");
    });
}

#[test]
fn bad_arguments_are_refused() {
    let container = started(Bundle::base().probe("pause"));
    let rows: [(&[&str], &str); 8] = [
        (&["--interval", "0"], "must be greater than 0"),
        (&["--interval", "0s"], "must be greater than 0"),
        (&["--interval", "-1s"], "-1s"),
        (&["--interval", "5"], "missing unit in duration \"5\""),
        (&["--interval", "5d"], "unknown unit \"d\" in duration \"5d\""),
        (&["--interval", ""], "invalid duration"),
        (&["--format", "xml"], "json and openmetrics"),
        (&["--frob"], "--frob"),
    ];
    for (options, expected) in rows {
        let words: Vec<_> = ["events"].iter().chain(options).copied().collect();
        let output = container.call(&words, &[]);
        may_fail_on(&[CRUN, ("runc", "has other words")], || {
            assert_eq!((output.status, output.stdout.as_str()), (1, ""), "{options:?}");
            assert!(output.stderr.contains(expected), "{options:?}: {}", output.stderr);
        });
    }
}

#[test]
fn an_exposition_is_printed_once_and_at_intervals() {
    let container = started(Bundle::base().probe("pause"));
    fails_on(&[CRUN, ("runc", "has JSON alone")], || {
        let check = |text: &str| {
            let samples = read_openmetrics(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert!(samples.iter().all(|sample| sample.labels["id"] == container.bundle().id()), "{text}");
            samples.iter().find(|sample| sample.name == "container_cpu_usage_seconds_total").unwrap().value
        };
        check(&container.call(&["events", "--stats", "--format", "openmetrics"], &[]).success());
        let events = watched(&container, &["--interval", "20ms", "-f", "openmetrics"]);
        wait_until("three expositions", || events.stdout().matches("# EOF\n").count() >= 3);
        container.kill("KILL");
        let text = events.finish().success();
        let mut last = 0.0;
        for exposition in text.split_inclusive("# EOF\n") {
            let now = check(exposition);
            assert!(now >= last, "{text}");
            last = now;
        }
    });
}

/// It may watch for weeks.
#[test]
fn watching_needs_no_more_memory_with_time() {
    let container = started(Bundle::base().probe("pause"));
    may_fail_on(&[CRUN, ("runc", "collects garbage when it likes")], || {
        let events = watched(&container, &["--interval", "1ms"]);
        let resident = || {
            let text = std::fs::read_to_string(format!("/proc/{}/statm", events.pid())).unwrap();
            text.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
        };
        wait_until("lines", || events.stdout().lines().count() > 50);
        let before = resident();
        wait_until("more lines", || events.stdout().lines().count() > 500);
        assert!(resident() <= before + 4, "{before} pages, then {}", resident());
        container.kill("KILL");
        drop(events.finish().success());
    });
}
