//! Fixtures that are created once, because they take long, and kept for later runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the image layout that the script `debian-images` creates: the images `base`, `nginx` and `mariadb`.
#[track_caller]
pub fn debian_images() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let fixtures =
            std::env::var_os("MINIRUN_FIXTURES").map_or_else(|| here.join("../target/fixtures"), PathBuf::from);
        let made = Command::new(here.join("debian-images")).arg(&fixtures).status().unwrap();
        assert!(made.success(), "debian-images makes none in {}", fixtures.display());
        fixtures.canonicalize().unwrap().join("debian")
    };
    MADE.get_or_init(make).clone()
}
