//! How much memory a layer can cost: no process takes more than 64 MiB, whatever it is made of.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use runtime_tests::Runtime;
use serde_json::json;

use crate::archive::{Entry, archive, directory, entry, file, header, layout, sign};
use crate::home::{Answer, Home, answer, sh};

/// The most that a process may have had in memory, in KiB.
const MOST: u64 = 64 << 10;

/// Makes a bundle of the image in `image`; fails if a process has taken too much.
#[track_caller]
fn bundle(home: &Home, name: &str) -> Answer {
    let mut command = Command::new("time");
    command.args(["--output", "peak", "--format", "%M"]).arg(Runtime::from_env().bare().get_program());
    command.args(["bundle", "--store", "store", "--cmd", "true", "oci:image", name]);
    let answer = answer(command.current_dir(home.path(".")));
    let peak: u64 = fs::read_to_string(home.path("peak")).unwrap().lines().last().unwrap().parse().unwrap();
    assert!(peak < MOST, "{name}: {peak} KiB: {answer:?}");
    answer
}

/// Makes an image of the layer in the file `layer`, compressed.
fn compressed(home: &Home, compressor: &str) {
    layout(&home.path("image"), &json!({}), &[archive(&[])]);
    let script = r#"rm -rf image/blobs/sha256/*; content=$(sha256sum <layer | cut -c 1-64); cat layer | COMPRESSOR >blob
        put() {
            sum=$(sha256sum <$1 | cut -c 1-64); size=$(stat -c %s $1); mv $1 image/blobs/sha256/$sum
            printf '{"mediaType": "application/vnd.oci.image.%s", "digest": "sha256:%s", "size": %s}' $2 $sum $size >described
        }
        put blob layer.v1.tar; layer=$(cat described)
        printf '{"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:%s"]}}' $content >config
        put config config.v1+json; config=$(cat described)
        printf '{"schemaVersion": 2, "config": %s, "layers": [%s]}' "$config" "$layer" >manifest
        put manifest manifest.v1+json; printf '{"schemaVersion": 2, "manifests": [%s]}' "$(cat described)" >image/index.json"#;
    sh(&home.path("."), &script.replace("COMPRESSOR", compressor));
}

#[test]
fn a_huge_file_is_never_in_memory() {
    let home = Home::new();
    // What is repeated lies further apart than the windows of most compressors reach.
    sh(&home.path("."), "head -c 24M /dev/urandom >part; cat part part part part >content");
    let size = 96 << 20;
    let mut head = header(&file("huge", ""));
    head[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    sign(&mut head);
    fs::write(home.path("head"), head).unwrap();
    sh(&home.path("."), "head -c 1024 /dev/zero >end; cat head content end >layer");
    for (compressor, fits) in
        [("cat", true), ("gzip -1", true), ("zstd -q", true), ("zstd -q --long=25", true), ("zstd -q --long=27", false)]
    {
        let _before = fs::remove_dir_all(home.path("store"));
        compressed(&home, compressor);
        let name = compressor.replace(' ', "");
        let answer = bundle(&home, &name);
        if fits {
            answer.success();
            let made = Path::new(&home.lower(&name)[0]).join("huge");
            assert_eq!(sh(&home.path("."), &format!("cmp content '{}' && echo same", made.display())), "same\n");
        } else {
            assert!(answer.failure().contains("a window of 134217728 bytes"), "{compressor}");
        }
        home.assert_clean();
    }
}

#[test]
fn parts_one_after_the_other_are_one_layer() {
    let home = Home::new();
    fs::write(home.path("layer"), archive(&[file("a", &"x".repeat(3000)), file("b", "y")])).unwrap();
    let first = "dd bs=1000 count=1 2>/dev/null";
    let skipped = r"printf '\120\052\115\030\003\000\000\000abc'";
    for (name, compressor, why) in [
        ("members", format!("{{ {first} | gzip; gzip; }}"), None),
        ("frames", format!("{{ {skipped}; {first} | zstd -q; {skipped}; zstd -q; }}"), None),
        ("more", "{ gzip; printf more; }".to_owned(), Some("decompress (gzip)")),
        ("less", "gzip | head -c 60".to_owned(), Some("decompress (gzip)")),
        ("no-frame", "{ zstd -q; printf more; }".to_owned(), Some("decompress (zstd)")),
        ("half-a-frame", "zstd -q | head -c 40".to_owned(), Some("decompress (zstd)")),
        ("twice", "gzip | gzip".to_owned(), Some("tar header at byte 0")),
        ("largest-window", "zstd -q --long=31".to_owned(), Some("a window of 2147483648 bytes")),
    ] {
        let _before = fs::remove_dir_all(home.path("store"));
        // That of less content would be its size.
        if name == "largest-window" {
            sh(&home.path("."), "truncate -s 8M layer");
        }
        compressed(&home, &compressor);
        match (bundle(&home, name), why) {
            (answer, None) => drop(answer.success()),
            (answer, Some(why)) => {
                let said = answer.failure();
                assert!(said.contains(why), "{name}: {said}");
                assert_eq!(home.stored(), 0);
            }
        }
        home.assert_clean();
    }
}

#[test]
fn headers_as_long_as_they_may_be_are_kept_one_at_a_time() {
    let home = Home::new();
    let long = "x".repeat(1_000_000);
    let files = |key: &str| (0..100).map(|number| file(format!("f{number}"), "").pax(key, &long)).collect::<Vec<_>>();
    for (name, entries, why) in [
        ("comments", files("comment"), None),
        ("attributes", files("SCHILY.xattr.trusted.left-out"), None),
        ("paths", files("path"), Some("longer than the kernel's")),
        ("links", vec![entry(b'2', "a").pax("linkpath", &long)], Some("symbolic link")),
        ("names", vec![Entry { content: long.clone().into(), ..entry(b'L', "l") }, file("a", "")], Some("longer than")),
        (
            "records",
            vec![(0..35_000).fold(file("a", ""), |file, n| file.pax(&format!("SCHILY.xattr.{n}"), ""))],
            Some("more than 1024"),
        ),
    ] {
        fs::write(home.path("layer"), archive(&entries)).unwrap();
        compressed(&home, "cat");
        let answer = bundle(&home, name);
        match why {
            None => drop(answer.success()),
            Some(why) => {
                let said = answer.failure();
                assert!(said.contains(why) && said.len() < 2000, "{name}: {said}");
            }
        }
        home.assert_clean();
    }
}

#[test]
fn entries_are_forgotten_when_they_are_made() {
    let home = Home::new();
    let many =
        |name: fn(usize) -> String| archive(&(0..50_000).map(|number| file(name(number), "")).collect::<Vec<_>>());
    for (name, layer, fits) in [
        ("one directory", many(|number| format!("{number:05}")), true),
        ("many", many(|number| format!("{}/{}/{number}", number / 1000, number / 30 % 30)), true),
        // Those that have no entry of their own must be remembered.
        ("without entries", many(|number| format!("{number:05}/f")), true),
        ("too many", archive(&(0..80_000).map(|number| file(format!("{number:05}/f"), "")).collect::<Vec<_>>()), false),
        (
            "deep",
            archive(&(0..9000).map(|n| file(format!("{n}/{}f", "deep/".repeat(200)), "")).collect::<Vec<_>>()),
            false,
        ),
    ] {
        fs::write(home.path("layer"), layer).unwrap();
        compressed(&home, "cat");
        let answer = bundle(&home, name);
        match fits {
            true => drop(answer.success()),
            false => assert!(answer.failure().contains("too many directories without an entry"), "{name}"),
        }
        home.assert_clean();
    }
}

#[test]
fn documents_have_no_more_items_than_real_ones() {
    let home = Home::new();
    let layers = [archive(&[directory("d")])];
    let items = |item: &str| vec![item; 4_190_000 / (item.len() + 1)].join(",");
    for (document, item) in [
        ("manifests", "{}"),
        ("manifests", "[]"),
        ("layers", "{}"),
        ("diff_ids", "\"\""),
        ("Env", "\"\""),
        ("history", "{}"),
    ] {
        let _before = fs::remove_dir_all(home.path("image"));
        layout(&home.path("image"), &json!({}), &layers);
        let put = |kind: &str, text: String| {
            let digest = minirun_image::Digest::of(text.as_bytes());
            fs::write(home.path("image/blobs/sha256").join(digest.hex()), &text).unwrap();
            json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest.to_string(), "size": text.len()})
        };
        let list = items(item);
        let index = match document {
            "manifests" => format!(r#"{{"manifests": [{list}]}}"#),
            _ => {
                let config = put(
                    "config.v1+json",
                    match document {
                        "diff_ids" => format!(r#"{{"rootfs": {{"diff_ids": [{list}]}}}}"#),
                        "history" => format!(r#"{{"history": [{list}]}}"#),
                        "Env" => format!(r#"{{"config": {{"Env": [{list}]}}}}"#),
                        _ => "{}".to_owned(),
                    },
                );
                let layers = if document == "layers" { list.as_str() } else { "" };
                let manifest = put("manifest.v1+json", format!(r#"{{"config": {config}, "layers": [{layers}]}}"#));
                json!({"manifests": [manifest]}).to_string()
            }
        };
        fs::write(home.path("image/index.json"), index).unwrap();
        let said = bundle(&home, "bundle").failure();
        // What is not read may have as many as it likes.
        let why = if document == "history" { "it has no layers" } else { "items are not expected" };
        assert!(said.contains(why), "{document}: {said}");
    }
    // Nor do archives have as long names.
    let entries: Vec<_> = (0..100).map(|n| file(format!("{n}{}", "n".repeat(1_000_000)), "")).collect();
    fs::remove_dir_all(home.path("image")).unwrap();
    fs::write(home.path("image"), archive(&entries)).unwrap();
    symlink("image", home.path("image.tar")).unwrap();
    let mut command = Command::new("time");
    command.args(["--output", "peak", "--format", "%M"]).arg(Runtime::from_env().bare().get_program());
    command.args(["bundle", "--store", "store", "docker-archive:image.tar", "bundle"]).current_dir(home.path("."));
    assert!(answer(&mut command).failure().contains("bytes of names are not expected there"));
    let peak: u64 = fs::read_to_string(home.path("peak")).unwrap().lines().last().unwrap().parse().unwrap();
    assert!(peak < MOST, "{peak} KiB");
}
