//! A bar on a terminal that tells how far the unpacking is.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use minirun_image::Progress;

/// How many columns the bar itself has.
const WIDTH: usize = 30;
/// How often it is drawn.
const PAUSE: Duration = Duration::from_millis(100);

/// A line on standard error, if that is a terminal, until it is dropped.
pub struct Bar {
    shown: Option<Instant>,
    terminal: bool,
}

impl Bar {
    pub fn new() -> Bar {
        Bar { shown: None, terminal: std::io::stderr().is_terminal() }
    }

    /// Draws it again, unless that was done a moment ago.
    pub fn show(&mut self, progress: &Progress) {
        if !self.terminal || self.shown.is_some_and(|then| then.elapsed() < PAUSE) {
            return;
        }
        self.shown = Some(Instant::now());
        let _lost = write!(std::io::stderr(), "\r{}\x1b[K", line(progress));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _lost = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(progress: &Progress) -> String {
    let Progress { layers, layers_done, bytes, bytes_read } = *progress;
    let full = usize::try_from(bytes_read.min(bytes) * WIDTH as u64 / bytes.max(1)).unwrap_or(WIDTH);
    let (done, left) = ("#".repeat(full), " ".repeat(WIDTH - full));
    format!("layers {layers_done}/{layers} [{done}{left}] {}/{}", size(bytes_read), size(bytes))
}

/// Bytes as people read them.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_tells_layers_and_bytes() {
        let progress = Progress { layers: 3, layers_done: 1, bytes: 3 << 20, bytes_read: 1 << 20 };
        assert_eq!(line(&progress), "layers 1/3 [##########                    ] 1.0 MiB/3.0 MiB");
        assert!(line(&Progress::default()).ends_with("0 B/0 B"));
    }
}
