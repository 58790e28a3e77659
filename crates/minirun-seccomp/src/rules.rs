//! Resolves a profile to the answers for each architecture.

use std::collections::BTreeSet;

use crate::action::{self, Wrong, answer};
use crate::architecture::{ARCHITECTURES, Architecture, Machine, X32_BIT};
use crate::multiplexed::{self, Multiplexed};
use crate::profile::{Argument, Profile, Syscall};
use crate::program::MAX_INSTRUCTIONS;
use crate::syscalls::Call;
use crate::tree::{Condition, Leaf, Rule, Table, Test, assemble};
use crate::{Compiled, FLAGS, Filter, Listener, NEW_LISTENER, Remark};

/// The operators of a profile.
pub const OPERATORS: [&str; 7] =
    ["SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"];

/// The number of arguments of a call.
const ARGUMENTS: u32 = 6;

/// The answer to calls of architectures that the profile does not list, as in libseccomp.
const FOREIGN: u32 = action::KILL_THREAD;

const TSYNC: u32 = 1 << 0;
const SPEC_ALLOW: u32 = 1 << 2;
const WAIT_KILLABLE: u32 = 1 << 5;

/// An element of `syscalls`, resolved.
struct Entry {
    answer: u32,
    /// Lists of conditions that must all hold; several lists mean several rules. None if the rule always applies.
    alternatives: Vec<Vec<Condition>>,
}

/// A name in the profile with its element.
struct Named {
    call: Call,
    multiplexed: Option<Multiplexed>,
    entry: u32,
}

/// The problems and notes found while a profile is resolved.
#[derive(Default)]
struct Findings {
    problems: Vec<Remark>,
    notes: Vec<Remark>,
}

impl Findings {
    fn problem(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.problems.push(Remark { place: place.into(), text: text.into() });
    }

    fn note(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.notes.push(Remark { place: place.into(), text: text.into() });
    }
}

/// Compiles a profile for a machine.
///
/// # Errors
/// All problems of the profile.
pub fn compile(profile: &Profile, machine: Machine) -> Result<Compiled, Vec<Remark>> {
    let mut found = Findings::default();
    let syscalls = profile.syscalls.as_deref().unwrap_or_default();
    let default_action = profile.default_action.as_deref().unwrap_or_default();
    if default_action.is_empty() && syscalls.is_empty() {
        return Ok(Compiled { filter: None, notes: Vec::new() });
    }
    let default = answer(default_action, profile.default_errno_ret).unwrap_or_else(|wrong| {
        match wrong {
            Wrong::Name(_) if default_action.is_empty() => found.problem("defaultAction", "must be given"),
            Wrong::Name(text) => found.problem("defaultAction", text),
            Wrong::Number(text) => found.problem("defaultErrnoRet", text),
        }
        FOREIGN
    });
    let architectures = architectures(profile, machine, &mut found);
    let (entries, calls) = resolve(syscalls, &mut found);
    let tables: Vec<Table> = architectures.iter().map(|of| table(*of, &entries, &calls, default)).collect();
    let tables = close(tables, default);
    let listener = listener(profile, default, &entries, &calls, &tables, &mut found);
    let flags = flags(profile, listener.is_some(), &mut found);
    let program = assemble(&tables, default, FOREIGN).unwrap_or_else(|| {
        found.problem("syscalls", "make a longer program than the 4096 instructions that the kernel accepts");
        Vec::new()
    });
    let Findings { problems, notes } = found;
    if !problems.is_empty() {
        return Err(problems);
    }
    let architectures = architectures.iter().map(|architecture| architecture.name).collect();
    Ok(Compiled { filter: Some(Filter { program, flags, listener, default, architectures }), notes })
}

/// Returns the architectures to filter: the native one, and those of the profile whose programs can run.
fn architectures(profile: &Profile, machine: Machine, found: &mut Findings) -> Vec<Architecture> {
    let mut ours = vec![machine.architectures[0]];
    for (i, name) in profile.architectures.iter().flatten().enumerate() {
        match machine.architectures.iter().find(|known| known.name == name) {
            Some(known) if ours.contains(known) => {}
            Some(known) => ours.push(*known),
            None if ARCHITECTURES.contains(&name.as_str()) => {
                found.note(format!("architectures[{i}]"), format!("{name} is ignored: none of its programs runs here"));
            }
            None => found.problem(format!("architectures[{i}]"), format!("unknown architecture {name:?}")),
        }
    }
    ours
}

fn flags(profile: &Profile, listens: bool, found: &mut Findings) -> u32 {
    let Some(names) = &profile.flags else {
        // runc's default: without it, mitigations that no other process has slow down each call of the container.
        return SPEC_ALLOW | if listens { NEW_LISTENER } else { 0 };
    };
    let mut flags = if listens { NEW_LISTENER } else { 0 };
    for (i, name) in names.iter().enumerate() {
        let place = || format!("flags[{i}]");
        match FLAGS.iter().find(|(known, _)| known == name) {
            // The process has one thread, and the kernel refuses the flag together with a listener.
            Some((_, TSYNC)) => {}
            Some((_, WAIT_KILLABLE)) if !listens => found.note(place(), "ignored: no rule notifies a listener"),
            Some((_, bit)) => flags |= bit,
            None => found.problem(place(), format!("unknown flag {name:?}")),
        }
    }
    flags
}

/// Returns the rules, and the names in them, in the order of the profile.
fn resolve(syscalls: &[Syscall], found: &mut Findings) -> (Vec<Entry>, Vec<Named>) {
    let mut entries = Vec::with_capacity(syscalls.len());
    let mut calls = Vec::with_capacity(512);
    let (mut unknown, mut seen) = (Vec::new(), BTreeSet::new());
    for (i, syscall) in syscalls.iter().enumerate() {
        let place = |field: &str| format!("syscalls[{i}]{field}");
        if syscall.names.is_empty() {
            found.problem(place(".names"), "must not be empty");
        }
        let answer = answer(&syscall.action, syscall.errno_ret).unwrap_or_else(|wrong| {
            match wrong {
                Wrong::Name(text) => found.problem(place(".action"), text),
                Wrong::Number(text) => found.problem(place(".errnoRet"), text),
            }
            FOREIGN
        });
        let arguments = syscall.args.as_deref().unwrap_or_default();
        let conditions: Vec<Condition> = arguments
            .iter()
            .enumerate()
            .filter_map(|(j, argument)| condition(argument, &|field| place(&format!(".args[{j}]{field}")), found))
            .collect();
        for (j, name) in syscall.names.iter().enumerate() {
            match Call::named(name) {
                Some(call) => {
                    calls.push(Named { call, multiplexed: multiplexed::find(name), entry: entries.len() as u32 });
                }
                None if name.is_empty() => found.problem(place(&format!(".names[{j}]")), "must not be empty"),
                None => {
                    if seen.insert(name.as_str()) {
                        unknown.push(name.as_str());
                    }
                }
            }
        }
        entries.push(Entry { answer, alternatives: alternatives(conditions) });
    }
    if !unknown.is_empty() {
        found.note("syscalls", format!("ignoring unknown system calls: {}", unknown.join(" ")));
    }
    (entries, calls)
}

/// Splits conditions into rules. They must hold together, but if two are about the same argument, each becomes a
/// separate rule, as in runc.
fn alternatives(conditions: Vec<Condition>) -> Vec<Vec<Condition>> {
    let mut indices = 0u32;
    let twice = conditions.iter().any(|condition| {
        let before = indices;
        indices |= 1 << condition.index;
        indices == before
    });
    match conditions.as_slice() {
        [] => Vec::new(),
        _ if twice => conditions.into_iter().map(|condition| vec![condition]).collect(),
        _ => vec![conditions],
    }
}

fn condition(argument: &Argument, place: &dyn Fn(&str) -> String, found: &mut Findings) -> Option<Condition> {
    let Argument { index, value, value_two, ref op } = *argument;
    if index >= ARGUMENTS {
        found.problem(place(".index"), format!("{index} is out of range (expected 0 to 5)"));
    }
    let (test, holds) = match op.as_str() {
        "SCMP_CMP_NE" => (Test::Equal(value), false),
        "SCMP_CMP_LT" => (Test::GreaterOrEqual(value), false),
        "SCMP_CMP_LE" => (Test::Greater(value), false),
        "SCMP_CMP_EQ" => (Test::Equal(value), true),
        "SCMP_CMP_GE" => (Test::GreaterOrEqual(value), true),
        "SCMP_CMP_GT" => (Test::Greater(value), true),
        "SCMP_CMP_MASKED_EQ" => (Test::Masked(value, value_two), true),
        _ => {
            found.problem(place(".op"), format!("unknown operator {op:?}"));
            return None;
        }
    };
    Some(Condition { index: index.min(ARGUMENTS - 1), test, holds })
}

/// Returns the answers for one architecture. Rules with the default action change nothing, but their calls are known.
fn table(architecture: Architecture, entries: &[Entry], calls: &[Named], default: u32) -> Table {
    let Architecture { base, numbers, .. } = architecture;
    let mut newest = None;
    let mut about: Vec<(u32, u32)> = Vec::with_capacity(calls.len());
    for named in calls {
        if let Some(multiplexed) = named.multiplexed.filter(|_| architecture.multiplexes) {
            newest = newest.max(multiplexed.number(numbers));
        }
        let Some(number) = numbers.of(named.call) else { continue };
        newest = newest.max(Some(number));
        if entries[named.entry as usize].answer != default {
            about.push((number, named.entry));
        }
    }
    about.sort_unstable();
    // A repeated rule changes nothing.
    about.dedup();
    let mut leaves: Vec<(u32, Leaf)> = Vec::with_capacity(about.len());
    for same in about.chunk_by(|one, other| one.0 == other.0) {
        leaves.push((same[0].0, leaf(same.iter().map(|(_, entry)| &entries[*entry as usize]))));
    }
    if architecture.multiplexes {
        multiplex(architecture, entries, calls, default, &mut leaves);
    }
    let mut table = Table { architecture, intervals: Vec::with_capacity(2 * leaves.len()) };
    table.from(base, Leaf::Answer(default));
    for (number, leaf) in leaves {
        table.from(base + number, leaf);
        table.from(base + number + 1, Leaf::Answer(default));
    }
    // A table without calls does not determine which calls are new.
    if let Some(newest) = newest
        && !action::lets_through(default)
    {
        table.from(base + newest + 1, Leaf::Answer(action::NO_SUCH_CALL));
    }
    table
}

/// Returns the answer of several rules about one call. Once it has more conditions than a program has instructions, it
/// is too long and further ones do not matter.
fn leaf<'e>(entries: impl Iterator<Item = &'e Entry> + Clone) -> Leaf {
    if let Some(first) = entries.clone().find(|entry| entry.alternatives.is_empty()) {
        return Leaf::Answer(first.answer);
    }
    let rules = entries.flat_map(|entry| {
        let rule = |conditions: &Vec<Condition>| Rule { conditions: conditions.clone(), answer: entry.answer };
        entry.alternatives.iter().map(rule)
    });
    let mut conditions = 0;
    let fits = |rule: &Rule| {
        let before = conditions;
        conditions += rule.conditions.len();
        before <= MAX_INSTRUCTIONS
    };
    Leaf::Rules(rules.take_while(fits).collect())
}

/// Adds the answers for calls behind `socketcall` and `ipc`.
fn multiplex(
    architecture: Architecture,
    entries: &[Entry],
    calls: &[Named],
    default: u32,
    leaves: &mut Vec<(u32, Leaf)>,
) {
    let mut about: Vec<(Multiplexed, u32)> = calls
        .iter()
        .filter(|named| entries[named.entry as usize].answer != default)
        .filter_map(|named| Some((named.multiplexed?, named.entry)))
        .collect();
    about.sort_unstable();
    about.dedup();
    for same in about.chunk_by(|one, other| one.0 == other.0) {
        let Multiplexed { call, mask, .. } = same[0].0;
        let rules = same.iter().map(|(_, entry)| &entries[*entry as usize]);
        let answer = match rules.clone().find(|entry| entry.alternatives.is_empty()) {
            Some(always) => always.answer,
            None => rules.fold(default, |answer, entry| action::stricter(answer, entry.answer)),
        };
        let Some(number) = same[0].0.number(architecture.numbers) else { continue };
        if answer == default {
            continue;
        }
        let test = Test::Masked(u64::from(mask), u64::from(call));
        let rule = Rule { conditions: vec![Condition { index: 0, test, holds: true }], answer };
        match leaves.binary_search_by_key(&number, |(other, _)| *other) {
            Ok(at) => {
                if let Leaf::Rules(rules) = &mut leaves[at].1 {
                    rules.push(rule);
                }
            }
            Err(at) => leaves.insert(at, (number, Leaf::Rules(vec![rule]))),
        }
    }
}

/// Adds the answers for numbers outside the tables. Without x32 its numbers are foreign. -1 is not a call: a tracer
/// sets it for a call that it handles.
fn close(mut tables: Vec<Table>, default: u32) -> Vec<Table> {
    let x32 = tables.iter().any(|table| table.architecture.base == X32_BIT);
    for table in &mut tables {
        let shared = table.architecture.name == "SCMP_ARCH_X86_64";
        if shared && !x32 {
            table.from(X32_BIT, Leaf::Answer(FOREIGN));
            table.from(u32::MAX, Leaf::Answer(default));
        }
    }
    tables
}

/// Returns the receiver of notifications. No process can answer them before the descriptor is sent, and sending
/// requires write(2).
fn listener(
    profile: &Profile,
    default: u32,
    entries: &[Entry],
    calls: &[Named],
    tables: &[Table],
    found: &mut Findings,
) -> Option<Listener> {
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let (path, metadata) = (given(&profile.listener_path), given(&profile.listener_metadata));
    if path.is_empty() && !metadata.is_empty() {
        found.problem("listenerMetadata", "must not be given without a listenerPath");
    }
    if default == action::NOTIFY {
        found.problem("defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action");
    }
    if !entries.iter().any(|entry| entry.answer == action::NOTIFY) {
        return None;
    }
    if path.is_empty() {
        found.problem("listenerPath", "must be given, since SCMP_ACT_NOTIFY is used");
    }
    let write = Call::named("write")?;
    let about = calls.iter().filter(|named| named.call == write);
    if let Some(named) = about.clone().find(|named| entries[named.entry as usize].answer == action::NOTIFY) {
        let place = format!("syscalls[{}].action", named.entry);
        found.problem(place, "SCMP_ACT_NOTIFY cannot be used for the write syscall");
    } else if let [native, ..] = tables {
        let answer_of = |name: &str| native.answer(native.architecture.numbers.of(Call::named(name)?)?);
        let allowed = |name: &str, besides: u32| {
            answer_of(name).is_some_and(|answer| [action::ALLOW, action::LOG, besides].contains(&answer))
        };
        // The agent may already receive the read, but not the write.
        if !allowed("write", action::ALLOW) || !allowed("read", action::NOTIFY) {
            let text = "read and write must be allowed, to send the descriptor of SCMP_ACT_NOTIFY";
            found.problem("syscalls", text);
        }
    }
    Some(Listener { path, metadata })
}
