//! Digests: what content is called by (descriptor.md).

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::error::{ImageError, Result};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Reads `sha256:` with 64 lower-case hexadecimal digits, and nothing else, for the text becomes a path.
    ///
    /// # Errors
    /// It is of another form, or of another algorithm.
    pub fn parse(text: &str) -> Result<Digest> {
        match text.split_once(':') {
            Some(("sha256", hex)) => {
                Digest::from_hex(hex).ok_or_else(|| ImageError::new(format!("malformed digest {text:?}")))
            }
            Some((algorithm @ ("sha512" | "sha384" | "blake3"), _)) => Err(ImageError::unsupported(format!(
                "digests of the algorithm {algorithm} are not supported, only sha256"
            ))),
            _ => Err(ImageError::new(format!("malformed digest {text:?}"))),
        }
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Digest> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let hex: &[u8; 64] = hex.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Digest(bytes))
    }

    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digits alone: the name of a blob, or of a layer in the store.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As many digits as people compare.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        Digest::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Takes bytes and gives their digest. The processor's own instructions are used where it has them.
#[derive(Debug, Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all of them.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_one_plain_word() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(Digest::parse(empty).unwrap(), Digest::of(b""));
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
        for text in [
            "",
            "sha256:",
            "sha256:../../etc/passwd",
            &empty[..empty.len() - 1],
            &empty.to_uppercase(),
            &empty.replace('e', "E"),
            &format!("{empty}0"),
            &empty.replace("sha256", "md5"),
            &empty.replace("sha256:", "sha512:"),
            &empty[7..],
        ] {
            Digest::parse(text).unwrap_err();
        }
    }
}
