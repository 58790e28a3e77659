//! Every command on a container in every state: the exit status, the words and the state afterwards.

use runtime_tests::{Bundle, Runtime, wait_until};

/// The states, of which the first is that there is no container.
const STATES: [&str; 5] = ["missing", "created", "running", "paused", "stopped"];

/// The exit status, a part of the message, and the state afterwards.
type Answer = (i32, &'static str, &'static str);

/// A command with its words, `ID` for the container's; one answer for each of the states.
type Row = (&'static [&'static str], [Answer; 5]);

const GONE: Answer = (1, "container does not exist", "missing");
const TAKEN: &str = "container with given ID already exists";

#[rustfmt::skip]
const ROWS: [Row; 15] = [
    (&["create", "ID"], [
        (0, "", "created"), (1, TAKEN, "created"), (1, TAKEN, "running"), (1, TAKEN, "paused"), (1, TAKEN, "stopped"),
    ]),
    (&["start", "ID"], [
        GONE, (0, "", "running"), (1, "cannot start an already running container", "running"),
        (1, "cannot start a container in the paused state", "paused"),
        (1, "cannot start a container that has stopped", "stopped"),
    ]),
    (&["exec", "ID", "/bin/true"], [
        (255, "container does not exist", "missing"), (0, "", "created"), (0, "", "running"),
        (255, "cannot exec in a paused container (use --ignore-paused to override)", "paused"),
        (255, "cannot exec in a stopped container", "stopped"),
    ]),
    (&["kill", "ID", "0"], [
        GONE, (0, "", "created"), (0, "", "running"), (0, "", "paused"), (1, "container not running", "stopped"),
    ]),
    (&["kill", "ID", "KILL"], [
        GONE, (0, "", "stopped"), (0, "", "stopped"), (0, "", "stopped"), (1, "container not running", "stopped"),
    ]),
    (&["kill", "--all", "ID", "9"], [
        GONE, (0, "", "stopped"), (0, "", "stopped"), (0, "", "stopped"), (0, "", "stopped"),
    ]),
    (&["delete", "ID"], [
        GONE, (0, "", "missing"), (1, "that is not stopped: running", "running"),
        (1, "that is not stopped: paused", "paused"), (0, "", "missing"),
    ]),
    (&["delete", "--force", "ID"], [
        (0, "", "missing"), (0, "", "missing"), (0, "", "missing"), (0, "", "missing"), (0, "", "missing"),
    ]),
    (&["pause", "ID"], [
        GONE, (0, "", "paused"), (0, "", "paused"), (1, "container not running", "paused"),
        (1, "container not running", "stopped"),
    ]),
    (&["resume", "ID"], [
        GONE, (1, "container not paused", "created"), (1, "container not paused", "running"), (0, "", "running"),
        (1, "container not paused", "stopped"),
    ]),
    (&["update", "ID"], [
        GONE, (0, "", "created"), (0, "", "running"), (0, "", "paused"), (1, "container not running", "stopped"),
    ]),
    (&["ps", "--format", "json", "ID"], [
        GONE, (0, "", "created"), (0, "", "running"), (0, "", "paused"), (0, "", "stopped"),
    ]),
    (&["state", "ID"], [GONE, (0, "", "created"), (0, "", "running"), (0, "", "paused"), (0, "", "stopped")]),
    (&["list", "--format", "json"], [
        // A state directory that was named and is not there is a mistake.
        (1, "no such file or directory", "missing"), (0, "", "created"), (0, "", "running"), (0, "", "paused"),
        (0, "", "stopped"),
    ]),
    (&["features"], [
        (0, "", "missing"), (0, "", "created"), (0, "", "running"), (0, "", "paused"), (0, "", "stopped"),
    ]),
];

/// Where another runtime answers otherwise: its name, the command, the state (all if empty), and why that is wrong.
/// crun 1.8.1 has words of its own everywhere, which are not compared.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    ("crun", "exec", "missing", "answers 1: that could be the status of the process"),
    ("crun", "exec", "paused", "likewise"),
    ("crun", "exec", "stopped", "likewise"),
    ("crun", "pause", "created", "shows it as created, though it is frozen, and would start it in vain"),
    ("crun", "pause", "paused", "takes it for done; runc and the engines' tests expect an error"),
    ("crun", "resume", "created", "likewise"),
    ("crun", "resume", "running", "likewise"),
    ("crun", "update", "stopped", "there is nothing left to update"),
    ("crun", "ps", "missing", "answers 253"),
    ("crun", "ps", "stopped", "crashes"),
    ("runc", "list", "missing", "1.1 makes the directory that is missing"),
    ("crun", "list", "missing", "likewise"),
    ("crun", "features", "missing", "is older than this command"),
    ("crun", "features", "created", "likewise"),
    ("crun", "features", "running", "likewise"),
    ("crun", "features", "paused", "likewise"),
    ("crun", "features", "stopped", "likewise"),
];

fn status(bundle: &Bundle) -> String {
    let output = bundle.call(&["state", bundle.id()]);
    let state: serde_json::Value = serde_json::from_str(&output.stdout).unwrap_or_default();
    state["status"].as_str().unwrap_or("missing").to_owned()
}

/// A container in this state.
fn in_state(state: &str) -> Bundle {
    let bundle = Bundle::base().probe("pause");
    bundle.write();
    let lead: &[&[&str]] = match state {
        "missing" => &[],
        "created" => &[&["create"]],
        "running" => &[&["create"], &["start"]],
        "paused" => &[&["create"], &["start"], &["pause"]],
        _ => &[&["create"], &["start"], &["kill"]],
    };
    for words in lead {
        match words[0] {
            "create" => bundle.try_create(),
            "kill" => bundle.call(&["kill", bundle.id(), "KILL"]),
            word => bundle.call(&[word, bundle.id()]),
        }
        .success();
    }
    wait_until(state, || status(&bundle) == state);
    bundle
}

/// How the answer differs; none if it does not.
fn fault(bundle: &Bundle, words: &[&str], (code, text, after): Answer) -> Option<String> {
    let words: Vec<_> = words.iter().map(|word| if *word == "ID" { bundle.id() } else { word }).collect();
    let output = match words[0] {
        "create" => bundle.try_create(),
        _ => bundle.call(&words),
    };
    // A killed process takes a moment.
    let patient = after == "stopped" && output.status == 0;
    let became = |state: &str| {
        (0..if patient { 100 } else { 1 }).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(if patient { 10 } else { 0 }));
            status(bundle) == state
        })
    };
    let right =
        output.status == code && (output.stderr.contains(text) || bundle.runtime().name() == "crun") && became(after);
    (!right).then(|| format!("{}, {}, {:?}", output.status, status(bundle), output.stderr.trim()))
}

#[test]
fn every_command_in_every_state() {
    let runtime = Runtime::from_env();
    let mut faults = Vec::new();
    for (words, answers) in ROWS {
        for (state, answer) in STATES.iter().zip(answers) {
            let bundle = in_state(state);
            let found = fault(&bundle, words, answer);
            let known = DIFFERENCES.iter().find(|(name, command, at, _)| {
                *name == runtime.name() && words.join(" ").starts_with(command) && at == state
            });
            match (found, known) {
                (Some(found), None) => faults.push(format!("{words:?} when {state}: {answer:?} became {found}")),
                (None, Some((_, _, _, why))) => {
                    faults.push(format!("{words:?} when {state}: the note is out of date: {why}"));
                }
                _ => {}
            }
            bundle.call(&["delete", "--force", bundle.id()]).success();
            if runtime.is_minirun() {
                bundle.assert_nothing_left();
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
