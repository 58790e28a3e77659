//! Where the parts of an image lie: in a directory, or in a tar file that is read where it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use minirun_sys as sys;

use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, open_file};
use crate::stream::Piece;
use crate::tar::{Kind, Reader};

/// The most files that an archive of an image may have: it has a few for each layer.
const MOST_FILES: usize = 65_536;
/// How long its names may be together, in bytes.
const MOST_NAMES: usize = 8 << 20;
/// How many links a name may lead through. `docker save` had one for a layer that was there before.
const MOST_LINKS: usize = 8;

/// Files by their names.
#[derive(Debug)]
pub(crate) enum Files {
    Directory(OwnedFd),
    Archive(File, BTreeMap<String, Found>),
}

/// What an archive has under a name.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    File {
        start: u64,
        length: u64,
    },
    /// Another name.
    Link(String),
}

impl Files {
    /// Files in a directory.
    pub(crate) fn in_directory(path: &Path) -> Result<Files> {
        let name = c_string(path.as_os_str().as_encoded_bytes())?;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        Ok(Files::Directory(sys::open(&name, flags).doing(|| format!("open {}", path.display()))?))
    }

    /// Files in a tar file that is not compressed: they are read where they are.
    pub(crate) fn in_archive(path: &Path) -> Result<Files> {
        // A named pipe would keep its reader waiting.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let file = file.doing(|| format!("open {}", path.display()))?;
        Files::of_archive(file).map_err(|error| error.within(path.display()))
    }

    /// The same of one that is open.
    pub(crate) fn of_archive(file: File) -> Result<Files> {
        if !file.metadata().doing(|| "stat")?.is_file() {
            return Err(ImageError::new("it is not a regular file"));
        }
        refuse_compressed(&file)?;
        let files = list(&file)?;
        Ok(Files::Archive(file, files))
    }

    /// The name that a name leads to; only those of an archive may be links.
    pub(crate) fn followed(&self, name: &str) -> Result<String> {
        match self {
            Files::Directory(_) => Ok(name.to_owned()),
            Files::Archive(_, files) => follow(files, name).map(|(name, ..)| name),
        }
    }

    /// The file with this name.
    pub(crate) fn open(&self, name: &str) -> Result<Piece> {
        match self {
            Files::Directory(directory) => Piece::whole(open_file(directory.as_fd(), &c_string(name.as_bytes())?)?)
                .map_err(|error| error.within(name)),
            Files::Archive(file, files) => {
                let (_, start, length) = follow(files, name)?;
                Ok(Piece { file: file.try_clone().doing(|| "dup")?, start, length })
            }
        }
    }
}

/// Follows links by name; they are of the archive, and the file system is not asked. The last name, and what it has.
fn follow(files: &BTreeMap<String, Found>, name: &str) -> Result<(String, u64, u64)> {
    let mut at = name.to_owned();
    for _ in 0..MOST_LINKS {
        match files.get(&at) {
            Some(Found::File { start, length }) => return Ok((at, *start, *length)),
            Some(Found::Link(target)) => at.clone_from(target),
            None => return Err(ImageError::not_found(format!("the archive has no {name}"))),
        }
    }
    Err(ImageError::new(format!("{name} is a link that leads nowhere")))
}

fn refuse_compressed(file: &File) -> Result<()> {
    use std::os::unix::fs::FileExt as _;
    let mut start = [0; 4];
    let length = file.read_at(&mut start, 0).doing(|| "read")?;
    let hint = match &start[..length] {
        [0x1f, 0x8b, ..] => "gzip -d makes an archive of it that can be read where it is",
        [0x28, 0xb5, 0x2f, 0xfd] => "zstd -d makes an archive of it that can be read where it is",
        _ => return Ok(()),
    };
    Err(ImageError::unsupported("the archive is compressed").hint(hint))
}

fn list(file: &File) -> Result<BTreeMap<String, Found>> {
    let mut reader = Reader::new(Piece::whole(file.try_clone().doing(|| "dup")?)?);
    let mut files = BTreeMap::new();
    let mut names = 0;
    while let Some(entry) = reader.next_seeking()? {
        let Some(name) = plain(&entry.path) else { continue };
        if entry.parts.is_some() {
            return Err(ImageError::unsupported(format!(
                "{name}: sparse files are supported in layers, and not around them"
            )));
        }
        let found = match entry.kind {
            Kind::File => Found::File { start: entry.offset, length: entry.size },
            Kind::Link => Found::Link(plain(&entry.link).unwrap_or_default()),
            Kind::Symlink => Found::Link(beside(&name, &entry.link)),
            _ => continue,
        };
        files.insert(name, found);
        names += entry.path.len() + entry.link.len();
        if names > MOST_NAMES {
            return Err(ImageError::limit(format!("more than {MOST_NAMES} bytes of names are not expected there")));
        }
        if files.len() > MOST_FILES {
            return Err(ImageError::limit(format!("more than {MOST_FILES} files are not expected there")));
        }
    }
    Ok(files)
}

/// A name without `./`, if it is text.
fn plain(path: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    let names: Vec<_> = text.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    Some(names.join("/"))
}

/// What a symbolic link means that lies at `name`; nothing that exists if it leads out.
fn beside(name: &str, target: &[u8]) -> String {
    let mut names: Vec<&str> = name.split('/').collect();
    names.pop();
    for part in std::str::from_utf8(target).unwrap_or_default().split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if names.pop().is_none() {
                    return String::new();
                }
            }
            part => names.push(part),
        }
    }
    names.join("/")
}

impl Reader<Piece> {
    /// As [`Reader::next_entry`], without reading the content that is passed over.
    fn next_seeking(&mut self) -> Result<Option<crate::tar::Entry>> {
        self.pass_over(|piece, length| {
            if piece.length < length {
                return false;
            }
            piece.start += length;
            piece.length -= length;
            true
        })?;
        self.next_entry()
    }
}

/// Reads a small file of an image.
pub(crate) fn read_small(files: &Files, name: &str) -> Result<Vec<u8>> {
    /// Manifests of real images have kilobytes.
    const MOST: u64 = 4 << 20;
    let piece = files.open(name)?;
    let mut bytes = Vec::new();
    if piece.length > MOST {
        return Err(ImageError::limit(format!(
            "{name}: {} bytes are more than the {MOST} that are expected there",
            piece.length
        )));
    }
    piece.take(MOST).read_to_end(&mut bytes).doing(|| format!("read {name}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_names_of_the_archive() {
        assert_eq!(beside("b/layer.tar", b"../a/layer.tar"), "a/layer.tar");
        assert_eq!(beside("layer.tar", b"../../etc/passwd"), "");
        let files = BTreeMap::from([
            ("a".to_owned(), Found::File { start: 512, length: 3 }),
            ("b".to_owned(), Found::Link("a".to_owned())),
            ("c".to_owned(), Found::Link("c".to_owned())),
        ]);
        assert_eq!(follow(&files, "b").unwrap(), ("a".to_owned(), 512, 3));
        follow(&files, "c").unwrap_err();
        follow(&files, "d").unwrap_err();
    }
}
