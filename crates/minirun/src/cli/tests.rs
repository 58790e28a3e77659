//! What engines rely on in the command line, and what the texts are made from.

use super::*;

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

#[test]
fn of_a_repeated_global_option_the_last_counts() {
    let call = call(&["--root=/a", "--systemd-cgroup", "--root", "/b", "--systemd-cgroup", "state", "c1"]).unwrap();
    assert_eq!(call.globals.text("root").as_deref(), Some("/b"));
    assert_eq!(call.globals.cgroup_manager(), "systemd");
}

#[test]
fn a_long_option_may_have_one_dash() {
    let call = call(&["-root", "/a", "-log-format=json", "run", "-no-subreaper", "-bundle", "/x", "-keep=true", "c1"]);
    let call = call.unwrap();
    assert_eq!(call.globals.text("root").as_deref(), Some("/a"));
    assert_eq!(call.globals.text("log-format").as_deref(), Some("json"));
    assert_eq!(call.text("bundle").as_deref(), Some("/x"));
    assert!(call.has("no-subreaper") && call.has("keep"));
}

#[test]
fn the_first_argument_of_exec_and_ps_ends_the_options() {
    let exec = call(&["exec", "-t", "c1", "java", "-version", "-e", "--help", "-bundle=x"]).unwrap();
    assert_eq!(exec.args, ["c1", "java", "-version", "-e", "--help", "-bundle=x"]);
    assert!(exec.has("tty") && !exec.has("env"));
    assert_eq!(call(&["ps", "c1", "-ef"]).unwrap().args, ["c1", "-ef"]);
}

#[test]
fn elsewhere_options_may_follow_the_arguments() {
    let kill = call(&["kill", "c1", "--all", "9"]).unwrap();
    assert!(kill.has("all"));
    assert_eq!(kill.args, ["c1", "9"]);
}

#[test]
fn a_value_follows_an_equals_sign_or_is_the_next_word() {
    for words in
        [&["update", "--resources=-", "c1"][..], &["update", "--resources", "-", "c1"], &["update", "-r", "-", "c1"]]
    {
        assert_eq!(call(words).unwrap().text("resources").as_deref(), Some("-"), "{words:?}");
    }
    // A value may look like an option.
    assert_eq!(call(&["exec", "--env", "-root", "c1", "x"]).unwrap().text("env").as_deref(), Some("-root"));
}

#[test]
fn a_repeated_value_is_not_split_at_commas() {
    let exec = call(&["exec", "--env", "A=1,B=2", "--env=C=3", "c1", "env"]).unwrap();
    assert_eq!(exec.all("env"), ["A=1,B=2", "C=3"]);
}

#[test]
fn global_options_come_before_the_command_and_are_not_needed() {
    assert_eq!(call(&["features"]).unwrap().command.name, "features");
    let late = call(&["state", "--root", "/a", "c1"]).err().unwrap().to_string();
    assert!(late.starts_with("flag provided but not defined: --root"), "{late}");
}

#[test]
fn relative_paths_count_from_the_callers_directory() {
    let here = std::env::current_dir().unwrap();
    let call =
        call(&["--root", "r", "create", "--bundle=/b", "--pid-file", "p", "--console-socket", "s", "c1"]).unwrap();
    assert_eq!(call.globals.path("root"), Some(here.join("r")));
    assert_eq!(call.path("pid-file"), Some(here.join("p")));
    assert_eq!(call.path("console-socket"), Some(here.join("s")));
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
    assert!(!call(&["run", "--keep", "--keep=false", "c1"]).unwrap().has("keep"));
    assert!(!call(&["run", "-keep", "-keep=false", "c1"]).unwrap().has("keep"));
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
        (&["help", "kil"], "no such command: \"kil\" (did you mean \"kill\"?)"),
        (&["list", "--format", "yaml"], "invalid value \"yaml\" for --format (one of table, json is meant)"),
        (
            &["--cgroup-manager", "me", "list"],
            "invalid value \"me\" for --cgroup-manager (one of cgroupfs, systemd, disabled is meant)",
        ),
    ] {
        assert_eq!(call(words).unwrap_err().to_string(), expected);
    }
}

#[test]
fn help_is_the_same_wherever_it_is_asked_for() {
    let overview = text(&[]);
    for words in [&["--help"][..], &["-h"], &["help"], &["-help"]] {
        assert_eq!(text(words), overview, "{words:?}");
    }
    for command in COMMANDS {
        let help = text(&["help", command.name]);
        assert_eq!(text(&[command.name, "--help"]), help);
        assert!(overview.contains(&format!("\n  {:<11} {}", command.name, command.summary())));
        assert!(help.contains(command.example) && help.contains("minirun"), "{help}");
        assert!(help.lines().chain(overview.lines()).all(|line| line.chars().count() <= 110), "{help}");
    }
}

#[test]
fn every_option_is_on_its_page_and_in_every_completion() {
    let scripts = ["bash", "zsh", "fish"].map(|shell| text(&["completion", shell]));
    for command in COMMANDS {
        let page = text(&["man", command.name]);
        for option in command.options {
            let long = option.long.replace('-', r"\-");
            assert!(page.contains(&format!(r"\fB\-\-{long}\fR")), "{} {}", command.name, option.long);
            assert!(scripts.iter().all(|script| script.contains(option.long)), "{}", option.long);
        }
    }
    let page = text(&["man"]);
    for option in GLOBALS {
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
        for option in command.options {
            assert!(!option.help.ends_with('.') && !option.help.is_empty(), "{name} {}", option.long);
        }
    }
}
