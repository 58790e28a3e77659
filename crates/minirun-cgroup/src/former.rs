//! The former content of interface files, to restore it when a change fails.

use std::os::fd::{AsFd, BorrowedFd};

use minirun_sys::Errno;

use crate::{Cgroup, CgroupError, Result, files};

/// The text of some files of a cgroup and of its leaf, in the order in which they are written.
#[derive(Debug, Default)]
pub struct Former {
    files: Vec<FormerFile>,
}

#[derive(Debug)]
struct FormerFile {
    in_leaf: bool,
    name: String,
    text: String,
}

impl Cgroup {
    /// Reads the files with these names, each once. Missing files are skipped, and files that only act when they are
    /// written.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read.
    pub fn remember<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Former> {
        let mut former = Former::default();
        for name in names {
            if former.files.iter().any(|known| known.name == name) {
                continue;
            }
            for (in_leaf, dir) in self.directories() {
                match files::read_file(dir, name) {
                    Ok(text) => former.files.push(FormerFile { in_leaf, name: name.to_owned(), text }),
                    // The file does not exist, or cannot be read (memory.reclaim).
                    Err(Errno::ENOENT | Errno::EINVAL) => {}
                    Err(errno) => return Err(CgroupError::new("read", self.path().join(name), errno)),
                }
            }
        }
        Ok(former)
    }

    /// Restores the files that have changed, last to first, and reads them again. If a file cannot be restored, the
    /// others still are.
    ///
    /// # Errors
    ///
    /// Fails with the first file that still differs at the end.
    pub fn restore(&self, former: &Former) -> Result<()> {
        // There are two rounds, because some files limit each other.
        let mut answer = Ok(());
        for _ in 0..2 {
            answer = Ok(());
            for file in former.files.iter().rev() {
                let restored = self.put_back(file);
                answer = answer.and(restored);
            }
            // accepts: no error; it is returned below.
            if answer.is_ok() {
                break;
            }
        }
        answer
    }

    fn put_back(&self, file: &FormerFile) -> Result<()> {
        let Some((_, dir)) = self.directories().find(|(in_leaf, _)| *in_leaf == file.in_leaf) else { return Ok(()) };
        let path = self.path().join(&file.name);
        let read = || files::read_file(dir, &file.name).map_err(|errno| CgroupError::new("read", &path, errno));
        let now = read()?;
        if same(&now, &file.text) {
            return Ok(());
        }
        for line in undoing(file, &now) {
            files::write_file(dir, &file.name, &line)
                .map_err(|errno| CgroupError::new(format!("write {line:?} to"), &path, errno))?;
        }
        let now = read()?;
        if same(&now, &file.text) {
            return Ok(());
        }
        Err(CgroupError::new("restore", path, format!("it reads {:?}, not {:?}", now.trim_end(), file.text.trim_end())))
    }

    fn directories(&self) -> impl Iterator<Item = (bool, BorrowedFd<'_>)> {
        let leaf = self.leaf.as_ref().map(|leaf| (true, leaf.as_fd()));
        [(false, self.dir.as_fd())].into_iter().chain(leaf)
    }
}

/// Whether two texts have the same lines: the order of device lines varies.
fn same(a: &str, b: &str) -> bool {
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        lines.sort_unstable();
        lines
    };
    sorted(a) == sorted(b)
}

/// Returns the lines to write so that a file that now reads `now` reads as before.
fn undoing(file: &FormerFile, now: &str) -> Vec<String> {
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let before: Vec<_> = file.text.lines().filter_map(first).collect();
    let nothing = match file.name.as_str() {
        "io.max" => "rbps=max wbps=max riops=max wiops=max",
        "io.weight" | "io.bfq.weight" => "default",
        "io.latency" => "target=0",
        _ => "",
    };
    let new_devices = now.lines().filter_map(first).filter(|device| !nothing.is_empty() && !before.contains(device));
    let mut lines: Vec<String> = new_devices.map(|device| format!("{device} {nothing}")).collect();
    if file.text.trim().is_empty() && lines.is_empty() {
        lines.push(String::new());
    }
    lines.extend(file.text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_device_lines_are_reset() {
        for (name, text, now, expected) in [
            ("io.max", "", "8:0 rbps=1 wbps=max\n", &["8:0 rbps=max wbps=max riops=max wiops=max"][..]),
            ("io.max", "8:0 rbps=2\n", "8:0 rbps=1\n", &["8:0 rbps=2"]),
            ("io.weight", "default 100\n", "default 50\n8:0 7\n", &["8:0 default", "default 100"]),
            ("cpuset.cpus", "\n", "0-1\n", &[""]),
            ("cpu.max", "max 100000\n", "1000 100000\n", &["max 100000"]),
        ] {
            let file = FormerFile { in_leaf: false, name: name.to_owned(), text: text.to_owned() };
            assert_eq!(undoing(&file, now), expected, "{name}");
        }
    }
}
