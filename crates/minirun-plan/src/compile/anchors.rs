//! Which mount each path of a plan lies on, and which mounts are verified.
//!
//! Other processes may be able to rename directories of a root file system while its container is created. A mount
//! moves with its mount point, so a path that led to it would then lead elsewhere. For this reason a path below a mount
//! is looked up from that mount. Where masks and the like depend on a mount, init verifies at the end that it is still
//! in its place.

use std::collections::{HashMap, HashSet};

use crate::{InRoot, MountPoint, Op, PointKind, Source, Step};

/// The kernel's `PATH_MAX`. A longer path makes its step fail, so its anchor does not matter.
const LONGEST: usize = 4096;

/// Sets the mount of each path in these steps and adds the steps that verify mounts. Returns the number of mounts.
pub(super) fn anchors(steps: &mut Vec<Step>) -> usize {
    let mut mounts = Mounts::default();
    for step in steps.iter_mut() {
        mounts.step(&mut step.op);
    }
    let verified = mounts.verified(steps);
    mounts.used.extend(verified.iter().filter_map(|step| match step.op {
        Op::VerifyMount { number, .. } => Some(number),
        _ => None,
    }));
    for point in steps.iter_mut().filter_map(|step| made_by(&mut step.op)) {
        point.keep = point.number.is_some_and(|number| mounts.used.contains(&number));
    }
    // After that step init looks up nothing in the root, and the mounts' descriptors are no longer needed.
    let last = |op: &Op| matches!(op, Op::RootPropagation(_) | Op::ReadonlyRoot | Op::CloseDescriptors(_));
    if let Some(at) = steps.iter().position(|step| last(&step.op)) {
        steps.splice(at..at, verified);
    }
    mounts.count
}

/// Returns the mount point of a step that creates a mount.
fn made_by(op: &mut Op) -> Option<&mut MountPoint> {
    match op {
        Op::Mount { point, .. }
        | Op::ClassicMount { point, .. }
        | Op::Bind { point, .. }
        | Op::MountCgroup { point, .. } => Some(point),
        _ => None,
    }
}

/// The mounts that the steps so far create.
#[derive(Default)]
struct Mounts {
    /// The number of the last mount at each path.
    last: HashMap<Vec<u8>, usize>,
    count: usize,
    /// The mounts from which later steps look up paths.
    used: HashSet<usize>,
    /// The mounts that masked and read-only paths depend on.
    viewed: HashSet<usize>,
    /// The mounts whose own mount point is masked; the masking step verifies them.
    masked: HashSet<usize>,
}

impl Mounts {
    fn step(&mut self, op: &mut Op) {
        if let Op::Bind { source: Source::Inside(path, _), .. } = op {
            self.anchor(path);
        }
        if let Some(point) = made_by(op) {
            self.anchor(&mut point.target);
            point.number = Some(self.count);
            self.last.insert(point.target.path().to_bytes().to_vec(), self.count);
            self.count += 1;
            return;
        }
        match op {
            Op::Remount { point, .. } => {
                self.anchor(&mut point.target);
                point.number = self.at(&point.target);
            }
            Op::MaskedPath { path, number, .. } => {
                self.anchor(path);
                *number = self.at(path);
                self.masked.extend(*number);
                self.depend(path, *number);
            }
            Op::ReadonlyPath { path, number } => {
                self.anchor(path);
                *number = self.at(path);
                self.depend(path, *number);
            }
            Op::Terminal { multiplexers, console, .. } => {
                multiplexers.iter_mut().chain(console).for_each(|path| self.anchor(path));
            }
            Op::Device { path, .. } | Op::BindDevice { path, .. } | Op::Symlink { path, .. } => self.anchor(path),
            Op::MakeDirectory(path) => self.anchor(path),
            _ => {}
        }
    }

    fn depend(&mut self, path: &InRoot, number: Option<usize>) {
        self.viewed.extend(path.mount().into_iter().chain(number));
        self.used.extend(number);
    }

    /// Sets the mount that a path lies on. Of the mounts above the path, it is the one created last, which covers the
    /// others or lies on them.
    fn anchor(&mut self, path: &mut InRoot) {
        let length = path.path().to_bytes().len();
        let above = path.prefixes().take_while(|prefix| prefix.len() < length.min(LONGEST));
        let found = above.filter_map(|prefix| Some((*self.last.get(prefix)?, prefix.len()))).max();
        if let Some((mount, length)) = found {
            self.used.insert(mount);
            path.set_mount(mount, length);
        }
    }

    /// Returns the mount whose mount point this path is, unless a later mount above it covers it.
    fn at(&self, path: &InRoot) -> Option<usize> {
        let number = *self.last.get(path.path().to_bytes())?;
        let above = path.prefixes().take_while(|prefix| prefix.len() < LONGEST);
        let above = above.filter_map(|prefix| self.last.get(prefix)).max();
        (above == Some(&number)).then_some(number)
    }

    /// Returns the steps that verify the mounts below views of the kernel and masks. A later mount can cover one on
    /// purpose.
    fn verified(&self, steps: &mut [Step]) -> Vec<Step> {
        let mut verified = Vec::new();
        for Step { op, origin } in steps.iter_mut() {
            let Some(MountPoint { target, number: Some(number), kind, .. }) = made_by(op) else { continue };
            let view =
                *kind == PointKind::RealDirectory || matches!(target.path().to_bytes(), b"proc" | b"sys" | b"dev");
            let wanted = (view || self.viewed.contains(number)) && !self.masked.contains(number);
            if wanted && self.at(target) == Some(*number) {
                // The path itself is verified, so the lookup starts from the root.
                let path = InRoot::new(&target.path().to_string_lossy()).unwrap_or_default();
                verified.push(Step { op: Op::VerifyMount { path, number: *number }, origin: origin.clone() });
            }
        }
        verified
    }
}
