//! Layers that want more than their own directory, or more than they may have: each way that such a layer has got out of
//! another program, as far as it is published.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink as link_to};
use std::process::Command;

use minirun_image::{Applier, Limits, Marks};
use serde_json::json;

use crate::archive::{
    Entry, archive, configuration, directory, docker, entry, file, header, layout, link, record, sign, symlink,
};
use crate::home::{Home, answer, sh};

/// What a layer comes to: the names in it, or the reason for which it is refused.
type Expected = Result<&'static [&'static str], &'static str>;

#[track_caller]
fn check(home: &Home, name: &str, layer: Vec<u8>, expected: Expected) {
    let stored = home.stored();
    let answer = home.layers(name, &[layer]);
    match expected {
        Ok(names) => {
            assert!(answer.status == 0, "{name}: {answer:?}");
            let list = home.shown(name);
            let found: Vec<_> = list.iter().filter_map(|line| line.split_once(' ').map(|(name, _)| name)).collect();
            assert_eq!(found, names, "{name}");
        }
        Err(why) => {
            let said = answer.failure();
            assert!(said.contains(why), "{name}: {said}");
            assert!(!home.path(name).exists(), "{name}: a bundle is left");
            assert_eq!(home.stored(), stored, "{name}: a layer is left");
        }
    }
    home.assert_clean();
}

fn device(kind: u8, path: &str, device: (u32, u32)) -> Entry {
    Entry { device, ..entry(kind, path) }
}

#[test]
fn nothing_is_reached_through_names_and_links() {
    let home = Home::new();
    let canary = home.path("canary").display().to_string();
    let outside = format!("{canary}/directory");
    let deep = "d/".repeat(300);
    let long = "n".repeat(256);
    let longer = format!("{}/x", "p".repeat(200)).repeat(30);
    let rows: Vec<(&str, Vec<Entry>, Expected)> = vec![
        ("absolute", vec![file("/etc/x", "x")], Ok(&["etc", "etc/x"])),
        ("absolute-out", vec![file(format!("{canary}/file"), "bad")], Ok(&["tmp"])),
        ("dots", vec![file("../../file", "x")], Err(".. in it")),
        ("dots-inside", vec![directory("a"), file("a/../b", "x")], Err(".. in it")),
        // Links are followed within the layer (`links.rs`), never to the host.
        ("through-link", vec![symlink("a", &outside), file("a/f", "x")], Ok(&["a", "tmp"])),
        ("through-chain", vec![symlink("a", "b"), symlink("b", &outside), file("a/f", "x")], Ok(&["a", "b", "tmp"])),
        ("through-own-link", vec![directory("d"), symlink("a", "d"), file("a/f", "x")], Ok(&["a", "d", "d/f"])),
        ("through-file", vec![file("a", "x"), file("a/f", "x")], Err("no directory")),
        ("over-link", vec![symlink("a", &format!("{canary}/file")), file("a", "bad")], Ok(&["a"])),
        (
            "directory-over-link",
            vec![symlink("a", &outside), directory("a").mode(0o777), file("a/f", "x")],
            Ok(&["a", "a/f"]),
        ),
        ("link-over-directory", vec![directory("a"), file("a/f", "x"), symlink("a", "/")], Ok(&["a"])),
        ("link-out", vec![link("a", &format!("{canary}/file"))], Err("link it to")),
        ("link-dots", vec![link("a", "../../../canary/file")], Err(".. in it")),
        ("link-through-link", vec![symlink("s", &canary), link("a", "s/file")], Err("link it to")),
        (
            "link-to-link",
            vec![symlink("s", &format!("{canary}/file")), link("a", "s"), file("a", "bad")],
            Ok(&["a", "s"]),
        ),
        ("link-to-directory", vec![directory("d"), link("a", "d")], Err("it is a directory")),
        ("link-to-root", vec![link("a", "/")], Err("root of the layer")),
        ("link-to-itself", vec![file("a", "x"), link("a", "./a")], Ok(&["a"])),
        ("link-too-early", vec![link("a", "b"), file("b", "x")], Err("its own layer")),
        ("link-into-whiteout", vec![entry(b'0', ".wh.b"), link("a", "b")], Err("its own layer")),
        ("names", vec![file(b"\xff\xfe\n\x01", "x")], Ok(&["\u{fffd}\u{fffd}"])),
        ("long-name", vec![file(&long, "x")], Err("ENAMETOOLONG")),
        ("long-path", vec![file(&longer, "x")], Err("longer than the kernel's")),
        ("deep", vec![directory(&deep)], Err("more than 256 directories")),
        ("null", vec![file("a", "x").pax("path", b"a\0b")], Err("NUL")),
        ("empty-link", vec![symlink("a", "")], Err("symbolic link")),
    ];
    for (name, entries, expected) in rows {
        // Where the list cannot tell: names that are no text, and a path that depends on the machine.
        if ["names", "absolute-out", "through-link", "through-chain"].contains(&name) {
            home.layers(name, &[archive(&entries)]).success();
            home.assert_clean();
            continue;
        }
        check(&home, name, archive(&entries), expected);
    }
}

#[test]
fn the_root_of_a_layer_stays_a_directory() {
    let home = Home::new();
    for (number, name) in ["", ".", "./", "/", "//", "./."].iter().enumerate() {
        for kind in [b'0', b'1', b'2', b'3', b'6'] {
            let entry = Entry { link: b"/etc".to_vec(), ..entry(kind, name) };
            let answer = home.layers("bundle", &[archive(&[entry])]);
            answer.failure();
            home.assert_clean();
        }
        let bundle = format!("root-{number}");
        home.layers(&bundle, &[archive(&[directory(name).mode(0o711).ids(3, 4), file("a", "")])]).success();
        let upper = fs::metadata(home.path(&bundle).join("private/upper")).unwrap();
        assert_eq!((upper.mode() & 0o7777, upper.uid(), upper.gid()), (0o711, 3, 4));
    }
    let answer = home.layers("dots", &[archive(&[symlink("a/..", "/etc")])]);
    assert!(answer.failure().contains(".. in it"));
    home.assert_clean();
}

#[test]
fn whiteouts_hide_what_is_beneath_and_nothing_else() {
    let home = Home::new();
    let lower = archive(&[file("kept", ""), directory("d"), file("d/one", ""), directory("e"), file("e/two", "")]);
    let mut marks = vec![directory("d")];
    marks.extend((0..100_000).map(|_| entry(b'0', "d/.wh..wh..opq")));
    marks.push(file("d/new", ""));
    let rows: Vec<(&str, Vec<Entry>, Expected)> = vec![
        ("empty", vec![entry(b'0', ".wh.")], Err("whiteout of nothing")),
        ("dot", vec![entry(b'0', ".wh..")], Err("whiteout of nothing")),
        ("dots", vec![entry(b'0', "d/.wh...")], Err("whiteout of nothing")),
        ("empty-below", vec![entry(b'0', "d/.wh.")], Err("whiteout of nothing")),
        ("directory", vec![directory(".wh.d")], Err("no directories")),
        ("below", vec![file(".wh.d/x", "")], Err("hold nothing")),
        ("through-link", vec![symlink("s", "/"), entry(b'0', "s/.wh.e")], Ok(&["d", "d/one", "kept", "s"])),
        ("many-marks", marks, Ok(&["d", "d/new", "e", "e/two", "kept"])),
        ("own", vec![file("kept", "1"), entry(b'0', ".wh.kept")], Ok(&["d", "d/one", "e", "e/two", "kept"])),
        (
            "own-directory",
            vec![directory("d"), file("d/new", ""), entry(b'0', ".wh.d")],
            Ok(&["d", "d/new", "e", "e/two", "kept"]),
        ),
        ("all", vec![entry(b'0', ".wh..wh..opq"), file("only", "")], Ok(&["only"])),
        (
            "aufs",
            vec![
                directory(".wh..wh.plnk"),
                file(".wh..wh.plnk/1.2", "x"),
                file(".wh..wh.aufs", "x"),
                entry(b'0', ".wh.d"),
            ],
            Ok(&["e", "e/two", "kept"]),
        ),
        ("of-root", vec![entry(b'0', "/.wh.e")], Ok(&["d", "d/one", "kept"])),
        ("as-device", vec![device(b'3', "e", (0, 0))], Ok(&["d", "d/one", "kept"])),
    ];
    for (name, entries, expected) in rows {
        let answer = home.layers(name, &[lower.clone(), archive(&entries)]);
        match expected {
            Ok(names) => {
                answer.success();
                let list = home.shown(name);
                let found: Vec<_> = list.iter().filter_map(|line| Some(line.split_once(' ')?.0)).collect();
                assert_eq!(found, names, "{name}");
            }
            Err(why) => {
                let said = answer.failure();
                assert!(said.contains(why), "{name}: {said}");
            }
        }
        home.assert_clean();
    }
}

#[test]
fn marks_of_overlayfs_and_labels_are_not_taken_from_layers() {
    let home = Home::new();
    let mut planted = directory("d");
    for name in [
        "trusted.overlay.redirect",
        "trusted.overlay.opaque",
        "user.overlay.opaque",
        "user.overlay.redirect",
        "trusted.other",
        "security.selinux",
    ] {
        planted = planted.pax(&format!("SCHILY.xattr.{name}"), "/../../canary");
    }
    let planted = planted.pax("SCHILY.xattr.user.kept", "yes");
    let capability = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let program = file("p", "x").mode(0o4755).pax("SCHILY.xattr.security.capability", capability);
    home.layers("bundle", &[archive(&[planted, program, device(b'3', "null", (1, 3)).mode(0o666)])]).success();
    let root = &home.lower("bundle")[0];
    let found = sh(&home.path("."), &format!("cd '{root}'; getfattr -hd -m - d p | grep -v '^#' | sort"));
    assert_eq!(
        found.split_whitespace().collect::<Vec<_>>(),
        ["security.capability=0sAQAAAgAEAAAAAAAAAAAAAAAAAAA=", "user.kept=\"yes\""]
    );
    assert_eq!(
        sh(&home.path("."), &format!("cd '{root}'; stat -c '%a %F %t:%T' p null")),
        "4755 regular file 0:0\n666 character special file 1:3\n"
    );
    // Nobody but root comes near.
    assert_eq!(fs::metadata(home.path("store")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn what_readers_understand_differently_is_refused() {
    let home = Home::new();
    let end = || vec![0; 1024];
    let mut sized = header(&file("a", ""));
    sized[124..136].copy_from_slice(b"77777777777\0");
    sign(&mut sized);
    let smuggled = [
        header(&Entry { content: record("size", b"0"), ..entry(b'x', "x") }),
        {
            let mut content = record("size", b"0");
            content.resize(512, 0);
            content
        },
        file("outer", &"x".repeat(512)).bytes(),
        end(),
    ]
    .concat();
    for (name, layer, why) in [
        ("truncated", archive(&[file("a", "abc")])[..514].to_vec(), "ends within a file"),
        ("half-a-header", archive(&[file("a", "abc"), file("b", "")])[..1100].to_vec(), "ends within a header"),
        ("larger-than-it-is", [sized, end()].concat(), "ends within a file"),
        ("smuggled", smuggled, "checksum"),
        ("behind-the-end", [archive(&[file("a", "")]), archive(&[file("b", "")])].concat(), "behind the end"),
        ("huge", archive(&[file("a", "").pax("size", "9223372036854775807")]), "out of range"),
        ("negative", archive(&[file("a", "").pax("size", "-1")]), "out of range"),
        ("sparse", archive(&[file("a", "").pax("GNU.sparse.major", "1")]), "sparse"),
        ("large-major", archive(&[device(b'3', "a", (1 << 12, 0))]), "out of range"),
        ("large-minor", archive(&[device(b'4', "a", (1, 1 << 20))]), "out of range"),
        ("no-tar", b"hello".repeat(200), "checksum"),
        (
            "large-attribute",
            archive(&[file("a", "").pax("SCHILY.xattr.user.a", vec![b'x'; 2 << 20])]),
            "extension header of",
        ),
        ("foreign-owner", archive(&[file("a", "").pax("uid", "4294967295")]), "out of range"),
    ] {
        check(&home, name, layer, Err(why));
    }
}

#[test]
fn what_is_not_what_its_digest_says_is_never_seen() {
    let home = Home::new();
    let layer = archive(&[file("a", "abc")]);
    let blob = |home: &Home| {
        let digest = minirun_image::Digest::of(&layer).hex();
        home.path("image/blobs/sha256").join(digest)
    };
    let fresh = || {
        let _none = fs::remove_dir_all(home.path("image"));
        layout(&home.path("image"), &json!({}), std::slice::from_ref(&layer));
        blob(&home)
    };
    let refused = |why: &str| {
        let said = home.bundle("oci:image", "bundle", &[]).failure();
        assert!(said.contains(why), "{why}: {said}");
        assert_eq!(home.stored(), 0);
        home.assert_clean();
    };
    for place in (0..layer.len()).step_by(layer.len() / 64) {
        let mut bytes = layer.clone();
        bytes[place] ^= 0x20;
        fs::write(fresh(), bytes).unwrap();
        refused("layer");
    }
    fs::write(fresh(), [&layer[..], b"\0"].concat()).unwrap();
    refused("bytes, not");
    fs::write(fresh(), &layer[1..]).unwrap();
    refused("bytes, not");
    let path = fresh();
    fs::remove_file(&path).unwrap();
    link_to(home.path("canary/file"), &path).unwrap();
    refused("symbolic link");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused("not a regular file");
    fs::remove_dir(&path).unwrap();
    sh(&home.path("."), &format!("mkfifo '{}'", path.display()));
    refused("not a regular file");
    for (digest, why) in [("sha256:../../x", "malformed"), ("SHA256:aa", "malformed"), ("sha512:aa", "not supported")] {
        fresh();
        let index = fs::read_to_string(home.path("image/index.json")).unwrap();
        let start = index.find("sha256:").unwrap();
        fs::write(home.path("image/index.json"), index.replace(&index[start..start + 71], digest)).unwrap();
        refused(why);
    }
    // Right as a blob, but not what the configuration tells of.
    fresh();
    let another = configuration(&json!({}), &[archive(&[file("b", "")])]);
    let digest = minirun_image::Digest::of(&another);
    fs::write(home.path("image/blobs/sha256").join(digest.hex()), &another).unwrap();
    let manifest = json!({
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest.to_string(), "size": another.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": layer.len(),
            "digest": minirun_image::Digest::of(&layer).to_string()}],
    });
    let manifest = manifest.to_string();
    let digest = minirun_image::Digest::of(manifest.as_bytes());
    fs::write(home.path("image/blobs/sha256").join(digest.hex()), &manifest).unwrap();
    let index = json!({"manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": manifest.len(),
        "digest": digest.to_string()}]});
    fs::write(home.path("image/index.json"), index.to_string()).unwrap();
    refused("the digest of its content");
    // A docker-archive names no blobs, but what they hold.
    docker(&home.path("image.tar"), &json!({}), std::slice::from_ref(&layer));
    let bytes = fs::read(home.path("image.tar")).unwrap();
    let place = bytes.windows(3).position(|window| window == b"abc").unwrap();
    let changed = [&bytes[..place], b"abd", &bytes[place + 3..]].concat();
    fs::write(home.path("image.tar"), changed).unwrap();
    let said = home.bundle("docker-archive:image.tar", "bundle", &[]).failure();
    assert!(said.contains("the digest of its content"), "{said}");
    assert_eq!(home.stored(), 0);
}

#[test]
fn indexes_without_end_are_refused() {
    let home = Home::new();
    layout(&home.path("image"), &json!({}), &[archive(&[file("a", "")])]);
    let mut inner = fs::read(home.path("image/index.json")).unwrap();
    for _ in 0..8 {
        let digest = minirun_image::Digest::of(&inner);
        fs::write(home.path("image/blobs/sha256").join(digest.hex()), &inner).unwrap();
        let kind = "application/vnd.oci.image.index.v1+json";
        let descriptor = json!({"mediaType": kind, "digest": digest.to_string(), "size": inner.len()});
        inner = json!({"schemaVersion": 2, "manifests": [descriptor]}).to_string().into_bytes();
    }
    fs::write(home.path("image/index.json"), &inner).unwrap();
    assert!(home.bundle("oci:image", "bundle", &[]).failure().contains("inside each other"));
    let many = json!({"manifests": vec![json!({}); 300_000]}).to_string();
    fs::write(home.path("image/index.json"), many).unwrap();
    home.bundle("oci:image", "bundle", &[]).failure();
}

#[test]
fn bombs_end_at_their_limits() {
    let home = Home::new();
    // 600 MiB of zeros in a blob of less than one, by each compressor; and with a limit of the caller's.
    let zeros = "{ head -c 600M /dev/zero | ";
    let size = 600 << 20;
    let mut head = header(&file("zeros", ""));
    head[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    sign(&mut head);
    fs::write(home.path("head"), &head).unwrap();
    for compressor in ["gzip -1", "zstd -q"] {
        let script = format!("{zeros} cat head -; head -c 1024 /dev/zero; }} | {compressor} >bomb");
        sh(&home.path("."), &script);
        let blob = fs::read(home.path("bomb")).unwrap();
        // The digests are never come to.
        crate::archive::layout(&home.path("image"), &json!({}), std::slice::from_ref(&blob));
        for (options, why) in [(&[][..], "bytes in a blob of"), (&["--layer-size", "1m"], "more than 1048576 bytes")] {
            let said = home.bundle("oci:image", "bundle", options).failure();
            assert!(said.contains(why) && said.contains("--layer-size"), "{said}");
            assert_eq!(home.stored(), 0);
            home.assert_clean();
        }
        fs::remove_dir_all(home.path("image")).unwrap();
    }
    // A window that takes more memory than a layer may cost.
    sh(&home.path("."), "head -c 200M /dev/zero | zstd -q --ultra -22 --long=27 >bomb");
    let blob = fs::read(home.path("bomb")).unwrap();
    layout(&home.path("image"), &json!({}), std::slice::from_ref(&blob));
    let said = home.bundle("oci:image", "bundle", &[]).failure();
    assert!(said.contains("window"), "{said}");
}

#[test]
fn ten_thousand_malformed_layers_leave_a_process_as_it_was() {
    let home = Home::new();
    let mut whole = archive(&[
        directory("d").pax("SCHILY.xattr.user.a", "b"),
        file("d/one", &"x".repeat(700)).ids(1, 2),
        symlink("d/s", "one"),
        link("hard", "d/one"),
        entry(b'0', "d/.wh.gone"),
        file(format!("d/{}", "l".repeat(200)), "long"),
        file("holes", &format!("{:\0<512}{}", "1\n512\n512\n", "x".repeat(512)))
            .pax("GNU.sparse.major", "1")
            .pax("GNU.sparse.minor", "0")
            .pax("GNU.sparse.name", "holes")
            .pax("GNU.sparse.realsize", "2048"),
        file("more-holes", "x").pax("GNU.sparse.size", "600").pax("GNU.sparse.map", "512,1,600,0"),
    ]);
    whole.truncate(whole.len() - 512);
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let limits = Limits { entries: 100, ..Limits::default() };
    let mut random = 88_172_645_463_325_252u64;
    let mut next = move |most: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % most as u64) as usize
    };
    let before = descriptors();
    let (mut fine, mut refused) = (0, 0);
    for round in 0..10_000 {
        let mut bytes = whole.clone();
        for _ in 0..=next(3) {
            let place = next(bytes.len());
            bytes[place] = next(256) as u8;
        }
        if round % 2 == 0 {
            // Beyond the checksum.
            let block = next(bytes.len() / 512) * 512;
            sign(&mut bytes[block..block + 512]);
        }
        if next(4) == 0 {
            bytes.truncate(next(bytes.len()));
        }
        let root = home.path("root");
        fs::create_dir(&root).unwrap();
        let opened = fs::File::open(&root).unwrap();
        match Applier::new(opened.into(), &limits, Marks::Trusted).apply(&bytes[..], std::io::sink()) {
            Ok(_) => fine += 1,
            Err(_) => refused += 1,
        }
        fs::remove_dir_all(&root).unwrap();
    }
    assert!(fine > 100 && refused > 1000, "{fine} fine, {refused} refused");
    // Other tests of this program open some for a while.
    assert!(descriptors() < before + 100, "{} descriptors, {before} before", descriptors());
    home.assert_clean();
}

#[test]
fn limits_are_kept() {
    let home = Home::new();
    let limits = Limits { entries: 3, depth: 2, ..Limits::default() };
    let apply = |entries: &[Entry]| {
        let root = home.path("root");
        let _none = fs::remove_dir_all(&root);
        fs::create_dir(&root).unwrap();
        let opened = fs::File::open(&root).unwrap();
        Applier::new(opened.into(), &limits, Marks::Trusted)
            .apply(&archive(entries)[..], std::io::sink())
            .map_err(|error| error.to_string())
    };
    let files = |count: usize| (0..count).map(|number| file(number.to_string(), "")).collect::<Vec<_>>();
    apply(&files(3)).unwrap();
    assert!(apply(&files(4)).unwrap_err().contains("more than 3 entries"));
    apply(&[file("a/b", "")]).unwrap();
    assert!(apply(&[file("a/b/c", "")]).unwrap_err().contains("more than 2 directories"));
}

#[test]
fn the_users_of_an_image_are_read_from_its_files_alone() {
    let home = Home::new();
    let passwd = "root:x:0:0::/:\nwww:x:33:33::/:\n7:x:1007:1007::/:\n";
    let group = "root:x:0:\nweb:x:80:www,other\nadm:x:4:www\n";
    let lower = archive(&[directory("etc"), file("etc/passwd", "www:x:1:1::/:\n"), file("etc/group", group)]);
    let upper = archive(&[directory("usr"), file("usr/users", passwd), symlink("etc/passwd", "../usr/users")]);
    docker(&home.path("image.tar"), &json!({"User": "www"}), &[lower, upper]);
    for (number, (user, expected)) in [
        ("", Some((33, 33, json!([33, 4, 80])))),
        ("root", Some((0, 0, json!([0])))),
        ("33", Some((33, 33, json!([33, 4, 80])))),
        ("www:web", Some((33, 80, json!([80])))),
        ("1234", Some((1234, 0, json!([0])))),
        ("1234:5", Some((1234, 5, json!([5])))),
        // Its name counts more than its number.
        ("7", Some((1007, 1007, json!([1007])))),
        ("nobody", None),
        ("www:nogroup", None),
        ("4294967296", None),
        ("-1", None),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("bundle-{number}");
        let options = ["--user", user];
        let answer = home.bundle("docker-archive:image.tar", &name, if user.is_empty() { &[] } else { &options });
        let Some((uid, gid, groups)) = expected else {
            assert!(answer.failure().contains("the image has no"), "{user}");
            continue;
        };
        answer.success();
        let found = &home.config(&name)["process"]["user"];
        assert_eq!(
            (&found["uid"], &found["gid"], &found["additionalGids"]),
            (&json!(uid), &json!(gid), &groups),
            "{user}"
        );
    }
    let outside = home.path("canary/file").display().to_string();
    for (entry, why) in [
        (symlink("etc/passwd", &outside), "no user"),
        (symlink("etc/passwd", "../../../../../../etc/passwd"), "ELOOP"),
        (entry(b'6', "etc/passwd"), "it is not a regular file"),
        (device(b'3', "etc/passwd", (1, 5)), "it is not a regular file"),
        (file("etc/passwd", &"x".repeat(2 << 20)), "more than 1048576 bytes"),
    ] {
        docker(&home.path("image.tar"), &json!({"User": "www"}), &[archive(&[entry])]);
        let said = home.bundle("docker-archive:image.tar", "none", &[]).failure();
        assert!(said.contains(why), "{why}: {said}");
        assert!(!home.path("none").exists());
    }
}

#[test]
fn a_disk_that_is_full_is_left_empty() {
    let home = Home::new();
    docker(
        &home.path("image.tar"),
        &json!({}),
        &[archive(&[file("a", &"x".repeat(3 << 20)), file("b", &"x".repeat(3 << 20))])],
    );
    fs::create_dir(home.path("small")).unwrap();
    let program = runtime_tests::Runtime::from_env().bare();
    let script = format!(
        "mount -t tmpfs -o size=4m tmpfs small; \
         ! '{}' bundle --store small/store --cmd true docker-archive:image.tar bundle; \
         find small -type f; ls small/store/staging small/store/layers; test ! -e bundle",
        program.get_program().to_string_lossy()
    );
    let answer = answer(Command::new("unshare").args(["-m", "sh", "-euc", &script]).current_dir(home.path(".")));
    assert!(answer.stderr.contains("ENOSPC") && answer.stderr.contains("--store"), "{answer:?}");
    assert_eq!(answer.success(), "small/store/layers:\n\nsmall/store/staging:\n");
}

#[test]
fn a_configuration_of_another_digest_is_refused() {
    let home = Home::new();
    let layers = [archive(&[file("a", "")])];
    let text = configuration(&json!({}), &layers);
    let name = format!("{}.json", minirun_image::Digest::of(b"another").hex());
    let manifest = json!([{"Config": name, "Layers": ["l"]}]).to_string();
    let entries = [
        Entry { content: text, ..entry(b'0', &name) },
        Entry { content: layers[0].clone(), ..entry(b'0', "l") },
        file("manifest.json", &manifest),
    ];
    fs::write(home.path("image.tar"), archive(&entries)).unwrap();
    assert!(
        home.bundle("docker-archive:image.tar", "bundle", &[]).failure().contains("the digest of the configuration")
    );
}

#[test]
fn an_archive_that_is_a_pipe_keeps_nobody_waiting() {
    let home = Home::new();
    sh(&home.path("."), "mkfifo pipe");
    for transport in ["oci-archive", "docker-archive"] {
        let said = home.bundle(&format!("{transport}:pipe"), "bundle", &[]).failure();
        assert!(said.contains("not a regular file"), "{said}");
    }
}
