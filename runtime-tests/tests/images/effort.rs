//! How much work a layer costs: as many system calls for an entry, however deep it lies and however many there are.

use nix::errno::Errno;
use runtime_tests::errat;

use crate::archive::{archive, docker, file, symlink};
use crate::home::Home;

/// The calls that walking and making cost.
const CALLS: &[libc::c_long] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_utimensat,
    libc::SYS_mkdirat,
    libc::SYS_readlinkat,
    libc::SYS_close,
];

/// How many calls it costs to make a bundle of a layer with so many files, each as deep and in another directory than the one
/// before.
fn calls(home: &Home, name: &str, files: usize, depth: usize, start: [&str; 2]) -> u64 {
    let path = |number: usize| format!("{}/{}{number}", start[number % 2], "d/".repeat(depth));
    let links = [symlink("link-a", "a"), symlink("link-b", "b")];
    let entries: Vec<_> = links.into_iter().chain((0..files).map(|number| file(path(number), ""))).collect();
    docker(&home.path("image.tar"), &serde_json::json!({}), &[archive(&entries)]);
    let store = format!("store-{name}");
    let traced = errat(
        home.command(&["bundle", "--store", &store, "--cmd", "x", "docker-archive:image.tar", name]),
        0,
        Errno::EPERM,
        CALLS,
    );
    assert_eq!(traced.status, 0);
    traced.calls
}

#[test]
fn a_layer_that_zigzags_costs_the_same_at_every_depth() {
    let home = Home::new();
    for (way, start) in [("plain", ["a", "b"]), ("links", ["link-a", "link-b"])] {
        let [shallow, deep, twice] = [(400, 60), (400, 240), (800, 240)]
            .map(|(files, depth)| calls(&home, &format!("{way}-{files}-{depth}"), files, depth, start));
        // Twice the directories are made once, and by halves a link is found.
        assert!(deep < shallow + 400 * 10 + 180 * 40, "{way}: {shallow} calls at depth 60, {deep} at 240");
        let more = twice - deep;
        assert!(more < 400 * 40, "{way}: {more} calls for 400 more files");
    }
}
