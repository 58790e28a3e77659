//! Signals as people write them.

use anyhow::{Result, bail};

/// A signal by number or by name, with or without `SIG`, in any case.
pub fn signal_number(text: &str) -> Result<i32> {
    if let Ok(number) = text.parse::<i32>() {
        if (0..=64).contains(&number) {
            return Ok(number);
        }
        bail!("unknown signal {text:?}");
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let offset = if rest.is_empty() { Some(0) } else { rest.strip_prefix('+').and_then(|text| text.parse().ok()) };
        if let Some(offset @ 0..=30) = offset {
            return Ok(34 + offset);
        }
    }
    let full = format!("SIG{name}");
    match full.parse::<nix::sys::signal::Signal>() {
        Ok(signal) => Ok(signal as i32),
        // accepts: a name of another form.
        Err(_) => bail!("unknown signal {text:?}"),
    }
}
