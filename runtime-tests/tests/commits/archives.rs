//! Commits into archives that are there already: they keep their images, and appear in one go.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use serde_json::Value;

use crate::home::Home;

impl Home {
    /// The digests of an image's layers, as skopeo reads them.
    fn diff_ids(&self, image: &str) -> Value {
        self.inspect(image)["rootfs"]["diff_ids"].clone()
    }

    /// The names in an archive, sorted.
    fn names(&self, archive: &str) -> Vec<String> {
        self.sh(&format!("tar -tf {archive} | LC_ALL=C sort")).lines().map(str::to_owned).collect()
    }
}

#[test]
fn archives_take_more_images() {
    let home = Home::new();
    home.changed("web");
    home.sh("skopeo copy -q oci:img:base oci-archive:a.tar:base
        skopeo copy -q oci:img:base docker-archive:d.tar:example.com:5000/base:1
        chmod 640 a.tar; chown 7:8 a.tar");
    let base = home.diff_ids("oci:img:base");
    for (archive, old, new) in [
        ("oci-archive:a.tar", "oci-archive:a.tar:base", "oci-archive:a.tar:new"),
        ("docker-archive:d.tar", "docker-archive:d.tar:example.com:5000/base:1", "docker-archive:d.tar:new:latest"),
    ] {
        home.commit(&[], "web/", new);
        assert_eq!(home.diff_ids(old), base);
        let made = home.diff_ids(new);
        assert_eq!((made.as_array().unwrap().len(), &made[0]), (2, &base[0]), "{archive}");
        for (image, bundle) in [(old, "old"), (new, "made")] {
            home.bundle(image, &format!("{bundle}-{}", &archive[..3]), "true", &[]);
        }
        // Without a name it could not be told from the others.
        let said = home.call(&["commit", "web/", archive]).failure();
        assert!(said.contains("needs a name"), "{said}");
    }
    let found = fs::metadata(home.path("a.tar")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o640, 7, 8));
    // Each of the two has its configuration, and they share a layer.
    assert_eq!(home.names("d.tar").iter().filter(|name| name.ends_with(".tar")).count(), 2);
    assert_eq!(home.names("d.tar").len(), 5, "{:?}", home.names("d.tar"));
}

#[test]
fn an_image_that_loses_its_name_leaves_the_archive() {
    let home = Home::new();
    home.changed("web");
    home.bundle("oci:img:base", "other", "echo other >/other", &[]);
    home.call(&["run", "other/"]).success();
    for (archive, new) in [("a.tar", "oci-archive:a.tar:x"), ("d.tar", "docker-archive:d.tar:x")] {
        home.commit(&[], "web/", new);
        let once = home.names(archive);
        home.commit(&[], "other/", new);
        let twice = home.names(archive);
        assert_eq!(once.len(), twice.len(), "{once:?} {twice:?}");
        home.bundle(new, &format!("of-{archive}"), "true", &[]);
        assert!(home.shown(&format!("of-{archive}")).contains("\nother "));
        // One of several names is no reason to go.
        home.commit(&[], "web/", &new.replace(":x", ":y"));
        assert!(home.names(archive).len() > twice.len());
    }
    home.sh("skopeo copy -q docker-archive:d.tar:x:latest dir:x; skopeo copy -q docker-archive:d.tar:y:latest dir:y");
}

#[test]
fn what_docker_has_saved_takes_more_images() {
    let home = Home::new();
    home.changed("web");
    // As Docker before 25 wrote it: directories, a layer that is a link, and what older versions read.
    home.sh("skopeo copy -q oci:img:base docker-archive:flat.tar:base; mkdir t one two; tar -xf flat.tar -C t
        mv t/*.tar one/layer.tar; ln -s ../one/layer.tar two/layer.tar; echo 1.0 >one/VERSION; cp t/*.json .
        sed 's,\"Layers\":\\[[^]]*,\"Layers\":[\"two/layer.tar\",' manifest.json | sed 's/layer.tar\",\\]/layer.tar\"]/' >m
        mv m manifest.json; echo '{}' >repositories
        tar -cf saved.tar one two *.json repositories");
    home.bundle("docker-archive:saved.tar:base", "from", "true", &[]);
    home.commit(&[], "web/", "docker-archive:saved.tar:new");
    let names = home.names("saved.tar");
    assert!(
        names.contains(&"one/layer.tar".to_owned()) && !names.iter().any(|name| name.starts_with("two")),
        "{names:?}"
    );
    for name in ["base", "new"] {
        home.bundle(&format!("docker-archive:saved.tar:{name}"), name, "true", &[]);
        home.sh(&format!("skopeo copy -q docker-archive:saved.tar:{name}:latest dir:{name}-copy"));
    }
    assert_eq!(home.shown("from"), home.shown("base"));
}

#[test]
fn documents_of_any_kind_stay_in_an_archive() {
    let home = Home::new();
    home.changed("web");
    // An index in the index, and what is about an image without being one.
    home.sh(r#"skopeo copy -q oci:img:base oci-archive:a.tar:base; mkdir t; tar -xf a.tar -C t; cd t
        put() { sum=$(sha256sum <"$1"); sum=${sum% *}; sum=${sum% }; size=$(stat -c %s "$1"); mv "$1" blobs/sha256/$sum; }
        printf signature >x; put x; signature=$sum
        printf '{"layers": [{"digest": "sha256:%s", "size": 9}]}' $signature >x; put x
        about='{"mediaType": "application/vnd.example+json", "digest": "sha256:'$sum'", "size": '$size'}'
        manifest=$(sed 's/.*"manifests":\[\(.*\)\].*/\1/; s/,"annotations":{[^}]*}//' index.json)
        printf '{"schemaVersion": 2, "manifests": [%s]}' "$manifest" >x; put x
        kind=application/vnd.oci.image.index.v1+json
        printf '{"schemaVersion": 2, "annotations": {"a": "b"}, "manifests": [%s, {"mediaType": "%s", "digest": "sha256:%s",
            "size": %s, "annotations": {"org.opencontainers.image.ref.name": "base"}}]}' "$about" $kind $sum $size >index.json
        tar -cf ../b.tar *; echo $signature >../signature"#);
    home.bundle("oci-archive:b.tar:base", "before", "true", &[]);
    home.commit(&[], "web/", "oci-archive:b.tar:new");
    home.bundle("oci-archive:b.tar:base", "after", "true", &[]);
    assert_eq!(home.shown("before"), home.shown("after"));
    let signature = format!("blobs/sha256/{}", fs::read_to_string(home.path("signature")).unwrap().trim());
    assert!(home.names("b.tar").contains(&signature));
    let index: Value = serde_json::from_str(&home.sh("tar -xOf b.tar index.json")).unwrap();
    assert_eq!((&index["annotations"]["a"], index["manifests"].as_array().unwrap().len()), (&"b".into(), 3));
}

#[test]
fn two_commits_at_once_are_both_there() {
    let home = Home::new();
    home.changed("web");
    home.commit(&[], "web/", "docker-archive:d.tar:first");
    let commit = |number: u32| {
        let to = format!("docker-archive:d.tar:n{number}");
        home.command(&["commit", "web/", &to]).stdout(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..4).map(commit).collect();
    children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    for name in ["first", "n0", "n1", "n2", "n3"] {
        home.inspect(&format!("docker-archive:d.tar:{name}:latest"));
    }
    home.assert_clean();
}

#[test]
fn an_archive_that_cannot_take_one_stays_as_it_is() {
    let home = Home::new();
    home.changed("web");
    home.sh("skopeo copy -q oci:img:base oci-archive:a.tar:base; skopeo copy -q oci:img:base docker-archive:d.tar:base
        head -c 10000 d.tar >short.tar; gzip -k a.tar; ln -s a.tar link.tar; mkfifo pipe.tar; mkdir dir.tar; echo >text.tar
        mkdir t; cd t; echo '[[\"c\", [], []]]' >manifest.json; tar -cf ../odd.tar *; rm *
        echo '{\"imageLayoutVersion\": \"1.0.0\"}' >oci-layout; echo '[]' >index.json; tar -cf ../index.tar *");
    for (to, why) in [
        ("docker-archive:short.tar:x", "ends within"),
        ("docker-archive:a.tar:x", "docker save has not written it"),
        ("oci-archive:d.tar:x", "not an OCI image layout"),
        ("oci-archive:a.tar.gz:x", "compressed"),
        ("oci-archive:link.tar:x", "symbolic link"),
        ("oci-archive:pipe.tar:x", "not a regular file"),
        ("oci-archive:dir.tar:x", "not a regular file"),
        ("oci-archive:text.tar:x", "ends within a header"),
        ("docker-archive:odd.tar:x", "an image is not an object"),
        ("oci-archive:index.tar:x", "manifests is not a list"),
    ] {
        let file = to.split(':').nth(1).unwrap();
        let sum = || home.sh(&format!("test ! -f {file} || sha256sum {file}"));
        let before = sum();
        let said = home.call(&["commit", "web/", to]).failure();
        assert!(said.contains(why), "{to}: {said}");
        assert_eq!(sum(), before, "{to}");
        home.assert_clean();
    }
}
