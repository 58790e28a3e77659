//! A mount entry of type `overlay` at `/`, which makes the root a stack of layers: minirun's own addition.

use std::ffi::CString;
use std::path::Path;

use minirun_overlay::{LayerStack, Marks};

use super::mount_options::root_options;
use crate::spec::Mount;
use crate::{Attributes, InRoot, Op, Origin, Problems, RootPlace, Step};

/// Whether this mount entry makes the root of layers.
pub fn is_overlay_root(mount: &Mount) -> bool {
    mount.typ.as_deref() == Some("overlay")
        && InRoot::new(&mount.destination.to_string_lossy()).is_some_and(|path| path.path().is_empty())
}

/// A root of layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayRoot {
    layers: LayerStack,
    /// Attributes of the mount.
    attributes: Attributes,
    origin: Origin,
}

impl OverlayRoot {
    /// Reads the entry `mounts[index]`. Relative paths of layers count from `bundle`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(mount: &Mount, index: usize, bundle: &Path, marks: Marks) -> Result<OverlayRoot, Problems> {
        let origin = Origin::of("mounts").index(index);
        let place = |option: Option<usize>| match option {
            Some(option) => origin.field("options").index(option),
            None => origin.field("options"),
        };
        let mut problems = Problems::new();
        let options = root_options(mount.options.as_deref().unwrap_or(&[]));
        for option in options.read_only {
            problems.add(&place(Some(option)), "a read-only root is asked for with root.readonly");
        }
        let layers = LayerStack::parse(options.overlay, bundle, marks);
        match layers {
            Ok(layers) if problems.is_empty() => Ok(OverlayRoot { layers, attributes: options.attributes, origin }),
            Ok(_) => Err(problems),
            Err(wrong) => {
                wrong.into_iter().for_each(|problem| problems.add(&place(problem.option), problem.text));
                Err(problems)
            }
        }
    }

    /// Its layers.
    pub fn layers(&self) -> &LayerStack {
        &self.layers
    }

    /// The steps that make this stack the root file system.
    pub fn steps(&self) -> Vec<Step> {
        let option = |option: usize| self.origin.field("options").index(option);
        let mut steps = Vec::with_capacity(self.layers.lower().len() + 4);
        let mut step = |op, origin: Origin| steps.push(Step { op, origin });
        let (size, origin) = match self.layers.size() {
            Some(size) => (size.bytes.clone(), option(size.option)),
            None => (CString::default(), self.origin.clone()),
        };
        step(Op::OverlayStage { place: RootPlace::OverSlash, size }, origin);
        for layer in self.layers.lower() {
            step(Op::OverlayLower(layer.c_path()), option(layer.option));
        }
        if let Some(upper) = self.layers.upper() {
            step(Op::OverlayUpper(upper.upper.c_path()), option(upper.upper.option));
            step(Op::OverlayWork(upper.work.c_path()), option(upper.work.option));
        }
        let (place, options) = (RootPlace::OverSlash, self.layers.features().to_owned());
        step(Op::OverlayRoot { place, options, attributes: self.attributes }, self.origin.clone());
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<OverlayRoot, String> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mount = Mount { destination: "/".into(), options: Some(options), ..Mount::default() };
        OverlayRoot::parse(&mount, 0, Path::new("/bundle"), Marks::Trusted).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_stack_becomes_steps_in_order() {
        let steps = parse(&["lowerdir=b:a", "upperdir=u", "workdir=w"]).unwrap().steps();
        let verbs: Vec<_> = steps.iter().map(|step| step.op.verb()).collect();
        assert_eq!(verbs, ["overlay-stage", "lower", "lower", "upper", "work", "overlay"]);
        assert_eq!(steps[1].origin.as_str(), "mounts[0].options[0]");
    }

    #[test]
    fn options_of_every_mount_are_options_of_the_root() {
        for (option, set, clear) in [
            ("", 0, 0),
            ("defaults", 0, 0),
            ("rw", 0, 0x01),
            ("nosuid", 0x02, 0),
            ("rnosuid", 0x02, 0),
            ("strictatime", 0x20, 0x70),
            ("norelatime", 0, 0x70),
            ("diratime", 0, 0x80),
            ("nosymfollow", 0x20_0000, 0),
        ] {
            let root = parse(&["lowerdir=a", option]).unwrap();
            assert_eq!(root.attributes, Attributes { set, clear }, "{option}");
        }
    }

    #[test]
    fn options_that_a_root_cannot_have_are_refused_with_their_place() {
        for (option, expected) in [
            ("ro", "mounts[0].options[1]: a read-only root is asked for with root.readonly"),
            ("rro", "mounts[0].options[1]: a read-only root is asked for with root.readonly"),
            (
                "rbind",
                "mounts[0].options[1]: unknown option \"rbind\" (expected lowerdir, lowerdir+, upperdir, workdir or size)",
            ),
            (
                "volatile",
                "mounts[0].options[1]: unknown option \"volatile\" (expected lowerdir, lowerdir+, upperdir, workdir or size)",
            ),
        ] {
            assert_eq!(parse(&["lowerdir=a", option]).unwrap_err(), expected);
        }
        let both = parse(&["ro", "workdir=w"]).unwrap_err();
        assert!(both.contains("root.readonly") && both.contains("workdir without upperdir"), "{both}");
    }
}
