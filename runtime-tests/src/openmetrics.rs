//! A strict parser of OpenMetrics 1.0 text, limited to counters, gauges and unknowns.

use std::collections::{BTreeMap, BTreeSet};

/// A line with a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name, with the suffix of its type.
    pub name: String,
    /// The labels, unescaped.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// The metadata of a family that was parsed so far.
#[derive(Debug, Default)]
struct Family {
    name: String,
    kind: Option<String>,
    unit: Option<String>,
    help: Option<String>,
    samples: usize,
}

/// Parses exactly one exposition and returns its samples.
///
/// # Errors
///
/// The violated rule, with the line.
pub fn read_openmetrics(text: &str) -> Result<Vec<Sample>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with \"# EOF\" and a line's end")?;
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("\"# EOF\" does not begin a line".to_owned());
    }
    let (mut done, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut samples) = (Family::default(), Vec::new());
    for line in body.lines() {
        let failed = |reason: &str| format!("{reason}: {line}");
        match line.strip_prefix("# ") {
            Some("EOF") => return Err(failed("in the middle")),
            Some(head) => take_head(&mut family, &mut done, head).map_err(|reason| failed(&reason))?,
            None => {
                let sample = read_sample(line).ok_or_else(|| failed("not a sample"))?;
                check(&family, &sample).map_err(|reason| failed(&reason))?;
                family.samples += 1;
                if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                    return Err(failed("twice"));
                }
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}

/// Parses TYPE, UNIT or HELP: each at most once, before the samples; a family must not occur twice.
fn take_head(family: &mut Family, done: &mut BTreeSet<String>, head: &str) -> Result<(), String> {
    let mut words = head.splitn(3, ' ');
    let (Some(key), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
        return Err("a head of less than three words".to_owned());
    };
    if name != family.name {
        if !is_name(name, true) || !done.insert(name.to_owned()) {
            return Err("a bad name, or a family that was there before".to_owned());
        }
        *family = Family { name: name.to_owned(), ..Family::default() };
    }
    if family.samples > 0 {
        return Err("a head after samples".to_owned());
    }
    let slot = match key {
        "TYPE" if ["counter", "gauge", "unknown"].contains(&value) => &mut family.kind,
        "UNIT" if name.ends_with(&format!("_{value}")) => &mut family.unit,
        "HELP" => &mut family.help,
        _ => return Err("a bad head".to_owned()),
    };
    if slot.replace(value.to_owned()).is_some() { Err("twice".to_owned()) } else { Ok(()) }
}

fn check(family: &Family, sample: &Sample) -> Result<(), String> {
    let suffix = sample.name.strip_prefix(&family.name).ok_or("a sample of another family")?;
    let (wanted, bounded) = match family.kind.as_deref() {
        Some("counter") => ("_total", true),
        Some(_) => ("", false),
        None => return Err("a sample without TYPE".to_owned()),
    };
    if suffix != wanted || (bounded && (sample.value < 0.0 || !sample.value.is_finite())) {
        return Err("a suffix or number that the type forbids".to_owned());
    }
    if family.help.is_none() { Err("a sample without HELP".to_owned()) } else { Ok(()) }
}

fn read_sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(mut inner) = rest.strip_prefix('{') {
        while !inner.starts_with('}') {
            let (label, after) = inner.split_once("=\"")?;
            let (value, after) = read_value(after)?;
            if !is_name(label, false) || labels.insert(label.to_owned(), value).is_some() {
                return None;
            }
            inner = after.strip_prefix(',').filter(|more| !more.starts_with('}')).unwrap_or(after);
            if !after.starts_with([',', '}']) {
                return None;
            }
        }
        rest = &inner[1..];
    }
    let number = rest.strip_prefix(' ')?;
    // Timestamps and exemplars are not expected, nor spellings that only Rust accepts.
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || "+-.e".contains(c));
    let value = number.parse().ok().filter(|_| plain)?;
    is_name(name, true).then(|| Sample { name: name.to_owned(), labels, value })
}

/// Returns a label's value up to its closing quote, and the rest.
fn read_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                plain @ ('"' | '\\') => plain,
                _ => return None,
            }),
            '\n' => return None,
            plain => value.push(plain),
        }
    }
    None
}

fn is_name(name: &str, colons: bool) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    name.chars().next().is_some_and(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds Time.\n";

    #[test]
    fn valid_texts_are_parsed() {
        let text = format!("{HEAD}a_seconds_total{{id=\"x\\\"\\\\\\n\",b=\"\"}} 1.5\na_seconds_total 2\n# EOF\n");
        let samples = read_openmetrics(&text).unwrap();
        assert_eq!((samples[0].labels["id"].as_str(), samples[0].value), ("x\"\\\n", 1.5));
        assert_eq!(samples.len(), 2);
        assert_eq!(read_openmetrics("# EOF\n").unwrap(), []);
    }

    #[test]
    fn invalid_texts_are_refused() {
        for body in [
            "a_seconds 1\n",
            "a_seconds_total -1\n",
            "a_seconds_total 1\na_seconds_total 2\n",
            "a_seconds_total{id=\"x} 1\n",
            "a_seconds_total{id=\"\\x\"} 1\n",
            "a_seconds_total{id=\"x\",} 1\n",
            "a_seconds_total{id=\"x\"id2=\"y\"} 1\n",
            "a_seconds_total  1\n",
            "a_seconds_total inf\n",
            "b_total 1\n",
            "# TYPE a_seconds counter\n",
            "# UNIT b seconds\n",
            "# EOF\n",
            "\n",
            "a_seconds_total 1",
        ] {
            read_openmetrics(&format!("{HEAD}{body}# EOF\n")).expect_err(body);
        }
        read_openmetrics(&format!("{HEAD}# EOF")).unwrap_err();
    }
}
