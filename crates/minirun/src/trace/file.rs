//! A trace in the JSON that Chrome's about:tracing and Perfetto read ("Trace Event Format").

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use minirun_sys as sys;
use serde_json::{Value, json};

use super::{Event, Lane};

/// Opens the file, of which nothing stays that was there. A pipe is opened only if somebody reads it.
pub fn open(path: &Path) -> Result<File> {
    let options = File::options().write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK).open(path);
    options.with_context(|| format!("open trace {}", path.display()))
}

/// Writes the events.
pub fn write(mut file: File, events: &[Event]) -> std::io::Result<()> {
    file.write_all(format!("{:#}\n", document(events, sys::now())).as_bytes())
}

/// Times are microseconds, with three decimals; each lane is a thread of one process.
fn document(events: &[Event], now: u64) -> Value {
    let lanes = [Lane::Minirun, Lane::Init, Lane::Program];
    let number = |lane: Lane| lanes.iter().position(|other| *other == lane).unwrap_or(0) + 1;
    let names = lanes.iter().map(|lane| {
        json!({ "ph": "M", "name": "thread_name", "pid": 1, "tid": number(*lane), "args": { "name": lane.name() } })
    });
    let first = events.iter().map(|event| event.began).min().unwrap_or(0);
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    let spans = events.iter().map(|event| {
        let took = event.ended.unwrap_or(now).saturating_sub(event.began);
        json!({
            "ph": "X", "pid": 1, "tid": number(event.lane), "cat": event.lane.name(),
            "name": format!("{} {}", event.verb, event.subject).trim_end(),
            "ts": micros(event.began - first), "dur": micros(took),
            "args": { "origin": event.origin, "complete": event.ended.is_some() },
        })
    });
    json!({ "displayTimeUnit": "ms", "traceEvents": names.chain(spans).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_spans_in_their_lanes() {
        let mut done = Event::new(Lane::Init, "mount", "tmpfs at /dev".to_owned(), "mounts[1]", 2_000_500);
        done.ended = Some(2_003_500);
        let failed = Event::new(Lane::Minirun, "read", "config.json".to_owned(), "", 2_000_000);
        let document = document(&[failed, done], 2_009_000);
        let spans: Vec<&Value> =
            document["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!((&spans[0]["ts"], &spans[0]["dur"]), (&json!(0.0), &json!(9.0)));
        assert_eq!(spans[0]["args"]["complete"], false);
        assert_eq!((&spans[1]["ts"], &spans[1]["dur"], &spans[1]["tid"]), (&json!(0.5), &json!(3.0), &json!(2)));
        assert_eq!(spans[1]["name"], "mount tmpfs at /dev");
        assert_eq!(spans[1]["args"]["origin"], "mounts[1]");
    }
}
