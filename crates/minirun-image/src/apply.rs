//! Makes the directory of a layer from its archive, in the form that overlayfs reads: layer.md's rules, with whiteouts as
//! character devices 0:0 and opaque directories by an attribute (overlayfs.rst, "whiteouts and opaque directories").
//!
//! The layer is made in a directory of its own, without those beneath it. An entry's directory is opened below that, and what
//! is made there is changed by its descriptor. Links of the layer on the way are followed as in the container (`links.rs`).

mod cursor;
mod links;

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, makedev, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, unlinkat};

use crate::attributes::is_kept;
use crate::entry_path::{self, EntryPath};
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, is_whiteout, kind_of, open_directory, remove_tree, shown, stat_at};
use crate::marks::{Marks, set_opaque};
use crate::stream::Limits;
use crate::tar::{Entry, Kind, Part, Reader};
use cursor::Cursor;

/// The permissions of a directory that is in nobody's archive but on the way to something.
const IMPLIED: u32 = 0o755;

/// What was made of a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// How many entries the archive has.
    pub entries: u64,
    /// How many bytes its files hold.
    pub bytes: u64,
    /// Does it hide everything beneath it? The root of a layer cannot be marked so.
    pub opaque: bool,
    /// Directories that it has no entry for, on the way to some that it has.
    pub implied: Vec<Vec<u8>>,
    /// Devices that could not be made, because an ordinary user may not.
    pub devices: u64,
    /// How many names there are in the directory.
    pub names: u64,
    /// Did an entry take the place of an earlier one that had content? Then the archive cannot be put together again.
    pub replaced: bool,
    /// Did one take the place of an earlier one at all? Then what that says is not what is there.
    pub repeated: bool,
}

/// Makes the directory of one layer.
#[derive(Debug)]
pub struct Applier<'a> {
    cursor: Cursor,
    limits: &'a Limits,
    marks: Marks,
    applied: Applied,
}

/// How an entry is done.
type Done = std::result::Result<(), ImageError>;

impl<'a> Applier<'a> {
    /// Fills an empty directory, to which nobody else has access.
    pub fn new(root: OwnedFd, limits: &'a Limits, marks: Marks) -> Applier<'a> {
        Applier { cursor: Cursor::new(root), limits, marks, applied: Applied::default() }
    }

    /// Applies an archive to its end. What is no content of files goes to `kept` (see [`Reader::keeping`]).
    ///
    /// # Errors
    /// It is malformed, goes over a limit, tries to reach out of its directory, or the kernel refuses something. What was
    /// made so far is left to the caller.
    pub fn apply(mut self, archive: impl Read, kept: impl Write) -> Result<Applied> {
        let mut reader = Reader::keeping(archive, kept);
        while let Some(entry) = reader.next_entry()? {
            self.applied.entries += 1;
            if self.applied.entries > self.limits.entries {
                return Err(ImageError::limit(format!("it has more than {} entries", self.limits.entries)));
            }
            self.entry(&entry, &mut reader).map_err(|error| error.within(shown(&entry.path)))?;
        }
        self.applied.names += self.cursor.made;
        // Behind a link the path of an entry does not show which one it replaces.
        self.applied.replaced = self.cursor.replaced || self.cursor.followed && self.cursor.repeated;
        self.applied.repeated = self.cursor.repeated;
        self.applied.implied = self.cursor.finish()?;
        Ok(self.applied)
    }

    fn entry(&mut self, entry: &Entry, reader: &mut Reader<impl Read, impl Write>) -> Done {
        let path = EntryPath::split(&entry.path, self.limits.depth)?;
        let Some((name, parents)) = path.0.split_last() else {
            if entry.kind != Kind::Directory {
                return Err(ImageError::new("the root of a layer can only be a directory"));
            }
            self.cursor.enter(&[], self.marks, self.limits.depth)?;
            self.cursor.set_modified(entry.modified);
            return self.attributes_of(self.cursor.fd(), entry);
        };
        if path.is_aufs() {
            return Ok(());
        }
        if parents.iter().any(|parent| parent.starts_with(entry_path::WHITEOUT)) {
            return Err(ImageError::new("names that begin with .wh. are whiteouts, and hold nothing"));
        }
        self.cursor.enter(parents, self.marks, self.limits.depth)?;
        if *name == entry_path::OPAQUE {
            return self.opaque();
        }
        if let Some(hidden) = name.strip_prefix(entry_path::WHITEOUT) {
            return self.whiteout(hidden, entry);
        }
        let name = c_string(name)?;
        match entry.kind {
            Kind::File => self.file(&name, entry, reader),
            Kind::Directory => self.directory(&name, entry),
            Kind::Symlink => self.symlink(&name, entry),
            Kind::Link => self.link(&name, entry),
            Kind::Character | Kind::Block | Kind::Fifo => self.node(&name, entry),
        }
    }

    fn file(&mut self, name: &CStr, entry: &Entry, reader: &mut Reader<impl Read, impl Write>) -> Done {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let make = |at: BorrowedFd<'_>| openat(at, name, flags, Mode::from_bits_truncate(entry.mode));
        let mut file = File::from(self.make(name, make).doing(|| "create the file")?);
        match &entry.parts {
            None => loop {
                match reader.content()? {
                    [] => break,
                    bytes => file.write_all(bytes).doing(|| "write the file")?,
                }
            },
            Some(parts) => write_parts(&file, entry.size, parts, reader)?,
        }
        self.applied.bytes += entry.stored();
        self.attributes_of(file.as_fd(), entry)?;
        set_modified(file.as_fd(), entry.modified).doing(|| "set the time of the file")
    }

    fn directory(&mut self, name: &CStr, entry: &Entry) -> Done {
        self.cursor.push(name, self.marks, true)?;
        self.cursor.set_modified(entry.modified);
        self.attributes_of(self.cursor.fd(), entry)
    }

    fn symlink(&mut self, name: &CStr, entry: &Entry) -> Done {
        let target = c_string(&entry.link)?;
        self.make(name, |at| symlinkat(target.as_c_str(), at, name)).doing(|| "make the symbolic link")?;
        self.finish(name, entry)
    }

    /// A device or a pipe.
    fn node(&mut self, name: &CStr, entry: &Entry) -> Done {
        let kind = match entry.kind {
            Kind::Character => SFlag::S_IFCHR,
            Kind::Block => SFlag::S_IFBLK,
            _ => SFlag::S_IFIFO,
        };
        if entry.kind == Kind::Character && entry.device == (0, 0) {
            // Somebody has packed the directory of an overlay as it was.
            return self.whiteout(name.to_bytes(), entry);
        }
        let device = makedev(entry.device.0.into(), entry.device.1.into());
        let mode = Mode::from_bits_truncate(entry.mode);
        match self.make(name, |at| mknodat(at, name, kind, mode, device)) {
            // In a user namespace nobody may make devices.
            Err(Errno::EPERM) if self.marks == Marks::User && kind != SFlag::S_IFIFO => {
                self.applied.devices += 1;
                return Ok(());
            }
            answer => answer.doing(|| "make the device")?,
        }
        self.finish(name, entry)
    }

    /// Another name of a file that this layer has; what it is and belongs to was said with the first.
    fn link(&mut self, name: &CStr, entry: &Entry) -> Done {
        let target = EntryPath::split(&entry.link, self.limits.depth)?;
        let doing = || format!("link it to {}", shown(&entry.link));
        let Some((last, parents)) = target.0.split_last() else {
            return Err(ImageError::new("a hard link to the root of the layer"));
        };
        let parent = self.cursor.look_up(parents, self.limits.depth)?.doing(doing)?;
        let last = c_string(last)?;
        let found = stat_at(&parent, &last).doing(doing)?.filter(|found| !is_whiteout(found));
        let found = found
            .ok_or_else(|| ImageError::of(doing(), Errno::ENOENT).hint("a hard link must lead into its own layer"))?;
        if kind_of(&found) == SFlag::S_IFDIR {
            return Err(ImageError::new(format!("{}: it is a directory", doing())));
        }
        if let Some(here) = stat_at(self.cursor.fd(), name).doing(doing)?
            && (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino)
        {
            return Ok(());
        }
        self.make(name, |at| linkat(&parent, last.as_c_str(), at, name, LinkatFlags::empty())).doing(doing)
    }

    /// Makes something in the present directory. Whatever has its name goes first.
    fn make<T>(&mut self, name: &CStr, make: impl Fn(BorrowedFd<'_>) -> sys::Result<T>) -> sys::Result<T> {
        let mut answer = make(self.cursor.change()?);
        if matches!(answer, Err(Errno::EEXIST)) {
            if let Some(found) = stat_at(self.cursor.fd(), name)? {
                self.cursor.replaces(&found);
                self.applied.names -= u64::from(kind_of(&found) != SFlag::S_IFDIR);
            }
            remove_tree(self.cursor.fd(), name)?;
            answer = make(self.cursor.fd());
        }
        // accepts: no error: it is returned below.
        self.applied.names += u64::from(answer.is_ok());
        answer
    }

    /// Hides what the layers beneath have under this name. What this layer itself has stays (layer.md, "Whiteouts").
    fn whiteout(&mut self, hidden: &[u8], entry: &Entry) -> Done {
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(ImageError::new("a whiteout of nothing"));
        }
        if entry.kind == Kind::Directory {
            return Err(ImageError::new("names that begin with .wh. are whiteouts, and no directories"));
        }
        let name = c_string(hidden)?;
        let doing = || "make the whiteout";
        let at = self.cursor.change().doing(doing)?;
        match mknodat(at, name.as_c_str(), SFlag::S_IFCHR, Mode::empty(), 0) {
            Err(Errno::EEXIST) => self.cursor.repeated |= entry.kind == Kind::Character,
            answer => {
                self.applied.names += 1;
                return answer.doing(doing);
            }
        }
        let found = stat_at(self.cursor.fd(), &name).doing(doing)?;
        if found.is_some_and(|found| kind_of(&found) == SFlag::S_IFDIR) {
            let directory = open_directory(self.cursor.fd(), &name).doing(doing)?;
            set_opaque(self.marks, directory.as_fd())?;
        }
        Ok(())
    }

    /// Hides what the layers beneath have in this directory.
    fn opaque(&mut self) -> Done {
        if self.cursor.is_root() {
            self.applied.opaque = true;
            return Ok(());
        }
        set_opaque(self.marks, self.cursor.fd())
    }

    /// Owner, attributes and permissions of a file or directory, where they are not so already: most files are root's and
    /// have what they were made with. The owner first: changing it takes away other things.
    fn attributes_of(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Done {
        let made = sys::fstat(fd).doing(|| "stat")?;
        let mode = Mode::from_bits_truncate(entry.mode);
        let mut as_made = made.st_mode & !libc::S_IFMT == mode.bits();
        if (made.st_uid, made.st_gid) != (entry.uid, entry.gid) {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            fchown(fd, Some(uid), Some(gid)).map_err(|errno| owner_refused(entry, errno))?;
            as_made = false;
        }
        for (name, value) in entry.attributes.iter().filter(|(name, _)| is_kept(name)) {
            sys::set_xattr(fd, name, value).doing(|| format!("set the attribute {}", shown(name.to_bytes())))?;
            as_made = false;
        }
        if as_made {
            return Ok(());
        }
        fchmod(fd, mode).doing(|| format!("set the permissions {:o}", entry.mode))
    }

    /// Sets owner, permissions and time of a file that has no descriptor.
    fn finish(&self, name: &CStr, entry: &Entry) -> Done {
        let at = self.cursor.fd();
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        fchownat(at, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|errno| owner_refused(entry, errno))?;
        if entry.kind != Kind::Symlink {
            // A new owner takes away set-user-id.
            let mode = Mode::from_bits_truncate(entry.mode);
            fchmodat(at, name, mode, FchmodatFlags::FollowSymlink).doing(|| "set the permissions")?;
        }
        utimensat(at, name, &TimeSpec::UTIME_OMIT, &time(entry.modified), UtimensatFlags::NoFollowSymlink)
            .doing(|| "set the time")
    }
}

/// Writes the parts of a sparse file, and leaves holes between them.
fn write_parts(file: &File, size: u64, parts: &[Part], reader: &mut Reader<impl Read, impl Write>) -> Done {
    file.set_len(size).doing(|| format!("give the file a size of {size} bytes"))?;
    let mut parts = parts.iter().copied();
    let mut part = Part { offset: 0, length: 0 };
    loop {
        let mut bytes = reader.content()?;
        if bytes.is_empty() {
            return Ok(());
        }
        while !bytes.is_empty() {
            if part.length == 0 {
                // The content is as long as all parts together.
                part = parts.next().ok_or_else(|| ImageError::new("more content than parts"))?;
            }
            let length = usize::try_from(part.length).unwrap_or(usize::MAX).min(bytes.len());
            file.write_all_at(&bytes[..length], part.offset).doing(|| "write the file")?;
            part = Part { offset: part.offset + length as u64, length: part.length - length as u64 };
            bytes = &bytes[length..];
        }
    }
}

fn owner_refused(entry: &Entry, errno: Errno) -> ImageError {
    let error = ImageError::of(format!("give it to user {} and group {}", entry.uid, entry.gid), errno);
    match errno {
        // The id is not mapped.
        Errno::EINVAL => {
            error.hint("/etc/subuid and /etc/subgid must grant the caller enough ids, 65536 for most images")
        }
        _ => error,
    }
}

/// The time of the last change, of which seconds that no file system can keep are cut off by the kernel.
fn time((seconds, nanoseconds): (i64, u32)) -> TimeSpec {
    TimeSpec::new(seconds, nanoseconds.into())
}

fn set_modified(fd: BorrowedFd<'_>, modified: (i64, u32)) -> sys::Result<()> {
    nix::sys::stat::futimens(fd, &TimeSpec::UTIME_OMIT, &time(modified))
}

/// Makes a directory in which there is none of that name, opaque if it takes the place of something else.
fn make_directory(at: BorrowedFd<'_>, name: &CString) -> sys::Result<()> {
    mkdirat(at, name.as_c_str(), Mode::from_bits_truncate(IMPLIED))
}

/// Removes what is no directory.
fn remove_file(at: BorrowedFd<'_>, name: &CStr) -> sys::Result<()> {
    unlinkat(at, name, UnlinkatFlags::NoRemoveDir)
}
