//! Writes tar archives that [`Reader`](super::Reader) reads: ustar, and pax where that has no room. The same entries make the
//! same bytes.

use std::io::{Read, Write};

use super::header::{self, BLOCK};
use super::pax::{MOST_ATTRIBUTES, MOST_EXTENSION};
use super::{Entry, Kind, sparse};
use crate::error::{Doing as _, ImageError, Result};

/// The name of a sparse file for readers that ignore the record with the real one.
const SPARSE_PATH: &[u8] = b"GNUSparseFile.0/file";
/// How many bytes of a file are read at a time.
const CHUNK: usize = 256 << 10;

/// Writes an archive.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Writer<W> {
        Writer { out, buffer: vec![0; CHUNK] }
    }

    /// Writes an entry, and of a file as many bytes of `content` as the entry says.
    ///
    /// # Errors
    /// It cannot be written, the content cannot be read, or there is less of it.
    pub fn entry(&mut self, entry: &Entry, mut content: impl Read) -> Result<()> {
        self.header(entry)?;
        let mut left = entry.stored();
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
            match content.read(&mut self.buffer[..most]) {
                Ok(0) => return Err(ImageError::new("the file became shorter while it was read")),
                Ok(length) => {
                    self.out.write_all(&self.buffer[..length]).doing(|| "write the archive")?;
                    left -= length as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).doing(|| "read"),
            }
        }
        self.pad(entry.stored())
    }

    /// Writes the headers of an entry; whoever writes its content, and [`Writer::pad`]s it, does so through `out`.
    pub(crate) fn header(&mut self, entry: &Entry) -> Result<()> {
        let map = entry.parts.as_deref().map(|parts| sparse::text(parts, entry.size)).unwrap_or_default();
        let size = entry.stored() + map.len() as u64;
        let records = records(entry, size);
        if !records.is_empty() {
            if records.len() as u64 > MOST_EXTENSION || entry.attributes.len() > MOST_ATTRIBUTES {
                return Err(ImageError::limit("its attributes are more than readers accept"));
            }
            let size = records.len() as u64;
            let about = Entry { path: b"pax".to_vec(), size, mode: 0o644, ..Entry::of(Kind::File) };
            self.block(&about, b'x')?;
            self.out.write_all(&records).doing(|| "write the archive")?;
            self.pad(size)?;
        }
        match entry.parts {
            None => self.block(entry, letter(entry.kind)),
            Some(_) => {
                // A reader without support for sparse files unpacks the map and the parts under this name.
                let path = SPARSE_PATH.to_vec();
                self.block(&Entry { path, size, parts: None, ..entry.clone() }, letter(entry.kind))?;
                self.out.write_all(&map).doing(|| "write the archive")
            }
        }
    }

    /// Writes the zeros behind so many bytes.
    pub(crate) fn pad(&mut self, size: u64) -> Result<()> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        self.out.write_all(&[0; BLOCK][..padding as usize]).doing(|| "write the archive")
    }

    /// Where it writes to.
    pub(crate) fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> Result<W> {
        self.end()?;
        Ok(self.out)
    }

    /// Writes the end of the archive.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.out.write_all(&[0; 2 * BLOCK]).doing(|| "write the archive")
    }

    fn block(&mut self, entry: &Entry, kind: u8) -> Result<()> {
        self.out.write_all(&header::block(entry, kind)).doing(|| "write the archive")
    }
}

/// The one header of a regular file that needs no other.
pub(crate) fn header_of(entry: &Entry) -> [u8; BLOCK] {
    header::block(entry, letter(entry.kind))
}

fn letter(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::Link => b'1',
        Kind::Symlink => b'2',
        Kind::Character => b'3',
        Kind::Block => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// The records of what a header has no room for. `size` is that of the content, with the map of a sparse file.
fn records(entry: &Entry, size: u64) -> Vec<u8> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| record(&mut records, key, value);
    let number = |number: u64| number.to_string().into_bytes();
    if entry.parts.is_some() {
        let real = number(entry.size);
        for (key, value) in [("major", &b"1"[..]), ("minor", b"0"), ("name", &entry.path), ("realsize", &real)] {
            add(&[b"GNU.sparse.", key.as_bytes()].concat(), value);
        }
    }
    let path = if entry.parts.is_some() { &Vec::new() } else { &entry.path };
    for (key, text) in [("path", path), ("linkpath", &entry.link)] {
        if text.len() > header::MOST_TEXT || !text.is_ascii() {
            add(key.as_bytes(), text);
        }
    }
    if size > header::MOST_LONG {
        add(b"size", &number(size));
    }
    for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
        if u64::from(id) > header::MOST_SHORT {
            add(key.as_bytes(), &number(id.into()));
        }
    }
    let (seconds, nanoseconds) = entry.modified;
    if nanoseconds != 0 || !(0..=header::MOST_LONG as i64).contains(&seconds) {
        add(b"mtime", time(seconds, nanoseconds).as_bytes());
    }
    for (name, value) in &entry.attributes {
        add(&[b"SCHILY.xattr.", name.to_bytes()].concat(), value);
    }
    records
}

/// `LENGTH KEY=VALUE\n`, where the length is that of all of it.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.extend_from_slice(&[b" ", key, b"=", value, b"\n"].concat());
}

/// Seconds with a fraction, without zeros at its end. What is before 1970 has its fraction counted from the other side.
fn time(seconds: i64, nanoseconds: u32) -> String {
    let (sign, whole, fraction) = match seconds {
        ..0 if nanoseconds > 0 => ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanoseconds),
        ..0 => ("-", seconds.unsigned_abs(), 0),
        _ => ("", seconds.unsigned_abs(), nanoseconds),
    };
    let text = format!("{sign}{whole}.{fraction:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;
    use crate::tar::{Part, Reader};

    #[test]
    fn what_is_written_is_read() {
        let long = |letter: &str| letter.repeat(300).into_bytes();
        let attributes = vec![(CString::new("user.a b").unwrap(), b"\0\n=".to_vec())];
        let entries = [
            Entry { path: b"a".to_vec(), size: 3, mode: 0o4755, uid: 1, gid: 2, ..Entry::of(Kind::File) },
            Entry { path: long("p"), link: long("l"), mode: 0o777, ..Entry::of(Kind::Symlink) },
            Entry { path: "\u{e9}/".into(), mode: 0o755, modified: (-2, 750_000_000), ..Entry::of(Kind::Directory) },
            Entry { path: b"b".to_vec(), modified: (1, 500), attributes, ..Entry::of(Kind::File) },
            Entry {
                path: long("s"),
                size: 1 << 40,
                parts: Some(vec![Part { offset: 512, length: 3 }]),
                ..Entry::of(Kind::File)
            },
            Entry { path: b"hole".to_vec(), size: 4096, parts: Some(Vec::new()), ..Entry::of(Kind::File) },
            Entry { path: b"c".to_vec(), uid: 3_000_000, gid: u32::MAX - 1, ..Entry::of(Kind::Fifo) },
            Entry { path: b"d".to_vec(), device: (259, 1_048_575), ..Entry::of(Kind::Block) },
            Entry { path: b"e".to_vec(), link: b"a".to_vec(), modified: (1 << 34, 0), ..Entry::of(Kind::Link) },
        ];
        let mut writer = Writer::new(Vec::new());
        for entry in &entries {
            writer.entry(entry, &b"abc"[..]).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::new(&bytes[..]);
        for entry in entries {
            let read = reader.next_entry().unwrap().unwrap();
            assert_eq!(read, Entry { offset: read.offset, ..entry });
        }
        assert_eq!(reader.next_entry().unwrap(), None);
    }

    #[test]
    fn times_have_no_more_digits_than_they_need() {
        for (seconds, nanoseconds, text) in
            [(0, 0, "0"), (10, 0, "10"), (1, 500_000_000, "1.5"), (-2, 750_000_000, "-1.25"), (-1, 500_000_000, "-0.5")]
        {
            assert_eq!(time(seconds, nanoseconds), text);
        }
    }
}
