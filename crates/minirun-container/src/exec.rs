//! Makes a further process in a running container.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use minirun_cgroup::Cgroup;
use minirun_plan::spec::{Capabilities, Process, Spec};
use minirun_plan::{ExecRequest, Plan, compile_exec};
use minirun_spawn::{Container as Joined, Extras, Init, SpawnError, spawn_into};
use minirun_sys as sys;
use minirun_sys::Errno;

use crate::agent::NotifyingProcess;
use crate::console::{Console, arrive, connect_to};
use crate::error::{Context, Error, OnPath, Operation, Result, bail};
use crate::options::{Children, Exec, UserIds};
use crate::prepare::preserved_fds;
use crate::process::Identity;
use crate::record::Record;
use crate::runtime::Container;
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::status::Status;
use crate::steps::Steps;
use crate::store::Entry;
use crate::wait::Running;
use crate::{facts, pid_file};

/// The cgroup that a systemd makes for itself as soon as it runs. Then it enables controllers in the one above, which the
/// kernel refuses as long as that has a process.
const SYSTEMD: &str = "init.scope";

impl<'r> Container<'r> {
    /// Makes a further process in the container, and starts its program.
    ///
    /// # Errors
    /// The container does not run, the process cannot be confined as it should be, its program cannot be executed, or this
    /// process has several threads or is not sealed.
    pub fn exec(&self, options: &Exec) -> Result<Running<'r>> {
        let session = self.making_session()?;
        if options.children == Children::All {
            session.take_all_children();
        }
        match self.exec_in(&session, options) {
            Ok((init, terminal)) => Ok(Running { session, init, terminal, notify: None, container: None }),
            Err(error) => Err(session.explain(error)),
        }
    }

    fn exec_in(&self, session: &Session<'_>, options: &Exec) -> Result<(Init, Option<OwnedFd>)> {
        // Before anything of our own is open.
        let preserve_fds = preserved_fds(options.preserve_fds)?.total;
        let entry = self.lock()?;
        let mut found = Snapshot::locked(&entry)?;
        let cgroup = self.running_cgroup(options, &mut found)?;
        let (spec, plan) = self.plan_of(session, options, preserve_fds, &entry, &found.record)?;
        let terminal = spec.process.as_ref().is_some_and(|process| process.terminal);
        let (console, terminal) = Console::of(options.console_socket.as_deref(), terminal, options.stay)?.split();
        let pidfd_socket = options.pidfd_socket.as_deref().map(connect_to).transpose()?;
        let mut steps = Steps::of(&plan, session);
        session.block_signals()?;
        let chosen = options.cgroup.as_deref();
        let process = join(chosen, &plan, &found, cgroup, (console, &entry), &mut steps)?;
        if let Some(socket) = pidfd_socket {
            sys::send_fd(socket.as_fd(), process.pidfd.as_fd(), b"setns").context("send the pidfd")?;
        }
        if let Some(path) = &options.pid_file {
            pid_file::write(path, self.id(), process.pid)?;
        }
        let terminal = terminal.as_ref().map(arrive).transpose()?;
        let (pid, pidfd) = (process.pid, process.pidfd.as_fd());
        let notifying = NotifyingProcess { entry: &entry, record: &found.record, status: found.status, pid, pidfd };
        let started = process.start(&mut steps, &mut |number| notifying.notify(number));
        // accepts: no error: it is returned below.
        if started.is_err() {
            // It can be stopped, and would continue later.
            process.kill();
            if let Some(path) = &options.pid_file {
                // The pid may be another's soon.
                // accepts: any error; the first failure is reported.
                let _kept = std::fs::remove_file(path);
            }
        }
        started.context("exec failed: unable to start container process")?;
        steps.executed();
        Ok((process, terminal))
    }

    /// The cgroup that the process is born in, if the container has one; only a container that runs takes a process.
    ///
    /// It is the one that init was born in, wherever init has moved itself to since; but beside an init that is a systemd,
    /// and ([`join`]) beside any init that has enabled controllers there, for then the kernel refuses.
    fn running_cgroup(&self, options: &Exec, found: &mut Snapshot) -> Result<Option<Cgroup>> {
        match found.status {
            // Init cannot be looked into before it is the container's program (CVE-2016-9962), but by root.
            Status::Created if !facts::rootless()? => {}
            Status::Running => {}
            Status::Paused if options.ignore_paused => {}
            other => return Err(self.wrong_state(Operation::Exec, other)),
        }
        let Some(known) = &found.record.cgroup else {
            return if options.cgroup.is_some() {
                found.record.need_cgroup("exec --cgroup").map(Some)
            } else {
                Ok(None)
            };
        };
        let own = known.of_processes();
        let path = match &options.cgroup {
            Some(inner) => own.join(chosen_below(inner)?),
            None => {
                let init = found.record.init.context("the container has no init")?;
                let absolute = Path::new("/").join(&own);
                let now = cgroup_of_init(init, &absolute)?;
                if now == absolute.join(SYSTEMD) { now } else { own }
            }
        };
        match found.cgroup.take() {
            Some(cgroup) if path == known.path => Ok(cgroup),
            Some(cgroup) => other_cgroup(&cgroup, &path),
            None => open_cgroup(&found.record, &path),
        }
        .map(Some)
    }

    /// Returns the container's configuration with the process that is to run in it, and its plan.
    fn plan_of(
        &self,
        session: &Session<'_>,
        options: &Exec,
        preserve_fds: u32,
        entry: &Entry,
        record: &Record,
    ) -> Result<(Spec, Plan)> {
        let mut spec: Spec = minirun_plan::spec::read(&entry.read_config()?).context("the container's config.json")?;
        match &options.process {
            Some(process) => spec.process = Some(confined_as(process.clone(), spec.process.take())),
            None if options.args.is_empty() => bail!("exec args cannot be empty"),
            None => {}
        }
        if let Some(process) = &mut spec.process {
            adjust(options, process)?;
        }
        let (id, bundle, no_new_keyring) = (self.id(), &record.bundle, record.no_new_keyring);
        let request = ExecRequest { id, bundle, preserve_fds, no_new_keyring };
        let facts = facts::of_container(record.init.context("the container has no init")?.pid, &spec)?;
        let plan = compile_exec(&spec, &facts, &request)?;
        plan.warnings.iter().for_each(|warning| session.observer.warn(&warning.to_string()));
        Ok((spec, plan))
    }
}

fn open_cgroup(record: &Record, path: &Path) -> Result<Cgroup> {
    other_cgroup(&record.need_cgroup("exec")?, path)
}

fn other_cgroup(cgroup: &Cgroup, path: &Path) -> Result<Cgroup> {
    cgroup.other(path)?.with_context(|| format!("cgroup {} does not exist", path.display()))
}

/// The value of `--cgroup`: runc takes CONTROLLER:PATH as well; on cgroup v2 there is one hierarchy, so only a path remains.
fn chosen_below(text: &str) -> Result<&str> {
    let inner = text.rsplit(':').next().unwrap_or("").trim_start_matches('/');
    if Path::new(inner).components().any(|part| part == Component::ParentDir) {
        bail!("--cgroup: {inner:?} must stay below the container's cgroup");
    }
    Ok(inner)
}

/// Completes a process: it is confined as the container's own where it does not say otherwise, as in runc.
fn confined_as(process: Process, own: Option<Process>) -> Process {
    let Some(own) = own else { return process };
    Process {
        apparmor_profile: process.apparmor_profile.or(own.apparmor_profile),
        selinux_label: process.selinux_label.or(own.selinux_label),
        rlimits: process.rlimits.or(own.rlimits),
        ..process
    }
}

/// Changes the process as the options say.
fn adjust(options: &Exec, process: &mut Process) -> Result<()> {
    if !options.args.is_empty() {
        process.args = Some(options.args.clone());
        process.terminal = false;
    }
    process.terminal |= options.tty;
    if let Some(cwd) = &options.cwd {
        process.cwd.clone_from(cwd);
    }
    process.env.get_or_insert_default().extend(options.env.iter().cloned());
    if let Some(UserIds { uid, gid }) = options.user {
        (process.user.uid, process.user.gid) = (uid, gid.unwrap_or(process.user.gid));
    }
    process.user.additional_gids.extend(&options.additional_gids);
    if !options.capabilities.is_empty() {
        let sets = process.capabilities.get_or_insert_with(Capabilities::default);
        // Never the inheritable ones: a program without capabilities would pass them on (CVE-2022-29162). The ambient ones
        // only as far as they are inheritable already, which the compiler sees to.
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, &mut sets.ambient] {
            set.extend(options.capabilities.iter().cloned());
        }
    }
    process.no_new_privileges |= options.no_new_privileges;
    let confinement = [
        (&options.apparmor_profile, &mut process.apparmor_profile),
        (&options.selinux_label, &mut process.selinux_label),
    ];
    for (given, place) in confinement {
        if given.is_some() {
            place.clone_from(given);
        }
    }
    Ok(())
}

/// Makes the process, born in this cgroup, or where that may not hold processes any more, beside init.
fn join(
    chosen: Option<&str>,
    plan: &Plan,
    found: &Snapshot,
    cgroup: Option<Cgroup>,
    (console, entry): (Option<OwnedFd>, &Entry),
    steps: &mut Steps<'_>,
) -> Result<Init> {
    let held = cgroup.iter().flat_map(Cgroup::descriptors).chain([entry.fd()]).collect::<Vec<_>>();
    let again = console.as_ref().map(OwnedFd::try_clone).transpose().context("keep the console socket")?;
    let failed = |error: SpawnError| Error::from(error).context("exec failed: unable to start container process");
    let record = &found.record;
    match spawn_into(
        plan,
        container_of(found, plan)?,
        cgroup.as_ref().map(Cgroup::fd),
        Extras { console, not_inits: &held },
        steps,
    ) {
        // The container has handed controllers down to cgroups of its own, and lives in those; it may just have begun.
        Err(SpawnError::Failed(failure))
            if failure.errno == Some(Errno::EBUSY) && failure.call == "clone3" && chosen.is_none() =>
        {
            let (init, known) = record.init.zip(record.cgroup.as_ref()).context("the container has no init")?;
            let own = Path::new("/").join(known.of_processes());
            let beside = open_cgroup(record, &cgroup_of_init(init, &own)?)?;
            let held = beside.descriptors().chain(held).collect::<Vec<_>>();
            let extras = Extras { console: again, not_inits: &held };
            spawn_into(plan, container_of(found, plan)?, Some(beside.fd()), extras, steps).map_err(failed)
        }
        answer => answer.map_err(failed),
    }
}

/// The cgroup that the container's init is in now (cgroups(7)): the one that it was born in, or one that it has made below
/// that. One that is elsewhere is none of the container's.
fn cgroup_of_init(init: Identity, own: &Path) -> Result<PathBuf> {
    let path = format!("/proc/{}/cgroup", init.pid);
    let text = sys::read_file(&path).on("read", || &path)?;
    let text = String::from_utf8(text).on("read", || &path)?;
    let now =
        text.lines().find_map(|line| line.strip_prefix("0::")).with_context(|| format!("no cgroup2 in {path}"))?;
    Ok(if Path::new(now).starts_with(own) { now.into() } else { own.to_owned() })
}

/// Descriptors of the container's init, and of its root where that is not the root of a mount namespace.
fn container_of(found: &Snapshot, plan: &Plan) -> Result<Joined> {
    let init = found.init.as_ref().context("cannot exec in a stopped container")?;
    let identity = found.record.init.context("the container has no init")?;
    let open = |path: PathBuf| -> Result<OwnedFd> {
        let text = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
        sys::open(&text, libc::O_PATH | libc::O_DIRECTORY).on("open", || &path)
    };
    let own_mounts = plan.namespaces.entered & libc::CLONE_NEWNS as u64 != 0;
    let root = if own_mounts { None } else { Some(open(format!("/proc/{}/root", identity.pid).into())?) };
    // After the root was opened: a process that has not ended still has its pid, so the root is that of this one.
    if init.wait(0)? {
        bail!("cannot exec in a stopped container");
    }
    Ok(Joined { init: init.as_fd().try_clone_to_owned().context("keep init")?, root })
}
