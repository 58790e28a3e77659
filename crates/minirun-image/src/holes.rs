//! Where a file has data, and where it has holes.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt as _;

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::unistd::{Whence, lseek};

use crate::tar::{BLOCK as TAR_BLOCK, Part};

/// How long a hole must be.
const HOLE: u64 = 4096;
/// How many parts a file is written in; more are accepted.
const MOST_PARTS: usize = 1 << 16;
/// Parts begin and end with blocks of an archive.
const BLOCK: u64 = TAR_BLOCK as u64;
/// Reads the parts of a sparse file one after the other.
pub(crate) struct Parts<'a> {
    file: &'a File,
    left: std::vec::IntoIter<Part>,
    part: Part,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(file: &'a File, parts: Vec<Part>) -> Parts<'a> {
        Parts { file, left: parts.into_iter(), part: Part { offset: 0, length: 0 } }
    }
}

impl Read for Parts<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.part.length == 0 {
            match self.left.next() {
                Some(part) => self.part = part,
                None => return Ok(0),
            }
        }
        let most = usize::try_from(self.part.length).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.file.read_at(&mut buffer[..most], self.part.offset)?;
        self.part = Part { offset: self.part.offset + length as u64, length: self.part.length - length as u64 };
        Ok(length)
    }
}

/// The parts of a file that are no holes, from block to block. Of a file with too many the shorter holes are left out.
pub(crate) fn parts(file: &File, size: u64) -> sys::Result<Vec<Part>> {
    let data = extents(file, size)?;
    let mut shortest = HOLE;
    loop {
        let mut parts: Vec<Part> = Vec::new();
        for (start, end) in &data {
            match parts.last_mut() {
                Some(last) if start - (last.offset + last.length) < shortest => last.length = end - last.offset,
                _ => parts.push(Part { offset: *start, length: end - start }),
            }
        }
        if parts.len() <= MOST_PARTS {
            return Ok(parts);
        }
        shortest *= 2;
    }
}

/// Where data begins and ends (lseek(2)), in whole blocks but for the end of the file.
pub(crate) fn extents(file: &File, size: u64) -> sys::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match lseek(file, at as i64, Whence::SeekData) {
            // There is nothing but a hole.
            Err(Errno::ENXIO) => break,
            answer => answer? as u64,
        };
        let end = lseek(file, start as i64, Whence::SeekHole)? as u64;
        let (start, end) = (start / BLOCK * BLOCK, end.next_multiple_of(BLOCK).min(size));
        if start >= end {
            break;
        }
        found.push((start, end));
        at = end;
    }
    lseek(file, 0, Whence::SeekSet)?;
    Ok(found)
}
