//! Mounts: made detached, given their attributes, and only then attached to a descriptor of the mount point, so that no
//! path is looked up twice and no half-made mount can be seen.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_plan::{Attributes, FsOption, MountPoint, NodeKind, PointKind, Source};
use minirun_sys as sys;
use minirun_sys::{Errno, Text};

use super::path::Point;
use super::{Executor, copy_up};
use crate::opened::Made;
use crate::wire::{Call, Fault, In};

/// What a tmpfs takes over from the directory beneath it.
#[derive(Clone, Copy)]
pub(crate) struct TmpfsModes {
    /// Its permission bits.
    pub(crate) inherit: bool,
    /// Its contents.
    pub(crate) copy_up: bool,
}

/// A plan that counts its mounts wrongly is a bug.
const NOT_COUNTED: Fault = Fault::check("no such mount was made");

/// The id of the mount that a descriptor is on.
pub(super) fn mount_id(fd: BorrowedFd<'_>) -> Result<u64, Fault> {
    sys::mount_id(fd).in_call(Call::Statx)
}

/// Sets attributes, if there are any.
fn set_attributes(mount: BorrowedFd<'_>, recursive: bool, attributes: Attributes) -> Result<(), Fault> {
    if attributes.is_empty() {
        return Ok(());
    }
    let attr = sys::MountAttr { set: attributes.set, clear: attributes.clear, propagation: 0 };
    sys::mount_setattr(mount, recursive, attr, None).in_call(Call::MountSetattr)
}

/// What a mount gets besides its own attributes. Propagation last: it was asked for in this order.
fn set_the_rest(mount: BorrowedFd<'_>, point: &MountPoint) -> Result<(), Fault> {
    set_attributes(mount, true, point.recursive)?;
    for flags in &point.propagation {
        let attr = sys::MountAttr { propagation: flags & !libc::MS_REC, ..Default::default() };
        sys::mount_setattr(mount, flags & libc::MS_REC != 0, attr, None).in_call(Call::MountSetattr)?;
    }
    Ok(())
}

impl Executor<'_> {
    /// A new instance of a file system; a procfs of this joined pid namespace, if one is named.
    pub(crate) fn mount(
        &mut self,
        (filesystem, pid_namespace): (&CStr, Option<usize>),
        source: &CStr,
        options: &[FsOption],
        modes: TmpfsModes,
        point: &MountPoint,
    ) -> Result<(), Fault> {
        let place = self.place_of(point, true)?;
        let context = match pid_namespace {
            Some(i) => self.proc_of(i)?,
            None => sys::fsopen(filesystem).in_call(Call::Fsopen)?,
        };
        if let Err(errno) = sys::fsconfig_set(context.as_fd(), c"source", Some(source)) {
            return Err(self.explain(context.as_fd(), errno));
        }
        self.configure(context.as_fd(), options)?;
        if modes.inherit && (!place.made || modes.copy_up) {
            self.inherit_mode(context.as_fd(), place.fd.as_fd())?;
        }
        let mount = self.create(context.as_fd(), point.attributes.set)?;
        if point.kind == PointKind::RealDirectory {
            verify_kind(mount.as_fd(), filesystem)?;
        }
        if modes.copy_up {
            copy_up::copy_up(place.fd.as_fd(), mount.as_fd())?;
        }
        sys::move_mount(mount.as_fd(), place.fd.as_fd()).in_call(Call::MoveMount)?;
        self.finish_mount(mount, point)
    }

    /// What a mount gets once it is attached; and it is remembered, for the steps to come.
    fn finish_mount(&mut self, mount: OwnedFd, point: &MountPoint) -> Result<(), Fault> {
        set_the_rest(mount.as_fd(), point)?;
        let Some(number) = point.number else { return Ok(()) };
        let Some(made) = self.opened.mounts.get_mut(number) else { return Err(NOT_COUNTED) };
        *made = Some(Made { id: mount_id(mount.as_fd())?, root: point.keep.then_some(mount) });
        Ok(())
    }

    /// The root of the mount of this number.
    pub(crate) fn mount_root(&self, number: usize) -> Result<BorrowedFd<'_>, Fault> {
        let made = self.opened.mounts.get(number).and_then(Option::as_ref).and_then(|made| made.root.as_ref());
        made.map(|root| root.as_fd()).ok_or(NOT_COUNTED)
    }

    /// A procfs that is to show a joined pid namespace, in which init is not yet (Linux 6.17).
    fn proc_of(&mut self, joined: usize) -> Result<OwnedFd, Fault> {
        let context = sys::fsopen(c"proc").in_call(Call::Fsopen)?;
        match sys::fsconfig_set_fd(context.as_fd(), c"pidns", self.opened.namespaces[joined].as_fd()) {
            Ok(()) => Ok(context),
            Err(Errno::EINVAL) => {
                let maker = self.opened.procfs.as_ref().ok_or(Fault::check("no process makes a procfs"))?;
                maker.context()
            }
            Err(errno) => Err(self.explain(context.as_fd(), errno)),
        }
    }

    /// The mount point, which must not be on procfs by way of a link: what is written there later would go astray
    /// (CVE-2019-16884).
    fn place_of(&self, point: &MountPoint, directory: bool) -> Result<Point, Fault> {
        let place = self.mount_point(&point.target, point.kind, directory)?;
        let on_proc = sys::fstatfs(place.fd.as_fd()).in_call(Call::Statfs)?.magic == libc::PROC_SUPER_MAGIC as i64;
        if on_proc && !point.may_cover_proc {
            return Err(Fault::check("cannot be mounted because it is inside /proc"));
        }
        Ok(place)
    }

    /// Passes options to a file system that is being made or changed.
    fn configure(&mut self, context: BorrowedFd<'_>, options: &[FsOption]) -> Result<(), Fault> {
        for option in options {
            if let Err(errno) = sys::fsconfig_set(context, &option.key, option.value.as_deref()) {
                self.option = option.index;
                self.detail.push(b" of option ");
                self.detail.push(option.key.to_bytes());
                return Err(self.explain(context, errno));
            }
        }
        Ok(())
    }

    /// Makes the superblock and a detached mount of it.
    pub(crate) fn create(&mut self, context: BorrowedFd<'_>, attributes: u64) -> Result<OwnedFd, Fault> {
        if let Err(errno) = sys::fsconfig_create(context) {
            return Err(self.explain(context, errno));
        }
        sys::fsmount(context, attributes).in_call(Call::Fsmount)
    }

    /// What the kernel has to say about a failed configuration: it leaves messages in the context (fsopen(2)).
    fn explain(&mut self, context: BorrowedFd<'_>, errno: Errno) -> Fault {
        let mut message = [0u8; 200];
        // accepts: any error; it ends the kernel's messages, which only explain.
        while let Ok(length) = sys::read(context, &mut message) {
            // A message begins with its severity: "e tmpfs: Bad value for 'size'".
            let text = message[..length].trim_ascii_end();
            self.detail.push(b"; kernel: ");
            self.detail.push(text.get(2..).unwrap_or(text));
        }
        Fault { call: Call::Fsconfig, errno: errno as i32, text: "" }
    }

    /// `mode=` as the mount point has it, in octal digits.
    fn inherit_mode(&mut self, context: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Fault> {
        let mode = sys::fstat(place).in_call(Call::Stat)?.st_mode & 0o7777;
        let mut text = Text::<8>::new();
        for shift in [9, 6, 3, 0] {
            text.push(&[b'0' + (mode >> shift & 7) as u8])?;
        }
        sys::fsconfig_set(context, c"mode", Some(text.as_c_str())).in_call(Call::Fsconfig)
    }

    /// A mount whose flags only mount(2) can say.
    pub(crate) fn classic_mount(
        &mut self,
        filesystem: &CStr,
        source: &CStr,
        flags: u64,
        data: &CStr,
        point: &MountPoint,
    ) -> Result<(), Fault> {
        let place = self.place_of(point, true)?;
        let mount = self.mount_classically(place.fd.as_fd(), (filesystem, source, flags, data))?;
        set_attributes(mount.as_fd(), false, point.attributes)?;
        sys::move_mount(mount.as_fd(), place.fd.as_fd()).in_call(Call::MoveMount)?;
        self.finish_mount(mount, point)
    }

    /// Makes a detached mount by mount(2), which attaches one and names its place. So the place is a directory that none but
    /// init sees: in a tmpfs that lies for the moment where the mount is to go. It is named through the host's /proc, where
    /// init's descriptors are out of the container's reach.
    fn mount_classically(
        &mut self,
        place: BorrowedFd<'_>,
        (filesystem, source, flags, data): (&CStr, &CStr, u64, &CStr),
    ) -> Result<OwnedFd, Fault> {
        let context = sys::fsopen(c"tmpfs").in_call(Call::Fsopen)?;
        let stage = self.create(context.as_fd(), 0)?;
        sys::mkdirat(stage.as_fd(), c"mount", 0o755).in_call(Call::Mkdir)?;
        sys::move_mount(stage.as_fd(), place).in_call(Call::MoveMount)?;
        let mut path = descriptor_path(stage.as_fd())?;
        path.push(b"/mount")?;
        sys::mount(source, path.as_c_str(), filesystem, flags, data).in_call(Call::Mount)?;
        let clone = libc::OPEN_TREE_CLONE;
        let mount = sys::open_tree(stage.as_fd(), c"mount", clone).in_call(Call::OpenTree)?;
        sys::detach(descriptor_path(stage.as_fd())?.as_c_str()).in_call(Call::Umount)?;
        Ok(mount)
    }

    /// A detached copy of the mount at the source of a bind mount.
    pub(crate) fn tree_of(&self, source: &Source, recursive: bool) -> Result<OwnedFd, Fault> {
        self.tree_with(source, if recursive { libc::AT_RECURSIVE } else { 0 })
    }

    /// As [`Executor::tree_of`], with `AT_*` flags.
    pub(crate) fn tree_with(&self, source: &Source, flags: libc::c_int) -> Result<OwnedFd, Fault> {
        let flags = libc::OPEN_TREE_CLONE | flags as libc::c_uint;
        match source {
            Source::Path(path) => sys::open_tree(here(), path, flags).in_call(Call::OpenTree),
            Source::Inside(path, _) => {
                let place = self.open_in_root(path)?;
                let flags = flags | libc::AT_EMPTY_PATH as libc::c_uint;
                sys::open_tree(place.as_fd(), c"", flags).in_call(Call::OpenTree)
            }
            Source::Handle(i, _) => self.opened.handles[*i].try_clone().map_err(|error| Fault {
                call: Call::OpenTree,
                errno: error.raw_os_error().unwrap_or(0),
                text: "",
            }),
        }
    }

    pub(crate) fn bind(
        &mut self,
        source: &Source,
        recursive: bool,
        idmap: Option<(usize, bool)>,
        point: &MountPoint,
    ) -> Result<(), Fault> {
        let tree = self.tree_of(source, recursive)?;
        let directory = sys::fstat(tree.as_fd()).in_call(Call::Stat)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let place = self.place_of(point, directory)?;
        let onto_directory = sys::fstat(place.fd.as_fd()).in_call(Call::Stat)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        if onto_directory && !directory {
            return Err(Fault::check("not a directory: the source is a file, the mount point a directory"));
        }
        if let Some((i, all)) = idmap {
            let attr = sys::MountAttr { set: libc::MOUNT_ATTR_IDMAP as u64, ..Default::default() };
            let userns = self.opened.idmaps[i].as_fd();
            sys::mount_setattr(tree.as_fd(), all, attr, Some(userns)).in_call(Call::MountSetattr)?;
        }
        set_attributes(tree.as_fd(), false, point.attributes)?;
        sys::move_mount(tree.as_fd(), place.fd.as_fd()).in_call(Call::MoveMount)?;
        self.finish_mount(tree, point)
    }

    /// cgroup2 in the container's cgroup namespace; a user namespace that does not own the cgroup namespace may not mount
    /// it (EPERM), and some kernels answer EBUSY: then the container's own cgroup is shown.
    pub(crate) fn mount_cgroup(&mut self, host: &CStr, point: &MountPoint) -> Result<(), Fault> {
        let place = self.place_of(point, true)?;
        let context = sys::fsopen(c"cgroup2").in_call(Call::Fsopen)?;
        let mount = match sys::fsconfig_create(context.as_fd()) {
            Ok(()) => sys::fsmount(context.as_fd(), point.attributes.set).in_call(Call::Fsmount)?,
            Err(Errno::EPERM | Errno::EBUSY) => {
                let tree = sys::open_tree(here(), host, libc::OPEN_TREE_CLONE).in_call(Call::OpenTree)?;
                set_attributes(tree.as_fd(), false, point.attributes)?;
                tree
            }
            Err(errno) => return Err(self.explain(context.as_fd(), errno)),
        };
        sys::move_mount(mount.as_fd(), place.fd.as_fd()).in_call(Call::MoveMount)?;
        self.finish_mount(mount, point)
    }

    /// The label of mqueue, by a mount of it that goes again.
    pub(crate) fn label_queues(&mut self, label: &CStr) -> Result<(), Fault> {
        let context = sys::fsopen(c"mqueue").in_call(Call::Fsopen)?;
        let mount = self.create(context.as_fd(), 0)?;
        // The descriptor of a mount stands for a path alone, and attributes need more.
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let root = sys::openat2(mount.as_fd(), c".", flags, 0, 0).in_call(Call::Openat2)?;
        sys::set_xattr(root.as_fd(), c"security.selinux", label.to_bytes()).in_call(Call::Setxattr)
    }

    /// Changes what is mounted at a place already.
    pub(crate) fn remount(&mut self, options: &[FsOption], bind: bool, point: &MountPoint) -> Result<(), Fault> {
        let mount = self.open_in_root(&point.target)?;
        let made =
            point.number.map(|number| self.opened.mounts.get(number).and_then(Option::as_ref).ok_or(NOT_COUNTED));
        if made.transpose()?.is_some_and(|made| Ok(made.id) != sys::mount_id(mount.as_fd())) {
            return Err(Fault::check("another mount is there now: the root file system changed meanwhile"));
        }
        if !bind {
            let context = sys::fspick(mount.as_fd()).in_call(Call::Fspick)?;
            self.configure(context.as_fd(), options)?;
            if let Err(errno) = sys::fsconfig_reconfigure(context.as_fd()) {
                return Err(self.explain(context.as_fd(), errno));
            }
        }
        set_attributes(mount.as_fd(), false, point.attributes)?;
        set_the_rest(mount.as_fd(), point)
    }

    /// Mounts the host's node where a user namespace may not make one.
    pub(crate) fn bind_device(
        &mut self,
        source: &Source,
        path: &minirun_plan::InRoot,
        kind: NodeKind,
        device: u64,
    ) -> Result<(), Fault> {
        let tree = self.tree_of(source, false)?;
        let stat = sys::fstat(tree.as_fd()).in_call(Call::Stat)?;
        let kind = if kind == NodeKind::Block { libc::S_IFBLK } else { libc::S_IFCHR };
        if stat.st_mode & libc::S_IFMT != kind || stat.st_rdev != device {
            return Err(Fault::check("the host has another node at that path"));
        }
        let Point { fd, .. } = self.mount_point(path, PointKind::LikeSource, false)?;
        sys::move_mount(tree.as_fd(), fd.as_fd()).in_call(Call::MoveMount)
    }
}

/// The working directory, for calls that take a descriptor to start from.
pub(crate) fn here() -> BorrowedFd<'static> {
    sys::working_directory()
}

/// `/proc/self/fd/N`.
pub(crate) fn descriptor_path(fd: BorrowedFd<'_>) -> Result<Text<32>, Fault> {
    let mut path = Text::new();
    path.push_number(b"/proc/self/fd/", std::os::fd::AsRawFd::as_raw_fd(&fd) as u32)?;
    Ok(path)
}

/// What was mounted as proc or sysfs must be just that: labels and parameters are written there later.
fn verify_kind(mount: BorrowedFd<'_>, filesystem: &CStr) -> Result<(), Fault> {
    let magic = if filesystem == c"proc" { libc::PROC_SUPER_MAGIC } else { libc::SYSFS_MAGIC };
    let found = sys::fstatfs(mount).in_call(Call::Statfs)?.magic;
    if found == magic as i64 { Ok(()) } else { Err(Fault::check("another file system was mounted")) }
}
