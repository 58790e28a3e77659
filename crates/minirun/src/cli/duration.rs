//! Durations as Go's `time.ParseDuration` takes them, because engines and users write them so: `5s`, `1m30s`, `1.5h`.

use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The units, in nanoseconds. The micro sign exists twice.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration that is not negative: numbers with a unit each, fractions allowed. What is below a nanosecond is cut off.
pub fn parse(text: &str) -> Result<Duration> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.starts_with('-') {
        bail!("negative duration {text:?}");
    }
    if unsigned.is_empty() {
        bail!("invalid duration {text:?}");
    }
    let mut rest = unsigned;
    let mut total = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
        let unit = after.split(|c: char| c.is_ascii_digit() || c == '.').next().unwrap_or_default();
        rest = &after[unit.len()..];
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && part.is_empty()) || part.contains('.') {
            bail!("invalid duration {text:?}");
        }
        if unit.is_empty() {
            bail!("missing unit in duration {text:?} (expected ns, us, ms, s, m or h)");
        }
        let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            bail!("unknown unit {unit:?} in duration {text:?} (expected ns, us, ms, s, m or h)");
        };
        total += nanoseconds(whole, part, *size).with_context(|| too_long(text))?;
    }
    // Go's limit: 292 years.
    match i64::try_from(total) {
        Ok(total) => Ok(Duration::from_nanos(total.unsigned_abs())),
        // accepts: a number that does not fit.
        Err(_) => bail!(too_long(text)),
    }
}

fn too_long(text: &str) -> String {
    format!("invalid duration {text:?}: too long")
}

/// `whole.part` units; none when that is beyond all bounds.
fn nanoseconds(whole: &str, part: &str, unit: u128) -> Option<u128> {
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.into() };
    // Digits beyond the 18th are worth less than a nanosecond, whatever the unit.
    let part = &part[..part.len().min(18)];
    let tail: u128 = if part.is_empty() { 0 } else { part.parse().ok()? };
    Some(whole * unit + tail * unit / 10u128.pow(part.len() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("+0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("500ms", 500_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1h15m30.918273645s", 4_530_918_273_645),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("10us", 10_000),
            ("10µs", 10_000),
            ("10μs", 10_000),
            ("1.9ns", 1),
            ("0.100000000000000000000h", 360_000_000_000),
            ("9223372036854775807ns", i64::MAX as u64),
        ] {
            assert_eq!(parse(text).unwrap(), Duration::from_nanos(nanoseconds), "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        for (text, message) in [
            ("", "invalid duration \"\""),
            ("s", "invalid duration \"s\""),
            (".s", "invalid duration \".s\""),
            ("1..5s", "invalid duration \"1..5s\""),
            ("5", "missing unit in duration \"5\" (expected ns, us, ms, s, m or h)"),
            ("1m5", "missing unit in duration \"1m5\" (expected ns, us, ms, s, m or h)"),
            ("5d", "unknown unit \"d\" in duration \"5d\" (expected ns, us, ms, s, m or h)"),
            ("5 s", "unknown unit \" s\" in duration \"5 s\" (expected ns, us, ms, s, m or h)"),
            ("-1s", "negative duration \"-1s\""),
            ("9223372036854775808ns", "invalid duration \"9223372036854775808ns\": too long"),
            ("3000000h", "invalid duration \"3000000h\": too long"),
            ("99999999999999999999s", "invalid duration \"99999999999999999999s\": too long"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
