//! Creates a container's cgroup: the directories, and the controllers on the path.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use minirun_plan::{CgroupPlan, Origin};
use minirun_sys::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::{Cgroup, CgroupError, Result, files};

const SUBTREE: &str = "cgroup.subtree_control";
const CONTROLLERS: &str = "cgroup.controllers";

/// Controllers that are enabled wherever they are available, required or not, so that there are statistics and `update`
/// finds its files. Those that a cgroup with processes cannot delegate come first.
const USUAL: [&str; 5] = ["memory", "io", "cpu", "cpuset", "pids"];

/// Those of the usual controllers that a cgroup with processes can delegate. Its children become threaded then, which a
/// container cannot use (cgroup-v2.rst, "Threads").
const THREADED: [&str; 3] = ["cpu", "cpuset", "pids"];

/// The number of attempts when another process removes a directory above meanwhile.
const ATTEMPTS: usize = 8;

impl Cgroup {
    /// Creates the cgroup of a plan with its controllers. The knobs are not written yet ([`Cgroup::apply`]).
    ///
    /// An existing directory is used if it has no processes. On an error all created directories are removed.
    ///
    /// # Errors
    ///
    /// Fails if a directory cannot be created, a controller that the plan requires cannot be enabled, or the cgroup is
    /// in use.
    pub fn create(mount: &Path, plan: &CgroupPlan) -> Result<Cgroup> {
        let root = files::open_mount(mount)?;
        let path = files::inside(mount, &plan.path)?;
        let mut making = Making { root: root.as_fd(), mount, plan, made: None, found: false };
        let mut attempt = 0;
        let dir = loop {
            attempt += 1;
            match making.all(&path) {
                Ok(dir) => break dir,
                Err(error) => {
                    making.undo(&path);
                    if attempt == ATTEMPTS || !error.errno().is_some_and(files::gone) {
                        return Err(error);
                    }
                }
            }
        };
        let (made, found) = (making.made.take(), making.found);
        let cgroup = Cgroup { root, dir, leaf: None, mount: mount.to_owned(), path, made };
        if found {
            cgroup.must_be_unused()?;
        }
        Ok(cgroup)
    }

    /// Opens a cgroup that systemd created for a plan, and enables the missing controllers that the plan requires. The
    /// knobs are not written yet.
    ///
    /// # Errors
    ///
    /// Fails if the cgroup does not exist, or a controller cannot be enabled.
    pub fn adopt(mount: &Path, plan: &CgroupPlan) -> Result<Cgroup> {
        let root = files::open_mount(mount)?;
        let path = files::inside(mount, &plan.path)?;
        let making = Making { root: root.as_fd(), mount, plan, made: None, found: true };
        let mut here = PathBuf::new();
        for name in path.parent().into_iter().flatten().map(Some).chain([None]) {
            let dir = files::open_dir(root.as_fd(), &here)
                .map_err(|errno| CgroupError::new("open", mount.join(&here), errno))?;
            let enabled = making.read(dir.as_fd(), &here, SUBTREE)?;
            // Its creator has enabled the usual controllers.
            if !making.needed().all(|name| has(&enabled, name)) {
                making.enable(dir.as_fd(), &here, &USUAL)?;
            }
            here.extend(name);
        }
        let dir =
            files::open_dir(root.as_fd(), &path).map_err(|errno| CgroupError::new("open", mount.join(&path), errno))?;
        Ok(Cgroup { root, dir, leaf: None, mount: mount.to_owned(), path, made: None })
    }

    /// Enables the controllers of the plan, and all others, for the leaf. The cgroup itself must not hold a process.
    ///
    /// containerd's shim enables all of them in each cgroup above a container's processes before it watches for OOM
    /// kills. With processes below, the kernel then waits for all CPUs, unless there is nothing left to enable.
    ///
    /// # Errors
    ///
    /// Fails if one that the plan requires cannot be enabled.
    pub fn hand_down(&self, plan: &CgroupPlan) -> Result<()> {
        let making = Making { root: self.root.as_fd(), mount: &self.mount, plan, made: None, found: false };
        let available = making.read(self.dir.as_fd(), &self.path, CONTROLLERS)?;
        let all: Vec<&str> = available.split_whitespace().collect();
        making.enable(self.dir.as_fd(), &self.path, &all)
    }

    fn must_be_unused(&self) -> Result<()> {
        let events = self.read("cgroup.events")?.unwrap_or_default();
        if files::value_of(&events, "populated") == Some("1") {
            let text = format!("container's cgroup is not empty: {} process(es) found", self.pids()?.len());
            return Err(CgroupError::new("use", self.path(), text));
        }
        if files::value_of(&events, "frozen") == Some("1") {
            return Err(CgroupError::new("use", self.path(), "container's cgroup is frozen"));
        }
        Ok(())
    }
}

/// A cgroup that is being created.
struct Making<'a> {
    root: BorrowedFd<'a>,
    mount: &'a Path,
    plan: &'a CgroupPlan,
    /// The topmost directory created so far.
    made: Option<PathBuf>,
    /// Whether the container's own directory existed already.
    found: bool,
}

impl Making<'_> {
    fn all(&mut self, path: &Path) -> Result<OwnedFd> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let above = match self.ready(parent)? {
            Some(above) => above,
            None => self.walk(parent)?,
        };
        self.enter(above.as_fd(), path, true)
    }

    /// Returns the parent if it exists and has all required and usual controllers enabled. A controller enabled here is
    /// enabled in every cgroup above, so these need not be checked.
    fn ready(&self, parent: &Path) -> Result<Option<OwnedFd>> {
        match files::open_dir(self.root, parent) {
            Ok(dir) => {
                let enabled = self.read(dir.as_fd(), parent, SUBTREE)?;
                let all = self.needed().chain(USUAL).all(|name| has(&enabled, name));
                Ok(all.then_some(dir))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(CgroupError::new("open", self.mount.join(parent), errno)),
        }
    }

    /// Creates the cgroups down to `parent` and enables the controllers in each of them, including the root.
    fn walk(&mut self, parent: &Path) -> Result<OwnedFd> {
        let mut here = PathBuf::new();
        let mut dir = files::open_dir(self.root, &here).map_err(|errno| CgroupError::new("open", self.mount, errno))?;
        self.enable(dir.as_fd(), &here, &USUAL)?;
        for name in parent {
            here.push(name);
            dir = self.enter(dir.as_fd(), &here, false)?;
            self.enable(dir.as_fd(), &here, &USUAL)?;
        }
        Ok(dir)
    }

    /// Opens the cgroup at `path`, whose parent is `above`, and creates it if necessary. A container's own cgroup is
    /// expected to be missing, one above it to exist.
    fn enter(&mut self, above: BorrowedFd<'_>, path: &Path, own: bool) -> Result<OwnedFd> {
        let mount = self.mount;
        let failed = |operation: &'static str| move |errno| CgroupError::new(operation, mount.join(path), errno);
        let name = Path::new(path.file_name().unwrap_or_default());
        if !own {
            match files::open_dir(above, name) {
                Err(Errno::ENOENT) => {}
                answer => return answer.map_err(failed("open")),
            }
        }
        match files::c_path(name).and_then(|name| minirun_sys::mkdirat(above, &name, 0o755)) {
            Ok(()) => {}
            Err(Errno::EEXIST) => {
                self.found |= own;
                return files::open_dir(above, name).map_err(failed("open"));
            }
            Err(errno) => {
                let hint = match errno {
                    Errno::EACCES | Errno::EPERM => "this part of the hierarchy is not delegated to this user",
                    Errno::EROFS => "cgroup2 is mounted read-only here",
                    Errno::EAGAIN => "a limit on the number or depth of cgroups (cgroup.max.*) is reached above",
                    _ => "",
                };
                return Err(failed("make")(errno).hint(hint));
            }
        }
        self.made.get_or_insert_with(|| path.to_owned());
        files::open_dir(above, name).map_err(failed("open"))
    }

    fn needed(&self) -> impl Iterator<Item = &str> {
        self.plan.controllers.iter().map(String::as_str)
    }

    /// Enables the missing required and usual controllers for the children of `dir`, in one write. The usual ones may
    /// fail.
    fn enable(&self, dir: BorrowedFd<'_>, path: &Path, usual: &[&str]) -> Result<()> {
        let enabled = self.read(dir, path, SUBTREE)?;
        let needed: Vec<&str> = self.needed().filter(|name| !has(&enabled, name)).collect();
        let mut usual: Vec<&str> = usual.iter().copied().filter(|name| !has(&enabled, name)).collect();
        usual.retain(|name| !needed.contains(name));
        if needed.is_empty() && usual.is_empty() {
            return Ok(());
        }
        let available = self.read(dir, path, CONTROLLERS)?;
        if let Some(missing) = needed.iter().find(|name| !has(&available, name)) {
            let text = format!("the {missing} controller is not available in this cgroup");
            let error = CgroupError::new("enable a controller in", self.mount.join(path), text);
            return Err(error.origin(self.asked_by(missing)));
        }
        usual.retain(|name| has(&available, name));
        if needed.is_empty() {
            enable_usual(dir, path, &usual);
            return Ok(());
        }
        match files::write_file(dir, SUBTREE, &line(&[needed.as_slice(), &usual].concat())) {
            Ok(()) => Ok(()),
            // A usual controller can cause the failure.
            // accepts: any error of the usual ones, if the required ones can be enabled without them.
            Err(_) if !usual.is_empty() && files::write_file(dir, SUBTREE, &line(&needed)).is_ok() => {
                enable_usual(dir, path, &usual);
                Ok(())
            }
            Err(errno) => Err(self.not_enabled(path, needed[0], &line(&needed), errno)),
        }
    }

    fn not_enabled(&self, path: &Path, controller: &str, line: &str, errno: Errno) -> CgroupError {
        let hint = match errno {
            Errno::EBUSY => "a cgroup with processes cannot delegate controllers; move the processes to a child",
            Errno::EOPNOTSUPP => "threaded cgroups support only threaded controllers",
            Errno::EINVAL => {
                "the cpu controller cannot be enabled while real-time processes run outside of the root cgroup"
            }
            Errno::EACCES | Errno::EPERM => "this part of the hierarchy is not delegated to this user",
            _ => "",
        };
        let file = self.mount.join(path).join(SUBTREE);
        CgroupError::new(format!("write {line:?} to"), file, errno).hint(hint).origin(self.asked_by(controller))
    }

    /// Returns the first field that requires this controller.
    fn asked_by(&self, controller: &str) -> &Origin {
        const SOME: &Origin = &Origin::of("linux.resources");
        let of_controller = |file: &str| file.split('.').next() == Some(controller);
        self.plan.knobs.iter().find(|knob| of_controller(&knob.file)).map_or(SOME, |knob| &knob.origin)
    }

    fn read(&self, dir: BorrowedFd<'_>, path: &Path, file: &str) -> Result<String> {
        files::read_record(dir, file).map_err(|errno| CgroupError::new("read", self.mount.join(path).join(file), errno))
    }

    /// Removes the created directories, from the leaf up. Those that do not exist or are in use by now are left.
    fn undo(&mut self, path: &Path) {
        if let Some(top) = self.made.take() {
            for made in path.ancestors().take_while(|made| made.starts_with(&top)) {
                // accepts: any error; the caller removes the rest by the record, and reports it.
                let _best_effort = unlinkat(self.root, made, UnlinkatFlags::RemoveDir);
            }
        }
    }
}

/// Enables the usual controllers, as far as possible. Only the root may have processes beside them.
fn enable_usual(dir: BorrowedFd<'_>, path: &Path, usual: &[&str]) {
    let is_root = path.as_os_str().is_empty();
    let threaded = || usual.iter().all(|name| THREADED.contains(name));
    // accepts: any error; a cgroup that cannot be read counts as one with processes.
    let has_processes = || files::read_record(dir, "cgroup.procs").map_or(true, |pids| !pids.is_empty());
    if usual.is_empty() || (!is_root && threaded() && has_processes()) {
        return;
    }
    // The write fails as a whole if one controller is unavailable, such as cpu while real-time processes run outside of
    // the root cgroup. After another failure they are not tried one by one, because the threaded ones would succeed
    // beside processes.
    if files::write_file(dir, SUBTREE, &line(usual)) == Err(Errno::EINVAL) {
        for name in usual {
            // accepts: any error; no field requires them.
            let _best_effort = files::write_file(dir, SUBTREE, &line(&[name]));
        }
    }
}

/// Formats controllers for `cgroup.subtree_control`.
fn line(names: &[&str]) -> String {
    names.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ")
}

/// Whether this name is among the words.
fn has(words: &str, name: &str) -> bool {
    words.split_whitespace().any(|word| word == name)
}
