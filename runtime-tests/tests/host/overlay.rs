//! Roots that are stacks of layers: a mount at `/` of type `overlay`, minirun's own addition.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use runtime_tests::{Bundle, fails_on};

const OWN: [(&str, &str); 2] =
    [("runc", "mounts at / are refused or cover nothing"), ("crun", "mounts at / are refused or cover nothing")];

/// A bundle with a layer for each list of files; the first is the topmost. The last layer is the root with the tools.
struct Layers {
    bundle: Bundle,
    names: Vec<String>,
}

impl Layers {
    fn of(layers: &[(&str, &[(&str, &str)])]) -> Self {
        let bundle = Bundle::base();
        for (name, files) in layers {
            for (path, content) in *files {
                let path = bundle.path().join(name).join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
        }
        let names = layers.iter().map(|(name, _)| (*name).to_owned()).chain(["rootfs".to_owned()]);
        Self { bundle, names: names.collect() }
    }

    /// Where a file of a layer is.
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.bundle.path().join(name)
    }

    /// One option for each layer, without escapes, and the given ones.
    fn mounted(self, options: &[&str]) -> Bundle {
        let options: Vec<_> = self
            .names
            .iter()
            .map(|name| format!("lowerdir+={name}"))
            .chain(options.iter().map(|word| (*word).to_owned()))
            .collect();
        root(self.bundle, &options)
    }

    /// One option for all layers, with escapes.
    fn mounted_in_one(self) -> Bundle {
        let list: Vec<_> = self.names.iter().map(|name| escape(name)).collect();
        root(self.bundle, &[format!("lowerdir={}", list.join(":"))])
    }
}

/// A path in an option that has escapes.
fn escape(path: &str) -> String {
    path.replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

/// The overlay is the first mount, the others lie on it.
fn root(bundle: Bundle, options: &[String]) -> Bundle {
    let mount = serde_json::json!({"destination": "/", "type": "overlay", "source": "overlay", "options": options});
    bundle.writable().with(|config| config["mounts"].as_array_mut().unwrap().insert(0, mount))
}

fn device_0_0(path: &Path) {
    mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), makedev(0, 0)).unwrap();
}

fn set_attribute(path: &Path, name: &str, value: &str) {
    let c = |text: &str| std::ffi::CString::new(text).unwrap();
    let (path, name, value) = (c(path.to_str().unwrap()), c(name), c(value));
    // SAFETY: three pointers to memory that outlives the call, and the length of the last.
    let result =
        unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.as_bytes().len(), 0) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn the_topmost_layer_wins() {
    let files: [(&str, &[(&str, &str)]); 2] =
        [("upper", &[("etc/a", "upper\n")]), ("lower", &[("etc/a", "lower\n"), ("etc/b", "lower\n")])];
    fails_on(&OWN, || {
        for bundle in [Layers::of(&files).mounted(&[]), Layers::of(&files).mounted_in_one()] {
            assert_eq!(bundle.args(&["/bin/cat", "/etc/a", "/etc/b"]).run().success(), "upper\nlower\n");
        }
    });
}

#[test]
fn changes_go_to_the_upper_directory() {
    fails_on(&OWN, || {
        let layers = Layers::of(&[("layer", &[("etc/a", "old\n")])]);
        fs::create_dir(layers.path("up")).unwrap();
        fs::create_dir(layers.path("work")).unwrap();
        let bundle = layers.mounted(&["upperdir=up", "workdir=work"]);
        let bundle = bundle.sh("echo new > /etc/a; echo more > /etc/b; rm /bin/true");
        bundle.run().success();
        let up = bundle.path().join("up");
        assert_eq!(fs::read_to_string(up.join("etc/a")).unwrap(), "new\n");
        assert_eq!(fs::read_to_string(up.join("etc/b")).unwrap(), "more\n");
        assert_eq!(fs::symlink_metadata(up.join("bin/true")).unwrap().rdev(), 0, "a whiteout");
        assert_eq!(fs::read_to_string(bundle.path().join("layer/etc/a")).unwrap(), "old\n");
        assert!(bundle.rootfs().join("bin/true").is_symlink());
    });
}

#[test]
fn without_an_upper_directory_changes_are_private_and_lost() {
    fails_on(&OWN, || {
        let layers = Layers::of(&[("layer", &[("etc/a", "old\n")])]);
        let bundle = layers.mounted(&[]).sh("cat /etc/a; echo new > /etc/a; cat /etc/a");
        let listing = || fs::read_dir(bundle.path()).unwrap().count();
        bundle.write();
        let before = listing();
        for _ in 0..2 {
            assert_eq!(bundle.run().success(), "old\nnew\n");
        }
        assert_eq!(listing(), before);
        bundle.assert_nothing_left();
    });
}

#[test]
fn an_upper_directory_keeps_changes_for_the_next_run() {
    fails_on(&OWN, || {
        let layers = Layers::of(&[]);
        fs::create_dir(layers.path("up")).unwrap();
        fs::create_dir(layers.path("work")).unwrap();
        let bundle = layers.mounted(&["upperdir=up", "workdir=work"]).sh("cat /kept; echo kept > /kept");
        bundle.run().success();
        assert_eq!(bundle.run().success(), "kept\n");
    });
}

#[test]
fn a_read_only_root_is_read_only() {
    fails_on(&OWN, || {
        let bundle = Layers::of(&[]).mounted(&[]).with(|config| config["root"]["readonly"] = true.into());
        assert_eq!(bundle.probe("write /new").run().value("errno"), "EROFS");
    });
}

#[test]
fn a_whiteout_hides_what_is_below() {
    fails_on(&OWN, || {
        let layers =
            Layers::of(&[("upper", &[("etc/x", "")]), ("lower", &[("etc/gone", "lower"), ("etc/here", "lower")])]);
        device_0_0(&layers.path("upper/etc/gone"));
        let seen = layers.mounted(&[]).probe("read /etc/gone /etc/here").run().success();
        assert_eq!(seen, "path=/etc/gone\nerrno=ENOENT\npath=/etc/here\nlower\n");
    });
}

#[test]
fn an_opaque_directory_hides_all_that_is_below() {
    fails_on(&OWN, || {
        let layers = Layers::of(&[("upper", &[("data/new", "")]), ("lower", &[("data/old", ""), ("data/older", "")])]);
        set_attribute(&layers.path("upper/data"), "trusted.overlay.opaque", "y");
        assert_eq!(layers.mounted(&[]).probe("list /data").run().success(), "new\n");
    });
}

#[test]
fn a_file_replaces_a_directory_and_a_directory_a_file() {
    fails_on(&OWN, || {
        let layers = Layers::of(&[
            ("upper", &[("a", "file\n"), ("b/inner", "file\n")]),
            ("lower", &[("a/inner", ""), ("b", "")]),
        ]);
        assert_eq!(layers.mounted(&[]).args(&["/bin/cat", "/a", "/b/inner"]).run().success(), "file\nfile\n");
    });
}

#[test]
fn strange_names_of_layers() {
    for name in
        ["a:b", "a,b", "a\\b", "a b", "a\nb", "\\:", "a=b", "lowerdir=x", "-a", "ü", "a\tb", "a#b", "trailing\\"]
    {
        fails_on(&OWN, || {
            let files: [(&str, &[(&str, &str)]); 1] = [(name, &[("etc/found", "found\n")])];
            for bundle in [Layers::of(&files).mounted(&[]), Layers::of(&files).mounted_in_one()] {
                assert_eq!(bundle.args(&["/bin/cat", "/etc/found"]).run().success(), "found\n", "{name:?}");
            }
        });
    }
}

#[test]
fn strange_names_of_the_upper_directory() {
    for name in ["u:p", "u,p", "u\\p", "u p", "u\np"] {
        fails_on(&OWN, || {
            let layers = Layers::of(&[]);
            let (upper, work) = (name, format!("{name}-work"));
            fs::create_dir(layers.path(upper)).unwrap();
            fs::create_dir(layers.path(&work)).unwrap();
            // These two are escaped as the kernel's option string is, whose words they are.
            let options = [format!("upperdir={}", escape(upper)), format!("workdir={}", escape(&work))];
            let bundle = layers.mounted(&options.each_ref().map(String::as_str)).sh("echo x > /made");
            bundle.run().success();
            assert!(bundle.path().join(upper).join("made").exists(), "{name:?}");
        });
    }
}

#[test]
fn five_hundred_layers() {
    fails_on(&OWN, || {
        let names: Vec<_> =
            (0..499).map(|number| format!("layers/with-a-name-that-is-not-too-short/{number}")).collect();
        let contents: Vec<_> = (0..499).map(|number| (format!("etc/{number}"), format!("{number}\n"))).collect();
        let files: Vec<_> =
            contents.iter().map(|(path, text)| [(path.as_str(), text.as_str()), ("etc/top", text)]).collect();
        let layers: Vec<_> = names.iter().zip(&files).map(|(name, files)| (name.as_str(), files.as_slice())).collect();
        let bundle = Layers::of(&layers).mounted(&[]).args(&["/bin/cat", "/etc/top", "/etc/0", "/etc/250", "/etc/498"]);
        assert_eq!(bundle.run().success(), "0\n0\n250\n498\n");
    });
}

#[test]
fn a_layer_may_be_a_link_or_absolute() {
    fails_on(&OWN, || {
        let layers = Layers::of(&[("link", &[]), ("real", &[("etc/found", "found\n")])]);
        symlink("real", layers.path("link")).unwrap();
        let absolute = layers.path("link").display().to_string();
        let names = vec![absolute, "rootfs".into()];
        let bundle = Layers { names, ..layers }.mounted(&[]);
        assert_eq!(bundle.args(&["/bin/cat", "/etc/found"]).run().success(), "found\n");
    });
}

#[test]
fn a_layer_that_is_missing_is_named() {
    fails_on(&OWN, || {
        let mut layers = Layers::of(&[]);
        layers.names.insert(0, "nosuchlayer".into());
        let message = layers.mounted(&[]).refused();
        assert!(message.contains("nosuchlayer") && message.contains("mounts[0]"), "{message}");
    });
}

#[test]
fn a_root_takes_the_attributes_of_every_mount() {
    for (option, shown) in [
        ("", "relatime"),
        ("defaults", "relatime"),
        ("strictatime", "rw"),
        ("norelatime", "relatime"),
        ("nostrictatime", "relatime"),
        ("diratime", "relatime"),
        ("noatime", "noatime"),
        ("nosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("nosymfollow", "nosymfollow"),
        ("symfollow", "relatime"),
    ] {
        fails_on(&OWN, || {
            let mountinfo = Layers::of(&[]).mounted(&[option]).probe("mounts").run().success();
            let line = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some("/")).unwrap();
            let mut fields = line.split(' ');
            let options: Vec<_> = fields.nth(5).unwrap().split(',').collect();
            assert!(options.contains(&shown), "{option:?}: {line}");
            assert!(option != "strictatime" || !options.contains(&"relatime"), "{option:?}: {line}");
            assert!(line.contains(" - overlay "), "{option:?}: {line}");
        });
    }
}

#[test]
fn bad_overlays_are_refused() {
    let rows: [(&[&str], &str); 8] = [
        (&[], "lowerdir"),
        (&["lowerdir+=rootfs", "ro"], "root.readonly"),
        (&["lowerdir+=rootfs", "rro"], "root.readonly"),
        (&["lowerdir+=rootfs", "rbind"], "rbind"),
        (&["lowerdir+=rootfs", "upperdir=up"], "workdir"),
        (&["lowerdir+=rootfs", "workdir=work"], "upperdir"),
        (&["lowerdir=rootfs:"], "empty"),
        (&["lowerdir+=rootfs", "nosuchoption=1"], "nosuchoption"),
    ];
    for (options, word) in rows {
        fails_on(&OWN, || {
            let bundle = Bundle::base();
            for name in ["up", "work"] {
                fs::create_dir(bundle.path().join(name)).unwrap();
            }
            let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
            let message = root(bundle, &options).refused();
            assert!(message.contains("mounts[0]") && message.contains(word), "{options:?}: {message}");
        });
    }
}

#[test]
fn a_target_is_made_where_a_link_of_a_layer_leads() {
    let layers = Layers::of(&[("upper", &[("etc/a", "upper\n")])]);
    symlink("../run/systemd/x", layers.path("rootfs").join("etc/link")).unwrap();
    fails_on(&OWN, || {
        let bundle = layers.mounted(&[]).mount("/etc/link", "bind", "upper/etc/a", &["bind"]);
        let bundle = bundle.args(&["/bin/cat", "/run/systemd/x"]);
        assert_eq!(bundle.run().success(), "upper\n");
        assert!(!bundle.rootfs().join("run/systemd").exists(), "a layer was changed");
    });
}

#[test]
fn mounts_lie_on_the_overlay() {
    fails_on(&OWN, || {
        let bundle = Layers::of(&[]).mounted(&[]).mount("/data/made", "tmpfs", "tmpfs", &["size=64k"]).probe("mounts");
        let seen = bundle.run().success();
        let root = seen.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        assert!(root.contains(" - overlay "), "{seen}");
        assert!(seen.contains(" /data/made "), "{seen}");
        assert!(!bundle.rootfs().join("data").exists(), "mount points are made in the upper layer");
    });
}

#[test]
fn the_overlay_is_seen_by_nobody_else() {
    fails_on(&OWN, || {
        let container = Layers::of(&[]).mounted(&[]).probe("pause").create();
        assert_eq!(container.bundle().leaks().mounts, Vec::<String>::new());
        container.start();
        container.call(&["delete", "-f"], &[]).success();
        container.bundle().assert_nothing_left();
    });
}
