//! The way to a path that is not there yet: its directories are made, and a link that leads nowhere is followed to where
//! its target is to be.

use std::ffi::CStr;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::Errno;

use super::path::resolve;
use crate::wire::{Call, Fault, In};

const LONGEST: usize = libc::PATH_MAX as usize;

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// A path below a root. It is text and is looked up anew from the root's descriptor, so that no link in it, and nothing
/// that is exchanged meanwhile, can lead out of the root; only names without a slash are made.
pub(super) struct Way<'r> {
    root: BorrowedFd<'r>,
    /// How the kernel resolves it.
    how: u64,
    bytes: [u8; LONGEST],
    length: usize,
    links: usize,
}

impl<'r> Way<'r> {
    pub(super) fn new(root: BorrowedFd<'r>, how: u64, path: &CStr) -> Result<Way<'r>, Fault> {
        let mut way = Way { root, how, bytes: [0; LONGEST], length: 0, links: 0 };
        way.put(0..0, path.to_bytes())?;
        Ok(way)
    }

    /// The whole path as a directory.
    pub(super) fn make_directory(&mut self) -> Result<OwnedFd, Fault> {
        loop {
            if let Some(directory) = self.make_to(self.length)? {
                return Ok(directory);
            }
        }
    }

    /// The directory that holds the last component.
    pub(super) fn make_parent(&mut self) -> Result<OwnedFd, Fault> {
        loop {
            if let Some(directory) = self.make_to(self.last().start)? {
                return Ok(directory);
            }
        }
    }

    /// The last component as an empty file.
    pub(super) fn make_file(&mut self) -> Result<OwnedFd, Fault> {
        loop {
            let parent = self.make_parent()?;
            if let Some(file) = self.make_last(parent.as_fd())? {
                return Ok(file);
            }
        }
    }

    /// The first so many bytes of the path as a directory; none when a link was met, and the path is another now.
    fn make_to(&mut self, end: usize) -> Result<Option<OwnedFd>, Fault> {
        let (mut directory, mut at) = self.deepest(end)?;
        while let Some(part) = self.next(at, end) {
            let Some(inner) = self.make_one(directory.as_fd(), part.clone())? else { return Ok(None) };
            (directory, at) = (inner, part.end);
        }
        Ok(Some(directory))
    }

    /// The longest way that is there already, most often all of it, and its length.
    fn deepest(&mut self, end: usize) -> Result<(OwnedFd, usize), Fault> {
        let mut there = end;
        loop {
            match self.look(there, libc::O_DIRECTORY) {
                Ok(directory) => return Ok((directory, there)),
                Err(fault) if there == 0 || !fault.is(Errno::ENOENT) => return Err(fault),
                // accepts: ENOENT, by the arm above.
                Err(_) => there = last(&self.bytes[..there]).start,
            }
        }
    }

    fn make_one(&mut self, parent: BorrowedFd<'_>, part: Range<usize>) -> Result<Option<OwnedFd>, Fault> {
        if self.is_dots(&part) {
            return self.look(part.end, libc::O_DIRECTORY).map(Some);
        }
        match self.cut(part.clone(), |name| sys::mkdirat(parent, name, 0o755)) {
            Ok(()) => {}
            Err(Errno::EEXIST) if self.follow(parent, part.clone())? => return Ok(None),
            // Somebody else may have made it meanwhile.
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno).in_call(Call::Mkdir),
        }
        self.enter(parent, part, libc::O_DIRECTORY).map(Some)
    }

    fn make_last(&mut self, parent: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Fault> {
        let part = self.last();
        if part.is_empty() || self.is_dots(&part) {
            return self.look(self.length, 0).map(Some);
        }
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW;
        match self.cut(part.clone(), |name| sys::openat2(parent, name, flags, 0o644, libc::RESOLVE_BENEATH)) {
            Ok(_) => {}
            Err(Errno::EEXIST) if self.follow(parent, part.clone())? => return Ok(None),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno).in_call(Call::Openat2),
        }
        self.enter(parent, part, 0).map(Some)
    }

    /// Opens what was just made, or seen not to be a link.
    fn enter(&mut self, parent: BorrowedFd<'_>, part: Range<usize>, flags: libc::c_int) -> Result<OwnedFd, Fault> {
        let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
        self.cut(part, |name| resolve(parent, name, flags | libc::O_NOFOLLOW, how))
    }

    /// Opens the first so many bytes of the path.
    fn look(&mut self, end: usize, flags: libc::c_int) -> Result<OwnedFd, Fault> {
        let (root, how) = (self.root, self.how);
        self.cut(0..end, |path| resolve(root, path, flags, how))
    }

    /// Puts what a link says in its place, to be resolved from the root again; false where there is no link.
    fn follow(&mut self, parent: BorrowedFd<'_>, part: Range<usize>) -> Result<bool, Fault> {
        let mut target = [0; LONGEST];
        let length = match self.cut(part.clone(), |name| sys::readlinkat(parent, name, &mut target)) {
            Err(Errno::EINVAL) => return Ok(false),
            answer => answer.in_call(Call::Readlink)?,
        };
        if self.links == MOST_LINKS || self.how & libc::RESOLVE_NO_SYMLINKS != 0 {
            return Err(Errno::ELOOP).in_call(Call::Openat2);
        }
        self.links += 1;
        let target = &target[..length];
        // It counts from the container's root, which this way does not start from.
        if target.starts_with(b"/") && self.how & libc::RESOLVE_BENEATH != 0 {
            return Err(Errno::EXDEV).in_call(Call::Openat2);
        }
        let start = if target.starts_with(b"/") { 0 } else { part.start };
        self.put(start..part.end, target)?;
        Ok(true)
    }

    /// Puts a text in place of a part of the path.
    fn put(&mut self, part: Range<usize>, text: &[u8]) -> Result<(), Fault> {
        let length = self.length - part.len() + text.len();
        if length >= LONGEST {
            return Err(Errno::ENAMETOOLONG).in_call(Call::Openat2);
        }
        self.bytes.copy_within(part.end..self.length, part.start + text.len());
        self.bytes[part.start..part.start + text.len()].copy_from_slice(text);
        self.length = length;
        Ok(())
    }

    /// Calls with a part of the path, ended where it ends.
    fn cut<T>(&mut self, part: Range<usize>, call: impl FnOnce(&CStr) -> T) -> T {
        let kept = std::mem::replace(&mut self.bytes[part.end], 0);
        // accepts: no error: the NUL was written just before.
        let answer = call(CStr::from_bytes_until_nul(&self.bytes[part.start..=part.end]).unwrap_or(c""));
        self.bytes[part.end] = kept;
        answer
    }

    /// The next component that begins at or behind `at`.
    fn next(&self, at: usize, end: usize) -> Option<Range<usize>> {
        let start = at + self.bytes[at..end].iter().position(|byte| *byte != b'/')?;
        let length = self.bytes[start..end].iter().position(|byte| *byte == b'/');
        Some(start..length.map_or(end, |length| start + length))
    }

    fn last(&self) -> Range<usize> {
        last(&self.bytes[..self.length])
    }

    fn is_dots(&self, part: &Range<usize>) -> bool {
        matches!(&self.bytes[part.clone()], b"." | b"..")
    }
}

/// The last component of a path, without slashes.
fn last(path: &[u8]) -> Range<usize> {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |byte| byte + 1);
    let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(path: &CStr) -> Way<'static> {
        Way::new(sys::working_directory(), 0, path).unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    fn text(way: &Way<'_>) -> String {
        String::from_utf8_lossy(&way.bytes[..way.length]).into_owned()
    }

    #[test]
    fn a_path_is_walked_by_component() {
        let way = way(c"/a//b/../c/");
        let (mut at, mut seen) = (0, Vec::new());
        while let Some(part) = way.next(at, way.length) {
            at = part.end;
            seen.push(String::from_utf8_lossy(&way.bytes[part]).into_owned());
        }
        assert_eq!(seen, ["a", "b", "..", "c"]);
        assert_eq!(&way.bytes[way.last()], b"c");
        for path in [&b""[..], b"/", b"//"] {
            assert!(last(path).is_empty(), "{path:?}");
        }
    }

    #[test]
    fn a_links_target_takes_its_place() {
        let mut path = way(c"a/link/rest");
        path.put(2..6, b"../longer/target").unwrap_or_else(|fault| panic!("{fault:?}"));
        assert_eq!(text(&path), "a/../longer/target/rest");
        path.put(0..18, b"/x").unwrap_or_else(|fault| panic!("{fault:?}"));
        assert_eq!(text(&path), "/x/rest");
        assert_eq!(path.cut(0..2, |text| text.to_owned()), c"/x".to_owned());
        assert_eq!(text(&path), "/x/rest");
    }

    #[test]
    fn a_path_may_be_as_long_as_the_kernel_takes_it() {
        let mut path = way(c"a");
        assert!(path.put(0..1, &[b'x'; LONGEST]).is_err_and(|fault| fault.is(Errno::ENAMETOOLONG)));
        assert_eq!(text(&path), "a");
        assert!(path.put(0..1, &[b'x'; LONGEST - 1]).is_ok());
    }
}
