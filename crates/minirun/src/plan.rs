//! `minirun plan`, and the way from a bundle to a plan that `create` and `run` take as well.

mod sources;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use minirun_plan::{Op, Plan, Problems, Request, RootSource, SystemdRequest, compile};

use crate::bundle::Bundle;
use crate::facts;
use crate::lifecycle::store;
use crate::options::{PlanOptions, Runtime};
use crate::trace::doing;
use crate::unit;

/// A bundle with its plan, ready to be carried out.
pub struct Ready {
    pub bundle: Bundle,
    pub plan: Plan,
    /// Empty where there is none, and none is needed.
    pub cgroup_mount: PathBuf,
    /// Why the container has no cgroup of its own.
    pub cgroup_denied: Option<String>,
    pub no_new_keyring: bool,
    /// May the container say when it is ready?
    pub notify: bool,
    /// Is the systemd that makes the cgroup, if one does, the user's own?
    pub user_unit: bool,
}

/// Reads a bundle and compiles it: nothing is changed anywhere.
///
/// `notify` is the directory in which the container finds the socket to say on that it is ready, if there will be one.
pub fn prepare(runtime: &Runtime, id: &str, options: &PlanOptions, notify: Option<&Path>) -> Result<Ready> {
    let dir = options.bundle.as_path();
    let reading = doing("read", || dir.join("config.json").display().to_string(), "");
    let bundle = Bundle::load(dir)?;
    drop(reading);
    let probing = doing("look", || "at the host".to_owned(), "");
    let mut problems = bundle.problems.clone();
    let driver = unit::driver(runtime)?;
    let cgroup = driver.as_ref().map(|driver| driver.cgroup.as_path());
    let (mut facts, mount) = facts::probe(runtime, &bundle.spec, options.no_pivot, cgroup)?;
    // accepts: no error: the problems are added to the others.
    let root = bundle.root().unwrap_or_else(|found| {
        problems.append(found);
        RootSource::Overlay(Vec::new())
    });
    let preserved = preserved_fds(options.preserve_fds)?;
    drop(probing);
    let _compiling = doing("compile", || "the plan".to_owned(), "");
    let root_path = match (&root, &bundle.spec.root) {
        // Where a link leads: it was resolved once, and is not again.
        (RootSource::Directory(path), _) => path.clone(),
        (RootSource::Overlay(_), Some(root)) if !root.path.is_empty() => {
            bundle.dir.join(&root.path).to_string_lossy().into_owned()
        }
        _ => String::new(),
    };
    facts.inside_root = sources::inside(&bundle, Path::new(&root_path));
    let notify = notify.map(Path::to_string_lossy);
    let owner = match &driver {
        Some(_) => store(runtime)?.place_of(id).to_string_lossy().into_owned(),
        None => String::new(),
    };
    let request = Request {
        id,
        root_path: &root_path,
        bundle: &bundle.dir,
        root,
        no_pivot: options.no_pivot,
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
    let plan = match compile(&bundle.spec, &facts, &request) {
        Ok(plan) if problems.is_empty() => plan,
        Ok(_) => return Err(refused(problems, &bundle)),
        Err(found) => {
            problems.append(found);
            return Err(refused(problems, &bundle));
        }
    };
    plan.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    plan.notes.iter().for_each(|note| log::debug!("{note}"));
    Ok(Ready {
        bundle,
        cgroup_mount: mount.map(|mount| mount.path).unwrap_or_default(),
        cgroup_denied: facts.cgroup_denied.filter(|_| plan.cgroup.is_none()),
        plan,
        no_new_keyring: options.no_new_keyring,
        notify: notify.is_some(),
        user_unit: driver.as_ref().is_some_and(|driver| driver.user),
    })
}

fn refused(problems: Problems, bundle: &Bundle) -> anyhow::Error {
    anyhow::Error::new(problems).context(bundle.dir.join("config.json").display().to_string())
}

/// How many descriptors the container keeps, from 3 on.
pub struct Preserved {
    /// Those of socket activation, which come first (sd_listen_fds(3)).
    pub sockets: u32,
    /// Their names, as the runtime was told them (`LISTEN_FDNAMES`).
    pub names: Option<String>,
    /// All of them, those of `--preserve-fds` included.
    pub total: u32,
}

/// Counts the descriptors to be kept, and sees that they are open.
pub fn preserved_fds(extra: u32) -> Result<Preserved> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    // The variables are inherited by everything; they count for the process that they name.
    let ours = number("LISTEN_PID") == Some(std::process::id());
    let sockets = number("LISTEN_FDS").filter(|_| ours).unwrap_or(0);
    let Some(total) = extra.checked_add(sockets).filter(|total| *total < 1 << 20) else {
        bail!("invalid value {extra} for --preserve-fds");
    };
    for fd in 3..3 + total {
        // accepts: any error, which is EBADF: it is refused.
        if minirun_sys::fstat(minirun_sys::inherited_fd(fd as i32)).is_err() {
            bail!("unable to stat preserved-fd {} (of {total}): bad file descriptor", fd - 3);
        }
    }
    // As sd_listen_fds_with_names(3) has them; without sockets they are about others.
    // accepts: a variable that is not set, or no text, which no name of a socket can be.
    let names = std::env::var("LISTEN_FDNAMES").ok().filter(|_| sockets > 0);
    Ok(Preserved { sockets, names, total })
}

/// `minirun plan`.
pub fn plan(runtime: &Runtime, options: &PlanOptions, json: bool) -> Result<()> {
    let ready = prepare(runtime, "ID", options, None)?;
    if !json {
        return crate::report::print(&ready.plan.to_string());
    }
    let filter = ready.plan.init.iter().find_map(|step| match &step.op {
        Op::Seccomp { filter, .. } => Some(filter),
        _ => None,
    });
    let lines: Vec<_> = ready
        .plan
        .lines()
        .into_iter()
        .map(|line| {
            let mut json = serde_json::json!({
                "part": line.part, "do": line.verb, "subject": line.subject, "origin": line.origin.as_str(),
            });
            if let Some(filter) = filter.filter(|_| line.part == "init" && line.verb == "seccomp") {
                json["program"] = filter.listing().into();
            }
            json
        })
        .collect();
    crate::report::print(&format!("{}\n", serde_json::to_string_pretty(&lines)?))
}
