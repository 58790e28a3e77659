//! File systems whose contents the kernel makes up: what a new instance shows is told from the host's, where both are alike.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::sys::statfs::{FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs, statfs};

/// A file system of the kernel's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    Proc,
    Sysfs,
    /// Another one, in which no device node can be made.
    Other,
}

/// What such a file system has at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Directory,
    File,
    /// It depends on the container: its processes, its network.
    Untold,
}

impl Kernel {
    /// The file system of this type, if it is the kernel's.
    pub fn of_type(name: &[u8]) -> Option<Kernel> {
        match name {
            b"proc" => Some(Kernel::Proc),
            b"sysfs" => Some(Kernel::Sysfs),
            b"devpts" | b"mqueue" | b"cgroup" | b"cgroup2" => Some(Kernel::Other),
            _ => None,
        }
    }

    /// The one that a path of the host is on, if nothing can be made in it.
    pub fn at(host: &Path) -> Option<Kernel> {
        match statfs(host).ok()?.filesystem_type() {
            PROC_SUPER_MAGIC => Some(Kernel::Proc),
            SYSFS_MAGIC => Some(Kernel::Sysfs),
            _ => None,
        }
    }

    /// Its name, for a message.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Proc => "proc",
            Kernel::Sysfs => "sysfs",
            Kernel::Other => "a file system of the kernel",
        }
    }

    /// What a new instance has at a path below its root; none when there is nothing.
    pub fn look(self, path: &Path) -> Option<Shown> {
        if path.as_os_str().is_empty() {
            return Some(Shown::Directory);
        }
        let alike = match self {
            // Directories of processes, links to them, and what belongs to the network namespace.
            Kernel::Proc => {
                let first = path.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
                first.is_some_and(|first| {
                    let own = ["self", "thread-self", "mounts", "net", "sys"].contains(&first.as_str());
                    !own && !first.bytes().all(|byte| byte.is_ascii_digit())
                })
            }
            Kernel::Sysfs => !["class/net", "devices"].iter().any(|own| path.starts_with(own)),
            Kernel::Other => false,
        };
        if alike { self.of_host(path) } else { Some(Shown::Untold) }
    }

    /// What the host's instance has there.
    fn of_host(self, path: &Path) -> Option<Shown> {
        let (root, magic): (&str, FsType) = match self {
            Kernel::Proc => ("/proc", PROC_SUPER_MAGIC),
            _ => ("/sys", SYSFS_MAGIC),
        };
        let untold = Some(Shown::Untold);
        let (Ok(root), Ok(text)) = (File::open(root), CString::new(path.as_os_str().as_encoded_bytes())) else {
            return untold;
        };
        if !fstatfs(&root).is_ok_and(|found| found.filesystem_type() == magic) {
            return untold;
        }
        let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
        match sys::openat2(root.as_fd(), &text, libc::O_PATH | libc::O_NOFOLLOW, 0, how) {
            Ok(file) => match File::from(file).metadata() {
                Ok(found) if found.is_dir() => Some(Shown::Directory),
                Ok(found) if found.is_file() => Some(Shown::File),
                // A link, or one that vanished meanwhile.
                _ => untold,
            },
            Err(Errno::ENOENT | Errno::ENOTDIR) => None,
            // Something is mounted on the host's instance. In sysfs that is possible on empty directories only, which are made
            // for it (`sysfs_create_mount_point`).
            Err(Errno::EXDEV) if self == Kernel::Sysfs => {
                let above = path.parent().map(Path::to_owned).unwrap_or_default();
                let is_mount_point = above.as_os_str().is_empty() || self.is_reached(&above);
                is_mount_point.then_some(Shown::Directory)
            }
            Err(_not_told) => untold,
        }
    }

    /// Whether the way to a directory of the host's instance crosses no mount.
    fn is_reached(self, path: &Path) -> bool {
        let (Ok(root), Ok(text)) = (File::open("/sys"), CString::new(path.as_os_str().as_encoded_bytes())) else {
            return false;
        };
        let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
        sys::openat2(root.as_fd(), &text, libc::O_PATH, 0, how).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_instance_tells_what_a_new_one_has() {
        for (path, shown) in [
            ("", Some(Shown::Directory)),
            ("version", Some(Shown::File)),
            ("no-such-file", None),
            ("1/status", Some(Shown::Untold)),
            ("self", Some(Shown::Untold)),
        ] {
            assert_eq!(Kernel::Proc.look(Path::new(path)), shown, "{path:?}");
        }
        for (path, shown) in [
            ("kernel", Some(Shown::Directory)),
            ("no-such-file", None),
            ("fs/cgroup/no-such-file", None),
            ("class/net/eth0", Some(Shown::Untold)),
        ] {
            assert_eq!(Kernel::Sysfs.look(Path::new(path)), shown, "{path:?}");
        }
    }
}
