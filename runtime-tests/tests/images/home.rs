//! A directory of a test's own, with images, a store and bundles in it, and a canary beside the store.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use runtime_tests::Runtime;
use serde_json::{Value, json};

use crate::archive;

/// What a call gave back.
#[derive(Debug)]
pub struct Answer {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.status == 0, "{self:?}");
        self.stdout
    }

    #[track_caller]
    pub fn failure(self) -> String {
        assert!(self.status != 0, "{self:?}");
        self.stderr
    }
}

/// Runs a command to its end.
#[track_caller]
pub fn answer(command: &mut Command) -> Answer {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Answer {
        status: output.status.code().unwrap_or(128),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a shell script, which must succeed, in a directory.
#[track_caller]
pub fn sh(directory: &Path, script: &str) -> String {
    answer(Command::new("sh").arg("-euc").arg(script).current_dir(directory)).success()
}

#[derive(Debug)]
pub struct Home(PathBuf);

impl Home {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("images-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let home = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(home.path("canary/directory")).unwrap();
        fs::set_permissions(home.path("canary/directory"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(home.path("canary/file"), "canary").unwrap();
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A call of the program in this directory.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Runtime::from_env().bare();
        command.args(words).current_dir(&self.0);
        command
    }

    pub fn call(&self, words: &[&str]) -> Answer {
        answer(&mut self.command(words))
    }

    /// Makes a bundle from an image in this directory.
    pub fn bundle(&self, image: &str, name: &str, options: &[&str]) -> Answer {
        self.call(&[&["bundle", "--store", "store", "--cmd", "true"], options, &[image, name]].concat())
    }

    /// Makes a bundle from layers, through a docker-archive that is removed again.
    pub fn layers(&self, name: &str, layers: &[Vec<u8>]) -> Answer {
        archive::docker(&self.path("image.tar"), &json!({}), layers);
        let answer = self.bundle("docker-archive:image.tar", name, &[]);
        fs::remove_file(self.path("image.tar")).unwrap();
        answer
    }

    pub fn config(&self, bundle: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(bundle).join("config.json")).unwrap()).unwrap()
    }

    /// The layers of a bundle, top first.
    pub fn lower(&self, bundle: &str) -> Vec<String> {
        let config = self.config(bundle);
        let options = config["mounts"][0]["options"].as_array().unwrap();
        options.iter().filter_map(|option| option.as_str()?.strip_prefix("lowerdir+=").map(str::to_owned)).collect()
    }

    /// What the kernel shows of a bundle's layers: [`list`] of them.
    pub fn shown(&self, bundle: &str) -> Vec<String> {
        let lower = self.lower(bundle).join(":");
        fs::create_dir_all(self.path("mounted")).unwrap();
        let script = format!("mount -t overlay -o ro,lowerdir={lower}:canary/none overlay mounted; cd mounted; {LIST}");
        fs::create_dir_all(self.path("canary/none")).unwrap();
        let listed = answer(Command::new("unshare").args(["-m", "sh", "-euc", &script]).current_dir(&self.0)).success();
        listed.lines().map(str::to_owned).collect()
    }

    /// What a directory holds, in the same form.
    pub fn list(&self, directory: &Path) -> Vec<String> {
        sh(directory, LIST).lines().map(str::to_owned).collect()
    }

    /// Is the store without anything unfinished, and everything around it as it was?
    #[track_caller]
    pub fn assert_clean(&self) {
        let staging = self.path("store/staging");
        let left: Vec<_> = fs::read_dir(&staging).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "left in the store: {left:?}");
        assert_eq!(fs::read_to_string(self.path("canary/file")).unwrap(), "canary");
        let directory = fs::metadata(self.path("canary/directory")).unwrap();
        assert_eq!((directory.mode() & 0o7777, directory.uid()), (0o700, 0));
        assert_eq!(fs::read_dir(self.path("canary/directory")).unwrap().count(), 0);
    }

    /// How many layers the store has.
    pub fn stored(&self) -> usize {
        fs::read_dir(self.path("store/layers")).map_or(0, Iterator::count)
    }
}

/// Path, type, permissions, owner, size of files, time and target, a line for each; links have no permissions of their own.
const LIST: &str = r"find . -mindepth 1 \( -type f -printf '%P f %m %U %G %T@ %s\n' \) -o \
	\( -type l -printf '%P l - %U %G %T@ %l\n' \) -o -printf '%P %y %m %U %G %T@\n' | sed 's/\.0*$//; s/\.0* / /' | LC_ALL=C sort";

impl Drop for Home {
    fn drop(&mut self) {
        let _kept = fs::remove_dir_all(&self.0);
    }
}
