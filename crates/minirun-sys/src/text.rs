//! C strings of fixed size, for options and paths that are put together without allocating memory.

use std::ffi::CStr;

/// A text that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// A C string of at most `SIZE - 1` bytes.
#[derive(Debug)]
pub struct Text<const SIZE: usize> {
    bytes: [u8; SIZE],
    length: usize,
}

impl<const SIZE: usize> Default for Text<SIZE> {
    fn default() -> Text<SIZE> {
        Text::new()
    }
}

impl<const SIZE: usize> Text<SIZE> {
    /// An empty text.
    pub const fn new() -> Text<SIZE> {
        Text { bytes: [0; SIZE], length: 0 }
    }

    /// Appends bytes. The last byte stays NUL.
    ///
    /// # Errors
    /// They do not fit; nothing is appended then.
    pub fn push(&mut self, part: &[u8]) -> Result<(), TooLong> {
        let end = self.length + part.len();
        if end >= SIZE {
            return Err(TooLong);
        }
        self.bytes[self.length..end].copy_from_slice(part);
        self.length = end;
        Ok(())
    }

    /// Appends bytes and a number in decimal digits.
    ///
    /// # Errors
    /// They do not fit.
    pub fn push_number(&mut self, before: &[u8], number: u32) -> Result<(), TooLong> {
        self.push(before)?;
        let (mut digits, mut at, mut rest) = ([0u8; 10], 10, number);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return self.push(&digits[at..]);
            }
        }
    }

    /// The text so far. The options and digits that were pushed hold no NUL byte.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.bytes[..=self.length]).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_and_the_end_is_refused() {
        let mut text = Text::<16>::new();
        text.push_number(b"fd/", 0).unwrap();
        text.push_number(b":", u32::MAX).unwrap();
        assert_eq!(text.as_c_str(), c"fd/0:4294967295");
        assert_eq!(text.push(b"x"), Err(TooLong));
    }
}
