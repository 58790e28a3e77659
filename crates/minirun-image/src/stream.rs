//! The bytes of a layer: read from its blob, decompressed, hashed on both sides, and limited.

mod zstd;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt as _;

use flate2::bufread::MultiGzDecoder;

use crate::digest::{Digest, Hasher};
use crate::error::{Doing as _, ImageError, Result};

/// How many bytes are read and handed on at a time.
pub(crate) const CHUNK: usize = 256 << 10;

/// What one layer may have. A real one is far below all of it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the uncompressed layer.
    pub size: u64,
    /// How many times larger than its blob a layer may be, once it is larger than `ratio_from` bytes.
    pub ratio: u64,
    /// See `ratio`.
    pub ratio_from: u64,
    /// Files, directories and everything else in it.
    pub entries: u64,
    /// Directories inside each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { size: 64 << 30, ratio: 100, ratio_from: 256 << 20, entries: 2 << 20, depth: 256 }
    }
}

impl Limits {
    /// The same for a layer that may have this many bytes, however small its blob is.
    pub fn of_size(size: u64) -> Limits {
        Limits { size, ratio_from: size, ..Limits::default() }
    }

    /// How many bytes a layer with a blob of this length may have.
    pub(crate) fn of_blob(&self, length: u64) -> u64 {
        self.size.min(self.ratio_from.max(length.saturating_mul(self.ratio)))
    }
}

/// A part of a file: a blob in a directory, or in an archive. Its position is its own, not that of the descriptor, which
/// several processes share.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) file: File,
    pub(crate) start: u64,
    pub(crate) length: u64,
}

impl Piece {
    /// The whole of a file.
    pub(crate) fn whole(file: File) -> Result<Piece> {
        let length = file.metadata().doing(|| "stat")?.len();
        Ok(Piece { file, start: 0, length })
    }
}

impl Read for Piece {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.length).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.file.read_at(&mut buffer[..most], self.start)?;
        self.start += length as u64;
        self.length -= length as u64;
        Ok(length)
    }
}

/// Hashes and counts what is read through it.
pub(crate) struct Counted<R> {
    input: R,
    hasher: Option<Hasher>,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.input.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..length]);
        }
        self.count += length as u64;
        Ok(length)
    }
}

/// The content of a layer on its way to the one who makes files of it: hashed there, for decompressing is more work.
pub(crate) struct Content<R>(Counted<R>);

impl<R: Read> Content<R> {
    pub(crate) fn new(input: R) -> Content<R> {
        Content(Counted { input, hasher: Some(Hasher::default()), count: 0 })
    }

    /// After all of it was read: is it what it must be?
    pub(crate) fn verify(self, diff_id: Digest) -> Result<()> {
        matches("content", diff_id, self.0.hasher.unwrap_or_default().finish())
    }
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Reads a blob to its end and gives its content, decompressed, to `sink` piece by piece; `told` hears how much of the blob
/// was read. Success means that the digest of the blob is right, if one is expected.
pub(crate) fn pour(
    blob: Piece,
    expected: Option<Digest>,
    limits: &Limits,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    told: &mut dyn FnMut(u64),
) -> Result<()> {
    let compressed = blob.length;
    let hasher = expected.map(|_| Hasher::default());
    let mut input = BufReader::with_capacity(CHUNK, Counted { input: blob, hasher, count: 0 });
    let most = limits.of_blob(compressed);
    let mut total = 0;
    {
        let mut decoder = Decoder::of(&mut input)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = decoder.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            total += length as u64;
            if total > most {
                return Err(too_large(most, compressed));
            }
            sink(&buffer[..length])?;
            told(decoder.consumed());
        }
    }
    // What follows the compressed data belongs to the blob.
    std::io::copy(&mut input, &mut std::io::sink()).doing(|| "read the blob")?;
    let input = input.into_inner();
    if input.count != compressed {
        return Err(ImageError::new("the blob became shorter while it was read"));
    }
    match (expected, input.hasher) {
        (Some(expected), Some(hasher)) => matches("blob", expected, hasher.finish()),
        _ => Ok(()),
    }
}

/// Is this the digest that was expected?
pub(crate) fn matches(what: &str, expected: Digest, found: Digest) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(ImageError::mismatch(format!("the digest of its {what} is {found}, not {expected}")))
}

fn too_large(most: u64, compressed: u64) -> ImageError {
    ImageError::limit(format!("it holds more than {most} bytes in a blob of {compressed}"))
        .hint("--layer-size SIZE allows layers of that size")
}

/// Decompresses what its first bytes say it is.
enum Decoder<'a, R: Read> {
    Gzip(Box<MultiGzDecoder<&'a mut BufReader<Counted<R>>>>),
    Zstd(Box<zstd::Frames<'a, BufReader<Counted<R>>>>),
    Plain(&'a mut BufReader<Counted<R>>),
}

impl<'a, R: Read> Decoder<'a, R> {
    fn of(input: &'a mut BufReader<Counted<R>>) -> Result<Self> {
        let start = input.fill_buf().doing(|| "read the blob")?;
        Ok(match start {
            [0x1f, 0x8b, ..] => Decoder::Gzip(Box::new(MultiGzDecoder::new(input))),
            _ if zstd::is_frame(start) => Decoder::Zstd(Box::new(zstd::Frames::new(input))),
            [b'B', b'Z', b'h', ..] => {
                return Err(ImageError::unsupported("layers compressed by bzip2 are not supported"));
            }
            [0xfd, b'7', b'z', b'X', b'Z', ..] => {
                return Err(ImageError::unsupported("layers compressed by xz are not supported"));
            }
            _ => Decoder::Plain(input),
        })
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Decoder::Gzip(gzip) => gzip.read(buffer).doing(|| "decompress (gzip)"),
            Decoder::Zstd(zstd) => zstd.read(buffer).map_err(|error| error.within("decompress (zstd)")),
            Decoder::Plain(plain) => plain.read(buffer).doing(|| "read the blob"),
        }
    }

    fn consumed(&self) -> u64 {
        match self {
            Decoder::Gzip(gzip) => gzip.get_ref().get_ref().count,
            Decoder::Zstd(zstd) => zstd.get_ref().get_ref().count,
            Decoder::Plain(plain) => plain.get_ref().count,
        }
    }
}
