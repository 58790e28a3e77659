//! Whether docs/conformance.md is true to the tests: each row names tests that exist, or the reason why there is none.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The last cell of each row of each table of requirements.
fn rows(text: &str) -> Vec<(usize, String)> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| requirement"))
        .map(|(number, line)| (number + 1, cells(line).pop().unwrap()))
        .collect()
}

/// Where the module of a test may lie: below the suites, or below a crate's folder or its `src`.
fn files_of(module: &[&str]) -> Vec<PathBuf> {
    let (first, rest) = module.split_first().unwrap();
    let folders = if first.starts_with("minirun") {
        vec![format!("crates/{first}"), format!("crates/{first}/src")]
    } else {
        vec![format!("runtime-tests/tests/{first}")]
    };
    let path = |folder: String| [vec![folder.as_str()], rest.to_vec()].concat().join("/");
    let paths = folders.into_iter().map(path);
    paths
        .flat_map(|path| [format!("{path}.rs"), format!("{path}/mod.rs"), format!("{path}/lib.rs")])
        .map(|file| repository().join(file))
        .collect()
}

/// Whether a test of this name exists.
fn exists(name: &str) -> bool {
    let parts = name.split("::").collect::<Vec<_>>();
    let Some((function, module)) = parts.split_last().filter(|(_, module)| !module.is_empty()) else { return false };
    let texts = files_of(module).into_iter().filter_map(|file| match fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", file.display()),
    });
    texts.into_iter().any(|text| {
        let marked = |at: usize| text[..at].lines().rev().take(5).any(|line| line.trim() == "#[test]");
        text.match_indices(&format!("fn {function}()")).any(|(at, _)| marked(at))
    })
}

#[test]
fn every_requirement_names_its_tests_or_a_reason() {
    let text = fs::read_to_string(repository().join("docs/conformance.md")).unwrap();
    let rows = rows(&text);
    assert!(rows.len() > 100, "only {} rows were found", rows.len());
    let mut faults = Vec::new();
    for (number, shown) in rows {
        if let Some(reason) = shown.strip_prefix("none:") {
            if reason.trim().is_empty() {
                faults.push(format!("line {number}: no reason after \"none:\""));
            }
            continue;
        }
        let names = shown.split('`').skip(1).step_by(2).collect::<Vec<_>>();
        if names.is_empty() {
            faults.push(format!("line {number}: neither a test nor a reason"));
        }
        faults.extend(names.iter().filter(|name| !exists(name)).map(|name| format!("line {number}: no test {name}")));
    }
    assert!(faults.is_empty(), "docs/conformance.md:\n{}", faults.join("\n"));
}
