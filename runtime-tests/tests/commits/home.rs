//! A directory with an image that umoci has written, bundles of it, and their containers.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use runtime_tests::{Bundle, User};
use serde_json::Value;

/// What a container does to the image. What is made of it is in the tests.
pub const CHANGES: &str = "rm /gone /old/x; rm -r /dir; mkdir /dir; echo three >/dir/three; echo new >/new; \
                           ln /new /dir/same; ln -s /new /link; chmod 600 /keep; mkdir -p /a/b; mknod /a/null c 1 3; \
                           mkfifo /a/pipe; chown 7:8 /a/b; touch -d '2001-02-03 04:05:06' /a/b; echo more >>/etc/passwd; \
                           mkdir /etc/deep; rm /file; mkdir /file; echo x >/file/inside";

/// What `diff` says of that.
pub const DIFFERENCES: &str = "A /a\nA /a/b\nA /a/null\nA /a/pipe\nC /dir\nD /dir/one\nA /dir/same\nD /dir/sub\n\
                               A /dir/three\nC /etc\nA /etc/deep\nC /etc/passwd\nC /file\nA /file/inside\nD /gone\n\
                               C /keep\nA /link\nA /new\nC /old\nD /old/x\n";

#[derive(Debug)]
pub struct Home(pub Bundle);

impl Home {
    /// Of root.
    pub fn new() -> Self {
        Self::of(Bundle::base())
    }

    /// Of an ordinary user with ids.
    pub fn of_user() -> Self {
        let home = Self::of(Bundle::base());
        Self(home.0.of_user(User::with_ids()))
    }

    fn of(bundle: Bundle) -> Self {
        let home = Self(bundle);
        home.sh("cd bundle/rootfs; for name in mkfifo mknod chown; do ln -sf busybox bin/$name; done
            mkdir -p dir/sub old; echo 1 >dir/one; echo 2 >dir/sub/two; echo x >old/x; echo y >old/y; echo >keep; echo >gone
            echo >file; touch -d '2020-02-02' .");
        home.sh("umoci init --layout img; umoci new --image img:base; umoci insert --image img:base bundle/rootfs /
            umoci config --image img:base --config.entrypoint /bin/sh --config.cmd sh --config.env A=1");
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.home().join(name)
    }

    /// Runs a shell script in the directory, as root; it must succeed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = Command::new("sh").arg("-euc").arg(script).current_dir(self.0.home()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{script}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// A call of minirun in the directory, with paths relative to it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.0.command(words);
        command.current_dir(self.0.home());
        command
    }

    #[track_caller]
    pub fn call(&self, words: &[&str]) -> runtime_tests::Output {
        self.0.finish(&mut self.command(words))
    }

    /// Makes a bundle of an image, for a container that runs this script.
    #[track_caller]
    pub fn bundle(&self, image: &str, name: &str, script: &str, options: &[&str]) {
        let words = ["bundle", "--store", "store", "--cmd", "-c", "--cmd", script];
        self.call(&[&words, options, &[image, name]].concat()).success();
    }

    /// A bundle in which the changes were made.
    #[track_caller]
    pub fn changed(&self, name: &str) {
        self.bundle("oci:img:base", name, CHANGES, &[]);
        self.call(&["run", &format!("{name}/")]).success();
    }

    /// A running container in which this was done, with the id of the harness's bundle.
    #[track_caller]
    pub fn start(&self, name: &str, script: &str, options: &[&str]) {
        self.bundle("oci:img:base", name, &format!("{script}; echo done >/tmp/done; sleep 1000"), options);
        self.call(&["run", "-d", "-b", name, self.0.id()]).success();
        runtime_tests::wait_until("the changes", || {
            self.call(&["exec", self.0.id(), "/bin/cat", "/tmp/done"]).status == 0
        });
        self.call(&["exec", self.0.id(), "/bin/rm", "/tmp/done"]).success();
    }

    /// Commits, and gives the id of the image.
    #[track_caller]
    pub fn commit(&self, options: &[&str], from: &str, to: &str) -> String {
        let id = self.call(&[&["commit"], options, &[from, to]].concat()).success();
        self.assert_clean();
        id.trim().to_owned()
    }

    /// The configuration of an image, as skopeo reads it.
    #[track_caller]
    pub fn inspect(&self, image: &str) -> Value {
        serde_json::from_str(&self.sh(&format!("skopeo inspect --config {image}"))).unwrap()
    }

    /// The content of the last layer of an image in the layout, as a file.
    #[track_caller]
    pub fn layer(&self, tag: &str) -> PathBuf {
        let manifest: Value = serde_json::from_str(&self.sh(&format!("skopeo inspect --raw oci:img:{tag}"))).unwrap();
        let digest = manifest["layers"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap().to_owned();
        self.path("img/blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
    }

    /// What the kernel shows of a bundle's root.
    #[track_caller]
    pub fn shown(&self, bundle: &str) -> String {
        let config: Value = serde_json::from_slice(&fs::read(self.path(bundle).join("config.json")).unwrap()).unwrap();
        let options = config["mounts"][0]["options"].as_array().unwrap().iter().filter_map(Value::as_str);
        let lower: Vec<_> = options.filter_map(|option| option.strip_prefix("lowerdir+=")).collect();
        let more = if config["linux"]["uidMappings"].is_array() { ",userxattr" } else { "" };
        let script = format!(
            "mkdir -p mounted; mount -t overlay -o ro{more},lowerdir={bundle}/private/upper:{} overlay mounted; cd mounted; {LIST}",
            lower.join(":")
        );
        self.sh(&format!("unshare -m sh -euc '{}'", script.replace('\'', "'\\''")))
    }

    /// Fails unless nothing unfinished is left.
    #[track_caller]
    pub fn assert_clean(&self) {
        let left = self.sh("find . -name '.minirun-commit-*' -o -path ./store/staging/'*'");
        assert_eq!(left, "");
    }
}

/// Path, type, permissions, owner, size, time, target, links and attributes. Directories of the root have their time from
/// what is mounted on them.
pub const LIST: &str = r"find . -mindepth 1 ! -name '.wh*' \( -type d -printf '%P d %m %U %G %T@\n' \) -o -type l -printf '%P l %U %G %T@ %l\n' -o -printf '%P %y %m %U %G %n %s %T@\n' | LC_ALL=C sort; getfattr -Rhd -m - . 2>/dev/null | grep -v overlay || true";
