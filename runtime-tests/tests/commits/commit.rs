//! `minirun commit`: the image that is made of changes is the container's root.

use std::fs;

use serde_json::json;

use crate::home::{Home, LIST};

#[test]
fn the_image_is_the_root_as_it_was() {
    let home = Home::new();
    home.changed("web");
    home.sh("setfattr -n user.note -v hello web/private/upper/new; setfattr -n trusted.own -v host web/private/upper/new
        setcap cap_net_raw=ep web/private/upper/dir/three; mkdir -p web/private/upper/a/$(printf %0150d 7); chmod 1777 web/private/upper");
    home.commit(&[], "web/", "oci:img:new");
    let expected = home.shown("web").replace("trusted.own=\"host\"\n", "");
    home.bundle("oci:img:new", "again", "true", &[]);
    assert_eq!(home.shown("again"), expected);
    assert_eq!(home.call(&["diff", "again/"]).success(), "");
    // umoci keeps no fractions of seconds, and skopeo verifies every digest.
    home.sh("umoci unpack --image img:new umoci; skopeo copy -q oci:img:new dir:copy");
    let whole = |list: &str| list.lines().map(|line| line.split('.').next().unwrap().to_owned()).collect::<Vec<_>>();
    let unpacked = home.sh(&format!("cd umoci/rootfs; {LIST}"));
    let files = |list: &str| whole(list).into_iter().filter(|line| line.contains(" f ")).collect::<Vec<_>>();
    assert_eq!(files(&unpacked), files(&expected));
    let blob = home.layer("new");
    let listed = home.sh(&format!("tar --numeric-owner -tvf {} | tr -s ' '", blob.display()));
    for (path, begins) in [
        ("./", "drwxrwxrwt"),
        (".wh.gone", "-"),
        ("old/.wh.x", "-"),
        ("dir/.wh..wh..opq", "-"),
        ("new link to dir/same", "h"),
        ("link -> /new", "l"),
        ("a/null", "crw-r--r-- 0/0 1,3 "),
        ("a/pipe", "p"),
        ("a/b/", "drwxr-xr-x 7/8"),
        ("file/", "d"),
    ] {
        let found = listed.lines().any(|line| line.starts_with(begins) && line.ends_with(&format!(" {path}")));
        assert!(found, "{begins} {path} in\n{listed}");
    }
    assert!(!listed.contains(" .wh.file") && !listed.contains("bin/"), "{listed}");
}

#[test]
fn the_same_changes_make_the_same_layer() {
    let home = Home::new();
    home.changed("web");
    home.commit(&[], "web/", "oci:img:one");
    home.sh("touch web/private/upper");
    home.commit(&["-m", "another"], "web/", "oci:img:two");
    assert_eq!(home.layer("one"), home.layer("two"));
    let dated = |to: &str| {
        let mut command = home.command(&["commit", "web/", to]);
        home.0.finish(command.env("SOURCE_DATE_EPOCH", "1000000000")).success()
    };
    assert_eq!(dated("oci:img:three"), dated("oci-archive:four.tar"));
    assert_eq!(home.inspect("oci:img:three")["created"], "2001-09-09T01:46:40Z");
    // A second image with the tag takes the place of the first.
    home.commit(&[], "web/", "oci:img:one");
    assert_eq!(home.sh("umoci list --layout img | sort"), "base\none\nthree\ntwo\n");
}

#[test]
fn every_compression_holds_the_same() {
    let home = Home::new();
    home.changed("web");
    // More than one frame, of what can be compressed and what cannot.
    home.sh("{ yes | head -c 2000000; head -c 1000000 /dev/urandom; seq 300000; } >web/private/upper/large");
    let of = |image: &str| home.inspect(image)["rootfs"]["diff_ids"].clone();
    home.commit(&[], "web/", "oci:gzip:tag");
    for (how, first) in [("gzip", "1f8b"), ("zstd", "28b52ffd"), ("none", "")] {
        home.commit(&["--compress", how], "web/", &format!("oci:{how}:tag"));
        assert_eq!(of(&format!("oci:{how}:tag")), of("oci:gzip:tag"), "{how}");
        // skopeo decompresses what it writes as directories, and compares the content with its digest.
        home.sh(&format!("rm -rf copy; skopeo copy -q --dest-decompress oci:{how}:tag dir:copy"));
        let largest = format!("ls -S {how}/blobs/sha256/* | head -n 1");
        let beginning = home.sh(&format!("head -c 4 $({largest}) | od -An -tx1 | tr -d ' \\n'"));
        assert!(beginning.starts_with(first), "{how}: {beginning}");
        let (store, bundle) = (format!("store-{how}"), format!("of-{how}"));
        home.call(&["bundle", "--store", &store, &format!("oci:{how}:tag"), &bundle]).success();
        assert_eq!(home.shown(&bundle), home.shown("of-gzip"), "{how}");
    }
    let size = |how: &str| home.sh(&format!("cat {how}/blobs/sha256/* | wc -c")).trim().parse::<u64>().unwrap();
    assert!(size("zstd") < size("none") * 3 / 4, "{} of {}", size("zstd"), size("none"));
}

#[test]
fn every_form_is_read_by_others() {
    let home = Home::new();
    home.changed("web");
    let of = |image: &str| home.inspect(image)["rootfs"]["diff_ids"].clone();
    home.commit(&[], "web/", "oci:fresh");
    let expected = of("oci:fresh");
    assert_eq!(expected.as_array().unwrap().len(), 2);
    assert_eq!(expected[0], of("oci:img:base")[0]);
    for (to, copied) in [
        ("oci-archive:a.tar:tag", "oci-archive:a.tar:tag"),
        ("docker-archive:b.tar:web", "docker-archive:b.tar:web:latest"),
        ("docker-archive:c.tar", "docker-archive:c.tar"),
        ("oci:plain:tag", "oci:plain:tag"),
    ] {
        home.commit(&["--compress", "none"], "web/", to);
        assert_eq!(of(copied), expected, "{to}");
        home.sh(&format!("rm -rf copy; skopeo copy -q {copied} dir:copy"));
        let name = to.split([':', '.']).nth(1).unwrap();
        home.bundle(to, &format!("of-{name}"), "true", &[]);
    }
    assert_eq!(home.shown("of-b"), home.shown("of-a"));
    // The image may be gone: its layers are made of the store.
    home.sh("rm -r img");
    home.commit(&[], "web/", "oci:other:tag");
    assert_eq!(of("oci:other:tag"), expected);
    for to in ["oci:other:unchanged", "oci-archive:unchanged.tar:tag", "docker-archive:unchanged-too.tar"] {
        home.commit(&[], "of-b/", to);
        assert_eq!(of(to), expected, "no layer for no change: {to}");
    }
}

#[test]
fn the_configuration_is_the_images_with_what_is_said() {
    let home = Home::new();
    home.changed("web");
    let options = [
        "--author",
        "me",
        "-m",
        "why",
        "-c",
        "CMD [\"-c\", \"true\"]",
        "-c",
        "ENV B=$A-2",
        "-c",
        "USER 7",
        "--change=EXPOSE 80",
        "--change=LABEL k=v",
        "--change=VOLUME /data",
        "--change=WORKDIR /srv",
    ];
    let id = home.commit(&options, "web/", "oci:img:new");
    let made = home.inspect("oci:img:new");
    let config = json!({
        "Cmd": ["-c", "true"], "Entrypoint": ["/bin/sh"], "Env": made["config"]["Env"], "ExposedPorts": {"80/tcp": {}},
        "Labels": {"k": "v"}, "User": "7", "Volumes": {"/data": {}}, "WorkingDir": "/srv",
    });
    assert_eq!(made["config"], config);
    let env = made["config"]["Env"].as_array().unwrap();
    assert!(env.contains(&json!("A=1")) && env.contains(&json!("B=1-2")));
    assert_eq!(made["author"], "me");
    let last = made["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["comment"], &last["created_by"]), (&json!("why"), &json!("minirun commit")));
    assert!(fs::exists(home.path("img/blobs/sha256").join(id.strip_prefix("sha256:").unwrap())).unwrap());
}

#[test]
fn an_image_is_run_as_the_container_was() {
    let home = Home::new();
    let options = ["--env", "A=2", "--env", "C=3", "--user", "user", "--workdir", "/tmp"];
    home.bundle("oci:img:base", "web", "echo $A $C $(id -u) $(pwd)", &options);
    let said = home.call(&["run", "web/"]).success();
    assert_eq!(said, "2 3 1000 /tmp\n");
    home.commit(&[], "web/", "oci:img:new");
    let made = home.inspect("oci:img:new")["config"].clone();
    let env: Vec<_> = made["Env"].as_array().unwrap().iter().filter_map(|text| text.as_str()).collect();
    assert!(env.contains(&"A=2") && env.contains(&"C=3") && !env.contains(&"A=1"), "{env:?}");
    assert_eq!((&made["User"], &made["WorkingDir"]), (&json!("user"), &json!("/tmp")));
    assert_eq!((&made["Entrypoint"], &made["Cmd"][0]), (&json!(["/bin/sh"]), &json!("-c")));
    home.call(&["bundle", "--store", "store", "oci:img:new", "again"]).success();
    assert_eq!(home.call(&["run", "again/"]).success(), said);
    // What is said now counts more, and what was said before is said on.
    home.commit(&["-c", "ENV A=4", "-c", "USER 7"], "again/", "oci:img:third");
    let third = home.inspect("oci:img:third")["config"].clone();
    assert_eq!((&third["User"], &third["WorkingDir"], &third["Cmd"]), (&json!("7"), &json!("/tmp"), &made["Cmd"]));
    assert!(third["Env"].as_array().unwrap().contains(&json!("A=4")));
}

#[test]
fn an_ordinary_user_commits_with_the_containers_ids() {
    let home = Home::of_user();
    let changes =
        "chown 7:8 /keep; mkdir -m 700 /private; echo x >/private/file; chown 9 /private; rm -r /dir; mkdir /dir";
    home.bundle("oci:img:base", "web", changes, &[]);
    home.call(&["--cgroup-manager", "disabled", "run", "web/"]).success();
    home.commit(&[], "web/", "oci:img:new");
    let listed = home.sh(&format!("tar --numeric-owner -tvf {}", home.layer("new").display()));
    for part in [" 7/8 ", "drwx------ 9/0 ", "private/file", "dir/.wh..wh..opq"] {
        assert!(listed.contains(part), "{part} in\n{listed}");
    }
    home.bundle("oci:img:new", "again", "true", &[]);
    assert_eq!(home.shown("again"), home.shown("web"));
    // The same from memory, where only the container's own namespaces show it.
    home.start("mem", changes, &["--upper-size", "1m"]);
    home.commit(&["--no-pause"], home.0.id(), "oci:img:mem");
    home.bundle("oci:img:mem", "third", "true", &[]);
    let without_times =
        |list: String| -> Vec<_> { list.lines().map(|line| line.split(" 1").next().unwrap().to_owned()).collect() };
    assert_eq!(without_times(home.shown("third")), without_times(home.shown("web")));
}
