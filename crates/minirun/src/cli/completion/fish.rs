//! For fish.

use std::fmt::Write as _;

use super::{globals, options, signals};
use crate::cli::command::{Kind, Opt};
use crate::cli::table::COMMANDS;

/// The part that does not depend on the table: what was typed before the word that is completed.
const WALK: &str = r#"
# Is the command the first argument, and the second, if there is one, the number of arguments that it has got?
function __minirun_at
    set -l command ''
    set -l count 0
    set -l skip no
    for word in (commandline -opc)[2..-1]
        if test $skip = yes
            set skip no
        else if string match -q -- '-*=*' $word
            continue
        else if string match -q -- '-?*' $word
            set word (string replace -r -- '^-(?=[^-].)' '--' $word)
            contains -- "$command $word" $__minirun_valued; and set skip yes
        else if test -z "$command"
            set command $word
        else
            set count (math $count + 1)
        end
    end
    test "$command" = "$argv[1]"; or return
    test (count $argv) -lt 2; or test $count = $argv[2]
end

# The ids of containers, below the state directory that was typed.
function __minirun_containers
    set -l words (commandline -opc)
    set -l root
    for i in (seq 2 (count $words))
        switch $words[$i]
            case --root
                set root --root $words[(math $i + 1)]
            case '--root=*'
                set root --root (string replace -- --root= '' $words[$i])
        end
    end
    $words[1] $root list --quiet 2>/dev/null
end

complete -c minirun -f
"#;

pub fn script() -> String {
    let mut text = String::from("# Completions of minirun for fish: minirun completion fish | source\n");
    text.push_str("set -g __minirun_valued");
    push_valued(&mut text, "", globals());
    COMMANDS.iter().for_each(|command| push_valued(&mut text, command.name, options(command)));
    text.push('\n');
    text.push_str(WALK);
    globals().for_each(|option| push_option(&mut text, "__minirun_at ''", option));
    for command in COMMANDS {
        let summary = quoted(command.summary());
        let _infallible = writeln!(text, "complete -c minirun -n \"__minirun_at ''\" -a {} -d {summary}", command.name);
    }
    for command in COMMANDS {
        // Options behind the id are another program's.
        let at = format!("__minirun_at {}{}", command.name, if command.passes_on { " 0" } else { "" });
        options(command).for_each(|option| push_option(&mut text, &at, option));
        for (i, kind) in command.takes.iter().enumerate() {
            let at = quoted(&format!("__minirun_at {} {i}", command.name));
            let _infallible = writeln!(text, "complete -c minirun -n {at} {}", values(*kind));
        }
    }
    text
}

fn push_valued<'a>(text: &mut String, command: &str, options: impl Iterator<Item = &'a Opt>) {
    for option in options.filter(|option| option.value.is_some()) {
        for spelling in option.spellings() {
            let _infallible = write!(text, " {}", quoted(&format!("{command} {spelling}")));
        }
    }
}

fn push_option(text: &mut String, at: &str, option: &Opt) {
    let short = option.short.map_or(String::new(), |letter| format!(" -s {letter}"));
    let value = option.value.map_or(String::new(), |value| format!(" -r {}", values(value.kind)));
    let (at, help) = (quoted(at), quoted(option.help));
    let _infallible = writeln!(text, "complete -c minirun -n {at}{short} -l {}{value} -d {help}", option.long);
}

fn values(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Number => "-f".to_owned(),
        Kind::File => "-F".to_owned(),
        Kind::Directory => "-f -a '(__fish_complete_directories)'".to_owned(),
        Kind::Container => "-f -a '(__minirun_containers)'".to_owned(),
        Kind::Choice(words) => format!("-f -a '{}'", words.join(" ")),
        Kind::Signal => format!("-f -a '{}'", signals()),
        Kind::Command => {
            format!("-f -a '{}'", COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>().join(" "))
        }
    }
}

/// A text within single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}
