//! The meaning of an overlay entry: which directories it stacks, and how overlayfs is to treat them. Pure.

use std::ffi::{CStr, CString};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::MOST_LAYERS;
use crate::lists::{split_list, unescape};
use crate::marks::Marks;

/// A directory, with the number of the option that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The absolute path.
    pub path: PathBuf,
    /// The number of the option.
    pub option: usize,
}

impl Directory {
    /// The path for a system call. It holds no NUL byte, for it was checked.
    pub fn c_path(&self) -> CString {
        CString::new(self.path.as_os_str().as_encoded_bytes()).unwrap_or_default()
    }
}

/// The layers of a root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerStack {
    lower: Vec<Directory>,
    upper: Option<Upper>,
    size: Option<Size>,
    marks: Marks,
}

/// The directories for changes, which must be on one file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upper {
    /// The directory that gets the changes.
    pub upper: Directory,
    /// The directory that overlayfs prepares them in.
    pub work: Directory,
}

/// The size of the tmpfs that gets the changes if there is no upper directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// In bytes, as text.
    pub bytes: CString,
    /// The number of the option.
    pub option: usize,
}

/// Something in an entry that is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The number of the option; none for the options as a whole.
    pub option: Option<usize>,
    /// What is wrong, and what is expected.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.option {
            Some(option) => write!(f, "options[{option}]: {}", self.text),
            None => write!(f, "options: {}", self.text),
        }
    }
}

impl std::error::Error for Problem {}

impl LayerStack {
    /// Reads the options of an entry, each with its number. Options that are the same for every mount are not among them.
    /// Relative paths count from `bundle`.
    ///
    /// # Errors
    /// Everything that is not valid.
    pub fn parse<'a>(
        options: impl IntoIterator<Item = (usize, &'a str)>,
        bundle: &Path,
        marks: Marks,
    ) -> Result<LayerStack, Vec<Problem>> {
        let mut reader = Reader { bundle, problems: Vec::new() };
        let mut stack = LayerStack { lower: Vec::new(), upper: None, size: None, marks };
        let (mut upper, mut work) = (None, None);
        for (option, text) in options {
            match text.split_once('=') {
                Some(("lowerdir", list)) => {
                    stack.lower.extend(split_list(list).into_iter().map(|path| reader.directory(path, option)));
                }
                // One directory per option, as it is: nothing in its name separates anything.
                Some(("lowerdir+", path)) => stack.lower.push(reader.directory(path.to_owned(), option)),
                Some(("upperdir", path)) => upper = Some(reader.directory(unescape(path), option)),
                Some(("workdir", path)) => work = Some(reader.directory(unescape(path), option)),
                Some(("size", bytes)) => stack.size = reader.size(bytes, option).or(stack.size),
                _ => {
                    let known = "lowerdir, lowerdir+, upperdir, workdir or size";
                    reader.problem(option, format!("unknown option {text:?} (expected {known})"));
                }
            }
        }
        stack.upper = reader.upper(upper, work);
        reader.whole(&stack);
        if reader.problems.is_empty() { Ok(stack) } else { Err(reader.problems) }
    }

    /// The read-only layers, top first.
    pub fn lower(&self) -> &[Directory] {
        &self.lower
    }

    /// The directories for changes; none means a tmpfs that ends with the container.
    pub fn upper(&self) -> Option<&Upper> {
        self.upper.as_ref()
    }

    /// The size of that tmpfs, if it was given.
    pub fn size(&self) -> Option<&Size> {
        self.size.as_ref()
    }

    /// The attributes in which overlayfs has its marks.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// The options of overlayfs besides the directories (see [`features`]).
    pub fn features(&self) -> &'static CStr {
        features(self.marks)
    }
}

/// The options of overlayfs besides the directories. Each feature is switched explicitly, because a module's defaults differ
/// between distributions. Layers come from elsewhere, so nothing in them may redirect or complete from other places
/// (overlayfs.rst, "metadata only copy up", "redirect_dir"); an index would tie the upper directory to these very layers.
pub fn features(marks: Marks) -> &'static CStr {
    match marks {
        // With userxattr the kernel switches redirects and metacopy off itself and refuses to be asked.
        Marks::User => c"index=off,userxattr",
        Marks::Trusted => c"index=off,metacopy=off,redirect_dir=nofollow,xino=auto",
    }
}

struct Reader<'a> {
    bundle: &'a Path,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, option: usize, text: impl Into<String>) {
        self.problems.push(Problem { option: Some(option), text: text.into() });
    }

    fn directory(&mut self, path: String, option: usize) -> Directory {
        if path.is_empty() {
            self.problem(option, "an empty path in the list of directories");
        }
        if path.contains('\0') {
            self.problem(option, "must not contain a NUL byte");
        }
        Directory { path: self.bundle.join(path), option }
    }

    fn size(&mut self, text: &str, option: usize) -> Option<Size> {
        match (text.parse::<u64>(), CString::new(text)) {
            (Ok(number), Ok(bytes)) if number > 0 => Some(Size { bytes, option }),
            _ => {
                self.problem(option, format!("{text:?} is not a number of bytes"));
                None
            }
        }
    }

    fn upper(&mut self, upper: Option<Directory>, work: Option<Directory>) -> Option<Upper> {
        match (upper, work) {
            (Some(upper), Some(work)) => {
                if is_inside(&upper.path, &work.path) || is_inside(&work.path, &upper.path) {
                    self.problem(work.option, "upperdir and workdir must not lie inside each other");
                }
                return Some(Upper { upper, work });
            }
            (Some(upper), None) => self.problem(upper.option, "upperdir needs a workdir on the same file system"),
            (None, Some(work)) => self.problem(work.option, "workdir without upperdir has no use"),
            (None, None) => {}
        }
        None
    }

    fn whole(&mut self, stack: &LayerStack) {
        if let (Some(_), Some(size)) = (&stack.upper, &stack.size) {
            self.problem(size.option, "size is that of the tmpfs in place of an upperdir, but there is one");
        }
        if stack.lower.is_empty() {
            let text = "an overlay needs at least one lowerdir".to_owned();
            self.problems.push(Problem { option: None, text });
        }
        if stack.lower.len() > MOST_LAYERS {
            let text = format!("{} layers are more than the kernel's {MOST_LAYERS}", stack.lower.len());
            self.problems.push(Problem { option: None, text });
        }
    }
}

/// Whether `path` is the directory `ancestor`, or beneath it, as far as the names tell.
fn is_inside(path: &Path, ancestor: &Path) -> bool {
    let plain = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
    plain(path).starts_with(plain(ancestor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<LayerStack, String> {
        let numbered = options.iter().copied().enumerate();
        LayerStack::parse(numbered, Path::new("/bundle"), Marks::Trusted)
            .map_err(|problems| problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))
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
    fn stacks_that_cannot_work_are_refused() {
        for (options, expected) in [
            (&[][..], "options: an overlay needs at least one lowerdir"),
            (&["lowerdir=a::b"], "options[0]: an empty path in the list of directories"),
            (&["lowerdir=a", "upperdir=u"], "options[1]: upperdir needs a workdir on the same file system"),
            (&["lowerdir=a", "workdir=w"], "options[1]: workdir without upperdir has no use"),
            (
                &["lowerdir=a", "upperdir=u", "workdir=u/w"],
                "options[2]: upperdir and workdir must not lie inside each other",
            ),
            (&["lowerdir=a", "size=1m"], "options[1]: \"1m\" is not a number of bytes"),
            (&["lowerdir=a", "size=0"], "options[1]: \"0\" is not a number of bytes"),
            (
                &["lowerdir=a", "size=4096", "upperdir=u", "workdir=w"],
                "options[1]: size is that of the tmpfs in place of an upperdir, but there is one",
            ),
            (
                &["lowerdir=a", "volatile"],
                "options[1]: unknown option \"volatile\" (expected lowerdir, lowerdir+, upperdir, workdir or size)",
            ),
        ] {
            assert_eq!(parse(options).unwrap_err(), expected);
        }
    }
}
