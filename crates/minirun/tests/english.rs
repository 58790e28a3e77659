//! Help, manual pages and messages of all crates are plain English: none of their texts has a turn that has to be read twice.
//!
//! The texts are the string literals of the source, of which the help, the manual pages and the completions are made too.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each with the words to use instead. A turn begins and ends at a word's border.
const BANNED: &[(&str, &str)] = &[
    ("is meant", "expected X"),
    ("are meant", "expected X"),
    ("is no", "is not a"),
    ("are no", "are not"),
    ("are known", "expected X, Y or Z"),
    ("is had", "the name of the owner"),
    ("may", "can, might, must"),
    ("takes", "requires, supports"),
    ("whoever", "the caller, the listener"),
    ("of who", "a noun"),
    ("for who", "a noun"),
    ("whom", "which, or a noun"),
    ("nobody", "no one, or the passive voice"),
    ("somebody", "another process, or the passive voice"),
    ("as many as this", "of this size"),
    ("so much of", "a limit"),
    ("by itself", "in the background"),
    ("at once", "immediately, together"),
    ("comes to be", "is created"),
    ("said so", "the name of the speaker"),
    ("what is", "a noun"),
    ("what was", "a noun"),
    ("is born", "starts"),
    ("goes on", "continues"),
];

fn sources(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("tests" | "tests.rs" | "examples") => {}
            _ if path.is_dir() => sources(&path, found),
            _ if path.extension().is_some_and(|end| end == "rs") => found.push(path),
            _ => {}
        }
    }
}

/// The literals of a file with their lines, up to its tests.
fn literals(text: &str) -> Vec<(usize, String)> {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(step) = text[at..].find(['"', '\'', '/']) {
        at += step;
        let rest = &text[at..];
        at += if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").unwrap_or(rest.len())
        } else if let Some(rest) = rest.strip_prefix('"') {
            let line = 1 + text[..at].matches('\n').count();
            let hashes = text[..at].len() - text[..at].trim_end_matches('#').len();
            let raw = text[..at].trim_end_matches('#').ends_with('r');
            let length = if raw { raw_length(rest, hashes) } else { length(rest) };
            found.push((line, joined(&rest[..length])));
            2 + length
        } else {
            // A character with a quote in it; other characters and lifetimes have none.
            ["'\"'", "'\\\"'", "'\\''", "'/'"].into_iter().find(|quote| rest.starts_with(quote)).map_or(1, str::len)
        };
    }
    found
}

fn raw_length(rest: &str, hashes: usize) -> usize {
    rest.find(&format!("\"{}", "#".repeat(hashes))).unwrap()
}

/// How long a literal is, without its quotes.
fn length(rest: &str) -> usize {
    let mut escaped = false;
    rest.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
    .unwrap()
}

/// The literal in one line.
fn joined(literal: &str) -> String {
    literal.split("\\\n").map(str::trim_start).collect::<String>().replace("\\n", " ")
}

fn turn_in(text: &str) -> Option<&'static (&'static str, &'static str)> {
    const WHO: (&str, &str) = ("Who", "a noun");
    if text.starts_with("Who ") || text.starts_with("who ") || text.contains(". Who ") {
        return Some(&WHO);
    }
    let lower = format!(" {} ", text.to_lowercase());
    let letters = |c: char| c.is_alphanumeric() || "_-/.".contains(c);
    BANNED.iter().find(|(turn, _)| {
        lower.match_indices(turn).any(|(start, _)| {
            let (before, after) = (&lower[..start], &lower[start + turn.len()..]);
            let whole = !before.ends_with(letters) && !after.starts_with(|c| letters(c) && c != '.');
            // "There is no such device" and "is no longer there" are plain.
            whole && !(turn.ends_with(" no") && (before.ends_with("there ") || after.starts_with(" longer")))
        })
    })
}

#[test]
fn texts_have_no_turn_that_is_hard_to_read() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(crates).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut files);
    }
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in files {
        for (line, literal) in literals(&fs::read_to_string(&file).unwrap()) {
            count += 1;
            // Names and formats are not texts.
            if literal.contains(' ')
                && let Some((turn, instead)) = turn_in(&literal)
            {
                wrong.push(format!("{}:{line}: {turn:?} (use {instead}): {literal}", file.display()));
            }
        }
    }
    assert!(count > 3000, "{count} literals");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn turns_are_found_in_literals_alone() {
    let text = "// nobody\nf(\"a \\\"b\\\" \\\n   c\", '\"', r#\"d \"e\"\"#);\n#[cfg(test)]\nmod tests { \"nobody\" }";
    assert_eq!(literals(text), [(2, "a \\\"b\\\" c".to_owned()), (3, "d \"e\"".to_owned())]);
    assert!(turn_in("this is no file").is_some() && turn_in("there is no file").is_none());
    assert!(turn_in("Who calls").is_some() && turn_in("the whole").is_none());
}
