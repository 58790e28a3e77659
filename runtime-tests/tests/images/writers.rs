//! Images that other programs have written, and what they make of the same: umoci, skopeo, GNU tar and bsdtar.

use std::fs;

use serde_json::json;

use crate::archive::{archive, directory, docker, file};
use crate::home::{Home, sh};

/// A tree with what real ones have, in the directory `tree`.
const TREE: &str = r"
	mkdir -p tree/usr/bin tree/etc tree/tmp tree/var/lib/$(printf 'd%.0s' $(seq 120))
	chmod 1777 tree/tmp
	printf 'program' >tree/usr/bin/program; chmod 4755 tree/usr/bin/program
	ln tree/usr/bin/program tree/usr/bin/other
	ln -s usr/bin tree/bin
	ln -s /$(printf 'long/%.0s' $(seq 40))target tree/etc/long-link
	printf 'name' >tree/etc/$(printf 'n%.0s' $(seq 200))
	printf 'text' >'tree/etc/with space and \ and ü'
	mkfifo tree/var/pipe; mknod tree/var/null c 1 3; mknod tree/var/disk b 8 1
	head -c 3M /dev/urandom >tree/var/data
	printf 'x' >tree/etc/owned; chown 70000:3000000 tree/etc/owned
	setfattr -n user.key -v value tree/etc/owned
	find tree -exec touch -h -d '@1234567890.123456789' {} +
";

#[test]
fn archives_of_other_programs_become_the_tree_that_they_were_made_of() {
    let home = Home::new();
    sh(&home.path("."), TREE);
    for (name, command) in [
        ("gnu", "tar --format=gnu --numeric-owner -cf layer.tar -C tree ."),
        ("pax", "tar --format=pax --xattrs --numeric-owner -cf layer.tar -C tree ."),
        ("names", "tar --format=pax --numeric-owner -cf layer.tar -C tree bin etc tmp usr var"),
        ("bsd-pax", "bsdtar --format=pax --numeric-owner -cf layer.tar -C tree ."),
        ("bsd-gnu", "bsdtar --format=gnutar --numeric-owner -cf layer.tar -C tree ."),
    ] {
        sh(&home.path("."), command);
        let layer = fs::read(home.path("layer.tar")).unwrap();
        home.layers(name, &[layer]).success();
        let (found, mut expected) = (home.shown(name), home.list(&home.path("tree")));
        if name.ends_with("gnu") {
            // The format has whole seconds.
            let whole = |line: &String| line.replace(".1234567890", "").replace(".123456789", "");
            expected = expected.iter().map(whole).collect();
        }
        assert_eq!(found, expected, "{name}");
        let root = home.lower(name).remove(0);
        assert_eq!(sh(&home.path("."), &format!("stat -c %h '{root}/usr/bin/other'")), "2\n");
        let kept =
            sh(&home.path("."), &format!("getfattr --only-values -n user.key '{root}/etc/owned' 2>/dev/null || :"));
        assert_eq!(kept, if ["pax", "bsd-pax"].contains(&name) { "value" } else { "" }, "{name}");
    }
    home.call(&["image", "--store", "store", "verify"]).success();
}

/// Two layers, written by umoci; the second deletes and replaces.
const UMOCI: &str = r"
	umoci init --layout image
	umoci new --image image:tag
	umoci unpack --image image:tag work
	cp -a tree/. work/rootfs/
	umoci repack --image image:tag work
	rm work/rootfs/etc/owned work/rootfs/var/pipe
	rm -r work/rootfs/var/lib; mkdir work/rootfs/var/lib; printf new >work/rootfs/var/lib/new
	umoci repack --image image:tag work
	umoci config --image image:tag --config.cmd /bin/program --config.env A=B --config.label k=v --config.workingdir /etc
	rm -rf work; umoci unpack --image image:tag work
";

#[test]
fn what_umoci_writes_becomes_what_umoci_unpacks() {
    let home = Home::new();
    sh(&home.path("."), TREE);
    sh(&home.path("."), UMOCI);
    home.bundle("oci:image:tag", "bundle", &[]).success();
    assert_eq!(home.shown("bundle"), home.list(&home.path("work/rootfs")));
    let config = home.config("bundle");
    assert_eq!(config["process"]["cwd"], "/etc");
    assert_eq!(config["annotations"]["k"], "v");
    assert!(config["process"]["env"].as_array().unwrap().contains(&json!("A=B")));
}

#[test]
fn an_archive_that_ends_with_its_last_byte_is_whole() {
    let home = Home::new();
    // umoci writes neither the padding of the last file nor the end of the archive.
    sh(
        &home.path("."),
        "umoci init --layout image; umoci new --image image:tag; mkdir tree; printf abc >tree/file
        umoci insert --image image:tag tree /there; skopeo copy -q oci:image:tag docker-archive:image.tar:tag:tag",
    );
    for (number, image) in ["oci:image:tag", "docker-archive:image.tar"].into_iter().enumerate() {
        let _before = fs::remove_dir_all(home.path("store"));
        let name = format!("bundle-{number}");
        home.bundle(image, &name, &[]).success();
        assert_eq!(sh(std::path::Path::new(&home.lower(&name)[0]), "cat there/file"), "abc");
        home.call(&["image", "--store", "store", "verify"]).success();
    }
}

#[test]
fn skopeo_puts_the_same_image_into_every_form() {
    let home = Home::new();
    let layers = [archive(&[directory("etc"), file("etc/a", "one")]), archive(&[file("etc/b", "two")])];
    docker(&home.path("image.tar"), &json!({"Cmd": ["x"]}), &layers);
    home.bundle("docker-archive:image.tar:example:latest", "bundle", &[]).success();
    let expected = home.lower("bundle");
    let copy = "skopeo --insecure-policy copy -q docker-archive:image.tar";
    for (image, options) in [
        ("oci:gzip:tag", ""),
        ("oci:zstd:tag", "--dest-compress-format zstd --dest-compress"),
        ("oci-archive:archive.tar:tag", ""),
        ("docker-archive:again.tar:other:tag", ""),
    ] {
        sh(&home.path("."), &format!("{copy} {options} {image}"));
        fs::remove_dir_all(home.path("store/layers")).unwrap();
        home.bundle(image, &image.replace([':', '.'], "-"), &[]).success();
        let found = home.lower(&image.replace([':', '.'], "-"));
        // Above them is a directory with the attributes of /etc, for which the second layer has no entry.
        assert_eq!(found[1..], expected[1..], "{image}");
    }
    assert!(sh(&home.path("."), "cat zstd/blobs/sha256/* | grep -a tar+zstd | head -c 1").len() == 1);
    home.call(&["image", "--store", "store", "verify"]).success();
}

#[test]
fn five_hundred_layers_are_an_image_and_one_more_is_none() {
    let home = Home::new();
    let layers: Vec<_> = (0..500).map(|number| archive(&[file(format!("f{number}"), &number.to_string())])).collect();
    home.layers("bundle", &layers).success();
    assert_eq!(home.lower("bundle").len(), 500);
    let one_more = [layers, vec![archive(&[file("more", "")])]].concat();
    let said = home.layers("more", &one_more).failure();
    assert!(said.contains("501 layers are more than the kernel's 500"), "{said}");
}
