//! Entries whose paths lead through symbolic links of their layer: `lib -> usr/lib`, then `lib/file`. They are followed within
//! the root, as umoci follows them (and Docker, which unpacks after a chroot).

use std::fs;

use serde_json::json;

use crate::archive::{Entry, archive, directory, entry, file, layout, link, symlink};
use crate::home::{Home, sh};

/// A layer, and the names that it becomes or the reason for which it is refused.
type Row = (&'static str, Vec<Entry>, Result<&'static [&'static str], &'static str>);

fn rows() -> Vec<Row> {
    let chain = |count: usize| {
        let mut entries: Vec<_> = (0..count).map(|n| symlink(format!("l{n}"), &format!("l{}", n + 1))).collect();
        entries.push(directory(format!("l{count}")));
        entries.push(file("l0/f", "x"));
        entries
    };
    vec![
        (
            "plain",
            vec![directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib"), file("lib/f", "x")],
            Ok(&["lib", "usr", "usr/lib", "usr/lib/f"]),
        ),
        (
            "target-later",
            vec![symlink("lib", "usr/lib"), file("lib/f", "x")],
            Ok(&["lib", "usr", "usr/lib", "usr/lib/f"]),
        ),
        ("absolute", vec![symlink("lib", "/usr/lib"), file("lib/f", "x")], Ok(&["lib", "usr", "usr/lib", "usr/lib/f"])),
        ("absolute-to-host", vec![symlink("a", "/etc"), file("a/passwd", "x")], Ok(&["a", "etc", "etc/passwd"])),
        ("dots", vec![symlink("a", "../../../../b"), file("a/f", "x")], Ok(&["a", "b", "b/f"])),
        (
            "dots-after-link",
            vec![directory("d"), directory("d/e"), symlink("s", "d/e"), symlink("t", "s/../g"), file("t/f", "x")],
            Ok(&["d", "d/e", "d/g", "d/g/f", "s", "t"]),
        ),
        (
            "deeper",
            vec![directory("d"), symlink("d/a", "../b"), file("d/a/c/f", "x")],
            Ok(&["b", "b/c", "b/c/f", "d", "d/a"]),
        ),
        ("to-root", vec![symlink("r", "/"), file("r/f", "x")], Ok(&["f", "r"])),
        ("chain", chain(39), Ok(&[])),
        ("long-chain", chain(41), Err("ELOOP")),
        ("loop", vec![symlink("a", "b"), symlink("b", "a"), file("a/f", "x")], Err("ELOOP")),
        ("itself", vec![symlink("a", "a/a"), file("a/f", "x")], Err("ELOOP")),
        ("to-file", vec![file("b", "x"), symlink("a", "b"), file("a/f", "x")], Err("no directory")),
        (
            "too-deep",
            vec![symlink("a", &"d/".repeat(200)), file(format!("a/{}f", "e/".repeat(60)), "x")],
            Err("more than 256 directories"),
        ),
        (
            "swapped",
            vec![
                directory("one"),
                directory("two"),
                symlink("s", "one"),
                file("s/f", "1"),
                symlink("s", "two"),
                file("s/f", "22"),
            ],
            Ok(&["one", "one/f", "s", "two", "two/f"]),
        ),
        (
            "swapped-for-directory",
            vec![directory("one"), symlink("s", "one"), file("s/f", "1"), directory("s"), file("s/g", "x")],
            Ok(&["one", "one/f", "s", "s/g"]),
        ),
        (
            "hard-link",
            vec![directory("usr"), symlink("u", "usr"), file("usr/f", "x"), link("g", "u/f")],
            Ok(&["g", "u", "usr", "usr/f"]),
        ),
        ("hard-link-out", vec![symlink("u", "/../.."), link("g", "u/etc/passwd")], Err("ENOENT")),
        (
            "same-file-twice",
            vec![directory("usr"), symlink("u", "usr"), file("usr/f", "one"), file("u/f", "three")],
            Ok(&["u", "usr", "usr/f"]),
        ),
        ("last-is-not-followed", vec![file("b", "x"), symlink("a", "b"), file("a", "new")], Ok(&["a", "b"])),
    ]
}

fn names(list: &[String]) -> Vec<&str> {
    list.iter().filter_map(|line| line.split_once(' ').map(|(name, _)| name)).collect()
}

#[test]
fn links_of_a_layer_are_followed_within_it() {
    let home = Home::new();
    for (name, entries, expected) in rows() {
        let answer = home.layers(name, &[archive(&entries)]);
        match expected {
            Ok(expected) => {
                answer.success();
                let shown = home.shown(name);
                assert!(expected.is_empty() || names(&shown) == expected, "{name}: {shown:?}");
            }
            Err(why) => {
                let said = answer.failure();
                assert!(said.contains(why), "{name}: {said}");
            }
        }
        home.assert_clean();
    }
    let shown = home.shown("swapped");
    assert!(shown.iter().any(|line| line.starts_with("one/f f") && line.ends_with(" 1")), "{shown:?}");
    // What can be put together again is, and the rest is not taken for damaged.
    for name in ["plain", "deeper", "hard-link"] {
        let digest = home.lower(name)[0].split('/').rev().nth(1).unwrap().to_owned();
        let said = home.call(&["image", "--store", "store", "verify"]);
        assert!(!format!("{said:?}").contains(&format!("{digest}: ")), "{name}: {said:?}");
    }
}

/// The witness: what umoci unpacks of the same layers.
#[test]
fn links_are_followed_where_umoci_follows_them() {
    let home = Home::new();
    let mut compared = 0;
    for (name, entries, expected) in rows() {
        if expected.is_err() || name == "chain" {
            continue;
        }
        let layer = archive(&entries);
        let _before = fs::remove_dir_all(home.path("image"));
        layout(&home.path("image"), &json!({}), std::slice::from_ref(&layer));
        // umoci names no image without a tag.
        let index = fs::read_to_string(home.path("image/index.json")).unwrap();
        let tagged =
            index.replace(r#""size":"#, r#""annotations":{"org.opencontainers.image.ref.name":"tag"},"size":"#);
        fs::write(home.path("image/index.json"), tagged).unwrap();
        sh(&home.path("."), &format!("umoci unpack --image image:tag umoci-{name} >/dev/null 2>&1"));
        home.bundle("oci:image:tag", name, &[]).success();
        let theirs = home.list(&home.path(&format!("umoci-{name}/rootfs")));
        let ours = home.shown(name);
        // Times of directories that no entry is about are those of the moment with umoci.
        assert_eq!(names(&ours), names(&theirs), "{name}");
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn whiteouts_are_made_behind_links() {
    let home = Home::new();
    let lower = archive(&[directory("usr"), directory("usr/lib"), file("usr/lib/gone", ""), file("usr/lib/kept", "")]);
    for (name, upper, expected) in [
        (
            "one",
            vec![symlink("lib", "usr/lib"), entry(b'0', "lib/.wh.gone")],
            &["lib", "usr", "usr/lib", "usr/lib/kept"][..],
        ),
        (
            "all",
            vec![symlink("lib", "/usr/lib"), entry(b'0', "lib/.wh..wh..opq"), file("lib/new", "")],
            &["lib", "usr", "usr/lib", "usr/lib/new"],
        ),
    ] {
        home.layers(name, &[lower.clone(), archive(&upper)]).success();
        assert_eq!(names(&home.shown(name)), expected, "{name}");
        home.assert_clean();
    }
}

/// A layer is unpacked by itself, so a link beneath it is not seen: the directory takes its place.
#[test]
fn links_of_lower_layers_are_not_followed() {
    let home = Home::new();
    let lower = archive(&[directory("usr"), symlink("lib", "usr")]);
    home.layers("bundle", &[lower, archive(&[file("lib/f", "x")])]).success();
    assert_eq!(names(&home.shown("bundle")), ["lib", "lib/f", "usr"]);
    home.assert_clean();
}
