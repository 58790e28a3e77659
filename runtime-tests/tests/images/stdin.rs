//! Archives from standard input: `docker save x | minirun bundle docker-archive:- x/`.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::archive::{archive, docker, file};
use crate::home::{Answer, Home, answer, sh};

fn image(home: &Home) {
    let layers = [archive(&[file("a", &"one".repeat(100_000))]), archive(&[file("b", "two")])];
    docker(&home.path("image.tar"), &json!({"Cmd": ["x"]}), &layers);
}

/// A shell command with the program in `$0`, whose standard input is nothing.
fn script(home: &Home, script: &str) -> Answer {
    let program = runtime_tests::Runtime::from_env().bare().get_program().to_owned();
    let mut command = std::process::Command::new("sh");
    command.args(["-uc", script]).arg(program).current_dir(home.path(".")).stdin(Stdio::null());
    answer(&mut command)
}

#[test]
fn an_archive_comes_through_a_pipe() {
    let home = Home::new();
    image(&home);
    home.bundle("docker-archive:image.tar", "expected", &[]).success();
    sh(&home.path("."), "skopeo copy -q docker-archive:image.tar oci-archive:oci.tar:tag; rm -r store");
    for (number, from) in [
        "cat image.tar | \"$0\" bundle --store store docker-archive:-",
        "cat image.tar | \"$0\" bundle --store store docker-archive:-:example:latest",
        "\"$0\" bundle --store store docker-archive:- <image.tar",
        "cat oci.tar | \"$0\" bundle --store store oci-archive:-:tag",
        "gzip -c image.tar | gzip -dc | \"$0\" bundle --store store docker-archive:-",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("bundle-{number}");
        let (before, after) = from.split_once(" <").map_or((from, ""), |(before, after)| (before, after));
        let redirected = if after.is_empty() { String::new() } else { format!(" <{after}") };
        script(&home, &format!("{before} {name}{redirected}")).success();
        let lower = home.lower(&name);
        assert_eq!(fs::read(Path::new(&lower[1]).join("a")).unwrap().len(), 300_000, "{from}");
        assert_eq!(fs::read(Path::new(&lower[0]).join("b")).unwrap(), b"two", "{from}");
        home.assert_clean();
    }
    // What is committed of it does not wait for another archive.
    script(&home, "timeout 60 \"$0\" commit bundle-0/ oci:layout:tag").success();
}

#[test]
fn what_comes_is_refused_as_from_a_file() {
    let home = Home::new();
    image(&home);
    for (script_text, why) in [
        ("\"$0\" bundle --store store docker-archive:- one", "docker-archive:-"),
        ("gzip -c image.tar | \"$0\" bundle --store store docker-archive:- one", "the archive is compressed"),
        ("head -c 2000 image.tar | \"$0\" bundle --store store docker-archive:- one", "ends within"),
        ("yes | head -c 5M | \"$0\" bundle --store store docker-archive:- one", "checksum"),
        ("yes | \"$0\" bundle --store store --layer-size 1m docker-archive:- one", "more than 1048576 bytes"),
        ("\"$0\" commit one/ oci-archive:-", ""),
    ] {
        let said = script(&home, script_text).failure();
        assert!(said.contains(why), "{script_text}: {said}");
        assert!(!home.path("one").exists() && !home.path("-").exists());
        home.assert_clean();
    }
}
