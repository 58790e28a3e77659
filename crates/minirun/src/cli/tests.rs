//! What engines rely on in the command line, and what the texts are made from.

use super::*;
use minirun_container::options::CgroupManager;

fn call(words: &[&str]) -> Result<Call> {
    match read(words.iter().map(OsString::from))? {
        Asked::Text(text) => bail!("text: {text}"),
        Asked::Todo(line) => match line.call()? {
            Asked::Text(text) => bail!("text: {text}"),
            Asked::Todo(call) => Ok(call),
        },
    }
}

fn text(words: &[&str]) -> String {
    let message = call(words).unwrap_err().to_string();
    message.strip_prefix("text: ").unwrap_or_else(|| panic!("{words:?}: {message}")).to_owned()
}

/// The values of an option, flags without one included.
fn values(call: &Call, name: &str) -> Vec<Option<String>> {
    assert!(call.command.action.options.iter().any(|option| option.long == name), "{name}");
    let given = call.given.0.iter().filter(|(given, _)| *given == name);
    given.map(|(_, value)| value.as_ref().map(|value| value.to_string_lossy().into_owned())).collect()
}

fn has(call: &Call, name: &str) -> bool {
    !values(call, name).is_empty()
}

fn value(call: &Call, name: &str) -> String {
    values(call, name).pop().flatten().unwrap()
}

#[test]
fn of_a_repeated_global_option_the_last_counts() {
    let call = call(&["--root=/a", "--systemd-cgroup", "--root", "/b", "--systemd-cgroup", "state", "c1"]).unwrap();
    assert_eq!(call.globals.root, Some("/b".into()));
    assert_eq!(call.globals.cgroups().manager, CgroupManager::Systemd);
}

#[test]
fn a_long_option_may_have_one_dash() {
    let call = call(&["-root", "/a", "-log-format=json", "run", "-no-subreaper", "-bundle", "/x", "-keep=true", "c1"]);
    let call = call.unwrap();
    assert_eq!(call.globals.root, Some("/a".into()));
    assert_eq!(call.globals.log_format.as_deref(), Some("json"));
    assert_eq!(value(&call, "bundle"), "/x");
    assert!(has(&call, "no-subreaper") && has(&call, "keep"));
}

#[test]
fn the_first_argument_of_exec_and_ps_ends_the_options() {
    let exec = call(&["exec", "-t", "c1", "java", "-version", "-e", "--help", "-bundle=x"]).unwrap();
    assert_eq!(exec.args, ["c1", "java", "-version", "-e", "--help", "-bundle=x"]);
    assert!(has(&exec, "tty") && !has(&exec, "env"));
    assert_eq!(call(&["ps", "c1", "-ef"]).unwrap().args, ["c1", "-ef"]);
}

#[test]
fn elsewhere_options_may_follow_the_arguments() {
    let kill = call(&["kill", "c1", "--all", "9"]).unwrap();
    assert!(has(&kill, "all"));
    assert_eq!(kill.args, ["c1", "9"]);
}

#[test]
fn a_value_follows_an_equals_sign_or_is_the_next_word() {
    for words in
        [&["update", "--resources=-", "c1"][..], &["update", "--resources", "-", "c1"], &["update", "-r", "-", "c1"]]
    {
        assert_eq!(value(&call(words).unwrap(), "resources"), "-", "{words:?}");
    }
    // A value may look like an option.
    assert_eq!(value(&call(&["exec", "--env", "-root", "c1", "x"]).unwrap(), "env"), "-root");
}

#[test]
fn a_repeated_value_is_not_split_at_commas() {
    let exec = call(&["exec", "--env", "A=1,B=2", "--env=C=3", "c1", "env"]).unwrap();
    assert_eq!(values(&exec, "env"), ["A=1,B=2", "C=3"].map(|value| Some(value.to_owned())));
}

#[test]
fn global_options_come_before_the_command_and_are_not_needed() {
    assert_eq!(call(&["features"]).unwrap().command.name, "features");
    let late = call(&["state", "--root", "/a", "c1"]).err().unwrap().to_string();
    assert!(late.starts_with("flag provided but not defined: --root"), "{late}");
}

#[test]
fn relative_paths_count_from_the_callers_directory() {
    const PATH: option::Typed<Option<std::path::PathBuf>> = option::file("pid-file", "FILE", "");
    let here = std::env::current_dir().unwrap();
    let call = call(&["--root", "r", "create", "--bundle=/b", "--pid-file", "p", "c1"]).unwrap();
    assert_eq!(call.globals.root, Some(here.join("r")));
    assert_eq!(PATH.read(&call.given).unwrap(), Some(here.join("p")));
}

#[test]
fn the_version_has_runcs_lines() {
    let version = text(&["--version"]);
    let lines: Vec<_> = version.lines().collect();
    assert_eq!(lines[0], format!("minirun version {}", env!("CARGO_PKG_VERSION")));
    // Never empty: Docker shows it.
    assert!(lines[1].strip_prefix("commit: ").is_some_and(|commit| !commit.trim().is_empty()), "{version}");
    assert_eq!(lines[2..], ["spec: 1.3.0"]);
}

#[test]
fn checkpoints_are_denied_in_the_words_that_engines_ask_for() {
    let denied = |words: &[&str]| call(words).unwrap_err().to_string();
    assert_eq!(denied(&["checkpoint", "--help"]), "checkpoint is not supported: minirun has no checkpoints");
    assert_eq!(denied(&["restore", "--help"]), "restore is not supported: minirun has no checkpoints");
    let restore = denied(&["restore", "--lsm-mount-context"]);
    assert_eq!(restore, "restore is not supported: minirun has no checkpoints");
}

#[test]
fn flags_can_be_switched_off_by_name() {
    assert!(!has(&call(&["run", "--keep", "--keep=false", "c1"]).unwrap(), "keep"));
    assert!(!has(&call(&["run", "-keep", "-keep=false", "c1"]).unwrap(), "keep"));
}

#[test]
fn what_is_wrong_is_named() {
    for (words, expected) in [
        (&["state"][..], "\"state\" requires exactly 1 argument(s) (usage: minirun state ID)"),
        (&["kill"], "\"kill\" requires a minimum of 1 argument(s) (usage: minirun kill [-a] ID [SIGNAL])"),
        (&["state", "--nope", "c"], "flag provided but not defined: --nope (minirun state --help lists them)"),
        (
            &["run", "--kep", "c"],
            "flag provided but not defined: --kep (did you mean --keep? minirun run --help lists them)",
        ),
        (&["create", "--bundle"], "flag needs an argument: --bundle"),
        (&["frobnicate"], "no such command: \"frobnicate\" (minirun --help lists them)"),
        (&["strat", "c"], "no such command: \"strat\" (did you mean \"start\"?)"),
        (&["list", "--format", "yaml"], "invalid value \"yaml\" for --format (expected one of table, json)"),
        (
            &["--cgroup-manager", "me", "list"],
            "invalid value \"me\" for --cgroup-manager (expected one of cgroupfs, systemd, disabled)",
        ),
    ] {
        assert_eq!(call(words).unwrap_err().to_string(), expected);
    }
    assert_eq!(find("kil").unwrap_err().to_string(), "no such command: \"kil\" (did you mean \"kill\"?)");
}

#[test]
fn help_is_the_same_wherever_it_is_asked_for() {
    let overview = text(&[]);
    assert_eq!(help::overview(), overview);
    for words in [&["--help"][..], &["-h"], &["-help"]] {
        assert_eq!(text(words), overview, "{words:?}");
    }
    for command in COMMANDS {
        let help = help::of_command(command);
        assert_eq!(text(&[command.name, "--help"]), help);
        assert!(overview.contains(&format!("\n  {:<11} {}", command.name, command.summary())));
        assert!(help.contains(command.example) && help.contains("minirun"), "{help}");
        assert!(help.lines().chain(overview.lines()).all(|line| line.chars().count() <= 110), "{help}");
    }
}

#[test]
fn every_option_is_on_its_page_and_in_every_completion() {
    let scripts = ["bash", "zsh", "fish"].map(|shell| completion::script(shell).unwrap());
    for command in COMMANDS {
        let page = man::of_command(command);
        for option in command.action.options {
            let long = option.long.replace('-', r"\-");
            assert!(page.contains(&format!(r"\fB\-\-{long}\fR")), "{} {}", command.name, option.long);
            assert!(scripts.iter().all(|script| script.contains(option.long)), "{}", option.long);
        }
    }
    let page = man::overview();
    for option in Globals::ALL {
        assert!(page.contains(&format!(r"\fB\-\-{}\fR", option.long.replace('-', r"\-"))), "{}", option.long);
    }
}

#[test]
fn the_table_is_complete() {
    for command in COMMANDS {
        let Command { name, takes, arguments, help, details, exit, .. } = command;
        assert!(takes.len() <= arguments.1, "{name}");
        for sentence in [help, details, exit] {
            assert!(sentence.ends_with('.') && !sentence.contains("  "), "{name}: {sentence}");
        }
        for option in command.action.options {
            assert!(!option.help.ends_with('.') && !option.help.is_empty(), "{name} {}", option.long);
        }
    }
}

#[test]
fn commands_that_this_build_lacks_are_named() {
    for (name, why) in table::ABSENT {
        let error = call(&[name]).unwrap_err().to_string();
        assert_eq!(error, format!("no such command: {name:?} ({why})"));
        assert!(!help::overview().contains(&format!("\n  {name} ")), "{name}");
    }
}
