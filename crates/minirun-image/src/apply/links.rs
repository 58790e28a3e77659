//! Symbolic links of a layer on the way to its entries: followed as in the container, where an absolute one begins at the root
//! of the layer and `..` does not leave it. Links of the layers beneath are not seen.

use std::os::fd::BorrowedFd;

use minirun_sys as sys;
use minirun_sys::Errno;

use super::cursor::open_path;
use crate::error::{Doing as _, ImageError, Result};
use crate::files::c_string;

/// How many symbolic links a path may lead through (path_resolution(7)).
const MOST: usize = 40;

/// Returns the path without links that leads where `names` do, of which directories may be missing.
///
/// # Errors
/// It leads through too many links, or too deep, or cannot be read.
pub(super) fn resolve(root: BorrowedFd<'_>, names: &[&[u8]], depth: usize) -> Result<Vec<Vec<u8>>> {
    let mut done: Vec<Vec<u8>> = Vec::new();
    // The last comes first.
    let mut left: Vec<Vec<u8>> = names.iter().rev().map(|name| name.to_vec()).collect();
    let mut links = 0;
    while let Some(next) = left.last() {
        if next == b".." {
            left.pop();
            done.pop();
            continue;
        }
        let start = done.len();
        while let Some(name) = left.pop_if(|name| name != b"..") {
            done.push(name);
        }
        if done.len() > depth {
            return Err(ImageError::limit(format!("more than {depth} directories inside each other")));
        }
        let Some(link) = first_link(root, &done, start)? else { continue };
        links += 1;
        if links > MOST {
            return Err(ImageError::of("follow the links on the way to it", Errno::ELOOP));
        }
        left.extend(done.drain(link + 1..).rev());
        let target = target(root, &done)?;
        done.pop();
        if target.starts_with(b"/") {
            done.clear();
        }
        let names = target.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
        left.extend(names.rev().map(<[u8]>::to_vec));
    }
    Ok(done)
}

/// Returns the index of the first name that is a link; those before `start` are not links. Only directories come before it,
/// so a binary search finds it.
fn first_link(root: BorrowedFd<'_>, names: &[Vec<u8>], start: usize) -> Result<Option<usize>> {
    let open = |count: usize| open_path(root, &names[..count].join(&b'/'), libc::O_PATH | libc::O_DIRECTORY);
    let opens = |count: usize| match open(count) {
        Ok(_) => Ok(true),
        Err(Errno::ELOOP | Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
        Err(errno) => Err(ImageError::of("open the directory that it is in", errno)),
    };
    if !matches!(open(names.len()), Err(Errno::ELOOP)) {
        // It is whole, or something is missing that will be made.
        return Ok(None);
    }
    // The first `good` names lead to a directory, the first `bad` do not.
    let (mut good, mut bad) = (start, names.len());
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        if opens(middle)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(Some(good))
}

/// Where the link with this path points.
fn target(root: BorrowedFd<'_>, names: &[Vec<u8>]) -> Result<Vec<u8>> {
    let Some((name, parents)) = names.split_last() else { return Err(ImageError::new("the root is not a link")) };
    let doing = || "read a link on the way to it";
    let parent = open_path(root, &parents.join(&b'/'), libc::O_PATH | libc::O_DIRECTORY).doing(doing)?;
    let mut target = [0; libc::PATH_MAX as usize];
    let length = sys::readlinkat(std::os::fd::AsFd::as_fd(&parent), &c_string(name)?, &mut target).doing(doing)?;
    Ok(target[..length].to_vec())
}
