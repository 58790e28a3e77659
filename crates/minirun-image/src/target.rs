//! An image while it is written: to a place beside its own that is locked and named after nothing that anybody reads, and
//! renamed at the end. What a killed process leaves there is removed by the next one that writes the same image.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use minirun_sys as sys;
use nix::fcntl::{Flock, FlockArg, OFlag, openat, renameat};
use nix::sys::stat::Mode;
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::document::{REF_NAME, parse};
use crate::error::{Doing as _, ImageError, Result};
use crate::files::{c_string, make_directory, names_in, open_directory, open_file, read_all, remove_tree};
use crate::former::Former;
use crate::reference::{Reference, Transport};
use crate::tar::{BLOCK, Entry, Kind, Writer, header_of};

/// How large an index may be, in bytes.
pub(crate) const MOST: u64 = 4 << 20;
/// What the names of places begin with in which images are written.
const PREFIX: &str = ".minirun-commit-";
/// The largest file that a header has room for, in bytes.
const MOST_IN_ARCHIVE: u64 = 0o77777777777;
/// The permissions of new images: the files in them may be readable by root alone.
const PRIVATE: u32 = 0o600;
/// Where blobs are in an image layout.
const BLOBS: &str = "blobs/sha256/";

/// An image that is being written.
pub(crate) struct Target {
    reference: Reference,
    /// The directory in which the place is: that of the image, or an existing layout.
    around: OwnedFd,
    /// Its name there.
    place_name: CString,
    place: Flock<File>,
    form: Form,
}

enum Form {
    /// A layout in the place, or blobs for one that exists and is locked; the permissions of its files.
    Layout { blobs: OwnedFd, existing: Option<Flock<File>>, mode: u32 },
    /// What is in it by name, the beginning of a file that is not finished, and what was there before.
    Archive { out: Writer<File>, files: BTreeMap<String, u64>, begun: u64, former: Option<Former> },
}

impl Target {
    /// Makes the place, with what is there already. The reference has an absolute path.
    ///
    /// # Errors
    /// There is something else, or nothing can be made there.
    pub(crate) fn create(reference: &Reference) -> Result<Target> {
        if reference.is_standard_input() {
            return Err(
                ImageError::new("an image cannot be written to standard output").hint("./- is a file of that name")
            );
        }
        let path = reference.path();
        let name = path.file_name().ok_or_else(|| ImageError::new("the path has no name"))?.as_encoded_bytes();
        let parent = path.parent().unwrap_or(Path::new("/"));
        let parent = c_string(parent.as_os_str().as_encoded_bytes())?;
        let parent = sys::open(&parent, libc::O_DIRECTORY).doing(|| format!("open {}", parent.to_string_lossy()))?;
        let (existing, former) = match reference.transport {
            Transport::Oci => (existing_layout(&parent, &c_string(name)?, reference)?, None),
            _ => (None, Former::open(&parent, &c_string(name)?, reference)?),
        };
        let around = match &existing {
            Some(layout) => layout.as_fd().try_clone_to_owned().doing(|| "dup")?,
            None => parent,
        };
        let (place_name, place) = take_place(&around, name)?;
        let form = match reference.transport {
            Transport::Oci => {
                let mode = existing.as_ref().map_or(Ok(PRIVATE), |layout| mode_of_index(layout))?;
                Form::Layout { blobs: make_layout(&place)?, existing, mode }
            }
            _ => {
                let out = Writer::new(new_file(&*place, c"archive", PRIVATE)?);
                Form::Archive { out, files: BTreeMap::new(), begun: 0, former }
            }
        };
        let mut target = Target { reference: reference.clone(), around, place_name, place, form };
        target.take_over()?;
        Ok(target)
    }

    /// Writes what was there before into a new archive.
    fn take_over(&mut self) -> Result<()> {
        let Form::Archive { out, files, former: Some(former), .. } = &mut self.form else { return Ok(()) };
        former.give_attributes(out.out())?;
        for name in former.names()? {
            let piece = former.file(&name)?;
            let size = piece.length;
            let entry = Entry { path: name.as_bytes().to_vec(), size, mode: 0o644, ..Entry::of(Kind::File) };
            out.entry(&entry, piece).map_err(|error| error.within(&name))?;
            files.insert(name, size);
        }
        Ok(())
    }

    /// Is this blob there already, of this size?
    pub(crate) fn has(&self, digest: &Digest, size: u64) -> Result<bool> {
        let found = match &self.form {
            Form::Archive { files, .. } => return Ok(files.get(&format!("{BLOBS}{}", digest.hex())) == Some(&size)),
            Form::Layout { existing: None, .. } => None,
            Form::Layout { existing: Some(layout), .. } => {
                let name = c_string(format!("{BLOBS}{}", digest.hex()).as_bytes())?;
                // accepts: any error; a blob that cannot be read is written again.
                open_file(layout.as_fd(), &name).ok()
            }
        };
        // accepts: as above.
        Ok(found.is_some_and(|file| file.metadata().is_ok_and(|found| found.len() == size)))
    }

    /// Begins a file: it is written from where its position is.
    pub(crate) fn begin(&mut self) -> Result<File> {
        match &mut self.form {
            Form::Layout { mode, .. } => {
                remove_tree(&*self.place, c"draft").doing(|| "remove a draft")?;
                new_file(&*self.place, c"draft", *mode)
            }
            Form::Archive { out, begun, .. } => {
                *begun = out.out().stream_position().doing(|| "lseek")?;
                // Name and size are known when it is finished.
                out.header(&Entry::of(Kind::File))?;
                out.out().try_clone().doing(|| "dup")
            }
        }
    }

    /// Ends it, when all of it is written.
    pub(crate) fn end(&mut self, name: &str) -> Result<()> {
        match &mut self.form {
            Form::Layout { blobs, .. } => {
                let blob = c_string(name.strip_prefix(BLOBS).unwrap_or(name).as_bytes())?;
                renameat(&*self.place, c"draft", blobs, blob.as_c_str()).doing(|| format!("write {name}"))
            }
            Form::Archive { out, files, begun, .. } => end_in_archive(out, files, *begun, name),
        }
    }

    /// Takes back what was begun. In a layout the next draft takes its place.
    pub(crate) fn take_back(&mut self) -> Result<()> {
        let Form::Archive { out, begun, .. } = &mut self.form else { return Ok(()) };
        let file = out.out();
        file.set_len(*begun).and_then(|()| file.seek(std::io::SeekFrom::Start(*begun))).map(drop).doing(|| "ftruncate")
    }

    /// Writes a small file.
    pub(crate) fn put(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let doing = || format!("write {name}");
        self.begin()?.write_all(content).doing(doing)?;
        self.end(name)
    }

    /// Writes a small blob, and gives its descriptor.
    pub(crate) fn document(&mut self, media_type: &str, content: &[u8]) -> Result<Value> {
        let digest = Digest::of(content);
        self.put(&format!("{BLOBS}{}", digest.hex()), content)?;
        Ok(json!({"mediaType": media_type, "digest": digest.to_string(), "size": content.len()}))
    }

    /// Makes a layout or an archive of one visible, with the manifest that this descriptor is of.
    pub(crate) fn publish_layout(mut self, mut manifest: Value) -> Result<()> {
        if let Some(tag) = &self.reference.name {
            manifest["annotations"] = json!({REF_NAME: tag});
        }
        let version = json!({"imageLayoutVersion": "1.0.0"}).to_string();
        let index = |manifests: Vec<Value>| json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests});
        let name = last_name(&self.reference)?;
        match &mut self.form {
            Form::Layout { blobs, existing: Some(layout), .. } => {
                nix::unistd::syncfs(&*self.place).doing(|| "syncfs")?;
                add_to(layout, blobs, &self.reference, manifest)?;
            }
            Form::Layout { existing: None, mode, .. } => {
                let layout = open_directory(&*self.place, c"layout").doing(|| "open the layout")?;
                for (file, text) in [(c"oci-layout", version), (c"index.json", index(vec![manifest]).to_string())] {
                    new_file(&layout, file, *mode)?.write_all(text.as_bytes()).doing(|| "write the index")?;
                }
                nix::unistd::syncfs(&*self.place).doing(|| "syncfs")?;
                renameat(&*self.place, c"layout", &self.around, name.as_c_str()).doing(|| "rename the layout")?;
            }
            Form::Archive { former, .. } => {
                let index = match former {
                    None => index(vec![manifest]),
                    Some(former) => {
                        former.images.push(manifest);
                        former.index["manifests"] = std::mem::take(&mut former.images).into();
                        former.index.take()
                    }
                };
                self.put("oci-layout", version.as_bytes())?;
                self.put("index.json", index.to_string().as_bytes())?;
                self.publish_archive()?;
            }
        }
        Ok(())
    }

    /// Makes a docker-archive visible, with the image that this entry of `manifest.json` is about.
    pub(crate) fn publish_docker(mut self, image: Value) -> Result<()> {
        let mut images = match &mut self.form {
            Form::Archive { former: Some(former), .. } => std::mem::take(&mut former.images),
            _ => Vec::new(),
        };
        images.push(image);
        self.put("manifest.json", Value::from(images).to_string().as_bytes())?;
        self.publish_archive()
    }

    fn publish_archive(&mut self) -> Result<()> {
        let Form::Archive { out, former, .. } = &mut self.form else { return Ok(()) };
        out.end()?;
        out.out().sync_all().doing(|| "fsync")?;
        let name = last_name(&self.reference)?;
        if former.is_none() {
            // Only what was taken over may be replaced. Not every file system can tell.
            match sys::rename_to_new(self.place.as_fd(), c"archive", self.around.as_fd(), &name) {
                Err(sys::Errno::EINVAL) => {}
                answer => return answer.doing(|| "rename the archive"),
            }
        }
        renameat(&*self.place, c"archive", &self.around, name.as_c_str()).doing(|| "rename the archive")
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Err(errno) = remove_tree(&self.around, &self.place_name) {
            log::warn!("remove {}: {}", self.place_name.to_string_lossy(), errno.desc());
        }
    }
}

/// The name of the image's directory or file.
fn last_name(reference: &Reference) -> Result<CString> {
    c_string(reference.path().file_name().unwrap_or_default().as_encoded_bytes())
}

/// The layout that is there, locked; none if there is nothing, or an empty directory.
fn existing_layout(parent: &OwnedFd, name: &CStr, reference: &Reference) -> Result<Option<Flock<File>>> {
    let layout = match open_directory(parent, name) {
        Err(sys::Errno::ENOENT) => return Ok(None),
        answer => File::from(answer.doing(|| "open it")?),
    };
    if names_in(&layout).doing(|| "list")?.is_empty() {
        return Ok(None);
    }
    let layout = Flock::lock(layout, FlockArg::LockExclusive).map_err(|(_, errno)| ImageError::of("lock it", errno))?;
    let version = open_file(layout.as_fd(), c"oci-layout").and_then(|file| read_all(&file, MOST));
    crate::image::check_version(&version.map_err(|error| error.within("it is not an OCI image layout"))?)?;
    let index = read_index(&layout)?;
    if reference.name.is_none() && !index.1.is_empty() {
        return Err(ImageError::new("there are images in it, and the new one needs a tag: oci:PATH:TAG"));
    }
    Ok(Some(layout))
}

/// The index of a layout, and its manifests.
fn read_index(layout: &File) -> Result<(Value, Vec<Value>)> {
    let text = read_all(&open_file(layout.as_fd(), c"index.json")?, MOST)?;
    manifests_of(&text)
}

/// What an index says, and the manifests that it lists.
pub(crate) fn manifests_of(text: &[u8]) -> Result<(Value, Vec<Value>)> {
    let mut index: Value = parse(text, "index.json")?;
    let manifests = match index.get_mut("manifests").map(Value::take) {
        Some(Value::Array(manifests)) => manifests,
        Some(Value::Null) | None if index.is_object() => Vec::new(),
        _ => return Err(ImageError::new("index.json: manifests is not a list")),
    };
    Ok((index, manifests))
}

/// The permissions of a layout's index, which its new files get as well.
fn mode_of_index(layout: &File) -> Result<u32> {
    let index = open_file(layout.as_fd(), c"index.json")?;
    Ok(index.metadata().doing(|| "stat index.json")?.mode() & 0o666)
}

/// Adds blobs and a manifest to a layout. An image that had the tag has none any more.
fn add_to(layout: &File, blobs: &OwnedFd, reference: &Reference, manifest: Value) -> Result<()> {
    // The directory of the layout decides who gets in.
    make_directory(layout, c"blobs", 0o755)
        .and_then(|()| make_directory(layout, c"blobs/sha256", 0o755))
        .doing(|| "make the directory of blobs")?;
    let there = open_directory(layout, c"blobs/sha256").doing(|| "open the directory of blobs")?;
    for name in names_in(blobs).doing(|| "list the new blobs")? {
        renameat(blobs, name.as_c_str(), &there, name.as_c_str()).doing(|| "rename a blob")?;
    }
    let (mut index, mut manifests) = read_index(layout)?;
    let tag = reference.name.as_deref();
    manifests.retain(|known| tag.is_none() || known["annotations"][REF_NAME].as_str() != tag);
    manifests.push(manifest);
    index["manifests"] = manifests.into();
    remove_tree(layout, c".index.json").doing(|| "remove a draft")?;
    new_file(layout, c".index.json", mode_of_index(layout)?)?
        .write_all(index.to_string().as_bytes())
        .doing(|| "write index.json")?;
    nix::unistd::syncfs(layout).doing(|| "syncfs")?;
    renameat(layout, c".index.json", layout, c"index.json").doing(|| "rename index.json")
}

/// A directory of this process alone; those that dead processes have left are removed.
fn take_place(around: &OwnedFd, name: &[u8]) -> Result<(CString, Flock<File>)> {
    let prefix = [PREFIX.as_bytes(), name, b"-"].concat();
    for name in names_in(around).doing(|| "list")?.iter().filter(|name| name.to_bytes().starts_with(&prefix)) {
        // accepts: any error; a leftover that cannot be opened stays.
        let Ok(directory) = open_directory(around, name) else { continue };
        // accepts: EWOULDBLOCK; another process is at work there.
        if let Ok(_locked) = Flock::lock(File::from(directory), FlockArg::LockExclusiveNonblock) {
            remove_tree(around, name).doing(|| format!("remove {}", name.to_string_lossy()))?;
        }
    }
    let name = c_string(&[&prefix, format!("{:x}", std::process::id()).as_bytes()].concat())?;
    let doing = || format!("make {}", name.to_string_lossy());
    loop {
        make_directory(around, &name, 0o700).doing(doing)?;
        let directory = File::from(open_directory(around, &name).doing(doing)?);
        let locked = Flock::lock(directory, FlockArg::LockExclusive);
        let locked = locked.map_err(|(_, errno)| ImageError::of(doing(), errno))?;
        // Another process may have taken it for one that is left behind.
        if sys::fstat(locked.as_fd()).doing(doing)?.st_nlink > 0 {
            return Ok((name, locked));
        }
    }
}

/// The directories of a layout, of which that for blobs is given.
fn make_layout(place: &File) -> Result<OwnedFd> {
    for name in [c"layout", c"layout/blobs", c"layout/blobs/sha256"] {
        make_directory(place, name, 0o700).doing(|| "make the layout")?;
    }
    open_directory(place, c"layout/blobs/sha256").doing(|| "open the layout")
}

fn new_file(at: &impl AsFd, name: &CStr, mode: u32) -> Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = openat(at, name, flags, Mode::from_bits_truncate(mode));
    made.map(File::from).doing(|| format!("make {}", name.to_string_lossy()))
}

/// Writes the header of what was written behind it. A file that is there already is taken out again.
fn end_in_archive(out: &mut Writer<File>, files: &mut BTreeMap<String, u64>, begun: u64, name: &str) -> Result<()> {
    let doing = || format!("write {name}");
    let size = out.out().stream_position().doing(doing)? - begun - BLOCK as u64;
    if let Some(known) = files.get(name) {
        if *known != size {
            return Err(ImageError::new(format!("{name} has {size} bytes, but the archive has one of {known}")));
        }
        out.out().set_len(begun).and_then(|()| out.out().seek(std::io::SeekFrom::Start(begun))).doing(doing)?;
        return Ok(());
    }
    if size > MOST_IN_ARCHIVE {
        return Err(ImageError::new(format!(
            "{name} has {size} bytes, more than the {MOST_IN_ARCHIVE} that fit into an archive"
        )));
    }
    out.pad(size)?;
    let entry = Entry { path: name.as_bytes().to_vec(), size, mode: 0o644, ..Entry::of(Kind::File) };
    out.out().write_all_at(&header_of(&entry), begun).doing(doing)?;
    files.insert(name.to_owned(), size);
    Ok(())
}
