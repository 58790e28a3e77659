//! The state directory: one directory per container, locked while something is done with it, and its record.
//!
//! The lock is on the directory itself, so that no lock file has to be kept or removed. A directory that was removed while
//! somebody waited for its lock is recognised by its link count.

use std::ffi::{CStr, CString};
use std::fs::{DirBuilder, File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use minirun_sys as sys;
use nix::fcntl::{Flock, FlockArg};

use crate::facts::in_initial_user_namespace;

/// The record of a container.
const RECORD: &str = "state.json";
/// The record while it is written.
const RECORD_DRAFT: &str = ".state.json";
/// The configuration as it was at `create`.
const CONFIG: &str = "config.json";
/// Where init listens for `start`.
pub const GATE: &str = "start.sock";
/// What the container sees of its directory, if it may say when it is ready.
pub const NOTIFY: &str = "notify";
/// Where it says so.
pub const NOTIFY_SOCKET: &str = "notify/notify.sock";

/// All containers below one state directory.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Was the directory named on the command line?
    explicit: bool,
    /// Is it in the runtime directory of a user, which is cleaned of old files?
    users: bool,
}

/// A container's directory, locked.
#[derive(Debug)]
pub struct Entry {
    dir: Flock<File>,
    path: PathBuf,
}

impl Store {
    /// The store at `--root`, or at the default place.
    pub fn at(root: Option<PathBuf>) -> Result<Store> {
        match root {
            Some(root) if root == Path::new("/") => bail!("option --root argument should not be set to /"),
            Some(root) => Ok(Store { root, explicit: true, users: false }),
            None if !has_runtime_directory()? => {
                Ok(Store { root: PathBuf::from("/run/minirun"), explicit: false, users: false })
            }
            None => match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
                Some(dir) => Ok(Store { root: Path::new(&dir).join("minirun"), explicit: false, users: true }),
                None => bail!("XDG_RUNTIME_DIR is not set (use --root DIR, or run as root)"),
            },
        }
    }

    /// Where the directory of a container is, or will be.
    pub fn place_of(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Makes the directory of a new container and locks it.
    pub fn reserve(&self, id: &str) -> Result<Entry> {
        check_id(id)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)
            .with_context(|| format!("make state directory {}", self.root.display()))?;
        if self.users {
            // With the sticky bit it is no rubbish (XDG Base Directory Specification).
            std::fs::set_permissions(&self.root, Permissions::from_mode(0o1700))
                .with_context(|| format!("chmod {}", self.root.display()))?;
        }
        let path = self.root.join(id);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("container with given ID already exists: {id}")
            }
            Err(error) => return Err(error).with_context(|| format!("make {}", path.display())),
        }
        match Entry::lock(path.clone()) {
            // Between the two calls somebody may have found the empty directory and deleted it.
            Ok(entry) => entry.with_context(|| format!("container {id} was deleted while it was created")),
            Err(error) => {
                // Still empty, or somebody else's by now, and then it is not removed.
                let _kept = std::fs::remove_dir(&path);
                Err(error)
            }
        }
    }

    /// The directory of a container, locked; none when there is no such container.
    pub fn find(&self, id: &str) -> Result<Option<Entry>> {
        check_id(id)?;
        Entry::lock(self.root.join(id))
    }

    /// Is another command at work on the container?
    pub fn is_busy(&self, id: &str) -> Result<bool> {
        check_id(id)?;
        let Ok(dir) = File::open(self.root.join(id)) else { return Ok(false) };
        Ok(matches!(Flock::lock(dir, FlockArg::LockExclusiveNonblock), Err((_, sys::Errno::EWOULDBLOCK))))
    }

    /// The record of a container, without its lock: it is replaced in one go. One that is just being made or removed may have
    /// none, and is not there for those who only look.
    pub fn peek(&self, id: &str) -> Result<Option<Vec<u8>>> {
        check_id(id)?;
        let path = self.root.join(id).join(RECORD);
        match std::fs::read(&path) {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// Is there something at the gate of a container?
    pub fn has_gate(&self, id: &str) -> bool {
        self.root.join(id).join(GATE).exists()
    }

    /// The ids of all containers, sorted.
    pub fn ids(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound && !self.explicit => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("read state directory {}", self.root.display())),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if check_id(&name).is_ok() {
                ids.push(name);
            }
        }
        ids.sort();
        Ok(ids)
    }
}

impl Entry {
    fn lock(path: PathBuf) -> Result<Option<Entry>> {
        let dir = match File::options().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(&path) {
            Ok(dir) => dir,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("open {}", path.display())),
        };
        let dir = wait_for_lock(dir).with_context(|| format!("lock {}", path.display()))?;
        if sys::fstat(dir.as_fd())?.st_nlink == 0 {
            return Ok(None);
        }
        Ok(Some(Entry { dir, path }))
    }

    /// The locked descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path to a file in it that is short enough for a socket's address, however long the directory's own is.
    pub fn short_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.dir.as_raw_fd()))
    }

    /// Keeps the configuration.
    pub fn keep_config(&self, text: &[u8]) -> Result<()> {
        self.write(CONFIG, text)
    }

    /// The configuration as it was at `create`.
    pub fn read_config(&self) -> Result<Vec<u8>> {
        std::fs::read(self.path.join(CONFIG)).with_context(|| format!("read {}", self.path.join(CONFIG).display()))
    }

    /// Writes the record in one go: whoever reads sees the old one or the new one.
    ///
    /// Not synced to disk: it describes processes, mounts and cgroups that do not survive what would lose it.
    pub fn write_record(&self, record: &[u8]) -> Result<()> {
        self.write(RECORD_DRAFT, record)?;
        std::fs::rename(self.path.join(RECORD_DRAFT), self.path.join(RECORD))
            .with_context(|| format!("rename {} in {}", RECORD_DRAFT, self.path.display()))
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text))
            .with_context(|| format!("write {}", path.display()))
    }

    /// The record; none when there is not even a first one.
    pub fn read_record(&self) -> Result<Option<Vec<u8>>> {
        match std::fs::read(self.path.join(RECORD)) {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", self.path.join(RECORD).display())),
        }
    }

    /// Is there something at the gate?
    pub fn has_gate(&self) -> bool {
        self.path.join(GATE).exists()
    }

    /// Closes the gate: the container has started.
    pub fn remove_gate(&self) -> Result<()> {
        match std::fs::remove_file(self.path.join(GATE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", self.path.join(GATE).display()))
            }
            _ => Ok(()),
        }
    }

    /// Removes the directory with everything in it: files, and one directory of files. Nothing is followed.
    pub fn remove(self) -> Result<()> {
        let context = || format!("remove {}", self.path.display());
        // What is there almost always, so that the directory need not be listed.
        for name in [c"state.json", c"config.json", c"start.sock"] {
            self.unlink(name).with_context(context)?;
        }
        match std::fs::remove_dir(&self.path) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            answer => return answer.with_context(context),
        }
        // The container sees it read-only, so there is nothing in it that was not put there by start.
        match std::fs::remove_dir_all(self.path.join(NOTIFY)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(context),
            _ => {}
        }
        for entry in std::fs::read_dir(&self.path).with_context(context)? {
            let name = CString::new(entry.with_context(context)?.file_name().as_encoded_bytes())?;
            self.unlink(&name).with_context(context)?;
        }
        std::fs::remove_dir(&self.path).with_context(context)
    }

    fn unlink(&self, name: &CStr) -> Result<()> {
        match sys::unlinkat(self.dir.as_fd(), name) {
            Ok(()) | Err(sys::Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Does state belong into the runtime directory of a user? As in runc, also as root of a user namespace that an ordinary
/// user has made, who is still called otherwise then.
pub fn has_runtime_directory() -> Result<bool> {
    let known_otherwise =
        || std::env::var_os("XDG_RUNTIME_DIR").is_some() && std::env::var_os("USER").is_none_or(|name| name != "root");
    Ok(!nix::unistd::getresuid()?.effective.is_root() || !in_initial_user_namespace()? && known_otherwise())
}

/// Waits for the lock, as long as another command may take for its work on the container.
fn wait_for_lock(mut dir: File) -> Result<Flock<File>> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, sys::Errno::EWOULDBLOCK)) if Instant::now() < deadline => dir = back,
            Err((_, sys::Errno::EWOULDBLOCK)) => bail!("another command has been at work on this container for 30 s"),
            Err((_, errno)) => return Err(errno.into()),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// An id becomes the name of directories.
pub fn check_id(id: &str) -> Result<()> {
    if id.is_empty() {
        bail!("container id cannot be empty");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+.-".contains(c);
    if !id.chars().all(plain) || id.starts_with('.') || id.starts_with('-') {
        bail!("invalid container ID format: {id:?} (letters, digits and _+.- make one)");
    }
    if id.len() > 255 {
        bail!("invalid container ID format: {} bytes are more than the 255 that a file name takes", id.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_id;

    #[test]
    fn ids_are_plain_names() {
        for id in ["a", "web-1", "A_b+c.d", &"x".repeat(255)] {
            check_id(id).unwrap();
        }
        for id in ["", ".", "..", "../x", "a/b", "a\0b", "a\n", "é", "-rf", ".hidden", &"x".repeat(256)] {
            check_id(id).unwrap_err();
        }
    }
}
