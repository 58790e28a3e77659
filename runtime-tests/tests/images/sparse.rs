//! Sparse files: read in each form that GNU tar writes, and holes stay holes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::archive::{Entry, archive, entry, file};
use crate::home::{Home, sh};

/// Files with holes at each place, one without content, and one of more parts than a header has room for.
const TREE: &str = r"
	mkdir tree; cd tree
	truncate -s 8M hole
	printf start >start; truncate -s 4M start
	truncate -s 4M end; printf end >>end
	truncate -s 4M middle; printf middle | dd of=middle bs=1 seek=2M conv=notrunc status=none
	truncate -s 4M many; for n in $(seq 0 40); do printf $n | dd of=many bs=64k seek=$n conv=notrunc status=none; done
	printf plain >plain; : >empty
	cp --sparse=always many $(printf 'n%.0s' $(seq 150))
	touch -d '@1234567890' *
";

/// The bytes of the disk that the files of a directory take.
fn used(directory: &Path) -> u64 {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
}

#[test]
fn sparse_files_of_every_form_are_read() {
    let home = Home::new();
    sh(&home.path("."), TREE);
    for (name, options) in [
        ("old-gnu", "--format=gnu"),
        ("pax-0.0", "--format=pax --sparse-version=0.0"),
        ("pax-0.1", "--format=pax --sparse-version=0.1"),
        ("pax-1.0", "--format=pax --sparse-version=1.0"),
    ] {
        sh(&home.path("."), &format!("tar {options} --sparse --numeric-owner -cf layer.tar -C tree ."));
        let layer = fs::read(home.path("layer.tar")).unwrap();
        assert!(layer.len() < 2 << 20, "{name}: the archive itself is not sparse");
        home.layers(name, &[layer]).success();
        let root = home.lower(name).remove(0);
        sh(&home.path("."), &format!("diff -r tree '{root}'"));
        assert!(used(Path::new(&root)) <= used(&home.path("tree")) + (1 << 20), "{name}: {}", used(Path::new(&root)));
        assert_eq!(home.shown(name), home.list(&home.path("tree")), "{name}");
    }
    // bsdtar writes holes by itself.
    sh(&home.path("."), "bsdtar --format=pax --numeric-owner -cf layer.tar -C tree .");
    home.layers("bsd", &[fs::read(home.path("layer.tar")).unwrap()]).success();
    sh(&home.path("."), &format!("diff -r tree '{}'", home.lower("bsd")[0]));
    home.call(&["image", "--store", "store", "verify"]).success();
}

#[test]
fn holes_stay_holes_in_volumes() {
    let home = Home::new();
    sh(
        &home.path("."),
        &format!("{TREE} cd ..; mkdir data; mv tree data/data; tar --format=pax --sparse -cf layer.tar -C data ."),
    );
    let layer = fs::read(home.path("layer.tar")).unwrap();
    crate::archive::docker(&home.path("image.tar"), &serde_json::json!({"Volumes": {"/data": {}}}), &[layer]);
    home.bundle("docker-archive:image.tar", "one", &[]).success();
    let volume = home.path("one/private/volumes/0-data");
    sh(&home.path("."), &format!("diff -r data/data '{}'", volume.display()));
    assert!(used(&volume) <= used(&home.path("data/data")) + (1 << 20), "{}", used(&volume));
}

#[test]
fn maps_that_lie_are_refused() {
    let home = Home::new();
    let sparse = |content: &str, records: &[(&str, &str)]| {
        let file = Entry { content: content.into(), ..entry(b'0', "a") };
        records.iter().fold(file, |file, (key, value)| file.pax(&format!("GNU.sparse.{key}"), value))
    };
    let new = |map: &str, size: &str| {
        let mut content = map.to_owned();
        content.push_str(&"\0".repeat(content.len().next_multiple_of(512) - content.len()));
        sparse(&(content + &"x".repeat(512)), &[("major", "1"), ("minor", "0"), ("name", "a"), ("realsize", size)])
    };
    home.layers("fine", &[archive(&[new("1\n512\n512\n", "2048")])]).success();
    for (name, layer, why) in [
        ("beyond-its-size", new("1\n2048\n512\n", "2048"), "out of order"),
        ("twice", new("2\n0\n256\n0\n256\n", "2048"), "out of order"),
        ("less", new("1\n0\n256\n", "2048"), "not as long"),
        ("more", new("1\n0\n1024\n", "2048"), "not as long"),
        ("many", new("99999999\n", "2048"), "more than"),
        ("no-number", new("x\n", "2048"), "malformed"),
        ("without-end", new("4\n", "2048"), "within its map"),
        ("huge", new("1\n0\n512\n", "9223372036854775807"), "out of range"),
        ("two-maps", sparse("x", &[("size", "1"), ("map", "0,1"), ("offset", "0"), ("numbytes", "1")]), "two maps"),
        ("no-file", Entry { content: Vec::new(), ..sparse("", &[("size", "0"), ("map", "0,0")]) }, ""),
        ("of-no-size", sparse("x", &[("map", "0,1")]), "without its size"),
        ("another-version", sparse("x", &[("major", "2"), ("minor", "0"), ("size", "1")]), "not supported"),
    ] {
        let answer = home.layers(name, &[archive(&[layer])]);
        if why.is_empty() {
            answer.success();
        } else {
            let said = answer.failure();
            assert!(said.contains(why), "{name}: {said}");
        }
        home.assert_clean();
    }
    let directory = Entry { content: Vec::new(), kind: b'5', ..sparse("", &[("size", "1"), ("map", "0,0")]) };
    assert!(home.layers("directory", &[archive(&[directory, file("b", "")])]).failure().contains("sparse"));
}

/// A layer of holes costs as little as its archive.
#[test]
fn a_large_hole_takes_no_space() {
    let home = Home::new();
    let hole = entry(b'0', "a").pax("GNU.sparse.size", "1099511627776").pax("GNU.sparse.map", "0,0");
    home.layers("one", &[archive(&[hole])]).success();
    let found = fs::metadata(Path::new(&home.lower("one")[0]).join("a")).unwrap();
    assert_eq!(found.len(), 1 << 40);
    assert!(found.blocks() * 512 < 1 << 20);
    home.call(&["image", "--store", "store", "verify"]).success();
}
