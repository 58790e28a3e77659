//! A stack of layers: read from a mount entry, checked, and turned into steps.

use std::ffi::CString;
use std::path::{Component, Path, PathBuf};

use minirun_plan::spec::Mount;
use minirun_plan::{Attributes, Op, Origin, Problems, RootPlace, Step};

use crate::options::{split_list, unescape};

/// The most lower directories that the kernel takes (`OVL_MAX_STACK`).
const MOST_LAYERS: usize = 500;

/// A directory with the option that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Directory {
    path: PathBuf,
    origin: Origin,
}

/// The layers of a root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerStack {
    /// Read-only layers, top first.
    lower: Vec<Directory>,
    /// Where changes go, with the work directory beside it; none means a tmpfs that dies with the container.
    upper: Option<(Directory, Directory)>,
    /// How large that tmpfs may become, in bytes, with the option that says so.
    size: Option<(CString, Origin)>,
    /// Attributes of the mount.
    attributes: Attributes,
    /// In a user namespace the overlay keeps its marks in `user.*` attributes.
    userxattr: bool,
    origin: Origin,
}

impl LayerStack {
    /// Reads the mount entry `mounts[index]` of a bundle; `userxattr` tells whether overlayfs has its marks in `user.*`
    /// attributes.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(mount: &Mount, index: usize, bundle: &Path, userxattr: bool) -> Result<LayerStack, Problems> {
        let origin = Origin::of("mounts").index(index);
        let mut problems = Problems::new();
        let mut stack = LayerStack {
            lower: Vec::new(),
            upper: None,
            size: None,
            attributes: Attributes::default(),
            userxattr,
            origin: origin.clone(),
        };
        let (mut upper, mut work) = (None, None);
        for (i, option) in mount.options.as_deref().unwrap_or(&[]).iter().enumerate() {
            let place = origin.field("options").index(i);
            let directory = |text: String| Directory { path: bundle.join(text), origin: place.clone() };
            match option.split_once('=') {
                Some(("lowerdir", list)) => {
                    for path in split_list(list) {
                        check_path(&path, &place, &mut problems);
                        stack.lower.push(directory(path));
                    }
                }
                // One directory per option, as it is: nothing in its name separates anything.
                Some(("lowerdir+", path)) => {
                    check_path(path, &place, &mut problems);
                    stack.lower.push(directory(path.to_owned()));
                }
                Some(("upperdir", path)) => upper = Some(directory(checked(path, &place, &mut problems))),
                Some(("size", text)) => match text.parse::<u64>() {
                    Ok(bytes) if bytes > 0 => stack.size = CString::new(text).ok().map(|size| (size, place)),
                    _ => problems.add(&place, format!("{text:?} is not a number of bytes")),
                },
                Some(("workdir", path)) => work = Some(directory(checked(path, &place, &mut problems))),
                _ => stack.word(option, &place, &mut problems),
            }
        }
        match (upper, work) {
            (Some(upper), Some(work)) => {
                if inside(&upper.path, &work.path) || inside(&work.path, &upper.path) {
                    problems.add(&work.origin, "upperdir and workdir must not lie inside each other");
                }
                stack.upper = Some((upper, work));
            }
            (Some(upper), None) => problems.add(&upper.origin, "upperdir needs a workdir on the same file system"),
            (None, Some(work)) => problems.add(&work.origin, "workdir without upperdir has no use"),
            (None, None) => {}
        }
        if let (Some(_), Some((_, place))) = (&stack.upper, &stack.size) {
            problems.add(place, "size is that of the tmpfs in place of an upperdir, but there is one");
        }
        if stack.lower.is_empty() {
            problems.add(&origin.field("options"), "an overlay needs at least one lowerdir");
        }
        if stack.lower.len() > MOST_LAYERS {
            let text = format!("{} layers are more than the kernel's {MOST_LAYERS}", stack.lower.len());
            problems.add(&origin.field("options"), text);
        }
        if problems.is_empty() { Ok(stack) } else { Err(problems) }
    }

    /// A word that is not a directory: an attribute of the mount, or nothing that minirun takes.
    fn word(&mut self, word: &str, place: &Origin, problems: &mut Problems) {
        const WORDS: [(&str, u64, u64); 10] = [
            ("rw", 0, 0x01),
            ("nosuid", 0x02, 0),
            ("suid", 0, 0x02),
            ("nodev", 0x04, 0),
            ("dev", 0, 0x04),
            ("noexec", 0x08, 0),
            ("exec", 0, 0x08),
            ("relatime", 0, 0x70),
            ("noatime", 0x10, 0x70),
            ("nodiratime", 0x80, 0),
        ];
        match WORDS.iter().find(|(name, ..)| *name == word) {
            Some((_, set, clear)) => {
                self.attributes.set = self.attributes.set & !clear | set;
                self.attributes.clear = self.attributes.clear & !set | clear;
            }
            None if word == "ro" => problems.add(place, "a read-only root is asked for with root.readonly"),
            None => {
                let text = format!("unknown option {word:?} (expected lowerdir, lowerdir+, upperdir, workdir or size)");
                problems.add(place, text);
            }
        }
    }

    /// The read-only layers, top first.
    pub fn lower(&self) -> impl Iterator<Item = &Path> {
        self.lower.iter().map(|layer| layer.path.as_path())
    }

    /// Where changes go; none means a tmpfs that dies with the container.
    pub fn upper(&self) -> Option<&Path> {
        self.upper.as_ref().map(|(upper, _)| upper.path.as_path())
    }

    /// Does the overlay keep its marks in `user.*` attributes?
    pub fn userxattr(&self) -> bool {
        self.userxattr
    }

    /// The steps that make this stack the root file system.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(self.lower.len() + 4);
        let mut step = |op, origin: &Origin| steps.push(Step { op, origin: origin.clone() });
        let (size, origin) = self.size.clone().unwrap_or_else(|| (CString::default(), self.origin.clone()));
        step(Op::OverlayStage { place: RootPlace::OverSlash, size }, &origin);
        for layer in &self.lower {
            step(Op::OverlayLower(c_path(&layer.path)), &layer.origin);
        }
        if let Some((upper, work)) = &self.upper {
            step(Op::OverlayUpper(c_path(&upper.path)), &upper.origin);
            step(Op::OverlayWork(c_path(&work.path)), &work.origin);
        }
        let place = RootPlace::OverSlash;
        step(Op::OverlayRoot { place, options: self.options(), attributes: self.attributes }, &self.origin);
        steps
    }

    /// Each feature switched explicitly, because a module's defaults differ between distributions. Layers come from
    /// elsewhere, so nothing in them may redirect or complete from other places (overlayfs.rst, "metadata only copy up",
    /// "redirect_dir"); an index would tie the upper directory to these very layers.
    fn options(&self) -> CString {
        // With userxattr the kernel switches redirects and metacopy off itself and refuses to be asked.
        let options = match self.userxattr {
            true => c"index=off,userxattr",
            false => c"index=off,metacopy=off,redirect_dir=nofollow,xino=auto",
        };
        options.to_owned()
    }
}

/// A path that holds no NUL, for it was checked.
fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).unwrap_or_default()
}

fn checked(path: &str, place: &Origin, problems: &mut Problems) -> String {
    let path = unescape(path);
    check_path(&path, place, problems);
    path
}

fn check_path(path: &str, place: &Origin, problems: &mut Problems) {
    if path.is_empty() {
        problems.add(place, "an empty path in the list of directories");
    }
    if path.contains('\0') {
        problems.add(place, "must not contain a NUL byte");
    }
}

/// Is `path` the directory `ancestor`, or beneath it, as far as the names tell?
fn inside(path: &Path, ancestor: &Path) -> bool {
    let plain = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
    plain(path).starts_with(plain(ancestor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<LayerStack, String> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mount = Mount { destination: "/".into(), options: Some(options), ..Mount::default() };
        LayerStack::parse(&mount, 0, Path::new("/bundle"), false).map_err(|problems| problems.to_string())
    }

    fn layers(options: &[&str]) -> Vec<String> {
        parse(options).unwrap().lower.iter().map(|layer| layer.path.display().to_string()).collect()
    }

    #[test]
    fn relative_paths_count_from_the_bundle_and_the_top_comes_first() {
        assert_eq!(layers(&["lowerdir=b:/a"]), ["/bundle/b", "/a"]);
        assert_eq!(layers(&[r"lowerdir=x\:y", "lowerdir+=p:q"]), ["/bundle/x:y", "/bundle/p:q"]);
    }

    #[test]
    fn a_stack_becomes_steps_in_order() {
        let steps = parse(&["lowerdir=b:a", "upperdir=u", "workdir=w"]).unwrap().steps();
        let verbs: Vec<_> = steps.iter().map(|step| step.op.verb()).collect();
        assert_eq!(verbs, ["overlay-stage", "lower", "lower", "upper", "work", "overlay"]);
        assert_eq!(steps[1].origin.as_str(), "mounts[0].options[0]");
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_place() {
        for (options, expected) in [
            (&[][..], "mounts[0].options: an overlay needs at least one lowerdir"),
            (&["lowerdir=a::b"], "mounts[0].options[0]: an empty path in the list of directories"),
            (&["lowerdir=a", "upperdir=u"], "mounts[0].options[1]: upperdir needs a workdir on the same file system"),
            (&["lowerdir=a", "workdir=w"], "mounts[0].options[1]: workdir without upperdir has no use"),
            (
                &["lowerdir=a", "upperdir=u", "workdir=u/w"],
                "mounts[0].options[2]: upperdir and workdir must not lie inside each other",
            ),
            (&["lowerdir=a", "size=1m"], "mounts[0].options[1]: \"1m\" is not a number of bytes"),
            (
                &["lowerdir=a", "size=4096", "upperdir=u", "workdir=w"],
                "mounts[0].options[1]: size is that of the tmpfs in place of an upperdir, but there is one",
            ),
            (&["lowerdir=a", "ro"], "mounts[0].options[1]: a read-only root is asked for with root.readonly"),
            (
                &["lowerdir=a", "volatile"],
                "mounts[0].options[1]: unknown option \"volatile\" (expected lowerdir, lowerdir+, upperdir, workdir or size)",
            ),
        ] {
            assert_eq!(parse(options).unwrap_err(), expected);
        }
    }
}
