//! `minirun exec`: a further process in a running container.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use minirun_cgroup::Cgroup;
use minirun_plan::spec::{Capabilities, Process, Spec, User};
use minirun_plan::{ExecRequest, Plan, compile_exec};
use minirun_spawn::{Container, Extras, Init, SpawnError, spawn_into};
use minirun_sys as sys;
use minirun_sys::Errno;

use crate::agent::Filtered;
use crate::cli::Call;
use crate::container::{Found, Record, Status};
use crate::lifecycle::find;
use crate::pid_file;
use crate::plan::preserved_fds;
use crate::process::Identity;
use crate::store::Entry;
use crate::terminal::{Attended, Console, arrive, connect_to};
use crate::{facts, run, seal, trace};

/// The cgroup that a systemd makes for itself as soon as it runs. Then it enables controllers in the one above, which the
/// kernel refuses as long as that has a process.
const SYSTEMD: &str = "init.scope";

/// Carries out `minirun exec`.
pub fn exec(call: &Call) -> Result<ExitCode> {
    seal::seal()?;
    let id = &call.args[0];
    // Before anything of our own is open.
    let preserve_fds = preserved_fds(call)?.total;
    let detached = call.has("detach");
    let entry = find(call, id)?;
    let found = Found::locked(&entry)?;
    let cgroup = running_cgroup(call, &found)?;
    let (spec, plan) = plan_of(call, (id, preserve_fds), &entry, &found.record)?;
    let terminal = spec.process.as_ref().is_some_and(|process| process.terminal);
    let (console, terminal) = Console::of(call, terminal, detached)?.split();
    let pidfd_socket = call.path("pidfd-socket").map(connect_to).transpose()?;
    let mut steps = trace::Steps::of(&plan);
    run::block_signals()?;
    let process = join(call, &plan, &found.record, cgroup, (console, &entry), &mut steps)?;
    if let Some(socket) = pidfd_socket {
        sys::send_fd(socket.as_fd(), process.pidfd.as_fd(), b"setns").context("send the pidfd")?;
    }
    if let Some(path) = call.path("pid-file") {
        pid_file::write(&path, id, process.pid)?;
    }
    let terminal = terminal.as_ref().map(arrive).transpose()?;
    let (pid, pidfd) = (process.pid, process.pidfd.as_fd());
    let filtered = Filtered { entry: &entry, record: &found.record, status: found.status, pid, pidfd };
    let started = process.start(&mut steps, &mut |number| filtered.notify(number));
    // accepts: no error: it is returned below.
    if started.is_err() {
        // It can be stopped, and would continue later.
        process.kill();
        if let Some(path) = call.path("pid-file") {
            // The pid may be another's soon.
            // accepts: any error; the first failure is reported.
            let _kept = std::fs::remove_file(path);
        }
    }
    started.context("exec failed: unable to start container process")?;
    trace::executed();
    drop(entry);
    if detached {
        return Ok(ExitCode::SUCCESS);
    }
    // accepts: no error: a guard.
    let _running = trace::program_runs();
    Ok(ExitCode::from(run::status_code(run::wait_for(&process, terminal.as_ref().map(Attended::of), None)?)))
}

/// The cgroup that the process is born in, if the container has one; only a container that runs takes a process.
///
/// It is the one that init was born in, wherever init has moved itself to since; but beside an init that is a systemd, and
/// ([`join`]) beside any init that has enabled controllers there, for then the kernel refuses.
fn running_cgroup(call: &Call, found: &Found) -> Result<Option<Cgroup>> {
    match found.status {
        // Init cannot be looked into before it is the container's program (CVE-2016-9962), but by root.
        Status::Created if facts::rootless()? => {
            bail!(
                "cannot exec in a container that is not yet started without being root of the host (hint: start it first)"
            )
        }
        Status::Created | Status::Running => {}
        Status::Paused if call.has("ignore-paused") => {}
        Status::Paused => bail!("cannot exec in a paused container (use --ignore-paused to override)"),
        Status::Stopped => bail!("cannot exec in a stopped container"),
        Status::Creating => bail!("cannot exec in a container in the creating state"),
    }
    let Some(known) = &found.record.cgroup else {
        return if call.has("cgroup") { found.record.need_cgroup("exec --cgroup").map(Some) } else { Ok(None) };
    };
    match call.text("cgroup") {
        Some(inner) => open_cgroup(&found.record, &known.of_processes().join(chosen_below(&inner)?)),
        None => {
            let init = found.record.init.context("the container has no init")?;
            let own = Path::new("/").join(known.of_processes());
            let now = cgroup_of_init(init, &own)?;
            open_cgroup(&found.record, if now == own.join(SYSTEMD) { &now } else { &own })
        }
    }
    .map(Some)
}

fn open_cgroup(record: &Record, path: &Path) -> Result<Cgroup> {
    record.need_cgroup("exec")?.other(path)?.with_context(|| format!("cgroup {} does not exist", path.display()))
}

/// The value of `--cgroup`: runc takes CONTROLLER:PATH as well; on cgroup v2 there is one hierarchy, so only a path remains.
fn chosen_below(text: &str) -> Result<&str> {
    let inner = text.rsplit(':').next().unwrap_or("").trim_start_matches('/');
    if Path::new(inner).components().any(|part| part == Component::ParentDir) {
        bail!("--cgroup: {inner:?} must stay below the container's cgroup");
    }
    Ok(inner)
}

/// The container's configuration with the process that shall run in it, and what that takes.
fn plan_of(call: &Call, (id, preserve_fds): (&str, u32), entry: &Entry, record: &Record) -> Result<(Spec, Plan)> {
    let mut spec: Spec = minirun_plan::spec::read(&entry.read_config()?).context("the container's config.json")?;
    match call.path("process") {
        Some(path) => {
            let text = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let process: Process =
                minirun_plan::spec::read(&text).with_context(|| format!("process in {}", path.display()))?;
            spec.process = Some(confined_as(process, spec.process.take()));
        }
        None if call.args.len() < 2 => bail!("exec args cannot be empty"),
        None => {}
    }
    if let Some(process) = &mut spec.process {
        adjust(call, process)?;
    }
    let request = ExecRequest { id, bundle: &record.bundle, preserve_fds, no_new_keyring: record.no_new_keyring };
    let facts = facts::of_container(record.init.context("the container has no init")?.pid, &spec)?;
    let plan = compile_exec(&spec, &facts, &request).map_err(anyhow::Error::new)?;
    plan.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    Ok((spec, plan))
}

/// What a process says nothing of is as with the container's own, as in runc.
fn confined_as(process: Process, own: Option<Process>) -> Process {
    let Some(own) = own else { return process };
    Process {
        apparmor_profile: process.apparmor_profile.or(own.apparmor_profile),
        selinux_label: process.selinux_label.or(own.selinux_label),
        rlimits: process.rlimits.or(own.rlimits),
        ..process
    }
}

/// What the command line says about the process.
fn adjust(call: &Call, process: &mut Process) -> Result<()> {
    if call.args.len() > 1 {
        process.args = Some(call.args[1..].to_vec());
        process.terminal = false;
    }
    process.terminal |= call.has("tty");
    if let Some(cwd) = call.text("cwd") {
        process.cwd = cwd;
    }
    process.env.get_or_insert_default().extend(call.all("env"));
    if let Some(user) = call.text("user") {
        process.user = user_of(&user, &process.user)?;
    }
    for gid in call.all("additional-gids") {
        process.user.additional_gids.push(id_of(&gid).with_context(|| format!("--additional-gids {gid}"))?);
    }
    let added = call.all("cap");
    if !added.is_empty() {
        let sets = process.capabilities.get_or_insert_with(Capabilities::default);
        // Never the inheritable ones: a program without capabilities would pass them on (CVE-2022-29162). The ambient ones
        // only as far as they are inheritable already, which the compiler sees to.
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, &mut sets.ambient] {
            set.extend(added.iter().cloned());
        }
    }
    process.no_new_privileges |= call.has("no-new-privs");
    for (option, place) in [("apparmor", &mut process.apparmor_profile), ("process-label", &mut process.selinux_label)]
    {
        if let Some(value) = call.text(option) {
            *place = Some(value);
        }
    }
    Ok(())
}

/// `UID[:GID]`.
fn user_of(text: &str, former: &User) -> Result<User> {
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (text, None),
    };
    let uid = id_of(uid).with_context(|| format!("--user {text}"))?;
    let gid = gid.map(id_of).transpose().with_context(|| format!("--user {text}"))?.unwrap_or(former.gid);
    Ok(User { uid, gid, umask: former.umask, additional_gids: former.additional_gids.clone() })
}

/// A user or group id in plain decimal digits: a loose parser has made others root (CVE-2026-30892).
fn id_of(text: &str) -> Result<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (text == "0" || !text.starts_with('0'));
    match text.parse::<u32>() {
        Ok(id) if canonical && id != u32::MAX => Ok(id),
        _ => bail!("{text:?} is not an id: decimal digits from 0 to 4294967294 are"),
    }
}

/// Makes the process, born in this cgroup, or where that may not hold processes any more, beside init.
fn join(
    call: &Call,
    plan: &Plan,
    record: &Record,
    cgroup: Option<Cgroup>,
    (console, entry): (Option<OwnedFd>, &Entry),
    steps: &mut trace::Steps,
) -> Result<Init> {
    let held = cgroup.iter().flat_map(Cgroup::descriptors).chain([entry.fd()]).collect::<Vec<_>>();
    let again = console.as_ref().map(OwnedFd::try_clone).transpose().context("keep the console socket")?;
    let failed =
        |error: SpawnError| anyhow::Error::new(error).context("exec failed: unable to start container process");
    match spawn_into(
        plan,
        container_of(record, plan)?,
        cgroup.as_ref().map(Cgroup::fd),
        Extras { console, not_inits: &held },
        steps,
    ) {
        // The container has handed controllers down to cgroups of its own, and lives in those; it may just have begun.
        Err(SpawnError::Failed(failure))
            if failure.errno == Some(Errno::EBUSY) && failure.call == "clone3" && !call.has("cgroup") =>
        {
            let (init, known) = record.init.zip(record.cgroup.as_ref()).context("the container has no init")?;
            let own = Path::new("/").join(known.of_processes());
            let beside = open_cgroup(record, &cgroup_of_init(init, &own)?)?;
            let held = beside.descriptors().chain(held).collect::<Vec<_>>();
            let extras = Extras { console: again, not_inits: &held };
            spawn_into(plan, container_of(record, plan)?, Some(beside.fd()), extras, steps).map_err(failed)
        }
        answer => answer.map_err(failed),
    }
}

/// The cgroup that the container's init is in now (cgroups(7)): the one that it was born in, or one that it has made below
/// that. One that is elsewhere is none of the container's.
fn cgroup_of_init(init: Identity, own: &Path) -> Result<PathBuf> {
    let path = format!("/proc/{}/cgroup", init.pid);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let now =
        text.lines().find_map(|line| line.strip_prefix("0::")).with_context(|| format!("no cgroup2 in {path}"))?;
    Ok(if Path::new(now).starts_with(own) { now.into() } else { own.to_owned() })
}

/// Descriptors of the container's init, and of its root where that is not the root of a mount namespace, checked to be still
/// those of the record.
fn container_of(record: &Record, plan: &Plan) -> Result<Container> {
    let identity = record.init.context("the container has no init")?;
    let open = |path: PathBuf| -> Result<OwnedFd> {
        let text = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
        sys::open(&text, libc::O_PATH | libc::O_DIRECTORY).with_context(|| format!("open {}", path.display()))
    };
    let own_mounts = plan.namespaces.entered & libc::CLONE_NEWNS as u64 != 0;
    let root = if own_mounts { None } else { Some(open(format!("/proc/{}/root", identity.pid).into())?) };
    // After the root was opened: if the process is still that one, so was its root.
    let init = identity.open()?.context("cannot exec in a stopped container")?.into_fd();
    Ok(Container { init, root })
}

#[cfg(test)]
mod tests {
    use super::id_of;

    #[test]
    fn ids_are_plain_decimal_numbers() {
        for (text, id) in [("0", 0), ("1", 1), ("1000", 1000), ("4294967294", 4_294_967_294)] {
            assert_eq!(id_of(text).unwrap(), id);
        }
        for text in
            ["", "-1", "+1", "01", " 1", "1 ", "0x1", "1e3", "root", "4294967295", "4294967296", "99999999999999999999"]
        {
            id_of(text).unwrap_err();
        }
    }
}
