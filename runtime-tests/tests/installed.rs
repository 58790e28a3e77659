//! What `make install` puts into a system: the program, manual pages and completions, read by the programs they are for,
//! and what container engines look for (tests/engines.rs has those).
//! Needs no privilege, but make, gzip, bash, zsh, fish, mandoc, groff and man.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use runtime_tests::Runtime;

/// Gives what a shell offers for a line.
type Shell = fn(&Installed, &str) -> String;

/// A directory with an installation, and with a state directory that holds two ids.
struct Installed(PathBuf);

impl Installed {
    #[track_caller]
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("installed-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let home = std::env::temp_dir().join(name);
        for id in ["web", "db"] {
            fs::create_dir_all(home.join("state").join(id)).unwrap();
        }
        let installed = Installed(home);
        installed.make("install");
        installed
    }

    #[track_caller]
    fn make(&self, target: &str) {
        let command = Runtime::from_env().command(Path::new("/"));
        let program = fs::canonicalize(command.get_program()).expect("minirun has to be built");
        let mut make = Command::new("make");
        make.arg("-C").arg(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
        make.arg(target).arg(format!("minirun={}", program.display())).arg(format!("DESTDIR={}", self.0.display()));
        says(make.arg("PREFIX=/usr"));
    }

    fn file(&self, path: &str) -> PathBuf {
        self.0.join("usr").join(path)
    }

    /// The manual pages, unpacked.
    fn pages(&self) -> Vec<PathBuf> {
        let packed = fs::read_dir(self.file("share/man/man8")).unwrap();
        let mut packed: Vec<_> = packed.map(|entry| entry.unwrap().path()).collect();
        packed.sort();
        says(Command::new("gzip").args(["-dk"]).args(&packed));
        packed.iter().map(|path| path.with_extension("")).collect()
    }

    /// What a shell offers for the end of a line, in which `STATE` is the state directory.
    fn offers(&self, shell: Shell, line: &str) -> Vec<String> {
        let text = shell(self, &line.replace("STATE", self.0.join("state").to_str().unwrap()));
        let mut words: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
        words.sort_unstable();
        words.dedup();
        words.into_iter().map(str::to_owned).collect()
    }

    fn bash(&self, line: &str) -> String {
        let script = r#"
            set -e; source "$1"; set +e
            read -ra COMP_WORDS <<<"${2//=/ = }"
            [[ $2 == *[\ =] ]] && COMP_WORDS+=('')
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            "$(complete -p minirun | sed 's/.*-F \([^ ]*\) .*/\1/')"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let completions = self.file("share/bash-completion/completions/minirun");
        says(self.shell("bash").args(["--norc", "-c", script, "bash"]).arg(completions).arg(line))
    }

    fn fish(&self, line: &str) -> String {
        let completions = self.file("share/fish/vendor_completions.d/minirun.fish");
        let script = "source $argv[1]; complete -C $argv[2]";
        // An option joined to its value is offered as a whole.
        says(self.shell("fish").args(["--no-config", "-c", script]).arg(completions).arg(line)).replace("--format=", "")
    }

    /// The line is typed into an interactive shell on a terminal of its own; what compsys adds is written down.
    fn zsh(&self, line: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let seen = self.0.join(format!("seen{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let inner = seen.with_extension("zsh");
        let setup = r#"
            fpath=(SITE $fpath)
            autoload -Uz compinit && compinit -u -D
            compadd() {
                local -a __seen
                builtin compadd -O __seen "$@"
                (($#__seen)) && print -rl -- $__seen >>SEEN
                builtin compadd "$@"
            }
            complete-and-leave() { _main_complete; print -r -- END >>SEEN; exit }
            zle -C complete-and-leave list-choices complete-and-leave
            bindkey '^I' complete-and-leave
        "#;
        let site = self.file("share/zsh/site-functions");
        let setup = setup.replace("SITE", site.to_str().unwrap()).replace("SEEN", seen.to_str().unwrap());
        fs::write(&inner, setup).unwrap();
        let script = r#"
            zmodload zsh/zpty && zpty shell zsh -f -i || exit
            zpty -w shell "source $1"
            zpty -w -n shell "$2"$'\t'
            while zpty -r shell output; do :; done"#;
        says(self.shell("timeout").args(["60", "zsh", "-f", "-c", script, "zsh"]).arg(&inner).arg(line));
        let seen = fs::read_to_string(seen).unwrap_or_default();
        seen.strip_suffix("END\n").unwrap_or_else(|| panic!("zsh did not complete {line:?}: {seen}")).to_owned()
    }

    /// A shell that finds the installed program.
    fn shell(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("PATH", format!("{}:{}", self.file("bin").display(), std::env::var("PATH").unwrap_or_default()));
        command.env("HOME", &self.0).env("TERM", "dumb").env_remove("ZDOTDIR").current_dir(&self.0);
        command
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Standard output of a program that must succeed and say nothing on standard error.
#[track_caller]
fn says(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The same in every shell.
#[track_caller]
fn in_every_shell(line: &str, check: impl Fn(&[String]) -> bool) {
    let installed = Installed::new();
    let shells: [(&str, Shell); 3] = [("bash", Installed::bash), ("zsh", Installed::zsh), ("fish", Installed::fish)];
    for (name, shell) in shells {
        let offers = installed.offers(shell, line);
        assert!(check(&offers), "{name} offers {offers:?} for {line:?}");
    }
}

#[test]
fn shells_complete_commands() {
    in_every_shell("minirun ", |offers| {
        ["run", "create", "kill", "completion"].iter().all(|name| offers.iter().any(|offer| offer == name))
    });
    in_every_shell("minirun star", |offers| offers == ["start"]);
    in_every_shell("minirun help sta", |offers| offers == ["start", "state"]);
}

#[test]
fn shells_complete_options_of_the_command_and_of_the_whole() {
    in_every_shell("minirun --log-f", |offers| offers == ["--log-format"]);
    in_every_shell("minirun run --pid", |offers| offers == ["--pid-file", "--pidfd-socket"]);
    in_every_shell("minirun --root STATE exec --ignore", |offers| offers == ["--ignore-paused"]);
    in_every_shell("minirun start --pid", <[String]>::is_empty);
}

#[test]
fn shells_complete_ids_below_the_root_that_was_typed() {
    in_every_shell("minirun --root STATE kill ", |offers| offers == ["db", "web"]);
    in_every_shell("minirun --root=STATE delete --force w", |offers| offers == ["web"]);
    in_every_shell("minirun --root STATE exec --cwd /tmp --tty ", |offers| offers == ["db", "web"]);
    in_every_shell("minirun --root STATE state web ", |offers| !offers.iter().any(|offer| offer == "db"));
}

#[test]
fn shells_complete_words_and_signals() {
    in_every_shell("minirun --log-format ", |offers| offers == ["json", "text"]);
    in_every_shell("minirun list --format=", |offers| offers == ["json", "table"]);
    in_every_shell("minirun --root STATE kill web HU", |offers| offers == ["HUP"]);
    in_every_shell("minirun completion ", |offers| offers == ["bash", "fish", "zsh"]);
}

#[test]
fn shells_complete_files_and_directories() {
    let named = |offers: &[String], name: &str| offers.iter().any(|offer| offer.trim_end_matches('/') == name);
    // zsh adds the last component alone.
    in_every_shell("minirun run --bundle /et", |offers| named(offers, "/etc") || named(offers, "etc"));
    in_every_shell("minirun run --pid-file /etc/passw", |offers| {
        named(offers, "/etc/passwd") || named(offers, "passwd")
    });
}

#[test]
fn shells_leave_the_arguments_of_another_program_alone() {
    in_every_shell("minirun --root STATE exec web --", <[String]>::is_empty);
    in_every_shell("minirun --root STATE ps web -", <[String]>::is_empty);
}

#[test]
fn mandoc_and_groff_have_nothing_to_say_about_the_pages() {
    let installed = Installed::new();
    let pages = installed.pages();
    assert!(pages.len() > 15, "{pages:?}");
    for page in pages {
        assert_eq!(says(Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&page)), "");
        assert!(says(Command::new("groff").args(["-ww", "-man", "-Tutf8"]).arg(&page)).len() > 100);
    }
}

#[test]
fn man_finds_the_installed_pages() {
    let installed = Installed::new();
    for (page, text) in [("minirun", "execute OCI bundles"), ("minirun-run", "--no-pivot")] {
        let mut man = Command::new("man");
        man.env("MANPATH", installed.file("share/man")).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
        let shown = says(man.args(["--warnings", "--pager=cat", "8", page]));
        assert!(shown.replace('\u{2010}', "-").contains(text), "{shown}");
    }
}

#[test]
fn every_page_that_a_page_names_is_there() {
    let installed = Installed::new();
    let pages = installed.pages();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for name in text.lines().filter_map(|line| line.strip_prefix(r"\fBminirun\-")?.split_once(r"\fR(8)")) {
            let named = page.with_file_name(format!("minirun-{}.8", name.0));
            assert!(pages.contains(&named), "{} names {}", page.display(), named.display());
        }
    }
}

#[test]
fn engines_find_the_program_where_it_is() {
    let installed = Installed::new();
    let program = fs::canonicalize(installed.file("bin/minirun")).unwrap();
    assert_eq!(
        fs::canonicalize(installed.file("lib/minirun/runc")).unwrap(),
        program,
        "by the name that BuildKit calls"
    );
    let podman = fs::read_to_string(installed.0.join("etc/containers/containers.conf.d/minirun.conf")).unwrap();
    assert!(podman.lines().any(|line| line == "minirun = [\"/usr/bin/minirun\"]"), "{podman}");
}

#[test]
fn uninstall_leaves_no_file() {
    let installed = Installed::new();
    assert!(installed.file("bin/minirun").is_file());
    installed.make("uninstall");
    let left = says(Command::new("find").arg(&installed.0).args(["!", "-type", "d"]));
    assert_eq!(left, "");
    assert!(!installed.file("lib/minirun").exists());
}
