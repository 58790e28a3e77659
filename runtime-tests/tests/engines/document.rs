//! What docs/engines.md tells to put into files and to type, for the runtime under test.

use std::fs;
use std::path::Path;

use crate::machine::{program, runtime};

const DOCUMENT: &str = include_str!("../../../docs/engines.md");

/// The fenced block with this name, which stands behind the language. In it, minirun becomes the runtime under test.
#[track_caller]
pub fn block(name: &str) -> String {
    let mut lines = DOCUMENT.lines();
    let is_start = |line: &str| {
        line.strip_prefix("```").is_some_and(|info| info.split_once(' ').is_some_and(|(_, found)| found == name))
    };
    assert!(lines.any(is_start), "docs/engines.md has no block {name}");
    let text: Vec<_> = lines.take_while(|line| *line != "```").collect();
    text.join("\n").replace("/usr/local/bin/minirun", &program()).replace("minirun", &runtime()) + "\n"
}

/// Writes the block with the name of a file to this file.
#[track_caller]
pub fn write(path: &str) {
    write_as(path, &block(path));
}

/// Writes a file, with the directories above it.
#[track_caller]
pub fn write_as(path: &str, text: &str) {
    fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn every_block_has_a_name_and_is_found_by_it() {
    let infos: Vec<_> = DOCUMENT.lines().filter_map(|line| line.strip_prefix("```")).step_by(2).collect();
    assert!(infos.len() >= 3, "{infos:?}");
    for info in infos {
        let (_, name) = info.split_once(' ').unwrap_or_else(|| panic!("a block {info:?} without a name"));
        assert!(!block(name).trim().is_empty(), "{name}");
    }
}
