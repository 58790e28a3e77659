//! For zsh: a function for compsys, to be found as `_minirun`.

use std::fmt::Write as _;

use super::{globals, options, quoted, signals};
use crate::cli::command::{Command, Kind, Opt};
use crate::cli::table::COMMANDS;

/// Ids of containers, below the state directory that was typed.
const CONTAINERS: &str = r#"
_minirun_containers() {
	local -a ids
	ids=(${(f)"$(_call_program containers $program $root list --quiet 2>/dev/null)"})
	_describe -t containers container ids
}
"#;

/// The options before the command, and the command; what follows is up to its own function.
const FIRST: &str = r#"
	local context state state_descr line ret=1 i
	local -a root program
	typeset -A opt_args
	# Quoted once more, because _call_program evaluates what it is given.
	program=(${(q)${(Q)words[1]}/#\~/$HOME})
	for ((i = 2; i < CURRENT; i++)); do
		case $words[i] in
		--root) root=(--root ${(q)${(Q)words[i+1]}/#\~/$HOME}) ;;
		--root=*) root=(--root ${(q)${(Q)words[i]#--root=}/#\~/$HOME}) ;;
		esac
	done
"#;

pub fn script() -> String {
    let mut text =
        String::from("#compdef minirun\n# Completions of minirun for zsh: a file _minirun in a directory of fpath\n");
    text.push_str(CONTAINERS);
    text.push_str("\n_minirun_commands() {\n\tlocal -a commands=(\n");
    for command in COMMANDS {
        let _infallible = writeln!(text, "\t\t{}", quoted(&format!("{}:{}", command.name, colons(command.summary()))));
    }
    text.push_str("\t)\n\t_describe -t commands command commands\n}\n\n_minirun() {");
    text.push_str(FIRST);
    text.push_str("\t_arguments -C \\\n");
    push_options(&mut text, globals());
    text.push_str("\t\t'1: :_minirun_commands' '*:: :->rest' && ret=0\n");
    text.push_str("\t[[ $state == rest ]] || return ret\n\tcase $line[1] in\n");
    COMMANDS.iter().for_each(|command| push_command(&mut text, command));
    text.push_str("\tesac\n\treturn ret\n}\n");
    // A file of fpath is the function's body the first time; sourced, it only makes the functions known.
    text + "\nif [[ $funcstack[1] == _minirun ]]; then\n\t_minirun \"$@\"\nelse\n\tcompdef _minirun minirun\nfi\n"
}

fn push_command(text: &mut String, command: &Command) {
    let stop = if command.passes_on { " -A '-*'" } else { "" };
    let _infallible = writeln!(text, "\t{})\n\t\t_arguments{stop} \\", command.name);
    push_options(text, options(command));
    for (i, kind) in command.takes.iter().enumerate() {
        let _infallible = writeln!(text, "\t\t{} \\", quoted(&format!("{}:{}", i + 1, action("argument", *kind))));
    }
    text.push_str("\t\t&& ret=0\n\t\t;;\n");
}

fn push_options<'a>(text: &mut String, options: impl Iterator<Item = &'a Opt>) {
    for option in options {
        let help = option.help.replace('\\', r"\\").replace('[', r"\[").replace(']', r"\]");
        let value = option.value.map_or(String::new(), |value| format!(":{}", action(value.name, value.kind)));
        for spelling in option.spellings() {
            let joint = match (option.value, spelling.starts_with("--")) {
                (None, _) => "",
                (Some(_), true) => "=",
                (Some(_), false) => "+",
            };
            let _infallible = writeln!(text, "\t\t{} \\", quoted(&format!("*{spelling}{joint}[{help}]{value}")));
        }
    }
}

/// What a value is called and how it is completed, as `_arguments` has it.
fn action(name: &str, kind: Kind) -> String {
    let name = colons(name);
    match kind {
        Kind::Text | Kind::Number => format!("{name}: "),
        Kind::File => format!("{name}:_files"),
        Kind::Directory => format!("{name}:_files -/"),
        Kind::Container => "container:_minirun_containers".to_owned(),
        Kind::Choice(words) => format!("{name}:({})", words.join(" ")),
        Kind::Signal => format!("signal:({})", signals()),
        Kind::Command => "command:_minirun_commands".to_owned(),
    }
}

fn colons(text: &str) -> String {
    text.replace(':', r"\:")
}
