//! Manual pages, made from the table, in the macros of man(7).

use std::fmt::Write as _;

use super::Globals;
use super::command::{Command, Group, Opt};
use super::option::Options as _;
use super::table::COMMANDS;

/// When the texts changed last; it stands at the foot of each page.
const DATE: &str = "2026-11-29";

const DESCRIPTION: &str = "minirun executes OCI bundles. A bundle is a directory with a root file system and a \
    config.json in the form of the OCI runtime specification. minirun creates the namespaces, mounts, cgroup and limits \
    that the configuration asks for, and executes its program in them. Container engines such as containerd and podman \
    call it instead of runc. Without an engine, minirun run is enough.\n\
    A container has an id, which other commands refer to, and one of the statuses creating, created, running, paused and \
    stopped. create, start and delete take a container through its life, or run alone.\n\
    Global options come before the command, options of a command after it. A long option can have one dash or two. Its \
    value follows as the next word or after an equals sign. If an option is repeated, the last value counts, unless the \
    description says that the option can be repeated.\n\
    With --log, errors are also printed on standard error, in one line. NAME in syslog:NAME and journald:NAME is the \
    identifier of the messages. To log to a file with such a name, write ./syslog:NAME.";

const FILES: &[(&str, &str)] = &[
    (
        "/run/minirun",
        "The state directory, with a directory for each container. Users other than root need --root or \
      XDG_RUNTIME_DIR.",
    ),
    ("BUNDLE/config.json", "The configuration of a container."),
    ("/sys/fs/cgroup", "The mount point of cgroup v2."),
];

const ENVIRONMENT: &[(&str, &str)] =
    &[("XDG_RUNTIME_DIR", "The directory that holds the state directory of a user other than root.")];

const EXIT: &str = "0 on success, and 1 with a message on standard error on failure. run and exec exit with the status of \
    the process in the container.";

const EXAMPLE: &str = "mkdir -p bundle/rootfs\n\
    podman export $(podman create busybox) | tar -x -C bundle/rootfs\n\
    minirun spec -b bundle\n\
    minirun plan bundle/\n\
    sudo minirun run bundle/";

/// `minirun.8`.
pub fn overview() -> String {
    let mut page = head("minirun", "execute OCI bundles");
    page.section("SYNOPSIS");
    page.line(&marked("minirun [OPTIONS] COMMAND ..."));
    page.section("DESCRIPTION");
    page.paragraphs(DESCRIPTION);
    page.section("COMMANDS");
    for (group, heading) in Group::ALL {
        page.line(&format!(".SS {}", escaped(heading)));
        for command in COMMANDS.iter().filter(|command| command.group == *group) {
            page.item(&marked(&command.synopsis()), command.summary());
        }
    }
    page.section("OPTIONS");
    Globals::ALL.iter().for_each(|option| page.option(option));
    page.item(r"\fB\-v\fR, \fB\-\-version\fR", "print the versions of the program and of the specification");
    page.item(r"\fB\-h\fR, \fB\-\-help\fR", "print help; after a command, its options and an example");
    page.section("FILES");
    FILES.iter().for_each(|(path, text)| page.item(&format!(r"\fI{}\fR", escaped(path)), text));
    page.section("ENVIRONMENT");
    ENVIRONMENT.iter().for_each(|(name, text)| page.item(&format!(r"\fB{}\fR", escaped(name)), text));
    page.section("EXIT STATUS");
    page.paragraphs(EXIT);
    page.example(EXAMPLE);
    page.see_also(COMMANDS.iter(), &["crun(1)", "runc(8)", "cgroups(7)", "namespaces(7)"]);
    page.0
}

/// `minirun-COMMAND.8`.
pub fn of_command(command: &Command) -> String {
    let mut page = head(&format!("minirun-{}", command.name), &uncapitalized(command.summary()));
    page.section("SYNOPSIS");
    page.line(&format!(r"\fBminirun {}\fR {}", command.name, marked(command.usage)).replace("\\fR \n", "\\fR\n"));
    page.section("DESCRIPTION");
    page.paragraphs(command.help);
    page.line(".PP");
    page.paragraphs(command.details);
    if !command.action.options.is_empty() {
        page.section("OPTIONS");
        command.action.options.iter().for_each(|option| page.option(option));
    }
    page.section("EXIT STATUS");
    page.paragraphs(command.exit);
    page.example(command.example);
    let related = COMMANDS.iter().filter(|other| other.group == command.group && other.name != command.name);
    page.see_also(related, &["minirun(8)"]);
    page.0
}

/// A page as far as it is written.
struct Page(String);

fn head(name: &str, summary: &str) -> Page {
    let version = env!("CARGO_PKG_VERSION");
    Page(format!(
        ".TH {} 8 {DATE} \"minirun {version}\" \"OCI containers\"\n.SH NAME\n{} \\- {}\n",
        escaped(&name.to_uppercase()),
        escaped(name),
        escaped(summary)
    ))
}

impl Page {
    fn line(&mut self, line: &str) {
        let _infallible = writeln!(self.0, "{}", line.trim_end());
    }

    fn section(&mut self, heading: &str) {
        self.line(&format!(".SH {heading}"));
    }

    /// Paragraphs, one a line; each sentence in a line of its own, by which roff knows its end.
    fn paragraphs(&mut self, text: &str) {
        let paragraphs: Vec<String> = text.split('\n').map(|text| marked(text).replace(". ", ".\n")).collect();
        self.line(&paragraphs.join("\n.PP\n"));
    }

    fn item(&mut self, tag: &str, text: &str) {
        self.line(&format!(".TP\n{tag}\n{}", marked(text)));
    }

    fn option(&mut self, option: &Opt) {
        let spellings = option.spellings().iter().map(|one| marked(one)).collect::<Vec<_>>().join(", ");
        let value = option.value.map_or(String::new(), |value| format!(r" \fI{}\fR", escaped(value.name)));
        self.item(&format!("{spellings}{value}"), option.help);
    }

    fn example(&mut self, text: &str) {
        self.section("EXAMPLES");
        self.line(&format!(".nf\n{}\n.fi", escaped(text)));
    }

    fn see_also<'a>(&mut self, commands: impl Iterator<Item = &'a Command>, others: &[&str]) {
        self.section("SEE ALSO");
        let pages = commands.map(|command| format!("minirun-{}(8)", command.name));
        let pages: Vec<String> = pages.chain(others.iter().map(|page| (*page).to_owned())).collect();
        let marked = pages.iter().map(|page| page.split_once('(').unwrap_or((page, "")));
        let marked: Vec<String> = marked.map(|(name, rest)| format!(r"\fB{}\fR({rest}", escaped(name))).collect();
        self.line(&marked.join(",\n"));
    }
}

/// A text in which options are bold and the names of values are in italics.
fn marked(text: &str) -> String {
    text.split(' ').map(marked_word).collect::<Vec<_>>().join(" ")
}

fn marked_word(word: &str) -> String {
    let inner = word.trim_matches(|c: char| "[](),.;:|".contains(c));
    let font = match inner {
        _ if inner.len() > 1 && inner.starts_with('-') && !inner[1..].starts_with(|c: char| c.is_ascii_digit()) => 'B',
        _ if inner == "minirun" => 'B',
        _ => return prose(word),
    };
    let start = word.find(inner).unwrap_or(0);
    let (before, after) = (&word[..start], &word[start + inner.len()..]);
    format!(r"{}\f{font}{}\fR{}", escaped(before), escaped(inner), escaped(after))
}

/// A literal text: its dashes are those of a keyboard, not those of a typesetter.
fn escaped(text: &str) -> String {
    prose(text).replace('-', r"\-")
}

/// A text in which nothing is taken for a request to roff.
fn prose(text: &str) -> String {
    let text = text.replace('\\', r"\e").replace('\'', r"\(aq");
    let guarded = text.lines().map(|line| if line.starts_with('.') { format!(r"\&{line}") } else { line.to_owned() });
    guarded.collect::<Vec<_>>().join("\n")
}

fn uncapitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}
