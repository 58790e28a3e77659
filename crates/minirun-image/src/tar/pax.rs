//! Extension headers: the records of pax, and GNU's long names.

use std::ffi::CString;

use super::{header, sparse};
use crate::error::{ImageError, Result};

/// The prefix of extended attributes (star, GNU tar, Go).
const XATTR: &str = "SCHILY.xattr.";

/// The prefix of what is said of sparse files (GNU tar).
const SPARSE: &str = "GNU.sparse.";

/// How many bytes of extension headers one entry may have.
pub(super) const MOST_EXTENSION: u64 = 1 << 20;

/// How many extended attributes an entry may have; their names alone may not take more than 64 KiB (xattr(7)).
pub(super) const MOST_ATTRIBUTES: usize = 1024;

/// What extension headers say of the next entry.
#[derive(Debug, Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) modified: Option<(i64, u32)>,
    pub(super) attributes: Vec<(CString, Vec<u8>)>,
    pub(super) sparse: sparse::Records,
    /// Which kinds of headers were there: each may come once.
    seen: [bool; 3],
}

impl Extended {
    pub(super) fn is_empty(&self) -> bool {
        self.seen == [false; 3]
    }

    /// A GNU long path. What pax says counts more, whichever comes first.
    pub(super) fn long_path(&mut self, content: Vec<u8>) -> Result<()> {
        self.first(1)?;
        let path = terminated(content)?;
        self.path.get_or_insert(path);
        Ok(())
    }

    /// A GNU long link target.
    pub(super) fn long_link(&mut self, content: Vec<u8>) -> Result<()> {
        self.first(2)?;
        let link = terminated(content)?;
        self.link.get_or_insert(link);
        Ok(())
    }

    /// A header of pax records.
    pub(super) fn pax(&mut self, content: &[u8]) -> Result<()> {
        self.first(0)?;
        for record in Records(content) {
            let (key, value) = record?;
            self.record(key, value).map_err(|error| error.within(format!("pax record {key:?}")))?;
        }
        Ok(())
    }

    /// Readers differ in which of two headers of a kind counts.
    fn first(&mut self, kind: usize) -> Result<()> {
        if std::mem::replace(&mut self.seen[kind], true) {
            return Err(ImageError::new("two extension headers of a kind before one entry"));
        }
        Ok(())
    }

    fn record(&mut self, key: &str, value: &[u8]) -> Result<()> {
        match key {
            "path" => self.path = some_text(value)?,
            "linkpath" => self.link = some_text(value)?,
            "size" => self.size = some(value, |value| header::size(integer(value)?))?,
            "uid" => self.uid = some(value, |value| header::id(integer(value)?, "uid"))?,
            "gid" => self.gid = some(value, |value| header::id(integer(value)?, "gid"))?,
            "mtime" => self.modified = some(value, time)?,
            _ => {
                if let Some(key) = key.strip_prefix(SPARSE) {
                    return self.sparse.record(key, value);
                }
                if let Some(name) = key.strip_prefix(XATTR) {
                    let name = CString::new(name).map_err(|_| ImageError::new("a NUL byte in a name"))?;
                    self.attributes.retain(|(known, _)| *known != name);
                    if self.attributes.len() == MOST_ATTRIBUTES {
                        return Err(ImageError::limit(format!("more than {MOST_ATTRIBUTES} extended attributes")));
                    }
                    self.attributes.push((name, value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Global records that change entries are taken by some readers and not by others, so there must be none.
pub(super) fn check_global(content: &[u8]) -> Result<()> {
    for record in Records(content) {
        let (key, _) = record?;
        let changes = ["path", "linkpath", "size", "uid", "gid", "mtime"].contains(&key)
            || [SPARSE, XATTR].iter().any(|prefix| key.starts_with(prefix));
        if changes {
            return Err(ImageError::unsupported(format!("{key:?} in a global pax header is not supported")));
        }
    }
    Ok(())
}

/// Records: `LENGTH KEY=VALUE\n`, where the length is that of all of it.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a str, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = self.take();
        if record.is_none() {
            self.0 = &[];
        }
        Some(record.ok_or_else(|| ImageError::new("malformed pax record")))
    }
}

impl<'a> Records<'a> {
    fn take(&mut self) -> Option<(&'a str, &'a [u8])> {
        let blank = self.0.iter().take(8).position(|byte| *byte == b' ')?;
        let length = std::str::from_utf8(&self.0[..blank]).ok()?;
        if !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let length: usize = length.parse().ok()?;
        let record = self.0.get(blank + 1..length)?;
        self.0 = &self.0[length..];
        let (b'\n', record) = record.split_last()? else { return None };
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let key = std::str::from_utf8(&record[..equals]).ok().filter(|key| !key.is_empty())?;
        Some((key, &record[equals + 1..]))
    }
}

/// An empty value takes back what was said before.
fn some<T>(value: &[u8], read: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
    if value.is_empty() { Ok(None) } else { read(value).map(Some) }
}

fn some_text(value: &[u8]) -> Result<Option<Vec<u8>>> {
    some(value, |value| match value.contains(&0) {
        true => Err(ImageError::new("a NUL byte in a path")),
        false => Ok(value.to_vec()),
    })
}

/// A GNU long name ends with one NUL, which some writers leave out.
fn terminated(mut content: Vec<u8>) -> Result<Vec<u8>> {
    if content.last() == Some(&0) {
        content.pop();
    }
    if content.is_empty() || content.contains(&0) {
        return Err(ImageError::new("malformed long name"));
    }
    Ok(content)
}

fn integer(value: &[u8]) -> Result<i64> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| ImageError::new("malformed number"))
}

/// Seconds with a fraction, of which nanoseconds are kept; a negative time is a fraction of a second later than its whole
/// seconds, as the kernel counts.
fn time(value: &[u8]) -> Result<(i64, u32)> {
    let (whole, fraction) = match value.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &[][..]),
    };
    let seconds = integer(whole)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(ImageError::new("malformed time"));
    }
    let digits = fraction.iter().map(|byte| u32::from(byte - b'0')).chain(std::iter::repeat(0)).take(9);
    let nanoseconds = digits.fold(0, |number, digit| number * 10 + digit);
    if whole.starts_with(b"-") && nanoseconds > 0 {
        return Ok((seconds.saturating_sub(1), 1_000_000_000 - nanoseconds));
    }
    Ok((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        for (text, expected) in [
            ("1700000000", (1_700_000_000, 0)),
            ("1.5", (1, 500_000_000)),
            ("1.0000000019", (1, 1)),
            ("-1.25", (-2, 750_000_000)),
            ("-0.5", (-1, 500_000_000)),
            ("-3", (-3, 0)),
        ] {
            assert_eq!(time(text.as_bytes()).unwrap(), expected, "{text}");
        }
        for text in ["", ".5", "1.x", "1e9", "+1", "--1", "9999999999999999999"] {
            time(text.as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn records_have_the_length_that_they_say() {
        let read = |text: &[u8]| Extended::default().pax(text).map_err(|error| error.to_string());
        read(b"11 path=ab\n13 comment=x\n").unwrap();
        for text in [
            &b"12 path=ab\n"[..],
            b"10 path=ab\n",
            b"11 path=ab",
            b"11path=ab\n\n",
            b"0 \n",
            b"3 \n",
            b"6 abc\n",
            b"5 =x\n",
            b"+11 path=a\n",
            b"99999999999999999999 path=ab\n",
            b"14 size=-10000\n",
            b"12 path=a\0b\n",
        ] {
            read(text).unwrap_err();
        }
    }
}
