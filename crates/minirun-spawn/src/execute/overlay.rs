//! The root as an overlay of layers.
//!
//! The directories are opened one by one and named to the kernel by the numbers of their descriptors, from
//! /proc/self/fd as the working directory. So no name needs escaping, a failure names its layer, and 500 layers fit into
//! the one page of options that mount(2) takes on every kernel.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use minirun_plan::{Attributes, RootPlace};
use minirun_sys as sys;

use super::Executor;
use super::mounts::descriptor_path;
use crate::wire::{Call, Decimal, Fault, In, Text};

/// The kernel's own bound on lower directories (`OVL_MAX_STACK`).
const MOST_LAYERS: usize = 500;

/// What has been opened for the overlay so far.
pub(crate) struct Directories {
    stage: Option<OwnedFd>,
    lower: [Option<OwnedFd>; MOST_LAYERS],
    lowers: usize,
    upper: Option<OwnedFd>,
    work: Option<OwnedFd>,
}

impl Directories {
    pub(crate) fn new() -> Directories {
        Directories { stage: None, lower: [const { None }; MOST_LAYERS], lowers: 0, upper: None, work: None }
    }
}

fn open_directory(path: &CStr) -> Result<OwnedFd, Fault> {
    sys::open(path, libc::O_PATH | libc::O_DIRECTORY).in_call(Call::Open)
}

fn open_below(stage: &OwnedFd, name: &CStr) -> Result<OwnedFd, Fault> {
    let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
    sys::openat2(stage.as_fd(), name, libc::O_PATH | libc::O_DIRECTORY, 0, how).in_call(Call::Openat2)
}

impl Executor<'_> {
    /// A tmpfs, with a place to mount the overlay and an upper and a work directory.
    pub(crate) fn overlay_stage(&mut self, place: &RootPlace, size: &CStr) -> Result<(), Fault> {
        let context = sys::fsopen(c"tmpfs").in_call(Call::Fsopen)?;
        sys::fsconfig_set(context.as_fd(), c"mode", Some(c"0755")).in_call(Call::Fsconfig)?;
        if !size.is_empty() {
            sys::fsconfig_set(context.as_fd(), c"size", Some(size)).in_call(Call::Fsconfig)?;
        }
        let stage = self.create(context.as_fd(), 0)?;
        for name in [c"root", c"upper", c"work"] {
            sys::mkdirat(stage.as_fd(), name, 0o755).in_call(Call::Mkdir)?;
        }
        let target = super::root::open_place(place)?;
        sys::move_mount(stage.as_fd(), target.as_fd()).in_call(Call::MoveMount)?;
        self.overlay.stage = Some(stage);
        Ok(())
    }

    pub(crate) fn overlay_lower(&mut self, path: &CStr) -> Result<(), Fault> {
        let place = self.overlay.lower.get_mut(self.overlay.lowers).ok_or(Fault::check("more than 500 layers"))?;
        *place = Some(open_directory(path)?);
        self.overlay.lowers += 1;
        Ok(())
    }

    pub(crate) fn overlay_upper(&mut self, path: &CStr) -> Result<(), Fault> {
        self.overlay.upper = Some(open_directory(path)?);
        Ok(())
    }

    pub(crate) fn overlay_work(&mut self, path: &CStr) -> Result<(), Fault> {
        self.overlay.work = Some(open_directory(path)?);
        Ok(())
    }

    /// Mounts what was opened.
    pub(crate) fn overlay_root(
        &mut self,
        place: &RootPlace,
        options: &CStr,
        attributes: &Attributes,
    ) -> Result<(), Fault> {
        let stage = self.overlay.stage.take().ok_or(Fault::check("nothing to mount the overlay on"))?;
        let upper = match self.overlay.upper.take() {
            Some(upper) => upper,
            None => open_below(&stage, c"upper")?,
        };
        let work = match self.overlay.work.take() {
            Some(work) => work,
            None => open_below(&stage, c"work")?,
        };
        let mut data = Text::<4096>::new();
        data.push(options.to_bytes())?;
        let mut before: &[u8] = b",lowerdir=";
        for layer in self.overlay.lower.iter().flatten() {
            push_number(&mut data, before, layer)?;
            before = b":";
        }
        push_number(&mut data, b",upperdir=", &upper)?;
        push_number(&mut data, b",workdir=", &work)?;

        // The stage is init's own, so nobody can put something else in this directory's place.
        let mut target = descriptor_path(stage.as_fd())?;
        target.push(b"/root")?;
        sys::chdir(c"/proc/self/fd").in_call(Call::Chdir)?;
        sys::mount(c"overlay", target.as_c_str(), c"overlay", 0, data.as_c_str()).in_call(Call::Mount)?;
        let root = open_below(&stage, c"root")?;
        if let RootPlace::At(_) = place {
            // Over the stage, which lies at that path.
            sys::move_mount(root.as_fd(), stage.as_fd()).in_call(Call::MoveMount)?;
        }
        sys::chdir(c"/").in_call(Call::Chdir)?;
        let attr = sys::MountAttr { set: attributes.set, clear: attributes.clear, propagation: 0 };
        sys::mount_setattr(root.as_fd(), false, attr, None).in_call(Call::MountSetattr)?;
        self.root = Some(root);
        for layer in &mut self.overlay.lower {
            *layer = None;
        }
        Ok(())
    }
}

fn push_number(data: &mut Text<4096>, before: &[u8], directory: &OwnedFd) -> Result<(), Fault> {
    data.push(before)?;
    data.push(Decimal::of(directory.as_raw_fd() as u32).digits())
}
