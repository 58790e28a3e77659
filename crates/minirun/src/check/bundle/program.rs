//! Whether a program can be executed: whether it exists, this user can, and its interpreter and libraries exist (execve(2)).
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::kernel::Shown;
use super::view::{Found, Lost, View};

/// Scripts of scripts that the kernel follows (`exec_binprm`).
const MOST_INTERPRETERS: usize = 5;

/// Who executes it, with the ids that the host's files have.
#[derive(Debug, Clone, Default)]
pub struct Who {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    /// CAP_DAC_OVERRIDE: one bit of the three is enough.
    pub overrides: bool,
    /// CAP_DAC_READ_SEARCH: every directory may be searched.
    pub searches: bool,
}

impl Who {
    fn may_execute(&self, file: &std::fs::Metadata) -> bool {
        let mode = file.mode();
        if self.overrides || file.is_dir() && self.searches {
            return file.is_dir() || mode & 0o111 != 0;
        }
        let shift = match file {
            file if file.uid() == self.uid => 6,
            file if file.gid() == self.gid || self.groups.contains(&file.gid()) => 3,
            _ => 0,
        };
        mode >> shift & 1 != 0
    }
}

/// What keeps a program from being executed, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    pub seen: String,
    pub advice: &'static str,
    /// Whether it is only doubtful.
    pub doubtful: bool,
}

fn obstacle(seen: impl Into<String>, advice: &'static str) -> Obstacle {
    Obstacle { seen: seen.into(), advice, doubtful: false }
}

/// Looks for the program among these, as init does: the first that may be executed counts.
pub fn find(view: &View, who: &Who, cwd: &Path, candidates: &[PathBuf], search: bool) -> Result<(), Obstacle> {
    let mut doubtful = None;
    for candidate in candidates {
        match admit(view, who, cwd, candidate) {
            Ok(found) => return executable(view, who, &found, 0),
            Err(obstacle) if !search => return Err(obstacle),
            Err(obstacle) if obstacle.doubtful => doubtful = doubtful.or(Some(obstacle)),
            Err(_) => {}
        }
    }
    if let Some(doubtful) = doubtful {
        return Err(doubtful);
    }
    let tried = candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let seen = match tried.is_empty() {
        true => "executable file not found: process.env has no PATH".to_owned(),
        false => format!("executable file not found in $PATH: {tried}"),
    };
    Err(obstacle(seen, "give the whole path, or correct PATH in process.env or the root file system"))
}

/// Whether it exists and can be executed.
fn admit(view: &View, who: &Who, cwd: &Path, path: &Path) -> Result<Found, Obstacle> {
    let shown = path.display();
    let found = match view.resolve(cwd, path, true) {
        Ok(found) => found,
        Err(Lost::Missing(missing)) if missing != path => {
            let seen = format!("{shown}: {}", Lost::Missing(missing));
            return Err(obstacle(seen, "put the program into the root file system, or name another"));
        }
        Err(lost) => {
            return Err(obstacle(lost.to_string(), "put the program into the root file system, or name another"));
        }
    };
    let Found::File { metadata, noexec, inside, host } = &found else {
        return match found {
            Found::Unknown | Found::Kernel { kind: Shown::Untold | Shown::File, .. } => {
                let seen = format!("{shown} is on a file system that is not there yet: it was not looked at");
                Err(Obstacle { doubtful: true, ..obstacle(seen, "") })
            }
            Found::Node(_) => Err(obstacle(format!("{shown} is a device"), "name a program")),
            _ => Err(obstacle(format!("{shown} is a directory"), "name a program")),
        };
    };
    if metadata.is_dir() {
        return Err(obstacle(format!("{shown} is a directory"), "name a program"));
    }
    if metadata.mode() & 0o111 == 0 {
        return Err(obstacle(format!("{shown} is not executable"), "chmod +x it in the root file system"));
    }
    if !who.may_execute(metadata) {
        let seen = format!("user {} of the host cannot execute {shown}", who.uid);
        return Err(obstacle(seen, "chmod a+rx it, or change process.user"));
    }
    if let Some(closed) = closed_directory(view, who, inside) {
        let seen = format!("{shown}: user {} of the host cannot search {}", closed.display(), who.uid);
        return Err(obstacle(seen, "chmod a+x the directory, or change process.user"));
    }
    let on_host = nix::sys::statvfs::statvfs(host.as_path());
    if *noexec || on_host.is_ok_and(|stat| stat.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC)) {
        return Err(obstacle(format!("{shown} is on a mount with noexec"), "mount it with exec"));
    }
    Ok(found)
}

/// The first directory on the way that does not let the user through.
fn closed_directory(view: &View, who: &Who, inside: &Path) -> Option<PathBuf> {
    let mut above: Vec<&Path> = inside.ancestors().skip(1).collect();
    above.reverse();
    above.into_iter().find_map(|directory| match view.resolve(Path::new("/"), directory, false) {
        Ok(Found::File { metadata, .. }) if metadata.is_dir() && !who.may_execute(&metadata) => {
            Some(directory.to_owned())
        }
        _ => None,
    })
}

/// Whether the kernel accepts the file, and its interpreter exists.
fn executable(view: &View, who: &Who, found: &Found, depth: usize) -> Result<(), Obstacle> {
    let Found::File { inside, host, .. } = found else { return Ok(()) };
    let Ok(mut file) = File::open(host) else { return Ok(()) };
    let mut start = Vec::new();
    // As much as the kernel looks at (BINPRM_BUF_SIZE).
    if file.by_ref().take(256).read_to_end(&mut start).is_err() {
        return Ok(());
    }
    let shown = inside.display();
    if let Some(line) = start.strip_prefix(b"#!") {
        let Some(interpreter) = interpreter_of(line) else {
            return Err(obstacle(format!("{shown}: its first line names no interpreter"), "correct its first line"));
        };
        if depth >= MOST_INTERPRETERS {
            return Err(obstacle(format!("{shown}: too many interpreters of interpreters"), "name the program itself"));
        }
        let explain = |why: Obstacle| Obstacle {
            seen: format!("{shown}: its interpreter: {}", why.seen),
            advice: "put the interpreter into the root file system, or correct the script's first line",
            ..why
        };
        let interpreter = admit(view, who, Path::new("/"), &interpreter).map_err(explain)?;
        return executable(view, who, &interpreter, depth + 1).map_err(explain);
    }
    match elf(&file, &start) {
        Elf::Not => {
            let seen = format!("{shown}: exec format error: it is neither an ELF file nor a script with #!");
            Err(obstacle(seen, "begin a script with #! and its interpreter, as in #!/bin/sh"))
        }
        Elf::Foreign(machine) => {
            let seen =
                format!("{shown}: exec format error: it is for {machine}, and this is {}", std::env::consts::ARCH);
            let advice = "use a root file system for this machine, or register an emulator with binfmt_misc";
            Err(Obstacle { doubtful: has_emulators(), ..obstacle(seen, advice) })
        }
        Elf::Ours { loader: None } => Ok(()),
        Elf::Ours { loader: Some(loader) } => {
            admit(view, who, Path::new("/"), &loader).map(drop).map_err(|why| Obstacle {
                seen: format!("{shown}: its dynamic loader: {}", why.seen),
                advice: "put the loader and the libraries into the root file system, or link the program statically",
                ..why
            })
        }
    }
}

/// The word after `#!`.
fn interpreter_of(line: &[u8]) -> Option<PathBuf> {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
    let word = line.split(|byte| matches!(byte, b' ' | b'\t' | 0)).find(|word| !word.is_empty())?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(word)))
}

#[derive(Debug, PartialEq, Eq)]
enum Elf {
    Not,
    /// For another kind of machine.
    Foreign(String),
    Ours {
        loader: Option<PathBuf>,
    },
}

/// The machines that this one executes: its own, and the 32-bit one that most kernels of it take as well (elf(5)).
fn is_ours(machine: u16, class: u8) -> bool {
    match std::env::consts::ARCH {
        "x86_64" => machine == 62 || machine == 3 && class == 1,
        "aarch64" => machine == 183 || machine == 40 && class == 1,
        "riscv64" => machine == 243,
        "s390x" => machine == 22,
        "powerpc64" => machine == 21,
        _ => true,
    }
}

fn elf(file: &File, start: &[u8]) -> Elf {
    if start.len() < 52 || !start.starts_with(b"\x7fELF") {
        return Elf::Not;
    }
    let (class, little) = (start[4], start[5] == 1);
    let half = |at: usize| {
        let bytes = [start[at], start[at + 1]];
        if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    };
    let machine = half(18);
    if !is_ours(machine, class) || little != cfg!(target_endian = "little") {
        return Elf::Foreign(name_of(machine));
    }
    // 2 is an executable, 3 a shared object, which position independent executables are too.
    if !matches!(half(16), 2 | 3) || class == 2 && start.len() < 64 {
        return Elf::Not;
    }
    Elf::Ours { loader: loader(file, start, class == 2) }
}

/// The path in the segment PT_INTERP, of a file in this machine's byte order.
fn loader(file: &File, start: &[u8], wide: bool) -> Option<PathBuf> {
    const PT_INTERP: u64 = 3;
    let number = |bytes: &[u8], at: usize, size: usize| -> Option<u64> {
        let mut wide = [0u8; 8];
        let part = bytes.get(at..at + size)?;
        if cfg!(target_endian = "little") {
            wide[..size].copy_from_slice(part)
        } else {
            wide[8 - size..].copy_from_slice(part)
        }
        Some(u64::from_ne_bytes(wide))
    };
    let (table, size, count) = match wide {
        true => (number(start, 32, 8)?, number(start, 54, 2)?, number(start, 56, 2)?),
        false => (number(start, 28, 4)?, number(start, 42, 2)?, number(start, 44, 2)?),
    };
    for i in 0..count {
        let mut header = vec![0u8; (size as usize).min(64)];
        file.read_exact_at(&mut header, table.checked_add(i * size)?).ok()?;
        if number(&header, 0, 4)? != PT_INTERP {
            continue;
        }
        let (offset, length) = match wide {
            true => (number(&header, 8, 8)?, number(&header, 32, 8)?),
            false => (number(&header, 4, 4)?, number(&header, 16, 4)?),
        };
        let mut path = vec![0u8; length.min(libc::PATH_MAX as u64) as usize];
        file.read_exact_at(&mut path, offset).ok()?;
        let path = path.split(|byte| *byte == 0).next()?;
        return Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)));
    }
    None
}

fn name_of(machine: u16) -> String {
    let name = match machine {
        3 => "i386",
        8 => "mips",
        20 | 21 => "powerpc",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        other => return format!("ELF machine {other}"),
    };
    name.to_owned()
}

/// Whether an emulator is registered (binfmt_misc.rst).
fn has_emulators() -> bool {
    let entries = std::fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name() != "register" && entry.file_name() != "status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_interpreter() {
        assert_eq!(interpreter_of(b" /bin/sh -e\nrest"), Some("/bin/sh".into()));
        assert_eq!(interpreter_of(b"/bin/sh\n"), Some("/bin/sh".into()));
        assert_eq!(interpreter_of(b"  \nrest"), None);
    }

    #[test]
    fn this_program_is_one_of_this_machine() {
        let mut file = File::open("/proc/self/exe").unwrap();
        let mut start = vec![0; 256];
        file.read_exact(&mut start).unwrap();
        assert!(matches!(elf(&file, &start), Elf::Ours { .. }));
        // e_machine, low byte in this machine's order.
        start[if cfg!(target_endian = "little") { 18 } else { 19 }] = 8;
        start[if cfg!(target_endian = "little") { 19 } else { 18 }] = 0;
        assert_eq!(elf(&file, &start), Elf::Foreign("mips".to_owned()));
        assert_eq!(elf(&file, b"text"), Elf::Not);
    }
}
