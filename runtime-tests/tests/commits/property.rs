//! Images that `commit` writes are images that `bundle` takes, whatever a container has made.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknod};
use runtime_tests::{Random, is_full_sweep};
use serde_json::Value;

use crate::home::Home;

/// Something at this path, of a random kind.
fn make(random: &mut Random, path: &Path, names: &[PathBuf]) {
    // To open a pipe would wait.
    if path.symlink_metadata().is_ok() {
        return;
    }
    let made = match random.below(12) {
        0..4 => fs::create_dir_all(path),
        4..7 => fs::write(path, vec![b'x'; random.below(10_000) as usize]),
        7 => {
            let holes = fs::File::create(path).unwrap();
            holes.set_len(random.below(8 << 20)).unwrap();
            for _ in 0..random.below(6) {
                let at = random.below(8 << 20);
                holes.write_all_at(&vec![1; 1 + random.below(5000) as usize], at).unwrap();
            }
            Ok(())
        }
        8 => symlink(["a", "/etc", "../../..", "no\nsuch", "\u{e9}"][random.below(5) as usize], path),
        9 if !names.is_empty() => {
            let target = &names[random.below(names.len() as u64) as usize];
            if target.is_file() { fs::hard_link(target, path) } else { Ok(()) }
        }
        10 => {
            let kind = [SFlag::S_IFCHR, SFlag::S_IFBLK, SFlag::S_IFIFO][random.below(3) as usize];
            // 0:0 is an absence.
            let device = makedev(1 + random.below(4095), random.below(1 << 20));
            mknod(path, kind, Mode::from_bits_truncate(0o640), device).map_err(Into::into)
        }
        _ => fs::write(path, ""),
    };
    let Ok(()) = made else { return };
    if path.symlink_metadata().is_ok_and(|found| !found.is_symlink()) {
        chown(path, Some(random.below(70_000) as u32), Some(random.below(70_000) as u32)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(random.below(0o7777) as u32 | 0o700)).unwrap();
    }
}

fn name(random: &mut Random) -> Vec<u8> {
    match random.below(10) {
        0 => vec![b'n'; 1 + random.below(255) as usize],
        1 => b"\xff\xfe name".to_vec(),
        2 => "\u{fc} \\".into(),
        3 => b"-".to_vec(),
        4 => b" ".to_vec(),
        _ => vec![b'a' + random.below(6) as u8],
    }
}

#[test]
fn what_is_committed_can_be_made_a_bundle_again() {
    let home = Home::new();
    let mut random = Random::for_test("what_is_committed_can_be_made_a_bundle_again");
    let rounds = if is_full_sweep() { 200 } else { 20 };
    for round in 0..rounds {
        let bundle = format!("web-{round}");
        home.bundle("oci:img:base", &bundle, "true", &[]);
        let upper = home.path(&bundle).join("private/upper");
        let mut names = Vec::new();
        for _ in 0..random.below(60) {
            let mut path = upper.clone();
            for _ in 0..=random.below(4) {
                let is_directory = path.symlink_metadata().is_ok_and(|found| found.is_dir());
                if !is_directory && fs::create_dir(&path).is_err() {
                    break;
                }
                path.push(std::ffi::OsStr::from_bytes(&name(&mut random)));
            }
            make(&mut random, &path, &names);
            if path.symlink_metadata().is_ok() {
                names.push(path);
            }
        }
        let compress = ["gzip", "zstd", "none"][random.below(3) as usize];
        let to = [
            format!("oci:made-{round}:tag"),
            format!("oci-archive:made-{round}.tar:tag"),
            format!("docker-archive:made-{round}.tar:tag"),
        ];
        let to = &to[random.below(3) as usize];
        home.commit(&["--compress", compress], &format!("{bundle}/"), to);
        let again = format!("again-{round}");
        home.bundle(to, &again, "true", &[]);
        assert_eq!(home.shown(&again), home.shown(&bundle), "round {round}");
        home.sh(&format!("rm -rf made-{round} made-{round}.tar"));
    }
}

/// What is beyond the limits of `bundle` is found before an image is written.
#[test]
fn what_no_bundle_takes_is_not_committed() {
    let home = Home::new();
    home.bundle("oci:img:base", "web", "true", &[]);
    for (make, why) in [
        ("mkdir -p $(printf 'd/%.0s' $(seq 256)); : >$(printf 'd/%.0s' $(seq 256))f", "more than 256 directories"),
        ("mkdir -p $(printf 'd/%.0s' $(seq 257))", "more than 256 directories"),
    ] {
        home.sh(&format!("cd web/private/upper; {make}"));
        let said = home.call(&["commit", "web/", "oci:made:tag"]).failure();
        assert!(said.contains(why), "{make}: {said}");
        assert!(!home.path("made").exists());
        home.assert_clean();
        home.sh("rm -rf web/private/upper/*");
    }
    // Longer than a path can be, so that it is made from within.
    let mut at: OwnedFd = fs::File::open(home.path("web/private/upper")).unwrap().into();
    let name = "n".repeat(200);
    for _ in 0..25 {
        mkdirat(&at, name.as_str(), Mode::from_bits_truncate(0o755)).unwrap();
        at = openat(&at, name.as_str(), OFlag::O_DIRECTORY, Mode::empty()).unwrap();
    }
    let said = home.call(&["commit", "web/", "oci:made:tag"]).failure();
    assert!(said.contains("longer than the kernel's"), "{said}");
    home.sh("rm -rf web/private/upper/*");
    home.sh("cd web/private/upper; mkdir -p $(printf 'd/%.0s' $(seq 255)); : >$(printf 'd/%.0s' $(seq 255))f");
    home.commit(&[], "web/", "oci:made:tag");
    home.bundle("oci:made:tag", "again", "true", &[]);
}

/// A file of the same byte is compressed so well that it looks like a bomb.
#[test]
fn what_compresses_too_well_is_not_compressed() {
    let home = Home::new();
    home.bundle("oci:img:base", "web", "true", &[]);
    home.sh("yes | head -c 300M >web/private/upper/yes");
    for (how, to) in
        [("gzip", "oci:one:tag"), ("zstd", "oci-archive:two.tar:tag"), ("gzip", "docker-archive:three.tar:tag")]
    {
        home.commit(&["--compress", how], "web/", to);
        let name = format!("again-{}", to.len());
        home.bundle(to, &name, "true", &[]);
        home.sh(&format!("rm -rf one two.tar three.tar {name}"));
        home.call(&["image", "--store", "store", "prune"]).success();
    }
}

#[test]
fn holes_are_committed_as_holes() {
    let home = Home::new();
    home.bundle("oci:img:base", "web", "true", &[]);
    home.sh("cd web/private/upper; truncate -s 256M hole; truncate -s 128M ends; printf x | dd of=ends bs=1 seek=64M conv=notrunc status=none
        truncate -s 100k small; : >empty; touch -d @1 hole ends small empty");
    home.commit(&["--compress", "none"], "web/", "oci:img:made");
    let layer = home.layer("made");
    assert!(fs::metadata(&layer).unwrap().len() < 1 << 20, "the layer holds the zeros");
    home.bundle("oci:img:made", "again", "true", &[]);
    let config: Value = serde_json::from_slice(&fs::read(home.path("again/config.json")).unwrap()).unwrap();
    let options = config["mounts"][0]["options"].as_array().unwrap();
    let lower: Vec<_> = options.iter().filter_map(|option| option.as_str()?.strip_prefix("lowerdir+=")).collect();
    let found = |name: &str| lower.iter().find_map(|layer| fs::metadata(Path::new(layer).join(name)).ok()).unwrap();
    for (name, size) in [("hole", 256 << 20), ("ends", 128 << 20)] {
        let found = found(name);
        assert_eq!(found.len(), size);
        assert!(found.blocks() * 512 < 1 << 20, "{name} takes {} bytes", found.blocks() * 512);
    }
    // Others read the same, and find no other entries.
    home.sh(&format!(
        "mkdir gnu bsd; tar -xf {0} -C gnu; bsdtar -xf {0} -C bsd
        cmp gnu/ends web/private/upper/ends; cmp bsd/ends web/private/upper/ends; cmp bsd/hole gnu/hole
        test -z \"$(find gnu bsd -name 'GNUSparseFile*')\"; test $(du -sk gnu | cut -f 1) -lt 4096",
        layer.display()
    ));
    home.sh("skopeo copy -q oci:img:made dir:copy; umoci unpack --image img:made umoci; cmp umoci/rootfs/ends web/private/upper/ends");
}
