//! The measured bundles.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Bench, Result};

/// Docker's default seccomp profile.
const PROFILE: &str = include_str!("../../../../rootfs-fixtures/seccomp/default.json");

/// The number of mounts in the bundle `mounts`.
pub const MOUNTS: usize = 1000;

impl Bench {
    /// Creates bundles with one root file system: the default one; and without a device filter one that ends, one with
    /// a seccomp profile, one with a thousand mounts, and one that keeps running.
    pub fn make_bundles(&self, busybox: &Path) -> Result<()> {
        let root = self.home.join("rootfs");
        for directory in ["bin", "dev", "proc", "sys"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::copy(busybox, root.join("bin/busybox"))?;
        fs::set_permissions(root.join("bin/busybox"), fs::Permissions::from_mode(0o755))?;
        symlink("busybox", root.join("bin/true"))?;
        symlink("busybox", root.join("bin/sleep"))?;

        let default = self.home.join("default");
        fs::create_dir(&default)?;
        let spec = Command::new(&self.minirun.program).arg("spec").arg("--bundle").arg(&default).status()?;
        if !spec.success() {
            return Err(format!("minirun spec: {spec}").into());
        }
        let mut config: Value = serde_json::from_slice(&fs::read(default.join("config.json"))?)?;
        config["ociVersion"] = "1.0.2".into();
        config["process"]["terminal"] = false.into();
        config["process"]["args"] = json!(["/bin/true"]);
        config["root"]["path"] = json!(root);
        let write = |name: &str, config: &Value| -> Result<()> {
            fs::create_dir_all(self.home.join(name))?;
            Ok(fs::write(self.home.join(name).join("config.json"), config.to_string())?)
        };
        write("default", &config)?;
        config["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
        write("any-device", &config)?;
        let mut filtered = config.clone();
        filtered["linux"]["seccomp"] = serde_json::from_str(PROFILE)?;
        write("seccomp", &filtered)?;
        let mut mounted = config.clone();
        let mounts = mounted["mounts"].as_array_mut().ok_or("minirun spec: no mounts")?;
        for i in 0..MOUNTS {
            let destination = format!("/m/{i}");
            fs::create_dir_all(root.join(&destination[1..]))?;
            mounts.push(json!({"destination": destination, "type": "bind", "source": root, "options": ["bind", "ro"]}));
        }
        write("mounts", &mounted)?;
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        write("sleep", &config)
    }
}
