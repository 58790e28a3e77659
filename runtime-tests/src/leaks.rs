//! Finds everything that a container left behind: processes, mounts, cgroups and entries of the state directory.

use std::fs;
use std::path::{Path, PathBuf};

/// Everything on this host that still belongs to a container or its bundle.
///
/// The ids of the tests are unique on the machine, so everything that carries one belongs to that test, and concurrent
/// tests do not interfere.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Leaks {
    /// Processes in its cgroup, in its root, or with the identifier among their arguments, as `pid name`.
    pub processes: Vec<String>,
    /// Lines of the tests' own mountinfo that mention the bundle.
    pub mounts: Vec<String>,
    /// Cgroups with the id in their name.
    pub cgroups: Vec<PathBuf>,
    /// Entries of the state directory with the id in their name.
    pub state: Vec<PathBuf>,
}

impl Leaks {
    /// Finds everything that carries the id, which is also the name of the bundle's directory.
    pub fn of(id: &str, state: &Path) -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = mountinfo.lines().filter(|line| line.contains(id)).map(str::to_owned).collect();
        let mut cgroups = Vec::new();
        find_cgroups(Path::new("/sys/fs/cgroup"), id, &mut cgroups);
        let entries = fs::read_dir(state).into_iter().flatten().flatten().map(|entry| entry.path());
        let state = entries.filter(|path| path.to_string_lossy().rsplit('/').next().unwrap_or("").contains(id));
        Self { processes: processes(id), mounts, cgroups, state: state.collect() }
    }

    /// Whether nothing was found.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns what was added since `before`.
    pub fn since(mut self, before: &Self) -> Self {
        self.processes.retain(|found| !before.processes.contains(found));
        self.mounts.retain(|found| !before.mounts.contains(found));
        self.cgroups.retain(|found| !before.cgroups.contains(found));
        self.state.retain(|found| !before.state.contains(found));
        self
    }

    /// Ends the processes and removes the cgroups and mounts, for a test whose runtime failed to.
    pub fn sweep(&self) {
        for process in &self.processes {
            let pid = process.split(' ').next().and_then(|pid| pid.parse().ok());
            let _ = pid.map(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL));
        }
        for line in self.mounts.iter().rev() {
            let target = line.split(' ').nth(4).unwrap_or("").replace("\\040", " ");
            let _ = nix::mount::umount2(target.as_str(), nix::mount::MntFlags::MNT_DETACH);
        }
        for cgroup in self.cgroups.iter().rev() {
            let _ = fs::write(cgroup.join("cgroup.kill"), "1");
            let gone = || fs::remove_dir(cgroup).is_ok() || !cgroup.exists();
            let _ = (0..200).any(|_| {
                gone() || {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    false
                }
            });
        }
    }
}

/// Finds cgroups, parents before children.
fn find_cgroups(directory: &Path, id: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.path().to_string_lossy().contains(id) {
                found.push(entry.path());
            }
            find_cgroups(&entry.path(), id, found);
        }
    }
}

fn processes(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if pid == std::process::id() {
            continue;
        }
        let holds = |name: &str| {
            let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(id)
        };
        if is_orphaned_zombie(&entry.path()) {
            continue;
        }
        if holds("cgroup") || holds("cmdline") || is_rooted_in(&entry.path(), id) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push(format!("{pid} {}", name.trim()));
        }
    }
    found
}

/// Whether a process's root directory is a mount with the id in its path. Other mounts do not count: a new namespace
/// first has copies of all mounts of the host.
fn is_rooted_in(process: &Path, id: &str) -> bool {
    let mountinfo = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
    mountinfo.lines().any(|line| {
        let mut fields = line.split(' ').skip(3);
        fields.next().is_some_and(|root| root.contains(id)) && fields.next() == Some("/")
    })
}

/// Whether this is a dead or dying process whose parent is the machine's first process, which must reap it. The first
/// process of a pid namespace ends only after the last of the others was reaped.
fn is_orphaned_zombie(process: &Path) -> bool {
    const PF_EXITING: u32 = 4;
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    // The name, in parentheses, can contain any character.
    let Some((_, rest)) = stat.rsplit_once(')') else { return true };
    let fields: Vec<_> = rest.split_whitespace().take(7).collect();
    let &[state, parent, .., flags] = &fields[..] else { return true };
    let exiting = flags.parse::<u32>().is_ok_and(|flags| flags & PF_EXITING != 0);
    parent == "1" && (state == "Z" || exiting)
}
