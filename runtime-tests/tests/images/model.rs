//! A model of layer.md: a tree in memory to which layers are applied one after the other. What minirun makes of the same
//! layers, and the kernel shows of them, must be the same tree.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::{Entry, archive, directory, entry, file, link, symlink};
use crate::home::Home;

/// As the last columns of a list have it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    kind: char,
    mode: u32,
    ids: (u32, u32),
    modified: u64,
    /// The size of a file, or the target of a link.
    more: String,
}

type Tree = BTreeMap<String, Node>;

/// A directory without an entry.
const IMPLIED: Node = Node { kind: 'd', mode: 0o755, ids: (0, 0), modified: 0, more: String::new() };

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

fn below(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'))
}

/// Applies a layer; an error if one of its entries lies below something that is no directory.
fn apply(tree: &mut Tree, entries: &[Entry]) -> Result<(), ()> {
    // What this layer has itself is not touched by its own whiteouts.
    let mut own = BTreeSet::new();
    // Those of its directories that it has no entry for.
    let mut implied = BTreeSet::new();
    // Whose attributes came from beneath, and are gone with that.
    let forget = |tree: &mut Tree, implied: &BTreeSet<String>, gone: &dyn Fn(&str) -> bool| {
        implied.iter().filter(|path| gone(path)).for_each(|path| drop(tree.insert(path.clone(), IMPLIED)));
    };
    for entry in entries {
        let path = String::from_utf8(entry.path.clone()).unwrap();
        let path = followed(tree, &own, &path)?;
        let (parent, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(parent, name)| (parent, name));
        for directory in parents(&path) {
            let there = tree.get(directory);
            if there.is_none_or(|node| node.kind != 'd') {
                if there.is_some() && own.contains(directory) {
                    return Err(());
                }
                tree.insert(directory.to_owned(), IMPLIED);
            }
            if own.insert(directory.to_owned()) {
                implied.insert(directory.to_owned());
            }
        }
        if name == ".wh..wh..opq" {
            tree.retain(|path, _| !below(path, parent) || own.contains(path));
            forget(tree, &implied, &|path| below(path, parent));
            continue;
        }
        if let Some(hidden) = name.strip_prefix(".wh.") {
            let hidden = if parent.is_empty() { hidden.to_owned() } else { format!("{parent}/{hidden}") };
            let gone = |path: &str| path == hidden || below(path, &hidden);
            tree.retain(|path, _| !gone(path) || own.contains(path));
            forget(tree, &implied, &gone);
            continue;
        }
        let mut node = node(entry);
        if entry.kind == b'1' {
            let target = followed(tree, &own, std::str::from_utf8(&entry.link).unwrap())?;
            node = tree.get(&target).filter(|node| node.kind != 'd' && own.contains(&target)).ok_or(())?.clone();
        }
        let merges = node.kind == 'd' && tree.get(&path).is_some_and(|there| there.kind == 'd');
        if !merges {
            tree.retain(|other, _| !below(other, &path));
            own.retain(|other: &String| !below(other, &path));
            implied.retain(|other: &String| !below(other, &path));
        }
        implied.remove(&path);
        tree.insert(path.clone(), node);
        own.insert(path);
    }
    Ok(())
}

/// The path without the links on the way that are the layer's own. None leads out of the root.
fn followed(tree: &Tree, own: &BTreeSet<String>, path: &str) -> Result<String, ()> {
    let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut at: Vec<String> = Vec::new();
    for _ in 0..1000 {
        let Some(name) = left.pop() else { return Ok(at.join("/")) };
        match name.as_str() {
            "" | "." => {}
            ".." => drop(at.pop()),
            name => {
                at.push(name.to_owned());
                let here = at.join("/");
                let link = tree.get(&here).filter(|node| node.kind == 'l' && own.contains(&here) && !left.is_empty());
                if let Some(link) = link {
                    at.pop();
                    if link.more.starts_with('/') {
                        at.clear();
                    }
                    left.extend(link.more.split('/').rev().map(str::to_owned));
                }
            }
        }
    }
    Err(())
}

fn node(entry: &Entry) -> Node {
    let (kind, more) = match entry.kind {
        b'0' => ('f', entry.content.len().to_string()),
        b'2' => ('l', String::from_utf8(entry.link.clone()).unwrap()),
        b'5' => ('d', String::new()),
        b'6' => ('p', String::new()),
        _ => ('?', String::new()),
    };
    Node { kind, mode: entry.mode, ids: entry.ids, modified: entry.modified, more }
}

fn lines(tree: &Tree) -> Vec<String> {
    let line = |(path, node): (&String, &Node)| {
        let mode = if node.kind == 'l' { "-".to_owned() } else { format!("{:o}", node.mode) };
        let (uid, gid) = node.ids;
        format!("{path} {} {mode} {uid} {gid} {} {}", node.kind, node.modified, node.more).trim_end().to_owned()
    };
    let mut lines: Vec<_> = tree.iter().map(line).collect();
    lines.sort();
    lines
}

/// Numbers that look random and are always the same (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn path(&mut self) -> String {
        let names: Vec<_> = (0..=self.below(3)).map(|_| ["a", "b", "c"][self.below(3) as usize]).collect();
        names.join("/")
    }

    /// An entry, or two: a directory is listed before it is made opaque.
    fn entries(&mut self, known: &[Entry]) -> Vec<Entry> {
        let path = self.path();
        let some = |entry: Entry, random: &mut Self| {
            let mode = [0o644, 0o755, 0o700, 0o4755, 0o1777][random.below(5) as usize];
            let ids = (random.below(3) as u32, random.below(3) as u32);
            entry.mode(mode).ids(ids.0, ids.1).modified(1 + random.below(1_000_000_000))
        };
        let hidden = match path.rsplit_once('/') {
            Some((parent, name)) => format!("{parent}/.wh.{name}"),
            None => format!(".wh.{path}"),
        };
        match self.below(20) {
            0..8 => vec![some(file(&path, &"x".repeat(self.below(3000) as usize)), self)],
            8..13 => vec![some(directory(&path), self)],
            13 => vec![some(symlink(&path, ["a", "../b", "/c"][self.below(3) as usize]), self)],
            14 => vec![some(entry(b'6', &path), self).mode(0o644)],
            15 => vec![some(directory(&path), self), entry(b'0', format!("{path}/.wh..wh..opq"))],
            16 if !known.is_empty() => {
                let target = &known[self.below(known.len() as u64) as usize].path;
                vec![link(&path, std::str::from_utf8(target).unwrap())]
            }
            _ => vec![entry(b'0', hidden)],
        }
    }
}

#[test]
fn layers_become_what_the_specification_says() {
    let home = Home::new();
    let (mut whole, mut refused) = (0, 0);
    for seed in 1..=120u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut tree = Tree::new();
        let mut fits = true;
        let mut layers = Vec::new();
        for _ in 0..=random.below(3) {
            let mut entries: Vec<Entry> = Vec::new();
            for _ in 0..=random.below(6) {
                let more = random.entries(&entries);
                entries.extend(more);
            }
            fits &= apply(&mut tree, &entries).is_ok();
            layers.push(archive(&entries));
        }
        let name = format!("bundle-{seed}");
        let answer = home.layers(&name, &layers);
        if !fits {
            assert!(answer.status != 0, "seed {seed} was not refused");
            refused += 1;
        } else {
            assert!(answer.status == 0, "seed {seed}: {answer:?}");
            assert_eq!(home.shown(&name), lines(&tree), "seed {seed}");
            whole += 1;
        }
        home.assert_clean();
    }
    assert!(whole > 40 && refused > 5, "{whole} whole, {refused} refused");
}
