//! The bytes of a layer on their way into a blob: hashed, compressed, and hashed again.

use std::fs::File;
use std::io::{BufWriter, Write};

use flate2::write::GzEncoder;
use ruzstd::encoding::CompressionLevel;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};
use crate::error::{Doing as _, Result};
use crate::reference::Transport;
use crate::stream::Limits;

/// How many bytes are written at a time.
const CHUNK: usize = 256 << 10;

/// How new layers are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// Not at all.
    None,
    /// As gzip does it, without a time or a name.
    #[default]
    Gzip,
    /// By Zstandard's fastest level. Docker before 23 cannot read it.
    Zstd,
}

impl Compression {
    /// What it is in an image of this form: what `docker save` writes is never compressed.
    pub(super) fn of(self, transport: Transport) -> Compression {
        if transport == Transport::DockerArchive { Compression::None } else { self }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// A blob that was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Written {
    /// The digest of its content.
    pub(super) diff_id: Digest,
    /// How long that is, in bytes.
    pub(super) length: u64,
    /// Its own.
    pub(super) digest: Digest,
    /// Its length, in bytes.
    pub(super) size: u64,
    pub(super) compression: Compression,
    /// How many entries it has, where they were counted.
    pub(super) entries: u64,
}

impl Written {
    /// Whether unpacking would take it for a bomb, because its content is so much longer.
    pub(super) fn is_too_dense(&self, limits: &Limits) -> bool {
        self.length > limits.of_blob(self.size)
    }
}

/// Takes the content of a blob.
pub(super) struct Compressed {
    content: Hasher,
    length: u64,
    out: Encoder,
    compression: Compression,
}

enum Encoder {
    Plain(Sealed),
    Gzip(Box<GzEncoder<Sealed>>),
    Zstd(Frames),
}

/// Zstandard, a frame for every so many bytes (RFC 8878, section 3): the encoder wants its input at once, and gives up where
/// it cannot write.
struct Frames {
    content: Vec<u8>,
    out: Sealed,
}

impl Frames {
    /// Much more than the encoder looks back.
    const LENGTH: usize = 4 << 20;

    fn write(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(Frames::LENGTH - self.content.len()));
            self.content.extend_from_slice(now);
            bytes = later;
            if self.content.len() == Frames::LENGTH {
                self.end()?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> std::io::Result<()> {
        let frame = ruzstd::encoding::compress_to_vec(&*self.content, CompressionLevel::Fastest);
        self.content.clear();
        self.out.write_all(&frame)
    }

    fn finish(mut self) -> std::io::Result<Sealed> {
        if !self.content.is_empty() {
            self.end()?;
        }
        Ok(self.out)
    }
}

/// Hashes and counts what goes into the file.
struct Sealed {
    hasher: Hasher,
    size: u64,
    out: BufWriter<File>,
}

impl Compressed {
    pub(super) fn new(file: File, compression: Compression) -> Compressed {
        let sealed = Sealed { hasher: Hasher::default(), size: 0, out: BufWriter::with_capacity(CHUNK, file) };
        let out = match compression {
            Compression::None => Encoder::Plain(sealed),
            Compression::Gzip => Encoder::Gzip(Box::new(GzEncoder::new(sealed, flate2::Compression::default()))),
            Compression::Zstd => Encoder::Zstd(Frames { content: Vec::new(), out: sealed }),
        };
        Compressed { content: Hasher::default(), length: 0, out, compression }
    }

    /// Writes what is left.
    pub(super) fn finish(self) -> Result<Written> {
        let doing = || "write the blob";
        let mut sealed = match self.out {
            Encoder::Plain(sealed) => sealed,
            Encoder::Gzip(encoder) => encoder.finish().doing(doing)?,
            Encoder::Zstd(frames) => frames.finish().doing(doing)?,
        };
        sealed.out.flush().doing(doing)?;
        let (diff_id, digest) = (self.content.finish(), sealed.hasher.finish());
        let (length, compression) = (self.length, self.compression);
        Ok(Written { diff_id, length, digest, size: sealed.size, compression, entries: 0 })
    }
}

impl Write for Compressed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut self.out {
            Encoder::Plain(out) => out.write_all(bytes)?,
            Encoder::Gzip(out) => out.write_all(bytes)?,
            Encoder::Zstd(out) => out.write(bytes)?,
        }
        self.content.update(bytes);
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Write for Sealed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
