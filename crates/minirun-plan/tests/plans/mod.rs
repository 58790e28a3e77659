//! Golden plans: each bundle of `rootfs-fixtures/bundles` is compiled and compared with the `plan.txt` beside it.
//!
//! A bundle names its host and its options in two annotations. `MINIRUN_BLESS=1` rewrites the plans; review reads the
//! difference.

pub mod hosts;

use std::fs;
use std::path::Path;

use minirun_plan::{Problems, Request, RootSource, Spec, compile};

/// The bundle's path and the container's id in the plans.
pub const BUNDLE: &str = "/bundle";
const ID: &str = "ID";

/// Returns a bundle's root; none if another test compares the bundle.
pub type RootOf = fn(&Spec) -> Option<Result<RootSource, Problems>>;

/// Compares every bundle whose root `root_of` finds, and reports all differences together.
pub fn compare(root_of: RootOf) {
    let mut names: Vec<_> =
        fs::read_dir(hosts::fixture("bundles")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let bless = std::env::var_os("MINIRUN_BLESS").is_some();
    let (mut compared, mut differences) = (0, String::new());
    for bundle in names {
        let Some(found) = plan_of(&bundle, root_of) else { continue };
        let golden = bundle.join("plan.txt");
        if bless {
            fs::write(&golden, &found).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if found != expected {
            differences += &difference(&bundle, &expected, &found);
        }
        compared += 1;
    }
    assert!(compared > 0, "no bundles found");
    assert!(differences.is_empty(), "{differences}\nhint: if this is intended, MINIRUN_BLESS=1 rewrites the plans");
}

/// Returns the bundle's plan, or its problems, as text.
fn plan_of(bundle: &Path, root_of: RootOf) -> Option<String> {
    let text = fs::read(bundle.join("config.json")).unwrap();
    let spec: Spec = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", bundle.display()));
    let root = root_of(&spec)?;
    let annotation = |key: &str| spec.annotations.as_ref().and_then(|all| all.get(key)).map_or("", String::as_str);
    let options: Vec<_> = annotation("minirun.test.options").split_whitespace().collect();
    let number = |name: &str| {
        let value = options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
        value.map_or(0, |value| value.parse().unwrap())
    };
    let listen_fds: u32 = number("LISTEN_FDS");
    let root_path = spec.root.as_ref().map_or(String::new(), |root| format!("{BUNDLE}/{}", root.path));
    let facts = hosts::host(annotation("minirun.test.host"));
    let plan = root.and_then(|root| {
        let request = Request {
            id: ID,
            bundle: Path::new(BUNDLE),
            root,
            root_path: &root_path,
            no_pivot: options.contains(&"--no-pivot"),
            no_new_keyring: options.contains(&"--no-new-keyring"),
            preserve_fds: number("--preserve-fds") + listen_fds,
            listen_fds,
            listen_names: None,
            links: Default::default(),
            notify: None,
            systemd: None,
        };
        compile(&spec, &facts, &request)
    });
    Some(match plan {
        Ok(plan) => plan.to_string(),
        Err(problems) => problems.iter().map(|problem| format!("refused: {problem}\n")).collect(),
    })
}

/// Returns the lines that only one side has.
fn difference(bundle: &Path, expected: &str, found: &str) -> String {
    let only = |sign: char, these: &str, those: &str| -> String {
        these
            .lines()
            .filter(|line| !those.lines().any(|other| other == *line))
            .map(|line| format!("{sign} {line}\n"))
            .collect()
    };
    let (gone, new) = (only('-', expected, found), only('+', found, expected));
    let moved = if gone.is_empty() && new.is_empty() { "the same lines in another order\n" } else { "" };
    format!("{}/plan.txt:\n{gone}{new}{moved}", bundle.display())
}
