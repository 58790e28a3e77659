//! Sparse files: which parts of a file are in the archive. There are four forms, all of GNU tar: one in a header of its own
//! type, and three in records of pax (0.0, 0.1 and 1.0; GNU tar's manual, "Storing Sparse Files"). 1.0 is the one that is
//! written.

use super::header;
use crate::error::{ImageError, Result};

/// The most parts that a file may have in an archive.
pub(super) const MOST: usize = 1 << 18;
/// Parts that are written begin and end with blocks, so that readers agree where the next one is.
pub(super) const UNIT: u64 = 512;

/// A part of a file that is in the archive; what is between two of them is zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// What records of pax say about a sparse file.
#[derive(Debug, Default)]
pub(super) struct Records {
    version: (Option<u64>, Option<u64>),
    size: Option<u64>,
    count: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    /// 0.0: an offset whose length comes next, and the parts so far.
    offset: Option<u64>,
    pairs: Vec<Part>,
    /// 0.1: all of them in one record.
    map: Option<Vec<Part>>,
    any: bool,
}

/// Where the map of a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Map {
    Known(Vec<Part>),
    /// At the beginning of the content.
    InContent,
}

impl Records {
    pub(super) fn record(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.any = true;
        match key {
            "major" => self.version.0 = Some(number(value)?),
            "minor" => self.version.1 = Some(number(value)?),
            "size" | "realsize" => {
                let size = number(value)?;
                if self.size.replace(size).is_some_and(|known| known != size) {
                    return Err(ImageError::new("two different sizes"));
                }
            }
            "numblocks" => self.count = Some(number(value)?),
            "name" if value.is_empty() || value.contains(&0) => return Err(ImageError::new("malformed name")),
            "name" => self.name = Some(value.to_vec()),
            "offset" => {
                if self.offset.replace(number(value)?).is_some() {
                    return Err(ImageError::new("an offset without a length"));
                }
            }
            "numbytes" => {
                let offset = self.offset.take().ok_or_else(|| ImageError::new("a length without an offset"))?;
                self.pairs.push(Part { offset, length: number(value)? });
            }
            "map" => {
                let numbers: Vec<u64> = value.split(|byte| *byte == b',').map(number).collect::<Result<_>>()?;
                self.map = Some(pairs(&numbers)?);
            }
            _ => return Err(ImageError::new("not a record of sparse files")),
        }
        Ok(())
    }

    /// The size of the file and its map; none if it is not sparse.
    pub(super) fn map(self) -> Result<Option<(u64, Map)>> {
        if !self.any {
            return Ok(None);
        }
        let size = self.size.ok_or_else(|| ImageError::new("a sparse file without its size"))?;
        let parts = match (self.version, self.map) {
            ((Some(1), Some(0)), None) if self.pairs.is_empty() && self.offset.is_none() => {
                return Ok(Some((size, Map::InContent)));
            }
            ((None, None) | (Some(0), Some(0 | 1)), map) if self.offset.is_none() => match map {
                Some(map) if self.pairs.is_empty() => map,
                None => self.pairs,
                Some(_) => return Err(ImageError::new("two maps of a sparse file")),
            },
            _ => return Err(ImageError::unsupported("sparse files of this form are not supported")),
        };
        if self.count.is_some_and(|count| count != parts.len() as u64) {
            return Err(ImageError::new("a map of a sparse file with another number of parts than it says"));
        }
        Ok(Some((size, Map::Known(parts))))
    }
}

/// How much of a map was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Whole(Vec<Part>),
    /// It has this many lines.
    Needs(usize),
}

/// The numbers at the beginning of the content, each on a line: how many parts, and the offset and length of each.
pub(super) fn map_of(text: &[u8]) -> Result<Read> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    let count = lines.next().ok_or_else(|| ImageError::new("malformed map of a sparse file"))?;
    let count = usize::try_from(number(count)?).ok().filter(|count| *count <= MOST).ok_or_else(too_many)?;
    let numbers: Vec<u64> = lines.take(2 * count).map(number).collect::<Result<_>>()?;
    if numbers.len() < 2 * count { Ok(Read::Needs(1 + 2 * count)) } else { pairs(&numbers).map(Read::Whole) }
}

/// Whether a text of this length can be a map: each number has up to 20 digits and a line's end.
pub(super) fn map_may_have(length: usize) -> bool {
    length <= 21 * (2 * MOST + 1) + UNIT as usize
}

fn pairs(numbers: &[u64]) -> Result<Vec<Part>> {
    let (pairs, rest) = numbers.as_chunks();
    if !rest.is_empty() {
        return Err(ImageError::new("malformed map of a sparse file"));
    }
    Ok(pairs.iter().map(|[offset, length]| Part { offset: *offset, length: *length }).collect())
}

/// Checks a map against the size of the file and the bytes that are there for it, and leaves out empty parts.
pub(super) fn checked(mut parts: Vec<Part>, size: u64, stored: u64) -> Result<Vec<Part>> {
    if parts.len() > MOST {
        return Err(too_many());
    }
    let mut end = 0;
    for part in &parts {
        let next = part.offset.checked_add(part.length).filter(|next| *next <= size);
        end = next
            .filter(|_| part.offset >= end)
            .ok_or_else(|| ImageError::new("a sparse file with parts out of order"))?;
    }
    parts.retain(|part| part.length > 0);
    if parts.iter().map(|part| part.length).sum::<u64>() != stored {
        return Err(ImageError::new("a sparse file whose parts are not as long as its content"));
    }
    // GNU tar begins each with a block of the archive, and others where the one before ends.
    let whole = |part: &Part| part.length.is_multiple_of(UNIT);
    if parts.split_last().is_some_and(|(_, others)| !others.iter().all(whole)) {
        return Err(ImageError::new("a sparse file with a part that ends within a block"));
    }
    Ok(parts)
}

/// The map of a file of this size as it stands before the content in the form 1.0.
pub(super) fn text(parts: &[Part], size: u64) -> Vec<u8> {
    // GNU tar makes a file as long as its last part reaches, so a hole at the end needs an empty one behind it.
    let end = parts.last().map_or(0, |part| part.offset + part.length);
    let last = (end < size).then_some(Part { offset: size, length: 0 });
    let mut text = format!("{}\n", parts.len() + usize::from(last.is_some())).into_bytes();
    for part in parts.iter().chain(&last) {
        text.extend_from_slice(format!("{}\n{}\n", part.offset, part.length).as_bytes());
    }
    text.resize(text.len().next_multiple_of(UNIT as usize), 0);
    text
}

fn too_many() -> ImageError {
    ImageError::limit(format!("a sparse file with more than {MOST} parts"))
}

fn number(text: &[u8]) -> Result<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(ImageError::new("malformed number of a sparse file"));
    }
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    number.map_or_else(|| Err(ImageError::new("a number of a sparse file is out of range")), header::size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(parts: &[(u64, u64)]) -> Vec<Part> {
        parts.iter().map(|(offset, length)| Part { offset: *offset, length: *length }).collect()
    }

    fn read(records: &[(&str, &str)]) -> std::result::Result<Option<(u64, Map)>, String> {
        let mut all = Records::default();
        for (key, value) in records {
            all.record(key, value.as_bytes()).map_err(|error| error.to_string())?;
        }
        all.map().map_err(|error| error.to_string())
    }

    #[test]
    fn each_form_of_pax_is_read() {
        let map = || Map::Known(parts(&[(512, 512), (4096, 0)]));
        let pairs = [("offset", "512"), ("numbytes", "512"), ("offset", "4096"), ("numbytes", "0")];
        let old = [&[("size", "4096"), ("numblocks", "2")][..], &pairs].concat();
        assert_eq!(read(&old).unwrap(), Some((4096, map())));
        assert_eq!(read(&[("size", "4096"), ("map", "512,512,4096,0"), ("name", "a")]).unwrap(), Some((4096, map())));
        let new = [("major", "1"), ("minor", "0"), ("name", "a"), ("realsize", "4096")];
        assert_eq!(read(&new).unwrap(), Some((4096, Map::InContent)));
        assert_eq!(read(&[]).unwrap(), None);
    }

    #[test]
    fn what_readers_would_read_differently_is_refused() {
        for records in [
            &[("map", "0,512")][..],
            &[("size", "1"), ("realsize", "2")],
            &[("size", "1"), ("offset", "0")],
            &[("size", "1"), ("numbytes", "0")],
            &[("size", "1"), ("offset", "0"), ("offset", "1")],
            &[("size", "1"), ("map", "0,1,2")],
            &[("size", "1"), ("map", "0,-1")],
            &[("size", "1"), ("map", "")],
            &[("size", "1"), ("map", "0,1"), ("offset", "0"), ("numbytes", "1")],
            &[("size", "1"), ("map", "0,1"), ("numblocks", "2")],
            &[("size", "1"), ("major", "1")],
            &[("size", "1"), ("major", "2"), ("minor", "0")],
            &[("size", "1"), ("major", "1"), ("minor", "0"), ("map", "0,1")],
            &[("size", "1"), ("name", "")],
            &[("size", "1"), ("other", "1")],
            &[("size", "99999999999999999999")],
        ] {
            assert!(read(records).is_err(), "{records:?}");
        }
    }

    #[test]
    fn a_map_fits_its_file() {
        assert_eq!(checked(parts(&[(0, 512), (1024, 100), (2000, 0)]), 2000, 612).unwrap().len(), 2);
        for (map, size, stored) in [
            (&[(0, 512)][..], 511, 512),
            (&[(512, 512), (0, 512)], 2000, 1024),
            (&[(0, 512), (256, 512)], 2000, 1024),
            (&[(0, 512)], 2000, 511),
            (&[(0, 100), (512, 512)], 2000, 612),
            (&[(u64::MAX, 2)], 2000, 2),
        ] {
            assert!(checked(parts(map), size, stored).is_err(), "{map:?}");
        }
    }

    #[test]
    fn a_map_in_the_content_is_read_as_it_was_written() {
        let map = parts(&[(0, 512), (1 << 40, 4096)]);
        assert_eq!(map_of(&text(&map, (1 << 40) + 4096)).unwrap(), Read::Whole(map.clone()));
        let longer = [&map[..], &parts(&[(1 << 41, 0)])].concat();
        assert_eq!(map_of(&text(&map, 1 << 41)).unwrap(), Read::Whole(longer));
        assert_eq!(map_of(b"2\n0\n5").unwrap(), Read::Needs(5));
        for wrong in [&b"x\n"[..], b"99999999\n", b"1\n-1\n0\n", &[b'1'; 64]] {
            assert!(map_of(wrong).is_err());
        }
    }
}
