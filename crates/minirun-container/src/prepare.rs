//! The way from a bundle to a plan, without any change to the host.

mod sources;

use std::path::{Path, PathBuf};

use minirun_plan::{Plan, Problems, Request, RootSource, SystemdRequest, compile};

use crate::bundle::Bundle;
use crate::error::Context as _;
use crate::error::{Error, Result, bail};
use crate::facts;
use crate::observer::Level;
use crate::options::{Create, RootChange};
use crate::runtime::Runtime;
use crate::unit;

/// A bundle with its plan, ready to be carried out.
#[derive(Debug)]
#[non_exhaustive]
pub struct Prepared {
    /// The bundle.
    pub bundle: Bundle,
    /// What is done to make it a container.
    pub plan: Plan,
    /// Where cgroup2 is mounted. Empty where it is not, and is not needed.
    pub cgroup_mount: PathBuf,
    /// Why the container has no cgroup of its own.
    pub(crate) cgroup_denied: Option<String>,
    pub(crate) no_new_keyring: bool,
    /// Whether the container can say when it is ready.
    pub(crate) notify: bool,
    /// Whether the systemd that makes the cgroup, if one does, is the user's own.
    pub(crate) user_unit: bool,
}

impl Runtime<'_> {
    /// Reads a bundle and compiles it: nothing is changed anywhere.
    ///
    /// # Errors
    /// The bundle cannot be read or run, or the host cannot be looked at.
    pub fn prepare(&self, options: &Create) -> Result<Prepared> {
        prepare(self, options, None)
    }
}

/// Reads a bundle and compiles it. `notify` is the directory in which the container finds the socket to say on that it is
/// ready, if there will be one.
pub(crate) fn prepare(runtime: &Runtime<'_>, options: &Create, notify: Option<&Path>) -> Result<Prepared> {
    let observer = runtime.observer;
    let dir = options.bundle.as_path();
    let reading = observer.doing("read", || dir.join("config.json").display().to_string(), "");
    let bundle = Bundle::load(dir)?;
    drop(reading);
    let probing = observer.doing("look", || "at the host".to_owned(), "");
    let mut problems = bundle.problems.clone();
    let driver = unit::driver(runtime.cgroups.manager)?;
    let cgroup = driver.as_ref().map(|driver| driver.cgroup.as_path());
    let (mut facts, mount) = facts::probe(runtime.cgroups, &bundle.spec, options.root_change, cgroup)?;
    // accepts: no error: the problems are added to the others.
    let root = bundle.root().unwrap_or_else(|found| {
        problems.append(found);
        RootSource::Overlay(Vec::new())
    });
    let preserved = preserved_fds(options.preserve_fds)?;
    drop(probing);
    let _compiling = observer.doing("compile", || "the plan".to_owned(), "");
    let root_path = root_path(&bundle, &root);
    facts.inside_root = sources::inside(&bundle, Path::new(&root_path));
    let notify = notify.map(Path::to_string_lossy);
    let owner = match &driver {
        Some(_) => runtime.store.place_of(&options.id)?.to_string_lossy().into_owned(),
        None => String::new(),
    };
    let request = Request {
        id: &options.id,
        root_path: &root_path,
        bundle: &bundle.dir,
        root,
        no_pivot: options.root_change == RootChange::Chroot,
        no_new_keyring: options.no_new_keyring,
        preserve_fds: preserved.total,
        listen_fds: preserved.sockets,
        listen_names: preserved.names.as_deref(),
        links: sources::links_of(&bundle)?,
        notify: notify.as_deref(),
        systemd: driver.as_ref().map(|driver| SystemdRequest {
            user: driver.user,
            cgroup: &driver.cgroup,
            owner: &owner,
        }),
    };
    let plan = compiled(compile(&bundle.spec, &facts, &request), problems, &bundle)?;
    plan.warnings.iter().for_each(|warning| observer.warn(&warning.to_string()));
    plan.notes.iter().for_each(|note| observer.says(Level::Note, &note.to_string()));
    Ok(Prepared {
        bundle,
        cgroup_mount: mount.map(|mount| mount.path).unwrap_or_default(),
        cgroup_denied: facts.cgroup_denied.filter(|_| plan.cgroup.is_none()),
        plan,
        no_new_keyring: options.no_new_keyring,
        notify: notify.is_some(),
        user_unit: driver.as_ref().is_some_and(|driver| driver.user),
    })
}

/// The root file system's directory; empty for an overlay without `root.path`.
fn root_path(bundle: &Bundle, root: &RootSource) -> String {
    match (root, &bundle.spec.root) {
        // Where a link leads: it was resolved once, and is not again.
        (RootSource::Directory(path), _) => path.clone(),
        (RootSource::Overlay(_), Some(root)) if !root.path.is_empty() => {
            bundle.dir.join(&root.path).to_string_lossy().into_owned()
        }
        _ => String::new(),
    }
}

/// The plan, unless the compiler or the look at the bundle has found problems: then all of them.
fn compiled(plan: Result<Plan, Problems>, mut problems: Problems, bundle: &Bundle) -> Result<Plan> {
    let plan = plan.map_err(|found| problems.append(found));
    match plan {
        Ok(plan) if problems.is_empty() => Ok(plan),
        // accepts: no error: the problems are returned.
        _ => Err(Error::from(problems).context(bundle.dir.join("config.json").display().to_string())),
    }
}

/// How many descriptors the container keeps, from 3 on.
pub(crate) struct Preserved {
    /// Those of socket activation, which come first (sd_listen_fds(3)).
    pub sockets: u32,
    /// Their names, as the runtime was told them (`LISTEN_FDNAMES`).
    pub names: Option<String>,
    /// All of them, those of `--preserve-fds` included.
    pub total: u32,
}

/// Counts the descriptors to be kept, and sees that they are open.
pub(crate) fn preserved_fds(extra: u32) -> Result<Preserved> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    // The variables are inherited by everything; they count for the process that they name.
    let ours = number("LISTEN_PID") == Some(std::process::id());
    let sockets = number("LISTEN_FDS").filter(|_| ours).unwrap_or(0);
    let Some(total) = extra.checked_add(sockets).filter(|total| *total < 1 << 20) else {
        bail!("invalid value {extra} for --preserve-fds");
    };
    for fd in 3..3 + total {
        if !minirun_sys::is_open(fd as i32).with_context(|| format!("look for descriptor {fd}"))? {
            bail!("unable to stat preserved-fd {} (of {total}): bad file descriptor", fd - 3);
        }
    }
    // As sd_listen_fds_with_names(3) has them; without sockets they are about others.
    // accepts: a variable that is not set, or no text, which no name of a socket can be.
    let names = std::env::var("LISTEN_FDNAMES").ok().filter(|_| sockets > 0);
    Ok(Preserved { sockets, names, total })
}
