//! Which directories and files of the host are trusted: a user who can write a container's record decides which processes
//! root kills, and a user who can write a layer decides which programs root runs.

use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::{Errno, fstat, openat2, read_file, readlinkat, working_directory};

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: u32 = 40;
/// The owner of a file whose owner a user namespace does not map.
const UNMAPPED: u32 = 65534;

/// Why a file or directory is not used.
#[derive(Debug)]
pub enum Untrusted {
    /// The kernel's answer.
    Failed(Errno),
    /// Others can write it, or exchange it at the directory or link that is named. In words.
    Refused(String),
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Untrusted::Failed(errno) => errno.fmt(f),
            Untrusted::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Untrusted {}

impl From<Errno> for Untrusted {
    fn from(errno: Errno) -> Untrusted {
        Untrusted::Failed(errno)
    }
}

/// Fails unless only root and the user of this process can write this file or directory.
///
/// # Errors
/// Others can, or the kernel does not tell.
pub fn trust(fd: BorrowedFd<'_>) -> Result<(), Untrusted> {
    trust_file(&fstat(fd)?)
}

/// As [`trust`], of a file or directory with this status.
///
/// # Errors
/// Others can write it.
pub fn trust_file(stat: &libc::stat) -> Result<(), Untrusted> {
    let why = distrust(stat.st_uid, stat.st_mode, nix::unistd::geteuid().as_raw());
    why.map_or(Ok(()), |why| Err(Untrusted::Refused(why)))
}

/// Fails unless only root and the user of this process can exchange the entries of this directory, or this link.
fn trust_way(stat: &libc::stat, (uid, gid): (u32, u32), here: &Path) -> Result<(), Untrusted> {
    // A link has no mode of its own.
    let mode = if kind(stat) == libc::S_IFLNK { 0 } else { stat.st_mode };
    let initial =
        || in_initial_user_namespace().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)));
    match distrust_way(stat.st_uid, mode, (stat.st_gid, gid), uid) {
        // In a user namespace root of the host, among others, has no number.
        Some(_) if stat.st_uid == UNMAPPED && !initial()? => Ok(()),
        Some(why) => Err(Untrusted::Refused(format!("{}: {why}", here.display()))),
        None => Ok(()),
    }
}

/// Opens a directory that only root and the user of this process can write (`O_PATH`); none if it is not there. The
/// directories and links that lead to it are checked as well: their users could exchange it for another directory of root's.
///
/// # Errors
/// Others can write or exchange it, or it cannot be opened.
pub fn open_trusted(path: &Path) -> Result<Option<OwnedFd>, Untrusted> {
    let path = std::path::absolute(path).map_err(|_| Errno::ENOENT)?;
    let names = |path: &Path| path.components().map(|part| part.as_os_str().to_owned()).collect::<VecDeque<OsString>>();
    let (mut here, mut so_far) = (None::<OwnedFd>, PathBuf::new());
    let (mut left, mut links) = (names(&path), 0);
    let ids = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    while let Some(name) = left.pop_front() {
        let above = here.as_ref().map_or(working_directory(), AsFd::as_fd);
        let c_name = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)?;
        let next = match openat2(above, &c_name, libc::O_PATH | libc::O_NOFOLLOW, 0, 0) {
            Err(Errno::ENOENT) => return Ok(None),
            answer => answer?,
        };
        let place = so_far.join(&name);
        let stat = fstat(next.as_fd())?;
        if kind(&stat) == libc::S_IFLNK {
            trust_way(&stat, ids, &place)?;
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::ELOOP.into());
            }
            let mut target = [0; libc::PATH_MAX as usize];
            let length = readlinkat(next.as_fd(), c"", &mut target)?;
            let mut way = names(Path::new(OsStr::from_bytes(&target[..length])));
            way.append(&mut left);
            left = way;
            continue;
        }
        if left.is_empty() {
            if kind(&stat) != libc::S_IFDIR {
                return Err(Errno::ENOTDIR.into());
            }
            trust_file(&stat)?;
            return Ok(Some(next));
        }
        trust_way(&stat, ids, &place)?;
        (here, so_far) = (Some(next), place);
    }
    Err(Errno::ENOENT.into())
}

/// The type of a file, one of `S_IF*`.
fn kind(stat: &libc::stat) -> libc::mode_t {
    stat.st_mode & libc::S_IFMT
}

/// Whether this is the first user namespace. It maps every id to itself; others can do so only by deliberate imitation (as
/// systemd-nspawn can), and then the kernel's refusal is an error later on.
///
/// # Errors
/// The kernel does not tell.
pub fn in_initial_user_namespace() -> io::Result<bool> {
    match read_file("/proc/self/uid_map") {
        Ok(map) => Ok(String::from_utf8_lossy(&map).split_whitespace().eq(["0", "0", "4294967295"])),
        // A kernel without user namespaces has neither file, and only the first one.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                && Path::new("/proc/self").try_exists()?
                && !Path::new("/proc/self/ns/user").try_exists()? =>
        {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// Returns why a file or directory of the host cannot be trusted, given its owner, its mode and the user of this process;
/// none if it can.
///
/// It must belong to root or to this user, and nobody else may write to it. A directory with the sticky bit is no exception:
/// there others make entries of their own.
fn distrust(owner: u32, mode: u32, user: u32) -> Option<String> {
    const OTHERS_WRITE: u32 = 0o022;
    if owner != 0 && owner != user {
        return Some(format!("it belongs to user {owner}, not to root or to user {user}"));
    }
    let permissions = mode & 0o7777;
    (mode & OTHERS_WRITE != 0).then(|| format!("its mode {permissions:04o} lets other users write (hint: chmod go-w)"))
}

/// The same for a directory or a link on the way: who can write there can exchange what is below, except in a directory with
/// the sticky bit. The group of root, and `group`, which is this user's own, are not others.
fn distrust_way(owner: u32, mode: u32, group: (u32, u32), user: u32) -> Option<String> {
    const STICKY: u32 = 0o1000;
    const GROUP_WRITES: u32 = 0o020;
    let (its, own) = group;
    let spared = if its == 0 || its == own { GROUP_WRITES } else { 0 };
    let counts = if mode & STICKY != 0 { 0 } else { mode & !spared };
    distrust(owner, counts, user).and(distrust(owner, mode, user))
}

#[cfg(test)]
mod tests {
    use super::{distrust, distrust_way};

    #[test]
    fn on_the_way_the_sticky_bit_and_ones_own_group_are_enough() {
        for (owner, mode, group) in [(0, 0o41777, 0), (0, 0o40775, 0), (1000, 0o40775, 1000), (0, 0o40755, 5)] {
            assert_eq!(distrust_way(owner, mode, (group, 1000), 1000), None, "{owner} {mode:o} {group}");
        }
        for (owner, mode, group) in [(1001, 0o41777, 0), (0, 0o40777, 0), (0, 0o40775, 50), (1001, 0o40700, 1000)] {
            assert!(distrust_way(owner, mode, (group, 1000), 1000).is_some(), "{owner} {mode:o} {group}");
        }
    }

    #[test]
    fn only_root_and_the_user_may_write() {
        for (owner, mode, user) in [(0, 0o40700, 0), (0, 0o40755, 1000), (1000, 0o41700, 1000), (1000, 0o100644, 1000)]
        {
            assert_eq!(distrust(owner, mode, user), None, "{owner} {mode:o} {user}");
        }
        for (owner, mode, user) in [
            (1000, 0o40700, 0),
            (1001, 0o40700, 1000),
            (65534, 0o40700, 0),
            (0, 0o41777, 0),
            (0, 0o40770, 0),
            (1000, 0o40702, 1000),
        ] {
            assert!(distrust(owner, mode, user).is_some(), "{owner} {mode:o} {user}");
        }
    }
}
