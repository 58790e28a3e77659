//! The store: what is unpacked once, by whomever, stays as it is, and goes when nobody uses it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use runtime_tests::killat;
use serde_json::{Value, json};

use crate::archive::{archive, directory, docker, entry, file, link, symlink};
use crate::home::Home;

/// An image of three layers in `image.tar`.
fn image(home: &Home) {
    let layer = |number: usize| {
        let files = (0..50).map(|index| file(format!("d{number}/{index}"), &"x".repeat(10_000 + number)));
        archive(&[directory(format!("d{number}"))].into_iter().chain(files).collect::<Vec<_>>())
    };
    docker(&home.path("image.tar"), &json!({}), &[layer(1), layer(2), layer(3)]);
}

fn listed(home: &Home) -> Value {
    serde_json::from_str(&home.call(&["image", "--store", "store", "--format", "json", "ls"]).success()).unwrap()
}

fn image_call(home: &Home, words: &[&str]) -> crate::home::Answer {
    home.call(&[&["image", "--store", "store"], words].concat())
}

/// Who can write the store decides what root executes in containers.
#[test]
fn a_store_that_others_can_write_is_refused() {
    let home = Home::new();
    image(&home);
    home.bundle("docker-archive:image.tar", "one", &[]).success();
    for part in ["store", "store/layers", "store/images", "store/staging", "store/bundles"] {
        let path = home.path(part);
        let refused = |text: &str| {
            for words in [&["ls"][..], &["verify"], &["prune"]] {
                let said = image_call(&home, words).failure();
                assert!(said.contains(text) && said.contains(part), "{part} {words:?}: {said}");
            }
            home.bundle("docker-archive:image.tar", "two", &[]).failure();
        };
        for mode in [0o777, 0o1777, 0o770] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            refused(&format!("its mode {mode:04o} lets other users write"));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&path, Some(54_321), None).unwrap();
        refused("it belongs to user 54321");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    image_call(&home, &["verify"]).success();
}

/// Files that belong to root are everywhere: another store of root's, for example, with older programs.
#[test]
fn a_store_that_others_can_exchange_is_refused() {
    let home = Home::new();
    image(&home);
    fs::create_dir(home.path("homes")).unwrap();
    fs::create_dir(home.path("links")).unwrap();
    std::os::unix::fs::symlink(home.path("homes/store"), home.path("links/store")).unwrap();
    let bundle =
        |at: &str, name: &str| home.call(&["bundle", "--cmd", "true", "--store", at, "docker-archive:image.tar", name]);
    bundle("homes/store", "one").success();
    bundle("links/store", "two").success();
    let refused = |text: &str| {
        for (at, name) in [("homes/store", "three"), ("links/store", "four")] {
            for said in [home.call(&["image", "--store", at, "ls"]), bundle(at, name)] {
                let said = said.failure();
                assert!(said.contains(text) && said.contains("/homes: "), "{at}: {said}");
            }
        }
    };
    std::os::unix::fs::chown(home.path("homes"), Some(54_321), None).unwrap();
    refused("it belongs to user 54321");
    std::os::unix::fs::chown(home.path("homes"), Some(0), None).unwrap();
    fs::set_permissions(home.path("homes"), fs::Permissions::from_mode(0o777)).unwrap();
    refused("its mode 0777 lets other users write");
    // With the sticky bit others cannot exchange it, but the owner of a link can have it lead to any directory.
    fs::set_permissions(home.path("homes"), fs::Permissions::from_mode(0o1777)).unwrap();
    home.call(&["image", "--store", "links/store", "ls"]).success();
    std::os::unix::fs::lchown(home.path("links/store"), Some(54_321), None).unwrap();
    let said = home.call(&["image", "--store", "links/store", "ls"]).failure();
    assert!(said.contains("links/store: it belongs to user 54321"), "{said}");
}

#[test]
fn layers_are_kept_as_long_as_somebody_uses_them() {
    let home = Home::new();
    image(&home);
    for name in ["one", "two"] {
        home.bundle("docker-archive:image.tar", name, &[]).success();
    }
    assert_eq!(home.stored(), 3);
    // Another image with two of the layers.
    let shared = archive(&[file("other", "")]);
    home.layers("other", &[shared]).success();
    let list = listed(&home);
    assert_eq!(list.as_array().unwrap().len(), 2);
    let id = fs::read_to_string(home.path("one/image.json")).unwrap();
    let record: Value = serde_json::from_str(&id).unwrap();
    let id = record["image"].as_str().unwrap().to_owned();
    let said = image_call(&home, &["rm", &id]).failure();
    assert!(said.contains("is used by bundle") && said.contains("and 1 more"), "{said}");
    image_call(&home, &["prune"]).success();
    assert_eq!(home.stored(), 4);
    fs::remove_dir_all(home.path("one")).unwrap();
    fs::remove_dir_all(home.path("other")).unwrap();
    // A bundle that was moved is a bundle.
    fs::rename(home.path("two"), home.path("moved")).unwrap();
    image_call(&home, &["prune"]).success();
    assert_eq!((home.stored(), listed(&home).as_array().unwrap().len()), (3, 1));
    image_call(&home, &["verify"]).success();
    fs::remove_dir_all(home.path("moved")).unwrap();
    image_call(&home, &["rm", &id[7..20]]).success();
    assert_eq!((home.stored(), listed(&home)), (0, json!([])));
    assert!(image_call(&home, &["rm", &id]).failure().contains("no image"));
    home.assert_clean();
}

#[test]
fn several_callers_share_the_work() {
    let home = Home::new();
    image(&home);
    let children: Vec<_> = (0..8)
        .map(|number| {
            let words =
                ["bundle", "--store", "store", "--cmd", "true", "docker-archive:image.tar", &format!("b{number}")];
            home.command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(home.stored(), 3);
    home.assert_clean();
    image_call(&home, &["verify"]).success();
}

#[test]
fn whoever_is_killed_leaves_nothing_that_can_be_seen() {
    let home = Home::new();
    image(&home);
    let command = || {
        let mut command =
            home.command(&["bundle", "--store", "store", "--cmd", "true", "docker-archive:image.tar", "bundle"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let whole = killat(command(), 0);
    assert_eq!(whole.status, 0);
    let fresh = || {
        for name in ["store", "bundle"] {
            let _none = fs::remove_dir_all(home.path(name));
        }
    };
    for point in (1..=whole.calls).step_by((whole.calls / 40).max(1) as usize) {
        fresh();
        killat(command(), point);
        // What can be seen is whole, and the next one finishes the work.
        image_call(&home, &["verify"]).success();
        let _part = fs::remove_dir_all(home.path("bundle"));
        home.bundle("docker-archive:image.tar", "bundle", &[]).success();
        image_call(&home, &["verify"]).success();
        assert_eq!(home.stored(), 3, "killed at {point}");
        home.assert_clean();
    }
}

#[test]
fn verify_finds_every_difference() {
    let home = Home::new();
    home.layers("bundle", &[archive(&[directory("d"), file("d/f", "abc").mode(0o600).ids(1, 1)])]).success();
    let root = home.lower("bundle").remove(0);
    let root = std::path::Path::new(&root);
    let verify = || image_call(&home, &["verify"]);
    verify().success();
    for (change, back, found) in [
        ("chmod 644 d/f", "chmod 600 d/f", "mode"),
        ("chown 0 d/f", "chown 1:1 d/f; chmod 600 d/f", "owner"),
        ("touch d/f", "touch -d @1000000000 d/f", "time of change"),
        ("printf abd >d/f; touch -d @1000000000 d/f", "printf abc >d/f; touch -d @1000000000 d/f", "digest"),
        ("printf abcd >d/f", "printf abc >d/f; touch -d @1000000000 d/f", "size"),
        ("mkdir x; touch -d @0 .", "rmdir x; touch -d @0 .", "2 files"),
        ("mv d/f d/g; touch -d @1000000000 d", "mv d/g d/f; touch -d @1000000000 d", "missing"),
    ] {
        crate::home::sh(root, change);
        let answer = verify();
        if found == "2 files" {
            assert!(answer.stdout.contains("3 files in it, not 2"), "{answer:?}");
        } else {
            assert!(answer.stdout.contains(found), "{change}: {answer:?}");
        }
        answer.failure();
        crate::home::sh(root, back);
        verify().success();
    }
}

#[test]
fn a_bundle_that_cannot_be_made_is_not_there() {
    let home = Home::new();
    let layers = [archive(&[directory("data").mode(0o750).ids(5, 6), file("data/f", "x").ids(7, 8)])];
    docker(&home.path("image.tar"), &json!({"Volumes": {"/data": {}}, "WorkingDir": "relative"}), &layers);
    let said = home.bundle("docker-archive:image.tar", "bundle", &[]).failure();
    assert!(said.contains("is not absolute"), "{said}");
    assert!(!home.path("bundle").exists());
    // A volume begins with what the image has there.
    home.bundle("docker-archive:image.tar", "bundle", &["--workdir", "/"]).success();
    let volume = home.path("bundle/private/volumes/0-data");
    let (outer, inner) = (fs::metadata(&volume).unwrap(), fs::metadata(volume.join("f")).unwrap());
    assert_eq!((outer.mode() & 0o7777, outer.uid(), outer.gid()), (0o750, 5, 6));
    assert_eq!((inner.uid(), inner.gid(), inner.mtime()), (7, 8, 1_000_000_000));
    let said = home.bundle("docker-archive:image.tar", "bundle", &["--workdir", "/"]).failure();
    assert!(said.contains("has a config.json"), "{said}");
}

#[test]
fn nothing_in_use_goes_while_others_clean_up() {
    let home = Home::new();
    image(&home);
    let cleaners: Vec<_> = (0..2)
        .map(|_| {
            let clean = "while [ ! -e done ]; do \"$0\" image --store store prune >/dev/null || exit; done";
            let mut shell = Command::new("sh");
            shell.args(["-c", clean]).arg(runtime_tests::Runtime::from_env().bare().get_program());
            shell.current_dir(home.path(".")).spawn().unwrap()
        })
        .collect();
    for round in 0..25 {
        home.bundle("docker-archive:image.tar", "bundle", &[]).success();
        for (number, layer) in home.lower("bundle").iter().rev().enumerate() {
            let directory = std::path::Path::new(layer).join(format!("d{}", number + 1));
            assert_eq!(fs::read_dir(directory).unwrap().count(), 50, "round {round}");
        }
        fs::remove_dir_all(home.path("bundle")).unwrap();
    }
    fs::write(home.path("done"), "").unwrap();
    cleaners.into_iter().for_each(|mut cleaner| assert!(cleaner.wait().unwrap().success()));
    image_call(&home, &["prune"]).success();
    assert_eq!(home.stored(), 0);
    home.assert_clean();
}

#[test]
fn bundles_lie_outside_of_the_store() {
    let home = Home::new();
    image(&home);
    fs::create_dir(home.path("store")).unwrap();
    std::os::unix::fs::symlink("store", home.path("link")).unwrap();
    for name in ["store", "store/bundle", "link/bundle", "store/layers/x"] {
        let said = home.bundle("docker-archive:image.tar", name, &[]).failure();
        assert!(said.contains("would lie in the store"), "{said}");
        assert!(!home.path("store/bundle").exists() && !home.path("store/layers/x").exists());
    }
    // Nor do they need room where the store has some: one on a disk without is not there.
    let script = "mkdir full; mount -t tmpfs -o size=64k tmpfs full; dd if=/dev/zero of=full/x 2>/dev/null || :
        \"$0\" bundle --store store --cmd true docker-archive:image.tar full/bundle && exit 1; ls -A full";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-euc", script]).arg(runtime_tests::Runtime::from_env().bare().get_program());
    let answer = crate::home::answer(command.current_dir(home.path(".")));
    assert!(answer.stderr.contains("ENOSPC"), "{answer:?}");
    assert_eq!(answer.success(), "x\n");
    // On another file system it is known by its path.
    let script = "mkdir other; mount -t tmpfs tmpfs other
        \"$0\" bundle --store store --cmd true docker-archive:image.tar other/bundle
        \"$0\" image --store store prune; ls store/layers | wc -l; rm -r other/bundle
        \"$0\" image --store store prune >/dev/null; ls store/layers | wc -l";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-euc", script]).arg(runtime_tests::Runtime::from_env().bare().get_program());
    assert_eq!(crate::home::answer(command.current_dir(home.path("."))).success(), "3\n0\n");
}

#[test]
fn a_layer_with_repeated_entries_is_verified_and_committed() {
    let home = Home::new();
    let layer = archive(&[
        directory("usr").mode(0o700).modified(7),
        file("usr/a", "first"),
        directory("./usr/").ids(3, 4),
        file("usr/b", "second"),
        link("usr/a", "usr/a"),
        entry(b'3', "usr/a"),
        symlink("link", "there"),
        symlink("link", "elsewhere"),
        entry(b'0', "usr/.wh.gone"),
        file("usr/gone", "back"),
        entry(b'0', ".wh.way"),
        file("way/file", "x"),
        file("empty", ""),
        directory("empty"),
        entry(b'3', "device"),
        file("device", "none"),
    ]);
    home.layers("one", &[layer]).success();
    image_call(&home, &["verify"]).success();
    fs::write(home.path("one/private/upper/new"), "new").unwrap();
    home.call(&["commit", "one/", "docker-archive:new.tar:x"]).success();
    home.call(&["bundle", "--store", "other", "--cmd", "true", "docker-archive:new.tar", "two"]).success();
    // What the last entry says must be there.
    let usr = format!("{}/usr", home.lower("one").last().unwrap());
    fs::set_permissions(usr, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(image_call(&home, &["verify"]).status != 0);
}

#[test]
fn a_layer_that_lost_content_is_not_committed_without_its_archive() {
    let home = Home::new();
    home.layers("one", &[archive(&[file("a", "first"), file("a", "second")])]).success();
    fs::write(home.path("one/private/upper/new"), "new").unwrap();
    let said = home.call(&["commit", "one/", "docker-archive:new.tar:x"]).failure();
    assert!(said.contains("replace others"), "{said}");
}
