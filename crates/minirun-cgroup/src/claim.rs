//! The owner of a cgroup: a mark on its directory, which disappears with it.

use std::ffi::CStr;
use std::os::fd::AsFd;
use std::path::PathBuf;

use minirun_sys::{Errno, create_xattr, fstat, get_xattr};

use crate::{Cgroup, CgroupError, Result};

/// The extended attribute for root. If a cgroup is delegated to its container, the container could change other
/// attributes, but `trusted.*` requires CAP_SYS_ADMIN in the initial user namespace (xattr(7)).
const TRUSTED: &CStr = c"trusted.minirun";
/// The extended attribute for other users; cgroup2 supports `user.*` attributes since Linux 5.7.
const NAME: &CStr = c"user.minirun";

/// The content of the attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// A random number that is unique to the container, in hexadecimal digits.
    pub token: String,
    /// The container's directory when it was created. It is informative only: the directory can be renamed, and reached
    /// by several paths.
    pub directory: PathBuf,
}

impl Mark {
    fn parse(text: &str) -> Mark {
        let (token, directory) = text.split_once(' ').unwrap_or((text, ""));
        Mark { token: token.to_owned(), directory: directory.into() }
    }

    fn text(&self) -> String {
        format!("{} {}", self.token, self.directory.display())
    }
}

/// Returns a token for a new container.
///
/// # Errors
///
/// Fails if the kernel has no random numbers.
pub fn random_token() -> minirun_sys::Result<String> {
    Ok(format!("{:032x}", minirun_sys::random()?))
}

impl Cgroup {
    /// Marks the cgroup as this container's, unless it is another's. If a container that owns the cgroup could change
    /// the mark, returns the cgroup's inode number, which the kernel does not reuse.
    ///
    /// # Errors
    ///
    /// Fails if the cgroup is another container's, or the attribute cannot be set.
    pub fn claim(&self, mark: &Mark) -> Result<Option<u64>> {
        let text = mark.text();
        let create = |name: &CStr| create_xattr(self.dir.as_fd(), name, text.as_bytes());
        let marked = create(TRUSTED);
        let changeable = marked == Err(Errno::EPERM);
        match if changeable { create(NAME) } else { marked } {
            Ok(()) => Ok(if changeable { Some(self.inode()?) } else { None }),
            Err(Errno::EEXIST) => match self.mark()? {
                Some(other) if other.token != mark.token => {
                    Err(self.belongs_to(&other).hint("give each container its own linux.cgroupsPath"))
                }
                _ => Ok(if changeable { Some(self.inode()?) } else { None }),
            },
            Err(errno) => Err(CgroupError::new("mark", self.path(), errno)),
        }
    }

    /// Returns its inode number.
    ///
    /// # Errors
    ///
    /// Fails if fstat(2) fails.
    pub fn inode(&self) -> Result<u64> {
        let stat = fstat(self.dir.as_fd()).map_err(|errno| CgroupError::new("stat", self.path(), errno))?;
        Ok(stat.st_ino)
    }

    /// Returns the mark of its container, if it has one.
    ///
    /// # Errors
    ///
    /// Fails if the attribute cannot be read.
    pub fn mark(&self) -> Result<Option<Mark>> {
        let mut buffer = [0u8; 8192];
        for name in [TRUSTED, NAME] {
            match get_xattr(self.dir.as_fd(), name, &mut buffer) {
                Ok(length) => return Ok(Some(Mark::parse(&String::from_utf8_lossy(&buffer[..length])))),
                // The attribute or the cgroup does not exist.
                Err(Errno::ENODATA | Errno::ENOENT | Errno::ENODEV) => {}
                Err(errno) => return Err(CgroupError::new("read the mark of", self.path(), errno)),
            }
        }
        Ok(None)
    }

    /// Returns the error for a cgroup of another container.
    pub fn belongs_to(&self, other: &Mark) -> CgroupError {
        let text = format!("it belongs to the container {:?}", other.directory.display().to_string());
        CgroupError::new("use", self.path(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back() {
        let token = random_token().unwrap();
        assert_ne!(token, random_token().unwrap());
        assert_eq!(token.len(), 32);
        let mark = Mark { token, directory: "/run/minirun/a b".into() };
        assert_eq!(Mark::parse(&mark.text()), mark);
        for text in ["", "x", "/run/minirun/a b"] {
            assert_ne!(Mark::parse(text).token, mark.token);
        }
    }
}
