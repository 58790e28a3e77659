//! The bar chart of `--timings`: one row for each step, placed in time.

use std::fmt::Write as _;
use std::os::fd::AsFd as _;

use minirun_sys as sys;

use super::{Event, Lane};

/// Columns before the bars: two times, the lane, what is done.
const TEXT: usize = 66;
/// Columns for what is done.
const WHAT: usize = TEXT - 29;

/// Prints the chart to standard error, where the container's own output is not.
pub fn print(events: &[Event], began: u64) {
    let stderr = std::io::stderr();
    // accepts: ENOTTY; what is no terminal has no width.
    let width = sys::window_size(stderr.as_fd()).map_or(0, |(_, columns)| usize::from(columns));
    let width = if width == 0 { 110 } else { width.clamp(TEXT + 10, 160) };
    let text = draw(events, began, sys::now(), width - TEXT, solid());
    // accepts: any error; the chart is only shown.
    let _lost = std::io::Write::write_all(&mut stderr.lock(), text.as_bytes());
}

/// A block where the locale has it.
fn solid() -> char {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if locale.contains("utf-8") || locale.contains("utf8") { '█' } else { '#' }
}

/// Time while the program runs is taken out: it would make everything else too small to see.
fn draw(events: &[Event], began: u64, now: u64, width: usize, solid: char) -> String {
    let end_of = |event: &Event| event.ended.unwrap_or(now);
    let program = events.iter().find(|event| event.lane == Lane::Program);
    let cut = |time: u64| match program {
        Some(run) => time - (time.clamp(run.began, end_of(run).max(run.began)) - run.began),
        None => time,
    };
    let whole = events.iter().map(|event| cut(end_of(event))).max().unwrap_or(began).saturating_sub(began).max(1);
    let column = |time: u64| (cut(time).saturating_sub(began) as u128 * width as u128 / u128::from(whole)) as usize;
    let mut text = format!("{:>9} {:>9}  {:<7} {:<WHAT$}\n", "at ms", "took ms", "who", "what");
    let mut rows: Vec<&Event> = events.iter().collect();
    rows.sort_by_key(|event| event.began);
    for event in rows {
        let (start, end) = (event.began, end_of(event));
        let what = format!("{} {}", event.verb, event.subject);
        let mark = if event.ended.is_none() { " did not end" } else { "" };
        let bar = match event.lane {
            Lane::Program => String::new(),
            _ => {
                let (from, to) = (column(start).min(width - 1), column(end).min(width));
                format!("{}{}", " ".repeat(from), solid.to_string().repeat((to - from.min(to)).max(1)))
            }
        };
        let (at, took) = (millis(start.saturating_sub(began)), millis(end.saturating_sub(start)));
        let row =
            format!("{at:>9} {took:>9}  {:<7} {:<WHAT$} {bar}{mark}", event.lane.name(), cut_off(what.trim_end()));
        let _infallible = writeln!(text, "{}", row.trim_end());
    }
    let total = events.iter().map(end_of).max().unwrap_or(began).saturating_sub(began);
    let _infallible = writeln!(text, "{:>9} {:>9}  in all", "", millis(total));
    text
}

fn millis(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000_000, nanos / 1_000 % 1_000)
}

/// Names from a configuration may be long, and hold anything.
fn cut_off(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    match text.chars().count() > WHAT {
        true => shown.take(WHAT - 1).chain(['…']).collect(),
        false => shown.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(lane: Lane, verb: &str, began: u64, ended: Option<u64>) -> Event {
        let mut event = Event::new(lane, verb, String::new(), "", began);
        event.ended = ended;
        event
    }

    #[test]
    fn bars_lie_where_their_time_is_and_the_program_takes_no_room() {
        let ms = 1_000_000;
        let events = [
            event(Lane::Minirun, "first", 0, Some(ms)),
            event(Lane::Program, "run", ms, Some(1001 * ms)),
            event(Lane::Minirun, "last", 1001 * ms, Some(1002 * ms)),
        ];
        let text = draw(&events, 0, 2000 * ms, 10, '#');
        let rows: Vec<&str> = text.lines().collect();
        assert!(rows[1].ends_with(" #####") && rows[1].contains("first"), "{text}");
        assert!(rows[2].ends_with("run") && rows[2].contains("1000.000"), "{text}");
        assert!(rows[3].ends_with("      #####") && rows[3].contains("1001.000"), "{text}");
        assert!(rows[4].contains("1002.000"), "{text}");
    }

    #[test]
    fn what_did_not_end_is_marked() {
        let text = draw(&[event(Lane::Init, "mount", 0, None)], 0, 5_000_000, 10, '#');
        assert!(text.contains("5.000") && text.contains("did not end"), "{text}");
    }
}
