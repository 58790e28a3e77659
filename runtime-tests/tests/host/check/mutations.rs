//! Sound bundles with random changes: `check` says that one works exactly if `run` can run it.

use runtime_tests::{Bundle, Random, Runtime, is_full_sweep};
use serde_json::{Value, json};

use super::bundles::sound;

/// A change to the configuration, in words.
type Changed = String;

/// Members that a random value would make harmful to the host: mount points are made below them.
const LEFT_ALONE: [&str; 2] = ["/root/path", "/source"];

/// All pointers into a value, without its own.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, inner)| (key.replace('~', "~0").replace('/', "~1"), inner)).collect()
        }
        Value::Array(list) => list.iter().enumerate().map(|(i, inner)| (i.to_string(), inner)).collect(),
        _ => Vec::new(),
    };
    for (key, inner) in members {
        let pointer = format!("{at}/{key}");
        if LEFT_ALONE.iter().any(|end| pointer.ends_with(end)) {
            continue;
        }
        all.push(pointer.clone());
        pointers(inner, &pointer, all);
    }
}

/// One of these.
fn pick<'v, T>(random: &mut Random, all: &'v [T]) -> &'v T {
    &all[random.below(all.len() as u64) as usize]
}

/// Removes a member or an element, repeats an element, or replaces a value by another of its type.
fn mutate(config: &mut Value, random: &mut Random) -> Changed {
    let mut all = Vec::new();
    pointers(config, "", &mut all);
    let pointer = pick(random, &all).clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    if random.below(4) == 0 {
        let removed = match config.pointer_mut(parent).unwrap() {
            Value::Object(map) => map.remove(&key.replace("~1", "/").replace("~0", "~")),
            Value::Array(list) if random.below(2) == 0 => Some(list.remove(key.parse().unwrap())),
            Value::Array(list) => {
                let again = list[key.parse::<usize>().unwrap()].clone();
                list.push(again);
                return format!("{pointer} again");
            }
            _ => None,
        };
        return format!("without {pointer} {}", removed.unwrap_or_default());
    }
    let texts: Vec<String> = all.iter().filter_map(|at| Some(config.pointer(at)?.as_str()?.to_owned())).collect();
    let value = config.pointer_mut(&pointer).unwrap();
    match value {
        Value::Bool(whether) => *whether = !*whether,
        Value::Number(number) => {
            let former = number.as_i64().unwrap_or(0);
            *value = json!(pick(random, &[0, 1, former + 1, former - 1, 1 << 31, -1]));
        }
        Value::String(text) => match random.below(4) {
            0 => text.clear(),
            1 => text.push('x'),
            _ => text.clone_from(pick(random, &texts)),
        },
        _ => *value = json!(null),
    }
    format!("{pointer} = {value}")
}

#[test]
fn check_and_run_agree_in_a_sweep_of_mutations() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let mut random = Random::for_test("check_and_run_agree_in_a_sweep_of_mutations");
    let sound = sound();
    let count = if is_full_sweep() { 5000 } else { 200 };
    let (mut different, mut working) = (Vec::new(), 0);
    for _ in 0..count {
        let (name, change) = pick(&mut random, &sound);
        let mut changes = Vec::new();
        let bundle = change(Bundle::base()).with(|config| {
            for _ in 0..=random.below(2) {
                changes.push(mutate(config, &mut random));
            }
        });
        let checked = super::checked(&bundle);
        let run = bundle.run();
        let works = !run.stderr.contains("minirun: error: ");
        working += usize::from(works);
        if (checked.status == 0) != works {
            let said = if works { checked.stdout.lines().collect::<String>() } else { run.stderr.trim().to_owned() };
            let which = if works { "check refuses, run works" } else { "check accepts, run fails" };
            different.push(format!("{name}, {}: {which}: {said}\n", changes.join(", ")));
        }
        bundle.call(&["delete", "-f", bundle.id()]);
    }
    assert!(different.is_empty(), "{} of {count} differ:\n{}", different.len(), different.concat());
    assert!((count / 10..count).contains(&working), "{working} of {count} work: nothing was compared");
}
