//! An ordinary user of the host, who calls the runtime without privileges.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use serde_json::{Value, json};

use crate::{Bundle, host};

/// The user's id and group id, which no host uses.
const ID: u32 = 54_321;
/// The first id and the number of ids granted to the user in `/etc/subuid` and `/etc/subgid`.
const GRANTED: (u32, u32) = (5_000_000, 65_536);

/// A user who calls the runtime. Only its own processes see the files in `/etc` that contain this user.
#[derive(Debug, Clone)]
pub struct User {
    /// The line in `/etc/subuid` and `/etc/subgid`, if any.
    grant: Option<(u32, u32)>,
    /// The cgroup in which its processes start.
    cgroup: Option<PathBuf>,
    /// Its supplementary groups.
    groups: Vec<u32>,
    /// The directory of its files.
    home: PathBuf,
    /// `XDG_RUNTIME_DIR`, if it exists already.
    session: Option<PathBuf>,
}

impl User {
    /// Returns a user who may map only its own id, and whose cgroup belongs to another user.
    pub fn plain() -> Self {
        Self { grant: None, cgroup: None, groups: Vec::new(), home: PathBuf::new(), session: None }
    }

    /// Returns a user with the ids of [`User::granted`].
    pub fn with_ids() -> Self {
        Self { grant: Some(GRANTED), ..Self::plain() }
    }

    /// Limits the number of granted ids.
    pub fn but_only(self, count: u32) -> Self {
        Self { grant: Some((GRANTED.0, count)), ..self }
    }

    /// Starts its processes in this cgroup.
    pub fn in_cgroup(self, cgroup: &Path) -> Self {
        Self { cgroup: Some(cgroup.to_owned()), ..self }
    }

    /// Uses an existing runtime directory.
    pub fn in_session(self, directory: &Path) -> Self {
        Self { session: Some(directory.to_owned()), ..self }
    }

    /// Starts its processes in the caller's cgroup.
    pub fn anywhere(self) -> Self {
        Self { cgroup: None, ..self }
    }

    /// Adds supplementary groups.
    pub fn in_groups(self, groups: &[u32]) -> Self {
        Self { groups: groups.to_vec(), ..self }
    }

    /// Returns the user's id, which is also its group id.
    pub fn id() -> u32 {
        ID
    }

    /// Returns the first granted id, and the number of granted ids.
    pub fn granted() -> (u32, u32) {
        GRANTED
    }

    /// Returns the directory in `XDG_RUNTIME_DIR`.
    pub fn runtime_directory(&self) -> PathBuf {
        self.session.clone().unwrap_or_else(|| self.home.join("run"))
    }

    /// Creates the files in `home` for its view of `/etc`, and a runtime directory.
    pub fn at_home(mut self, home: &Path) -> Self {
        self.home = home.to_owned();
        if self.session.is_none() {
            fs::DirBuilder::new().mode(0o700).create(self.runtime_directory()).unwrap();
            chown(self.runtime_directory(), Some(ID), Some(ID)).unwrap();
        }
        if let Some((first, count)) = self.grant {
            fs::write(home.join("passwd"), format!("root:x:0:0::/:/bin/sh\ntester:x:{ID}:{ID}::/:/bin/sh\n")).unwrap();
            fs::write(home.join("subid"), format!("tester:{first}:{count}\n")).unwrap();
        }
        self
    }

    /// Makes a command run as this user.
    pub fn takes(&self, command: &mut Command) {
        command.env("XDG_RUNTIME_DIR", self.runtime_directory()).env("USER", "tester");
        let path = |path: PathBuf| CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
        let cgroup = self.cgroup.as_ref().map(|cgroup| path(cgroup.join("cgroup.procs")));
        let groups: Vec<_> = self.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        let files = ["passwd", "subid", "subid"].map(|name| path(self.home.join(name)));
        let covered = self.grant.map(|_| [c"/etc/passwd", c"/etc/subuid", c"/etc/subgid"]);
        let become_user = move || -> io::Result<()> {
            if let Some(procs) = &cgroup {
                let file =
                    nix::fcntl::open(procs.as_c_str(), nix::fcntl::OFlag::O_WRONLY, nix::sys::stat::Mode::empty())?;
                nix::unistd::write(&file, b"0")?;
            }
            if let Some(covered) = covered {
                unshare(CloneFlags::CLONE_NEWNS)?;
                mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
                for (file, place) in files.iter().zip(covered) {
                    mount(Some(file.as_c_str()), place, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
                }
            }
            setgroups(&groups)?;
            setgid(Gid::from_raw(ID))?;
            Ok(setuid(Uid::from_raw(ID))?)
        };
        // SAFETY: between fork and exec the closure makes system calls and allocates nothing.
        unsafe { command.pre_exec(become_user) };
    }
}

/// A cgroup delegated to the user, with a leaf for the user's own processes. It is removed when dropped.
#[derive(Debug)]
pub struct Delegated(PathBuf);

impl Delegated {
    /// Returns a new one; `name` distinguishes it from others of this test program.
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/sys/fs/cgroup/delegated-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("leaf")).unwrap();
        for directory in [path.clone(), path.join("leaf")] {
            for file in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
                chown(directory.join(file), Some(ID), Some(ID)).unwrap();
            }
        }
        Self(path)
    }

    /// Returns its directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the cgroup in which the user's processes start.
    pub fn leaf(&self) -> PathBuf {
        self.0.join("leaf")
    }

    /// Returns a bundle of its user.
    pub fn bundle(&self) -> Bundle {
        Bundle::base().of_user(User::plain().in_cgroup(&self.leaf()))
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        // With other runtimes a container can create cgroups in it.
        let below = || fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.path());
        host::wait_until("an empty cgroup", || {
            below().filter(|path| path.is_dir()).for_each(|path| drop(fs::remove_dir(path)));
            fs::remove_dir(&self.0).is_ok() || !self.0.exists()
        });
    }
}

/// Converts a configuration as `runc spec --rootless` does: a user namespace in which root is the caller, the host's
/// network, and therefore the host's `/sys`.
pub(crate) fn rootless(config: &mut Value) {
    let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "network");
    namespaces.push(json!({"type": "user"}));
    let map = json!([{"containerID": 0, "hostID": ID, "size": 1}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    for mount in config["mounts"].as_array_mut().unwrap() {
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|option| option != "gid=5");
        }
        if mount["destination"] == "/sys" {
            let options = ["rbind", "nosuid", "noexec", "nodev", "ro"];
            *mount = json!({"destination": "/sys", "type": "none", "source": "/sys", "options": options});
        }
    }
}
