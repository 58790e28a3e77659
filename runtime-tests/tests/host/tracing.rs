//! What is told of the steps while and after they are done: `--debug`, `--timings`, `--trace`.

use std::fs;
use std::path::PathBuf;

use runtime_tests::{Bundle, fails_on};
use serde_json::{Value, json};

/// Other runtimes do not have it, which is no fault.
const OWN: [(&str, &str); 2] = [("runc", "minirun's own addition"), ("crun", "minirun's own addition")];

/// What init does by the plan: `mount /proc proc`.
fn planned(bundle: &Bundle) -> Vec<String> {
    bundle.write();
    let path = bundle.path().display().to_string();
    let lines: Vec<Value> = serde_json::from_str(&bundle.call(&["plan", "--json", &path]).success()).unwrap();
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let lines = lines.iter().filter(|line| line["part"] == "init");
    // The plan is made for another id.
    let words = lines.map(|line| format!("{} {}", text(line, "do"), text(line, "subject")));
    words.map(|line| line.replace("_ses.ID", &format!("_ses.{}", bundle.id())).trim_end().to_owned()).collect()
}

struct Trace {
    file: PathBuf,
}

impl Trace {
    fn new(bundle: &Bundle) -> Trace {
        Trace { file: bundle.home().join("trace.json") }
    }

    fn option(&self) -> String {
        format!("--trace={}", self.file.display())
    }

    /// The spans of a lane, in the order of their beginning.
    fn lane(&self, name: &str) -> Vec<Value> {
        let trace: Value = serde_json::from_slice(&fs::read(&self.file).unwrap()).unwrap();
        let events = trace["traceEvents"].as_array().unwrap().clone();
        events.into_iter().filter(|event| event["ph"] == "X" && event["cat"] == name).collect()
    }
}

fn names(spans: &[Value]) -> Vec<&str> {
    spans.iter().map(|span| span["name"].as_str().unwrap()).collect()
}

/// Begin and end, in microseconds.
fn times(span: &Value) -> (f64, f64) {
    let (began, took) = (span["ts"].as_f64().unwrap(), span["dur"].as_f64().unwrap());
    assert!(began >= 0.0 && took >= 0.0, "{span}");
    (began, began + took)
}

#[test]
fn a_trace_has_every_step_of_the_plan_in_its_time() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().args(&["/bin/sleep", "0.3"]);
        let plan = planned(&bundle);
        let trace = Trace::new(&bundle);
        bundle.finish(&mut bundle.command_for("run", &[&trace.option()])).success();
        let init = trace.lane("init");
        assert_eq!(names(&init), plan);
        for pair in init.windows(2) {
            assert!(times(&pair[0]).1 <= times(&pair[1]).0 + 0.001, "{pair:?}");
        }
        let program = &trace.lane("program")[0];
        assert!(times(program).1 - times(program).0 >= 300_000.0, "{program}");
        assert!(times(init.last().unwrap()).1 <= times(program).0 + 0.001);
        let own = trace.lane("minirun");
        let all = names(&own).join("; ");
        for done in ["seal", "read", "compile", "reserve", "cgroup", "clone", "record", "delete"] {
            assert!(names(&own).iter().any(|name| name.starts_with(done)), "{done} is not in {all}");
        }
        assert!(init.iter().chain(&own).all(|span| span["args"]["complete"] == true));
        bundle.assert_nothing_left();
    });
}

#[test]
fn a_time_namespace_does_not_shift_the_times() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().args(&["/bin/true"]).namespace("time", Some(json!({ "type": "time" }))).with(|c| {
            c["linux"]["timeOffsets"] = json!({ "monotonic": { "secs": 86400 }, "boottime": { "secs": 86400 } });
        });
        let trace = Trace::new(&bundle);
        bundle.finish(&mut bundle.command_for("run", &[&trace.option()])).success();
        for span in trace.lane("init") {
            assert!(times(&span).1 < 60.0 * 60.0 * 1e6, "{span}");
        }
    });
}

#[test]
fn a_step_that_fails_is_the_one_that_did_not_end() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().args(&["/bin/true"]).mount("/data", "bind", "/nonexistent", &["bind"]);
        let trace = Trace::new(&bundle);
        let said = bundle.finish(&mut bundle.command_for("run", &[&trace.option(), "--timings"])).failure();
        let unfinished: Vec<Value> =
            trace.lane("init").into_iter().filter(|span| span["args"]["complete"] == false).collect();
        assert_eq!(unfinished.len(), 1, "{unfinished:?}");
        assert!(unfinished[0]["name"].as_str().unwrap().contains("/nonexistent"), "{unfinished:?}");
        assert_eq!(said.lines().filter(|line| line.ends_with("did not end")).count(), 1, "{said}");
        bundle.assert_nothing_left();
    });
}

#[test]
fn timings_are_a_chart_on_standard_error() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().args(&["/bin/echo", "the program's"]);
        let plan = planned(&bundle);
        let output = bundle.finish(bundle.command_for("run", &["--timings"]).env("LC_ALL", "C"));
        assert_eq!(output.stdout, "the program's\n");
        let rows: Vec<&str> = output.stderr.lines().collect();
        assert!(rows[0].trim_start().starts_with("at ms"), "{rows:?}");
        assert!(rows.last().unwrap().ends_with("in all"), "{rows:?}");
        let steps: Vec<&str> = rows.iter().filter(|row| row.contains(" init ")).copied().collect();
        assert_eq!(steps.len(), plan.len(), "{rows:?}");
        for (row, step) in steps.iter().zip(&plan) {
            let verb = step.split(' ').next().unwrap();
            assert!(row.contains(&format!(" init    {verb}")) && row.trim_end().ends_with('#'), "{row} for {step}");
        }
    });
}

#[test]
fn debug_tells_each_step_as_it_begins() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().args(&["/bin/true"]);
        let plan = planned(&bundle);
        let log = bundle.home().join("log.json");
        let words = ["--debug", "--log-format=json", "--log", log.to_str().unwrap(), "run", "--bundle"];
        let path = bundle.path();
        let rest = [path.to_str().unwrap(), bundle.id()];
        bundle.call(&[&words[..], &rest[..]].concat()).success();
        let text = fs::read_to_string(&log).unwrap();
        let messages: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let steps: Vec<String> = messages
            .iter()
            .filter(|message| message["level"] == "debug")
            .filter_map(|message| Some(message["msg"].as_str()?.strip_prefix("init: ")?.to_owned()))
            .collect();
        assert_eq!(steps.len(), plan.len(), "{steps:?}");
        for (said, step) in steps.iter().zip(&plan) {
            assert!(said.starts_with(step.as_str()), "{said} for {step}");
        }
    });
}

#[test]
fn create_start_exec_and_delete_can_be_traced_too() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().probe("pause").with(|c| {
            c["hooks"] = json!({ "createRuntime": [{ "path": "/bin/true" }] });
        });
        let trace = Trace::new(&bundle);
        let output = bundle.home().join("output");
        let mut create = bundle.command_for("create", &[&trace.option()]);
        let file = fs::File::create(&output).unwrap();
        create.stdout(file.try_clone().unwrap()).stderr(file);
        assert!(create.status().unwrap().success());
        assert!(names(&trace.lane("minirun")).contains(&"hook /bin/true"));
        assert_eq!(*names(&trace.lane("init")).last().unwrap(), "await-start");
        let id = bundle.id();
        bundle.call(&["start", &trace.option(), id]).success();
        assert_eq!(names(&trace.lane("minirun")), [format!("start container {id}")]);
        bundle.call(&["exec", &trace.option(), id, "/bin/true"]).success();
        let init = trace.lane("init");
        assert!(names(&init)[0].starts_with("enter-container"), "{init:?}");
        assert_eq!(*names(&init).last().unwrap(), "execute /bin/true");
        assert_eq!(trace.lane("program").len(), 1);
        bundle.call(&["delete", "--force", &trace.option(), id]).success();
        assert_eq!(names(&trace.lane("minirun")), [format!("delete container {id}")]);
        bundle.assert_nothing_left();
    });
}

#[test]
fn a_trace_that_cannot_be_written_is_an_error() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().args(&["/bin/true"]);
        let said = bundle.finish(&mut bundle.command_for("run", &["--trace", "/nonexistent/trace.json"])).failure();
        assert!(said.contains("open trace /nonexistent/trace.json: no such file or directory"), "{said}");
        bundle.assert_nothing_left();
    });
}

#[test]
fn the_program_knows_nothing_of_it() {
    fails_on(&OWN, || {
        let bundle = Bundle::base().args(&["/bin/env"]);
        let seen = bundle.finish(&mut bundle.command_for("run", &["--timings"])).success();
        assert!(seen.contains("PATH=") && !seen.contains("MINIRUN"), "{seen}");
    });
}
