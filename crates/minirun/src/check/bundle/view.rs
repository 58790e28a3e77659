//! The files of a container before it exists: its root and what is mounted on it, looked up as init would.
//!
//! Links count from the container's root. What a file system of the kernel's own will show cannot be told, and is not
//! guessed at.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

/// What lies at a mount point.
#[derive(Debug, Clone)]
pub enum Backing {
    /// A file or directory of the host.
    Host(PathBuf),
    /// Layers, top first.
    Layers(Vec<PathBuf>),
    /// An empty file system.
    Empty,
    /// One whose contents the kernel makes up, or that was not looked into.
    Unknown {
        /// Is it procfs, on which no link may lead a mount?
        proc: bool,
    },
}

#[derive(Debug)]
struct Mounted {
    at: PathBuf,
    backing: Backing,
    noexec: bool,
}

/// The root and the mounts so far.
#[derive(Debug)]
pub struct View {
    mounts: Vec<Mounted>,
}

/// What a path leads to.
#[derive(Debug)]
pub enum Found {
    /// A file of the host.
    File {
        /// The path in the container, without links.
        inside: PathBuf,
        /// Where it is on the host.
        host: PathBuf,
        metadata: Box<Metadata>,
        /// Is it mounted without the right to execute?
        noexec: bool,
    },
    /// A directory that is made for a mount, or is the root of an empty file system.
    Made(PathBuf),
    /// Whatever the kernel shows there.
    Unknown {
        /// Is it procfs?
        proc: bool,
    },
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// There is no such file.
    Missing(PathBuf),
    /// A file is in the way.
    NotDirectory(PathBuf),
    /// More links than the kernel follows.
    Links,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lost::Missing(path) => write!(f, "{} does not exist in the container", path.display()),
            Lost::NotDirectory(path) => write!(f, "{} is not a directory", path.display()),
            Lost::Links => f.write_str("too many levels of symbolic links"),
        }
    }
}

impl View {
    pub fn of(root: Backing) -> View {
        View { mounts: vec![Mounted { at: "/".into(), backing: root, noexec: false }] }
    }

    /// Mounts something at a path that was looked up.
    pub fn mount(&mut self, at: PathBuf, backing: Backing, noexec: bool) {
        self.mounts.push(Mounted { at, backing, noexec });
    }

    /// Is something mounted exactly there?
    pub fn is_mount(&self, path: &Path) -> bool {
        self.mounts.iter().any(|mounted| mounted.at == path)
    }

    /// What is at a path without a link in it, itself not followed; none when there is nothing.
    fn look(&self, path: &Path) -> Option<Found> {
        let at = |mounted: &&Mounted| path.starts_with(&mounted.at);
        // The longest mount point, of several the last: it lies on top.
        let longest = self.mounts.iter().filter(at).map(|mounted| mounted.at.as_os_str().len()).max()?;
        let mounted = self.mounts.iter().filter(at).rfind(|mounted| mounted.at.as_os_str().len() == longest)?;
        let rest = path.strip_prefix(&mounted.at).ok()?;
        let found = match &mounted.backing {
            Backing::Host(host) => found(path, &joined(host, rest), mounted.noexec),
            Backing::Layers(layers) => in_layers(layers, rest).and_then(|host| found(path, &host, mounted.noexec)),
            Backing::Empty if rest.as_os_str().is_empty() => Some(Found::Made(path.to_owned())),
            Backing::Empty => None,
            Backing::Unknown { proc } => Some(Found::Unknown { proc: *proc }),
        };
        // Mount points and the directories above them are made where they are missing.
        let made = || self.mounts.iter().any(|other| other.at.starts_with(path) && other.at != mounted.at);
        found.or_else(|| made().then(|| Found::Made(path.to_owned())))
    }

    /// What a path leads to, counted from `from`; a link at its end is followed if `follow`.
    pub fn resolve(&self, from: &Path, path: &Path, follow: bool) -> Result<Found, Lost> {
        self.walk(from, path, follow, |missing| Err(Lost::Missing(missing.to_owned())))
    }

    /// As [`View::resolve`] from the root, where init makes what is missing; with the directory that is to hold the first
    /// thing made, if there is one.
    pub fn make(&self, path: &Path, follow: bool) -> Result<(Found, Option<PathBuf>), Lost> {
        let mut holder = None;
        let found = self.walk(Path::new("/"), path, follow, |missing| {
            holder.get_or_insert_with(|| missing.parent().unwrap_or(missing).to_owned());
            Ok(Found::Made(missing.to_owned()))
        })?;
        Ok((found, holder))
    }

    fn walk(
        &self,
        from: &Path,
        path: &Path,
        follow: bool,
        mut missing: impl FnMut(&Path) -> Result<Found, Lost>,
    ) -> Result<Found, Lost> {
        const MOST_LINKS: usize = 40;
        let mut links = 0;
        let mut here = PathBuf::from("/");
        let mut left: VecDeque<OsString> = parts(from).chain(parts(path)).collect();
        if path.is_absolute() {
            left = parts(path).collect();
        }
        let mut last = self.look(&here).ok_or_else(|| Lost::Missing(here.clone()))?;
        while let Some(part) = left.pop_front() {
            if let Found::File { metadata, .. } = &last
                && !metadata.is_dir()
            {
                return Err(Lost::NotDirectory(here));
            }
            if part == ".." {
                here.pop();
                last = self.look(&here).unwrap_or(Found::Unknown { proc: false });
                continue;
            }
            let next = here.join(&part);
            match self.look(&next) {
                None => (here, last) = (next.clone(), missing(&next)?),
                Some(Found::Unknown { proc }) => return Ok(Found::Unknown { proc }),
                Some(Found::File { host, metadata, .. }) if metadata.is_symlink() && (follow || !left.is_empty()) => {
                    links += 1;
                    let target = std::fs::read_link(&host).map_err(|_| Lost::Missing(next.clone()))?;
                    if links > MOST_LINKS {
                        return Err(Lost::Links);
                    }
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    parts(&target).rev().for_each(|part| left.push_front(part));
                    last = self.look(&here).unwrap_or(Found::Unknown { proc: false });
                }
                Some(found) => (here, last) = (next, found),
            }
        }
        Ok(last)
    }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// `join` would put a slash after a file that is itself mounted.
fn joined(host: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { host.to_owned() } else { host.join(rest) }
}

fn found(inside: &Path, host: &Path, noexec: bool) -> Option<Found> {
    let metadata = std::fs::symlink_metadata(host).ok()?;
    Some(Found::File { inside: inside.to_owned(), host: host.to_owned(), metadata: Box::new(metadata), noexec })
}

/// The topmost layer that has it, unless a layer above hides it: by a whiteout, a file in the way, or an opaque directory
/// (overlayfs.rst).
fn in_layers(layers: &[PathBuf], rest: &Path) -> Option<PathBuf> {
    for layer in layers {
        let mut here = layer.clone();
        let mut complete = true;
        let mut opaque = is_opaque(&here);
        for part in rest.components() {
            here.push(part);
            match std::fs::symlink_metadata(&here) {
                Ok(found) if found.file_type().is_char_device() && found.rdev() == 0 => return None,
                Ok(found) if found.is_dir() => opaque |= is_opaque(&here),
                Ok(_) => {}
                Err(_) => {
                    complete = false;
                    break;
                }
            }
        }
        if complete {
            return Some(here);
        }
        if opaque || here.parent().is_some_and(|parent| std::fs::symlink_metadata(parent).is_ok_and(|it| !it.is_dir()))
        {
            return None;
        }
    }
    None
}

fn is_opaque(directory: &Path) -> bool {
    use std::os::fd::AsFd as _;
    let Ok(directory) = std::fs::File::open(directory) else { return false };
    let mut value = [0u8; 4];
    [c"trusted.overlay.opaque", c"user.overlay.opaque"].iter().any(|name| {
        minirun_sys::get_xattr(directory.as_fd(), name, &mut value)
            .is_ok_and(|length| value[..length].starts_with(b"y"))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory of the test's own.
    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("minirun-view-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn links_count_from_the_containers_root() {
        let root = scratch("links");
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/true"), "x").unwrap();
        symlink("/usr/bin", root.join("bin")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("../../../usr", root.join("up")).unwrap();
        let view = View::of(Backing::Host(root.clone()));
        let file = |path: &str| match view.resolve(Path::new("/"), Path::new(path), true) {
            Ok(Found::File { inside, .. }) => inside.display().to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(file("/bin/true"), "/usr/bin/true");
        assert_eq!(file("/up/bin/../bin/true"), "/usr/bin/true");
        assert_eq!(file("/loop"), "Err(Links)");
        assert_eq!(file("/bin/false"), "Err(Missing(\"/usr/bin/false\"))");
        assert_eq!(file("/bin/true/x"), "Err(NotDirectory(\"/usr/bin/true\"))");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_is_missing_is_made_where_links_lead() {
        let root = scratch("made");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/file"), "x").unwrap();
        for (name, target) in
            [("etc/up", "../../run/a"), ("chain", "etc/up/b"), ("loop", "loop"), ("through", "new/../etc/file/x")]
        {
            symlink(target, root.join(name)).unwrap();
        }
        let view = View::of(Backing::Host(root.clone()));
        let made = |path: &str| match view.make(Path::new(path), true) {
            Ok((Found::Made(inside), Some(holder))) => format!("{} in {}", inside.display(), holder.display()),
            other => format!("{other:?}"),
        };
        assert_eq!(made("/new/er"), "/new/er in /");
        assert_eq!(made("/etc/up"), "/run/a in /");
        assert_eq!(made("/chain/c"), "/run/a/b/c in /");
        assert_eq!(made("/loop/x"), "Err(Links)");
        assert_eq!(made("/through"), "Err(NotDirectory(\"/etc/file\"))");
        assert!(matches!(view.make(Path::new("/etc/up"), false), Ok((Found::File { .. }, None))));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn mounts_hide_what_is_beneath_and_make_their_own_place() {
        let root = scratch("mounts");
        let other = scratch("other");
        fs::create_dir_all(root.join("data")).unwrap();
        fs::write(root.join("data/old"), "x").unwrap();
        fs::write(other.join("new"), "x").unwrap();
        let mut view = View::of(Backing::Host(root.clone()));
        view.mount("/data".into(), Backing::Host(other.clone()), false);
        view.mount("/made/for/it".into(), Backing::Empty, false);
        let there = |path: &str| view.resolve(Path::new("/"), Path::new(path), true).is_ok();
        assert!(there("/data/new") && !there("/data/old"));
        assert!(there("/made/for") && there("/made/for/it") && !there("/made/for/it/x"));
        fs::remove_dir_all(root).unwrap();
        fs::remove_dir_all(other).unwrap();
    }

    #[test]
    fn the_topmost_layer_wins() {
        let (top, bottom) = (scratch("top"), scratch("bottom"));
        for (layer, text) in [(&top, "top"), (&bottom, "bottom")] {
            fs::write(layer.join("both"), text).unwrap();
        }
        fs::write(bottom.join("deep"), "x").unwrap();
        let layers = [top.clone(), bottom.clone()];
        assert_eq!(in_layers(&layers, Path::new("both")), Some(top.join("both")));
        assert_eq!(in_layers(&layers, Path::new("deep")), Some(bottom.join("deep")));
        assert_eq!(in_layers(&layers, Path::new("both/x")), None);
        fs::remove_dir_all(top).unwrap();
        fs::remove_dir_all(bottom).unwrap();
    }
}
