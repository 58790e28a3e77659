//! Numbers of bytes, as people write them.

use anyhow::{Context as _, Result, bail};

/// A number of bytes, as people write it: `512m`, `1G`, `-1` for none.
pub fn bytes_of(text: &str) -> Result<i64> {
    let lower = text.to_ascii_lowercase();
    let plain = lower.trim_end_matches("ib").trim_end_matches('b');
    let (digits, shift) = match plain.chars().last() {
        Some('k') => (&plain[..plain.len() - 1], 10),
        Some('m') => (&plain[..plain.len() - 1], 20),
        Some('g') => (&plain[..plain.len() - 1], 30),
        Some('t') => (&plain[..plain.len() - 1], 40),
        _ => (plain, 0),
    };
    let number: i64 = digits
        .parse()
        .with_context(|| format!("invalid size {text:?} (expected a number with an optional suffix k, m, g or t)"))?;
    match number.checked_mul(1 << shift) {
        Some(bytes) if bytes >= 0 || number == -1 && shift == 0 => Ok(bytes),
        _ => bail!("{text:?} is out of range"),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes_of;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in
            [("0", 0), ("-1", -1), ("1024", 1024), ("64m", 64 << 20), ("1G", 1 << 30), ("2KiB", 2048), ("8b", 8)]
        {
            assert_eq!(bytes_of(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "m", "-2", "-1k", "1.5g", "x", "9999999t"] {
            bytes_of(text).unwrap_err();
        }
    }
}
