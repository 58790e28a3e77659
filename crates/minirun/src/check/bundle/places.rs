//! The files of the container: its root and layers, sources and places of mounts, nodes, the program and the hooks.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use minirun_plan::{Handle, Hook, IdMaps, InRoot, MountPoint, NodeKind, Op, Origin, PointKind, Source, Step};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::Findings;
use super::kernel::{Kernel, Shown};
use super::maps::IdRanges;
use super::program::{self, Obstacle, Who};
use super::view::{Backing, Found, View};
use crate::check::mounts::map_ids_of;

const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY as u64;

/// Goes through the steps as init would, over a picture of the files.
struct Walk<'f, 'a> {
    findings: &'f mut Findings<'a>,
    view: View,
    /// Layers of the root so far, top first.
    layers: Vec<PathBuf>,
    upper: Option<PathBuf>,
    ranges: Option<IdRanges>,
    cwd: PathBuf,
    /// Who executes the program.
    user: Who,
    /// The mount points of the host, once they are asked for.
    host_mounts: OnceCell<BTreeSet<Vec<u8>>>,
}

pub fn check(findings: &mut Findings<'_>) {
    let plan = findings.plan;
    hooks(findings);
    if let Some(joined) = plan.namespaces.join.iter().find(|joined| joined.kind == libc::CLONE_NEWNS as u64) {
        return findings.doubt(&joined.origin, "the files in it were not looked at", "");
    }
    let ranges = IdRanges::of(plan);
    let mut walk = Walk {
        view: View::of(Backing::Unknown),
        layers: Vec::new(),
        upper: None,
        user: user_of(findings, ranges.as_ref()),
        ranges,
        cwd: "/".into(),
        host_mounts: OnceCell::new(),
        findings,
    };
    plan.init.iter().for_each(|step| walk.step(step));
}

fn path_of(text: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(text.to_bytes()))
}

/// Where a path of the host leads: a layer may be named by a link.
fn real(path: &CStr) -> PathBuf {
    std::fs::canonicalize(path_of(path)).unwrap_or_else(|_| path_of(path).to_owned())
}

fn inside(path: &InRoot) -> PathBuf {
    Path::new("/").join(path_of(path.path()))
}

fn words(error: &std::io::Error) -> String {
    error
        .raw_os_error()
        .map_or_else(|| error.to_string(), |raw| minirun_sys::errno_text(minirun_sys::Errno::from_raw(raw)))
}

impl Walk<'_, '_> {
    fn step(&mut self, step: &Step) {
        let origin = &step.origin;
        match &step.op {
            Op::BindRoot(source, _) => self.view = View::of(Backing::Host(real(source.path()))),
            Op::Chroot(path) => self.view = View::of(Backing::Host(real(path))),
            Op::OverlayLower(path) => {
                self.directory(origin, path_of(path));
                self.layers.push(real(path));
            }
            Op::OverlayUpper(path) => {
                self.directory(origin, path_of(path));
                self.upper = Some(real(path));
            }
            Op::OverlayWork(path) => self.work(origin, path_of(path)),
            Op::OverlayRoot { .. } => {
                let layers = self.upper.iter().chain(&self.layers).cloned().collect();
                self.view = View::of(Backing::Layers(layers));
            }
            Op::Mount { filesystem, copy_up, point, .. } => {
                let Some(at) = self.point(origin, point, true) else { return };
                if !copy_up {
                    let empty = matches!(filesystem.to_bytes(), b"tmpfs" | b"ramfs");
                    let other = || Kernel::of_type(filesystem.to_bytes()).map_or(Backing::Unknown, Backing::Kernel);
                    self.view.mount(at, if empty { Backing::Empty } else { other() }, point.attributes.set);
                }
            }
            Op::ClassicMount { point, .. } => {
                if let Some(at) = self.point(origin, point, true) {
                    self.view.mount(at, Backing::Unknown, point.attributes.set);
                }
            }
            Op::MountCgroup { point, .. } => {
                if let Some(at) = self.point(origin, point, true) {
                    self.view.mount(at, Backing::Kernel(Kernel::Other), point.attributes.set);
                }
            }
            Op::Bind { source, recursive, idmap, idmap_recursive, point } => {
                self.bind(origin, source, idmap.map(|i| (i, *idmap_recursive)), *recursive, point);
            }
            Op::Remount { point, .. } => self.remount(origin, point),
            Op::Device { path, kind, device, .. } => {
                self.node(origin, path, |metadata| is_node(metadata, *kind, *device))
            }
            Op::BindDevice { source, path, device, .. } => {
                let handle = match source {
                    Source::Handle(i, _) => self.findings.plan.handles.get(*i),
                    Source::Path(_) | Source::Inside(..) => None,
                };
                // One that the parent makes needs none on the host.
                if handle.is_none_or(|handle| handle.node.is_none()) {
                    self.host_device(origin, path_of(source.path()), *device);
                }
                self.node(origin, path, |_| true);
            }
            Op::MakeDirectory(path) => self.make_directory(origin, path),
            Op::EnterDirectory(path) => self.cwd = path_of(path).to_owned(),
            Op::Terminal { .. } => self.terminal(origin),
            Op::FindProgram(candidates) => self.program(origin, candidates),
            Op::RunHook(i) => self.hook_inside(*i),
            // Tried by the other parts of this check.
            Op::Sysctl { .. }
            | Op::Limit { .. }
            | Op::Groups(_)
            | Op::User { .. }
            | Op::Capabilities { .. }
            | Op::DropBounding(_)
            | Op::MemoryPolicy(_)
            | Op::Personality(_)
            | Op::LsmAttribute { .. }
            | Op::Seccomp { .. }
            | Op::Join(_)
            | Op::NewTime
            | Op::PivotRoot
            | Op::SessionKeyring(_) => {}
            // Nothing of this host or of the bundle can make these fail that does not make others fail.
            Op::EnterContainer(_)
            | Op::EnterPidNamespace { .. }
            | Op::LabelQueues(_)
            | Op::BecomeRoot { .. }
            | Op::Hostname(_)
            | Op::Domainname(_)
            | Op::LoopbackUp
            | Op::Propagation(_)
            | Op::PrivateParent(_)
            | Op::OverlayStage { .. }
            | Op::AwaitHooks { .. }
            | Op::Symlink { .. }
            | Op::TakeAway(_)
            | Op::ChangeRoot { .. }
            | Op::MaskedPath { .. }
            | Op::ReadonlyPath { .. }
            | Op::VerifyMount { .. }
            | Op::RootPropagation(_)
            | Op::ReadonlyRoot
            | Op::EnterDirectoryAsUser(_)
            | Op::Umask(_)
            | Op::FindHome(_)
            | Op::NoNewPrivileges
            | Op::VerifyCredentials(_)
            | Op::OwnStreams(..)
            | Op::CloseDescriptors { .. }
            | Op::AwaitStart
            | Op::Execute => {}
        }
    }

    /// A layer must be a directory.
    fn directory(&mut self, origin: &Origin, path: &Path) {
        let seen = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return,
            Ok(_) => "not a directory".to_owned(),
            Err(error) => words(&error),
        };
        self.findings.problem(origin, format!("{}: {seen}", path.display()), "name a directory that is there");
    }

    fn work(&mut self, origin: &Origin, path: &Path) {
        self.directory(origin, path);
        // accepts: any error; it is reported as the problem of the directory itself.
        let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
        let upper = self.upper.clone().unwrap_or_default();
        if let (Some(a), Some(b)) = (device(&upper), device(path))
            && a != b
        {
            let seen = format!("{} and {} are not on the same file system", upper.display(), path.display());
            self.findings.problem(origin, seen, "put workdir beside upperdir");
        }
        for path in [&upper, path] {
            if statvfs(path).is_ok_and(|stat| stat.flags().contains(FsFlags::ST_RDONLY)) {
                let seen = format!("{}: read-only file system", path.display());
                self.findings.problem(origin, seen, "put upperdir and workdir where can be written");
            }
        }
    }

    /// Where a mount goes: the place without links. Nothing when it cannot go there.
    fn point(&mut self, origin: &Origin, point: &MountPoint, directory: bool) -> Option<PathBuf> {
        let directory = directory || point.kind != PointKind::LikeSource;
        let real = point.kind == PointKind::RealDirectory;
        let path = inside(&point.target);
        let shown = path.display();
        let problem = |findings: &mut Findings<'_>, seen: String, advice: &str| {
            findings.problem(origin, seen, advice);
            None
        };
        let (found, holder) = match self.view.make(&path, !real) {
            Ok(answer) => answer,
            Err(lost) => {
                let advice = "correct the root file system, or mount elsewhere";
                return problem(self.findings, lost.to_string(), advice);
            }
        };
        if let Some(holder) = holder
            && !self.may_make(origin, &path, &holder)
        {
            return None;
        }
        match found {
            Found::File { metadata, .. } if real && metadata.is_symlink() => {
                problem(self.findings, format!("{shown} is a link"), "make it a directory in the root file system")
            }
            found if directory && is_file(&found) => {
                let advice = "remove the file in the root file system, or mount elsewhere";
                problem(self.findings, format!("{shown} is a file, and a directory is needed there"), advice)
            }
            Found::File { metadata, .. } if !directory && metadata.is_dir() => {
                let seen = format!("not a directory: the source is a file, the mount point {shown} a directory");
                problem(self.findings, seen, "name a file as destination")
            }
            Found::File { inside, .. } | Found::Made(inside) | Found::Node(inside) => Some(inside),
            Found::Kernel { filesystem: Kernel::Proc, .. } if !point.may_cover_proc => {
                let advice = "remove the link in the root file system, or mount elsewhere";
                problem(self.findings, format!("{shown} cannot be mounted because it is inside /proc"), advice)
            }
            Found::Kernel { inside, .. } => Some(inside),
            Found::Unknown => Some(path),
        }
    }

    /// Whether the first part of a path that does not exist can be made in this directory.
    fn may_make(&mut self, origin: &Origin, path: &Path, holder: &Path) -> bool {
        let (host, metadata) = match self.view.resolve(Path::new("/"), holder, true) {
            Ok(Found::File { host, metadata, .. }) => (host, metadata),
            Ok(Found::Kernel { inside, filesystem: filesystem @ (Kernel::Proc | Kernel::Sysfs), .. }) => {
                return self.made_by_the_kernel(origin, path, &inside, filesystem);
            }
            _ => return true,
        };
        if let Some(filesystem) = Kernel::at(&host) {
            return self.made_by_the_kernel(origin, path, &host, filesystem);
        }
        let layered = !self.layers.is_empty() && self.layers.iter().any(|layer| host.starts_with(layer));
        let on_host = || statvfs(&host).is_ok_and(|stat| stat.flags().contains(FsFlags::ST_RDONLY));
        let read_only = self.view.is_read_only(holder) || !layered && on_host();
        if read_only || !self.may_write(&metadata) {
            let why = if read_only { "read-only file system" } else { "permission denied" };
            let seen = format!("{} is missing and cannot be made in {}: {why}", path.display(), host.display());
            let advice = "make it in the root file system beforehand, or give the root's files to the container's root";
            self.findings.problem(origin, seen, advice);
            return false;
        }
        true
    }

    /// Nobody makes files or directories in these.
    fn made_by_the_kernel(&mut self, origin: &Origin, path: &Path, directory: &Path, filesystem: Kernel) -> bool {
        let (path, directory, name) = (path.display(), directory.display(), filesystem.name());
        let seen =
            format!("{path} is missing and cannot be made in {directory}: {name} holds only what the kernel makes");
        self.findings.problem(origin, seen, "name a directory that is there, or one elsewhere");
        false
    }

    /// Whether init can make something in this directory. Root can, in a user namespace where the owners have ids.
    fn may_write(&self, directory: &std::fs::Metadata) -> bool {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let (uid, gid, all) = match &self.ranges {
            Some(ranges) => (
                ranges.uid(0).unwrap_or(uid),
                ranges.gid(0).unwrap_or(gid),
                ranges.knows(directory.uid(), directory.gid()),
            ),
            None => (uid, gid, uid == 0),
        };
        let shift = if directory.uid() == uid {
            6
        } else if directory.gid() == gid {
            3
        } else {
            0
        };
        all || directory.mode() >> shift & 0o3 == 0o3
    }

    fn bind(
        &mut self,
        origin: &Origin,
        source: &Source,
        idmap: Option<(usize, bool)>,
        recursive: bool,
        point: &MountPoint,
    ) {
        let plan = self.findings.plan;
        let path = path_of(source.path());
        let handle: Option<&Handle> = match source {
            Source::Handle(i, _) => plan.handles.get(*i),
            Source::Path(_) => None,
            // An earlier mount may make it, or cover it.
            Source::Inside(path, _) => return self.bind_inside(origin, path, point),
        };
        let origin_of_source = handle.map_or_else(|| origin.field("source"), |handle| handle.origin.clone());
        let (host, metadata) = match std::fs::canonicalize(path).and_then(|host| Ok((host.clone(), host.metadata()?))) {
            Ok(found) => found,
            Err(error) => {
                let seen = format!("{}: {}", path.display(), words(&error));
                let errno = minirun_sys::Errno::from_raw(error.raw_os_error().unwrap_or(0));
                let advice = match minirun_spawn::hint_for_source(path, errno) {
                    "" => "make it on the host, or correct the source",
                    hint => hint,
                };
                return self.findings.problem(&origin_of_source, seen, advice);
            }
        };
        let idmap = idmap.or(handle.and_then(|handle| handle.idmap));
        if let Some((maps, all)) = idmap.and_then(|(i, all)| Some((plan.idmaps.get(i)?, all))) {
            let maps = IdMaps { ..maps.clone() };
            if let Err(failure) = map_ids_of(&host, recursive && all, &maps) {
                let seen = format!("{}: ids cannot be mapped: {failure}", crate::check::files::describe(&host));
                let advice =
                    "keep the source on a file system with mapped ids: ext4, xfs, btrfs; tmpfs since Linux 6.3";
                self.findings.problem(origin, seen, advice);
            }
        }
        if let Some(at) = self.point(origin, point, metadata.is_dir()) {
            self.view.mount(at, Backing::Host(host), point.attributes.set | point.recursive.set);
        }
    }

    /// A source in the root, as the mounts before it have made it.
    fn bind_inside(&mut self, origin: &Origin, path: &InRoot, point: &MountPoint) {
        let source = inside(path);
        let (backing, directory) = match self.view.resolve(Path::new("/"), &source, true) {
            Ok(Found::File { host, metadata, .. }) => (Backing::Host(host), metadata.is_dir()),
            Ok(_) => (Backing::Unknown, true),
            Err(lost) => {
                let advice = "make it in the root file system, or correct the source";
                return self.findings.problem(&origin.field("source"), lost.to_string(), advice);
            }
        };
        if let Some(at) = self.point(origin, point, directory) {
            self.view.mount(at, backing, point.attributes.set | point.recursive.set);
        }
    }

    /// What is changed must be a mount.
    fn remount(&mut self, origin: &Origin, point: &MountPoint) {
        let path = inside(&point.target);
        let advice = "mount it in an entry before this one";
        let nothing = |findings: &mut Findings<'_>| {
            findings.problem(origin, format!("nothing is mounted at {}", path.display()), advice);
        };
        match self.view.resolve(Path::new("/"), &path, true) {
            Err(lost) => self.findings.problem(origin, lost.to_string(), advice),
            Ok(Found::File { inside, host, .. }) if !self.view.is_mount(&inside) && !self.is_mount_point(&host) => {
                nothing(self.findings);
            }
            Ok(Found::Made(inside) | Found::Kernel { inside, kind: Shown::Directory | Shown::File, .. })
                if !self.view.is_mount(&inside) =>
            {
                nothing(self.findings);
            }
            Ok(Found::File { inside, .. } | Found::Made(inside) | Found::Kernel { inside, .. }) => {
                if (point.attributes.set | point.attributes.clear) & RDONLY != 0 {
                    self.view.set_read_only(&inside, point.attributes.set & RDONLY != 0);
                }
            }
            Ok(_) => {}
        }
    }

    /// A node is made where there is none; one that is there must be the same.
    fn node(&mut self, origin: &Origin, path: &InRoot, is_same: impl FnOnce(&std::fs::Metadata) -> bool) {
        let path = inside(path);
        match self.view.make(&path, false) {
            Ok((Found::File { metadata, .. }, _)) if !is_same(&metadata) => {
                let seen = format!("something else is at {} already", path.display());
                self.findings.problem(origin, seen, "remove it in the root file system, or mount a tmpfs at /dev");
            }
            Ok((Found::Kernel { filesystem, .. }, _)) => {
                let seen = format!("{}: no node can be made in {}", path.display(), filesystem.name());
                self.findings.problem(origin, seen, "give it a path in /dev");
            }
            Ok((Found::Made(inside), holder)) => {
                if holder.is_none_or(|holder| self.may_make(origin, &path, &holder)) {
                    self.view.mount(inside, Backing::Node, 0);
                }
            }
            Ok(_) => {}
            Err(lost) => self.findings.problem(origin, lost.to_string(), "correct the root file system"),
        }
    }

    /// In a user namespace the host's node is mounted.
    fn host_device(&mut self, origin: &Origin, path: &Path, device: u64) {
        let seen = match std::fs::metadata(path) {
            Ok(found) if found.rdev() == device && !found.is_file() => return,
            Ok(_) => "the host has another node at that path".to_owned(),
            Err(error) => words(&error),
        };
        let advice = "make the node on the host, or leave it out: a user namespace cannot make one";
        self.findings.problem(origin, format!("{}: {seen}", path.display()), advice);
    }

    fn make_directory(&mut self, origin: &Origin, path: &InRoot) {
        let shown = inside(path);
        let advice = "name a directory, or one that can be made";
        match self.view.make(&shown, true) {
            Ok((found, _)) if is_file(&found) => {
                self.findings.problem(origin, format!("{} is not a directory", shown.display()), advice);
            }
            // A magic link of procfs is not followed, and a directory there cannot be made.
            Ok((Found::Unknown | Found::Kernel { kind: Shown::Untold, .. }, _)) => {
                self.findings.doubt(origin, unknown(&shown), "");
            }
            Ok((_, Some(holder))) => drop(self.may_make(origin, &shown, &holder)),
            Ok(_) => {}
            Err(lost) => self.findings.problem(origin, lost.to_string(), advice),
        }
    }

    /// A terminal comes from the container's own devpts.
    fn terminal(&mut self, origin: &Origin) {
        let devpts = |step: &Step| match &step.op {
            Op::Mount { filesystem, point, .. } | Op::ClassicMount { filesystem, point, .. } => {
                filesystem.to_bytes() == b"devpts" && point.target.path() == c"dev/pts"
            }
            Op::Bind { point, .. } => matches!(point.target.path().to_bytes(), b"dev" | b"dev/pts"),
            _ => false,
        };
        if !self.findings.plan.init.iter().any(devpts) {
            let seen = "no devpts is mounted at /dev/pts";
            self.findings.problem(origin, seen, "add a mount of type devpts at /dev/pts, or set it to false");
        }
    }

    /// Whether something is mounted on this path of the host.
    fn is_mount_point(&self, host: &Path) -> bool {
        let mounts = self.host_mounts.get_or_init(|| {
            let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
            let place = |line: &[u8]| line.split(|byte| *byte == b' ').nth(4).map(<[u8]>::to_vec);
            text.split(|byte| *byte == b'\n').filter_map(place).collect()
        });
        mounts.contains(host.as_os_str().as_bytes())
    }

    fn program(&mut self, origin: &Origin, candidates: &[std::ffi::CString]) {
        if self.findings.plan.namespaces.is_joined(libc::CLONE_NEWUSER) {
            // Whose ids its files have cannot be told from here.
            return;
        }
        let plan = self.findings.plan;
        let search = !plan.payload.args.first().is_some_and(|name| name.to_bytes().contains(&b'/'));
        let candidates: Vec<PathBuf> = candidates.iter().map(|path| path_of(path).to_owned()).collect();
        if let Err(obstacle) = program::find(&self.view, &self.user, &self.cwd, &candidates, search) {
            report(self.findings, origin, obstacle);
        }
    }

    fn hook_inside(&mut self, i: usize) {
        let Some(hook) = self.findings.plan.hooks.start_container.get(i) else { return };
        let path = path_of(&hook.path).to_owned();
        if let Err(obstacle) = program::find(&self.view, &self.user, Path::new("/"), &[path], false) {
            report(self.findings, &hook.origin.field("path"), obstacle);
        }
    }
}

fn unknown(path: &Path) -> String {
    format!("{} is on a file system that is not there yet: it was not looked at", path.display())
}

fn report(findings: &mut Findings<'_>, origin: &Origin, Obstacle { seen, advice, doubtful }: Obstacle) {
    match doubtful {
        true => findings.doubt(origin, seen, advice),
        false => findings.problem(origin, seen, advice),
    }
}

/// The user of the program, with the ids that the host's files have.
fn user_of(findings: &Findings<'_>, ranges: Option<&IdRanges>) -> Who {
    let mut who = Who::default();
    for step in &findings.plan.init {
        let mapped =
            |id, map: fn(&IdRanges, u32) -> Option<u32>| ranges.map_or(id, |ranges| map(ranges, id).unwrap_or(id));
        match &step.op {
            Op::User { uid, gid } => (who.uid, who.gid) = (mapped(*uid, IdRanges::uid), mapped(*gid, IdRanges::gid)),
            Op::Groups(groups) => who.groups = groups.iter().map(|gid| mapped(*gid, IdRanges::gid)).collect(),
            Op::Capabilities { effective, .. } => {
                (who.overrides, who.searches) = (effective & 1 << 1 != 0, effective & 1 << 2 != 0);
            }
            _ => {}
        }
    }
    who
}

/// Whether this is surely no directory.
fn is_file(found: &Found) -> bool {
    match found {
        Found::File { metadata, .. } => !metadata.is_dir(),
        Found::Node(_) | Found::Kernel { kind: Shown::File, .. } => true,
        Found::Kernel { .. } | Found::Made(_) | Found::Unknown => false,
    }
}

fn is_node(metadata: &std::fs::Metadata, kind: NodeKind, device: u64) -> bool {
    let file = metadata.file_type();
    match kind {
        NodeKind::Char => file.is_char_device() && metadata.rdev() == device,
        NodeKind::Block => file.is_block_device() && metadata.rdev() == device,
        NodeKind::Fifo => file.is_fifo(),
    }
}

/// The hooks that run on the host.
fn hooks(findings: &mut Findings<'_>) {
    let host = View::of(Backing::Host("/".into()));
    let root = nix::unistd::geteuid().is_root();
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let who = Who { uid, gid, groups: Vec::new(), overrides: root, searches: root };
    let hooks = &findings.plan.hooks;
    let needed = [&hooks.prestart, &hooks.create_runtime, &hooks.create_container, &hooks.poststart];
    let all = needed.into_iter().flatten().map(|hook| (hook, true));
    let all: Vec<(&Hook, bool)> = all.chain(hooks.poststop.iter().map(|hook| (hook, false))).collect();
    for (hook, needed) in all {
        let path = path_of(&hook.path).to_owned();
        if let Err(mut obstacle) = program::find(&host, &who, Path::new("/"), &[path], false) {
            // A poststop hook that fails is warned about, and no more.
            obstacle.doubtful |= !needed;
            obstacle.seen = obstacle.seen.replace(" in the container", "");
            report(findings, &hook.origin.field("path"), obstacle);
        }
    }
}
