//! The state directory: one directory per container, locked while something is done with it, and its record.
//!
//! The lock is on the directory itself, so that no lock file has to be kept or removed. A directory that was removed while
//! somebody waited for its lock is recognised by its link count.

mod files;

use std::ffi::{CStr, CString};
use std::fs::{DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Kind, OnPath, Result, bail, has_id_letters};
use minirun_sys as sys;
use minirun_sys::{Flock, FlockArg};
use nix::dir::Dir;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::facts::{has_runtime_directory, runtime_directory};

/// The record of a container.
const RECORD: &str = "state.json";
/// The record while it is written.
const RECORD_DRAFT: &str = ".state.json";
/// A link whose text is the container's mark: what a damaged record cannot tell.
const MARK: &CStr = c"mark";
/// The configuration as it was at `create`.
const CONFIG: &str = "config.json";
/// Where init listens for `start`.
pub const GATE: &str = "start.sock";
/// The part of its directory that the container sees, if it can say when it is ready.
pub const NOTIFY: &str = "notify";
/// Where it says so.
pub const NOTIFY_SOCKET: &str = "notify/notify.sock";

/// All containers below one state directory.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Why this user has no directory, if there is none.
    missing: Option<&'static str>,
    /// Whether the directory was named.
    explicit: bool,
    /// Whether it is in the runtime directory of a user, which is cleaned of old files.
    users: bool,
}

/// A container's directory, locked.
#[derive(Debug)]
pub struct Entry {
    dir: Flock<File>,
    path: PathBuf,
}

impl Store {
    /// The store in this directory, or at the default place.
    pub fn at(root: Option<PathBuf>) -> Result<Store> {
        let (root, explicit, users) = match root {
            Some(root) if root == Path::new("/") => bail!("option --root argument should not be set to /"),
            Some(root) => (Ok(root), true, false),
            None if !has_runtime_directory()? => (Ok(PathBuf::from("/run/minirun")), false, false),
            None => (default_of_user(), false, true),
        };
        let missing = root.as_ref().err().copied();
        // accepts: no error: it is kept beside.
        Ok(Store { root: root.unwrap_or_default(), missing, explicit, users })
    }

    /// The directory, unless this user has none.
    pub fn root(&self) -> Option<&Path> {
        self.missing.is_none().then_some(&self.root)
    }

    /// Fails if this user has no directory: what needs none works without.
    fn need_root(&self) -> Result<()> {
        self.missing.map_or(Ok(()), |why| Err(Error::text(why)))
    }

    /// Where the directory of a container is, or will be.
    pub fn place_of(&self, id: &str) -> Result<PathBuf> {
        self.need_root()?;
        Ok(self.root.join(id))
    }

    /// The state directory, if it is there. One that others can write is refused: a record tells whom root kills, and which
    /// programs it runs.
    fn open(&self) -> Result<Option<OwnedFd>> {
        self.need_root()?;
        sys::open_trusted(&self.root)
            .map_err(files::explain)
            .with_context(|| format!("state directory {}", self.root.display()))
    }

    /// The directory of a container, if it is there.
    fn open_entry(&self, id: &str) -> Result<Option<File>> {
        check_id(id)?;
        let Some(root) = self.open()? else { return Ok(None) };
        files::open_directory(root.as_fd(), id).with_context(|| format!("container {id}"))
    }

    /// Makes the directory of a new container and locks it.
    pub fn reserve(&self, id: &str) -> Result<Entry> {
        check_id(id)?;
        self.need_root()?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.root).on("make state directory", || &self.root)?;
        let root = self.open()?.with_context(|| format!("state directory {} was removed", self.root.display()))?;
        if self.users {
            // With the sticky bit it is no rubbish (XDG Base Directory Specification).
            std::fs::set_permissions(&self.root, Permissions::from_mode(0o1700)).on("chmod", || &self.root)?;
        }
        let path = self.root.join(id);
        match sys::mkdirat(root.as_fd(), &CString::new(id)?, 0o700) {
            Ok(()) => {}
            Err(sys::Errno::EEXIST) => return Err(Kind::AlreadyExists { id: id.to_owned() }.into()),
            Err(errno) => return Err(errno).on("make", || &path),
        }
        let locked = match files::open_directory(root.as_fd(), id) {
            Ok(Some(dir)) => Entry::lock(dir, path),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match locked {
            // Between the two calls somebody may have found the empty directory and deleted it.
            Ok(entry) => entry.with_context(|| format!("container {id} was deleted while it was created")),
            Err(error) => {
                // Still empty, or somebody else's by now, and then it is not removed.
                // accepts: any error; it is somebody else's by now.
                let _kept = unlinkat(&root, id, UnlinkatFlags::RemoveDir);
                Err(error)
            }
        }
    }

    /// The directory of a container, locked; none when there is no such container.
    pub fn find(&self, id: &str) -> Result<Option<Entry>> {
        let Some(dir) = self.open_entry(id)? else { return Ok(None) };
        Entry::lock(dir, self.root.join(id))
    }

    /// Whether another command is at work on the container.
    pub fn is_busy(&self, id: &str) -> Result<bool> {
        let Some(dir) = self.open_entry(id)? else { return Ok(false) };
        match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
            Ok(_) => Ok(false),
            Err((_, sys::Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(errno).on("lock", || self.root.join(id)),
        }
    }

    /// The record of a container, without its lock: it is replaced in one go. One that is just being made or removed may have
    /// none, and is not there for those who only look.
    pub fn peek(&self, id: &str) -> Result<Option<Vec<u8>>> {
        let Some(dir) = self.open_entry(id)? else { return Ok(None) };
        files::read(dir.as_fd(), RECORD).on("read", || self.root.join(id).join(RECORD))
    }

    /// Whether there is something at the gate of a container.
    pub fn has_gate(&self, id: &str) -> Result<bool> {
        let Some(dir) = self.open_entry(id)? else { return Ok(false) };
        files::exists(dir.as_fd(), GATE).on("stat", || self.root.join(id).join(GATE))
    }

    /// The ids of all containers, sorted.
    pub fn ids(&self) -> Result<Vec<String>> {
        let context = || format!("read state directory {}", self.root.display());
        let root = match self.open()? {
            Some(root) => root,
            None if !self.explicit => return Ok(Vec::new()),
            None => return Err(sys::Errno::ENOENT).with_context(context),
        };
        let root = sys::openat2(root.as_fd(), c".", libc::O_RDONLY | libc::O_DIRECTORY, 0, 0).with_context(context)?;
        let mut ids = Vec::new();
        for entry in Dir::from_fd(root).with_context(context)?.iter() {
            let name = entry.with_context(context)?.file_name().to_string_lossy().into_owned();
            // accepts: a name that is no id, which is that of another file.
            if check_id(&name).is_ok() {
                ids.push(name);
            }
        }
        ids.sort();
        Ok(ids)
    }
}

impl Entry {
    fn lock(dir: File, path: PathBuf) -> Result<Option<Entry>> {
        let dir = wait_for_lock(dir).on("lock", || &path)?;
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

    /// Keeps the container's mark, beside the record.
    pub fn keep_mark(&self, mark: &str) -> Result<()> {
        sys::symlinkat(&CString::new(mark)?, self.fd(), MARK).on("keep the mark in", || &self.path)
    }

    /// The container's mark, if it was kept.
    pub fn read_mark(&self) -> Result<Option<String>> {
        let mut buffer = [0u8; 256];
        match sys::readlinkat(self.fd(), MARK, &mut buffer) {
            Ok(length) => Ok(Some(String::from_utf8_lossy(&buffer[..length]).into_owned())),
            // There is none, or it is not a link.
            Err(sys::Errno::ENOENT | sys::Errno::EINVAL) => Ok(None),
            Err(errno) => Err(errno).on("read the mark in", || &self.path),
        }
    }

    /// Keeps the configuration.
    pub fn keep_config(&self, text: &[u8]) -> Result<()> {
        self.write(CONFIG, text)
    }

    /// The configuration as it was at `create`.
    pub fn read_config(&self) -> Result<Vec<u8>> {
        let context = || format!("read {}", self.path.join(CONFIG).display());
        let text = files::read(self.fd(), CONFIG).with_context(context)?;
        text.ok_or(sys::Errno::ENOENT).with_context(context)
    }

    /// Writes the record in one go: a reader sees the old one or the new one.
    ///
    /// Not synced to disk: it describes processes, mounts and cgroups that do not survive what would lose it.
    pub fn write_record(&self, record: &[u8]) -> Result<()> {
        self.write(RECORD_DRAFT, record)?;
        nix::fcntl::renameat(&*self.dir, RECORD_DRAFT, &*self.dir, RECORD)
            .with_context(|| format!("rename {} in {}", RECORD_DRAFT, self.path.display()))
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<()> {
        files::write(self.fd(), name, text).on("write", || self.path.join(name))
    }

    /// The record; none when there is not even a first one.
    pub fn read_record(&self) -> Result<Option<Vec<u8>>> {
        files::read(self.fd(), RECORD).on("read", || self.path.join(RECORD))
    }

    /// Whether there is something at the gate.
    pub fn has_gate(&self) -> Result<bool> {
        files::exists(self.fd(), GATE).on("stat", || self.path.join(GATE))
    }

    /// Closes the gate: the container has started.
    pub fn remove_gate(&self) -> Result<()> {
        let gate = CString::new(GATE)?;
        self.unlink(&gate).on("remove", || self.path.join(GATE))
    }

    /// Removes the directory with everything in it: files, and one directory of files. Nothing is followed.
    pub fn remove(self) -> Result<()> {
        let context = || format!("remove {}", self.path.display());
        // What is there almost always, so that the directory need not be listed.
        for name in [c"state.json", c"config.json", c"start.sock", MARK] {
            self.unlink(name).with_context(context)?;
        }
        match self.remove_directory() {
            Err(sys::Errno::ENOTEMPTY) => {}
            answer => return answer.with_context(context),
        }
        // The container sees it read-only, so there is nothing in it that was not put there by start.
        match std::fs::remove_dir_all(self.short_path(NOTIFY)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(context),
            _ => {}
        }
        for entry in std::fs::read_dir(self.short_path("")).with_context(context)? {
            let name = CString::new(entry.with_context(context)?.file_name().as_encoded_bytes())?;
            self.unlink(&name).with_context(context)?;
        }
        self.remove_directory().with_context(context)
    }

    /// Removes the empty directory from the one that it lies in now.
    fn remove_directory(&self) -> sys::Result<()> {
        let above = sys::openat2(self.fd(), c"..", libc::O_PATH | libc::O_DIRECTORY, 0, 0)?;
        unlinkat(&above, self.path.file_name().unwrap_or_default(), UnlinkatFlags::RemoveDir)
    }

    fn unlink(&self, name: &CStr) -> Result<()> {
        match sys::unlinkat(self.dir.as_fd(), name) {
            Ok(()) | Err(sys::Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The default state directory of an ordinary user; or why there is none.
fn default_of_user() -> Result<PathBuf, &'static str> {
    match runtime_directory() {
        Some(dir) => Ok(Path::new(&dir).join("minirun")),
        None if std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|dir| !dir.is_empty()) => {
            Err("XDG_RUNTIME_DIR is not an absolute path (hint: use --root DIR, or run as root)")
        }
        None => Err("XDG_RUNTIME_DIR is not set (hint: use --root DIR, or run as root)"),
    }
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
            Err((_, sys::Errno::EWOULDBLOCK)) => return Err(Kind::Busy { seconds: PATIENCE.as_secs() }.into()),
            Err((_, errno)) => return Err(errno.into()),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// An id becomes the name of directories.
pub fn check_id(id: &str) -> Result<()> {
    if (1..=255).contains(&id.len()) && has_id_letters(id) {
        return Ok(());
    }
    Err(Kind::InvalidId { id: id.to_owned() }.into())
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
