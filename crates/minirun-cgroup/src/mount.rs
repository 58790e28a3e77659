//! Finds the mount of cgroup2, and the controllers of cgroup2 and of cgroup v1.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use minirun_sys::Errno;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use crate::{CgroupError, Result, files};

/// The usual mount point.
const USUAL: &str = "/sys/fs/cgroup";
const MOUNTINFO: &str = "/proc/self/mountinfo";

/// A mount of cgroup2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupMount {
    /// The mount point.
    pub path: PathBuf,
    /// Whether it is at the usual place without cgroup v1. If not, controllers can be bound to v1.
    pub unified: bool,
}

/// Finds cgroup2 at `/sys/fs/cgroup`, or elsewhere in this process's mounts (`/sys/fs/cgroup/unified` on hybrid hosts).
/// Returns none if it is not mounted.
///
/// # Errors
///
/// Fails if `/proc/self/mountinfo` cannot be read.
pub fn locate() -> Result<Option<CgroupMount>> {
    match statfs(USUAL) {
        Ok(found) if found.filesystem_type() == CGROUP2_SUPER_MAGIC => {
            return Ok(Some(CgroupMount { path: USUAL.into(), unified: true }));
        }
        // The host has no sysfs, or this user may not read it.
        Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {}
        Err(errno) => return Err(CgroupError::new("look at", USUAL, errno)),
    }
    Ok(cgroup2_in(&mountinfo()?).map(|path| CgroupMount { path, unified: false }))
}

/// Returns the controllers available in this cgroup (`cgroup.controllers`); an empty path is the root of the mount.
///
/// # Errors
///
/// Fails if the file cannot be read.
pub fn controllers(mount: &CgroupMount, cgroup: &Path) -> Result<Vec<String>> {
    let file = cgroup.strip_prefix("/").unwrap_or(cgroup).join("cgroup.controllers");
    let root = files::open_mount(&mount.path)?;
    let text = files::read_record(root.as_fd(), &file.to_string_lossy())
        .map_err(|errno| CgroupError::new("read", mount.path.join(file), errno))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// Returns the controllers bound to cgroup v1, each with its mount point. This reads all mounts, so call it only if
/// cgroup2 lacks a controller.
///
/// # Errors
///
/// Fails if `/proc/self/mountinfo` cannot be read.
pub fn v1_controllers() -> Result<Vec<(String, PathBuf)>> {
    Ok(v1_in(&mountinfo()?))
}

/// Returns the first mount point of a file system of this type among this process's mounts.
///
/// # Errors
///
/// Fails if `/proc/self/mountinfo` cannot be read.
pub fn mount_of(filesystem: &str) -> Result<Option<PathBuf>> {
    let of_type = |line: &Mountinfo<'_>| line.filesystem == filesystem.as_bytes();
    Ok(lines(&mountinfo()?).find(of_type).map(|line| unescape(line.point)))
}

/// Returns the mount points of complete file systems of these types, in the order of mountinfo, including covered
/// mounts.
///
/// # Errors
///
/// Fails if `/proc/self/mountinfo` cannot be read.
pub fn whole_mounts_of(filesystems: &[&str]) -> Result<Vec<PathBuf>> {
    let whole = |line: &Mountinfo<'_>| {
        line.root == b"/" && filesystems.iter().any(|filesystem| line.filesystem == filesystem.as_bytes())
    };
    Ok(lines(&mountinfo()?).filter(whole).map(|line| unescape(line.point)).collect())
}

/// Returns every mount point of cgroup2 among this process's mounts, including covered ones.
pub(crate) fn mount_points() -> Result<Vec<PathBuf>> {
    let of_type = |line: &Mountinfo<'_>| line.filesystem == b"cgroup2";
    Ok(lines(&mountinfo()?).filter(of_type).map(|line| unescape(line.point)).collect())
}

fn mountinfo() -> Result<Vec<u8>> {
    std::fs::read(MOUNTINFO).map_err(|error| {
        let errno = minirun_sys::Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        CgroupError::new("read", Path::new(MOUNTINFO), errno)
    })
}

/// The relevant fields of a line in mountinfo (proc_pid_mountinfo(5)).
struct Mountinfo<'a> {
    root: &'a [u8],
    point: &'a [u8],
    filesystem: &'a [u8],
    super_options: &'a [u8],
}

fn lines(mountinfo: &[u8]) -> impl Iterator<Item = Mountinfo<'_>> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        let root = words.nth(3)?;
        let point = words.next()?;
        // A dash follows any number of optional fields.
        words.find(|word| *word == b"-")?;
        let filesystem = words.next()?;
        let super_options = words.nth(1)?;
        Some(Mountinfo { root, point, filesystem, super_options })
    })
}

/// Returns a mount point of cgroup2, preferably one that shows the whole hierarchy.
fn cgroup2_in(mountinfo: &[u8]) -> Option<PathBuf> {
    let all = || lines(mountinfo).filter(|line| line.filesystem == b"cgroup2");
    all().find(|line| line.root == b"/").or_else(|| all().next()).map(|line| unescape(line.point))
}

fn v1_in(mountinfo: &[u8]) -> Vec<(String, PathBuf)> {
    /// All controllers that ever existed; the other options of these mounts are not controllers.
    const CONTROLLERS: [&str; 14] = [
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "misc",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
        "rdma",
    ];
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for line in lines(mountinfo).filter(|line| line.filesystem == b"cgroup") {
        for option in line.super_options.split(|byte| *byte == b',') {
            let name = CONTROLLERS.iter().find(|name| name.as_bytes() == option);
            if let Some(name) = name.filter(|name| found.iter().all(|(known, _)| known != *name)) {
                found.push(((*name).to_owned(), unescape(line.point)));
            }
        }
    }
    found
}

/// Decodes the escapes of mountinfo: a backslash and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if *first == b'\\' => {
                path.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => path.push(*first),
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep;

    const HYBRID: &[u8] = b"\
        22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
        30 22 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 master:2 - cgroup cgroup rw,cpu,cpuacct\n\
        32 30 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n\
        33 30 0:29 /below /mnt/part\\040of\\134it rw - cgroup2 cgroup2 rw\n\
        34 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n\
        35 22 0:30 / /somewhere rw - cgroup cgroup rw,cpu\n\
        bad line\n";

    #[test]
    fn mounts_are_found() {
        assert_eq!(cgroup2_in(HYBRID), Some("/sys/fs/cgroup/unified".into()));
        let partial: Vec<&[u8]> =
            HYBRID.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"34 ")).collect();
        assert_eq!(cgroup2_in(&partial.join(&b'\n')), Some("/mnt/part of\\it".into()));
        assert_eq!(cgroup2_in(b""), None);
        let place = PathBuf::from("/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(v1_in(HYBRID), [("cpu".to_owned(), place.clone()), ("cpuacct".to_owned(), place)]);
    }

    #[test]
    fn escapes() {
        for (field, path) in [("/a\\040b", "/a b"), ("/a\\", "/a\\"), ("/\\134\\012", "/\\\n"), ("/a\\09", "/a\\09")] {
            assert_eq!(unescape(field.as_bytes()), PathBuf::from(path));
        }
    }

    #[test]
    fn damaged_lists_are_read_as_far_as_they_can_be() {
        let mut random = sweep::Random::for_test("mountinfo");
        for _ in 0..sweep::cases(5000) {
            let list = random.damaged(HYBRID, b"\\ \n-0194/,");
            for line in lines(&list) {
                assert!(unescape(line.point).as_os_str().len() <= line.point.len());
            }
            let (_found, _controllers) = (cgroup2_in(&list), v1_in(&list));
        }
    }
}
