//! For bash, without the help of the package bash-completion.

use std::fmt::Write as _;

use super::{globals, options, quoted, signals};
use crate::cli::command::{Command, Kind, Opt};
use crate::cli::table::COMMANDS;

/// The part that does not depend on the table. Words are split at `=`, so an option joined to its value is three words.
const WALK: &str = r#"
_minirun() {
	local cur=${COMP_WORDS[COMP_CWORD]} command= count=0 kind= root= word i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]} kind=
		[[ $word == -[!-]?* ]] && word=-$word
		if [[ $word != -* ]]; then
			if [[ $command ]]; then ((++count)); else command=$word; fi
			continue
		fi
		_minirun_passes_on "$command" && ((count)) && return
		kind=$(_minirun_value "$command $word")
		[[ ${COMP_WORDS[i + 1]} == '=' ]] && ((i++))
		if [[ $kind || ${COMP_WORDS[i]} == '=' ]]; then
			((++i < COMP_CWORD)) || break
			[[ $word == --root && ! $command ]] && root=${COMP_WORDS[i]/#\~/$HOME}
			kind=
		fi
	done
	[[ $cur == '=' ]] && cur=
	if [[ ! $kind && $cur == -* ]]; then
		_minirun_passes_on "$command" && ((count)) && return
		kind="words $(_minirun_options "$command")"
	elif [[ ! $kind && ! $command ]]; then
		kind="words $(_minirun_commands)"
	elif [[ ! $kind ]]; then
		kind=$(_minirun_argument "$command $count")
	fi
	case $kind in
	words\ *) mapfile -t COMPREPLY < <(compgen -W "${kind#words }" -- "$cur") ;;
	containers)
		local ids
		ids=$("${COMP_WORDS[0]/#\~/$HOME}" ${root:+--root "$root"} list --quiet 2>/dev/null)
		mapfile -t COMPREPLY < <(compgen -W "$ids" -- "$cur")
		;;
	files | directories)
		compopt -o filenames 2>/dev/null
		[[ $kind == files ]] && word=-f || word=-d
		mapfile -t COMPREPLY < <(compgen "$word" -- "$cur")
		;;
	esac
}
complete -F _minirun minirun
"#;

pub fn script() -> String {
    let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
    let mut text = String::from("# Completions of minirun for bash: source <(minirun completion bash)\n");
    let _infallible = writeln!(text, "_minirun_commands() {{ echo {}; }}", quoted(&names.join(" ")));
    let passing: Vec<_> =
        COMMANDS.iter().filter(|one| one.passes_on).map(|one| format!("$1 == {}", one.name)).collect();
    let _infallible = writeln!(text, "_minirun_passes_on() {{ [[ {} ]]; }}", passing.join(" || "));
    text.push_str("_minirun_options() {\n\tcase $1 in\n");
    push_case(&mut text, "''", &spellings(globals()));
    COMMANDS.iter().for_each(|command| push_case(&mut text, command.name, &spellings(options(command))));
    text.push_str("\tesac\n}\n_minirun_value() {\n\tcase $1 in\n");
    push_values(&mut text, "", globals());
    COMMANDS.iter().for_each(|command| push_values(&mut text, command.name, options(command)));
    text.push_str("\tesac\n}\n_minirun_argument() {\n\tcase $1 in\n");
    COMMANDS.iter().for_each(|command| push_arguments(&mut text, command));
    text.push_str("\tesac\n}\n");
    text + WALK.trim_start()
}

fn spellings<'a>(options: impl Iterator<Item = &'a Opt>) -> String {
    options.flat_map(Opt::spellings).collect::<Vec<_>>().join(" ")
}

fn push_case(text: &mut String, pattern: &str, answer: &str) {
    let _infallible = writeln!(text, "\t{pattern}) echo {} ;;", quoted(answer));
}

fn push_values<'a>(text: &mut String, command: &str, options: impl Iterator<Item = &'a Opt>) {
    for option in options {
        let Some(value) = option.value else { continue };
        let patterns: Vec<_> = option.spellings().iter().map(|one| quoted(&format!("{command} {one}"))).collect();
        push_case(text, &patterns.join(" | "), &answer(value.kind));
    }
}

fn push_arguments(text: &mut String, command: &Command) {
    for (i, kind) in command.takes.iter().enumerate() {
        push_case(text, &quoted(&format!("{} {i}", command.name)), &answer(*kind));
    }
}

/// What the walk understands.
fn answer(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Number => "nothing".to_owned(),
        Kind::File => "files".to_owned(),
        Kind::Directory => "directories".to_owned(),
        Kind::Container => "containers".to_owned(),
        Kind::Choice(words) => format!("words {}", words.join(" ")),
        Kind::Signal => format!("words {}", signals()),
        Kind::Command => {
            format!("words {}", COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>().join(" "))
        }
    }
}
