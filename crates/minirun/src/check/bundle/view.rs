//! The files of a container before it exists: its root and what is mounted on it, looked up as init would.
//!
//! Links count from the container's root. What a file system of the kernel's own will show is told from the host's instance
//! of it (`kernel.rs`) or not at all.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use minirun_overlay::{Mark, Marks};

use super::kernel::{Kernel, Shown};

const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC as u64;
const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY as u64;

/// What lies at a mount point.
#[derive(Debug, Clone)]
pub enum Backing {
    /// A file or directory of the host.
    Host(PathBuf),
    /// Layers, top first.
    Layers(Vec<PathBuf>),
    /// An empty file system.
    Empty,
    /// A node that is made in the container: no directory.
    Node,
    /// One whose contents the kernel makes up.
    Kernel(Kernel),
    /// One that was not looked into.
    Unknown,
}

#[derive(Debug)]
struct Mounted {
    backing: Backing,
    noexec: bool,
    read_only: bool,
}

/// A directory on the way to a mount point, or one.
#[derive(Debug, Default)]
struct Node {
    /// The last thing mounted there, which lies on top.
    mounted: Option<Mounted>,
    inner: BTreeMap<OsString, Node>,
}

/// The root and the mounts so far.
#[derive(Debug)]
pub struct View {
    root: Node,
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
        /// Whether it is mounted without the right to execute.
        noexec: bool,
    },
    /// A directory that is made for a mount, or is the root of an empty file system.
    Made(PathBuf),
    /// A device node or a pipe that is made in the container.
    Node(PathBuf),
    /// Something of a file system whose contents the kernel makes up.
    Kernel {
        /// The path in the container, without links.
        inside: PathBuf,
        /// Which file system.
        filesystem: Kernel,
        /// What it has there, as far as that can be told.
        kind: Shown,
    },
    /// Something that was not looked into.
    Unknown,
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
        let mut view = View { root: Node::default() };
        view.mount("/".into(), root, 0);
        view
    }

    /// Mounts something with these attributes at a path that was looked up.
    pub fn mount(&mut self, at: PathBuf, backing: Backing, attributes: u64) {
        let node = parts(&at).fold(&mut self.root, |node, part| node.inner.entry(part).or_default());
        let (noexec, read_only) = (attributes & NOEXEC != 0, attributes & RDONLY != 0);
        node.mounted = Some(Mounted { backing, noexec, read_only });
    }

    /// Whether a mount of the container's own keeps everybody from making something there.
    pub fn is_read_only(&self, path: &Path) -> bool {
        let mut node = Some(&self.root);
        let mut read_only = false;
        for part in std::iter::once(None).chain(parts(path).map(Some)) {
            node = part.map_or(node, |part| node.and_then(|node| node.inner.get(&part)));
            read_only = node.and_then(|node| node.mounted.as_ref()).map_or(read_only, |mounted| mounted.read_only);
        }
        read_only
    }

    /// Changes whether the mount at a path is read-only.
    pub fn set_read_only(&mut self, at: &Path, read_only: bool) {
        let node = parts(at).try_fold(&mut self.root, |node, part| node.inner.get_mut(&part));
        if let Some(mounted) = node.and_then(|node| node.mounted.as_mut()) {
            mounted.read_only = read_only;
        }
    }

    /// Whether something is mounted exactly there.
    pub fn is_mount(&self, path: &Path) -> bool {
        let node = parts(path).try_fold(&self.root, |node, part| node.inner.get(&part));
        node.is_some_and(|node| node.mounted.is_some())
    }

    /// What is at a path without a link in it, itself not followed; none when there is nothing.
    fn look(&self, path: &Path) -> Option<Found> {
        let (mut node, mut deepest, mut depth) = (Some(&self.root), None, 0);
        for (i, part) in std::iter::once(None).chain(parts(path).map(Some)).enumerate() {
            node = match part {
                Some(part) => node.and_then(|node| node.inner.get(&part)),
                None => node,
            };
            if let Some(mounted) = node.and_then(|node| node.mounted.as_ref()) {
                (deepest, depth) = (Some(mounted), i);
            }
        }
        let mounted = deepest?;
        let rest: PathBuf = parts(path).skip(depth).collect();
        let found = match &mounted.backing {
            Backing::Host(host) => found(path, &joined(host, &rest), mounted.noexec),
            Backing::Layers(layers) => in_layers(layers, &rest).and_then(|host| found(path, &host, mounted.noexec)),
            Backing::Empty if rest.as_os_str().is_empty() => Some(Found::Made(path.to_owned())),
            Backing::Empty => None,
            Backing::Node => rest.as_os_str().is_empty().then(|| Found::Node(path.to_owned())),
            Backing::Kernel(filesystem) => filesystem.look(&rest).map(|kind| {
                let (inside, filesystem) = (path.to_owned(), *filesystem);
                Found::Kernel { inside, filesystem, kind }
            }),
            Backing::Unknown => Some(Found::Unknown),
        };
        // Mount points and the directories above them are made where they are missing.
        let made = || node.is_some_and(|node| node.mounted.is_none() || !node.inner.is_empty());
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
            match &last {
                Found::File { metadata, .. } if !metadata.is_dir() => return Err(Lost::NotDirectory(here)),
                Found::Node(_) | Found::Kernel { kind: Shown::File, .. } => return Err(Lost::NotDirectory(here)),
                _ => {}
            }
            if part == ".." {
                here.pop();
                last = self.look(&here).unwrap_or(Found::Unknown);
                continue;
            }
            let next = here.join(&part);
            match self.look(&next) {
                None => (here, last) = (next.clone(), missing(&next)?),
                Some(Found::Unknown) => return Ok(Found::Unknown),
                Some(found @ Found::Kernel { kind: Shown::Untold, .. }) => return Ok(found),
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
                    last = self.look(&here).unwrap_or(Found::Unknown);
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
    let Ok(directory) = std::fs::File::open(directory) else { return false };
    [Marks::Trusted, Marks::User].iter().any(|marks| matches!(marks.of(directory.as_fd()), Ok(Some(Mark::Opaque))))
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
        view.mount("/data".into(), Backing::Host(other.clone()), 0);
        view.mount("/made/for/it".into(), Backing::Empty, 0);
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
