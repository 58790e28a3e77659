//! The root as an overlay of layers (see the crate minirun-overlay).

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use minirun_overlay::{MountError, Stage, configure_stage};
use minirun_plan::{Attributes, RootPlace};
use minirun_sys as sys;

use super::Executor;
use crate::wire::{Call, Fault, In};

/// What has been opened for the overlay so far.
pub(crate) struct Directories {
    stage: Option<Stage>,
    directories: minirun_overlay::Directories,
}

impl Directories {
    pub(crate) fn new() -> Directories {
        Directories { stage: None, directories: minirun_overlay::Directories::default() }
    }
}

impl From<MountError> for Fault {
    fn from(error: MountError) -> Fault {
        let (call, errno) = match error {
            MountError::Failed(call, errno) => (call, errno),
            MountError::TooManyLayers => return Fault::check("more than 500 layers"),
            _ => return Fault::check("too long: the kernel supports one page of mount options"),
        };
        let call = match call {
            minirun_overlay::Call::Open => Call::Open,
            minirun_overlay::Call::Openat2 => Call::Openat2,
            minirun_overlay::Call::Fsopen => Call::Fsopen,
            minirun_overlay::Call::Fsconfig => Call::Fsconfig,
            minirun_overlay::Call::Mkdir => Call::Mkdir,
            minirun_overlay::Call::Chdir => Call::Chdir,
            _ => Call::Mount,
        };
        Fault { call, errno: errno as i32, text: "" }
    }
}

impl Executor<'_> {
    /// A tmpfs, with a place to mount the overlay and an upper and a work directory.
    pub(crate) fn overlay_stage(&mut self, place: &RootPlace, size: &CStr) -> Result<(), Fault> {
        let context = configure_stage(size)?;
        let stage = Stage::prepare(self.create(context.as_fd(), 0)?)?;
        let target = super::root::open_place(place)?;
        sys::move_mount(stage.mount(), target.as_fd()).in_call(Call::MoveMount)?;
        self.overlay.stage = Some(stage);
        Ok(())
    }

    pub(crate) fn overlay_lower(&mut self, path: &CStr) -> Result<(), Fault> {
        Ok(self.overlay.directories.add_lower(path)?)
    }

    pub(crate) fn overlay_upper(&mut self, path: &CStr) -> Result<(), Fault> {
        Ok(self.overlay.directories.set_upper(path)?)
    }

    pub(crate) fn overlay_work(&mut self, path: &CStr) -> Result<(), Fault> {
        Ok(self.overlay.directories.set_work(path)?)
    }

    /// Mounts what was opened.
    pub(crate) fn overlay_root(
        &mut self,
        place: &RootPlace,
        options: &CStr,
        attributes: &Attributes,
    ) -> Result<(), Fault> {
        let stage = self.overlay.stage.take().ok_or(Fault::check("nothing to mount the overlay on"))?;
        let root: OwnedFd = self.overlay.directories.mount(&stage, options)?;
        if let RootPlace::At(_) = place {
            // Over the stage, which lies at that path.
            sys::move_mount(root.as_fd(), stage.mount()).in_call(Call::MoveMount)?;
        }
        let attr = sys::MountAttr { set: attributes.set, clear: attributes.clear, propagation: 0 };
        sys::mount_setattr(root.as_fd(), false, attr, None).in_call(Call::MountSetattr)?;
        self.root = Some(root);
        Ok(())
    }
}
