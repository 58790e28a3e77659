//! An ordinary user of the host, who calls the runtime without any privilege.

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

/// The user's id, and the group's: nobody's on any host.
const ID: u32 = 54_321;
/// The ids that are granted to the user in `/etc/subuid` and `/etc/subgid`.
const GRANTED: (u32, u32) = (5_000_000, 65_536);

/// Who calls the runtime. The files in `/etc` that know this user are seen by its processes alone.
#[derive(Debug, Clone)]
pub struct User {
    /// A line of `/etc/subuid` and `/etc/subgid`, if there shall be one.
    grant: Option<(u32, u32)>,
    /// The cgroup that its processes begin in.
    cgroup: Option<PathBuf>,
    /// Its groups besides its own.
    groups: Vec<u32>,
    /// Where its files are.
    home: PathBuf,
    /// `XDG_RUNTIME_DIR`, if somebody else has made it.
    session: Option<PathBuf>,
}

impl User {
    /// One who may map no more than its own id, and whose cgroup belongs to somebody else.
    pub fn plain() -> Self {
        Self { grant: None, cgroup: None, groups: Vec::new(), home: PathBuf::new(), session: None }
    }

    /// One to whom the ids of [`User::granted`] are granted.
    pub fn with_ids() -> Self {
        Self { grant: Some(GRANTED), ..Self::plain() }
    }

    /// With only so many ids granted.
    pub fn but_only(self, count: u32) -> Self {
        Self { grant: Some((GRANTED.0, count)), ..self }
    }

    /// In this cgroup.
    pub fn in_cgroup(self, cgroup: &Path) -> Self {
        Self { cgroup: Some(cgroup.to_owned()), ..self }
    }

    /// With a runtime directory that is there already.
    pub fn in_session(self, directory: &Path) -> Self {
        Self { session: Some(directory.to_owned()), ..self }
    }

    /// In whatever cgroup the caller is.
    pub fn anywhere(self) -> Self {
        Self { cgroup: None, ..self }
    }

    /// A member of these groups as well.
    pub fn in_groups(self, groups: &[u32]) -> Self {
        Self { groups: groups.to_vec(), ..self }
    }

    /// The user's id, and its group's.
    pub fn id() -> u32 {
        ID
    }

    /// The first id that is granted, and how many are.
    pub fn granted() -> (u32, u32) {
        GRANTED
    }

    /// The directory in `XDG_RUNTIME_DIR`.
    pub fn runtime_directory(&self) -> PathBuf {
        self.session.clone().unwrap_or_else(|| self.home.join("run"))
    }

    /// Moves in: files in `home` for its view of `/etc`, and a runtime directory.
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

    /// Makes a command this user's.
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

/// A cgroup of root that belongs to the user, with a leaf for the user's own processes. Removed at the end.
#[derive(Debug)]
pub struct Delegated(PathBuf);

impl Delegated {
    /// A new one; `name` tells it from others of this test program.
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

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the user's processes begin.
    pub fn leaf(&self) -> PathBuf {
        self.0.join("leaf")
    }

    /// A bundle of its user.
    pub fn bundle(&self) -> Bundle {
        Bundle::base().of_user(User::plain().in_cgroup(&self.leaf()))
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        // Another runtime lets a container make some in it.
        let below = || fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.path());
        host::wait_until("an empty cgroup", || {
            below().filter(|path| path.is_dir()).for_each(|path| drop(fs::remove_dir(path)));
            fs::remove_dir(&self.0).is_ok() || !self.0.exists()
        });
    }
}

/// What `runc spec --rootless` makes of a configuration: a user namespace in which root is the caller, the host's network,
/// and so the host's `/sys`.
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
