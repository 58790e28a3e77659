//! The reader: entries one after the other, and the content of each.

use std::io::{Read, Sink, Write};

use super::header::{BLOCK, Block, Type};
use super::pax::{self, Extended, MOST_EXTENSION};
use super::sparse::{self, Map, Read as MapRead};
use super::{Entry, Kind, Part};
use crate::error::{Doing as _, ImageError, Result};

/// How many bytes are asked for at a time.
const BUFFER: usize = 256 << 10;

/// Reads an archive from its beginning to its end. All of it but the content of files goes on to `kept`, so that with the
/// files it can be put together again, byte by byte.
#[derive(Debug)]
pub struct Reader<R, K = Sink> {
    input: R,
    kept: K,
    /// Whether the input is the output of another reader.
    bare: bool,
    /// Whether the current content is passed on too.
    keeping: bool,
    buffer: Vec<u8>,
    /// What of the buffer is not used yet.
    start: usize,
    end: usize,
    /// Where `start` is in the archive.
    position: u64,
    /// What is left of the current entry's content, and of the zeros behind it.
    content: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    /// Reads from `input`, which is read to its very end.
    pub fn new(input: R) -> Reader<R> {
        Reader::keeping(input, std::io::sink())
    }
}

impl<R: Read, K: Write> Reader<R, K> {
    /// The same, and writes what is no content of files to `kept`.
    pub fn keeping(input: R, kept: K) -> Reader<R, K> {
        let (start, end, position, content, padding) = (0, 0, 0, 0, 0);
        let buffer = vec![0; BUFFER];
        Reader { input, kept, bare: false, keeping: false, buffer, start, end, position, content, padding }
    }

    /// Reads what another reader has kept, and writes it to `kept`. The content of files is missing: whoever adds it there
    /// after each entry puts the archive together.
    pub fn of_kept(input: R, kept: K) -> Reader<R, K> {
        Reader { bare: true, ..Reader::keeping(input, kept) }
    }

    /// Where that is written to.
    pub fn kept(&mut self) -> &mut K {
        &mut self.kept
    }

    /// The same, when nothing more is read.
    pub fn into_kept(self) -> K {
        self.kept
    }

    /// The next entry; what is left of the content of the one before is skipped. None is the end of the archive, and then
    /// everything behind it was zeros.
    ///
    /// # Errors
    /// It cannot be read, or is malformed.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        while !self.content()?.is_empty() {}
        self.skip_padding()?;
        let at = self.position;
        self.headers().map_err(|error| error.within(format!("tar header at byte {at}")))
    }

    /// The next bytes of the current entry's content; empty when all of it was read.
    ///
    /// # Errors
    /// It cannot be read, or the archive ends in it.
    pub fn content(&mut self) -> Result<&[u8]> {
        if self.content == 0 {
            return Ok(&[]);
        }
        if self.start == self.end && !self.fill()? {
            return Err(ImageError::new("the archive ends within a file"));
        }
        let length = usize::try_from(self.content).unwrap_or(usize::MAX).min(self.end - self.start);
        let from = self.start;
        if self.keeping {
            self.keep(length)?;
        } else {
            self.consume(length);
        }
        self.content -= length as u64;
        Ok(&self.buffer[from..from + length])
    }

    /// Passes over what is left of the content. `skip` moves the input forward by so many bytes, or says that it cannot.
    pub(crate) fn pass_over(&mut self, skip: impl Fn(&mut R, u64) -> bool) -> Result<()> {
        let buffered = (self.end - self.start) as u64;
        let left = self.content + self.padding;
        if left <= buffered || !skip(&mut self.input, left - buffered) {
            // The ordinary way also finds out that there is less.
            return Ok(());
        }
        (self.start, self.end) = (0, 0);
        self.position += left;
        (self.content, self.padding) = (0, 0);
        Ok(())
    }

    fn headers(&mut self) -> Result<Option<Entry>> {
        let mut extended = Extended::default();
        loop {
            let Some(block) = self.block()? else {
                if extended.is_empty() {
                    return Ok(None);
                }
                return Err(ImageError::new("the archive ends between an extension header and its entry"));
            };
            if block.is_zero() {
                if !extended.is_empty() {
                    return Err(ImageError::new("the archive ends between an extension header and its entry"));
                }
                return self.expect_end().map(|()| None);
            }
            block.check()?;
            match block.kind()? {
                Type::Pax => extended.pax(&self.extension(&block)?)?,
                Type::GlobalPax => pax::check_global(&self.extension(&block)?)?,
                Type::LongPath => extended.long_path(self.extension(&block)?)?,
                Type::LongLink => extended.long_link(self.extension(&block)?)?,
                Type::Entry(kind) => return self.entry(kind, &block, extended, None).map(Some),
                Type::Sparse => {
                    let map = self.old_map(&block)?;
                    return self.entry(Kind::File, &block, extended, Some(map)).map(Some);
                }
            }
        }
    }

    /// Puts together what the headers say of an entry.
    fn entry(
        &mut self,
        kind: Kind,
        block: &Block,
        mut extended: Extended,
        old: Option<(u64, Vec<Part>)>,
    ) -> Result<Entry> {
        // Others stop at one that is malformed, also where it does not count.
        let own = block.size()?;
        let mut stored = extended.size.unwrap_or(own);
        if stored != 0 && kind != Kind::File {
            return Err(ImageError::new(format!("{stored} bytes of content for an entry that is not a file")));
        }
        let name = extended.sparse.name.take();
        let (size, parts) = match (std::mem::take(&mut extended.sparse).map()?, old) {
            (Some(_), _) if kind != Kind::File => {
                return Err(ImageError::new("a sparse entry that is not a regular file"));
            }
            (Some(_), Some(_)) => return Err(ImageError::new("two maps of a sparse file")),
            (Some((size, Map::InContent)), None) => {
                let parts = self.map_in_content(&mut stored)?;
                (size, Some(parts))
            }
            (Some((size, Map::Known(parts))), None) | (None, Some((size, parts))) => (size, Some(parts)),
            (None, None) => (stored, None),
        };
        let parts = parts.map(|parts| sparse::checked(parts, size, stored)).transpose()?;
        let mut entry = Entry {
            kind,
            path: name.or(extended.path).map_or_else(|| block.path(), Ok)?,
            link: match kind {
                Kind::Link | Kind::Symlink => extended.link.map_or_else(|| block.link(), Ok)?,
                _ => Vec::new(),
            },
            mode: block.mode()?,
            uid: extended.uid.map_or_else(|| block.uid(), Ok)?,
            gid: extended.gid.map_or_else(|| block.gid(), Ok)?,
            size,
            modified: extended.modified.map_or_else(|| block.modified(), Ok)?,
            device: match kind {
                Kind::Character | Kind::Block => block.device()?,
                _ => (0, 0),
            },
            attributes: extended.attributes,
            offset: self.position,
            parts,
        };
        // Before POSIX a directory was a file whose name ends with a slash.
        if kind == Kind::File && entry.path.ends_with(b"/") {
            if !block.is_old() || size != 0 {
                return Err(ImageError::new("a file whose name ends with a slash"));
            }
            entry.kind = Kind::Directory;
        }
        self.keeping = !entry.is_made();
        self.content = if self.bare && entry.is_made() { 0 } else { stored };
        self.padding = stored.next_multiple_of(BLOCK as u64) - stored;
        Ok(entry)
    }

    /// The map in the header of a sparse file as GNU tar wrote it before pax, and in the blocks behind it; and its size.
    fn old_map(&mut self, block: &Block) -> Result<(u64, Vec<Part>)> {
        let (size, mut parts, mut more) = block.old_map()?;
        while more {
            let next = self.block()?.ok_or_else(|| ImageError::new("the archive ends within a map"))?;
            more = next.more_of_map(&mut parts)?;
            if parts.len() > sparse::MOST {
                return Err(ImageError::limit(format!("a sparse file with more than {} parts", sparse::MOST)));
            }
        }
        Ok((size, parts))
    }

    /// The map at the beginning of a file's content, of which so much is left then.
    fn map_in_content(&mut self, stored: &mut u64) -> Result<Vec<Part>> {
        let mut text = Vec::new();
        let (mut lines, mut wanted) = (0, 1);
        loop {
            *stored = stored
                .checked_sub(BLOCK as u64)
                .ok_or_else(|| ImageError::new("a sparse file that ends within its map"))?;
            let block = self.block()?.ok_or_else(|| ImageError::new("the archive ends within a map"))?;
            text.extend_from_slice(block.bytes());
            if !sparse::map_may_have(text.len()) {
                return Err(ImageError::limit("a map of a sparse file that does not end"));
            }
            lines += block.bytes().iter().filter(|byte| **byte == b'\n').count();
            if lines < wanted && text.len() > BLOCK {
                continue;
            }
            match sparse::map_of(&text)? {
                MapRead::Whole(parts) => return Ok(parts),
                MapRead::Needs(numbers) => wanted = numbers,
            }
        }
    }

    /// The content of an extension header.
    fn extension(&mut self, block: &Block) -> Result<Vec<u8>> {
        let size = block.size()?;
        if size > MOST_EXTENSION {
            return Err(ImageError::limit(format!(
                "an extension header of {size} bytes is more than {MOST_EXTENSION}"
            )));
        }
        self.keeping = true;
        self.content = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        let mut content = Vec::with_capacity(size as usize);
        loop {
            match self.content()? {
                [] => break,
                bytes => content.extend_from_slice(bytes),
            }
        }
        self.skip_padding()?;
        Ok(content)
    }

    /// A block that is wholly there; none if there is not one byte more.
    fn block(&mut self) -> Result<Option<Block>> {
        while self.end - self.start < BLOCK {
            if !self.fill()? {
                return match self.end - self.start {
                    0 => Ok(None),
                    _ => Err(ImageError::new("the archive ends within a header")),
                };
            }
        }
        let block = Block::new(&self.buffer[self.start..self.start + BLOCK]);
        self.keep(BLOCK)?;
        Ok(block)
    }

    fn skip_padding(&mut self) -> Result<()> {
        while self.padding > 0 {
            if self.start == self.end && !self.fill()? {
                // umoci insert leaves out what is behind the last file.
                self.padding = 0;
                return Ok(());
            }
            let length = (self.padding as usize).min(self.end - self.start);
            self.keep(length)?;
            self.padding -= length as u64;
        }
        Ok(())
    }

    /// After the first block of zeros: nothing but zeros may follow, at least another block of them unless the file ends.
    fn expect_end(&mut self) -> Result<()> {
        loop {
            if self.buffer[self.start..self.end].iter().any(|byte| *byte != 0) {
                return Err(ImageError::new("there is data behind the end of the archive"));
            }
            self.keep(self.end - self.start)?;
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    fn keep(&mut self, length: usize) -> Result<()> {
        self.kept.write_all(&self.buffer[self.start..self.start + length]).doing(|| "keep the headers")?;
        self.consume(length);
        Ok(())
    }

    fn consume(&mut self, length: usize) {
        self.start += length;
        self.position += length as u64;
    }

    /// Reads more into the buffer; false at the end.
    fn fill(&mut self) -> Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(length) => {
                    self.end += length;
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).doing(|| "read the archive"),
            }
        }
    }
}
