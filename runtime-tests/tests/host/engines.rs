//! The lives of containers as engines drive them: their words, their surroundings, their process set-up. What each
//! engine does is told from its source; `--systemd-cgroup`, which some always give, is left out, for it is refused.

use std::path::PathBuf;
use std::process::Command;

use runtime_tests::engine::bare;
use runtime_tests::{Bundle, Output};

#[path = "engines/buildah.rs"]
mod buildah;
#[path = "engines/buildkit.rs"]
mod buildkit;
#[path = "engines/conmon.rs"]
mod conmon;
#[path = "engines/containerd.rs"]
mod containerd;
#[path = "engines/crio.rs"]
mod crio;
#[path = "engines/shapes.rs"]
mod shapes;
#[path = "engines/words.rs"]
mod words;

/// An engine's side of one container.
struct Engine {
    bundle: Bundle,
    /// What it gives before the command.
    globals: Vec<String>,
}

impl Engine {
    /// With this bundle, and with these words before each command; `ROOT`, `LOG` and `BUNDLE` stand for the state
    /// directory, the log and the bundle.
    fn new(bundle: Bundle, globals: &[&str]) -> Self {
        bundle.write();
        let mut engine = Self { bundle, globals: Vec::new() };
        engine.globals = globals.iter().map(|word| engine.filled_in(word)).collect();
        engine
    }

    fn filled_in(&self, word: &str) -> String {
        let path = |path: PathBuf| path.display().to_string();
        let word = word.replace("ROOT", &path(self.bundle.state_root())).replace("LOG", &path(self.log()));
        word.replace("BUNDLE", &path(self.bundle.path())).replace("ID", self.bundle.id())
    }

    /// The log that the engine names.
    fn log(&self) -> PathBuf {
        self.bundle.path().join("log.json")
    }

    /// A file in the bundle's directory, where engines keep theirs.
    fn file(&self, name: &str) -> PathBuf {
        self.bundle.path().join(name)
    }

    /// A call that is not yet started; `ID` stands for the container's, and the rest as in [`Engine::new`].
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.bundle.runtime().bare();
        command.args(&self.globals).args(words.iter().map(|word| self.filled_in(word)));
        bare(&mut command).stdin(std::process::Stdio::null());
        command
    }

    #[track_caller]
    fn call(&self, words: &[&str]) -> Output {
        self.bundle.finish(&mut self.command(words))
    }

    /// The status that `state` prints.
    #[track_caller]
    fn status(&self) -> String {
        let state: serde_json::Value = serde_json::from_str(&self.call(&["state", "ID"]).success()).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }
}

/// A call that must have succeeded without a word, as those of which engines collect the output for an error.
#[track_caller]
fn quiet(output: Output) {
    assert_eq!((output.status, &*output.stdout, &*output.stderr), (0, "", ""));
}
