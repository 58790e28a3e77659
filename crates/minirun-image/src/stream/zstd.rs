//! Zstandard (RFC 8878): frames one after the other, of which some are to be skipped.

use std::io::{BufRead, Read as _};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::error::{Doing as _, ImageError, Result};

/// The most that a decoder has to remember, in bytes: levels up to 19 take 8 MiB. It bounds the memory that a layer can cost.
const WINDOW: u64 = 32 << 20;

/// Do these bytes begin a frame, or one that is to be skipped?
pub(super) fn is_frame(start: &[u8]) -> bool {
    matches!(start, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The content of all frames of an input.
pub(super) struct Frames<'a, R> {
    input: &'a mut R,
    decoder: FrameDecoder,
    /// Is the decoder within a frame?
    within: bool,
}

impl<'a, R: BufRead> Frames<'a, R> {
    pub(super) fn new(input: &'a mut R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Frames { input, decoder, within: false }
    }

    pub(super) fn get_ref(&self) -> &R {
        self.input
    }

    /// Reads decompressed bytes; 0 is the end of the last frame.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            if !self.within && !self.next_frame()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1)).map_err(said)?;
            }
            let length = self.decoder.read(buffer).doing(|| "read")?;
            if length > 0 {
                return Ok(length);
            }
            self.within = false;
            let written = self.decoder.get_checksum_from_data();
            if written.is_some() && written != self.decoder.get_calculated_checksum() {
                return Err(ImageError::new("the checksum of a frame is wrong"));
            }
        }
    }

    /// Goes on to the next frame; false at the end of the input.
    fn next_frame(&mut self) -> Result<bool> {
        while !self.input.fill_buf().doing(|| "read")?.is_empty() {
            match self.decoder.init(&mut self.input) {
                Ok(()) => {
                    self.within = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    let skipped = std::io::copy(&mut self.input.by_ref().take(length), &mut std::io::sink());
                    if skipped.doing(|| "read")? != length {
                        return Err(ImageError::new("it ends within a frame"));
                    }
                }
                Err(error) => return Err(said(error)),
            }
        }
        Ok(false)
    }
}

fn said(error: FrameDecoderError) -> ImageError {
    match error {
        FrameDecoderError::WindowSizeTooBig { requested, .. } => {
            ImageError::limit(format!("a window of {requested} bytes is more than the {WINDOW} that are supported"))
                .hint("zstd --ultra and --long need so much; up to level 19 it is less")
        }
        other => ImageError::new(other.to_string()),
    }
}
