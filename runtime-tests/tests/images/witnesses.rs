//! What minirun takes for the entries of an archive is what GNU tar and bsdtar take for them: where readers differ, one of them
//! can be made to see a file that another one has checked as something else.

use std::fs;
use std::process::Command;

use minirun_image::tar::{Entry, Kind, Reader};

use crate::archive::{archive, directory, entry, file, link, symlink};
use crate::home::{Home, answer};

/// An entry in words: its type, owner, size, name and target.
type Line = (char, String, String);

fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().ok()? {
        found.push(entry);
    }
    Some(found)
}

/// Can its names be read in a list, where each has a line, without thinking about characters? Without a name there is nothing
/// to be read, and nothing is made of it.
fn is_plain(entry: &Entry) -> bool {
    let plain = |text: &[u8]| text.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'\\');
    let links = matches!(entry.kind, Kind::Link | Kind::Symlink);
    let named = entry.path.iter().any(|byte| *byte != b'/');
    named && entry.link.is_empty() != links && plain(&entry.path) && plain(&entry.link)
}

/// Readers put prefix and name together with one slash or two.
fn plain(path: &str) -> String {
    path.split_inclusive('/')
        .fold(String::new(), |all, name| if name == "/" && all.ends_with('/') { all } else { all + name })
}

fn line(entry: &Entry) -> Line {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (kind, between) = match entry.kind {
        Kind::File => ('-', ""),
        Kind::Link => ('h', " link to "),
        Kind::Symlink => ('l', " -> "),
        Kind::Character => ('c', ""),
        Kind::Block => ('b', ""),
        Kind::Directory => ('d', ""),
        Kind::Fifo => ('p', ""),
    };
    let size = match entry.kind {
        Kind::Character | Kind::Block => format!("{},{}", entry.device.0, entry.device.1),
        _ => entry.size.to_string(),
    };
    let path = text(&entry.path);
    // Some tell a directory by that alone.
    let path = if kind == 'd' { path.trim_end_matches('/').to_owned() } else { path };
    (kind, format!("{}/{} {size}", entry.uid, entry.gid), plain(&format!("{path}{between}{}", text(&entry.link))))
}

/// What a witness lists, if it has nothing to complain of; before the name stand so many fields.
fn listed(home: &Home, command: &[&str], fields: usize, owner: impl Fn(&[&str]) -> String) -> Option<Vec<Line>> {
    let mut witness = Command::new(command[0]);
    let said = answer(witness.args(&command[1..]).arg("archive").env("LC_ALL", "C").current_dir(home.path(".")));
    let read = |line: &str| {
        let mut rest = line;
        let mut words = Vec::new();
        for _ in 0..fields {
            let (word, left) = rest.trim_start_matches(' ').split_once(' ').unwrap_or((rest, ""));
            words.push(word);
            rest = left;
        }
        // GNU tar tells a file that some systems keep in one piece from others.
        let kind = words[0].chars().next().map_or('?', |kind| if kind == 'C' { '-' } else { kind });
        let name = if kind == 'd' { rest.trim_end_matches('/') } else { rest };
        (kind, owner(&words), plain(name))
    };
    (said.status == 0).then(|| said.stdout.lines().map(read).collect())
}

/// Fails unless the witnesses see the same; how many of them do see something.
#[track_caller]
fn check(home: &Home, bytes: &[u8], found: &[Entry], seed: u64) -> usize {
    fs::write(home.path("archive"), bytes).unwrap();
    fs::write(home.path("archive"), bytes).unwrap();
    let expected: Vec<_> = found.iter().map(line).collect();
    let gnu = listed(home, &["tar", "--numeric-owner", "-Ptvf"], 5, |words| format!("{} {}", words[1], words[2]));
    let owner = |words: &[&str]| format!("{}/{} {}", words[2], words[3], words[4]);
    let bsd = listed(home, &["bsdtar", "--numeric-owner", "-Ptvf"], 8, owner);
    let seen = [gnu, bsd].into_iter().flatten();
    seen.inspect(|seen| assert_eq!(*seen, expected, "seed {seed}")).count()
}

#[test]
fn archives_that_are_accepted_are_read_by_others_as_the_same() {
    let home = Home::new();
    let whole = archive(&[
        directory("d/"),
        file("d/one", &"x".repeat(700)).ids(1, 2),
        file(format!("d/{}", "l".repeat(200)), "long").pax("size", "4"),
        symlink("d/s", "one"),
        link("hard", "d/one"),
        entry(b'6', "pipe"),
        crate::archive::Entry { device: (1, 3), ..entry(b'3', "null") },
        crate::archive::Entry { content: b"long-by-gnu\0".to_vec(), ..entry(b'L', "././@LongLink") },
        file("short", "abc"),
        file("f", "def").pax("uid", "70000").pax("comment", "none"),
        file("holes", &format!("{:\0<512}{}", "1\n512\n512\n", "x".repeat(512)))
            .pax("GNU.sparse.major", "1")
            .pax("GNU.sparse.minor", "0")
            .pax("GNU.sparse.name", "holes")
            .pax("GNU.sparse.realsize", "1024"),
        file("last", ""),
    ]);
    let (mut compared, mut refused) = (0, 0);
    for seed in 1..=2000u64 {
        let mut random = crate::model::Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = whole.clone();
        for _ in 0..=random.below(2) {
            let place = random.below(bytes.len() as u64) as usize;
            // Headers are what is read, so they are changed more often than content.
            let place = if random.below(2) == 0 {
                place / 512 * 512 + [0, 124, 156, 157, 345][random.below(5) as usize]
            } else {
                place
            };
            bytes[place] = b"\x0001257AKLSVgx /.\xff"[random.below(17) as usize];
            if random.below(4) != 0 {
                let block = place / 512 * 512;
                crate::archive::sign(&mut bytes[block..block + 512]);
            }
        }
        match entries(&bytes) {
            Some(found) if found.iter().all(is_plain) => {
                compared += check(&home, &bytes, &found, seed);
            }
            Some(_) => {}
            None => refused += 1,
        }
    }
    assert!(compared > 1000 && refused > 500, "{compared} compared, {refused} refused");
}
