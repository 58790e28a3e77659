//! A header block of 512 bytes (POSIX.1-2008, pax, "ustar Interchange Format"; GNU tar's "Basic Tar Format").

use std::ops::Range;

use super::{Entry, Kind, Part};
use crate::error::{ImageError, Result};

/// Everything in an archive comes in multiples of this.
pub(crate) const BLOCK: usize = 512;

const PATH: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MODIFIED: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;
/// Of GNU tar's sparse files: four parts, whether there are more, the size of the file; and 21 parts in a block of more.
const OLD_MAP: Range<usize> = 386..482;
const MORE: usize = 482;
const REAL_SIZE: Range<usize> = 483..495;
const MORE_MAP: Range<usize> = 0..504;

/// What a header has room for: bytes of a path or link, and numbers of its shorter and longer fields.
pub(super) const MOST_TEXT: usize = 100;
pub(super) const MOST_SHORT: u64 = 0o7777777;
pub(super) const MOST_LONG: u64 = 0o77777777777;

/// The largest numbers of devices: 12 and 20 bits (linux/kdev_t.h).
const MOST_MAJOR: u32 = (1 << 12) - 1;
const MOST_MINOR: u32 = (1 << 20) - 1;

/// What a header is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Entry(Kind),
    /// GNU: a file with a map of its parts.
    Sparse,
    /// Records about the next entry.
    Pax,
    /// Records about all entries from here on.
    GlobalPax,
    /// GNU: the path of the next entry.
    LongPath,
    /// GNU: the target of the next entry.
    LongLink,
}

/// Which fields a header has, as its magic number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Posix,
    Gnu,
    /// From before both.
    Old,
}

/// A header block.
#[derive(Debug)]
pub(super) struct Block([u8; BLOCK]);

impl Block {
    /// Takes 512 bytes; none if it is another number of them.
    pub(super) fn new(bytes: &[u8]) -> Option<Block> {
        bytes.try_into().ok().map(Block)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Compares the checksum: of unsigned bytes, or as some old programs have it, of signed ones.
    pub(super) fn check(&self) -> Result<()> {
        let written = self.octal(CHECKSUM, "checksum")?;
        let byte = |(place, byte): (usize, &u8)| if CHECKSUM.contains(&place) { b' ' } else { *byte };
        let unsigned: u64 = self.0.iter().enumerate().map(byte).map(u64::from).sum();
        let signed: i64 = self.0.iter().enumerate().map(byte).map(|byte| i64::from(byte as i8)).sum();
        if written != unsigned && i64::try_from(written) != Ok(signed) {
            return Err(ImageError::new("this is not a tar header: its checksum is wrong"));
        }
        self.form().map(drop)
    }

    fn form(&self) -> Result<Form> {
        match &self.0[MAGIC] {
            b"ustar  \0" => Ok(Form::Gnu),
            magic if magic.starts_with(b"ustar\0") => Ok(Form::Posix),
            magic if magic.starts_with(b"ustar") => {
                Err(ImageError::new("a magic number that is neither POSIX's nor GNU's"))
            }
            _ => Ok(Form::Old),
        }
    }

    pub(super) fn kind(&self) -> Result<Type> {
        Ok(match self.0[TYPE] {
            // 7 is a file that some systems keep in one piece.
            b'0' | b'\0' | b'7' => Type::Entry(Kind::File),
            b'1' => Type::Entry(Kind::Link),
            b'2' => Type::Entry(Kind::Symlink),
            b'3' => Type::Entry(Kind::Character),
            b'4' => Type::Entry(Kind::Block),
            b'5' => Type::Entry(Kind::Directory),
            b'6' => Type::Entry(Kind::Fifo),
            b'x' => Type::Pax,
            b'g' => Type::GlobalPax,
            b'L' => Type::LongPath,
            b'K' => Type::LongLink,
            b'S' => Type::Sparse,
            other => {
                return Err(ImageError::unsupported(format!(
                    "entries of type {:?} are not supported",
                    char::from(other)
                )));
            }
        })
    }

    /// Whether it is from before POSIX, when a directory was known by its name.
    pub(super) fn is_old(&self) -> bool {
        self.0[TYPE] == b'\0' || self.0[TYPE] == b'0' && !self.0[MAGIC].starts_with(b"ustar")
    }

    pub(super) fn path(&self) -> Result<Vec<u8>> {
        let name = text(&self.0[PATH]);
        // GNU tar keeps other things where POSIX has the beginning of long paths.
        let prefix = if self.form()? == Form::Posix { text(&self.0[PREFIX]) } else { &[] };
        Ok(if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() })
    }

    pub(super) fn link(&self) -> Result<Vec<u8>> {
        Ok(text(&self.0[LINK]).to_vec())
    }

    /// Permission bits; some programs write those of the type as well.
    pub(super) fn mode(&self) -> Result<u32> {
        Ok((self.number(MODE, "mode")? & 0o7777) as u32)
    }

    pub(super) fn uid(&self) -> Result<u32> {
        id(self.number(UID, "uid")?, "uid")
    }

    pub(super) fn gid(&self) -> Result<u32> {
        id(self.number(GID, "gid")?, "gid")
    }

    pub(super) fn size(&self) -> Result<u64> {
        size(self.number(SIZE, "size")?)
    }

    pub(super) fn modified(&self) -> Result<(i64, u32)> {
        Ok((self.number(MODIFIED, "mtime")?, 0))
    }

    pub(super) fn device(&self) -> Result<(u32, u32)> {
        if self.form()? == Form::Old {
            return Err(ImageError::new("a device in a header that has no room for its number"));
        }
        // The kernel would take the lower bits of a larger number, which is that of another device.
        let number = |field: Range<usize>, most: u32, name: &str| match u32::try_from(self.number(field, name)?) {
            Ok(number) if number <= most => Ok(number),
            _ => Err(ImageError::new(format!("{name} is out of range (0 to {most})"))),
        };
        Ok((number(MAJOR, MOST_MAJOR, "device major number")?, number(MINOR, MOST_MINOR, "device minor number")?))
    }

    /// Of a sparse file of GNU tar's own form: its size, the parts that the header names, and whether blocks with more follow.
    pub(super) fn old_map(&self) -> Result<(u64, Vec<Part>, bool)> {
        if self.form()? != Form::Gnu {
            return Err(ImageError::new("a sparse file in a header that has no room for its map"));
        }
        let mut parts = Vec::new();
        self.parts(OLD_MAP, &mut parts)?;
        Ok((size(self.number(REAL_SIZE, "size of a sparse file")?)?, parts, self.0[MORE] != 0))
    }

    /// Of a block behind such a header: adds its parts, and tells whether another one follows.
    pub(super) fn more_of_map(&self, parts: &mut Vec<Part>) -> Result<bool> {
        self.parts(MORE_MAP, parts)?;
        Ok(self.0[MORE_MAP.end] != 0)
    }

    fn parts(&self, map: Range<usize>, parts: &mut Vec<Part>) -> Result<()> {
        for at in map.step_by(24).take_while(|at| self.0[*at] != 0) {
            let number = |at: usize| size(self.number(at..at + 12, "part of a sparse file")?);
            parts.push(Part { offset: number(at)?, length: number(at + 12)? });
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A number in octal digits, or in base 256 if its first bit is set (GNU, and star).
    fn number(&self, field: Range<usize>, name: &str) -> Result<i64> {
        let bytes = &self.0[field.clone()];
        let out_of_range = || ImageError::new(format!("{name} is out of range"));
        if bytes[0] & 0x80 == 0 {
            return i64::try_from(self.octal(field, name)?).map_err(|_| out_of_range());
        }
        // The first byte is 0x80, or 0xff for a negative number; the other bits of it count as well.
        let first = if bytes[0] & 0x40 != 0 { bytes[0] } else { bytes[0] & 0x7f };
        let mut number = i64::from(first as i8);
        for byte in &bytes[1..] {
            number = number
                .checked_mul(256)
                .and_then(|number| number.checked_add(i64::from(*byte)))
                .ok_or_else(out_of_range)?;
        }
        Ok(number)
    }

    /// Octal digits, with blanks before them and blanks or NULs behind; nothing at all is 0.
    fn octal(&self, field: Range<usize>, name: &str) -> Result<u64> {
        let bytes = &self.0[field];
        let malformed = || ImageError::new(format!("malformed {name}"));
        let blank = |byte: &u8| matches!(byte, b' ' | b'\0');
        let start = bytes.iter().position(|byte| *byte != b' ').unwrap_or(bytes.len());
        let digits = bytes[start..].iter().position(blank).map_or(&bytes[start..], |end| &bytes[start..start + end]);
        if !bytes[start + digits.len()..].iter().all(blank) {
            return Err(malformed());
        }
        digits
            .iter()
            .try_fold(0u64, |number, byte| match byte {
                b'0'..=b'7' => number.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
                _ => None,
            })
            .ok_or_else(malformed)
    }
}

/// The header of an entry of a type. What it has no room for is cut off, and stands in a header before it.
pub(super) fn block(entry: &Entry, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |field: Range<usize>, text: &[u8]| {
        let length = text.len().min(field.len());
        block[field][..length].copy_from_slice(&text[..length]);
    };
    put(PATH, &entry.path);
    put(LINK, &entry.link);
    let short = |number: u32| format!("{:07o}", u64::from(number).min(MOST_SHORT)).into_bytes();
    let long = |number: u64| format!("{:011o}", number.min(MOST_LONG)).into_bytes();
    for (field, number) in [(MODE, entry.mode), (UID, entry.uid), (GID, entry.gid)] {
        put(field, &short(number));
    }
    put(SIZE, &long(entry.size));
    put(MODIFIED, &long(u64::try_from(entry.modified.0).unwrap_or(0)));
    put(MAGIC, b"ustar\x0000");
    let (major, minor) = entry.device;
    put(MAJOR, &short(major));
    put(MINOR, &short(minor));
    put(TYPE..TYPE + 1, &[kind]);
    put(CHECKSUM, &[b' '; 8]);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[CHECKSUM][..7].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

/// A text that ends with its field or before the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..end]
}

/// An id; the kernel has no use for the last one.
pub(super) fn id(number: i64, name: &str) -> Result<u32> {
    match u32::try_from(number) {
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(ImageError::new(format!("{name} {number} is out of range"))),
    }
}

/// A length that files can have.
pub(super) fn size(number: i64) -> Result<u64> {
    // Room for what stands around it, so that positions can be added up.
    const MOST: u64 = i64::MAX as u64 / 2;
    match u64::try_from(number) {
        Ok(size) if size <= MOST => Ok(size),
        _ => Err(ImageError::new(format!("size {number} is out of range"))),
    }
}
